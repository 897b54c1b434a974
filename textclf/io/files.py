"""Files and folders, written so that no reader ever sees half of one; temporary arrays on disk."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.outputs import is_stream
from textclf.io.sanitize import csv_lines, printable_lines

logger = logging.getLogger(__name__)


def size_in_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def temporary_folder(parent: Path, path: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, in which `path` is written; remove it at the end of the block.

    Raises:
        UserError: something in the block cannot be written, for example because the disk is full.
    """
    # the random part is for containers that share a disk: their processes have the same few numbers
    folder = parent / f".{os.getpid()}.{os.urandom(4).hex()}.new"
    with write_errors(path, folder), make_parents(folder):
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path; rename it to `path` at the end of the block, or remove it if the block fails.

    Where `path` is a link, the file that it leads to is replaced. An earlier file's permissions are kept.

    Args:
        overwrite: replace a file that has appeared by then.

    Raises:
        UserError: the file cannot be written, for example because the disk is full, or it must not be replaced.
    """
    real = Path(os.path.realpath(path))
    with temporary_folder(real.parent, path) as folder:
        # under its own name, which may be as long as a name can be, and by which Keras chooses the format
        temporary = folder / real.name
        yield temporary
        _to_disk(temporary)
        if real.exists():
            shutil.copymode(real, temporary)
        _put_in_place(temporary, real, overwrite=overwrite)


def _put_in_place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Rename a file or folder to `path`; raise an OSError if something is there that must not be replaced."""
    if overwrite:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename it replaces nothing
    except OSError as error:  # because of what is there, or because folders and some disks have no links
        if os.path.lexists(path):
            appeared = "it appeared while this command ran, and only --overwrite replaces it"
            raise FileExistsError(errno.EEXIST, appeared) from error
        temporary.rename(path)


def _to_disk(path: Path) -> None:
    """Wait until the file is on the disk: else a crash of the machine could leave its new name without its bytes."""
    with path.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NO_FSYNC:
                raise
            _warn_once(f"the disk cannot be asked to keep files (fsync: {error.strerror}); a crash may lose them")


@cache
def _warn_once(message: str) -> None:
    logger.warning("%s", message)


_NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def write_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Turn an OSError in the block into a UserError that `path` cannot be written, with the reason."""
    try:
        yield
    except OSError as error:
        filename = str(error.filename or "")
        is_path = filename in ("", str(path)) or filename.startswith(str(temporary))
        where = "" if is_path else f" ({filename})"
        advice = "Free space, or choose another place." if error.errno in _NO_SPACE else "Choose another place."
        raise UserError(f"{path} cannot be written: {error.strerror or error}{where}. {advice}") from None


@contextlib.contextmanager
def make_parents(path: Path) -> Iterator[None]:
    """Create the folders above `path`; remove them again if the block fails."""
    new_folders = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in new_folders:
            with contextlib.suppress(OSError):  # another process may have put something into it
                folder.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_pieces(path: Path, pieces: Iterable[str], *, overwrite: bool = True) -> None:
    """Write pieces of text as they come, without holding all in memory; append to a pipe, a device or /dev/stdout.

    Raises:
        UserError: the file cannot be written, for example because the disk is full; see `replacing` for `overwrite`.
    """
    if is_stream(path):
        with write_errors(path, path), path.open("a", encoding="utf-8", newline="") as file:
            file.writelines(map(printable_lines, pieces) if file.isatty() else pieces)
        return
    with (
        replacing(path, overwrite=overwrite) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(pieces)


def write_json(path: Path, document: object) -> None:
    write_text(path, json_text(document))


def json_text(document: object) -> str:
    """Return a document as it stands in a JSON file."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def json_list(items: Iterable[str]) -> Iterator[str]:
    """Yield the pieces of a JSON list with an item on each line, as they come.

    Args:
        items: JSON in one line each, or several lines of items, each with a line feed.
    """
    separator = "[\n"
    for lines in items:
        if lines.strip():
            yield separator + lines.rstrip("\n").replace("\n", ",\n")
            separator = ",\n"
    yield "\n]\n" if separator != "[\n" else "[]\n"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        UserError: it is missing or damaged, or cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {path.parent} is no complete run.") from None
    except NotADirectoryError:
        raise UserError(f"{path.parent} is a file, no run. Name the folder of a run.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}. Train the run again.") from None


