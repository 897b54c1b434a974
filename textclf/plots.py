"""The plots of a report that are lines, each as an inline <svg>; `curves` computes what is in them.

Lists do wherever arrays are asked for, with None for NaN, so that what was read from JSON can be drawn. `key` begins
the ids of a plot: a page with two plots of a kind gives each its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.checkpoint import rises
from textclf.curves import Bins, Coverage, Curve, Thresholds
from textclf.svg import INK, SOFT, A, B, C, Drawing, clean_name, count_axis, note, tick

Values = Sequence[float] | npt.NDArray[Any]

LINES = ((A, "-"), (B, "--"), (C, "-."), (SOFT, ":"))  # told apart without colour too


def learning_curves(
    history: dict[str, Sequence[float]], *, monitor: str = "val_loss", key: str = "learning-curves"
) -> str:
    """Loss and accuracy by epoch, the epoch with the best `monitor` marked.

    Args:
        history: shape (epochs,) each: val_loss and val_accuracy, and loss and accuracy of training where known.
        monitor: val_loss or val_accuracy.
    """
    scores = {name: np.array(values, float) for name, values in history.items()}
    monitored = scores[monitor]
    best = _best(monitored if rises(monitor) else -monitored)
    names = [name for name in ("loss", "accuracy") if f"val_{name}" in scores]
    found = [f"validation {name} {scores[f'val_{name}'][best]:.4f}" for name in names]
    with Drawing(key, height=0.2 + 1.55 * len(names)) as drawing:
        for row, name in enumerate(names):
            below = len(names) - 1 - row
            axes = drawing.axes(bottom=0.45 + 1.55 * below, top=0.3 + 1.55 * row, right=0.95)
            _epoch_lines(axes, [scores.get(name, np.empty(0)), scores[f"val_{name}"]], best)
            axes.set_title(f"{name}, {scores[f'val_{name}'][best]:.3f} at epoch {best + 1}")
            axes.tick_params(labelbottom=not below)
        axes.set_xlabel("epoch")
        return drawing.svg(
            "Loss and accuracy by epoch",
            f"{len(monitored)} epochs. Best by {monitor.replace('val_', 'validation ')}: epoch {best + 1}, with "
            f"{' and '.join(found)}.",
        )


def _best(scores: npt.NDArray[Any]) -> int:
    return int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0


def _epoch_lines(axes: Any, lines: Sequence[npt.NDArray[Any]], best: int) -> None:
    """Training and validation by epoch, each named at its end."""
    epochs = len(lines[-1])
    ends = []
    for values, color, style, name in zip(lines, (SOFT, A), ("--", "-"), ("training", "validation"), strict=True):
        if len(values):  # training accuracy is not always measured
            marker = "o" if epochs == 1 else None
            axes.plot(range(1, epochs + 1), values, style, color=color, marker=marker, clip_on=False)
            if np.isfinite(values[-1]):
                ends.append((float(values[-1]), color, name))
    axes.plot(best + 1, lines[-1][best], "o", color=A, markersize=6, clip_on=False)
    axes.axvline(best + 1, color=A, linewidth=0.8, alpha=0.6)
    axes.set_xticks(np.unique(np.linspace(1, epochs, min(epochs, 6)).round()))
    axes.locator_params(axis="y", nbins=4)
    axes.set_xlim(min(1, epochs - 0.5), max(epochs, 1.5))
    low, high = axes.get_ylim()
    for height, (_, color, name) in zip(_apart([end[0] for end in ends], (high - low) / 6), ends, strict=True):
        note(axes, name, (1, height), (7, 0), ("axes fraction", "data"), color=color, va="center")


def _apart(heights: list[float], gap: float) -> list[float]:
    """The heights of two texts, moved apart to the gap."""
    if len(heights) < 2 or abs(heights[0] - heights[1]) >= gap:
        return heights
    middle, sign = sum(heights) / 2, 1 if heights[0] >= heights[1] else -1
    return [middle + sign * gap / 2, middle - sign * gap / 2]


def roc(curves: Sequence[Curve], *, key: str = "roc") -> str:
    """True against false positive rate, of the curves that `curves.roc_curves` gives: one, or a mean and the worst."""
    with Drawing(key, height=3.1) as drawing:
        axes = _unit_square(drawing, curves, "true positive rate", "false positive rate")
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
        return drawing.svg("ROC curve", f"Area under the ROC curve: {_areas(curves)}; chance is 0.5.")


def precision_recall(curves: Sequence[Curve], *, key: str = "precision-recall") -> str:
    """Precision against recall, of the curves that `curves.precision_recall_curves` gives."""
    with Drawing(key, height=3.1) as drawing:
        _unit_square(drawing, curves, "precision", "recall")
        return drawing.svg("Precision against recall", f"Average precision: {_areas(curves)}.")


def _areas(curves: Sequence[Curve]) -> str:
    if len(curves) == 1:
        return f"{curves[0][3]:.4f}"
    worst = ", ".join(f"{clean_name(name, 60)} {area:.4f}" for name, *_, area in curves[1:])
    return f"{curves[0][0]} {curves[0][3]:.4f}; lowest: {worst}"


def _unit_square(drawing: Drawing, curves: Sequence[Curve], up: str, across: str) -> Any:
    """Axes of 0 to 1 with the curves, and beside them what they are, with their areas."""
    axes = drawing.axes(right=drawing.width - drawing.height + 0.3)
    for (name, x, y, area), (color, style) in zip(curves, LINES, strict=False):
        label = f"area {area:.3f}" if len(curves) == 1 else f"{area:.3f} {drawing.name(name, 17)}"
        axes.plot(x, y, style, color=color, clip_on=False, label=label)
    title = "area" if len(curves) > 1 else None
    axes.legend(loc="center left", bbox_to_anchor=(1.06, 0.5), fontsize=9.5, title=title, alignment="left")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=across, title=up)
    for axis in (axes.xaxis, axes.yaxis):
        tick(axis, (0, 0.5, 1))
    return axes


def reliability(
    before: Bins,
    after: Bins | None = None,
    *,
    names: Sequence[str] = ("as trained", "calibrated"),
    key: str = "reliability",
) -> str:
    """Accuracy by confidence (Guo et al. 2017), with the rows of each bin below; the closer to the diagonal, the truer.

    Args:
        before: what `curves.reliability_bins` gives.
        after: the same of calibrated probabilities, in as many bins.
    """
    several = [bins for bins in (before, after) if bins is not None]
    with Drawing(key, height=4.0) as drawing:
        axes = drawing.axes(left=0.7, bottom=1.5)
        rows = drawing.axes(left=0.7, bottom=0.5, top=2.85, grid="y")
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
        for number, (bins, name) in enumerate(zip(several, names, strict=False)):
            _bins(axes, rows, bins, drawing.name(name), number, len(several))
        if after is not None:
            axes.legend(loc="upper left", bbox_to_anchor=(0.03, 0.97))
        ticks = (0.4, 0.6, 0.8, 1) if _lowest(several) > 0.4 else (0, 0.25, 0.5, 0.75, 1)
        axes.set(xlim=(ticks[0], 1), ylim=(0, 1), title="share that is right")
        tick(axes.yaxis, (0, 0.5, 1))
        axes.set_xticks(ticks, [""] * len(ticks))
        rows.set(xlim=(ticks[0], 1), title="rows", xlabel="confidence")
        tick(rows.xaxis, ticks)
        count_axis(rows)
        errors = [f"{name} {_calibration_error(bins):.4f}" for bins, name in zip(several, names, strict=False)]
        return drawing.svg(
            "Reliability: accuracy by confidence",
            f"Expected calibration error: {', '.join(errors)}; 0 is where confidence says how often it is right.",
        )


def _bins(axes: Any, rows: Any, bins: Bins, name: str, number: int, of: int) -> None:
    confidence, accuracy, count = (np.array(part, float) for part in bins)
    full, width = count > 0, 1 / len(count)
    color, style = LINES[number]
    axes.plot(confidence[full], accuracy[full], style, marker="o", markersize=5, color=color, label=name, clip_on=False)
    bar = 0.8 * width / of
    rows.bar((np.arange(len(count)) + 0.1) * width + number * bar, count, bar, align="edge", color=color)


def _lowest(several: Sequence[Bins]) -> float:
    """Lower edge of the first bin that has rows."""
    return min(float(np.flatnonzero(np.array(rows))[0]) / len(rows) for *_, rows in several)


def _calibration_error(bins: Bins) -> float:
    confidence, accuracy, rows = (np.nan_to_num(np.array(part, float)) for part in bins)
    return float((rows * np.abs(confidence - accuracy)).sum() / rows.sum())


def thresholds(curve: Thresholds, chosen: float, *, key: str = "thresholds") -> str:
    """Precision, recall, F1 and accuracy by threshold, the chosen one and 0.5 marked.

    Args:
        curve: what `curves.threshold_curve` gives.
        chosen: the threshold that the model uses.
    """
    grid, *scores = (np.array(part, float) for part in curve)
    names = ("precision", "recall", "F1", "accuracy")
    with Drawing(key) as drawing:
        axes = drawing.axes(top=0.75)
        for values, name, (color, style) in zip(scores, names, LINES, strict=True):
            axes.plot(grid, values, style, color=color, label=name, clip_on=False)
        axes.axvline(0.5, color=SOFT, linewidth=0.8)
        axes.axvline(chosen, color=INK, linewidth=1.2)
        side = "right" if chosen > 0.9 else "left" if chosen < 0.1 else "center"
        note(axes, f"chosen {chosen:.2f}", (chosen, 1), (0, 5), ha=side)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.12), ncols=4)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="threshold")
        tick(axes.yaxis, (0, 0.5, 1))
        tick(axes.xaxis, (0, 0.25, 0.5, 0.75, 1))
        return drawing.svg(
            "Precision, recall, F1 and accuracy by threshold", _at_thresholds(grid, scores, names, chosen)
        )


def _at_thresholds(grid: npt.NDArray[Any], scores: Sequence[Any], names: Sequence[str], chosen: float) -> str:
    said = []
    for threshold, what in ((chosen, "the chosen threshold"), (0.5, "threshold")):
        at = int(np.abs(grid - threshold).argmin())
        values = ", ".join(f"{name} {score[at]:.3f}" for name, score in zip(names, scores, strict=True))
        said.append(f"At {what} {threshold:.2f}: {values}.")
    return " ".join(said)


def coverage(curve: Coverage, *, key: str = "coverage") -> str:
    """Accuracy of the rows that are kept when the least confident are left out, by the share kept.

    Args:
        curve: what `curves.coverage_curve` gives.
    """
    shares, accuracies, _ = (np.array(part, float) for part in curve)
    at = [int(np.abs(shares - share).argmin()) for share in (0.5, 0.8, 1)]
    with Drawing(key, height=2.9) as drawing:
        axes = drawing.axes(left=0.65, right=0.75)
        axes.plot(shares, accuracies, color=A, clip_on=False)
        axes.plot(shares[at], accuracies[at], "o", color=A, markersize=5, clip_on=False)
        for point in at:
            shift = (7, -4) if point == at[-1] else (3, 7)  # a falling line leaves room above and to its right
            note(axes, f"{100 * accuracies[point]:.1f} %", (shares[point], accuracies[point]), shift)
        low, high = accuracies.min(), accuracies.max()
        axes.set(xlim=(0, 1), ylim=(low - 0.15 * (high - low + 0.01), high + 0.2 * (high - low + 0.01)))
        axes.set(title="share that is right", xlabel="share of rows kept, the most confident")
        axes.locator_params(axis="y", nbins=4)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %" if value < 1.0001 else "")
        said = ", ".join(
            f"{100 * accuracies[point]:.1f} % of the most confident {100 * shares[point]:.0f} %" for point in at[:2]
        )
        return drawing.svg(
            "Accuracy by share of rows kept", f"Right: {said}, and {100 * accuracies[-1]:.1f} % of all rows."
        )
