"""Words and pairs of neighbouring words as rows of a table: a word by its id, a pair by a hash of its two ids.

The hash is Carter and Wegman's (1979): multiply, add, modulo a prime, modulo the buckets. It is written in operators
that NumPy arrays and Keras tensors share, of whole numbers that stay below 2 ** 63, so that both give the same.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[Any]

PRIME = 2**31 - 1

FACTORS = 1_540_483_477, 1_181_783_497  # below the prime, so that a product with a token id stays below 2 ** 55


def bucket(left: Any, right: Any, buckets: int) -> Any:
    """Which bucket each pair falls into, given the token ids of its words as int64."""
    return (left * FACTORS[0] + right * FACTORS[1]) % PRIME % buckets


def pair_rows(token_ids: Ids, *, vocabulary: int, buckets: int) -> Ids:
    """The rows of the pairs of neighbours, shape (..., width - 1); 0, as padding, where one of the two is padding."""
    left, right = (part.astype(np.int64) for part in (token_ids[..., :-1], token_ids[..., 1:]))
    return np.where(right == 0, 0, vocabulary + bucket(left, right, buckets))


def inverse_document_frequencies(
    rows: Iterable[Ids], *, vocabulary: int, buckets: int, pairs: bool
) -> npt.NDArray[np.float32]:
    """For each row of the table ln((1 + texts) / (1 + texts that have it)) + 1, shape (vocabulary + buckets if pairs,).

    That is the smooth one of scikit-learn's TfidfTransformer: as if one more text had everything once.

    Args:
        rows: padded token ids, some texts at a time.
    """
    having, texts = np.zeros(vocabulary + buckets * pairs, np.int64), 0
    for token_ids in rows:
        both = [token_ids, pair_rows(token_ids, vocabulary=vocabulary, buckets=buckets)] if pairs else [token_ids]
        grams = np.sort(np.concatenate(both, axis=1), axis=1)
        first = np.diff(grams, axis=1, prepend=-1) > 0
        having += np.bincount(grams[first], minlength=len(having))
        texts += len(token_ids)
    return (np.log((1 + texts) / (1 + having)) + 1).astype(np.float32)
