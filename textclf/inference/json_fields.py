"""Checks of what a JSON document holds, field by field: each says what was found and what is needed.

A check takes a value and the name under which a message speaks of it. Pydantic does the same for configs; predicting
starts without it.
"""

import re
from collections.abc import Collection
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from textclf.io.sanitize import is_encodable


class Unfit(Exception):  # noqa: N818 - it becomes the end of a sentence
    """A field that is not what it should be; the text says which, what was found and what is needed."""


def need(holds: object, value: object, name: str, what: str) -> None:
    """Refuses the value unless something holds.

    Raises:
        Unfit: it does not.
    """
    if not holds:
        raise Unfit(f"{name}: found {_shown(value)}, need {what}")


def _shown(value: object) -> str:
    """The value in few characters, control characters and halves of them as escapes."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, dict) else f"{value!r:.60}"


def check_names(found: Collection[str], expected: Collection[str], *, of: str = "it") -> None:
    """Refuses an object that lacks a field, or has one that is not known here."""
    if missing := sorted({*expected} - {*found}):
        raise Unfit(f"{of} lacks {', '.join(missing)}")
    if unknown := sorted({*found} - {*expected}):
        raise Unfit(f"{of} has {', '.join(map(repr, unknown)):.60}, which this textclf does not know")


def text(value: Any, name: str) -> None:
    need(isinstance(value, str) and is_encodable(value), value, name, "text")


def text_or_null(value: Any, name: str) -> None:
    if value is not None:
        text(value, name)
        need(value, value, name, "text that is not empty, or null")


def digest(value: Any, name: str) -> None:
    """A sha256."""
    need(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value), value, name, "64 hexadecimal digits")


def share(value: Any, name: str) -> None:
    need(isinstance(value, float) and 0 < value < 1, value, name, "a number above 0 below 1")


def words(value: Any, name: str) -> None:
    """Texts, none empty and each once."""
    need(isinstance(value, list), value, name, "a list of texts")
    # a vocabulary may be long: one by one only to say which it is
    if {*map(type, value)} <= {str} and len({*value, ""}) == len(value) + 1 and is_encodable("".join(value)):
        return
    seen: set[str] = set()
    for place, word in enumerate(value):
        text(word, f"{name}[{place}]")
        need(word and word not in seen, word, f"{name}[{place}]", "texts that are not empty, each once")
        seen.add(word)


def labels(value: Any, name: str) -> None:
    words(value, name)
    need(len(value) >= 2, value, name, "two labels at least")


def object_(value: Any, name: str) -> None:
    need(isinstance(value, dict), value, name, "an object")


def check_options(options: type[Any], value: Any, name: str) -> None:
    """Refuses what is not the values of all options of a class, by the types and ranges that it declares."""
    object_(value, name)
    declared = {field.name: field.metadata for field in fields(options)}
    check_names(value, declared, of=name)
    kinds = get_type_hints(options)
    for key, limits in declared.items():
        _option(value[key], f"{name}.{key}", kinds[key], limits.get("ge"), limits.get("le"))


def _option(value: Any, name: str, kind: Any, least: int | None, most: int | None) -> None:
    if get_origin(kind) is list:
        need(isinstance(value, list), value, name, "a list")
        for place, each in enumerate(value):
            _option(each, f"{name}[{place}]", get_args(kind)[0], least, most)
    elif get_origin(kind) is Literal:
        need(isinstance(value, str) and value in get_args(kind), value, name, " or ".join(get_args(kind)))
    elif kind is bool:
        need(isinstance(value, bool), value, name, "true or false")
    else:
        assert kind is int  # other kinds are added when there are options of them
        in_range = type(value) is int and (least is None or value >= least) and (most is None or value <= most)
        limits = [f"from {least}"] * (least is not None) + [f"to {most}"] * (most is not None)
        need(in_range, value, name, " ".join(["a whole number", *limits]))
