"""Cells of a table that no spreadsheet takes for a formula, and back; the table as lines of CSV."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

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
def harmless(cell: str) -> str:
    """The cell with an apostrophe before whatever a spreadsheet would compute; most cells as they are."""
    return _BEFORE.sub("'", cell)


@lru_cache(1024)
def restored(cell: str) -> str:
    """The cell that `harmless` was given."""
    return _PUT_IN.sub("", cell)


def csv_lines(rows: Iterable[Sequence[object]], *, raw: bool = False) -> Iterator[str]:
    """Each row as a line of CSV, texts made harmless, unless they are to be `raw`."""
    # With this line end a carriage return in a cell is quoted too, without which it would end the line when read.
    writer = csv.writer(_Written(), lineterminator="\r\n")
    for row in rows:
        line = writer.writerow(row if raw else [harmless(cell) if isinstance(cell, str) else cell for cell in row])
        yield f"{line[:-2]}\n"


class _Written:
    """A file whose `write` gives back what was written."""

    def write(self, text: str) -> str:
        return text
