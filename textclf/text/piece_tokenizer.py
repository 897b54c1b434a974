"""Pieces of words: the tokens of a pretrained encoder, by its tokenizer.json, with the special ones around a text."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from textclf.errors import UserError, says_out_of_memory
from textclf.io.sanitize import is_encodable
from textclf.io.streams import open_data
from textclf.text.encoding import TokenIds, Tokens, concatenate_tokens, concatenated_ranges, text_blocks
from textclf.text.tokenizer import TruncatedEnd
from textclf.text.tokenizer_json import COPY, MAX_BYTES, InvalidTokenizer, TokenizerDescription, describe_tokenizer


class PieceTokenizer:
    """A tokenizer that splits texts into the pieces of a pretrained encoder.

    Args:
        data: the content of a tokenizer.json.
        source: the file that messages name.

    Raises:
        UserError: it is damaged, or of a kind that textclf does not read.
    """

    def __init__(self, data: bytes, *, source: Path):
        self.data = data
        self._source = source
        try:
            self._description = describe_tokenizer(data)
        except InvalidTokenizer as problem:
            raise UserError(f"{source}{problem}") from None
        self._tokenizer = _build(self._description, source)
        self.size: int = self._description.size
        """Number of ids: the highest and one more."""
        self.unknown: int | None = self._description.unknown
        """Id of the piece that stands for what has no piece; None: there is none."""
        self.special_count = len(self._description.before) + len(self._description.after)

    def texts(self) -> list[str]:
        """Return the text of each piece by its id; empty where no piece has the id."""
        return [self._tokenizer.id_to_token(piece_id) or "" for piece_id in range(self.size)]

    def encode(self, texts: Sequence[str], *, max_length: int, truncate: TruncatedEnd) -> TokenIds:
        """Return the ids of each text's pieces, cut to `max_length`, with the special pieces before and after.

        Args:
            max_length: pieces of a text, special ones included; `special_count` at least.
            truncate: the end of a longer text that is cut off; the special pieces are kept.

        Returns:
            Ids as the tokenizer numbers them; special pieces are counted in `lengths` and `token_counts`.
        """
        # in blocks, since the library takes a hundred bytes for each piece
        tokens = concatenate_tokens(map(self._split, text_blocks(texts)))
        before, after = self._description.before, self._description.after
        kept = np.minimum(tokens.counts, max(0, max_length - self.special_count))  # (texts,)
        starts = tokens.starts + (tokens.counts - kept if truncate == "start" else 0)  # (texts,)
        lengths = kept + self.special_count  # (texts,)
        ends = np.cumsum(lengths)  # (texts,)
        flat = np.empty(int(lengths.sum()), np.int32)  # (kept pieces and special ones,)
        for index, piece_id in enumerate(before):
            flat[ends - lengths + index] = piece_id
        for index, piece_id in enumerate(after):
            flat[ends - len(after) + index] = piece_id
        flat[concatenated_ranges(ends - lengths + len(before), kept)] = tokens.flat[concatenated_ranges(starts, kept)]
        return TokenIds(flat, lengths, tokens.counts + self.special_count)

    def whole_words(self) -> list[str]:
        """Return the pieces that are whole words of lower-case letters, by their ids: common ones come first."""
        ids: dict[str, int] = self._tokenizer.get_vocab()
        marked = any(piece.startswith(BLANKS) for piece in ids)  # else the other pieces have a mark, such as ##
        words = {piece.lstrip("".join(BLANKS)): piece_id for piece, piece_id in ids.items() if _is_whole(piece, marked)}
        return sorted((word for word in words if word.isalpha() and word.islower()), key=words.__getitem__)

    def _split(self, texts: list[str]) -> Tokens:
        """Return the ids of all pieces of the texts, without special ones."""
        texts = [text if is_encodable(text) else re.sub("[\ud800-\udfff]", "\ufffd", text) for text in texts]
        with _library_errors(self._source):
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        counts = np.fromiter(map(len, encodings), np.int64, len(encodings))  # (texts,)
        ids = chain.from_iterable(encoding.ids for encoding in encodings)
        return Tokens(np.fromiter(ids, np.int32, int(counts.sum())), counts)


BLANKS = ("\u2581", "\u0120")  # stand for the blank before a word in the pieces of Unigram and of byte-level BPE


def _is_whole(piece: str, marked: bool) -> bool:
    """Return True if a piece begins a word."""
    return piece.startswith(BLANKS) if marked else not piece.startswith("##")


def read_tokenizer(path: Path, *, pieces: int) -> PieceTokenizer:
    """Read the tokenizer.json of an encoder whose table of pieces has this many rows.

    Raises:
        UserError: the file is missing, damaged, of another kind, or numbers pieces that the table lacks.
    """
    with open_data(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise UserError(f"{path} has {size} bytes, more than any tokenizer: at most {MAX_BYTES} are read. {COPY}")
        data = file.read(size)
    tokenizer = PieceTokenizer(data, source=path)
    if tokenizer.size > pieces:
        raise UserError(
            f"{path} is of another encoder: it has the ids 0 to {tokenizer.size - 1}, and the table of pieces has "
            f"{pieces} rows. {COPY}"
        )
    return tokenizer


# The library


def _build(description: TokenizerDescription, source: Path) -> Any:
    """Return the library's tokenizer for a checked description.

    Raises:
        UserError: the library is not installed, or does not read it.
    """
    library = _library()
    with _library_errors(source):
        tokenizer = library.Tokenizer.from_buffer(json.dumps(description.document, allow_nan=False).encode())
    for token in description.document["added_tokens"]:
        piece_id = tokenizer.token_to_id(token["content"])
        if token["id"] != piece_id:  # the library numbers some anew, and says so to nobody
            problem = f"added_tokens: {token['content']!r:.60} has the id {token['id']}, and should have {piece_id}"
            raise UserError(f"{source} is damaged: {problem}. {COPY}")
    return tokenizer


@cache
def _library() -> Any:
    """Return the package tokenizers, set up so that a fork of this process neither hangs nor prints a warning."""
    try:
        import tokenizers
    except ImportError:
        raise UserError("model.type encoder needs the package tokenizers: pip install 'tokenizers>=0.21.1'.") from None
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if hasattr(os, "register_at_fork"):
        # its threads are not in the fork, which would wait for them for ever
        os.register_at_fork(after_in_child=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"))
    return tokenizers


@contextmanager
def _library_errors(source: Path) -> Iterator[None]:
    """Turn what the library raises in the block into a UserError."""
    try:
        yield
    except BaseException as error:
        # it raises plain Exceptions, and where it panics one that cannot be imported and derives from BaseException
        if says_out_of_memory(error) or not (
            type(error) in (Exception, ValueError) or type(error).__name__ == "PanicException"
        ):
            raise
        reason = str(error).removeprefix("Cannot instantiate Tokenizer from buffer: ")
        reason = re.sub(r" at line \d+ column \d+$", "", reason)  # of the document written here, not of the file
        raise UserError(f"{source} is damaged: {reason:.200}. {COPY}") from None
