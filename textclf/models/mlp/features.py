"""Row numbers of words and word pairs in one table: a word's is its token id, a pair's comes from a hash (bucket).

NumPy and Keras compute it by the same operators, and so get the same; see `textclf.models.hashing`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.bag_of_words import smooth_idf
from textclf.models.hashing import hash_ids

Ids = npt.NDArray[Any]

FACTORS = 1_540_483_477, 1_181_783_497  # below the prime, so that a product with a token id stays below 2 ** 55


def bucket(left: Any, right: Any, buckets: int) -> Any:
    """Return the hash bucket of each word pair, given the token ids as int64."""
    return hash_ids((left, right), FACTORS) % buckets


def pair_rows(token_ids: Ids, *, vocabulary: int, buckets: int) -> Ids:
    """Return the row number of each word pair, shape (..., width - 1); 0 if one of the two words is padding."""
    left, right = (part.astype(np.int64) for part in (token_ids[..., :-1], token_ids[..., 1:]))
    return np.where(right == 0, 0, vocabulary + bucket(left, right, buckets))


def inverse_document_frequencies(
    blocks: Iterable[Ids], *, vocabulary: int, buckets: int, pairs: bool
) -> npt.NDArray[np.float32]:
    """Return the smooth inverse document frequency of each table row, shape (vocabulary + buckets if pairs,).

    Args:
        blocks: padded token ids of the training texts, shape (texts, width) each.
    """
    texts_with, texts = np.zeros(vocabulary + buckets * pairs, np.int64), 0
    for token_ids in blocks:
        both = [token_ids, pair_rows(token_ids, vocabulary=vocabulary, buckets=buckets)] if pairs else [token_ids]
        rows = np.sort(np.concatenate(both, axis=1), axis=1)  # (texts, words and pairs), equal rows adjacent
        first = np.diff(rows, axis=1, prepend=-1) > 0  # count a row once per text
        texts_with += np.bincount(rows[first], minlength=len(texts_with))
        texts += len(token_ids)
    return smooth_idf(texts, texts_with).astype(np.float32)
