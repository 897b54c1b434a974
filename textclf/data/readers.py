"""Readers of .csv, .tsv, .jsonl and .parquet files: every row, in order, unchanged."""

import contextlib
import csv
import glob
import gzip
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from textclf.errors import UserError
from textclf.io.sanitize import is_encodable, join_names
from textclf.io.streams import SIZE_LIMIT, open_data, text_lines, too_long_error

# the csv module's default limit of a field, 131,072 characters, is too low for some texts
csv.field_size_limit(SIZE_LIMIT)


def read_columns(
    path: Path, columns: Mapping[str, str], *, sha256: "hashlib._Hash | None" = None
) -> Iterator[tuple[str, ...]]:
    """Yield the values of the given columns of a file, row by row.

    Args:
        columns: name of each column by the setting that chose it, such as `{"data.text": "review"}`.
        sha256: updated with the bytes of the file; complete once the last row has been read.

    Raises:
        UserError: the file is missing, damaged, not UTF-8, ragged or lacks a column.
    """
    with open_data(path, sha256=sha256) as stream:
        yield from file_format(path).rows(stream, str(path), columns)


def read_records(path: Path) -> Iterator[dict[str, object]]:
    """Yield each row of a file as a dictionary of its columns; columns without a unique name are left out.

    Raises:
        UserError: the file is missing, damaged, not UTF-8 or ragged.
    """
    with open_data(path) as stream:
        yield from file_format(path).records(stream, str(path))


def find_files(patterns: str | list[str], *, key: str) -> list[Path]:
    """Return the files that names or globs match, in alphabetical order for a glob.

    Args:
        key: config key that the names come from, for messages.

    Raises:
        UserError: a name or a glob matches no file, or the name of a file is not UTF-8.
    """
    files: list[Path] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = _matching(pattern)
        if not matches:
            raise UserError(f"{key}: no file '{pattern}' (looked in {Path.cwd()}).")
        for path in matches:
            if not is_encodable(str(path)):
                raise UserError(f"{key}: the name {path} is not UTF-8, so that no run can hold it. Rename the file.")
        files += matches
    if not files:
        raise UserError(f"{key}: an empty list; name at least one file.")
    return files


def _matching(pattern: str) -> list[Path]:
    if os.path.exists(pattern):  # noqa: PTH110 - Path.exists raises where a name is too long
        return [Path(pattern)]
    # glob raises at a NUL, which no name can hold
    return [] if "\0" in pattern else sorted(map(Path, glob.glob(pattern, recursive=True)))


class TableFormat(NamedTuple):
    """The readers of a file format; each takes an open stream and the file's name for messages."""

    columns: Callable[[BinaryIO, str], list[str]]
    """Reads the names of the columns."""
    rows: Callable[[BinaryIO, str, Mapping[str, str]], Iterator[tuple[str, ...]]]
    """Yields rows of some columns; see `read_columns`."""
    records: Callable[[BinaryIO, str], Iterator[dict[str, object]]]
    """Yields rows of all columns; see `read_records`."""


def file_format(path: Path) -> TableFormat:
    """Return the format of a file by the suffix of its name, without `.gz`.

    Raises:
        UserError: no format has this suffix.
    """
    suffix = _suffix(path)
    if suffix not in FORMATS:
        raise UserError(f"{path}: unknown kind of file '{suffix}'; known: {', '.join(FORMATS)}, each also .gz.")
    return FORMATS[suffix]


def is_table(path: Path) -> bool:
    """Return True if a file has columns, by its name; other files have a text on each line."""
    return _suffix(path) in FORMATS


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def column_index(file: str, columns: list[str], name: str, *, key: str) -> int:
    """Return the index of the column with a name; blanks around names are ignored.

    Args:
        file: name of the file, and `key` the setting that chose the column, for messages.

    Raises:
        UserError: no column has the name, or more than one.
    """
    matches = [index for index, column in enumerate(columns) if column == name]
    matches = matches or [index for index, column in enumerate(columns) if column.strip() == name.strip()]
    if not matches:
        raise UserError(f"{file} has no column '{name}'; it has: {join_names(columns) or 'none'}. Set {key}.")
    if len(matches) > 1:
        raise UserError(f"{file} has {len(matches)} columns '{name}'. Rename all but one.")
    return matches[0]


