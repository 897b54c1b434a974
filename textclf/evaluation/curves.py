"""The numbers behind the plots of a report: arrays in, arrays out.

`y_true`, `y_pred` and `probabilities` are those of `metrics.compute_metrics`. `binary` is 0 or 1, or False or True.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.evaluation.metrics import CALIBRATION_BINS, MULTILABEL, calibration_bins, calibration_error, safe_divide
from textclf.report.plot_data import Bins, Coverage, Curve, Thresholds

Array = npt.NDArray[Any]

GRID = np.linspace(0, 1, 501)  # where the curves of several labels are averaged

WORST_LABELS = 3  # drawn beside the mean

MIN_KEPT = 20  # rows: an accuracy of fewer is noise

COVERAGE_POINTS = 100


def _roc(binary: Array, scores: Array, name: str) -> Curve:
    from sklearn.metrics import auc, roc_curve  # takes seconds to import

    false_positive_rate, true_positive_rate, _ = roc_curve(binary, scores)
    return Curve(name, false_positive_rate, true_positive_rate, float(auc(false_positive_rate, true_positive_rate)))


def _precision_recall(binary: Array, scores: Array, name: str) -> Curve:
    """Return the curve in steps: scikit-learn's average precision does not interpolate, so the plot must not either."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(binary, scores)
    x, y = np.repeat(recall, 2)[1:], np.repeat(precision, 2)[:-1]
    return Curve(name, x[::-1], y[::-1], float(-np.sum(np.diff(recall) * precision[:-1])))


def roc_curves(y_true: Array, probabilities: Array, label_names: Sequence[str]) -> list[Curve]:
    """Return the ROC curve of the positive one of two labels; of more labels the mean curve, then those of least area.

    A label that all rows have, or none, has no curve; empty if no label has one.
    """
    return _curves(_roc, y_true, probabilities, label_names)


def precision_recall_curves(y_true: Array, probabilities: Array, label_names: Sequence[str]) -> list[Curve]:
    """Return the curves of precision against recall, of labels chosen as in `roc_curves`."""
    return _curves(_precision_recall, y_true, probabilities, label_names)


def _curves(
    curve_of: Callable[[Array, Array, str], Curve], y_true: Array, probabilities: Array, label_names: Sequence[str]
) -> list[Curve]:
    multilabel = y_true.ndim == MULTILABEL
    curves = []
    for label, name in enumerate(label_names):
        binary = y_true[:, label] == 1 if multilabel else y_true == label  # (n,)
        if (multilabel or len(label_names) != 2 or label == 1) and 0 < binary.sum() < len(binary):
            curves.append(curve_of(binary, probabilities[:, label], name))
    if len(curves) < 2:
        return curves
    return [_mean(curves), *sorted(curves, key=lambda curve: curve.area)[:WORST_LABELS]]


def _mean(curves: Sequence[Curve]) -> Curve:
    """Return the mean of the curves at each x; its area is the mean of their areas, as in the macro metric."""
    heights = np.mean([_height(curve) for curve in curves], axis=0)  # (grid,)
    start = float(np.mean([curve.y[0] for curve in curves]))
    area = float(np.mean([curve.area for curve in curves]))
    return Curve(f"mean of {len(curves)} labels", np.r_[0, GRID], np.r_[start, heights], area)


def _height(curve: Curve) -> Array:
    """Interpolate a curve on GRID, shape (grid,); where it is vertical, return its upper end."""
    last = np.searchsorted(curve.x, GRID, side="right") - 1  # (grid,), as is all below
    after = np.minimum(last + 1, len(curve.x) - 1)
    part = safe_divide(GRID - curve.x[last], curve.x[after] - curve.x[last])
    return np.asarray(curve.y[last] + part * (curve.y[after] - curve.y[last]))


def reliability_bins(correct: Array, confidence: Array) -> Bins:
    """Return accuracy by confidence in equally wide bins (Guo et al. 2017, section 2), of two arrays of one shape."""
    bins = calibration_bins(confidence).ravel()  # (n,)
    rows = np.bincount(bins, minlength=CALIBRATION_BINS)  # (bins,)
    sums = (np.bincount(bins, values.ravel(), minlength=CALIBRATION_BINS) for values in (confidence, correct))
    means = [safe_divide(values, rows, otherwise=np.nan) for values in sums]
    return Bins(means[0], means[1], rows, calibration_error(correct, confidence))


