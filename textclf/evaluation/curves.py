"""The numbers behind the plots of a report: arrays in, arrays out.

Truth, chosen and probabilities are those of `metrics.compute_metrics`: index of the right label and of the predicted
one, shape (n,), or for several labels a row 0 and 1, shape (n, labels); and probabilities, shape (n, labels).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.report.plot_data import Bins, Coverage, Curve, Thresholds

Array = npt.NDArray[Any]

MOST_POINTS = 200  # of a curve in a report

INVISIBLE = 1e-3  # a deviation, as a share of the plot's height: a quarter of a pixel

GRID = np.linspace(0, 1, 501)  # where the curves of several labels are averaged

BINS = 15  # of calibration, as in metrics.calibration_error

LEAST_KEPT = 20  # rows: an accuracy of fewer is noise


def thin(x: Array, y: Array, *, most: int = MOST_POINTS, tolerance: float = INVISIBLE) -> Array:
    """Numbers of the points to keep, rising, so that the line through them lies within `tolerance` of every point.

    Takes the point farthest from its chord until none is far (Douglas and Peucker 1973), or until `most` are kept.
    """
    kept = [0, len(x) - 1]
    open_ends = [(*_farthest(x, y, 0, len(x) - 1), 0, len(x) - 1)]
    while len(kept) < most:
        distance, middle, first, last = open_ends.pop(open_ends.index(max(open_ends)))
        if distance <= tolerance:
            break
        kept.append(middle)
        for begin, end in ((first, middle), (middle, last)):
            open_ends.append((*_farthest(x, y, begin, end), begin, end))
    return np.unique(kept)


def _farthest(x: Array, y: Array, first: int, last: int) -> tuple[float, int]:
    """Distance and number of the point between two that is farthest from the chord through them."""
    if last - first < 2:
        return 0.0, first
    along_x, along_y = x[last] - x[first], y[last] - y[first]
    from_x, from_y = x[first + 1 : last] - x[first], y[first + 1 : last] - y[first]
    length = np.hypot(along_x, along_y)
    # a closed loop has no chord; what counts is the distance from its one end
    gaps = np.abs(along_x * from_y - along_y * from_x) / length if length else np.hypot(from_x, from_y)
    return float(gaps.max()), first + 1 + int(gaps.argmax())


def _thinned(curve: Curve) -> Curve:
    kept = thin(curve.x, curve.y)
    return curve._replace(x=curve.x[kept], y=curve.y[kept])


def _exact_roc(ones: Array, scores: Array, name: str) -> Curve:
    from sklearn.metrics import auc, roc_curve  # takes seconds to import, and `plots` needs none of it

    false_share, true_share, _ = roc_curve(ones, scores)
    return Curve(name, false_share, true_share, float(auc(false_share, true_share)))


def _exact_precision_recall(ones: Array, scores: Array, name: str) -> Curve:
    """As steps: scikit-learn's average precision does not interpolate, so the drawing must not either."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(ones, scores)
    x, y = np.repeat(recall, 2)[1:], np.repeat(precision, 2)[:-1]
    return Curve(name, x[::-1], y[::-1], float(-np.sum(np.diff(recall) * precision[:-1])))


def roc_points(ones: Array, scores: Array, *, name: str = "") -> Curve:
    """ROC curve, true against false positive rate, of n rows that are 0 or 1; both must occur."""
    return _thinned(_exact_roc(ones, scores, name))


def precision_recall_points(ones: Array, scores: Array, *, name: str = "") -> Curve:
    """Precision against recall of n rows that are 0 or 1; both must occur. The area is the average precision."""
    return _thinned(_exact_precision_recall(ones, scores, name))


def roc_curves(y_true: Array, probabilities: Array, names: Sequence[str], *, worst: int = 3) -> list[Curve]:
    """One ROC curve for two labels (the second's); else the mean over the labels, then the labels of least area.

    Labels that all rows have, or none, have no curve; empty where no label has one.
    """
    return _curves(_exact_roc, y_true, probabilities, names, worst)


def precision_recall_curves(
    y_true: Array, probabilities: Array, names: Sequence[str], *, worst: int = 3
) -> list[Curve]:
    """Precision against recall, of the same labels as `roc_curves`."""
    return _curves(_exact_precision_recall, y_true, probabilities, names, worst)


