"""Checks of the fields of a JSON document: each message says what was found and what is needed.

A check takes a value and the name by which messages name it, and raises InvalidField. Pydantic does the same for
configs; without it, predicting starts sooner.
"""

import re
from collections.abc import Collection
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from textclf.io.sanitize import is_encodable


class InvalidField(Exception):  # noqa: N818 - its text becomes the end of a sentence
    """An invalid field; the text says which, what was found and what is needed."""


def require(holds: object, value: object, name: str, needed: str) -> None:
    """Refuse a value unless the condition is true.

    Raises:
        InvalidField: it does not.
    """
    if not holds:
        raise InvalidField(f"{name}: found {_shown(value)}, need {needed}")


def _shown(value: object) -> str:
    """Return the value cut to a few characters, with control characters and surrogates escaped."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, dict) else f"{value!r:.60}"


def check_keys(keys: Collection[str], expected: Collection[str], *, of: str = "it") -> None:
    """Refuse an object that lacks a field, or has an unknown one."""
    if missing := sorted({*expected} - {*keys}):
        raise InvalidField(f"{of} lacks {', '.join(missing)}")
    if unknown := sorted({*keys} - {*expected}):
        raise InvalidField(f"{of} has {', '.join(map(repr, unknown)):.60}, which this textclf does not know")


def check_text(value: Any, name: str) -> None:
    require(isinstance(value, str) and is_encodable(value), value, name, "text")


def check_text_or_null(value: Any, name: str) -> None:
    if value is not None:
        check_text(value, name)
        require(value, value, name, "text that is not empty, or null")


def check_columns(value: Any, name: str) -> None:
    """Refuse a value that is neither the name of a column nor a list of names."""
    if isinstance(value, list):
        check_words(value, name)
        require(value, value, name, "one column at least")
    else:
        check_text(value, name)


def check_digest(value: Any, name: str) -> None:
    """Refuse a value that is not a sha256."""
    require(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value), value, name, "64 hexadecimal digits")


def check_fraction(value: Any, name: str) -> None:
    require(isinstance(value, float) and 0 < value < 1, value, name, "a number above 0 below 1")


def check_threshold(value: Any, name: str) -> None:
    """Refuse a value that is neither a fraction nor a list of fractions."""
    for fraction in value if isinstance(value, list) else [value]:
        check_fraction(fraction, name)


def check_words(value: Any, name: str) -> None:
    """Refuse a value that is not a list of distinct, non-empty texts."""
    require(isinstance(value, list), value, name, "a list of texts")
    # a vocabulary may be long: all words are checked at once, and one by one only to name the invalid one
    if {*map(type, value)} <= {str} and len({*value, ""}) == len(value) + 1 and is_encodable("".join(value)):
        return
    earlier: set[str] = set()
    for index, word in enumerate(value):
        check_text(word, f"{name}[{index}]")
        require(word and word not in earlier, word, f"{name}[{index}]", "texts that are not empty, each once")
        earlier.add(word)


def check_labels(value: Any, name: str) -> None:
    check_words(value, name)
    require(len(value) >= 2, value, name, "two labels at least")


def check_object(value: Any, name: str) -> None:
    require(isinstance(value, dict), value, name, "an object")


def check_object_or_null(value: Any, name: str) -> None:
    """Refuse a value that is neither an object nor null."""
    require(value is None or isinstance(value, dict), value, name, "an object or null")


def check_whole_number(value: Any, name: str, least: int, most: int) -> None:
    """Refuse a value that is not a whole number from `least` to `most`."""
    require(type(value) is int and least <= value <= most, value, name, f"a whole number from {least} to {most}")


def check_options(options: type[Any], value: Any, name: str) -> None:
    """Refuse a value that is not an object with a valid value, by type and range, for each option of a class."""
    check_object(value, name)
    limits = {field.name: field.metadata for field in fields(options)}
    check_keys(value, limits, of=name)
    types = get_type_hints(options)
    for key in limits:
        _check_option(value[key], f"{name}.{key}", types[key], limits[key].get("ge"), limits[key].get("le"))


def _check_option(value: Any, name: str, wanted: Any, least: int | None, most: int | None) -> None:
    if get_origin(wanted) is list:
        require(isinstance(value, list), value, name, "a list")
        for index, item in enumerate(value):
            _check_option(item, f"{name}[{index}]", get_args(wanted)[0], least, most)
    elif get_origin(wanted) is Literal:
        require(isinstance(value, str) and value in get_args(wanted), value, name, " or ".join(get_args(wanted)))
    elif wanted is bool:
        require(isinstance(value, bool), value, name, "true or false")
    else:
        assert wanted is int  # no option of `text` has another type yet
        in_range = type(value) is int and (least is None or value >= least) and (most is None or value <= most)
        limits = [f"from {least}"] * (least is not None) + [f"to {most}"] * (most is not None)
        require(in_range, value, name, " ".join(["a whole number", *limits]))
