"""Protocol Buffers' wire format, written and read by a table of messages: what is not in the table is refused.

The package `onnx` does the same for all of ONNX and takes 50 ms to import, a seventh of what predicting one line takes.
"""

from collections.abc import Iterator, Mapping
from itertools import count, zip_longest
from typing import Any, NamedTuple

MOST_FIELDS = 1 << 17  # our largest graphs have some thousand; each takes a hundred times its bytes once it is read


class Field(NamedTuple):
    name: str
    kind: str
    """`int`, `text`, `bytes`, or the name of another message."""
    many: bool = False


Messages = Mapping[str, Mapping[int, Field]]
"""For each message its fields by their numbers, in the order of these."""

Document = dict[str, Any]
"""A message: its fields by name, those of `many` as lists."""


class WireError(Exception):
    """The bytes are no message of the table; the text says where and why."""


def write(document: Document, message: str, messages: Messages) -> list[Any]:
    """The bytes of a message in pieces, so that large ones are copied once, when they are joined."""
    pieces = []
    for number, field in messages[message].items():
        if field.name in document:
            value = document[field.name]
            for each in value if field.many else [value]:
                pieces += _field(number, field.kind, each, messages)
    return pieces


def _field(number: int, kind: str, value: Any, messages: Messages) -> list[Any]:
    if kind == "int":
        return [_varint(number << 3), _varint(value)]
    pieces = [value] if kind == "bytes" else [value.encode("utf-8")] if kind == "text" else write(value, kind, messages)
    return [_varint(number << 3 | 2), _varint(sum(map(len, pieces))), *pieces]


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first."""
    assert value >= 0  # ten bytes of two's complement, which `read` refuses; ONNX never asks for one
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)


def read(data: memoryview, message: str, messages: Messages) -> Document:
    """The message in the bytes; values of kind `bytes` are views of them.

    What can be written in several ways, such as the order of the fields, is read in any: to know that the bytes are
    those of `write`, write what was read and compare.

    Raises:
        WireError: they are no such message.
    """
    return _message(data, message, "", messages, count())


def _message(data: memoryview, message: str, path: str, messages: Messages, read_before: Iterator[int]) -> Document:
    fields = messages[message]
    document: Document = {field.name: [] for field in fields.values() if field.many}
    for number, value in _raw_fields(data, path or message):
        field = fields.get(number)
        if field is None or isinstance(value, int) != (field.kind == "int"):
            raise WireError(f"{path or message} has a field {number} that textclf never writes")
        if next(read_before) >= MOST_FIELDS:
            raise WireError(f"more than {MOST_FIELDS} fields")
        held = document.setdefault(field.name, []) if field.many else None
        if held is None and field.name in document:
            raise WireError(f"{path or message} has {field.name} twice")
        place = f"{path}.{field.name}" if path else field.name
        value = _value(value, field.kind, place if held is None else f"{place}[{len(held)}]", messages, read_before)
        if held is None:
            document[field.name] = value
        else:
            held.append(value)
    return document


def _value(value: Any, kind: str, path: str, messages: Messages, read_before: Iterator[int]) -> Any:
    if kind in ("int", "bytes"):
        return value
    if kind != "text":
        return _message(value, kind, path, messages, read_before)
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise WireError(f"{path} is not UTF-8") from None


def _raw_fields(data: memoryview, path: str) -> Iterator[tuple[int, int | memoryview]]:
    """The number and value of each field: a whole number, or the bytes of anything else."""
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place, path)
        value, place = _read_varint(data, place, path)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2:
            if value > len(data) - place:
                raise WireError(f"{path} is cut short")
            yield key >> 3, data[place : place + value]
            place += value
        else:
            raise WireError(f"{path} has a field {key >> 3} that textclf never writes")


def _read_varint(data: memoryview, place: int, path: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):  # as wide as what ONNX calls int64, less its sign
        if place == len(data):
            raise WireError(f"{path} is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise WireError(f"{path} has a number of more than 63 bits")


def first_difference(found: Any, expected: Any, path: str = "") -> str | None:
    """Where two values of a document differ first, and how; None where they are the same."""
    if isinstance(found, dict) and isinstance(expected, dict):
        pairs = [(f"{path}.{name}" if path else name, found.get(name), expected.get(name)) for name in found | expected]
    elif isinstance(found, list) and isinstance(expected, list):
        pairs = [(f"{path}[{place}]", *pair) for place, pair in enumerate(zip_longest(found, expected))]
    elif found == expected:
        return None
    elif isinstance(found, memoryview) and isinstance(expected, memoryview):
        return f"{path} holds other bytes"
    else:
        return f"{path} is {_shown(found)}, not {_shown(expected)}"
    return next(filter(None, (first_difference(*pair[1:], pair[0]) for pair in pairs)), None)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value!r:.60}" if isinstance(value, str | int) else "there"
