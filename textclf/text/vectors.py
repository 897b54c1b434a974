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
from textclf.io.streams import byte_lines
from textclf.text.encoding import PADDING, RESERVED, UNKNOWN


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
    """Read the vectors of a vocabulary's words from a file.

    Words that the file lacks get random vectors of the same standard deviation; UNKNOWN, which stands for many words,
    gets the mean of all vectors.

    Raises:
        UserError: the file is missing, damaged, or its vectors have another number of dimensions.
    """
    token_ids = {word.encode(): token_id for token_id, word in enumerate(vocabulary, start=RESERVED)}
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    with _open(path) as file:
        for line_number, word, components in _entries(file, path):
            token_id = token_ids.get(word)
            if token_id is not None and token_id not in vectors:
                vectors[token_id] = _vector(components, f"{path}:{line_number}", dimensions)
    if not vectors:
        raise UserError(f"{path} has none of the {len(vocabulary)} words of the vocabulary. Is it in another language?")
    known_vectors = np.stack(list(vectors.values()))  # (known words, dimensions)
    rng = np.random.default_rng(seed)
    table = rng.normal(0, known_vectors.std(), (len(vocabulary) + RESERVED, dimensions))  # (token ids, dimensions)
    table[PADDING], table[UNKNOWN] = 0, known_vectors.mean(axis=0)
    table[list(vectors)] = known_vectors
    known = np.zeros(len(table), np.bool_)
    known[list(vectors)] = True
    return WordVectors(table.astype(np.float32), known)


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


def vector_words(path: Path) -> Iterator[str]:
    """Yield the words of a file in its order, which in most files is by frequency.

    Raises:
        UserError: the file is missing or damaged.
    """
    with _open(path) as file:
        for _, word, _ in _entries(file, path):
            yield word.decode("utf-8", errors="replace")


def _entries(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield line number, word and the rest of each line, without the header of word2vec and fastText."""
    for line_number, line in enumerate(byte_lines(file, str(path)), start=1):
        word, _, components = line.rstrip().partition(b" ")
        is_header = line_number == 1 and word.isdigit() and components.isdigit()
        if not is_header:
            yield line_number, word, components


def _vector(components: bytes, where: str, dimensions: int) -> npt.NDArray[np.float32]:
    fields = components.split()
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
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a file, or the only member of a .zip file, as bytes."""
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix.lower() == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(path))
                yield cast(BinaryIO, stack.enter_context(archive.open(_only_member(archive, path))))
            else:
                open_file = gzip.open if path.suffix.lower() == ".gz" else open
                yield cast(BinaryIO, stack.enter_context(open_file(path, "rb")))
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
