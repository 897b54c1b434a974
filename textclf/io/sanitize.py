"""Text from elsewhere made safe to look at."""

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

JOINERS = "\u200c\u200d\ufe0f"  # parts of emoji, and written in Persian


def is_encodable(text: str) -> bool:
    """Whether the text has no half of a character, which an escape or a file's name may be, and no file can hold."""
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def printable(text: str) -> str:
    """The text with a mark in place of each control character, line end and turn of the writing direction."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _hidden(character) else character for character in text)


def printable_lines(text: str) -> str:
    """The same of many lines, with line feeds and tabs as they are."""
    return "".join(part if part in ("\n", "\t") else printable(part) for part in re.split("([\n\t])", text))


def printable_json(text: str) -> str:
    """A JSON text that says the same, with an escape in place of each such character but the line feeds."""
    return "\n".join(line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n"))


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if _hidden(character) else character


def _hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] == "C" or category in ("Zl", "Zp")) and character not in JOINERS


def excerpt(text: str, *, longest: int = 60) -> str:
    """The text visible and cut."""
    return printable(text if len(text) <= longest else text[: longest - 3] + "...")


def join_names(names: Sequence[str], *, most: int = 20) -> str:
    """The names one after the other for a message, the first of them where there are many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(excerpt, names[:most])) + more


# What begins with such a sign is computed; of each, East Asian keyboards have a wide form (OWASP, "CSV Injection").
_SIGN = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"

# A spreadsheet may be set to other separators than the file was written with, so that a cell is torn apart in it.
_SEPARATORS = "[,;\t\r\n]"

# Blanks, quotes and what cannot be seen may be gone before it looks for a sign.
_DROPPED = f'(?:(?!{_SEPARATORS})[\\s"\0-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff])*'

# Numbers, and a sign alone, have nothing to compute: labels such as -1 and + stay as they are.
_NUMBER = f"[+-](?:(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)?(?={_SEPARATORS}|\\Z)"

_FORMULA = f"{_DROPPED}(?!{_NUMBER}){_SIGN}"

_BEGIN = f"(?:^|(?<={_SEPARATORS}))"

# The apostrophes before a formula do not count, so that taking one away is the reverse of putting one in.
_BEFORE = re.compile(f"{_BEGIN}(?='*{_FORMULA})|^(?='*[\t\r\n\0])")

_PUT_IN = re.compile(f"{_BEGIN}'(?='*{_FORMULA})|^'(?='*[\t\r\n\0])")


@lru_cache(1024)
def escape_formulas(cell: str) -> str:
    """The cell with an apostrophe before whatever a spreadsheet would compute; most cells as they are."""
    return _BEFORE.sub("'", cell)


@lru_cache(1024)
def unescape_formulas(cell: str) -> str:
    """The cell that `escape_formulas` was given."""
    return _PUT_IN.sub("", cell)


def csv_lines(rows: Iterable[Sequence[object]], *, raw: bool = False) -> Iterator[str]:
    """Each row as a line of CSV, texts made harmless, unless they are to be `raw`."""
    # With this line end a carriage return in a cell is quoted too, without which it would end the line when read.
    writer = csv.writer(_Written(), lineterminator="\r\n")
    for row in rows:
        line = writer.writerow(
            row if raw else [escape_formulas(cell) if isinstance(cell, str) else cell for cell in row]
        )
        yield f"{line[:-2]}\n"


class _Written:
    """A file whose `write` gives back what was written."""

    def write(self, text: str) -> str:
        return text
