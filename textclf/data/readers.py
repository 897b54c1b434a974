"""Tables of text from .csv, .tsv, .jsonl and .parquet files: every row, in order, as it stands."""

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
from textclf.io.streams import LONGEST, OpenData, decoded_lines, too_long

# The module's own limit of a field, 131072 characters, is below the length of some texts; rows are limited below.
csv.field_size_limit(LONGEST)


def read_columns(
    path: Path, wanted: Mapping[str, str], *, sha256: "hashlib._Hash | None" = None
) -> Iterator[tuple[str, ...]]:
    """The wanted columns of a file, row by row, read as it goes.

    Args:
        wanted: column name by the setting that chose it, such as `{"data.text": "review"}`, for messages.
        sha256: is updated with the bytes of the file, all of them once its last row has been read.

    Raises:
        UserError: the file is missing, damaged, not UTF-8, ragged or without a wanted column.
    """
    with OpenData(path, sha256=sha256) as stream:
        yield from file_format(path).rows(stream, str(path), wanted)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Every column of a file that has a name of its own, row by row, read as it goes.

    Raises:
        UserError: the file is missing, damaged, not UTF-8 or ragged.
    """
    with OpenData(path) as stream:
        yield from file_format(path).records(stream, str(path))


def find_files(patterns: str | list[str], *, key: str) -> list[Path]:
    """The files that names or globs stand for, a glob's in alphabetical order.

    Raises:
        UserError: a name or a glob stands for none, or a name is not UTF-8; `key` is the setting that it came from.
    """
    files: list[Path] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = _matching(pattern)
        if not found:
            raise UserError(f"{key}: no file '{pattern}' (looked in {Path.cwd()}).")
        unnamed = [path for path in found if not is_encodable(str(path))]
        if unnamed:
            raise UserError(f"{key}: the name {unnamed[0]} is not UTF-8, so that no run can hold it. Rename the file.")
        files += found
    if not files:
        raise UserError(f"{key}: an empty list; name at least one file.")
    return files


def _matching(pattern: str) -> list[Path]:
    if os.path.exists(pattern):  # noqa: PTH110 - Path.exists raises where a name is too long
        return [Path(pattern)]
    # glob raises where there is a NUL, which no name can hold
    return [] if "\0" in pattern else sorted(map(Path, glob.glob(pattern, recursive=True)))


class TableFormat(NamedTuple):
    """How a kind of file is read, from an open stream; `name` is for messages."""

    columns: Callable[[BinaryIO, str], list[str]]
    rows: Callable[[BinaryIO, str, Mapping[str, str]], Iterator[tuple[str, ...]]]
    records: Callable[[BinaryIO, str], Iterator[dict[str, Any]]]


def file_format(path: Path) -> TableFormat:
    """The format that a file's name says, `.gz` aside.

    Raises:
        UserError: it says none that can be read.
    """
    suffix = _suffix(path)
    if suffix not in FORMATS:
        raise UserError(f"{path}: unknown kind of file '{suffix}'; known: {', '.join(FORMATS)}, each also .gz.")
    return FORMATS[suffix]


def is_table(path: Path) -> bool:
    """Whether a file's name says that it holds columns, and not plain lines."""
    return _suffix(path) in FORMATS


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def column_index(name: str, columns: list[str], wanted: str, *, key: str) -> int:
    """Where a column stands, blanks around its name aside.

    Raises:
        UserError: there is none, or more than one.
    """
    found = [i for i, column in enumerate(columns) if column == wanted]
    found = found or [i for i, column in enumerate(columns) if column.strip() == wanted.strip()]
    if not found:
        raise UserError(f"{name} has no column '{wanted}'; it has: {join_names(columns) or 'none'}. Set {key}.")
    if len(found) > 1:
        raise UserError(f"{name} has {len(found)} columns '{wanted}'. Rename all but one.")
    return found[0]


