"""Text from elsewhere made safe to look at."""

import json
import re
import unicodedata

JOINERS = "\u200c\u200d\ufe0f"  # parts of emoji, and written in Persian


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
