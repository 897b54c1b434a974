"""Checks of the files that a user asks a command to write."""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from textclf.errors import UserError

STDIN = Path("-")
"""Standard input in place of a file."""

# An open descriptor may be a file, opened by a shell's > or >>, but it is not for us to replace
_DESCRIPTOR = re.compile(r"/dev/(?:stdout|stderr)|/(?:dev|proc/self)/fd/\d+")


def is_stream(path: Path) -> bool:
    """Return True if a path is a pipe, a device or an open descriptor: it is appended to, and never replaced."""
    special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)  # noqa: PTH110, PTH112, PTH113
    return special or bool(_DESCRIPTOR.fullmatch(os.path.abspath(path)))  # noqa: PTH100


def check_output(path: Path | None, sources: Iterable[Path], *, overwrite: bool, option: str = "--output") -> None:
    """Refuse an output file that the command also reads, or that exists and must not or cannot be overwritten.

    Args:
        path: the file to write; None is standard output.
        sources: the files that the command reads, STDIN for standard input.
        option: the command-line option that names the file.

    Raises:
        UserError: the path is refused.
    """
    if path is not None:
        check_steps_back(path, option=option, kind="file")
    check_not_read(path, sources, option=option, kind="file")
    if path is None or is_stream(path):
        return
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name a file in it with {option}.")
    if Path(os.path.realpath(path)).is_symlink():
        raise UserError(f"{path} is a link that leads back to itself. Choose another file with {option}.")
    if path.exists():
        check_replaceable(path, overwrite=overwrite, option=option, kind="file")


def check_steps_back(path: Path, *, option: str, kind: str) -> None:
    """Refuse a path with a `..` behind a folder that does not exist.

    The system finds nothing at `none/../rows.csv`, and once `none` is made the path names a file that was there before.

    Raises:
        UserError: the path is refused.
    """
    for folder in (path, *path.parents):
        if folder.name == ".." and not os.path.exists(folder):  # noqa: PTH110 - Path.exists raises without permission
            raise UserError(
                f"{path} steps back from {folder.parent}, which is no folder. Choose another {kind} with {option}."
            )


def check_replaceable(path: Path, *, overwrite: bool, option: str, kind: str) -> None:
    """Refuse to replace a file or folder, as `kind` says, without --overwrite, or where it is read-only.

    Raises:
        UserError: the path is refused.
    """
    if not overwrite:
        raise UserError(already_exists(path, option=option, kind=kind))
    if not os.access(path, os.W_OK):  # as a write into it would be; a rename does not ask
        raise UserError(f"{path} is read-only. Choose another {kind} with {option}.")


def already_exists(path: Path, *, option: str, kind: str) -> str:
    """Return the message for a file or folder, as `kind` says, that is replaced only with --overwrite."""
    return f"{path} exists. Replace it with --overwrite, or choose another {kind} with {option}."


def check_not_read(path: Path | None, sources: Iterable[Path], *, option: str, kind: str) -> None:
    """Refuse an output file that the command also reads, by whatever path or link.

    Args:
        path, sources, option: as for `check_output`.
        kind: file or folder, whichever the option names.

    Raises:
        UserError: the path is refused.
    """
    output = _regular_file(1 if path is None else path)
    if output is None:
        return
    for source in sources:
        read = _regular_file(0 if source == STDIN else source)
        if read and os.path.samestat(output, read):
            name = "standard input" if source == STDIN else source
            same = "a file that" if source == path else f"{name}, which"
            raise UserError(
                f"{path or 'standard output'} is {same} this command reads. Choose another {kind} with {option}."
            )


def _regular_file(file: Path | int) -> os.stat_result | None:
    """Return the status of a regular file, given as a path or as a descriptor; None for anything else."""
    try:
        status = os.stat(file)  # noqa: PTH116 - of a descriptor too
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
