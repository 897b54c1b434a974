"""Small random changes of the training rows, drawn anew for each epoch, so that the network learns no row by heart."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.schema import AugmentOptions
from textclf.data.rows import ROWS_AT_ONCE
from textclf.text.encoding import UNKNOWN, TokenIds, concatenate, concatenated_ranges
from textclf.text.vectors import WordVectors, neighbours

logger = logging.getLogger(__name__)

Neighbours = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Augmentation:
    """The changes of training rows; none by default."""

    options: AugmentOptions
    neighbours: Neighbours | None = None
    """Token ids that may replace each id, shape (ids, neighbours); for the option `synonyms`."""

    def epoch_rows(self, token_ids: TokenIds, *, seed: int, epoch: int) -> TokenIds:
        """Return the rows of an epoch: all rows in their order, changed, and that `factor` times.

        They depend on nothing else than the arguments. Rows that no option changes are returned as they are, without
        a copy.
        """
        changes = [(change, share) for name, change in CHANGES.items() if (share := getattr(self.options, name))]
        if not changes:
            return token_ids
        rng = np.random.default_rng([seed, epoch, 1])  # [seed, epoch] shuffles the rows
        blocks = []
        for _ in range(self.options.factor):
            for start in range(0, len(token_ids), ROWS_AT_ONCE):
                block = token_ids.take(np.arange(start, min(start + ROWS_AT_ONCE, len(token_ids))))
                for change, share in changes:
                    block = change(block, share, rng, self.neighbours)
                blocks.append(block)
        return concatenate(blocks)


def make_augmentation(
    options: AugmentOptions, vectors: WordVectors | None, vocabulary: Sequence[str], *, words: int
) -> Augmentation:
    """Return the augmentation of a config.

    Args:
        words: number of words, the first of the vocabulary, to look up neighbours of if the options need them.
    """
    if not options.synonyms:
        return Augmentation(options)
    assert vectors is not None  # the config was checked
    table = neighbours(vectors, vocabulary, words=words, similarity=options.similarity)
    replaceable = int((table[:, 0] != np.arange(len(table))).sum())
    logger.info("%d of the %d words have neighbours that may replace them", replaceable, words)
    return Augmentation(options, table)


def _replace(texts: TokenIds, share: float, rng: np.random.Generator, neighbours: Neighbours | None) -> TokenIds:
    assert neighbours is not None
    drawn = rng.integers(neighbours.shape[1], size=len(texts.flat))
    neighbour = neighbours[texts.flat, drawn].astype(texts.flat.dtype)
    return _with_ids(texts, np.where(rng.random(len(texts.flat)) < share, neighbour, texts.flat))


def _drop(texts: TokenIds, share: float, rng: np.random.Generator, _neighbours: object) -> TokenIds:
    dropped = rng.random(len(texts.flat)) < share
    return _with_ids(texts, np.where(dropped, np.array(UNKNOWN, texts.flat.dtype), texts.flat))


def _swap(texts: TokenIds, share: float, rng: np.random.Generator, _neighbours: object) -> TokenIds:
    """Pair the tokens of each text at random, and swap the two tokens of this share of the pairs."""
    row = np.repeat(np.arange(len(texts)), texts.lengths)  # (tokens,)
    position = concatenated_ranges(np.zeros_like(texts.lengths), texts.lengths)  # (tokens,)
    length = np.repeat(texts.lengths, texts.lengths)  # (tokens,)
    shuffled = np.argsort(row + rng.random(len(row)))  # (tokens,): indices, shuffled within each text
    swapped = rng.random(len(row)) < share
    first = np.flatnonzero((position % 2 == 0) & (position + 1 < length) & swapped)  # (swapped pairs,)
    one, other = shuffled[first], shuffled[first + 1]
    flat = texts.flat.copy()
    flat[one], flat[other] = flat[other], flat[one]
    return _with_ids(texts, flat)


def _delete(texts: TokenIds, share: float, rng: np.random.Generator, _neighbours: object) -> TokenIds:
    drawn = rng.random(len(texts.flat))
    greatest = np.repeat(np.maximum.reduceat(drawn, texts.starts), texts.lengths)
    kept = (drawn >= share) | (drawn == greatest)  # of each text at least one token
    return TokenIds(texts.flat[kept], np.add.reduceat(kept, texts.starts, dtype=np.int64), texts.token_counts)


CHANGES: dict[str, Callable[[TokenIds, float, np.random.Generator, Neighbours | None], TokenIds]] = {
    "synonyms": _replace,
    "word_dropout": _drop,
    "swap": _swap,
    "deletion": _delete,
}
"""In the order in which they are made, by the option that holds the share of tokens. After Wei and Zou 2019 (EDA), who
change a fixed number of words of a text, whereas here each token is changed with a probability."""


def _with_ids(texts: TokenIds, flat: npt.NDArray[Any]) -> TokenIds:
    return TokenIds(flat, texts.lengths, texts.token_counts)
