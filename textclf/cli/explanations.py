"""Explanations as text for a terminal, as lines of JSON and as an HTML page."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from textclf.cli.console import write_output
from textclf.inference.explain import Explanation, Word
from textclf.io.sanitize import printable, printable_json
from textclf.report.page import page_environment

MAX_LISTED_WORDS = 8  # words with their weights on a terminal

MIN_COLOURED, MIN_BOLD = 0.15, 0.5  # weights from which a word is coloured and bold, as shares of the largest

ExplainedRow = tuple[int, str, list[Explanation]]
"""A row number, its text, and the explanation of each of its labels."""


def write_explanations(rows: Iterable[ExplainedRow], format: str, output: Path | None, *, overwrite: bool) -> None:
    """Write explanations as `text`, `jsonl` or `html` to a file, or print them where `output` is None.

    Args:
        overwrite: replace a file that exists.
    """
    if format == "jsonl":
        write_output(_as_jsonl(rows), output, overwrite=overwrite, sanitize=printable_json)
    elif format == "html":
        write_output(_as_html(rows), output, overwrite=overwrite)
    else:
        colour = output is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        # words and labels are sanitized already, and colours are control characters
        write_output(_as_text(rows, colour=colour), output, overwrite=overwrite, sanitize=str)


def _as_text(rows: Iterable[ExplainedRow], *, colour: bool) -> Iterator[str]:
    for _, _, explanations in rows:
        for explanation in explanations:
            yield _explanation_text(explanation, colour=colour)


def _explanation_text(explanation: Explanation, *, colour: bool) -> str:
    """Return lines with label and probability, the words (blue for the label, red against it) and their weights."""
    strongest = explanation.strongest
    largest = max(abs(strongest[0].weight), 1e-12)
    words = [_word_text(word, word.weight / largest if colour else 0) for word in explanation.words]
    weights = [f"{word.weight:+.2f} {printable(word.word)}" for word in strongest[:MAX_LISTED_WORDS]]
    shown = f"  {' '.join(words)}\n  {'  '.join(weights)}\n" if any(word.word for word in explanation.words) else ""
    return f"{printable(explanation.label)}  {explanation.probability:.4f}\n{shown}  {explanation.addition}\n\n"


def _word_text(word: Word, strength: float) -> str:
    """Return a word, coloured by its strength, -1 to 1."""
    text = printable(word.word)
    if abs(strength) < MIN_COLOURED:
        return text
    return click.style(text, fg="blue" if strength > 0 else "red", bold=abs(strength) >= MIN_BOLD)


def _as_jsonl(rows: Iterable[ExplainedRow]) -> Iterator[str]:
    for row, text, explanations in rows:
        document = {"row": row, "text": text, "explanations": list(map(asdict, explanations))}
        yield json.dumps(document, ensure_ascii=False) + "\n"


def _as_html(rows: Iterable[ExplainedRow]) -> Iterator[str]:
    template = page_environment().get_template("explained.html")
    documents = ((row, [explanation.document() for explanation in explanations]) for row, _, explanations in rows)
    yield from template.generate(rows=documents)
    yield "\n"
