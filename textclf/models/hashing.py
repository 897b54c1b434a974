"""Hashes of short runs of token ids: multiply, add, modulo a prime (Carter and Wegman 1979).

They use operators that NumPy arrays and Keras tensors share, on integers that stay below 2 ** 63, so that both give the
same. A token id is below 2 ** 24, so its product with a factor is below 2 ** 55.
"""

from collections.abc import Sequence
from typing import Any

PRIME = 2**31 - 1


def hash_ids(ids: Sequence[Any], factors: Sequence[int]) -> Any:
    """Return the hashes, from 0 to PRIME - 1, of token ids as int64: the first of each run, the second of each, ..."""
    total = ids[0] * factors[0]
    for column, factor in zip(ids[1:], factors[1:], strict=False):
        total = total + column * factor
    return total % PRIME
