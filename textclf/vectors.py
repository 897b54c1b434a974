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
from textclf.streams import lines
from textclf.text import PADDING, RESERVED, UNKNOWN
from textclf.visible import listed


@dataclass(frozen=True)
class WordVectors:
    """An embedding table to begin training with."""

    table: npt.NDArray[np.float32]
    """Shape (vocabulary, dimensions), the reserved ids first; words that the file lacks are drawn at random."""
    found: int
    """Words of the vocabulary that the file has."""


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
    return WordVectors(table.astype(np.float32), len(vectors))


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
        names = listed([member.filename for member in members]) or "none"
        raise UserError(f"{path} should hold one file, found {len(members)}: {names}. Unpack the one you mean.")
    if members[0].flag_bits & ENCRYPTED:
        raise UserError(f"{path} asks for a password. Unpack it.")
    return members[0]


# zipfile says NotImplementedError to a compression that it lacks, UnicodeDecodeError to the name of a member
FAULTS = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError
)  # fmt: skip
ENCRYPTED = 1  # the bit of a zip member's flags
