"""Encoding: texts to token ids, the same for training, evaluation, prediction and exports."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.io.contract import TruncationDocument
from textclf.io.files import array_on_disk
from textclf.text.pieces import Pieces
from textclf.text.tokenizer import END, TOKENIZERS, TextOptions, TruncatedEnd

PADDING = 0  # the network's mask drops it

UNKNOWN = 1  # a token outside the vocabulary; also stands for a text without any token

RESERVED = 2  # ids before the first of the vocabulary


@dataclass(frozen=True)
class Tokens:
    """The tokens of n texts as integers, one text after the other; a text may have none."""

    flat: npt.NDArray[Any]
    """Shape (sum of counts,)."""
    counts: npt.NDArray[np.int64]
    """Tokens of each text, shape (n,)."""

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Index in `flat` of the first token of each text, shape (n,)."""
        return np.cumsum(self.counts) - self.counts

    def take(self, row_ids: npt.NDArray[np.int64]) -> "Tokens":
        """Return the tokens of the texts with these indices, in this order."""
        return Tokens(self.flat[concatenated_ranges(self.starts[row_ids], self.counts[row_ids])], self.counts[row_ids])


@dataclass(frozen=True)
class TokenIds:
    """Truncated token ids of n texts, one text after the other; each text has at least one."""

    flat: npt.NDArray[Any]
    """Integers of any dtype, shape (sum of lengths,)."""
    lengths: npt.NDArray[np.int64]
    """Token ids of each text after truncation, shape (n,)."""
    token_counts: npt.NDArray[np.int64]
    """Tokens of each text before truncation, shape (n,); 0 for a text without any."""

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property  # every batch needs them
    def starts(self) -> npt.NDArray[np.int64]:
        """Index in `flat` of the first id of each text, shape (n,)."""
        return np.cumsum(self.lengths) - self.lengths

    def head(self, count: int) -> "TokenIds":
        """Return the first `count` texts, or all if there are fewer."""
        lengths = self.lengths[:count]
        return TokenIds(self.flat[: int(lengths.sum())], lengths, self.token_counts[:count])

    def take(self, row_ids: npt.NDArray[np.int64]) -> "TokenIds":
        """Return the token ids of the texts with these indices, in this order."""
        flat = self.flat[concatenated_ranges(self.starts[row_ids], self.lengths[row_ids])]
        return TokenIds(flat, self.lengths[row_ids], self.token_counts[row_ids])

    def limit_vocabulary(self, size: int) -> "TokenIds":
        """Replace ids of `size` and above by UNKNOWN."""
        flat = np.where(self.flat < size, self.flat, np.array(UNKNOWN, self.flat.dtype))
        return TokenIds(flat, self.lengths, self.token_counts)

    def words(self, first_piece: int) -> "TokenIds":
        """Return the ids below that of the first piece; each text has at least one."""
        is_word = self.flat < first_piece  # (ids,)
        return TokenIds(self.flat[is_word], np.add.reduceat(is_word, self.starts, dtype=np.int64), self.token_counts)

    def pieces(self, first: int) -> "TokenIds":
        """Return the ids from `first` on, those of pieces, as RESERVED and up; each text has at least one."""
        flat = self.flat[self.flat >= first] - (first - RESERVED)  # (pieces,)
        return TokenIds(flat, self.count_pieces(first), self.token_counts)

    def count_pieces(self, first: int) -> npt.NDArray[np.int64]:
        """Return how many ids of each text are `first` or above, shape (n,)."""
        return np.add.reduceat(self.flat >= first, self.starts, dtype=np.int64)

    def limit(
        self, *, vocabulary: int, max_length: int, truncate: TruncatedEnd, first_piece: int | None = None
    ) -> "TokenIds":
        """Return what a network reads: the pieces of an encoder, or the first ids and so many tokens of each text."""
        if first_piece is not None:
            return self.pieces(first_piece)
        known = self.limit_vocabulary(vocabulary)
        shorter = cut_texts(Tokens(known.flat, self.lengths), max_length=max_length, cut=truncate)
        return TokenIds(shorter.flat, shorter.lengths, self.token_counts)

    def row(self, index: int) -> npt.NDArray[Any]:
        """Return the ids of one text, shape (length,)."""
        start = int(self.starts[index])
        return self.flat[start : start + int(self.lengths[index])]

    def unknown_fractions(self) -> npt.NDArray[np.float64]:
        """Return the fraction of each text's ids that are UNKNOWN, shape (n,); 0 for a text without a token."""
        unknown = np.add.reduceat(self.flat == UNKNOWN, self.starts, dtype=np.int64) / self.lengths
        return np.where(self.token_counts > 0, unknown, 0.0)


