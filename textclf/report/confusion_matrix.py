"""The confusion matrix as an inline <svg>."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.report.svg import (
    FONT,
    INK,
    LINE,
    POINTS,
    A,
    B,
    Drawing,
    clean_name,
    columns,
    percent,
)

MOST_LABELS = 100  # of a confusion matrix: more cannot be told apart on a screen

FEWEST_IN_HEAT_MAP = 26  # labels from which on there is no room for numbers in the cells

# labels up to which a cell has this many inches, its numbers this size, and a name this many columns
CELLS = ((2, 1.0, FONT, 14), (5, 0.72, FONT, 14), (8, 0.5, 9, 14), (25, 0.36, 8, 18), (MOST_LABELS, 0.125, 7.5, 22))

SHARES_UP_TO = 8

LEVELS = 8  # of opacity

FAINTEST = 0.01  # share of a label's rows below which a heat map shows nothing


def confusion_matrix(matrix: npt.ArrayLike, names: Sequence[str], *, key: str = "confusion-matrix") -> str:
    """Rows of each label (down) by the label that they were given (across); what is wrong in its own colour.

    With up to 8 labels a cell shows its rows and their share of the label's rows, with up to 25 the rows; with more the
    colour alone tells the share. Of more than 100 labels, it shows the 100 that have most rows off the diagonal.

    Args:
        matrix: rows of each pair, shape (labels, labels).
        names: of the labels.
    """
    counts = np.array(matrix, np.int64)
    kept = _most_confused(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell, font, most = next(size[1:] for size in CELLS if len(kept) <= size[0])
    widest = max(min(columns(clean_name(names[label], most)), most) for label in kept)
    side, margin = cell * len(kept), (0.6 * font * widest + 12) / POINTS
    upright = 0.6 * font * widest > cell * POINTS
    below = margin if upright else 0.3
    top = 0.3 if len(kept) == len(counts) else 0.55
    with Drawing(key, width=max(margin + side + 0.1, 3.0), height=below + side + top + 0.05) as drawing:
        axes = drawing.axes(left=margin, bottom=below, right=drawing.width - margin - side, top=top, grid="none")
        axes.set(xlim=(0, len(kept)), ylim=(len(kept), 0))
        _cells(drawing, axes, shares[np.ix_(kept, kept)])
        if len(kept) < FEWEST_IN_HEAT_MAP:
            _numbers(axes, counts[np.ix_(kept, kept)], shares[np.ix_(kept, kept)], font)
        shown = [drawing.name(names[label], most) for label in kept]
        axes.set_yticks(np.arange(len(kept)) + 0.5, shown, fontsize=font, color=INK)
        axes.set_xticks(np.arange(len(kept)) + 0.5, shown, fontsize=font, color=INK)
        for label in axes.get_xticklabels() if upright else ():
            label.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
        note = "" if len(kept) == len(counts) else f"the {len(kept)} most confused of {len(counts)} labels\n"
        axes.set_title(f"{note}truth ↓, prediction →")
        return drawing.svg("Confusion matrix", note.capitalize().replace("\n", ". ") + _confusions(counts, names))


def _most_confused(counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers of the labels to show, rising."""
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    return np.sort(np.argsort(-wrong, kind="stable")[:MOST_LABELS])


def _cells(drawing: Drawing, axes: Any, shares: npt.NDArray[Any]) -> None:
    """A square for each pair, the fuller the greater its share; one path for each of a few levels."""
    labels = len(shares)
    heat_map = labels >= FEWEST_IN_HEAT_MAP
    ends = np.tile([0, labels, np.nan], labels + 1)
    lines = np.repeat(np.arange(labels + 1), 3)
    for x, y in ((ends, lines), (lines, ends)):
        axes.plot(x, y, color=LINE, linewidth=0.4 if heat_map else 0.8, clip_on=False)
    right = np.eye(labels, dtype=bool)
    # the root keeps rare confusions visible
    for where, color, full in ((right, A, 0.25 if heat_map else 0.6), (~right, B, 1.0 if heat_map else 0.65)):
        strength = np.sqrt(np.where(where, shares, 0))
        if heat_map and color == B:
            strength = np.where(shares < FAINTEST, 0, strength / max(strength.max(), 0.1))
        levels = np.ceil(strength * LEVELS)
        for level in range(1, LEVELS + 1):
            down, across = np.nonzero(levels == level)
            drawing.squares(axes, zip(across.tolist(), down.tolist(), strict=True), color, full * level / LEVELS)


def _numbers(axes: Any, counts: npt.NDArray[Any], shares: npt.NDArray[Any], font: float) -> None:
    """The rows of each pair that occurs, and below them their share where there is room."""
    both = len(counts) <= SHARES_UP_TO
    for truth, chosen in np.argwhere(counts).tolist():
        rows = counts[truth, chosen]
        text = f"{rows:,}" if both else f"{rows}" if rows < 10_000 else f"{rows / 1000:.0f}k"
        middle = truth + (0.36 if both else 0.5)
        axes.text(chosen + 0.5, middle, text, ha="center", va="center", fontsize=font)
        if both:
            share = f"{100 * shares[truth, chosen]:.0f} %"
            axes.text(chosen + 0.5, truth + 0.68, share, ha="center", va="center", fontsize=0.85 * font)


def _confusions(counts: npt.NDArray[Any], names: Sequence[str]) -> str:
    """How many are right, and the three most frequent confusions, in words."""
    wrong = counts - np.diag(counts.diagonal())
    right, rows = int(counts.trace()), int(counts.sum())
    said = [f"{right:,} of {rows:,} rows have their right label ({percent(right / max(rows, 1))})."]
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:3].tolist():
        truth, chosen = divmod(flat, len(counts))
        if wrong[truth, chosen]:
            pair = f"{clean_name(names[truth], 60)} taken for {clean_name(names[chosen], 60)}"
            said.append(f"{pair}: {wrong[truth, chosen]:,} of {counts[truth].sum():,} rows.")
    return " ".join(said)
