"""The run folder: every file name once, and how files are written so that no reader sees half of one."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.sanitize import csv_lines, printable_lines


def size_in_bytes(path: Path) -> int:
    """What a file takes, or a folder with all that is in it."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and goes when it does not.

    Raises:
        UserError: the disk is full, the folder cannot be written, or the like.
    """
    # The suffix stays last: Keras tells the format of a file by it.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    with write_errors(path, temporary), make_parents(path):
        try:
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Waits until the file is on the disk: else the machine's crash could leave its new name without its bytes."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def write_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Says of an OSError in the block that `path` cannot be written, and why; what it names `temporary` is `path`."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        where = "" if named in ("", str(path), str(temporary)) or named.startswith(str(temporary)) else f" ({named})"
        advice = "Free space, or choose another place." if error.errno in _NO_ROOM else "Choose another place."
        raise UserError(f"{path} cannot be written: {error.strerror or error}{where}. {advice}") from None


@contextlib.contextmanager
def make_parents(path: Path) -> Iterator[None]:
    """Makes the folder that `path` is in; where the block fails, what was made goes again."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # others may have put something into it
                folder.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Writes text that comes piece by piece, without holding all of it; straight into what is no ordinary file.

    Raises:
        UserError: the disk is full, the folder cannot be written, or the like.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with write_errors(path, path), path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(map(printable_lines, pieces) if file.isatty() else pieces)
        return
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def write_json(path: Path, document: Any) -> None:
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The document in a JSON file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {path.parent} is no complete run.") from None
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}. Train the run again.") from None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, raw: bool = False) -> None:
    """A table that a spreadsheet shows and does not compute, unless its texts are to stay `raw`."""
    write_pieces(path, csv_lines(chain([header], rows), raw=raw))


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `path` when the block ends well, and goes when it does not.

    Raises:
        UserError: the disk is full, the place cannot be written, or the like.
    """
    new, earlier = (path.with_name(f".{os.getpid()}.{path.name}{suffix}") for suffix in ("", ".old"))
    with write_errors(path, new), make_parents(path):
        try:
            new.mkdir()
            yield new
            if path.exists():
                path.replace(earlier)
            new.replace(path)
        except BaseException:
            if earlier.exists() and not path.exists():
                earlier.replace(path)
            raise
        finally:
            for left in (new, earlier):
                shutil.rmtree(left, ignore_errors=True)


def array_on_disk(blocks: Iterable[npt.NDArray[Any]], kind: npt.DTypeLike, *, folder: Path | None) -> npt.NDArray[Any]:
    """The blocks one after the other, in a nameless file in the folder that is gone when the array is.

    Args:
        folder: None stands for the system's own for such files.

    Raises:
        UserError: the folder is full or cannot be written.
    """
    with temporary_file_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, kind).data)
        file.flush()
        # a file without a byte cannot be mapped
        return np.memmap(file, kind, mode="r") if file.tell() else np.zeros(0, kind)


@contextlib.contextmanager
def temporary_file_errors(folder: Path | None = None) -> Iterator[None]:
    """Says of an OSError in the block which folder cannot hold temporary files, and why."""
    try:
        yield
    except OSError as error:
        advice = "Free space there, or choose another place."
        if folder is None:
            folder, advice = Path(tempfile.gettempdir()), "Free space there, or set TMPDIR to another folder."
        raise UserError(f"{folder} cannot hold temporary files: {error.strerror or error}. {advice}") from None


def smallest_dtype(count: int) -> npt.DTypeLike:
    """The smallest type of whole numbers that holds 0 to count - 1."""
    return np.min_scalar_type(max(0, count - 1))