def concatenate_tokens(blocks: Iterable[Tokens]) -> Tokens:
    """Return the texts of all blocks, one block after the other; there may be none."""
    every = [Tokens(np.zeros(0, np.int32), np.zeros(0, np.int64)), *blocks]
    return Tokens(np.concatenate([block.flat for block in every]), np.concatenate([block.counts for block in every]))


def concatenate(parts: Iterable[TokenIds]) -> TokenIds:
    """Return the texts of all parts, one part after the other."""
    flat, lengths, counts = zip(*((part.flat, part.lengths, part.token_counts) for part in parts), strict=True)
    return TokenIds(np.concatenate(flat), np.concatenate(lengths), np.concatenate(counts))


def token_ids_on_disk(chunks: Iterable[TokenIds], dtype: npt.DTypeLike, *, folder: Path | None) -> TokenIds:
    """Return the texts of all chunks in order, their ids in a temporary file; see `array_on_disk`."""
    lengths, token_counts = [], []

    def flat() -> Iterator[npt.NDArray[Any]]:
        for chunk in chunks:
            lengths.append(chunk.lengths)
            token_counts.append(chunk.token_counts)
            yield chunk.flat

    stored = array_on_disk(flat(), dtype, folder=folder)
    return TokenIds(stored, np.concatenate(lengths), np.concatenate(token_counts))


class Truncation(NamedTuple):
    """Counts of rows and tokens before and after truncation."""

    rows: int = 0
    rows_cut: int = 0
    tokens: int = 0
    tokens_kept: int = 0
    tokens_unknown: int = 0
    """Kept tokens that the vocabulary lacks."""

    def add(self, token_ids: TokenIds) -> "Truncation":
        """Return the counts with those of further texts added."""
        empty = int((token_ids.token_counts == 0).sum())  # each holds one UNKNOWN that stands for no token
        return Truncation(
            self.rows + len(token_ids),
            self.rows_cut + int((token_ids.token_counts > token_ids.lengths).sum()),
            self.tokens + int(token_ids.token_counts.sum()),
            self.tokens_kept + len(token_ids.flat) - empty,
            self.tokens_unknown + int((token_ids.flat == UNKNOWN).sum()) - empty,
        )

    def summary(self) -> TruncationDocument:
        """Return the number of cut rows, and the fractions of rows and tokens that were cut, 0 to 1."""
        return {
            "rows": self.rows_cut,
            "share_of_rows": self.rows_cut / max(1, self.rows),
            "share_of_tokens": (self.tokens - self.tokens_kept) / max(1, self.tokens),
        }

    def unknown_fraction(self) -> float:
        """Return the fraction of the kept tokens that the vocabulary lacks, 0 to 1."""
        return self.tokens_unknown / max(1, self.tokens_kept)


