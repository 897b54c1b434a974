"""The plots of a report that are not lines, each as an inline <svg>: matrix, histograms, intervals.

As in `plots`, lists do wherever arrays are asked for, and `key` begins the ids of a plot.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.svg import (
    FONT,
    INK,
    LINE,
    POINTS,
    SOFT,
    A,
    B,
    Drawing,
    clean_name,
    columns,
    count_axis,
    note,
    percent,
    tick,
)

Values = Sequence[float] | npt.NDArray[Any]

MOST_LABELS = 100  # of a confusion matrix: more cannot be told apart on a screen
FEWEST_IN_HEAT_MAP = 26  # labels from which on there is no room for numbers in the cells
# labels up to which a cell has this many inches, its numbers this size, and a name this many columns
CELLS = ((2, 1.0, FONT, 14), (5, 0.72, FONT, 14), (8, 0.5, 9, 14), (25, 0.36, 8, 18), (MOST_LABELS, 0.125, 7.5, 22))
SHARES_UP_TO = 8
LEVELS = 8  # of opacity
FAINTEST = 0.01  # share of a label's rows below which a heat map shows nothing
ROOT_TICKS = np.array([0.05, 0.25, 0.5, 1.0])
LENGTHS = np.array([1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000])  # ticks


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


def score_histogram(
    counts: npt.ArrayLike,
    names: Sequence[str] = ("wrong", "right"),
    *,
    of: str = "confidence",
    threshold: float | None = None,
    key: str = "scores",
) -> str:
    """How the scores of two groups of rows spread, one group upwards, one downwards, each as shares of its own rows.

    Args:
        counts: rows of both groups in equally wide bins from 0 to 1, shape (2, bins).
        names: of the two groups.
        of: what the score is.
        threshold: score from which the second label is chosen.
    """
    rows = np.array(counts, float)
    shares = np.sqrt(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1))  # few rows in the middle stay visible
    with Drawing(key) as drawing:
        axes = drawing.axes(left=0.65, grid="y")
        edges = np.arange(rows.shape[1]) / rows.shape[1]
        for group, sign, color in ((1, 1, A), (0, -1, B)):
            axes.bar(edges, sign * shares[group], 0.9 / len(edges), align="edge", color=color)
            label = f"{drawing.name(names[group], 32)}, {int(rows[group].sum()):,} rows"
            axes.text(0.5, 0.93 if sign > 0 else 0.03, label, color=color, ha="center", transform=axes.transAxes)
        axes.axhline(0, color=SOFT, linewidth=0.8)
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (2, 3)), ymin=0.1, ymax=0.9)
        most = 1.25 * shares.max()
        ticks = [tick for tick in ROOT_TICKS if np.sqrt(tick) <= most]
        axes.set_yticks([*-np.sqrt(ticks), 0, *np.sqrt(ticks)], [percent(tick) for tick in (*ticks, 0, *ticks)])
        axes.set(xlim=(0, 1), ylim=(-most, most), title="share of the rows of each", xlabel=drawing.name(of, 48))
        tick(axes.xaxis, (0, 0.25, 0.5, 0.75, 1))
        return drawing.svg(
            f"Histogram of {clean_name(of, 60)}", " ".join(_above(rows[group], names[group]) for group in (0, 1))
        )


def _above(rows: npt.NDArray[Any], name: str) -> str:
    above = rows[len(rows) // 2 :].sum() / max(rows.sum(), 1)
    return f"{clean_name(name, 60)}: {int(rows.sum()):,} rows, {percent(above)} of them at 0.5 or above."


def text_lengths(counts: Values, edges: Values, max_length: int, share_cut: float, *, key: str = "text-lengths") -> str:
    """Histogram of the tokens of a text, what is longer than the limit in another colour.

    Args:
        counts: rows of each bin, shape (bins,), and
        edges: of the bins, shape (bins + 1,), as `curves.length_histogram` gives them.
        max_length: tokens that are kept.
        share_cut: share of the rows that are longer.
    """
    edges, rows = np.array(edges, float), np.array(counts, float)
    limit = max_length + 1.0  # the first length that is cut; a bin holds those below its right edge
    logarithmic = bool(edges[-1] - edges[-2] > edges[1] - edges[0])
    place = np.log10 if logarithmic else np.asarray
    with Drawing(key, height=2.8) as drawing:
        axes = drawing.axes(left=0.65, grid="y")
        for low, high, color in ((edges[0], limit, A), (limit, edges[-1], B)):
            left, right = place(np.maximum(edges[:-1], low)), place(np.minimum(edges[1:], high))
            seen = right > left
            axes.bar(left[seen], rows[seen], (right - left)[seen], align="edge", color=color)
        first, last, cut = place([edges[0], max(edges[-1], 1.02 * limit), limit])
        axes.axvline(cut, color=INK, linewidth=1, linestyle=(0, (2, 3)))
        if logarithmic:
            axes.set_xticks(place(LENGTHS), [f"{length:,}" for length in LENGTHS])
        side, shift = ("right", -6) if cut > (first + last) / 2 else ("left", 6)
        words = f"limit {max_length:,}, cuts {percent(share_cut)}"
        note(axes, words, (cut, 1), (shift, 0), ("data", "axes fraction"), ha=side, va="top")
        axes.set(title="rows", xlabel="tokens of a text" + (", logarithmic" if logarithmic else ""))
        axes.set(xlim=(first, last), ylim=(0, 1.2 * max(rows.max(), 1)))
        count_axis(axes)
        texts, longest, share = f"{int(rows.sum()):,} texts", f"{int(edges[-1]) - 1:,} tokens", percent(share_cut)
        return drawing.svg(
            "Tokens of a text",
            f"{texts} of up to {longest}; {share} are longer than the limit of {max_length:,} and are cut.",
        )


def slices(
    names: Sequence[str], values: Values, lows: Values, highs: Values, overall: float, *, what: str = "accuracy",
    key: str = "slices",
) -> str:  # fmt: skip
    """A score of several parts of the rows, each with its interval, the worst in another colour.

    Args:
        names: of the parts, up to about 30.
        values: score of each, shape (parts,), and
        lows, highs: the ends of its interval.
        overall: score of all rows.
        what: name of the score.
    """
    worst = int(np.argmin(values))
    with Drawing(key, height=0.95 + 0.27 * len(names)) as drawing:
        shown = [drawing.name(name, 24) for name in names]
        widest = max(min(columns(name), 24) for name in shown)
        axes = drawing.axes(left=0.2 + 0.085 * widest, right=0.6, top=0.4, grid="x")
        for row, (value, low, high) in enumerate(zip(values, lows, highs, strict=True)):
            color = B if row == worst else A
            axes.plot([low, high], [row, row], color=color, linewidth=2, alpha=0.6, clip_on=False)
            axes.plot(value, row, "o", color=color, markersize=6, clip_on=False)
            ink = B if row == worst else INK
            note(axes, f"{value:.3f}", (1, row), (8, 0), ("axes fraction", "data"), color=ink, va="center")
        axes.axvline(overall, color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
        words = f"all rows {overall:.3f}"
        note(axes, words, (overall, 1), (0, 5), ("data", "axes fraction"), ha="center", color=SOFT)
        axes.set_yticks(range(len(names)), shown, color=INK)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"{what}, with its interval")
        axes.locator_params(axis="x", nbins=4)
        return drawing.svg(
            f"{what.capitalize()} of parts of the rows",
            f"All rows: {overall:.3f}. Lowest of {len(names)} parts: {clean_name(names[worst], 60)}, "
            f"{values[worst]:.3f} ({lows[worst]:.3f} to {highs[worst]:.3f}).",
        )
