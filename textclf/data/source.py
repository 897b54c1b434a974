"""SourceRows rows as they stand in their files, read as they are needed."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.readers import find_files, read_columns
from textclf.data.rows import DataOptions, Rows, read_rows
from textclf.errors import UserError
from textclf.io.contract import DataDocument
from textclf.io.streams import opened

RowIds = npt.NDArray[np.int64]


class SourceFile(NamedTuple):
    """A data file as it was when it was first looked at, before its rows are read."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class SourceRows:
    """Rows to measure on, as they stand in their files."""

    files: list[SourceFile]
    options: DataOptions
    part: str
    """What they are: test, validation or all."""
    row_ids: RowIds | None = None
    """Which rows of the files, counted from 0, ascending; None: all."""

    @property
    def paths(self) -> list[Path]:
        return [file.path for file in self.files]

    def chunks(self) -> Iterator[Rows]:
        """The rows, some thousands at a time."""
        first = 0
        for rows in read_rows(self.paths, self.options):
            yield rows if self.row_ids is None else _chosen(rows, self.row_ids - first)
            first += len(rows.texts)
            if self.row_ids is not None and first > self.row_ids[-1]:
                return

    def column(self, name: str, *, key: str) -> list[str]:
        """What another column of the files holds, row by row; `key` is the setting that names it."""
        values = [value for path in self.paths for (value,) in read_columns(path, {key: name})]
        return values if self.row_ids is None else [values[row] for row in self.row_ids.tolist()]

    def describe(self, rows: int) -> DataDocument:
        """What metrics.json says of them, being so many."""
        files, digests = [path.as_posix() for path in self.paths], [file.sha256 for file in self.files]
        file, digest = (files[0], digests[0]) if len(files) == 1 else (files, digests)
        return {"file": file, "part": self.part, "rows": rows, "sha256": digest}


def _chosen(rows: Rows, row_ids: RowIds) -> Rows:
    """Those of the rows that have one of the numbers, ascending."""
    begin, end = np.searchsorted(row_ids, (0, len(rows.texts)))
    chosen = row_ids[begin:end].tolist()
    return Rows([rows.texts[row] for row in chosen], [rows.labels[row] for row in chosen])


def source_files(patterns: str | list[str], *, key: str) -> list[SourceFile]:
    """The files that names or globs stand for, as they are now; see `find_files`.

    Raises:
        UserError: a name or a glob stands for none, or a file cannot be read.
    """
    return [SourceFile(path, _digest(path)) for path in find_files(patterns, key=key)]


def _digest(path: Path) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def unchanged(files: Sequence[SourceFile]) -> Iterator[None]:
    """For all that reads the files: what the block finds is of the very bytes that they were first seen with.

    Raises:
        UserError: a file has changed, which also explains whatever else the block found wrong with it.
    """
    before = [_state(file.path) for file in files]
    try:
        yield
    finally:
        # The state tells that a file was changed and changed back while it was read; the digest, that it is as it was
        # seen, even where two writes within a tick of the clock leave the state as it was.
        for (path, digest), state in zip(files, before, strict=True):
            if _state(path) != state or _digest(path) != digest:
                raise UserError(f"{path} changed while it was read. Try again when nothing writes to it.")


def _state(path: Path) -> tuple[int, ...] | None:
    """Size, times and inode; None where there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