def pad(flat: npt.NDArray[Any], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return token ids as a matrix, padded at the end as cuDNN needs.

    Args:
        flat: token ids of texts, one text after the other.
        starts: index in `flat` of the first id of each text in the batch, shape (batch,).
        lengths: number of ids of each text in the batch, shape (batch,).

    Returns:
        Token ids, shape (batch, longest).
    """
    position = np.arange(lengths.max(initial=1))  # (longest,)
    is_token = position < lengths[:, None]  # (batch, longest)
    padded = np.full(is_token.shape, PADDING, np.int32)
    padded[is_token] = flat[(starts[:, None] + position)[is_token]]
    return padded


class CachedTokenizer:
    """A tokenizer that returns tokens as integers and caches the pieces of text that it has tokenized.

    Texts are split at blanks, which is fast, and the pieces looked up; only new pieces go through regular expressions.
    For short texts that takes less than half the time, since few pieces are new. Not thread-safe.
    """

    def __init__(self, token_id: Callable[[str], int], options: TextOptions):
        self._token_id = token_id
        self._tokenizer = TOKENIZERS[options.tokenizer]
        self._options = options
        self.clear()

    def clear(self) -> None:
        """Empty the cache, when it is full or when `token_id` returns other integers from now on."""
        self._pieces = Pieces()
        self._pieces.look_up([END])  # piece 0, without a token
        # by piece id: the number of tokens, and the tokens, one piece after the other
        self._counts, self._flat = array("i", [0]), array("i")

    def tokenize(self, texts: Iterable[str]) -> Tokens:
        """Return all tokens of the texts, as integers from `token_id`."""
        return concatenate_tokens(map(self._tokenize, text_blocks(texts)))

    def _tokenize(self, texts: list[str]) -> Tokens:
        joined = self._tokenizer.join(texts, self._options)
        if self._tokenizer.splits_at_blanks:
            piece_ids = self._pieces.split(joined)  # (pieces,)
        else:
            piece_ids = self._pieces.look_up(self._tokenizer.split(joined))
        self._add_pieces(list(islice(self._pieces.ids, len(self._counts), None)))
        counts = np.array(self._counts, np.int64)  # (known pieces,)
        starts = np.cumsum(counts) - counts  # (known pieces,)
        tokens = np.array(self._flat, np.int32)[concatenated_ranges(starts[piece_ids], counts[piece_ids])]
        text_ends = np.cumsum(counts[piece_ids])[piece_ids == 0]  # (texts,): each ends with piece 0
        if len(counts) > min(MAX_PIECES, max(FEW_PIECES, CACHED_FOR_EACH * len(piece_ids))):
            self.clear()
        return Tokens(tokens, np.diff(text_ends, prepend=0))

    def _add_pieces(self, pieces: list[str]) -> None:
        start = len(self._flat)
        for token in self._tokenizer.tokens(pieces, self._options):
            if token == END:
                self._counts.append(len(self._flat) - start)
                start = len(self._flat)
            else:
                self._flat.append(self._token_id(token))


MAX_PIECES = 1 << 18  # in the cache, about 40 MB

# A cache is made into arrays for each block, which for a short one would take longer than tokenizing it: a server that
# is sent one text at a time would become slower with each new word.
FEW_PIECES, CACHED_FOR_EACH = 1 << 13, 16

BLOCK = 1 << 20  # characters tokenized together


def text_blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in lists of about BLOCK characters."""
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


def concatenated_ranges(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return `np.concatenate([np.arange(start, start + count) ...])` of all starts and counts, without a loop."""
    ends = np.cumsum(counts)
    return np.repeat(starts - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)


def cut_texts(tokens: Tokens, *, max_length: int, cut: TruncatedEnd) -> TokenIds:
    """Keep `max_length` tokens of each text; a text without tokens gets one UNKNOWN.

    Args:
        tokens: tokens as ids of the vocabulary.
        cut: the end of a longer text that is cut off.
    """
    flat, kept = tokens.flat, np.minimum(tokens.counts, max_length)  # (all tokens,), (texts,)
    if (kept < tokens.counts).any():
        starts = tokens.starts + (tokens.counts - kept if cut == "start" else 0)  # (texts,)
        flat = flat[concatenated_ranges(starts, kept)]  # (kept tokens,)
    empty = np.flatnonzero(kept == 0)  # (texts without a token,)
    flat = np.insert(flat, (np.cumsum(kept) - kept)[empty], UNKNOWN)  # cuDNN needs a token in every row
    return TokenIds(flat, np.maximum(kept, 1), tokens.counts)


class WordEncoder:
    """A vocabulary and text options, to encode texts as token ids."""

    def __init__(self, vocabulary: Sequence[str], options: TextOptions):
        self.vocabulary = list(vocabulary)
        self.options = options
        ids = {token: token_id for token_id, token in enumerate(self.vocabulary, start=RESERVED)}
        self._tokenizer = CachedTokenizer(lambda token: ids.get(token, UNKNOWN), options)

    def encode(self, texts: Iterable[str]) -> TokenIds:
        """Return the token ids of each text, cut to `max_length`."""
        tokens = self._tokenizer.tokenize(texts)
        return cut_texts(tokens, max_length=self.options.max_length, cut=self.options.truncate)

    def first_words(self, count: int) -> "WordEncoder":
        """Return the encoder with the first `count` words of the vocabulary."""
        return WordEncoder(self.vocabulary[:count], replace(self.options, vocab_size=count + RESERVED))

    def limit(self, token_ids: TokenIds) -> TokenIds:
        """Return what is left of token ids that were made with more words or a greater `max_length`."""
        options = self.options
        return token_ids.limit(
            vocabulary=len(self.vocabulary) + RESERVED, max_length=options.max_length, truncate=options.truncate
        )
