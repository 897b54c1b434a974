"""HTML that notebooks show for a result: it needs no style sheet, and every text in it is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from textclf.io.sanitize import printable

BLUE, ORANGE = "37 99 235", "217 83 25"
"""Red, green and blue of the words for a label and against it, as in the report."""

STRONGEST = 0.7  # opacity of the colour of the word with the largest weight


def html_text(text: object) -> str:
    """Return a text as one line of HTML; characters that no page can show become U+FFFD."""
    return escape(printable(" ".join(str(text).split())))


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str) -> str:
    """Return a table; its first column is set to the left.

    Args:
        caption: a line below the table.
    """
    lines = [_row("th", header), *(_row("td", row) for row in rows)]
    return f'<table style="font-variant-numeric: tabular-nums">\n{"".join(lines)}</table>\n{html_line(caption)}'


def html_line(text: object) -> str:
    """Return a text as a paragraph."""
    return f"<p>{html_text(text)}</p>\n"


def _row(tag: str, cells: Sequence[object]) -> str:
    first, *others = map(html_text, cells)
    return f'<tr><{tag} style="text-align: left">{first}</{tag}>{"".join(f"<{tag}>{c}</{tag}>" for c in others)}</tr>\n'


def html_word(word: str, *, share: float, weight: float, known: bool) -> str:
    """Return a word on blue if it speaks for a label, on orange if against it, dotted if the model does not know it.

    Args:
        share: the weight divided by the text's largest, -1 to 1.
    """
    colour = BLUE if share > 0 else ORANGE
    style = f"background: rgb({colour} / {100 * STRONGEST * abs(share):.0f}%); border-radius: .2em"
    if not known:
        style += "; text-decoration: underline dotted"
    return f'<span style="{style}" title="{weight:+.3f}">{html_text(word)}</span>'
