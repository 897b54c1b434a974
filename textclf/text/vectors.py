"""Word vectors from text files: GloVe, word2vec and fastText's .vec."""

import codecs
import contextlib
import gzip
import io
import logging
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.sanitize import join_names
from textclf.io.streams import byte_lines, check_content
from textclf.text.encoding import PADDING, RESERVED, UNKNOWN

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WordVectors:
    """An initial embedding table, from pretrained word vectors."""

    table: npt.NDArray[np.float32]
    """Shape (token ids, dimensions); rows of words that the file lacks are random."""
    known: npt.NDArray[np.bool_]
    """True for rows of words that the file has, shape (token ids,)."""

    @property
    def known_count(self) -> int:
        """Number of words of the vocabulary that the file has."""
        return int(self.known.sum())


def read_vectors(path: Path, vocabulary: Sequence[str], *, dimensions: int, seed: int) -> WordVectors:
    """Read the vectors of a vocabulary's words from a file; log how many lines are skipped.

    Words that the file lacks get random vectors of the same standard deviation; UNKNOWN, which stands for many words,
    gets the mean of all vectors.

    Raises:
        UserError: the file is missing, damaged, or its vectors have another number of dimensions.
    """
    token_ids = {word.encode(): token_id for token_id, word in enumerate(vocabulary, start=RESERVED)}
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    skipped = _SkippedLines()
    with _open(path) as file:
        for line_number, word, components in _entries(file, path, skipped):
            token_id = token_ids.get(word)
            if token_id is None:
                continue
            numbers = components.split()
            if token_id in vectors:
                skipped.add("that repeat a word", line_number)
            elif len(numbers) == dimensions:
                vectors[token_id] = _vector(numbers, f"{path}:{line_number}")
            elif not vectors and skipped.count(_OTHER_LENGTH) == MAX_LENGTH_ERRORS:
                break
            else:
                skipped.add(_OTHER_LENGTH, line_number, f"a vector of {len(numbers)} numbers")
    if not vectors:
        raise UserError(skipped.length_error(path, dimensions) or _no_words_message(path, vocabulary))
    skipped.log(path)
    known_vectors = np.stack(list(vectors.values()))  # (known words, dimensions)
    rng = np.random.default_rng(seed)
    table = rng.normal(0, known_vectors.std(), (len(vocabulary) + RESERVED, dimensions))  # (token ids, dimensions)
    table[PADDING], table[UNKNOWN] = 0, known_vectors.mean(axis=0)
    table[list(vectors)] = known_vectors
    known = np.zeros(len(table), np.bool_)
    known[list(vectors)] = True
    return WordVectors(table.astype(np.float32), known)


MAX_LENGTH_ERRORS = 20  # lines of another length before any of the right one: then the whole file has that length

_OTHER_LENGTH = "with more or fewer numbers"


