"""The token ids that a model reads of a text: its words and, behind them, the pieces of a pretrained encoder."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from textclf.text.encoding import RESERVED, UNKNOWN, TokenIds, WordEncoder, concatenated_ranges
from textclf.text.piece_tokenizer import PieceTokenizer
from textclf.text.tokenizer import TextOptions, TruncatedEnd, clean_text


class PieceEncoder:
    """The tokenizer of a pretrained encoder and text options, to encode texts as ids of pieces.

    Args:
        max_length: most pieces of a text, the special ones at its ends included.
        truncate: the end of a longer text that is cut off.
    """

    def __init__(self, tokenizer: PieceTokenizer, options: TextOptions, *, max_length: int, truncate: TruncatedEnd):
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.truncate = truncate
        self.options = options

    @property
    def size(self) -> int:
        """Number of pieces."""
        return self.tokenizer.size

    def encode(self, texts: Iterable[str]) -> TokenIds:
        """Return the ids of each text's pieces, the first piece of the tokenizer as RESERVED."""
        cleaned = [clean_text(text, self.options) for text in texts]
        token_ids = self.tokenizer.encode(cleaned, max_length=self.max_length, truncate=self.truncate)
        return replace(token_ids, flat=token_ids.flat + RESERVED)

    def mark_unknown(self, token_ids: TokenIds) -> TokenIds:
        """Return ids of pieces with UNKNOWN for the piece that stands for unknown characters, to count these."""
        if self.tokenizer.unknown is None:
            return token_ids
        unknown = token_ids.flat == self.tokenizer.unknown + RESERVED
        return replace(token_ids, flat=np.where(unknown, np.array(UNKNOWN, token_ids.flat.dtype), token_ids.flat))


class ModelInput:
    """The words and pieces that a model reads, to encode texts as its token ids.

    The ids of the words come first, then those of the pieces, which are numbered on from the vocabulary.

    Args:
        word_encoder: None: the model reads no words.
        piece_encoder: None: the model has no pretrained encoder.
    """

    def __init__(self, word_encoder: WordEncoder | None, piece_encoder: PieceEncoder | None):
        assert word_encoder or piece_encoder
        self.word_encoder = word_encoder
        self.piece_encoder = piece_encoder

    @property
    def vocabulary(self) -> list[str]:
        """The words; none if the model reads none."""
        return self.word_encoder.vocabulary if self.word_encoder else []

    @property
    def options(self) -> TextOptions:
        """The options by which texts are cleaned and cut into words."""
        encoder = self.word_encoder or self.piece_encoder
        assert encoder
        return encoder.options

    @property
    def size(self) -> int:
        """Number of token ids, padding and unknown included."""
        return self.first_piece + (self.piece_encoder.size if self.piece_encoder else 0)

    @property
    def first_piece(self) -> int:
        """The token id of the first piece, behind those of the words."""
        return RESERVED + len(self.vocabulary)

    def encode(self, texts: Sequence[str]) -> TokenIds:
        """Return the token ids of each text; with pieces, `token_counts` are theirs."""
        if self.piece_encoder is None:
            assert self.word_encoder
            return self.word_encoder.encode(texts)
        pieces = self.piece_encoder.encode(texts)
        if self.word_encoder is None:
            return pieces
        return join_pieces(self.word_encoder.encode(texts), pieces, first=self.first_piece)


def join_pieces(words: TokenIds, pieces: TokenIds, *, first: int) -> TokenIds:
    """Return the words of each text, and behind them its pieces.

    Args:
        pieces: numbered from RESERVED on.
        first: the token id of the first piece.
    """
    lengths = words.lengths + pieces.lengths  # (n,)
    starts = np.cumsum(lengths) - lengths  # (n,)
    flat = np.empty(int(lengths.sum()), np.int32)
    flat[concatenated_ranges(starts, words.lengths)] = words.flat
    flat[concatenated_ranges(starts + words.lengths, pieces.lengths)] = pieces.flat.astype(np.int32) + (
        first - RESERVED
    )
    return TokenIds(flat, lengths, pieces.token_counts)
