"""The confusion matrix as an inline <svg>."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.report.svg import BLUE, FONT, INK, LINE, ORANGE, POINTS, Drawing, clean_name, columns, percent

MAX_LABELS = 100  # more cannot be told apart on a screen

HEAT_MAP_FROM = 26  # labels; cells this small have no room for numbers

# labels up to which a cell has this many inches, its numbers this size, and a name this many columns
CELLS = ((2, 1.0, FONT, 14), (5, 0.72, FONT, 14), (8, 0.5, 9, 14), (25, 0.36, 8, 18), (MAX_LABELS, 0.125, 7.5, 22))

MAX_WITH_PERCENT = 8  # labels; cells this large show a percentage too

LEVELS = 8  # distinct opacities

MIN_SHARE = 0.01  # of a label's rows; a heat map leaves smaller cells empty

Array = npt.NDArray[Any]


def confusion_matrix(matrix: npt.ArrayLike, names: Sequence[str], *, key: str = "confusion-matrix") -> str:
    """Draw the rows of each true label (down) by predicted label (across), errors in a second colour.

    With up to 8 labels a cell shows its rows and their share of the label's rows, with up to 25 the rows; with more the
    colour alone tells the share. Of more than 100 labels, it shows the 100 that have most rows off the diagonal.

    Args:
        matrix: number of rows by true and predicted label, shape (labels, labels).
        names: the labels.
    """
    counts = np.array(matrix, np.int64)
    kept = _most_confused(counts)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (labels, labels)
    cell, font, most = next(size[1:] for size in CELLS if len(kept) <= size[0])
    widest = max(min(columns(clean_name(names[label], most)), most) for label in kept)
    side, margin = cell * len(kept), (0.6 * font * widest + 12) / POINTS
    upright = 0.6 * font * widest > cell * POINTS
    below = margin if upright else 0.3
    top = 0.3 if len(kept) == len(counts) else 0.55
    with Drawing(key, width=max(margin + side + 0.1, 3.0), height=below + side + top + 0.05) as drawing:
        axes = drawing.axes(left=margin, bottom=below, right=drawing.width - margin - side, top=top, grid="none")
        axes.set(xlim=(0, len(kept)), ylim=(len(kept), 0))
        _cells(drawing, axes, fractions[np.ix_(kept, kept)])
        if len(kept) < HEAT_MAP_FROM:
            _counts(axes, counts[np.ix_(kept, kept)], fractions[np.ix_(kept, kept)], font)
        shown = [drawing.name(names[label], most) for label in kept]
        axes.set_yticks(np.arange(len(kept)) + 0.5, shown, fontsize=font, color=INK)
        axes.set_xticks(np.arange(len(kept)) + 0.5, shown, fontsize=font, color=INK)
        for label in axes.get_xticklabels() if upright else ():
            label.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
        note = "" if len(kept) == len(counts) else f"the {len(kept)} most confused of {len(counts)} labels\n"
        axes.set_title(f"{note}truth ↓, prediction →")
        return drawing.svg("Confusion matrix", note.capitalize().replace("\n", ". ") + _description(counts, names))


def _most_confused(counts: Array) -> Array:
    """Return the labels to show, ascending, shape (at most MAX_LABELS,)."""
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    return np.sort(np.argsort(-wrong, kind="stable")[:MAX_LABELS])


def _cells(drawing: Drawing, axes: Any, fractions: Array) -> None:
    """Draw a square for each pair, darker for a greater share; one path per opacity keeps the SVG small."""
    labels = len(fractions)
    heat_map = labels >= HEAT_MAP_FROM
    ends = np.tile([0, labels, np.nan], labels + 1)
    lines = np.repeat(np.arange(labels + 1), 3)
    for x, y in ((ends, lines), (lines, ends)):
        axes.plot(x, y, color=LINE, linewidth=0.4 if heat_map else 0.8, clip_on=False)
    correct = np.eye(labels, dtype=bool)
    for inside, color, darkest in (
        (correct, BLUE, 0.25 if heat_map else 0.6),
        (~correct, ORANGE, 1.0 if heat_map else 0.65),
    ):
        strength = np.sqrt(np.where(inside, fractions, 0))  # the root keeps rare confusions visible
        if heat_map and color == ORANGE:
            strength = np.where(fractions < MIN_SHARE, 0, strength / max(strength.max(), 0.1))
        levels = np.ceil(strength * LEVELS)  # (labels, labels)
        for level in range(1, LEVELS + 1):
            down, across = np.nonzero(levels == level)
            drawing.squares(axes, zip(across.tolist(), down.tolist(), strict=True), color, darkest * level / LEVELS)


def _counts(axes: Any, counts: Array, fractions: Array, font: float) -> None:
    """Write the rows of each pair that occurs, and below them their share where there is room."""
    with_percent = len(counts) <= MAX_WITH_PERCENT
    for truth, predicted in np.argwhere(counts).tolist():
        rows = counts[truth, predicted]
        text = f"{rows:,}" if with_percent else f"{rows}" if rows < 10_000 else f"{rows / 1000:.0f}k"
        middle = truth + (0.36 if with_percent else 0.5)
        axes.text(predicted + 0.5, middle, text, ha="center", va="center", fontsize=font)
        if with_percent:
            fraction = f"{100 * fractions[truth, predicted]:.0f} %"
            axes.text(predicted + 0.5, truth + 0.68, fraction, ha="center", va="center", fontsize=0.85 * font)


def _description(counts: Array, names: Sequence[str]) -> str:
    """Return sentences on how many rows are correct, and on the three most frequent confusions."""
    wrong = counts - np.diag(counts.diagonal())
    correct, rows = int(counts.trace()), int(counts.sum())
    sentences = [f"{correct:,} of {rows:,} rows have their right label ({percent(correct / max(rows, 1))})."]
    for index in np.argsort(-wrong, axis=None, kind="stable")[:3].tolist():
        truth, predicted = divmod(index, len(counts))
        if wrong[truth, predicted]:
            pair = f"{clean_name(names[truth], 60)} taken for {clean_name(names[predicted], 60)}"
            sentences.append(f"{pair}: {wrong[truth, predicted]:,} of {counts[truth].sum():,} rows.")
    return " ".join(sentences)
