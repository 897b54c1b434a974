"""The parts that all readers of tables share: finding columns by name, and converting values to text."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import BinaryIO, NamedTuple

from textclf.errors import UserError
from textclf.io.sanitize import excerpt, join_names
from textclf.io.streams import SIZE_LIMIT, too_long_error

KEPT = "--keep"
"""The setting of columns that are carried along."""

Lists = Mapping[str, str | None]
"""Separator that joins a list of labels, by the setting of each column that may hold such lists."""

Columns = Sequence[tuple[str, str]]
"""The setting that chose each column, such as `data.text`, and the name of the column."""

Located = tuple[str, dict[str, object]]
"""Location of an object in its file, for messages, and the object."""


class TableFormat(NamedTuple):
    """The readers of a file format; each takes an open stream and the file's name for messages."""

    columns: Callable[[BinaryIO, str], list[str]]
    """Reads the names of the columns."""
    rows: Callable[[BinaryIO, str, Columns, Lists], Iterator[tuple[str, ...]]]
    """Yields rows of some columns; see `read_columns`."""
    records: Callable[[BinaryIO, str], Iterator[dict[str, object]]]
    """Yields rows of all columns; see `read_records`."""


def column_index(file: str, columns: list[str], name: str, *, key: str) -> int:
    """Return the index of the column with a name; blanks around names and their Unicode form are ignored.

    Args:
        file: name of the file, and `key` the setting that chose the column, for messages.

    Raises:
        UserError: no column has the name, or more than one.
    """
    matches = [index for index, column in enumerate(columns) if column == name]
    matches = matches or [index for index, column in enumerate(columns) if column.strip() == name.strip()]
    matches = matches or [index for index, column in enumerate(columns) if _composed(column) == _composed(name)]
    if not matches:
        raise UserError(f"{file} has no column '{name}'; it has: {join_names(columns) or 'none'}. Set {key}.")
    if len(matches) > 1:
        raise UserError(f"{file} has {len(matches)} columns '{name}'. Rename all but one.")
    return matches[0]


def select_columns(objects: Iterable[Located], columns: Columns, lists: Lists) -> Iterator[tuple[str, ...]]:
    """Yield some columns of each object as text.

    Raises:
        UserError: an object lacks a column, or has a value that is no text.
    """
    for where, record in objects:
        texts = []
        for setting, column in columns:
            name = column if column in record else _own_name(record, column, where, setting)
            value, cell = record[name], f"{where}: '{name}'"
            texts.append(as_labels(value, cell, lists[setting]) if setting in lists else as_text(value, cell))
        yield tuple(texts)


def _own_name(record: dict[str, object], column: str, where: str, setting: str) -> str:
    names = list(record)
    return names[column_index(where, names, column, key=setting)]


def has_column(columns: list[str], name: str) -> bool:
    """Return True if a column has the name, as `column_index` compares names."""
    return _composed(name) in map(_composed, columns)


def check_distinct(columns: Columns) -> None:
    """Check that the columns of texts and labels are named once each.

    Raises:
        UserError: one is named twice, or as the column of labels too.
    """
    key_of: dict[str, str] = {}
    for key, name in columns:
        other_key = key_of.get(_composed(name))
        if other_key:
            problem = "named twice. Name it once." if key == other_key else f"that of {other_key} too. Name another."
            raise UserError(f"{key}: the column '{name}' is {problem}")
        key_of[_composed(name)] = key


def each_of(option: str, columns: Sequence[str]) -> str:
    """Return the option for a message on the columns of the texts: it is given once for each of them."""
    return option if len(columns) == 1 else f"{option} for each of the {len(columns)} columns of the texts"


def _composed(name: str) -> str:
    """Return a name without outer blanks, and with letters and their accents as one character (NFC)."""
    return unicodedata.normalize("NFC", name.strip())


def join_texts(rows: Iterator[tuple[str, ...]], count: int) -> Iterator[tuple[str, ...]]:
    """Return the rows with their first `count` fields joined by blanks into one text; empty fields are left out."""
    if count == 1:
        return rows
    return ((" ".join([field for field in row[:count] if field.strip()]), *row[count:]) for row in rows)


_SURROGATES = re.compile("[\ud800-\udfff]")  # surrogates, which JSON can escape and UTF-8 cannot encode


def as_text(value: object, where: str) -> str:
    """Return a value of JSON or parquet as text; null and NaN are missing values, and empty.

    Args:
        where: location of the value, for messages.

    Raises:
        UserError: the value is a list, a date or the like, too long, or bytes that are not UTF-8.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{where}: byte 0x{value[error.start]:02x} is not UTF-8. Save it as text.") from None
    if isinstance(value, str):
        if len(value) > SIZE_LIMIT:
            raise too_long_error(where, "text")
        return _SURROGATES.sub("\ufffd", value)
    if value is None or (isinstance(value, float | Decimal) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"  # never with an exponent
    if isinstance(value, int | float):
        return str(value)
    raise UserError(f"{where}: found {type(value).__name__} {str(value)[:40]}, need text.")


def as_kept(value: object, where: str) -> str:
    """Return a value of a column that is carried along as text; dates and times in ISO 8601."""
    return value.isoformat() if isinstance(value, date | time) else as_text(value, where)


def as_labels(value: object, where: str, separator: str | None) -> str:
    """Return a value of the column of labels as text; several labels are joined by the separator.

    Args:
        separator: between several labels; None: a list has one.

    Raises:
        UserError: there are several labels and no separator, or a label holds it; else as `as_text`.
    """
    items = label_items(value)
    if items is None:
        return as_text(value, where)
    labels = [label for label in (as_text(item, where) for item in items) if label]
    if len(labels) > 1 and separator is None:
        named = join_names(labels, most=3)
        raise UserError(f'{where}: {len(labels)} labels: {named}. Set data.label_separator, such as "|".')
    for label in labels:
        if separator is not None and separator in label:
            raise UserError(
                f"{where}: the label '{excerpt(label)}' holds the separator '{separator}', which would split it. "
                "Set another data.label_separator."
            )
    return (separator or "").join(labels)


def label_items(value: object) -> list[object] | None:
    """Return the labels of a list, or of an object that has 1 or 0 for each, as spaCy does; None for other values."""
    if isinstance(value, dict) and value and all(str(number) in _ON_OFF for number in value.values()):
        return [label for label, number in value.items() if _ON_OFF[str(number)]]
    return value if isinstance(value, list) else None


_ON_OFF = {"1": True, "1.0": True, "True": True, "0": False, "0.0": False, "False": False}
