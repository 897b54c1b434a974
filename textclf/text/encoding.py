"""Texts to token ids: the one way that train, evaluate, predict and every export share."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.io.contract import TruncationDocument
from textclf.text.tokenizer import END, TOKENIZERS, TextOptions

PADDING = 0  # the network's mask drops it

UNKNOWN = 1  # a word outside the vocabulary; also stands for a text without any word

RESERVED = 2


@dataclass(frozen=True)
class Tokens:
    """The numbers of all tokens of n texts, one text after the other."""

    flat: npt.NDArray[Any]
    """Shape (sum of counts,)."""
    counts: npt.NDArray[np.int64]
    """Tokens of each text, shape (n,)."""

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each text's tokens begin in `flat`, shape (n,)."""
        return np.cumsum(self.counts) - self.counts

    def take(self, rows: npt.NDArray[np.int64]) -> "Tokens":
        """Those of the texts with these numbers, in this order."""
        return Tokens(self.flat[ranges(self.starts[rows], self.counts[rows])], self.counts[rows])


@dataclass(frozen=True)
class TokenIds:
    """Token ids of n texts, one after the other; every text has at least one."""

    flat: npt.NDArray[Any]
    """All ids in the order of the texts, whole numbers, shape (sum of lengths,)."""
    lengths: npt.NDArray[np.int64]
    """Ids kept of each text, shape (n,)."""
    tokens: npt.NDArray[np.int64]
    """Tokens that each text had before it was cut, shape (n,); 0 for a text without any."""

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property  # every batch asks for them
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each text's ids begin in `flat`, shape (n,)."""
        return np.cumsum(self.lengths) - self.lengths

    def first(self, count: int) -> "TokenIds":
        """The first texts, at most so many."""
        lengths = self.lengths[:count]
        return TokenIds(self.flat[: int(lengths.sum())], lengths, self.tokens[:count])

    def take(self, rows: npt.NDArray[np.int64]) -> "TokenIds":
        """Those of the texts with these numbers, in this order."""
        flat = self.flat[ranges(self.starts[rows], self.lengths[rows])]
        return TokenIds(flat, self.lengths[rows], self.tokens[rows])

    def within(self, vocabulary: int) -> "TokenIds":
        """The same, with the ids from `vocabulary` on unknown."""
        flat = np.where(self.flat < vocabulary, self.flat, np.array(UNKNOWN, self.flat.dtype))
        return TokenIds(flat, self.lengths, self.tokens)

    def row(self, index: int) -> npt.NDArray[Any]:
        """The ids of one text, shape (length,)."""
        start = int(self.starts[index])
        return self.flat[start : start + int(self.lengths[index])]

    def unknown_shares(self) -> npt.NDArray[np.float64]:
        """Share of each text's ids that stand for words outside the vocabulary, shape (n,); 0 without a word."""
        unknown = np.add.reduceat(self.flat == UNKNOWN, self.starts, dtype=np.int64) / self.lengths
        return np.where(self.tokens > 0, unknown, 0.0)


def joined(parts: Iterable[TokenIds]) -> TokenIds:
    """The texts of all parts, one part after the other."""
    flat, lengths, tokens = zip(*((part.flat, part.lengths, part.tokens) for part in parts), strict=True)
    return TokenIds(np.concatenate(flat), np.concatenate(lengths), np.concatenate(tokens))


class Truncation(NamedTuple):
    """What became of texts when they were cut, to be added up over chunks of them."""

    rows: int = 0
    rows_cut: int = 0
    tokens: int = 0
    tokens_kept: int = 0
    tokens_unknown: int = 0
    """Those kept that the vocabulary lacks."""

    def plus(self, token_ids: TokenIds) -> "Truncation":
        """This and what became of further texts."""
        empty = int((token_ids.tokens == 0).sum())  # each holds one UNKNOWN that stands for no token
        return Truncation(
            self.rows + len(token_ids),
            self.rows_cut + int((token_ids.tokens > token_ids.lengths).sum()),
            self.tokens + int(token_ids.tokens.sum()),
            self.tokens_kept + len(token_ids.flat) - empty,
            self.tokens_unknown + int((token_ids.flat == UNKNOWN).sum()) - empty,
        )

    def truncation(self) -> TruncationDocument:
        """Rows that were cut, and what was lost: of all rows, and of all their tokens, 0 to 1."""
        return {
            "rows": self.rows_cut,
            "share_of_rows": self.rows_cut / max(1, self.rows),
            "share_of_tokens": (self.tokens - self.tokens_kept) / max(1, self.tokens),
        }

    def unknown_share(self) -> float:
        """Share of the tokens kept that the vocabulary lacks, 0 to 1."""
        return self.tokens_unknown / max(1, self.tokens_kept)


