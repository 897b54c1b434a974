"""The texts that a program hands over, in a list, a Series or an array, checked."""

from collections.abc import Iterable
from typing import Any

MISSING = ("NoneType", "float", "NAType")
"""Types of the values that stand for a missing text."""


def as_texts(values: Iterable[str], *, name: str = "texts") -> list[str]:
    """Return the texts of a list, a Series, an array or another iterable as a list.

    Args:
        name: of the argument, for messages.

    Raises:
        TypeError: a value is no text, or there is one text in the place of several.
        ValueError: it is a table.
    """
    given: Any = values
    if isinstance(given, str | bytes):
        raise TypeError(f"{name}: found one text, need a list of texts: [text].")
    if getattr(given, "ndim", 1) != 1:
        raise ValueError(
            f"{name}: found a table of shape {given.shape}, need one text for each row, shape (n,). Choose a column, "
            "such as table['text']."
        )
    texts = given.tolist() if hasattr(given, "tolist") else list(given)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            kind = type(text).__name__
            missing = " Make missing texts empty, as by Series.fillna('')." if kind in MISSING else ""
            raise TypeError(f"{name}: row {row} is {text!s:.40}, of type {kind}, need text.{missing}")
    return texts
