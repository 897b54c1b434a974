"""Faults on demand: a disk that is full from the n-th write on, in this process and beneath one folder only.

for n in itertools.count():
    with failing_writes(n, folder) as disk:
        result = textclf("report", run)
    if not disk.failed:
        break
    assert contents(folder) == before
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


def full_disk(path: str) -> BaseException:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def ctrl_c(_path: str) -> BaseException:
    return KeyboardInterrupt()


@dataclass
class Disk:
    """A disk whose writes beneath a folder fail from some number on."""

    folder: str
    first: int
    """Number of writes that go well."""
    lasting: bool
    error: Callable[[str], BaseException]
    only: str
    writes: int = 0
    failed: list[str] = field(default_factory=list)
    """The writes that failed, such as `open /tmp/a`."""

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        path = _written(event, arguments)
        if path is None or not (path == self.folder or path.startswith(self.folder + os.sep)):
            return
        if not path.endswith(self.only):
            return
        self.writes += 1
        # a full disk has room to rename, so that a rename that fails is one of another cause, and the next goes well
        again = self.lasting and event != "os.rename"
        if self.writes > self.first and (again or self.writes == self.first + 1):
            self.failed.append(f"{event} {path}")
            raise self.error(path)


_DISKS: list[Disk] = []


def _written(event: str, arguments: tuple[object, ...]) -> str | None:
    """The path that an audit event is about to open for writing, make or rename; None: it does nothing of that."""
    if event == "open":
        path, _, flags = arguments
        if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return None
    elif event in ("os.mkdir", "os.rename"):
        path = arguments[0]
    else:
        return None
    return os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else None  # noqa: PTH100


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    for disk in _DISKS:
        disk.audit(event, arguments)


sys.addaudithook(_audit)  # for good: Python takes none away


@contextlib.contextmanager
def failing_writes(
    n: int, folder: Path, *, error: Callable[[str], BaseException] = full_disk, lasting: bool = True, only: str = ""
) -> Iterator[Disk]:
    """After n writes beneath the folder, the next one raises; a write is an open, a mkdir or a rename.

    Args:
        error: what is raised, given the path.
        lasting: each open and mkdir after it raises too.
        only: what the names end in that count.
    """
    disk = Disk(os.path.abspath(folder), n, lasting, error, only)  # noqa: PTH100
    _DISKS.append(disk)
    try:
        yield disk
    finally:
        _DISKS.remove(disk)


@contextlib.contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes, as on a disk that fills up in the middle of one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file beneath the folder and what it holds, and every folder, whose name ends in a slash."""
    found = sorted(folder.rglob("*"))
    names = [path.relative_to(folder).as_posix() for path in found]
    return {
        f"{name}/" if path.is_dir() else name: b"" if path.is_dir() else path.read_bytes()
        for name, path in zip(names, found, strict=True)
    }
