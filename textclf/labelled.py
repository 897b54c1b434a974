"""Labelled rows as they stand in their files, read as they are needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.data import DataOptions, Rows, read_rows
from textclf.files import read_columns
from textclf.seen import SeenFile

RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Rows to measure on, as they stand in their files."""

    files: list[SeenFile]
    options: DataOptions
    part: str
    """What they are: test, validation or all."""
    numbers: RowNumbers | None = None
    """Which rows of the files, counted from 0, ascending; None: all."""

    @property
    def paths(self) -> list[Path]:
        return [file.path for file in self.files]

    def chunks(self) -> Iterator[Rows]:
        """The rows, some thousands at a time."""
        first = 0
        for rows in read_rows(self.paths, self.options):
            yield rows if self.numbers is None else _chosen(rows, self.numbers - first)
            first += len(rows.texts)
            if self.numbers is not None and first > self.numbers[-1]:
                return

    def column(self, name: str, *, key: str) -> list[str]:
        """What another column of the files holds, row by row; `key` is the setting that names it."""
        values = [value for path in self.paths for (value,) in read_columns(path, {key: name})]
        return values if self.numbers is None else [values[row] for row in self.numbers.tolist()]

    def describe(self, rows: int) -> dict[str, Any]:
        """What metrics.json says of them, being so many."""
        files, digests = [path.as_posix() for path in self.paths], [file.sha256 for file in self.files]
        file, digest = (files[0], digests[0]) if len(files) == 1 else (files, digests)
        return {"file": file, "part": self.part, "rows": rows, "sha256": digest}


def _chosen(rows: Rows, numbers: RowNumbers) -> Rows:
    """Those of the rows that have one of the numbers, ascending."""
    begin, end = np.searchsorted(numbers, (0, len(rows.texts)))
    chosen = numbers[begin:end].tolist()
    return Rows([rows.texts[row] for row in chosen], [rows.labels[row] for row in chosen])
