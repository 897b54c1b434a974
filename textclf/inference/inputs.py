"""Reading the texts to predict as they arrive: lines of a file or of standard input, or columns of a table."""

import contextlib
import io
import json
import logging
import math
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from textclf.data.readers import FORMATS, file_format, is_table
from textclf.data.table_format import TableFormat, check_distinct, each_of, has_column, join_texts
from textclf.io.streams import SIZE_LIMIT, check_content, decode_line, is_regular_file, open_data, too_long_error

logger = logging.getLogger(__name__)

FIRST_BYTES, READ_BYTES = 1 << 16, 1 << 20  # of the first read, and most of any: twice as many each time

CHUNK_ROWS = 8192  # texts predicted together: enough rows of each length, little memory

SHORT_BYTES = 2048  # a few dozen lines

TABLE_LINES = 20  # most lines that are compared with those of a table


def read_lines(stream: BinaryIO, name: str) -> Iterator[list[str]]:
    """Yield lines in chunks, as soon as the stream has them; only a line feed ends a line, CR before it is dropped.

    Raises:
        UserError: a line is not UTF-8 or longer than SIZE_LIMIT.
    """
    read = getattr(stream, "read1", stream.read)  # returns what has arrived, without waiting for more
    open_line: list[bytes] = []  # pieces of a line whose end has not been read
    number = size = 0
    read_bytes = FIRST_BYTES
    while data := read(read_bytes):
        read_bytes = min(2 * read_bytes, READ_BYTES)
        if b"\n" not in data:
            open_line.append(data)
            size += len(data)
            if size > SIZE_LIMIT:
                raise too_long_error(f"{name}:{number + 1}", "line")
            continue
        *lines, rest = b"".join([*open_line, data]).split(b"\n")
        open_line, size = [rest], len(rest)
        yield _decode(lines, name, number)
        number += len(lines)
    if any(open_line):
        yield _decode([b"".join(open_line)], name, number)


def _decode(lines: list[bytes], name: str, before: int) -> list[str]:
    if before == 0:
        lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
    if len(lines[0]) > SIZE_LIMIT:  # the others were read at once, which is shorter
        raise too_long_error(f"{name}:{before + 1}", "line")
    return [decode_line(line.removesuffix(b"\r"), name, number) for number, line in enumerate(lines, start=before + 1)]


def is_short(path: Path) -> bool:
    """Return True if this is a short file of lines, which are few unless they are very short."""
    return is_regular_file(str(path)) and not is_table(path) and path.suffix != ".gz" and _size(path) <= SHORT_BYTES


def _size(path: Path) -> float:
    with contextlib.suppress(OSError):  # whoever opens it says why
        return path.stat().st_size
    return math.inf


def read_texts(
    path: Path, *, columns: Sequence[str] = (), default_columns: Sequence[str] = (), input_format: str | None = None
) -> Iterator[list[str]]:
    """Yield the texts in chunks; `-` is standard input.

    Args:
        columns: columns of a table, whose values are joined by blanks; none: `default_columns`.
        input_format: `lines`, or csv, tsv or jsonl for a table; None: by the name of the file; standard input then has
            lines, or CSV if there are `columns`.

    Raises:
        UserError: the input cannot be read, or lacks a column.
    """
    check_distinct([("--column", column) for column in columns])
    with _open(path) as stream:
        table = _table_format(path, columns, input_format)
        if table:
            yield from _read_columns(stream, str(path), table, columns or default_columns)
            return
        yield from _warn_of_carriage_returns(_lines(stream, str(path), input_format, default_columns), str(path))


def _lines(
    stream: BinaryIO, name: str, input_format: str | None, default_columns: Sequence[str]
) -> Iterator[list[str]]:
    """Yield lines in chunks; warn if they look like a table, unless `input_format` is given."""
    for chunk, lines in enumerate(read_lines(stream, name)):
        if chunk == 0 and input_format is None and default_columns:
            _warn_of_table(lines[:TABLE_LINES], name, default_columns)
        yield lines


def _table_format(path: Path, columns: Sequence[str], input_format: str | None) -> TableFormat | None:
    """Return the format of a table; None for lines."""
    if input_format:
        return None if input_format == "lines" else FORMATS[f".{input_format}"]
    if str(path) == "-":
        return FORMATS[".csv"] if columns else None
    return file_format(path) if columns or is_table(path) else None


@contextlib.contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        # with a buffer of its own: at exit Python must not wait for a thread that reads Python's
        stream = io.BufferedReader(cast(io.RawIOBase, getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)))
        check_content(stream.peek(1), "-")
        yield stream
    else:
        with open_data(path, pipes=True) as file:
            yield file


def _read_columns(stream: BinaryIO, name: str, table: TableFormat, columns: Sequence[str]) -> Iterator[list[str]]:
    option = each_of("--column", columns)
    rows = join_texts(table.rows(stream, name, [(option, column) for column in columns], {}), len(columns))
    size = 1  # the first row is predicted at once, then twice as many each time
    while chunk := [text for (text,) in islice(rows, size)]:
        yield chunk
        size = min(2 * size, CHUNK_ROWS)


# Lines that look like a table


def _warn_of_table(lines: list[str], name: str, columns: Sequence[str]) -> None:
    """Warn if the first lines look like those of a table."""
    input_format = _looks_like(lines, columns)
    if input_format:
        logger.warning(
            "%s: the lines look like %s, and each is taken for a text. --input-format %s reads %s '%s' of a table, or "
            "those that --column names", name, input_format.upper(), input_format,
            "the column" if len(columns) == 1 else "the columns", "' and '".join(columns),
        )  # fmt: skip


def _warn_of_carriage_returns(chunks: Iterator[list[str]], name: str) -> Iterator[list[str]]:
    """Yield the chunks; warn of the first line that holds a carriage return, with which old programs end lines."""
    before, told = 0, False
    for texts in chunks:
        if not told:
            line = next((number for number, text in enumerate(texts, start=1) if "\r" in text.rstrip("\r")), None)
            if line is not None:
                logger.warning(
                    "%s:%d: a line holds a carriage return and is one text, since only line feeds end lines. If it is "
                    "several, save the file with LF or CRLF line ends", name, before + line,
                )  # fmt: skip
                told = True
        before += len(texts)
        yield texts


_QUOTED = re.compile('"[^"]*"')


def _looks_like(lines: list[str], columns: Sequence[str]) -> str | None:
    """Return `jsonl`, `csv` or `tsv` if the first lines are those of such a table, else None."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return None
    if all(map(_is_object, filled)) or filled[0].strip() in ("[", "[{"):
        return "jsonl"
    for delimiter in ",;\t":
        rows = [_QUOTED.sub("", line).split(delimiter) for line in filled]
        names = [name.strip().strip('"') for name in filled[0].split(delimiter)]
        is_header = all(has_column(names, column) for column in columns)
        is_regular = len(rows) > 2 and len(rows[0]) > 1 and all(_same_fields(row, rows[0]) for row in rows)
        if is_header or is_regular:
            return "tsv" if delimiter == "\t" else "csv"
    return None


def _is_object(line: str) -> bool:
    """Return True if the line is a JSON object."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _same_fields(row: list[str], header: list[str]) -> bool:
    """Return True if a row has as many fields as the header, and no blanks after delimiters, as prose has."""
    return len(row) == len(header) and not any(field.startswith(" ") for field in row[1:])
