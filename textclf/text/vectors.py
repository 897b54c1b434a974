"""Word vectors from text files: GloVe, word2vec and fastText's .vec."""

import contextlib
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.sanitize import join_names
from textclf.io.streams import lines
from textclf.text.encoding import PADDING, RESERVED, UNKNOWN


@dataclass(frozen=True)
class WordVectors:
    """An embedding table to begin training with."""

    table: npt.NDArray[np.float32]
    """Shape (vocabulary, dimensions), the reserved ids first; words that the file lacks are drawn at random."""
    known: npt.NDArray[np.bool_]
    """Which of its rows are of words that the file has, shape (vocabulary,)."""

    @property
    def known_count(self) -> int:
        """Words of the vocabulary that the file has."""
        return int(self.known.sum())


def read_vectors(path: Path, vocabulary: Sequence[str], *, dimensions: int, seed: int) -> WordVectors:
    """The vectors of a vocabulary.

    A word that the file lacks gets numbers of the same spread; UNKNOWN, which stands for many words, their mean.

    Raises:
        UserError: the file is missing, damaged, or its vectors have another number of dimensions.
    """
    rows = {word.encode(): row for row, word in enumerate(vocabulary, start=RESERVED)}
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    with _opened(path) as file:
        for number, word, numbers in _entries(file, path):
            row = rows.get(word)
            if row is not None and row not in vectors:
                vectors[row] = _vector(numbers, f"{path}:{number}", dimensions)
    if not vectors:
        raise UserError(f"{path} has none of the {len(vocabulary)} words of the vocabulary. Is it in another language?")
    found = np.stack(list(vectors.values()))
    table = np.random.default_rng(seed).normal(0, found.std(), (len(vocabulary) + RESERVED, dimensions))
    table[PADDING], table[UNKNOWN] = 0, found.mean(axis=0)
    table[list(vectors)] = found
    known = np.zeros(len(table), np.bool_)
    known[list(vectors)] = True
    return WordVectors(table.astype(np.float32), known)


NEIGHBOURS = 10  # of a word, at most

FREQUENT = 100  # words that have none: of so frequent ones most are grammar, and their neighbours mean something else

COSINES = 1 << 23  # computed together, some 30 megabytes


def neighbours(
    vectors: WordVectors, vocabulary: Sequence[str], *, words: int, similarity: float
) -> npt.NDArray[np.int32]:
    """Token ids of the words nearest by cosine to each of the first words, shape (RESERVED + words, NEIGHBOURS).

    Where a word has fewer, these come again; where it has none, its own id stands. Frequent words, tokens with a digit
    and tokens without a letter have none and are none.

    Args:
        vocabulary: most frequent first, as the table has it.
        similarity: the least cosine.
    """
    usable = vectors.known.copy()
    usable[:RESERVED] = False
    usable[RESERVED:] &= [rank >= FREQUENT and _is_spelt(word) for rank, word in enumerate(vocabulary)]
    ids = np.flatnonzero(usable)
    table = vectors.table[ids]
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    found = np.repeat(np.arange(RESERVED + words, dtype=np.int32)[:, None], NEIGHBOURS, axis=1)
    asked, together = int(usable[: len(found)].sum()), max(1, COSINES // max(1, len(ids)))
    for begin in range(0, asked, together):
        rows = np.arange(begin, min(asked, begin + together))
        cosines = table[rows] @ table.T
        cosines[rows - begin, rows] = 0  # itself
        having, nearest = _nearest(cosines, similarity)
        found[ids[rows[having]]] = ids[nearest]
    return found


def _is_spelt(word: str) -> bool:
    return any(map(str.isalpha, word)) and not any(map(str.isdigit, word))


def _nearest(
    cosines: npt.NDArray[np.float32], similarity: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows that have a cosine of at least `similarity`, and the columns of their greatest ones, the greatest first,
    shape (rows, NEIGHBOURS); where there are fewer, these again."""
    row, column = np.divmod(np.flatnonzero(cosines >= similarity), cosines.shape[1])  # sooner than np.nonzero
    column = column[np.lexsort((-cosines[row, column], row))]
    counts = np.bincount(row, minlength=len(cosines))
    having, starts = np.flatnonzero(counts), np.cumsum(counts) - counts
    place = np.arange(NEIGHBOURS) % np.minimum(counts[having], NEIGHBOURS)[:, None]
    return having, column[starts[having][:, None] + place]


def vector_words(path: Path) -> Iterator[str]:
    """The words of a file in its order, which is that of their frequency in most files.

    Raises:
        UserError: the file is missing or damaged.
    """
    with _opened(path) as file:
        for _, word, _ in _entries(file, path):
            yield word.decode("utf-8", errors="replace")


def _entries(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Line number, word and the rest of the line; the header of word2vec and fastText, two whole numbers, left out."""
    for number, line in enumerate(lines(file, str(path)), start=1):
        word, _, numbers = line.rstrip().partition(b" ")
        if not (number == 1 and word.isdigit() and numbers.isdigit()):
            yield number, word, numbers


def _vector(numbers: bytes, where: str, dimensions: int) -> npt.NDArray[np.float32]:
    fields = numbers.split()
    if len(fields) != dimensions:
        raise UserError(
            f"{where}: a vector of {len(fields)} numbers, but model.embedding_dim is {dimensions}. Make them the same."
        )
    try:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused below
            vector = np.array(fields, np.float32)
    except ValueError as error:
        raise UserError(f"{where}: not a number: {error}.") from None
    if not np.isfinite(vector).all():
        raise UserError(f"{where}: a number that is not finite.")
    return vector


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file as bytes; of a .zip its only member."""
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix.lower() == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(path))
                yield cast(BinaryIO, stack.enter_context(archive.open(_only_member(archive, path))))
            else:
                opened = gzip.open if path.suffix.lower() == ".gz" else open
                yield cast(BinaryIO, stack.enter_context(opened(path, "rb")))
    except FAULTS as error:
        raise UserError(f"{path} cannot be read: {str(error).rstrip('.')}. Set model.pretrained.") from None


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    if len(members) != 1:
        names = join_names([member.filename for member in members]) or "none"
        raise UserError(f"{path} should hold one file, found {len(members)}: {names}. Unpack the one you mean.")
    if members[0].flag_bits & ENCRYPTED:
        raise UserError(f"{path} asks for a password. Unpack it.")
    return members[0]


# zipfile says NotImplementedError to a compression that it lacks, UnicodeDecodeError to the name of a member
FAULTS = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError
)  # fmt: skip

ENCRYPTED = 1  # the bit of a zip member's flags
