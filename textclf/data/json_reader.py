"""The reader of JSON files: an object on each line, or one list of objects."""

import codecs
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from textclf.data.label_studio import export_columns, is_export, labelled_records, labelled_rows
from textclf.data.table_format import Columns, Lists, Located, TableFormat, select_columns
from textclf.errors import UserError
from textclf.io.streams import SIZE_LIMIT, text_lines, too_long_error

BLOCK = 1 << 16  # bytes of a list that are read at once; more where an object has more


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the pairs as a dictionary; raise KeyError for a duplicate key."""
    document = dict(pairs)
    if len(document) < len(pairs):
        raise KeyError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return document


# numbers stay text: a label 1e3 or 1.10 must not change; NaN, which pandas writes for a missing value, is missing
_DECODER = json.JSONDecoder(
    parse_int=str,
    parse_float=str,
    parse_constant=lambda constant: None if constant == "NaN" else constant,
    object_pairs_hook=_unique_keys,
)


class _Item(NamedTuple):
    """A value of the file."""

    where: str
    """Its location, for messages."""
    value: object
    source: str
    """The JSON that it was read from."""


def _objects(stream: BinaryIO, name: str) -> Iterator[Located]:
    """Yield the location and the object of each row."""
    for where, value, source in _list_items(stream, name) if _begins_list(stream) else _lines(stream, name):
        if not isinstance(value, dict):
            raise UserError(f'{where}: found {source.strip()[:40]}, need an object such as {{"text": ...}}.')
        yield where, value


def _begins_list(stream: BinaryIO) -> bool:
    start: bytes = stream.peek(1) if hasattr(stream, "peek") else b""
    return start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["


def _lines(stream: BinaryIO, name: str) -> Iterator[_Item]:
    """Yield the value of each line that is not blank."""
    for number, line in enumerate(text_lines(stream, name), start=1):
        if line.isspace():
            continue
        where = f"{name}:{number}"
        try:
            yield _Item(where, _DECODER.decode(line), line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}:{error.pos + 1}: not JSON: {error.msg}. Put an object on each line.") from None
        except (RecursionError, KeyError) as error:
            raise _bad_object(where, error) from None


def _bad_object(where: str, error: RecursionError | KeyError) -> UserError:
    if isinstance(error, RecursionError):
        return UserError(f"{where}: nested too deeply. Put an object with texts on each line.")
    return UserError(f"{where}: the key '{error.args[0]}' stands twice. Drop one.")


def _list_items(stream: BinaryIO, name: str) -> Iterator[_Item]:
    """Yield the items of a list, in memory that does not grow with the list."""
    window = _Window(stream, name)
    window.take("[")
    for row in itertools.count():
        if window.next_character() == "]":
            break
        if row:
            window.take(",")
        yield window.value(f"{name}: row {row}")
    window.take("]")
    if window.next_character():
        raise UserError(f"{name}: more text behind the list. Put all objects into one list, or one on each line.")


_NOT_BLANK = re.compile(r"\S")

TRUNCATED = 12  # characters before the end of a text that is cut in a constant or an escape


class _Window:
    """The part of a JSON text that is being parsed."""

    def __init__(self, stream: BinaryIO, name: str):
        self._stream = stream
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._position = 0
        self._complete = False  # nothing is left to read

    def next_character(self) -> str:
        """Return the next character that is no blank; an empty string at the end."""
        while True:
            match = _NOT_BLANK.search(self._text, self._position)
            self._position = match.start() if match else len(self._text)
            if match or self._complete:
                return self._text[self._position : self._position + 1]
            self._read()

    def take(self, character: str) -> None:
        """Step over the next character, which must be this one."""
        next_character = self.next_character()
        if next_character != character:
            problem = f"found {next_character}" if next_character else "it ends"
            raise UserError(f"{self._name}: not JSON: {problem} where '{character}' should follow. Write it again.")
        self._position += 1

    def value(self, where: str) -> _Item:
        """Parse the next value."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                may_go_on = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - TRUNCATED
                if self._complete or not may_go_on:
                    raise UserError(f"{where}: not JSON: {error.msg}. Write it again.") from None
            except (RecursionError, KeyError) as error:
                raise _bad_object(where, error) from None
            else:
                source = self._text[self._position : min(end, self._position + 40)]
                self._position = end
                return _Item(where, value, source)
            if len(self._text) - self._position > SIZE_LIMIT:
                raise too_long_error(where, "row")
            self._read()

    def _read(self) -> None:
        """Read more of the stream, and drop what has been parsed."""
        rest = self._text[self._position :]
        block = self._stream.read(max(BLOCK, len(rest)))  # twice as much each time
        self._complete = not block
        try:
            self._text, self._position = rest + self._decoder.decode(block, final=self._complete), 0
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise UserError(f"{self._name}: byte 0x{byte:02x} is not UTF-8. Save the file as UTF-8.") from None


def _columns(stream: BinaryIO, name: str) -> list[str]:
    objects, of_label_studio = _open(stream, name)
    if of_label_studio:
        return export_columns(objects)
    for _, record in objects:
        return list(record)
    raise UserError(f"{name} is empty. It needs a JSON object per line.")


def _rows(stream: BinaryIO, name: str, columns: Columns, lists: Lists) -> Iterator[tuple[str, ...]]:
    objects, of_label_studio = _open(stream, name)
    yield from select_columns(
        labelled_rows(objects, name, columns, lists) if of_label_studio else objects, columns, lists
    )  # fmt: skip


def _records(stream: BinaryIO, name: str) -> Iterator[dict[str, object]]:
    objects, of_label_studio = _open(stream, name)
    return labelled_records(objects, name) if of_label_studio else (record for _, record in objects)


def _open(stream: BinaryIO, name: str) -> tuple[Iterator[Located], bool]:
    """Return the objects, and True if the first is one of an export of Label Studio."""
    objects = _objects(stream, name)
    first = next(objects, None)
    return (chain([first], objects), is_export(first[1])) if first else (objects, False)


JSON = TableFormat(_columns, _rows, _records)
