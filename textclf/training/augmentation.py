"""Training rows changed a little, anew each time that they come, so that the network learns none of them by heart."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.schema import AugmentOptions
from textclf.text.encoding import UNKNOWN, TokenIds, concatenated_ranges
from textclf.text.vectors import WordVectors, neighbours

logger = logging.getLogger(__name__)

Whole = npt.NDArray[np.int64]

States = npt.NDArray[np.uint64]

Neighbours = npt.NDArray[np.int32]

Draw = Callable[[int], npt.NDArray[np.float64]]
"""Gives a number from 0 below 1 for each token, shape (sum of lengths,); for another argument, other numbers."""


@dataclass(frozen=True)
class Augmentation:
    """What training does with its rows: as they stand, unless the options say otherwise."""

    options: AugmentOptions
    neighbours: Neighbours | None = None
    """Token ids of which one may take the place of each id, shape (ids, neighbours); where `synonyms` asks for them."""

    def changed(self, texts: TokenIds, numbers: Whole, *, seed: int, epoch: int) -> TokenIds:
        """The texts changed, in the same order; none becomes empty.

        What becomes of a text depends on seed, epoch and its number, not on the texts around it.
        """
        of_text = _output(_output(_output(np.zeros(1, np.uint64), seed), epoch), numbers)
        for place, (name, change) in enumerate(CHANGES.items()):
            if share := getattr(self.options, name):
                texts = change(texts, share, _draw(_output(of_text, place), texts), self.neighbours)
        return texts


def augmentation(
    options: AugmentOptions, vectors: WordVectors | None, vocabulary: Sequence[str], *, words: int
) -> Augmentation:
    """What the options ask for, the neighbours of the first words of the vocabulary looked up if it takes them."""
    if not options.synonyms:
        return Augmentation(options)
    assert vectors is not None  # `config` refuses it
    found = neighbours(vectors, vocabulary, words=words, similarity=options.similarity)
    having = int((found[:, 0] != np.arange(len(found))).sum())
    logger.info("%d of the %d words have neighbours that may replace them", having, words)
    return Augmentation(options, found)


def _replace(texts: TokenIds, share: float, draw: Draw, neighbours: Neighbours | None) -> TokenIds:
    assert neighbours is not None
    other = neighbours[texts.flat, (draw(1) * neighbours.shape[1]).astype(np.int64)]
    return _with_ids(texts, np.where(draw(0) < share, other, texts.flat))


def _drop(texts: TokenIds, share: float, draw: Draw, _neighbours: object) -> TokenIds:
    return _with_ids(texts, np.where(draw(0) < share, UNKNOWN, texts.flat))


def _swap(texts: TokenIds, share: float, draw: Draw, _neighbours: object) -> TokenIds:
    """The tokens of each text in random pairs, of which this share change places."""
    row, place, length = (
        np.repeat(np.arange(len(texts)), texts.lengths),
        _places(texts),
        np.repeat(texts.lengths, texts.lengths),
    )
    shuffled = np.lexsort((draw(0), row))  # a text's tokens stay where its tokens are
    first = np.flatnonzero((place % 2 == 0) & (place + 1 < length) & (draw(1) < share))
    one, other = shuffled[first], shuffled[first + 1]
    flat = texts.flat.copy()
    flat[one], flat[other] = flat[other], flat[one]
    return _with_ids(texts, flat)


def _delete(texts: TokenIds, share: float, draw: Draw, _neighbours: object) -> TokenIds:
    drawn = draw(0)
    last = np.repeat(np.maximum.reduceat(drawn, texts.starts), texts.lengths)  # to go: what stays of a text at least
    stays = (drawn >= share) | (drawn == last)
    return TokenIds(texts.flat[stays], np.add.reduceat(stays, texts.starts, dtype=np.int64), texts.token_counts)


CHANGES: dict[str, Callable[[TokenIds, float, Draw, Neighbours | None], TokenIds]] = {
    "synonyms": _replace,
    "word_dropout": _drop,
    "swap": _swap,
    "deletion": _delete,
}
"""By the option that gives its share, in the order in which they are made. After Wei and Zou 2019 (EDA), who change a
set number of words of a text, where here each word is drawn for itself."""


def _with_ids(texts: TokenIds, flat: npt.NDArray[Any]) -> TokenIds:
    return TokenIds(flat, texts.lengths, texts.token_counts)


def _places(texts: TokenIds) -> Whole:
    """The place of each token in its text, counted from 0."""
    return concatenated_ranges(np.zeros_like(texts.lengths), texts.lengths)


# Random numbers without a generator for each text: SplitMix64 (Steele, Lea and Flood 2014), whose n-th output is a
# function of its state and n. An output is the state of the next, so that seed, epoch, text, change and token each have
# their say.


def _draw(states: States, texts: TokenIds) -> Draw:
    """The numbers that belong to the tokens of texts with these states, shape (n,)."""
    places = _places(texts)

    def draw(which: int) -> npt.NDArray[np.float64]:
        outputs = _output(np.repeat(_output(states, which), texts.lengths), places)
        return (outputs >> np.uint64(11)) * np.float64(2**-53)  # as many bits as a float64 holds

    return draw


def _output(states: States, n: int | Whole) -> States:
    """Output n, counted from 0, of a SplitMix64 with each state."""
    z = states + (np.atleast_1d(n).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
