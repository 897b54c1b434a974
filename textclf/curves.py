"""The points of a report's curves, from truth and probabilities; a few hundred at most, whatever the number of rows."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

POINTS = 150
RELIABILITY_BINS = 10


class Curve(NamedTuple):
    """A line by its points, shape (k,) each."""

    x: Array
    y: Array


def thinned(x: Array, y: Array) -> Curve:
    """The line with POINTS points at most, evenly spaced along it, its ends among them."""
    if len(x) <= POINTS:
        return Curve(x, y)
    way = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS)))
    kept = np.unique(np.concatenate([[0], np.minimum(kept, len(x) - 1), [len(x) - 1]]))
    return Curve(x[kept], y[kept])


def roc(ones: Array, scores: Array) -> Curve:
    """False positive rate and true positive rate of a label, given 0 and 1 and its probability, shape (n,)."""
    import sklearn.metrics as sk

    false, true, _ = sk.roc_curve(ones, scores)
    return thinned(false, true)


def precision_recall(ones: Array, scores: Array) -> Curve:
    """Recall and precision of a label, given 0 and 1 and its probability, shape (n,)."""
    import sklearn.metrics as sk

    precision, recall, _ = sk.precision_recall_curve(ones, scores)
    return thinned(recall[::-1], precision[::-1])


class Reliability(NamedTuple):
    """Bins of confidence that have rows, shape (k,) each (Guo et al. 2017, figure 1)."""

    confidence: Array
    accuracy: Array
    rows: Array


def reliability(right: Array, confidence: Array) -> Reliability:
    """How often rows, shape (n,), are right, by how sure the model is."""
    bin_of = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    rows = np.bincount(bin_of, minlength=RELIABILITY_BINS)
    some = rows > 0
    mean, share = (np.bincount(bin_of, part, RELIABILITY_BINS)[some] / rows[some] for part in (confidence, right))
    return Reliability(mean, share, rows[some])


def coverage(right: Array, confidence: Array) -> Curve:
    """Share of rows kept, the surest first, and their accuracy; from 20 rows on, fewer say nothing."""
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(right) + 1)
    begin = min(20, len(right)) - 1
    return thinned((kept / len(right))[begin:], (np.cumsum(right[order]) / kept)[begin:])