def _csv_records(stream: BinaryIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each record; a blank line is a record only in a file of one column."""
    line = size = 0  # first line and size of the record: a quoted field may have any number of lines

    def limited_lines() -> Iterator[str]:
        nonlocal size
        for text in text_lines(stream, name):
            size += len(text)
            if size > SIZE_LIMIT:
                raise too_long_error(f"{name}:{line}", "row")
            yield text

    # strict: else a quote that is not closed would silently take in all rows after it
    reader = csv.reader(limited_lines(), delimiter=delimiter, strict=True)
    width = 0
    while True:
        line, size = reader.line_num + 1, 0
        try:
            fields = next(reader, None)
        except csv.Error as error:
            hint = next((hint for part, hint in _CSV_ERRORS.items() if part in str(error)), error)
            raise UserError(f"{name}:{line}: {hint}") from None
        if fields is None:
            return
        if not fields and width != 1:
            continue
        width = width or len(fields)
        if len(fields or [""]) != width:
            cause = f"'{delimiter}'" if len(fields) > width else "a line break"
            raise UserError(
                f"{name}:{line}: the header has {width} fields, this row {len(fields)}. "
                f"Put a text that holds {cause} in double quotes."
            )
        yield line, fields or [""]


_CSV_ERRORS = {
    "unexpected end of data": "a double quote is opened here and never closed. Close it, or double it to mean itself.",
    "new-line character": (
        "a carriage return outside double quotes. Quote the field, or save the file with LF or CRLF line ends."
    ),
    "expected after": "text after a closing double quote. Double each double quote inside a quoted field.",
}


def _delimited(delimiter: str) -> TableFormat:
    """Return the format of .csv and .tsv files."""

    def column_names(stream: BinaryIO, name: str) -> list[str]:
        return _csv_header(_csv_records(stream, name, delimiter), name)

    def rows(stream: BinaryIO, name: str, columns: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
        lines = _csv_records(stream, name, delimiter)
        header = _csv_header(lines, name)
        indices = [column_index(name, header, column, key=key) for key, column in columns.items()]
        for _, fields in lines:
            yield tuple([fields[index] for index in indices])

    def records(stream: BinaryIO, name: str) -> Iterator[dict[str, object]]:
        lines = _csv_records(stream, name, delimiter)
        header = _csv_header(lines, name)
        counts = Counter(header)
        indices = {column: index for index, column in enumerate(header) if counts[column] == 1}
        for _, fields in lines:
            yield {column: fields[index] for column, index in indices.items()}

    return TableFormat(column_names, rows, records)


def _csv_header(records: Iterator[tuple[int, list[str]]], name: str) -> list[str]:
    _, header = next(records, (0, None))
    if header is None:
        raise UserError(f"{name} is empty. It needs a header line and rows.")
    return header


def _json_records(stream: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield line number and object of each line that is not blank."""
    for number, line in enumerate(text_lines(stream, name), start=1):
        if line.isspace():
            continue
        where = f"{name}:{number}"
        try:
            # numbers stay text: a label 1e3 or 1.10 must not change
            record = json.loads(
                line, parse_int=str, parse_float=str, parse_constant=_constant, object_pairs_hook=_unique_keys
            )
        except json.JSONDecodeError as error:
            raise UserError(f"{where}:{error.pos + 1}: not JSON: {error.msg}. Put an object on each line.") from None
        except RecursionError:
            raise UserError(f"{where}: nested too deeply. Put an object with texts on each line.") from None
        except KeyError as error:
            raise UserError(f"{where}: the key '{error.args[0]}' stands twice. Drop one.") from None
        if not isinstance(record, dict):
            raise UserError(f'{where}: found {line.strip()[:40]}, need an object such as {{"text": ...}}.')
        yield number, record


def _constant(name: str) -> str | None:
    """Return the value of a bare NaN, Infinity or -Infinity; pandas and others write NaN for a missing value."""
    return None if name == "NaN" else name


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the pairs as a dictionary; raise KeyError for a duplicate key."""
    document = dict(pairs)
    if len(document) < len(pairs):
        raise KeyError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return document


def _json_columns(stream: BinaryIO, name: str) -> list[str]:
    for _, record in _json_records(stream, name):
        return list(record)
    raise UserError(f"{name} is empty. It needs a JSON object per line.")


def _json_rows(stream: BinaryIO, name: str, columns: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for number, record in _json_records(stream, name):
        where = f"{name}:{number}"
        keys = list(record)
        chosen = [keys[column_index(where, keys, column, key=setting)] for setting, column in columns.items()]
        yield tuple([as_text(record[key], f"{where}: '{key}'") for key in chosen])


def _json_values(stream: BinaryIO, name: str) -> Iterator[dict[str, object]]:
    return (record for _, record in _json_records(stream, name))


def _parquet_columns(stream: BinaryIO, name: str) -> list[str]:
    with _parquet_file(stream, name) as file:
        return list(file.schema_arrow.names)


def _parquet_rows(stream: BinaryIO, name: str, columns: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    with _parquet_file(stream, name) as file:
        header = list(file.schema_arrow.names)
        chosen = [header[column_index(name, header, column, key=key)] for key, column in columns.items()]
        row = 0
        for batch in file.iter_batches(PARQUET_ROWS, columns=chosen):
            for values in zip(*(batch.column(column).to_pylist() for column in chosen), strict=True):
                yield tuple([as_text(v, f"{name}: row {row}, '{c}'") for c, v in zip(chosen, values, strict=True)])
                row += 1


def _parquet_records(stream: BinaryIO, name: str) -> Iterator[dict[str, object]]:
    with _parquet_file(stream, name) as file:
        for batch in file.iter_batches(PARQUET_ROWS):
            yield from batch.to_pylist()


PARQUET_ROWS = 1024  # read at once


@contextlib.contextmanager
def _parquet_file(stream: BinaryIO, name: str) -> Iterator[Any]:
    """Open a parquet file; raise its errors in the block as UserError."""
    import pyarrow
    import pyarrow.parquet

    try:
        yield pyarrow.parquet.ParquetFile(stream)
    except gzip.BadGzipFile:
        raise
    # ValueError and OverflowError: dates out of Python's range
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{name} is a damaged parquet file: {reason}. Write it again.") from None


_SURROGATES = re.compile("[\ud800-\udfff]")  # surrogates, which JSON can escape and UTF-8 cannot encode


def as_text(value: object, where: str) -> str:
    """Return a value of JSON or parquet as text.

    Args:
        where: location of the value, for messages.

    Raises:
        UserError: the value is a list, a date or the like, or too long.
    """
    if isinstance(value, str):
        if len(value) > SIZE_LIMIT:
            raise too_long_error(where, "text")
        return _SURROGATES.sub("\ufffd", value)
    if value is None or value != value:  # NaN too is a missing value
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise UserError(f"{where}: found {type(value).__name__} {str(value)[:40]}, need text.")


FORMATS: dict[str, TableFormat] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": TableFormat(_json_columns, _json_rows, _json_values),
    ".parquet": TableFormat(_parquet_columns, _parquet_rows, _parquet_records),
}