def score_counts(scores: Array, groups: Array, *, bins: int = 20) -> Array:
    """Count the rows of group 0 and of group 1 in equally wide bins of their score from 0 to 1, shape (2, bins)."""
    return np.array([np.histogram(scores[groups == group], bins, (0, 1))[0] for group in (0, 1)])


def threshold_curve(binary: Array, scores: Array, thresholds: Array) -> Thresholds:
    """Return precision, recall, F1 and accuracy by threshold; a score of at least the threshold predicts a 1.

    Several labels per row are pooled, which gives the micro averages.

    Args:
        binary, scores: of one shape.
        thresholds: shape (thresholds,).
    """
    counts = count_by_threshold(binary.ravel(), scores.ravel(), thresholds)
    return scores_by_threshold(counts, thresholds)


class ThresholdCounts(NamedTuple):
    """What precision, recall, F1 and accuracy by threshold follow from; sums of weighted counts are counts too."""

    rows: float
    """Rows in all."""
    actual: float
    """Rows that have the label."""
    predicted: Array
    """Rows whose score is at least the threshold, shape (thresholds,)."""
    hits: Array
    """Those of them that have the label, shape (thresholds,)."""


def count_by_threshold(binary: Array, scores: Array, thresholds: Array) -> ThresholdCounts:
    """Count the rows that each threshold predicts, and those of them that have the label.

    Args:
        binary, scores: shape (n,), as for `threshold_curve`.
        thresholds: shape (thresholds,).
    """
    true_scores = scores[binary == 1]
    predicted = len(scores) - np.searchsorted(np.sort(scores), thresholds)
    hits = len(true_scores) - np.searchsorted(np.sort(true_scores), thresholds)
    return ThresholdCounts(len(scores), len(true_scores), predicted, hits)


def scores_by_threshold(counts: ThresholdCounts, thresholds: Array) -> Thresholds:
    """Return precision, recall, F1 and accuracy by threshold from counts."""
    rows, actual, predicted, hits = counts
    correct = hits + (rows - predicted) - (actual - hits)
    return Thresholds(
        thresholds,
        precision=safe_divide(hits, predicted, otherwise=np.nan),
        recall=safe_divide(hits, np.array(actual), otherwise=np.nan),
        f1=safe_divide(2 * hits, predicted + actual, otherwise=np.nan),
        accuracy=correct / rows,
    )


def coverage_curve(correct: Array, confidence: Array) -> Coverage:
    """Return the accuracy of the most confident rows by their share of all rows (El-Yaniv and Wiener 2010).

    Rows of equal confidence stay together; the smallest share holds at least MIN_KEPT rows.

    Args:
        correct, confidence: shape (n,).
    """
    order = np.argsort(-confidence, kind="stable")
    ordered, hits = confidence[order], np.cumsum(correct[order])  # (n,)
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(order) - 1)  # the last row of each confidence
    wanted = np.linspace(min(MIN_KEPT, len(order)), len(order), COVERAGE_POINTS) - 1
    kept = ends[np.unique(np.searchsorted(ends, np.floor(wanted)))]  # (points,)
    return Coverage((kept + 1) / len(order), hits[kept] / (kept + 1))


def length_histogram(lengths: Array, *, bins: int = 30) -> tuple[Array, Array]:
    """Return the histogram of text lengths, shape (n,); a length of 0 counts as 1.

    The bins are equally wide; if the longest text has more than ten times the median length, they are equally wide on
    a logarithmic scale.

    Returns:
        Rows of each bin, shape (bins,), and the edges, whole numbers ascending, shape (bins + 1,). A bin holds the
        lengths from its edge to below the next.
    """
    lengths = np.maximum(lengths, 1)
    longest, median = int(lengths.max()), float(np.median(lengths))
    if longest > 10 * median:
        edges = np.unique(np.geomspace(lengths.min(), longest + 1, bins + 1).round().astype(np.int64))
    else:
        width = max(1, -(-longest // bins))
        edges = np.arange(1, longest + 1 + width, width)
    return np.histogram(lengths, edges)[0], edges
