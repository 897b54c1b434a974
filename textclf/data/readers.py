"""Readers of tables: every row, in order, unchanged, from files of every kind in FORMATS."""

import glob
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from textclf.data.csv_reader import delimited
from textclf.data.json_reader import JSON
from textclf.data.parquet_reader import PARQUET
from textclf.data.table_format import Columns, Lists, TableFormat
from textclf.errors import UserError
from textclf.io.sanitize import is_encodable
from textclf.io.streams import expand_home, missing_file, open_data


def read_columns(
    path: Path, columns: Columns, *, lists: Lists | None = None, sha256: "hashlib._Hash | None" = None
) -> Iterator[tuple[str, ...]]:
    """Yield the values of some columns of a file, row by row.

    Args:
        columns: the setting that chose each column and its name, such as `[("data.text", "review")]`.
        lists: separator for lists of labels, which JSON and parquet have, by the setting of their column; None as a
            separator: a list has one label.
        sha256: updated with the bytes of the file; complete once the last row has been read.

    Raises:
        UserError: the file is missing, damaged, not UTF-8, ragged or lacks a column.
    """
    with open_data(path, sha256=sha256) as stream:
        yield from file_format(path).rows(stream, str(path), columns, lists or {})


def read_records(path: Path) -> Iterator[dict[str, object]]:
    """Yield each row of a file as a dictionary of its columns; columns without a unique name are left out.

    Raises:
        UserError: the file is missing, damaged, not UTF-8 or ragged.
    """
    with open_data(path) as stream:
        yield from file_format(path).records(stream, str(path))


def find_files(patterns: str | list[str], *, key: str, config_folder: Path | None = None) -> list[Path]:
    """Return the files that names or globs match, in alphabetical order for a glob.

    Args:
        key: config key that the names come from, and `config_folder` the folder of the config, for messages.

    Raises:
        UserError: a name or a glob matches no file, a file is matched twice, or its name is not UTF-8.
    """
    files: dict[str, Path] = {}  # by the path without links
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = _matching(expand_home(pattern))
        if not matches:
            is_beside = config_folder is not None and _matching(str(config_folder / pattern))
            raise UserError(f"{key}: {missing_file(pattern, beside=config_folder if is_beside else None)}")
        for path in matches:
            if not is_encodable(str(path)):
                raise UserError(f"{key}: the name {path} is not UTF-8, so that no run can hold it. Rename the file.")
            other = files.setdefault(os.path.realpath(path), path)
            if other is not path:
                problem = "is named twice" if other == path else f"is the same file as {other}"
                raise UserError(f"{key}: {path} {problem}. Name it once.")
    if not files:
        raise UserError(f"{key}: an empty list; name at least one file.")
    return list(files.values())


def _matching(pattern: str) -> list[Path]:
    if os.path.exists(pattern):  # noqa: PTH110 - Path.exists raises where a name is too long
        return [Path(pattern)]
    # glob raises at a NUL, which no name can hold
    return [] if "\0" in pattern else sorted(map(Path, glob.glob(pattern, recursive=True)))


def file_format(path: Path) -> TableFormat:
    """Return the format of a file by the suffix of its name, without `.gz`.

    Raises:
        UserError: no format has this suffix.
    """
    suffix = _suffix(path)
    if suffix not in FORMATS:
        raise UserError(
            f"{path}: unknown kind of file '{suffix}'; known: {', '.join(FORMATS)}, each also .gz. Save it as one."
        )
    return FORMATS[suffix]


def is_table(path: Path) -> bool:
    """Return True if a file has columns, by its name; other files have a text on each line."""
    return _suffix(path) in FORMATS


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


FORMATS: dict[str, TableFormat] = {
    ".csv": delimited(","),
    ".tsv": delimited("\t"),
    ".jsonl": JSON,
    ".ndjson": JSON,
    ".json": JSON,
    ".parquet": PARQUET,
}
