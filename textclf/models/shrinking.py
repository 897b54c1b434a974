"""Steps of making a network smaller that all architectures share: fewer words, fewer dimensions, fewer units."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Sizes(NamedTuple):
    """Sizes of the smaller network, relative to the trained one."""

    keep: float
    """Fraction of the words, of the dimensions of their vectors, and of the units of each layer, above 0 to 1."""
    counts: npt.NDArray[np.int64]
    """Occurrences of each token id in the training rows, shape (vocabulary,)."""
    unknown: int
    """Id of the unknown word; the words follow it, most frequent first."""

    @property
    def vocabulary(self) -> int:
        """Number of token ids that are kept: the first ones."""
        return max(self.unknown + 2, self.of(len(self.counts)))

    def of(self, size: int) -> int:
        """Return the size that is kept of `size`, at least 1."""
        return max(1, round(self.keep * size))


def fewer_words(table: Array, sizes: Sizes) -> Array:
    """Return the table without the rows of the dropped words; rows behind the vocabulary, of word pairs, stay.

    The unknown word now stands for all dropped words as well: it gets the mean of their vectors, weighted by their
    occurrences.
    """
    kept = table[: sizes.vocabulary].copy()
    dropped = np.r_[sizes.unknown, sizes.vocabulary : len(sizes.counts)]
    counts = sizes.counts[dropped]
    if counts.any():
        kept[sizes.unknown] = counts @ table[dropped] / counts.sum()
    return np.concatenate([kept, table[len(sizes.counts) :]])


def principal_axes(table: Array, counts: npt.NDArray[np.int64], dimensions: int) -> Array:
    """Return the principal axes of word vectors, to project them on, shape (dimensions before, dimensions).

    They are the first eigenvectors of the vectors' second moments, weighted by the words' occurrences: no projection
    to so few dimensions has a smaller squared error (Eckart and Young 1936).
    """
    words = table[: len(counts)].astype(np.float64)  # (vocabulary, dimensions before)
    moments = words.T @ (words * (counts + 1)[:, None])  # words that only pretrained vectors know count a little
    _, vectors = np.linalg.eigh(moments)  # eigenvalues ascending
    return np.ascontiguousarray(vectors[:, ::-1][:, :dimensions].astype(np.float32))


def strongest(weights: Array, count: int) -> npt.NDArray[np.int64]:
    """Return the indices of the units with the largest outgoing weights, ascending.

    Args:
        weights: shape (units, any).
    """
    strength = (weights.astype(np.float64) ** 2).sum(axis=1)
    return np.sort(np.argsort(-strength, kind="stable")[:count])
