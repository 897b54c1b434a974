"""Arrays that need not fit in memory."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError


def stored(blocks: Iterable[npt.NDArray[Any]], kind: npt.DTypeLike, *, folder: Path | None) -> npt.NDArray[Any]:
    """The blocks one after the other, in a nameless file in the folder that is gone when the array is.

    Args:
        folder: None stands for the system's own for such files.

    Raises:
        UserError: the folder is full or cannot be written.
    """
    with temporary_faults(folder), tempfile.TemporaryFile(dir=folder) as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, kind).data)
        file.flush()
        # a file without a byte cannot be mapped
        return np.memmap(file, kind, mode="r") if file.tell() else np.zeros(0, kind)


@contextlib.contextmanager
def temporary_faults(folder: Path | None = None) -> Iterator[None]:
    """Says of an OSError in the block which folder cannot hold temporary files, and why."""
    try:
        yield
    except OSError as error:
        advice = "Free space there, or choose another place."
        if folder is None:
            folder, advice = Path(tempfile.gettempdir()), "Free space there, or set TMPDIR to another folder."
        raise UserError(f"{folder} cannot hold temporary files: {error.strerror or error}. {advice}") from None


def smallest_kind(count: int) -> npt.DTypeLike:
    """The smallest type of whole numbers that holds 0 to count - 1."""
    return np.min_scalar_type(max(0, count - 1))