class _SkippedLines:
    """The number of skipped lines and the first of them, by reason."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}  # [number of lines, number of the first]
        self._first_length = ""  # the vector in the first line of another length, in words

    def add(self, reason: str, line_number: int, vector: str = "") -> None:
        self._lines.setdefault(reason, [0, line_number])[0] += 1
        self._first_length = self._first_length or vector

    def count(self, reason: str) -> int:
        return self._lines.get(reason, [0])[0]

    def length_error(self, path: Path, dimensions: int) -> str | None:
        """Return the message for a file of another number of dimensions; None if no line has another."""
        if _OTHER_LENGTH not in self._lines:
            return None
        where = f"{path}:{self._lines[_OTHER_LENGTH][1]}"
        return f"{where}: {self._first_length}, but model.embedding_dim is {dimensions}. Make them the same."

    def log(self, path: Path) -> None:
        """Log how many lines are skipped, by reason."""
        for reason, (count, first) in self._lines.items():
            logger.info("%s: skipped lines %s: %d, the first is line %d", path, reason, count, first)


def _no_words_message(path: Path, vocabulary: Sequence[str]) -> str:
    """Return the message that the file has no word of the vocabulary, with its first words."""
    words = list(islice(vector_words(path), 1000))
    advice = "Is it in another language?"
    if {word.lower() for word in words} & {*vocabulary}:
        advice = "Set text.lowercase: false."
    first = f"; its first words: {join_names(words[:3])}" if words else ""
    return f"{path} has none of the {len(vocabulary)} words of the vocabulary{first}. {advice}"


NEIGHBOURS = 10  # most per word

FREQUENT = 100  # words without neighbours: most are function words, and words near them mean something else

COSINES = 1 << 23  # computed at once, about 30 MB


def neighbours(
    vectors: WordVectors, vocabulary: Sequence[str], *, words: int, similarity: float
) -> npt.NDArray[np.int32]:
    """Return the nearest words, by cosine similarity, of each of the first words of the vocabulary.

    Frequent words, tokens with a digit and tokens without a letter neither have neighbours nor are neighbours.

    Args:
        vocabulary: most frequent first, as the table has it.
        words: number of words whose neighbours are returned.
        similarity: smallest cosine of a neighbour.

    Returns:
        Token ids, shape (RESERVED + words, NEIGHBOURS): the nearest first, repeated where there are fewer; where there
        are none, the id of the word itself.
    """
    usable = vectors.known.copy()  # (token ids,)
    usable[:RESERVED] = False
    usable[RESERVED:] &= [rank >= FREQUENT and _is_spelt(word) for rank, word in enumerate(vocabulary)]
    token_ids = np.flatnonzero(usable)  # (usable,)
    table = vectors.table[token_ids]  # (usable, dimensions)
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    result = np.repeat(np.arange(RESERVED + words, dtype=np.int32)[:, None], NEIGHBOURS, axis=1)
    queries, batch_size = int(usable[: len(result)].sum()), max(1, COSINES // max(1, len(token_ids)))
    for start in range(0, queries, batch_size):
        batch = np.arange(start, min(queries, start + batch_size))
        cosines = table[batch] @ table.T  # (batch, usable)
        cosines[batch - start, batch] = 0  # not its own neighbour
        rows, nearest = _nearest(cosines, similarity)
        result[token_ids[batch[rows]]] = token_ids[nearest]
    return result


def _is_spelt(word: str) -> bool:
    return any(map(str.isalpha, word)) and not any(map(str.isdigit, word))


def _nearest(
    cosines: npt.NDArray[np.float32], similarity: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows that have a cosine of at least `similarity`, and the columns of the largest cosines.

    Returns:
        Row indices, shape (rows,), and column indices, shape (rows, NEIGHBOURS): the largest cosine first, repeated
        where there are fewer.
    """
    row, column = np.divmod(np.flatnonzero(cosines >= similarity), cosines.shape[1])  # faster than np.nonzero
    column = column[np.lexsort((-cosines[row, column], row))]  # by row, the largest cosine first
    counts = np.bincount(row, minlength=len(cosines))
    rows, starts = np.flatnonzero(counts), np.cumsum(counts) - counts
    rank = np.arange(NEIGHBOURS) % np.minimum(counts[rows], NEIGHBOURS)[:, None]  # (rows, NEIGHBOURS)
    return rows, column[starts[rows][:, None] + rank]


def vector_words(path: Path, *, dimensions: int | None = None) -> Iterator[str]:
    """Yield the words of a file in its order, which in most files is by frequency.

    Args:
        dimensions: leave out words whose vectors have more or fewer; None: yield all words.

    Raises:
        UserError: the file is missing or damaged.
    """
    with _open(path) as file:
        for _, word, components in _entries(file, path, _SkippedLines()):
            # counting blanks takes a fifth of the time
            if dimensions in (None, components.count(b" ") + 1) or len(components.split()) == dimensions:
                yield word.decode("utf-8", errors="replace")