def write_csv(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, raw: bool = False, overwrite: bool = True
) -> None:  # fmt: skip
    """Write a table, with the formulas in its texts escaped unless `raw`; see `replacing` for `overwrite`."""
    write_pieces(path, csv_lines(chain([header], rows), raw=raw), overwrite=overwrite)


@contextlib.contextmanager
def replacing_folder(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a new folder, which replaces `path` at the end of the block, or is removed if the block fails.

    Files of the earlier folder that the new one lacks are kept: they may be the user's. Where `path` is a link, the
    folder that it leads to is replaced.

    Args:
        overwrite: replace a folder that has appeared by then.

    Raises:
        UserError: the folder cannot be written, for example because the disk is full, or it must not be replaced.
    """
    real = Path(os.path.realpath(path))
    with temporary_folder(real.parent, path) as folder:
        new, earlier = folder / real.name, folder.with_suffix(".old")
        try:
            new.mkdir()
            yield new
            if overwrite and real.exists():
                _copy_missing(real, new)
                real.replace(earlier)
            _put_in_place(new, real, overwrite=overwrite)
        except BaseException:
            if earlier.exists() and not real.exists():
                earlier.replace(real)
            raise
        finally:
            shutil.rmtree(earlier, ignore_errors=True)


def _copy_missing(folder: Path, other: Path) -> None:
    """Copy the files of a folder that the other lacks, except those that Python compiled."""
    for path in folder.iterdir():
        target = other / path.name
        if path.name == "__pycache__":
            continue
        if path.is_dir() and not path.is_symlink():
            target.mkdir(exist_ok=True)
            _copy_missing(path, target)
        elif not os.path.lexists(target):
            shutil.copy2(path, target, follow_symlinks=False)


def array_on_disk(blocks: Iterable[npt.NDArray[Any]], dtype: npt.DTypeLike, *, folder: Path | None) -> npt.NDArray[Any]:
    """Concatenate blocks into an array in a temporary file, which is deleted when the array is.

    Args:
        dtype: type of the array, which the blocks are converted to.
        folder: where the file is; None: the system's folder for temporary files.

    Raises:
        UserError: the folder is full or cannot be written.
    """
    with temporary_file_errors(folder), temporary_file(folder) as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data)
        file.flush()
        # an empty file cannot be mapped
        return np.memmap(file, dtype, mode="r") if file.tell() else np.zeros(0, dtype)


NO_TEMPORARY_FOLDER = "no folder can hold temporary files. Set TMPDIR to one that can."


def temporary_file(folder: Path | None = None) -> IO[bytes]:
    """Open a file without a name, which is deleted when it is closed; in memory if no folder can hold it.

    Args:
        folder: where the file is; None: the system's folder for temporary files.

    Raises:
        UserError: the folder is full or cannot be written.
    """
    with temporary_file_errors(folder):
        if folder is None and not has_temporary_folder() and hasattr(os, "memfd_create"):
            _warn_once("no folder can hold temporary files, so they are kept in memory. Set TMPDIR to one that can.")
            return os.fdopen(os.memfd_create("textclf"), "w+b")
        return tempfile.TemporaryFile(dir=folder)


def has_temporary_folder() -> bool:
    """Return True if the system has a folder that can hold temporary files."""
    try:
        tempfile.gettempdir()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def temporary_file_errors(folder: Path | None = None) -> Iterator[None]:
    """Turn an OSError in the block into a UserError that `folder` cannot hold temporary files, with the reason."""
    try:
        yield
    except OSError as error:
        advice = "Free space there, or choose another place."
        if folder is None:
            try:
                folder = Path(tempfile.gettempdir())
            except OSError:
                raise UserError(NO_TEMPORARY_FOLDER) from None
            advice = "Free space there, or set TMPDIR to another folder."
        raise UserError(f"{folder} cannot hold temporary files: {error.strerror or error}. {advice}") from None


def smallest_dtype(count: int) -> npt.DTypeLike:
    """Return the smallest integer type that holds 0 to count - 1."""
    return np.min_scalar_type(max(0, count - 1))
