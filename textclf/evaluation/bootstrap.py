"""How sure the numbers are: the bootstrap over rows (Efron 1979), and the exact test of McNemar (1947).

A resample is how often it holds each row. Every metric is written in terms of that, over many resamples at once, which
is what makes a thousand resamples of 25,000 rows a matter of a second or two.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from textclf.evaluation.metrics import CALIBRATION_BINS, SEVERAL, row_losses, safe_divide
from textclf.io.contract import Interval, Intervals, McNemarDocument

Array = npt.NDArray[Any]

Resampled = dict[str, Array]
"""Values of each metric, shape (resamples,); NaN where it is not defined."""

LEVEL = 0.95

MOST, LEAST = 1000, 100  # resamples

AFFORDABLE = 1 << 28  # rows times resamples times labels that are ranked: some seconds

TOGETHER = 1 << 21  # rows times resamples of a block: within a core's cache, or not far beyond


def resampled_metrics(y_true: Array, y_pred: Array, probabilities: Array, *, seed: int = 0) -> Resampled:
    """The metrics of `compute_metrics` on resamples of the rows.

    The same number of rows and labels and the same seed give the same resamples, so that the difference of two models'
    values is paired.

    Args:
        truth, chosen, probabilities: as `compute_metrics` takes them.
    """
    rows, labels = probabilities.shape
    resamples = int(np.clip(AFFORDABLE // (rows * labels), LEAST, MOST))
    measure = _several_labels if y_true.ndim == SEVERAL else _one_label
    found = [measure(y_true, y_pred, probabilities, weights) for weights in _weights(rows, resamples, seed)]
    return {name: np.concatenate([block[name] for block in found]) for name in found[0]}


def interval(values: Array) -> Interval | None:
    """The middle 95 % of resampled values, [low, high]; None where the metric is hardly ever defined."""
    defined = values[~np.isnan(values)]
    if len(defined) < len(values) / 2:
        return None
    return [float(edge) for edge in np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])]


def intervals(resampled: Resampled) -> Intervals:
    """The interval of each metric that has one."""
    found = {name: interval(values) for name, values in resampled.items()}
    return {name: edges for name, edges in found.items() if edges is not None}


def difference_intervals(resampled: Resampled, other: Resampled) -> Intervals:
    """The interval of each metric's difference between two models on the same rows."""
    return intervals({name: values - other[name] for name, values in resampled.items() if name in other})


def mcnemar(right: Array, other_right: Array) -> McNemarDocument:
    """McNemar's exact test of whether two models are right equally often on the same rows (two-sided binomial).

    Args:
        right: whether each row is right, shape (n,), by the one and by the other.
    """
    from scipy.stats import binomtest

    only, only_other = int((right & ~other_right).sum()), int((~right & other_right).sum())
    p = float(binomtest(only, only + only_other).pvalue) if only + only_other else 1.0
    return {"only_this_right": only, "only_other_right": only_other, "p_value": p}