def count_known(path: Path, words: Collection[str], *, lines: int) -> tuple[int, int]:
    """Return the dimensions of the vectors in a file, and how many of the words are in its first lines.

    Raises:
        UserError: the file is missing or damaged, or holds no vector.
    """
    wanted, known, dimensions = {word.encode() for word in words}, set(), 0
    with _open(path) as file:
        for _, word, components in islice(_entries(file, path, _SkippedLines()), lines):
            dimensions = dimensions or len(components.split())
            if word in wanted:
                known.add(word)
    if not dimensions:
        raise UserError(f"{path} holds no word vectors.")
    return dimensions, len(known)


def _entries(file: BinaryIO, path: Path, skipped: _SkippedLines) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield line number, word and components of each line, without the header of word2vec and fastText.

    A word that holds blanks is skipped, since no token of a text does.

    Raises:
        UserError: a line is too long, or the file is binary.
    """
    lines = byte_lines(file, str(path))
    head = list(islice(lines, 2))
    header_lines = _check_head(head, path)
    for line_number, line in enumerate(chain(head[header_lines:], lines), start=header_lines + 1):
        word, _, components = line.rstrip().partition(b" ")
        if not components or b"\t" in word:
            word, components = _split_line(line.strip())
        if components and components[0] not in _NUMBER_STARTS and not _NUMBER_WITHOUT_ZERO.match(components):
            skipped.add("whose word holds a blank", line_number)
        else:
            yield line_number, word, components


_NUMBER_STARTS = frozenset(b"0123456789+-")

_NUMBER_WITHOUT_ZERO = re.compile(rb"\.\d")


def _check_head(head: list[bytes], path: Path) -> int:
    """Remove the byte order mark from the first two lines of a file; return how many of them are a header: 0 or 1.

    Raises:
        UserError: the file is binary.
    """
    if not head:
        return 0
    head[0] = head[0].removeprefix(codecs.BOM_UTF8)
    fields = head[0].split()
    has_header = len(fields) == 2 and all(map(bytes.isdigit, fields))
    if b"\0" in b"".join(head) or (has_header and not all(map(_is_utf8, head))):
        raise UserError(
            f"{path} is binary. Save the vectors as text, such as gensim's "
            "KeyedVectors.load_word2vec_format(NAME, binary=True).save_word2vec_format(NEW_NAME)."
        )
    return int(has_header)


def _split_line(line: bytes) -> tuple[bytes, bytes]:
    """Return word and components of a line that is separated by tabs, commas or semicolons."""
    delimiter = next((mark for mark in (b"\t", b";", b",") if mark in line), b" ")
    word, _, components = line.partition(delimiter)
    return word, components.replace(delimiter, b" ")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _vector(numbers: list[bytes], where: str) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused below
            vector = np.array(numbers, np.float32)
    except ValueError as error:
        if not any(b"," in number for number in numbers) or any(b"." in number for number in numbers):
            raise UserError(f"{where}: not a number: {error}.") from None
        return _vector([number.replace(b",", b".") for number in numbers], where)  # decimal commas
    if not np.isfinite(vector).all():
        raise UserError(f"{where}: a number that is not finite.")
    return vector


@contextlib.contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a file, or the only member of a .zip file, as bytes."""
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix.lower() == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(path))
                yield cast(BinaryIO, stack.enter_context(archive.open(_only_member(archive, path))))
            else:
                open_file = gzip.open if path.suffix.lower() == ".gz" else open
                file = cast(io.BufferedReader, stack.enter_context(open_file(path, "rb")))
                check_content(file.peek(1), str(path))
                yield file
    except READ_ERRORS as error:
        raise UserError(f"{path} cannot be read: {str(error).rstrip('.')}. Set model.pretrained.") from None


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    if len(members) != 1:
        names = join_names([member.filename for member in members]) or "none"
        raise UserError(f"{path} should hold one file, found {len(members)}: {names}. Unpack the one you mean.")
    if members[0].flag_bits & ENCRYPTED:
        raise UserError(f"{path} asks for a password. Unpack it.")
    return members[0]


# zipfile raises NotImplementedError for a compression that it lacks, UnicodeDecodeError for the name of a member
READ_ERRORS = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError
)  # fmt: skip

ENCRYPTED = 1  # the bit of a zip member's flags
