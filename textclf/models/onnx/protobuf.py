"""Protocol Buffers' wire format, written and read by a table of messages; a field that is not in it is refused.

The package `onnx` does the same for all of ONNX and takes 50 ms to import, a seventh of the time to predict one line.
"""

import struct
from collections.abc import Iterator, Mapping
from itertools import count, zip_longest
from typing import Any, NamedTuple

MAX_FIELDS = 1 << 17  # textclf's largest graphs have a few thousand; in memory a field takes a hundred times its bytes


class Field(NamedTuple):
    """A field of a message."""

    name: str
    kind: str
    """`int`, `float`, `text`, `bytes`, or the name of another message."""
    many: bool = False
    """True if it may come several times."""


Messages = Mapping[str, Mapping[int, Field]]
"""The fields of each message by number, ascending."""

Document = dict[str, Any]
"""A message: its fields by name, as lists if they may come several times."""


_WIRE_TYPES: Mapping[str, type] = {"int": int, "float": float}
"""What a field of each kind is on the wire; those of all other kinds are bytes with their length."""


class WireError(Exception):
    """Bytes that are not a message of the table; the text says where and why."""


def write(document: Document, message: str, messages: Messages) -> list[Any]:
    """Return the bytes of a message in pieces, so that large ones are copied only once, when they are joined."""
    pieces = []
    for number, field in messages[message].items():
        if field.name in document:
            value = document[field.name]
            for item in value if field.many else [value]:
                pieces += _field(number, field.kind, item, messages)
    return pieces


def _field(number: int, kind: str, value: Any, messages: Messages) -> list[Any]:
    if kind == "int":
        return [_varint(number << 3), _varint(value)]
    if kind == "float":
        return [_varint(number << 3 | 5), struct.pack("<f", value)]
    pieces = [value] if kind == "bytes" else [value.encode("utf-8")] if kind == "text" else write(value, kind, messages)
    return [_varint(number << 3 | 2), _varint(sum(map(len, pieces))), *pieces]


def _varint(value: int) -> bytes:
    """Return an integer in groups of seven bits per byte, lowest first."""
    assert value >= 0  # others take ten bytes of two's complement, which `read` refuses; ONNX needs none
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)


def read(data: memoryview, message: str, messages: Messages) -> Document:
    """Return the message in the bytes; values of kind `bytes` are views of them.

    The format lets a message be written in several ways, such as in another order of fields, and any is read. To know
    that the bytes are what `write` writes, write what was read and compare.

    Raises:
        WireError: they are no such message.
    """
    return _message(data, message, "", messages, count())


def _message(data: memoryview, message: str, path: str, messages: Messages, counter: Iterator[int]) -> Document:
    fields = messages[message]
    document: Document = {field.name: [] for field in fields.values() if field.many}
    for number, value in _raw_fields(data, path or message):
        field = fields.get(number)
        if field is None or type(value) is not _WIRE_TYPES.get(field.kind, memoryview):
            raise WireError(f"{path or message} has a field {number} that textclf never writes")
        if next(counter) >= MAX_FIELDS:
            raise WireError(f"more than {MAX_FIELDS} fields")
        held = document.setdefault(field.name, []) if field.many else None
        if held is None and field.name in document:
            raise WireError(f"{path or message} has {field.name} twice")
        field_path = f"{path}.{field.name}" if path else field.name
        field_path += "" if held is None else f"[{len(held)}]"
        value = _value(value, field.kind, field_path, messages, counter)
        if held is None:
            document[field.name] = value
        else:
            held.append(value)
    return document


def _value(value: Any, kind: str, path: str, messages: Messages, counter: Iterator[int]) -> Any:
    if kind in ("int", "float", "bytes"):
        return value
    if kind != "text":
        return _message(value, kind, path, messages, counter)
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise WireError(f"{path} is not UTF-8") from None


def _raw_fields(data: memoryview, path: str) -> Iterator[tuple[int, int | float | memoryview]]:
    """Yield the number and value of each field: an integer, a float32, or the bytes of any other kind."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position, path)
        if key & 7 == 5:
            if len(data) - position < 4:
                raise WireError(f"{path} is cut short")
            yield key >> 3, struct.unpack_from("<f", data, position)[0]
            position += 4
            continue
        value, position = _read_varint(data, position, path)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2:
            if value > len(data) - position:
                raise WireError(f"{path} is cut short")
            yield key >> 3, data[position : position + value]
            position += value
        else:
            raise WireError(f"{path} has a field {key >> 3} that textclf never writes")


def _read_varint(data: memoryview, position: int, path: str) -> tuple[int, int]:
    """Return the integer at a position, and the position behind it."""
    value = 0
    for shift in range(0, 63, 7):  # as wide as ONNX's int64 without its sign
        if position == len(data):
            raise WireError(f"{path} is cut short")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise WireError(f"{path} has a number of more than 63 bits")


def first_difference(actual: Any, expected: Any, path: str = "") -> str | None:
    """Return a message with the first difference between two values of a document; None if they are equal."""
    if isinstance(actual, dict) and isinstance(expected, dict):
        pairs = [
            (f"{path}.{name}" if path else name, actual.get(name), expected.get(name)) for name in actual | expected
        ]
    elif isinstance(actual, list) and isinstance(expected, list):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip_longest(actual, expected))]
    elif actual == expected:
        return None
    elif isinstance(actual, memoryview) and isinstance(expected, memoryview):
        return f"{path} holds other bytes"
    else:
        return f"{path} is {_shown(actual)}, not {_shown(expected)}"
    return next(filter(None, (first_difference(*pair[1:], pair[0]) for pair in pairs)), None)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value!r:.60}" if isinstance(value, str | int | float) else "there"
