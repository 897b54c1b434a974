"""The plots of a report, each as an inline <svg>; `evaluation.curves` computes the points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.report.plot_data import Bins, Coverage, Curve, Thresholds
from textclf.report.svg import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    SOFT,
    Drawing,
    clean_name,
    columns,
    count_axis,
    note,
    percent,
    tick,
)

Values = Sequence[float] | npt.NDArray[Any]

LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (SOFT, ":"))  # styles that differ without colour too


def learning_curves(history: dict[str, Sequence[float]], *, kept: int) -> str:
    """Draw loss and accuracy by epoch, and mark the epoch that was kept.

    Args:
        history: val_loss and, where known, val_accuracy, loss and accuracy, shape (epochs,) each.
        kept: the epoch whose weights the run has, counted from 1.
    """
    scores = {name: np.array(values, float) for name, values in history.items()}
    names = [name for name in ("loss", "accuracy") if f"val_{name}" in scores]
    at_kept = {name: scores[f"val_{name}"][kept - 1] for name in names}
    with Drawing("learning-curves", height=0.2 + 1.55 * len(names)) as drawing:
        for row, name in enumerate(names):
            below = len(names) - 1 - row
            axes = drawing.axes(bottom=0.45 + 1.55 * below, top=0.3 + 1.55 * row, right=0.95)
            _epoch_lines(axes, [scores.get(name, np.empty(0)), scores[f"val_{name}"]], kept)
            axes.set_title(f"{name}, {at_kept[name]:.3f} at epoch {kept}")
            axes.tick_params(labelbottom=not below)
        axes.set_xlabel("epoch")
        described = " and ".join(f"validation {name} {value:.4f}" for name, value in at_kept.items())
        return drawing.svg(
            "Loss and accuracy by epoch",
            f"{len(scores['val_loss'])} epochs. Epoch {kept} was kept, with {described}.",
        )


def _epoch_lines(axes: Any, lines: Sequence[npt.NDArray[Any]], kept: int) -> None:
    """Draw training and validation by epoch, each named at its end."""
    epochs = len(lines[-1])
    ends = []
    for values, color, style, name in zip(lines, (SOFT, BLUE), ("--", "-"), ("training", "validation"), strict=True):
        if len(values):  # training accuracy is not always measured
            marker = "o" if epochs == 1 else None
            axes.plot(range(1, epochs + 1), values, style, color=color, marker=marker, clip_on=False)
            if np.isfinite(values[-1]):
                ends.append((float(values[-1]), color, name))
    axes.plot(kept, lines[-1][kept - 1], "o", color=BLUE, markersize=6, clip_on=False)
    axes.axvline(kept, color=BLUE, linewidth=0.8, alpha=0.6)
    axes.set_xticks(np.unique(np.linspace(1, epochs, min(epochs, 6)).round()))
    axes.locator_params(axis="y", nbins=4)
    axes.set_xlim(min(1, epochs - 0.5), max(epochs, 1.5))
    low, high = axes.get_ylim()
    for height, (_, color, name) in zip(_apart([end[0] for end in ends], (high - low) / 6), ends, strict=True):
        note(axes, name, (1, height), (7, 0), ("axes fraction", "data"), color=color, va="center")


def _apart(heights: list[float], gap: float) -> list[float]:
    """Move the heights of two texts apart so that the gap is between them."""
    if len(heights) < 2 or abs(heights[0] - heights[1]) >= gap:
        return heights
    middle, sign = sum(heights) / 2, 1 if heights[0] >= heights[1] else -1
    return [middle + sign * gap / 2, middle - sign * gap / 2]


def roc(curves: Sequence[Curve]) -> str:
    """Draw ROC curves: one, or the mean and those of the worst labels."""
    with Drawing("roc", height=3.1) as drawing:
        axes = _unit_square(drawing, curves, "true positive rate", "false positive rate")
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
        return drawing.svg("ROC curve", f"Area under the ROC curve: {_areas(curves)}; chance is 0.5.")


def precision_recall(curves: Sequence[Curve]) -> str:
    """Draw precision against recall: one curve, or the mean and those of the worst labels."""
    with Drawing("precision-recall", height=3.1) as drawing:
        _unit_square(drawing, curves, "precision", "recall")
        return drawing.svg("Precision against recall", f"Average precision: {_areas(curves)}.")


def _areas(curves: Sequence[Curve]) -> str:
    if len(curves) == 1:
        return f"{clean_name(curves[0].name, 60)} {curves[0].area:.4f}"
    worst = ", ".join(f"{clean_name(curve.name, 60)} {curve.area:.4f}" for curve in curves[1:])
    return f"{curves[0].name} {curves[0].area:.4f}; lowest: {worst}"


def _unit_square(drawing: Drawing, curves: Sequence[Curve], up: str, across: str) -> Any:
    """Draw the curves on axes of 0 to 1, with a legend of their names and areas beside them."""
    axes = drawing.axes(right=drawing.width - drawing.height + 0.3)
    for (name, x, y, area), (color, style) in zip(curves, LINES, strict=False):
        axes.plot(x, y, style, color=color, clip_on=False, label=f"{area:.3f} {drawing.name(name, 17)}")
    axes.legend(loc="center left", bbox_to_anchor=(1.06, 0.5), fontsize=9.5, title="area", alignment="left")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=across, title=up)
    for axis in (axes.xaxis, axes.yaxis):
        tick(axis, (0, 0.5, 1))
    return axes


def reliability(before: Bins, after: Bins | None = None) -> str:
    """Draw accuracy by confidence (Guo et al. 2017), and below it the number of rows in each bin.

    The closer to the diagonal, the better calibrated are the probabilities.

    Args:
        after: bins of the calibrated probabilities, as many as `before`.
    """
    lines = [("as trained", before), *([("calibrated", after)] if after else [])]
    with Drawing("reliability", height=4.0) as drawing:
        axes = drawing.axes(left=0.7, bottom=1.5)
        rows = drawing.axes(left=0.7, bottom=0.5, top=2.85, grid="y")
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
        for index, (name, bins) in enumerate(lines):
            _bins(axes, rows, bins, name, index, len(lines))
        if after:
            axes.legend(loc="upper left", bbox_to_anchor=(0.03, 0.97))
        lowest = min(float(np.flatnonzero(bins.rows)[0]) / len(bins.rows) for _, bins in lines)  # edge of the first bin
        ticks = (0.4, 0.6, 0.8, 1) if lowest > 0.4 else (0, 0.25, 0.5, 0.75, 1)
        axes.set(xlim=(ticks[0], 1), ylim=(0, 1), title="share that is right")
        tick(axes.yaxis, (0, 0.5, 1))
        axes.set_xticks(ticks, [""] * len(ticks))
        rows.set(xlim=(ticks[0], 1), title="rows", xlabel="confidence")
        tick(rows.xaxis, ticks)
        count_axis(rows)
        errors = ", ".join(f"{name} {bins.error:.4f}" for name, bins in lines)
        return drawing.svg(
            "Reliability: accuracy by confidence",
            f"Expected calibration error: {errors}; 0 is where confidence says how often it is right.",
        )


def _bins(axes: Any, rows: Any, bins: Bins, name: str, index: int, lines: int) -> None:
    confidence, accuracy, count = bins.confidence, bins.accuracy, bins.rows
    full, width = count > 0, 1 / len(count)
    color, style = LINES[index]
    axes.plot(confidence[full], accuracy[full], style, marker="o", markersize=5, color=color, label=name, clip_on=False)
    bar = 0.8 * width / lines
    rows.bar((np.arange(len(count)) + 0.1) * width + index * bar, count, bar, align="edge", color=color)


def thresholds(curve: Thresholds, chosen: float | None, *, of: str = "threshold") -> str:
    """Draw precision, recall, F1 and accuracy by threshold, and mark 0.5 and the threshold that the model uses.

    Args:
        chosen: that threshold; None: each label has one of its own.
        of: name of the threshold.
    """
    grid, *scores = curve
    names = ("precision", "recall", "F1", "accuracy")
    with Drawing("thresholds") as drawing:
        axes = drawing.axes(top=0.75)
        for values, name, (color, style) in zip(scores, names, LINES, strict=True):
            axes.plot(grid, values, style, color=color, label=name, clip_on=False)
        axes.axvline(0.5, color=SOFT, linewidth=0.8)
        if chosen is not None:
            axes.axvline(chosen, color=INK, linewidth=1.2)
            alignment = "right" if chosen > 0.9 else "left" if chosen < 0.1 else "center"
            note(axes, f"chosen {chosen:.2f}", (chosen, 1), (0, 5), ha=alignment)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.12), ncols=4)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=drawing.name(of, 48))
        tick(axes.yaxis, (0, 0.5, 1))
        tick(axes.xaxis, (0, 0.25, 0.5, 0.75, 1))
        return drawing.svg(
            "Precision, recall, F1 and accuracy by threshold", _at_thresholds(grid, scores, names, chosen)
        )


def _at_thresholds(grid: npt.NDArray[Any], scores: Sequence[Any], names: Sequence[str], chosen: float | None) -> str:
    sentences = []
    for threshold, name in ((chosen, "the chosen threshold"), (0.5, "threshold")):
        if threshold is None:
            continue
        nearest = int(np.abs(grid - threshold).argmin())
        values = ", ".join(f"{score} {curve[nearest]:.3f}" for score, curve in zip(names, scores, strict=True))
        sentences.append(f"At {name} {threshold:.2f}: {values}.")
    return " ".join(sentences)


def coverage(curve: Coverage) -> str:
    """Draw the accuracy of the rows that are kept when the least confident are left out, by the share kept."""
    shares, accuracies = curve
    marked = [int(np.abs(shares - share).argmin()) for share in (0.5, 0.8, 1)]
    with Drawing("coverage", height=2.9) as drawing:
        axes = drawing.axes(left=0.65, right=0.75)
        axes.plot(shares, accuracies, color=BLUE, clip_on=False)
        axes.plot(shares[marked], accuracies[marked], "o", color=BLUE, markersize=5, clip_on=False)
        for point in marked:
            shift = (7, -4) if point == marked[-1] else (3, 7)  # a falling line leaves room above and to its right
            note(axes, f"{100 * accuracies[point]:.1f} %", (shares[point], accuracies[point]), shift)
        low, high = accuracies.min(), accuracies.max()
        axes.set(xlim=(0, 1), ylim=(low - 0.15 * (high - low + 0.01), high + 0.2 * (high - low + 0.01)))
        axes.set(title="share that is right", xlabel="share of rows kept, the most confident")
        axes.locator_params(axis="y", nbins=4)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %" if value < 1.0001 else "")
        parts = ", ".join(
            f"{100 * accuracies[point]:.1f} % of the most confident {100 * shares[point]:.0f} %" for point in marked[:2]
        )
        return drawing.svg(
            "Accuracy by share of rows kept", f"Right: {parts}, and {100 * accuracies[-1]:.1f} % of all rows."
        )


SHARE_TICKS = np.array([0.05, 0.25, 0.5, 1.0])  # of the score histogram

LENGTH_TICKS = np.array([1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000])


def score_histogram(
    counts: npt.NDArray[Any], names: Sequence[str] = ("wrong", "right"), *, of: str = "confidence",
    threshold: float | None = None,
) -> str:  # fmt: skip
    """Draw the histograms of two groups' scores, one up and one down, as shares of each group's rows.

    Args:
        counts: number of rows by group, in equally wide bins from 0 to 1, shape (2, bins).
        names: of the two groups.
        of: name of the score.
        threshold: score from which the second group's label is predicted.
    """
    # the square root keeps the few rows in the middle visible
    shares = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))  # (2, bins)
    with Drawing("scores") as drawing:
        axes = drawing.axes(left=0.65, grid="y")
        edges = np.arange(counts.shape[1]) / counts.shape[1]
        for group, sign, color in ((1, 1, BLUE), (0, -1, ORANGE)):
            axes.bar(edges, sign * shares[group], 0.9 / len(edges), align="edge", color=color)
            label = f"{drawing.name(names[group], 32)}, {counts[group].sum():,} rows"
            axes.text(0.5, 0.93 if sign > 0 else 0.03, label, color=color, ha="center", transform=axes.transAxes)
        axes.axhline(0, color=SOFT, linewidth=0.8)
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (2, 3)), ymin=0.1, ymax=0.9)
        most = 1.25 * shares.max()
        ticks = [tick for tick in SHARE_TICKS if np.sqrt(tick) <= most]
        axes.set_yticks([*-np.sqrt(ticks), 0, *np.sqrt(ticks)], [percent(tick) for tick in (*ticks, 0, *ticks)])
        axes.set(xlim=(0, 1), ylim=(-most, most), title="share of the rows of each", xlabel=drawing.name(of, 48))
        tick(axes.xaxis, (0, 0.25, 0.5, 0.75, 1))
        return drawing.svg(
            f"Histogram of {clean_name(of, 60)}", " ".join(_above(counts[group], names[group]) for group in (0, 1))
        )


def _above(rows: npt.NDArray[Any], name: str) -> str:
    above = rows[len(rows) // 2 :].sum() / max(rows.sum(), 1)
    return f"{clean_name(name, 60)}: {rows.sum():,} rows, {percent(above)} of them at 0.5 or above."


def text_lengths(counts: Values, edges: Values, max_length: int, share_cut: float) -> str:
    """Draw a histogram of the number of tokens per text, above what the network reads in another colour.

    Args:
        counts: number of rows by bin, shape (bins,).
        edges: of the bins, shape (bins + 1,).
        max_length: tokens of a text that the network reads.
        share_cut: share of the rows that are longer.
    """
    edges, rows = np.array(edges, float), np.array(counts, float)
    limit = max_length + 1.0  # the first length that is cut; a bin holds those below its right edge
    logarithmic = bool(edges[-1] - edges[-2] > edges[1] - edges[0])
    scale = np.log10 if logarithmic else np.asarray
    with Drawing("text-lengths", height=2.8) as drawing:
        axes = drawing.axes(left=0.65, grid="y")
        for low, high, color in ((edges[0], limit, BLUE), (limit, edges[-1], ORANGE)):
            left, right = scale(np.maximum(edges[:-1], low)), scale(np.minimum(edges[1:], high))
            inside = right > left
            axes.bar(left[inside], rows[inside], (right - left)[inside], align="edge", color=color)
        first, last, cut = scale([edges[0], max(edges[-1], 1.02 * limit), limit])
        axes.axvline(cut, color=INK, linewidth=1, linestyle=(0, (2, 3)))
        if logarithmic:
            axes.set_xticks(scale(LENGTH_TICKS), [f"{length:,}" for length in LENGTH_TICKS])
        alignment, shift = ("right", -6) if cut > (first + last) / 2 else ("left", 6)
        text = f"the network reads {max_length:,}, cuts {percent(share_cut)}"
        note(axes, text, (cut, 1), (shift, 0), ("data", "axes fraction"), ha=alignment, va="top")
        axes.set(title="rows", xlabel="tokens per text" + (", logarithmic" if logarithmic else ""))
        axes.set(xlim=(first, last), ylim=(0, 1.2 * max(rows.max(), 1)))
        count_axis(axes)
        texts, longest, share = f"{int(rows.sum()):,} texts", f"{int(edges[-1]) - 1:,} tokens", percent(share_cut)
        return drawing.svg(
            "Tokens per text",
            f"{texts} of up to {longest}; {share} are longer than the {max_length:,} that the network reads.",
        )


def slices(
    names: Sequence[str], values: Values, lows: Values, highs: Values, overall: float, *, worst: str | None, key: str
) -> str:  # fmt: skip
    """Draw the accuracy of several groups of rows, each with its interval, the worst in another colour.

    Args:
        names: of the groups, up to about 30.
        values: accuracy of each group, shape (groups,).
        lows, highs: ends of its interval, shape (groups,).
        overall: accuracy of all rows.
        worst: name of the group to draw in another colour, if any.
        key: prefix of the ids, different for each such plot of a page.
    """
    lowest = int(np.argmin(values))
    with Drawing(key, height=0.95 + 0.27 * len(names)) as drawing:
        shown = [drawing.name(name, 24) for name in names]
        widest = max(min(columns(name), 24) for name in shown)
        axes = drawing.axes(left=0.2 + 0.085 * widest, right=0.6, top=0.4, grid="x")
        for row, (value, low, high) in enumerate(zip(values, lows, highs, strict=True)):
            color = ORANGE if names[row] == worst else BLUE
            axes.plot([low, high], [row, row], color=color, linewidth=2, alpha=0.6, clip_on=False)
            axes.plot(value, row, "o", color=color, markersize=6, clip_on=False)
            ink = ORANGE if names[row] == worst else INK
            note(axes, f"{value:.3f}", (1, row), (8, 0), ("axes fraction", "data"), color=ink, va="center")
        axes.axvline(overall, color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
        text = f"all rows {overall:.3f}"
        note(axes, text, (overall, 1), (0, 5), ("data", "axes fraction"), ha="center", color=SOFT)
        axes.set_yticks(range(len(names)), shown, color=INK)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="accuracy, with its interval")
        axes.locator_params(axis="x", nbins=4)
        return drawing.svg(
            "Accuracy of groups of rows",
            f"All rows: {overall:.3f}. Lowest of {len(names)} groups: {clean_name(names[lowest], 60)}, "
            f"{values[lowest]:.3f} ({lows[lowest]:.3f} to {highs[lowest]:.3f}).",
        )