def _curves(
    exact: Callable[[Array, Array, str], Curve], y_true: Array, probabilities: Array, names: Sequence[str], worst: int
) -> list[Curve]:
    multilabel = y_true.ndim == 2
    found = []
    for label, name in enumerate(names):
        ones = y_true[:, label] == 1 if multilabel else y_true == label
        if (multilabel or len(names) != 2 or label == 1) and 0 < ones.sum() < len(ones):
            found.append(exact(ones, probabilities[:, label], name))
    if len(found) < 2:
        return [_thinned(curve) for curve in found]
    shown = sorted(found, key=lambda curve: curve.area)[:worst]
    return [_thinned(curve) for curve in (_mean(found), *shown)]


def _mean(curves: Sequence[Curve]) -> Curve:
    """The mean height of several curves at each x; its area is the mean area, as in the macro metric."""
    heights = np.mean([_height(curve) for curve in curves], axis=0)
    area = float(np.mean([curve.area for curve in curves]))
    return Curve(f"mean of {len(curves)} labels", np.r_[0, GRID], np.r_[_start(curves), heights], area)


def _height(curve: Curve) -> Array:
    """Height over the grid; where the curve is upright, its upper end."""
    last = np.searchsorted(curve.x, GRID, side="right") - 1
    after = np.minimum(last + 1, len(curve.x) - 1)
    width = curve.x[after] - curve.x[last]
    share = np.divide(GRID - curve.x[last], width, out=np.zeros(len(GRID)), where=width > 0)
    return np.asarray(curve.y[last] + share * (curve.y[after] - curve.y[last]))


def _start(curves: Sequence[Curve]) -> float:
    return float(np.mean([curve.y[0] for curve in curves]))


def reliability_bins(right: Array, confidence: Array, *, bins: int = BINS) -> Bins:
    """Accuracy by confidence in equally wide bins (Guo et al. 2017, section 2); right and confidence of shape (n,)."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights=values, minlength=bins) for values in (confidence, right)]
    means = [np.divide(values, rows, out=np.full(bins, np.nan), where=rows > 0) for values in sums]
    return Bins(means[0], means[1], rows)


def score_counts(scores: Array, groups: Array, *, bins: int = 20) -> Array:
    """Rows of group 0 and of group 1 in equally wide bins of their score from 0 to 1, shape (2, bins)."""
    return np.array([np.histogram(scores[groups == group], bins, (0, 1))[0] for group in (0, 1)])


def threshold_curve(ones: Array, scores: Array, *, points: int = 101) -> Thresholds:
    """Precision, recall, F1 and accuracy where a score of at least the threshold counts as a 1, for thresholds 0 to 1.

    Several labels a row are pooled, which gives the micro averages: ones and scores may have any one shape.
    """
    ones, scores = ones.ravel() == 1, scores.ravel()
    grid = np.linspace(0, 1, points)
    y_pred = len(scores) - np.searchsorted(np.sort(scores), grid)
    hits = ones.sum() - np.searchsorted(np.sort(scores[ones]), grid)
    precision, recall, f1 = (
        np.divide(above, below, out=np.full(points, np.nan), where=below > 0)
        for above, below in ((hits, y_pred), (hits, np.full(points, ones.sum())), (2 * hits, y_pred + ones.sum()))
    )
    misses = ones.sum() - hits
    return Thresholds(grid, precision, recall, f1, 1 - (y_pred - hits + misses) / len(scores))


def coverage_curve(right: Array, confidence: Array, *, points: int = 100) -> Coverage:
    """Accuracy of the rows kept when the least confident are left out (El-Yaniv and Wiener 2010); both shape (n,).

    Rows of equal confidence stay together, and at least 20 are kept, since the accuracy of fewer is noise.
    """
    order = np.argsort(-confidence, kind="stable")
    ordered, hits = confidence[order], np.cumsum(right[order])
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(order) - 1)
    wanted = np.linspace(min(LEAST_KEPT, len(order)), len(order), points) - 1
    kept = ends[np.unique(np.searchsorted(ends, np.floor(wanted)))]
    return Coverage((kept + 1) / len(order), hits[kept] / (kept + 1), ordered[kept])


def length_histogram(lengths: Array, *, bins: int = 30) -> tuple[Array, Array]:
    """Rows for each bin of length, shape (bins,), and the edges, whole numbers rising, shape (bins + 1,).

    A bin holds the lengths from its edge to below the next. The bins are equally wide; or, where the longest text has
    more than ten times the usual length, each wider than the one before by the same factor. 0 counts as 1.
    """
    held = np.maximum(lengths, 1)
    longest, usual = int(held.max()), float(np.median(held))
    if longest > 10 * usual:
        edges = np.unique(np.geomspace(held.min(), longest + 1, bins + 1).round().astype(np.int64))
    else:
        edges = np.arange(1, longest + 1 + (width := max(1, -(-longest // bins))), width)
    return np.histogram(held, edges)[0], edges
