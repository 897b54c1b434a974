"""Making untrusted text safe to show: on a terminal, in a message, in a spreadsheet."""

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

JOINERS = "\u200c\u200d\ufe0f"  # unprintable for Python, but parts of emoji and of Persian words


def is_encodable(text: str) -> bool:
    """Return True if the text can be written as UTF-8: a lone surrogate, from an escape or a file name, cannot."""
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def printable(text: str) -> str:
    """Replace control characters, line ends and changes of the writing direction by U+FFFD."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unprintable(character) else character for character in text)


def printable_lines(text: str) -> str:
    """Replace the same characters as `printable`, except line feeds and tabs."""
    return "".join(part if part in ("\n", "\t") else printable(part) for part in re.split("([\n\t])", text))


def printable_json(text: str) -> str:
    """Write the characters that `printable` replaces, except line feeds, as JSON escapes."""
    return "\n".join(line if line.isprintable() else "".join(map(_json_escape, line)) for line in text.split("\n"))


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1] if _is_unprintable(character) else character


def _is_unprintable(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] == "C" or category in ("Zl", "Zp")) and character not in JOINERS


def excerpt(text: str, *, longest: int = 60) -> str:
    """Return the text made printable and cut to `longest` characters."""
    return printable(text if len(text) <= longest else text[: longest - 3] + "...")


def join_names(names: Sequence[str], *, most: int = 20) -> str:
    """Join names by commas for a message: the first `most`, then the number of the others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(excerpt, names[:most])) + more


# A cell that starts with one of these is a formula; each also has a wide East Asian form (OWASP, "CSV Injection").
_SIGN = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"

# A spreadsheet may be set to other separators than the file was written with, so that it splits a cell in two.
_SEPARATORS = "[,;\t\r\n]"

# A spreadsheet may drop blanks, quotes and invisible characters before it looks for a sign.
_DROPPED = f'(?:(?!{_SEPARATORS})[\\s"\0-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff])*'

# Numbers and a lone sign are not formulas: labels such as -1 and + stay as they are.
_NUMBER = f"[+-](?:(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)?(?={_SEPARATORS}|\\Z)"

_FORMULA = f"{_DROPPED}(?!{_NUMBER}){_SIGN}"

_START = f"(?:^|(?<={_SEPARATORS}))"

# Any number of apostrophes may precede a formula, so that removing one reverses adding one.
_FORMULA_START = re.compile(f"{_START}(?='*{_FORMULA})|^(?='*[\t\r\n\0])")

_ADDED_APOSTROPHE = re.compile(f"{_START}'(?='*{_FORMULA})|^'(?='*[\t\r\n\0])")


@lru_cache(1024)
def escape_formulas(cell: str) -> str:
    """Put an apostrophe before anything that a spreadsheet would take for a formula."""
    return _FORMULA_START.sub("'", cell)


@lru_cache(1024)
def unescape_formulas(cell: str) -> str:
    """Undo `escape_formulas`."""
    return _ADDED_APOSTROPHE.sub("", cell)


PROBABILITY_OF = "probability of "


def label_columns(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return names of the columns that hold the probability of each label: the label itself, unless it is in `others`.

    Args:
        others: names of the other columns.
    """
    return [PROBABILITY_OF + label if _is_taken(label, others) else label for label in labels]


def column_labels(columns: Sequence[str], others: Sequence[str]) -> list[str]:
    """Undo `label_columns`."""
    return [name.removeprefix(PROBABILITY_OF) if _is_taken(name, others) else name for name in columns]


def _is_taken(name: str, others: Sequence[str]) -> bool:
    """Return True if the name is in `others`, after any number of prefixes, so that removing one undoes adding one."""
    while name.startswith(PROBABILITY_OF):
        name = name.removeprefix(PROBABILITY_OF)
    return name in others


def csv_lines(rows: Iterable[Sequence[object]], *, raw: bool = False) -> Iterator[str]:
    """Yield each row as a line of CSV, with the formulas in texts escaped unless `raw`."""
    # with \r\n as line end the writer quotes a carriage return in a cell, which would otherwise end the line
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    for row in rows:
        line = writer.writerow(
            row if raw else [escape_formulas(cell) if isinstance(cell, str) else cell for cell in row]
        )
        yield f"{line[:-2]}\n"


class _Echo:
    """A file whose `write` returns what it is given."""

    def write(self, text: str) -> str:
        return text
