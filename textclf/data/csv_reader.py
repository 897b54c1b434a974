"""The reader of .csv and .tsv files, also of those with another delimiter than their name says.

The header and the first row say how a file is read, so that it may come through a pipe. Between tabs a double quote is
an ordinary character, unless the row shows that it encloses a field; see `_tab_records`.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from textclf.data.label_studio import is_export, labelled_records, labelled_rows
from textclf.data.table_format import Columns, Lists, Located, TableFormat, column_index, select_columns
from textclf.errors import UserError
from textclf.io.sanitize import excerpt
from textclf.io.streams import SIZE_LIMIT, text_lines, too_long_error

logger = logging.getLogger(__name__)

# the csv module's default limit of a field, 131,072 characters, is too low for some texts
csv.field_size_limit(SIZE_LIMIT)

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}

HEAD_LINES = 100  # most lines, blank ones included, in which the header and the first row are looked for


class _Table(NamedTuple):
    """The lines of an open file, and how fields are separated in them."""

    name: str
    lines: Iterator[str]
    first_line: int
    """Number of the first of these lines: 2 where Excel's line `sep=` stands before it."""
    delimiter: str
    skips_blanks: bool
    """True if blanks after a delimiter are no part of a field, as in `text, label`."""
    quotes: bool
    """True if double quotes enclose fields; False to read the file by `_tab_records`."""


_SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?\r?\n?')

_QUOTED = re.compile('"[^"]*"?')


def _open_table(stream: BinaryIO, name: str, delimiter: str) -> _Table:
    """Look at the header and the first row of a file.

    Args:
        delimiter: the one that the name of the file stands for.
    """
    lines = text_lines(stream, name)
    head: list[str] = []
    first_line = 1
    for line in lines:
        separator_line = None if head else _SEPARATOR_LINE.fullmatch(line)
        if separator_line:
            delimiter, first_line = separator_line[1], 2
            continue
        head.append(line)
        if sum(not line.isspace() for line in head) == 2 or len(head) == HEAD_LINES:
            break
    header, row = [*(line.rstrip("\r\n") for line in head if not line.isspace()), "", ""][:2]
    names = _QUOTED.sub("", header)
    if delimiter not in names:
        most_frequent = max(DELIMITERS, key=lambda other: (names.count(other), other == delimiter))
        if first_line == 2 and most_frequent in names:
            raise UserError(
                f"{name}:1: this line says that fields are separated by {_separated_by(delimiter)}, and the header has "
                f"{_separated_by(most_frequent)}: {excerpt(header)}. Drop the line, or correct it."
            )
        delimiter = most_frequent if first_line == 1 else delimiter
    all_quoted = all(field[:1] == field[-1:] == '"' for field in header.split(delimiter))
    return _Table(
        name=name,
        lines=chain(head, lines),
        first_line=first_line,
        delimiter=delimiter,
        skips_blanks=delimiter != "\t" and _skips_blanks(names, header, row, delimiter),
        quotes=delimiter != "\t" or all_quoted,
    )


def _separated_by(delimiter: str) -> str:
    return DELIMITERS.get(delimiter, f"'{delimiter}'")


def _skips_blanks(names: str, header: str, row: str, delimiter: str) -> bool:
    """Return True if each name in the header follows a blank, or a field of the first row is quoted after one."""
    following = names.split(delimiter)[1:]
    if following and all(name[:1] == " " for name in following):
        return True
    if "\r" in header + row or not re.search(re.escape(delimiter) + ' +"', row):  # a carriage return is refused later
        return False
    as_it_is, skipped = (
        next(csv.reader([row], delimiter=delimiter, skipinitialspace=skips), []) for skips in (False, True)
    )
    [width] = [len(fields) for fields in csv.reader([header], delimiter=delimiter)]
    enclosed = any(re.fullmatch(' +".*"', field, re.DOTALL) for field in as_it_is)
    return len(skipped) == width and (enclosed or len(as_it_is) != width)


def _records(table: _Table) -> Iterator[list[str]]:
    """Yield the fields of each record; a blank line is one only in a file of one column.

    Raises:
        UserError: a record has more or fewer fields than the header, quotes are wrong, or one of them joins rows.
    """
    joined = _JoinedRows(table)
    records = _quoted_records(table) if table.quotes else _tab_records(table, joined)
    width = 0
    header: list[str] = []
    headers: list[int] = []  # lines of later headers
    try:
        for line, last_line, fields in records:
            if not fields and width != 1:
                continue
            fields = fields or [""]
            if len(fields) != width:
                if width:
                    raise _ragged(table, line, len(fields), width)
                width, header = len(fields), fields
            elif fields[-1] == header[-1] and width > 1 and _is_header(fields, header):
                headers.append(line)
            elif last_line > line:
                joined.check(fields, line, last_line)
            elif joined.sample_size > 0:
                joined.add(fields)
            yield fields
    finally:
        joined.warn()
        if headers:
            logger.warning(
                "%s: rows that repeat the header: %d, the first in line %d. They are read as rows. If files were "
                "joined into this one, drop the headers of all but the first", table.name, len(headers), headers[0],
            )  # fmt: skip