def _csv_records(stream: BinaryIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each record; a blank line is none unless the file has one column."""
    line = size = 0  # where the record begins, and its characters: a quoted text may go over lines without end

    def limited() -> Iterator[str]:
        nonlocal size
        for text in decoded_lines(stream, name):
            size += len(text)
            if size > LONGEST:
                raise too_long(f"{name}:{line}", "row")
            yield text

    # strict: else a quote that is never closed would swallow every row after it without a word
    reader = csv.reader(limited(), delimiter=delimiter, strict=True)
    width = 0
    while True:
        line, size = reader.line_num + 1, 0
        try:
            fields = next(reader, None)
        except csv.Error as error:
            hints = [hint for said, hint in _CSV_ERRORS.items() if said in str(error)]
            raise UserError(f"{name}:{line}: {hints[0] if hints else error}") from None
        if fields is None:
            return
        if not fields and width != 1:
            continue
        width = width or len(fields)
        if len(fields or [""]) != width:
            mark = f"'{delimiter}'" if len(fields) > width else "a line break"
            raise UserError(
                f"{name}:{line}: the header has {width} fields, this row {len(fields)}. "
                f"Put a text that holds {mark} in double quotes."
            )
        yield line, fields or [""]


_CSV_ERRORS = {
    "unexpected end of data": "a double quote is opened here and never closed. Close it, or double it to mean itself.",
    "new-line character": (
        "a carriage return outside double quotes. Quote the field, or save the file with LF or CRLF line ends."
    ),
    "expected after": "text after a closing double quote. Double each double quote inside a quoted field.",
}


def _separated(delimiter: str) -> TableFormat:
    def columns(stream: BinaryIO, name: str) -> list[str]:
        return _csv_header(_csv_records(stream, name, delimiter), name)

    def rows(stream: BinaryIO, name: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
        records = _csv_records(stream, name, delimiter)
        header = _csv_header(records, name)
        places = [column_index(name, header, column, key=key) for key, column in wanted.items()]
        for _, fields in records:
            yield tuple([fields[place] for place in places])

    def records(stream: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
        found = _csv_records(stream, name, delimiter)
        header = _csv_header(found, name)
        named = Counter(header)
        places = {column: place for place, column in enumerate(header) if named[column] == 1}
        for _, fields in found:
            yield {column: fields[place] for column, place in places.items()}

    return TableFormat(columns, rows, records)


def _csv_header(records: Iterator[tuple[int, list[str]]], name: str) -> list[str]:
    _, header = next(records, (0, None))
    if header is None:
        raise UserError(f"{name} is empty. It needs a header line and rows.")
    return header


def _json_records(stream: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(decoded_lines(stream, name), start=1):
        if line.isspace():
            continue
        where = f"{name}:{number}"
        try:
            # Numbers stay the text they are: a label 1e3 or 007 must not change.
            record = json.loads(line, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}:{error.pos + 1}: not JSON: {error.msg}. Put an object on each line.") from None
        except RecursionError:
            raise UserError(f"{where}: nested too deeply. Put an object with texts on each line.") from None
        except KeyError as error:
            raise UserError(f"{where}: the key '{error.args[0]}' stands twice. Drop one.") from None
        if not isinstance(record, dict):
            raise UserError(f'{where}: found {line.strip()[:40]}, need an object such as {{"text": ...}}.')
        yield number, record


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyError(next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1))
    return found


def _json_columns(stream: BinaryIO, name: str) -> list[str]:
    for _, record in _json_records(stream, name):
        return list(record)
    raise UserError(f"{name} is empty. It needs a JSON object a line.")


def _json_rows(stream: BinaryIO, name: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for number, record in _json_records(stream, name):
        where = f"{name}:{number}"
        found = list(record)
        places = [found[column_index(where, found, column, key=key)] for key, column in wanted.items()]
        yield tuple([as_text(record[place], f"{where}: '{place}'") for place in places])


def _json_values(stream: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    return (record for _, record in _json_records(stream, name))


def _parquet_columns(stream: BinaryIO, name: str) -> list[str]:
    with _parquet_file(stream, name) as file:
        return list(file.schema_arrow.names)


def _parquet_rows(stream: BinaryIO, name: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    with _parquet_file(stream, name) as file:
        header = list(file.schema_arrow.names)
        columns = [header[column_index(name, header, column, key=key)] for key, column in wanted.items()]
        row = 0
        for batch in file.iter_batches(PARQUET_ROWS, columns=columns):
            for values in zip(*(batch.column(column).to_pylist() for column in columns), strict=True):
                yield tuple([as_text(v, f"{name}: row {row}, '{c}'") for c, v in zip(columns, values, strict=True)])
                row += 1


def _parquet_records(stream: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    with _parquet_file(stream, name) as file:
        for batch in file.iter_batches(PARQUET_ROWS):
            yield from batch.to_pylist()


PARQUET_ROWS = 1024


@contextlib.contextmanager
def _parquet_file(stream: BinaryIO, name: str) -> Iterator[Any]:
    """The open file, with its faults as UserError."""
    import pyarrow
    import pyarrow.parquet

    try:
        yield pyarrow.parquet.ParquetFile(stream)
    except gzip.BadGzipFile:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # a date may be none that Python has
        said = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{name} is a damaged parquet file: {said}. Write it again.") from None


_HALVES = re.compile("[\ud800-\udfff]")  # halves of a character, which JSON can escape and no file can hold


def as_text(value: object, where: str) -> str:
    """The text that a value of JSON or parquet stands for.

    Raises:
        UserError: it is a list or the like, or too long, found at this place.
    """
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise too_long(where, "text")
        return _HALVES.sub("\ufffd", value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise UserError(f"{where}: found {type(value).__name__} {str(value)[:40]}, need text.")


FORMATS: dict[str, TableFormat] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": TableFormat(_json_columns, _json_rows, _json_values),
    ".parquet": TableFormat(_parquet_columns, _parquet_rows, _parquet_records),
}
