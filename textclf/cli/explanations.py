"""Explanations as text for a terminal, as lines of JSON, and as a page."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

import click

from textclf.inference.explain import Explanation, Word
from textclf.io.sanitize import printable
from textclf.report.page import page_environment

MOST_LISTED = 8  # words listed with their weights on a terminal

STRONG, WEAK = 0.5, 0.15  # of the largest weight: from where a word is bold, and from where it is coloured at all

Explained = tuple[int, str, list[Explanation]]
"""Row, text and what explains it."""


def as_text(explained: Iterable[Explained], *, colour: bool) -> Iterator[str]:
    """Label and probability, the words, blue where they speak for the label and red where against, and the sum."""
    for _, _, explanations in explained:
        for each in explanations:
            words = " ".join(_coloured(word, each, colour) for word in each.words)
            listed = "  ".join(f"{word.weight:+.2f} {printable(word.word)}" for word in each.strongest[:MOST_LISTED])
            yield (
                f"{printable(each.label)}  {each.probability:.4f}\n  {words}\n  {listed}\n"
                f"  words {each.log_odds - each.without_words:+.2f}, without them {each.without_words:+.2f}: "
                f"log-odds {each.log_odds:+.2f}" + (f"; {each.cut} tokens cut off" if each.cut else "") + "\n\n"
            )


def _coloured(word: Word, explanation: Explanation, colour: bool) -> str:
    share = word.weight / max(abs(explanation.strongest[0].weight), 1e-12)
    text = printable(word.word)
    if not colour or abs(share) < WEAK:
        return text
    return click.style(text, fg="blue" if share > 0 else "red", bold=abs(share) >= STRONG)


def as_jsonl(explained: Iterable[Explained], *, colour: bool = False) -> Iterator[str]:  # noqa: ARG001
    """One object a row: its explanations with every word's weight."""
    for row, text, explanations in explained:
        found = [asdict(each) for each in explanations]
        yield json.dumps({"row": row, "text": text, "explanations": found}, ensure_ascii=False) + "\n"


def as_html(explained: Iterable[Explained], *, colour: bool = False) -> Iterator[str]:  # noqa: ARG001
    """A page that opens offline."""
    environment = page_environment()
    rows = ((row, [each.document() for each in explanations]) for row, _, explanations in explained)
    yield from environment.get_template("explained.html").generate(rows=rows)
    yield "\n"


WRITERS: dict[str, Callable[..., Iterator[str]]] = {"text": as_text, "jsonl": as_jsonl, "html": as_html}
