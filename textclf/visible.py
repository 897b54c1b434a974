"""Text from elsewhere made safe to look at."""

import unicodedata
from collections.abc import Sequence

JOINERS = "\u200c\u200d\ufe0f"  # parts of emoji, and written in Persian


def visible(text: str) -> str:
    """The text with a mark in place of each control character, line end and turn of the writing direction."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    hidden = (category[0] == "C" or category in ("Zl", "Zp")) and character not in JOINERS
    return "\N{REPLACEMENT CHARACTER}" if hidden else character


def plain(text: str, *, longest: int = 60) -> str:
    """The text visible and cut."""
    return visible(text if len(text) <= longest else text[: longest - 3] + "...")


def listed(names: Sequence[str], *, most: int = 20) -> str:
    """The names one after the other for a message, the first of them where there are many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(plain, names[:most])) + more