def _weights(rows: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each row is in each resample, shape (rows, some resamples)."""
    rng = np.random.default_rng(seed)
    together = max(1, TOGETHER // rows)
    for begin in range(0, resamples, together):
        columns = min(together, resamples - begin)
        weights = np.empty((rows, columns), np.int32)
        for column in range(columns):
            weights[:, column] = np.bincount(rng.integers(0, rows, rows), minlength=rows)
        yield weights


def _one_label(y_true: Array, y_pred: Array, probabilities: Array, weights: Array) -> Resampled:
    rows, labels = probabilities.shape
    hits = y_pred == y_true
    true = _by_label(y_true, labels) @ weights
    given = _by_label(y_pred, labels) @ weights
    right = _by_label(y_true, labels)[:, hits] @ weights[hits]
    found = {"accuracy": right.sum(axis=0) / rows}
    recalls = np.where(true > 0, safe_divide(right, true), np.nan)
    found["balanced_accuracy"] = np.nanmean(recalls, axis=0)
    # Gorodkin 2004, from the same counts
    covariance = right.sum(axis=0) * float(rows) - (true * given.astype(float)).sum(axis=0)
    spread = [float(rows) ** 2 - (counts.astype(float) ** 2).sum(axis=0) for counts in (true, given)]
    found["matthews_corrcoef"] = safe_divide(covariance, np.sqrt(spread[0] * spread[1]))
    found |= _averages(right, true, given, only=(true + given) > 0)
    columns = [1] if labels == 2 else range(labels)
    found |= _rankings(((y_true == column, probabilities[:, column]) for column in columns), weights)
    confidence = probabilities[np.arange(rows), y_pred]
    return found | _losses(y_true, probabilities, hits[:, None], confidence[:, None], weights)


def _several_labels(y_true: Array, y_pred: Array, probabilities: Array, weights: Array) -> Resampled:
    rows, labels = y_true.shape
    found = {"accuracy": (y_true == y_pred).all(axis=1) @ weights / rows}
    found["hamming_loss"] = (y_true != y_pred).mean(axis=1) @ weights / rows
    right, true, given = ((ones.T.astype(float) @ weights) for ones in (y_true & y_pred, y_true, y_pred))
    found |= _averages(right, true, given, only=np.ones_like(true, bool))
    found |= _rankings(((y_true[:, column] == 1, probabilities[:, column]) for column in range(labels)), weights)
    return found | _losses(y_true, probabilities, y_true == 1, probabilities, weights)


def _by_label(labels: Array, count: int) -> csr_matrix:
    """1 where a row has a label, sparse, shape (labels, n)."""
    return csr_matrix((np.ones(len(labels), np.int32), (labels, np.arange(len(labels)))), (count, len(labels)))


def _averages(right: Array, true: Array, given: Array, *, only: Array) -> Resampled:
    """Precision, recall and F1 from counts of each label, shape (labels, resamples); macro over `only` these labels."""
    counts = {"precision": (right, given), "recall": (right, true), "f1": (2 * right, true + given)}
    found: Resampled = {}
    for name, (above, below) in counts.items():
        each = safe_divide(above, below)
        found[f"{name}_macro"] = np.where(only, each, 0).sum(axis=0) / np.maximum(only.sum(axis=0), 1)
        found[f"{name}_micro"] = safe_divide(above.sum(axis=0), below.sum(axis=0))
        found[f"{name}_weighted"] = safe_divide((each * true).sum(axis=0), true.sum(axis=0))
    return found


def _rankings(columns: Iterator[tuple[Array, Array]], weights: Array) -> Resampled:
    """ROC AUC and average precision, the mean over labels that a resample's rows have and lack."""
    found = np.array([_ranking(ones, scores, weights) for ones, scores in columns])
    defined = ~np.isnan(found)
    means = np.where(defined, found, 0).sum(axis=0) / np.where(defined.any(axis=0), defined.sum(axis=0), np.nan)
    return {"roc_auc": means[0], "average_precision": means[1]}


def _ranking(ones: Array, scores: Array, weights: Array) -> Array:
    """ROC AUC and average precision of one label, shape (2, resamples); NaN where all rows or none have it."""
    order = np.argsort(scores, kind="stable")
    ranked, with_label = scores[order], np.flatnonzero(ones[order])
    # of the rows of the same score as each row with the label, the first, and the first beyond
    first, beyond = (np.searchsorted(ranked, ranked[with_label], side=side) for side in ("left", "right"))
    every = _totals_before(weights[order])
    of_label = _totals_before(weights[order[with_label]])
    total, total_of_label = every[-1], of_label[-1]
    every_below, every_up_to = every[first], every[beyond]
    of_label_below, of_label_up_to = (of_label[np.searchsorted(with_label, place)] for place in (first, beyond))
    others_below, others_up_to = every_below - of_label_below, every_up_to - of_label_up_to
    drawn = weights[order[with_label]]
    won = (drawn * ((others_below + others_up_to) / 2)).sum(axis=0)
    auc = safe_divide(won, total_of_label.astype(float) * (total - total_of_label), otherwise=np.nan)
    precision = safe_divide(total_of_label - of_label_below, total - every_below)
    average = safe_divide((drawn * precision).sum(axis=0), total_of_label, otherwise=np.nan)
    return np.array([auc, np.where(total_of_label < total, average, np.nan)])


def _totals_before(weights: Array) -> Array:
    """The sum of the weights before each row, and of all, shape (n + 1, resamples)."""
    totals = np.zeros((len(weights) + 1, weights.shape[1]), np.int32)
    np.cumsum(weights, axis=0, out=totals[1:])
    return totals


def _losses(y_true: Array, probabilities: Array, right: Array, confidence: Array, weights: Array) -> Resampled:
    """Means over rows, and the calibration error; `right` and `confidence` have shape (n, judgements of a row)."""
    rows, judged = right.shape
    found = {name: losses @ weights / rows for name, losses in row_losses(y_true, probabilities).items()}
    bin_of = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = csr_matrix(
        ((right - confidence).ravel(), (bin_of.ravel(), np.repeat(np.arange(rows), judged))), (CALIBRATION_BINS, rows)
    )
    return found | {"expected_calibration_error": np.abs(gaps @ weights).sum(axis=0) / (rows * judged)}
