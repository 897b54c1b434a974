"""Data files with the digest of what is read from them, and a refusal where they change meanwhile."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from textclf.errors import UserError
from textclf.files import find_files
from textclf.streams import opened


class SeenFile(NamedTuple):
    """A data file as it was when it was first looked at, before its rows are read."""

    path: Path
    sha256: str


def see_files(patterns: str | list[str], *, key: str) -> list[SeenFile]:
    """The files that names or globs stand for, as they are now; see `find_files`.

    Raises:
        UserError: a name or a glob stands for none, or a file cannot be read.
    """
    return [SeenFile(path, _digest(path)) for path in find_files(patterns, key=key)]


def _digest(path: Path) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def unchanged(files: Sequence[SeenFile]) -> Iterator[None]:
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