def pad(flat: npt.NDArray[Any], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Ids of the given texts, shape (texts, longest), padded at the end as cuDNN asks."""
    position = np.arange(lengths.max(initial=1))
    inside = position < lengths[:, None]
    padded = np.full(inside.shape, PADDING, np.int32)
    padded[inside] = flat[(starts[:, None] + position)[inside]]
    return padded


class Numbering(dict[str, int]):
    """The number of each text, in the order in which they first came; one that is new gets the next."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0

    def __missing__(self, text: str) -> int:
        number = self[text] = self.given
        self.given += 1
        return number


class Splitter:
    """Texts to the numbers of their tokens.

    Texts are cut at blanks, which is quick, and the pieces looked up; only a piece that is new is split by patterns.
    Of short texts that takes less than half the time, since few pieces are new. Not for use by several threads at once.
    """

    def __init__(self, number: Callable[[str], int], options: TextOptions):
        self._number = number
        self._tokenizer = TOKENIZERS[options.tokenizer]
        self._options = options
        self.forget()

    def forget(self) -> None:
        """Drops what was looked up, because it grew large or because the numbers have changed."""
        self._places = Numbering()
        self._places[END]  # place 0, of no token
        self._flat, self._counts = array("i"), array("i", [0])

    def split(self, texts: Iterable[str]) -> Tokens:
        """The numbers of all tokens of the texts."""
        blocks = [Tokens(np.zeros(0, np.int32), np.zeros(0, np.int64)), *map(self._split, _blocks(texts))]
        return Tokens(np.concatenate([b.flat for b in blocks]), np.concatenate([b.counts for b in blocks]))

    def _split(self, texts: list[str]) -> Tokens:
        if len(self._places) > PIECES:
            self.forget()
        pieces = self._tokenizer.pieces(texts, self._options)
        places = np.fromiter(map(self._places.__getitem__, pieces), np.int32, len(pieces))
        self._learn(list(islice(self._places, len(self._counts), None)))
        counts = np.array(self._counts, np.int64)
        starts = np.cumsum(counts) - counts
        flat = np.array(self._flat, np.int32)[ranges(starts[places], counts[places])]
        ends = np.cumsum(counts[places])[places == 0]
        return Tokens(flat, np.diff(ends, prepend=0))

    def _learn(self, pieces: list[str]) -> None:
        """Splits pieces that are new."""
        before = len(self._flat)
        for token in self._tokenizer.tokens(pieces, self._options):
            if token == END:
                self._counts.append(len(self._flat) - before)
                before = len(self._flat)
            else:
                self._flat.append(self._number(token))


PIECES = 1 << 18  # looked up at most, some 40 megabytes

BLOCK = 1 << 20  # characters split together


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists of about BLOCK characters."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def ranges(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The whole numbers from each start on, as many as its count says, one range after the other."""
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)


def cut(tokens: Tokens, options: TextOptions) -> TokenIds:
    """What is kept of texts whose tokens are ids: `max_length` of each; UNKNOWN of a text without any."""
    flat, kept = tokens.flat, np.minimum(tokens.counts, options.max_length)
    if (kept < tokens.counts).any():
        starts = tokens.starts + (tokens.counts - kept if options.truncate == "start" else 0)
        flat = flat[ranges(starts, kept)]
    empty = np.flatnonzero(kept == 0)
    flat = np.insert(flat, (np.cumsum(kept) - kept)[empty], UNKNOWN)  # cuDNN needs a token in every row
    return TokenIds(flat, np.maximum(kept, 1), tokens.counts)


class Encoder:
    """Turns texts into token ids by one vocabulary and one set of options."""

    def __init__(self, vocabulary: Sequence[str], options: TextOptions):
        self.vocabulary = list(vocabulary)
        self.options = options
        ids = {token: index for index, token in enumerate(self.vocabulary, start=RESERVED)}
        self._splitter = Splitter(lambda token: ids.get(token, UNKNOWN), options)

    def encode(self, texts: Iterable[str]) -> TokenIds:
        """Token ids of the texts, cut to `max_length`."""
        return cut(self._splitter.split(texts), self.options)
