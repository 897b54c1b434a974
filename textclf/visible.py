"""Text from elsewhere made safe to look at."""

import json
import re
import unicodedata
from collections.abc import Sequence

JOINERS = "\u200c\u200d\ufe0f"  # parts of emoji, and written in Persian


def is_whole(text: str) -> bool:
    """Whether the text has no half of a character, which an escape or a file's name may be, and no file can hold."""
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def visible(text: str) -> str:
    """The text with a mark in place of each control character, line end and turn of the writing direction."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _hidden(character) else character for character in text)


def visible_lines(text: str) -> str:
    """The same of many lines, with line feeds and tabs as they are."""
    return "".join(part if part in ("\n", "\t") else visible(part) for part in re.split("([\n\t])", text))


def visible_json(text: str) -> str:
    """A JSON text that says the same, with an escape in place of each such character but the line feeds."""
    return "\n".join(line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n"))


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if _hidden(character) else character


def _hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] == "C" or category in ("Zl", "Zp")) and character not in JOINERS


def plain(text: str, *, longest: int = 60) -> str:
    """The text visible and cut."""
    return visible(text if len(text) <= longest else text[: longest - 3] + "...")


def listed(names: Sequence[str], *, most: int = 20) -> str:
    """The names one after the other for a message, the first of them where there are many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(plain, names[:most])) + more