def _is_header(fields: list[str], header: list[str]) -> bool:
    """Return True if a row repeats the header, with the byte order mark of another file before it or without."""
    return fields[1:] == header[1:] and fields[0].removeprefix("\ufeff").strip('"') == header[0]


def _ragged(table: _Table, line: int, fields: int, width: int) -> UserError:
    delimiter = "a tab" if table.delimiter == "\t" else repr(table.delimiter)
    cause = delimiter if fields > width else "a line break"
    return UserError(
        f"{table.name}:{line}: the header has {width} fields, this row {fields}. "
        f"Put a text that holds {cause} in double quotes."
    )


def _quoted_records(table: _Table) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the first line, the last line and the fields of each record, as the csv module reads them."""
    line = size = 0  # first line and size of the record: a quoted field may have any number of lines
    before = table.first_line - 1

    def limited_lines() -> Iterator[str]:
        nonlocal size
        for text in table.lines:
            size += len(text)
            if size > SIZE_LIMIT:
                raise too_long_error(f"{table.name}:{line}", "row")
            yield text

    # strict: else a quote that is not closed would silently take in all rows after it
    reader = csv.reader(
        limited_lines(), delimiter=table.delimiter, skipinitialspace=table.skips_blanks, strict=True
    )  # fmt: skip
    while True:
        line, size = before + reader.line_num + 1, 0
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise _csv_error(table.name, line, error) from None
        if fields is None:
            return
        yield line, before + reader.line_num, fields


def _csv_error(name: str, line: int, error: csv.Error) -> UserError:
    hint = next((hint for part, hint in _CSV_ERRORS.items() if part in str(error)), error)
    return UserError(f"{name}:{line}: {hint}")


_CARRIAGE_RETURN = (
    "a carriage return outside double quotes. Quote the field, or save the file with LF or CRLF line ends."
)

_CSV_ERRORS = {
    "unexpected end of data": "a double quote is opened here and never closed. Close it, or double it to mean itself.",
    "new-line character": _CARRIAGE_RETURN,
    "expected after": "text after a closing double quote. Double each double quote inside a quoted field.",
}


def _tab_records(table: _Table, joined: "_JoinedRows") -> Iterator[tuple[int, int, list[str]]]:
    """Yield the first line, the last line and the fields of each record.

    A line with as many tabs as the header is a row, whose fields are unquoted where a writer of CSV quoted them: quotes
    at both ends, and those inside doubled. Other quotes are ordinary characters. A line with more or fewer tabs begins
    a record with quoted fields, which may go over several lines.
    """
    number, width = table.first_line - 1, 0
    for line in table.lines:
        number += 1
        text = line.rstrip("\r\n")
        fields = text.split("\t") if text else []
        if '"' not in line:
            if "\r" in text:
                raise UserError(f"{table.name}:{number}: {_CARRIAGE_RETURN}")
        elif len(fields) == width or not width:
            joined.note_open_quote(fields, number)
            fields = [_unquote(field) for field in fields]
        else:
            rest = table._replace(lines=chain([line], table.lines), first_line=number)
            first, number, fields = next(_quoted_records(rest))
            yield first, number, fields
            continue
        width = width or len(fields)
        yield number, number, fields


def _unquote(field: str) -> str:
    """Return the field without the quotes around it, if they are those of a writer of CSV."""
    inner = field[1:-1]
    is_quoted = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else field


class _JoinedRows:
    """A search for rows that a stray quote joined into one record, and for records that were split into rows.

    Args:
        table: the file, whose first rows show the values of its columns.
    """

    def __init__(self, table: _Table):
        self.sample_size = 1000  # rows still to be looked at for the values of the columns
        self._table = table
        self._values: list[set[str]] = []
        self._joined: list[int] = []  # first lines of records that may be several rows
        self._split: list[int] = []  # lines of rows that may be the first of a split record
        self._open_line = 0  # the last row of a field that begins with a quote and goes on

    def add(self, fields: list[str]) -> None:
        """Add the values of a row to those of the columns."""
        self.sample_size -= 1
        self._values = self._values or [set() for _ in fields]
        for values, field in zip(self._values, fields, strict=True):
            if 0 < len(field) <= 40:
                values.add(field)

    def check(self, fields: list[str], line: int, last_line: int) -> None:
        """Refuse a record whose lines look like rows of the table; count one whose lines might be rows.

        Lines with as many fields as a row might be rows; they look like rows if their values occur in other rows too.

        Raises:
            UserError: its lines look like rows.
        """
        with_lines = [index for index, field in enumerate(fields) if "\n" in field]
        if len(with_lines) != 1 or len(fields) == 1:
            return
        index = with_lines[0]
        rows = [part.rstrip("\r").split(self._table.delimiter) for part in fields[index].split("\n")]
        rows[0] = fields[:index] + rows[0]
        rows[-1] += fields[index + 1 :]
        if not all(self._is_row(row, fields) for row in rows[1:-1] or rows):
            return
        self.add(["" if position == index else field for position, field in enumerate(fields)])
        # the first line's fields before the quote, and the last line's behind it, are those of the record itself
        rows[0][:index] = [""] * index
        rows[-1] = rows[-1][: index + 1]
        if 2 * sum(self._has_known_value(row, index) for row in rows) >= len(rows) - 1:
            raise UserError(
                f"{self._table.name}:{line}: a double quote is opened here and closed in line {last_line}, and each of "
                "these lines looks like a row. Double a quote that means itself; if this is one text, save the file as "
                ".jsonl."
            )
        self._joined.append(line)

    def note_open_quote(self, fields: list[str], line: int) -> None:
        """Count a row as the first of a split record if it opens a quote that the next row closes.

        With one column, where each line of a text is a row, one of the next hundred rows may close it.
        """
        odd = [index for index, field in enumerate(fields) if field.count('"') % 2]
        if len(odd) != 1:
            return
        [index] = odd
        distance = 1 if len(fields) > 1 else 100
        if fields[index].endswith('"') and 0 < line - self._open_line <= distance and self._open_line:
            self._split.append(self._open_line)
            self._open_line = 0
        elif fields[index].startswith('"') and not self._has_known_value(fields, index):
            self._open_line = line

    def _is_row(self, row: list[str], fields: list[str]) -> bool:
        """Return True if a line has as many fields as the record, and none that is blank or follows a blank."""
        after_blank = not self._table.skips_blanks and any(field[:1] == " " for field in row[1:])
        complete = all(value.strip() or not field.strip() for value, field in zip(row, fields, strict=False))
        return len(row) == len(fields) and complete and not after_blank

    def _has_known_value(self, row: list[str], index: int) -> bool:
        """Return True if a field, other than the one at the index, is among the values of its column."""
        others = [*row[:index], "", *row[index + 1 :]]
        return any(field in values for field, values in zip(others, self._values, strict=False))

    def warn(self) -> None:
        """Log how many records may be joined or split."""
        name = self._table.name
        if self._joined:
            logger.warning(
                "%s: quoted texts with lines that could be rows: %d, the first in line %d. If a stray quote joined "
                "rows there, double it to mean itself", name, len(self._joined), self._joined[0],
            )  # fmt: skip
        if self._split:
            logger.warning(
                "%s: rows that could be one quoted text of several lines: %d, the first in line %d. If they are, quote "
                "the names in the header too", name, len(self._split), self._split[0],
            )  # fmt: skip


def _objects(records: Iterator[list[str]], header: list[str], name: str) -> Iterator[Located]:
    """Yield each row with its location, without the columns whose name another one has too."""
    counts = Counter(header)
    indices = {column: index for index, column in enumerate(header) if counts[column] == 1}
    for row, fields in enumerate(records):
        yield f"{name}: row {row}", {column: fields[index] for column, index in indices.items()}


def delimited(delimiter: str) -> TableFormat:
    """Return the format of files whose fields are separated by a delimiter, unless their header says otherwise."""

    def open_table(stream: BinaryIO, name: str) -> tuple[_Table, Iterator[list[str]], list[str]]:
        table = _open_table(stream, name, delimiter)
        records = _records(table)
        header = next(records, None)
        if header is None:
            raise UserError(f"{name} is empty. It needs a header line and rows.")
        return table, records, header

    def column_names(stream: BinaryIO, name: str) -> list[str]:
        return open_table(stream, name)[2]

    def open_rows(stream: BinaryIO, name: str) -> tuple[Iterator[list[str]], list[str]]:
        table, records, header = open_table(stream, name)
        if table.delimiter != delimiter:
            separated = _separated_by(table.delimiter)
            logger.info("%s: its fields are separated by %s, as its first line says", name, separated)
        return records, header

    def rows(stream: BinaryIO, name: str, columns: Columns, lists: Lists) -> Iterator[tuple[str, ...]]:
        records, header = open_rows(stream, name)
        indices = [column_index(name, header, column, key=key) for key, column in columns]
        if lists and is_export(header):
            named = [(key, header[index]) for (key, _), index in zip(columns, indices, strict=True)]
            tasks = labelled_rows(_objects(records, header, name), name, named, lists)
            yield from select_columns(tasks, named, lists)
            return
        for fields in records:
            yield tuple([fields[index] for index in indices])

    def all_columns(stream: BinaryIO, name: str) -> Iterator[dict[str, object]]:
        records, header = open_rows(stream, name)
        objects = _objects(records, header, name)
        yield from labelled_records(objects, name) if is_export(header) else (record for _, record in objects)

    return TableFormat(column_names, rows, all_columns)
