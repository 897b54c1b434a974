"""Rows of data files, read once: labels in memory, texts in a temporary file, and the sha256 of the files."""

import hashlib
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.readers import find_files
from textclf.data.rows import COLUMN_KEYS, DataOptions, LabelBuilder, Labels, check_labels, read_rows
from textclf.errors import UserError
from textclf.io.contract import DataDocument
from textclf.io.files import temporary_file, temporary_file_errors
from textclf.io.streams import open_file

RowIds = npt.NDArray[np.int64]


class SourceFile(NamedTuple):
    """A data file and the sha256 of its bytes."""

    path: Path
    sha256: str


def source_files(patterns: str | list[str], *, key: str) -> list[SourceFile]:
    """Return the files that names or globs match, with their sha256; see `find_files`.

    Raises:
        UserError: a name or a glob matches no file, or a file cannot be read.
    """
    return [SourceFile(path, _digest(path)) for path in find_files(patterns, key=key)]


def _digest(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class StoredTexts:
    """Texts in an anonymous temporary file, which is deleted with this object.

    Args:
        folder: folder of the file; None: the system's folder for temporary files.
    """

    def __init__(self, *, folder: Path | None = None):
        self._folder = folder
        self._file = temporary_file(folder)
        weakref.finalize(self, self._file.close)
        self._ends = [np.zeros(1, np.int64)]

    def add(self, texts: Iterable[str]) -> None:
        encoded = [text.encode() for text in texts]
        with temporary_file_errors(self._folder):
            self._file.write(b"".join(encoded))
        self._ends.append(self._ends[-1][-1] + np.cumsum([len(text) for text in encoded], dtype=np.int64))

    def read(self, indices: RowIds) -> list[str]:
        """Return the texts with these indices, in the order in which they were added."""
        self._ends = [np.concatenate(self._ends)]
        [ends] = self._ends
        texts = []
        for start, end in zip(ends[indices].tolist(), ends[indices + 1].tolist(), strict=True):
            self._file.seek(start)
            texts.append(self._file.read(end - start).decode())
        return texts


@dataclass(frozen=True)
class SourceRows:
    """Rows of data files, all of them or a part."""

    files: list[SourceFile]
    part: str
    """Purpose of the rows: train, validation or test; all, for a file that a user names to evaluate."""
    all_labels: Labels
    """Labels of all rows of the files; `all_texts` and `all_columns` have all rows too."""
    all_texts: StoredTexts
    all_columns: Mapping[str, StoredTexts]
    """Further columns by name."""
    chunk_ends: RowIds
    """Number of rows read up to the end of each chunk, shape (chunks,)."""
    row_ids: RowIds
    """Index of each of these rows among all rows of the files, ascending, shape (n,)."""

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def labels(self) -> Labels:
        return self.all_labels.take(self.row_ids)

    def take(self, indices: RowIds) -> "SourceRows":
        """Return the rows at these indices, which must be ascending."""
        return replace(self, row_ids=self.row_ids[indices])

    def chunks(self) -> Iterator[RowIds]:
        """Yield the indices of the rows in the chunks in which they were read, some thousands each."""
        # the last digits of probabilities depend on which rows form a batch
        ends = np.searchsorted(self.row_ids, self.chunk_ends)
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            if start < end:
                yield np.arange(start, end)

    def texts(self, indices: RowIds) -> list[str]:
        """Return the texts of the rows at these indices."""
        return self.all_texts.read(self.row_ids[indices])

    def text_chunks(self) -> Iterator[list[str]]:
        """Yield the texts of all rows, some thousands at a time."""
        return map(self.texts, self.chunks())

    def column(self, name: str) -> list[str]:
        """Return the values of a further column."""
        return self.all_columns[name].read(self.row_ids)

    def describe(self) -> DataDocument:
        """Return the fields of metrics.json that describe the rows."""
        files, digests = [file.path.as_posix() for file in self.files], [file.sha256 for file in self.files]
        file, digest = (files[0], digests[0]) if len(files) == 1 else (files, digests)
        return {"file": file, "part": self.part, "rows": len(self), "sha256": digest}


class SourceReader:
    """A reader of data files that reads each once and keeps labels, texts and further columns.

    Args:
        columns: names of further columns to keep.
        texts: True to keep the texts too.
        folder: folder of the temporary files; None: the system's.
        keys: settings that chose the columns of texts and labels, for messages.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        options: DataOptions,
        *,
        columns: Sequence[str] = (),
        texts: bool = True,
        folder: Path | None = None,
        keys: tuple[str, str] = COLUMN_KEYS,
    ):
        self.files: list[SourceFile] = []
        self._paths = paths
        self._options = options
        self._keys = keys
        self._labels = LabelBuilder()
        self._keep_texts = texts
        self._texts = StoredTexts(folder=folder)
        self._columns = {name: StoredTexts(folder=folder) for name in columns}
        self._chunk_rows: list[int] = []

    def texts(self) -> Iterator[list[str]]:
        """Read the files; yield the texts of all rows, some thousands at a time.

        Raises:
            UserError: a file is missing or invalid, or changed while it was read.
        """
        for path in self._paths:
            sha256 = hashlib.sha256()
            before = _state(path)
            try:
                columns = list(self._columns)
                for chunk in read_rows(path, self._options, columns=columns, sha256=sha256, keys=self._keys):
                    self._labels.add(chunk.labels)
                    self._chunk_rows.append(len(chunk.texts))
                    if self._keep_texts:
                        self._texts.add(chunk.texts)
                    for column, values in zip(self._columns.values(), chunk.columns, strict=True):
                        column.add(values)
                    yield chunk.texts
            finally:
                # a change is also the likely cause of any other error in the file
                if _state(path) != before:
                    raise UserError(changed_while_read(path))
            self.files.append(SourceFile(path, sha256.hexdigest()))

    def rows(self, part: str) -> SourceRows:
        """Return all rows; call it after `texts` is exhausted.

        Raises:
            UserError: there are too many distinct labels.
        """
        labels = self._labels.labels()
        check_labels(labels, self._options.label_separator, self._paths, key=self._keys[1])
        return SourceRows(
            files=self.files,
            part=part,
            all_labels=labels,
            all_texts=self._texts,
            all_columns=self._columns,
            chunk_ends=np.cumsum(self._chunk_rows),
            row_ids=np.arange(len(labels)),
        )


def changed_while_read(path: Path | str) -> str:
    return f"{path} changed while it was read. Try again when nothing writes to it."


def _state(path: Path) -> tuple[int, ...] | None:
    """Return the size, times and inode of a file; None if it does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
