"""What makes a trained network smaller, whatever its architecture: fewer words, fewer dimensions, fewer units."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Sizes(NamedTuple):
    """What is to stay of a network."""

    keep: float
    """Share of the words, of the dimensions of their vectors, and of the units of each layer, above 0 to 1."""
    counts: npt.NDArray[np.int64]
    """How often each token id comes in the training rows, shape (vocabulary,)."""
    unknown: int
    """The id of the unknown word, behind which the words come, the most frequent first."""

    @property
    def vocabulary(self) -> int:
        """Token ids that stay, the first of all."""
        return max(self.unknown + 2, self.of(len(self.counts)))

    def of(self, size: int) -> int:
        """How much stays of so much."""
        return max(1, round(self.keep * size))


def fewer_words(table: Array, sizes: Sizes) -> Array:
    """The vectors of the words that stay, and behind them the rows of the table that stand for no word.

    The unknown word, which now stands for all that go, gets their mean, each by how often it comes.
    """
    left = table[: sizes.vocabulary].copy()
    gone = np.r_[sizes.unknown, sizes.vocabulary : len(sizes.counts)]
    counts = sizes.counts[gone]
    if counts.any():
        left[sizes.unknown] = counts @ table[gone] / counts.sum()
    return np.concatenate([left, table[len(sizes.counts) :]])


def principal_axes(table: Array, counts: npt.NDArray[np.int64], dimensions: int) -> Array:
    """The directions along which the vectors of a text's words are longest, shape (dimensions before, dimensions).

    The first eigenvectors of the words' second moments, each word by how often it comes: what is lost of the vectors,
    squared, is the least that so few dimensions can lose (Eckart and Young 1936).
    """
    words = table[: len(counts)].astype(np.float64)
    moments = words.T @ (words * (counts + 1)[:, None])  # words that only pretrained vectors know count a little
    _, vectors = np.linalg.eigh(moments)
    return np.ascontiguousarray(vectors[:, ::-1][:, :dimensions].astype(np.float32))


def strongest(weights: Array, count: int) -> npt.NDArray[np.int64]:
    """The places of the units from which the largest weights go out, ascending; `weights` has a row a unit."""
    strength = (weights.astype(np.float64) ** 2).sum(axis=1)
    return np.sort(np.argsort(-strength, kind="stable")[:count])
