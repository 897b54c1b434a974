"""Intervals of metrics by the bootstrap over rows (Efron 1979), and the exact test of McNemar (1947).

A resample is given by the weight of each row: how often it was drawn. What no resample changes, such as the order of
the rows by probability and the loss of each row, is computed once; the metrics are computed for many resamples at once,
in threads.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from textclf.evaluation.metrics import (
    AVERAGES,
    CALIBRATION_BINS,
    MULTILABEL,
    calibration_bins,
    correct_and_confidence,
    row_losses,
    safe_divide,
)
from textclf.inference.prefetch import prefetch
from textclf.io.contract import Interval, Intervals
from textclf.io.processors import usable_processors

Array = npt.NDArray[Any]

Resampled = dict[str, Array]
"""Values of each metric, shape (resamples,); NaN where it is undefined."""

WeightedMetrics = Callable[[Array], Resampled]
"""A function from the weights of rows, shape (n, resamples), to the metrics."""

LEVEL = 0.95

MAX_RESAMPLES, MIN_RESAMPLES = 1000, 100

MAX_WORK = 1 << 28  # rows x resamples x labels, which take some seconds; more rows get fewer resamples

BLOCK = 1 << 18  # rows x resamples computed together, which fit into the cache of a core

MAX_THREADS, MAX_ROWS = 8, 1 << 25  # rows in all threads together, with about 50 bytes each


def resampled_metrics(y_true: Array, y_pred: Array, probabilities: Array, *, seed: int = 0) -> Resampled:
    """Compute the metrics of `compute_metrics`, which takes the same arrays, on resamples of the rows.

    The same number of rows and labels and the same seed give the same resamples, so that the difference of two models'
    values is paired.
    """
    rows, labels = probabilities.shape
    resamples = int(np.clip(MAX_WORK // (rows * labels), MIN_RESAMPLES, MAX_RESAMPLES))
    metrics_of = _multilabel_metrics if y_true.ndim == MULTILABEL else _single_label_metrics
    weighted_metrics = metrics_of(y_true, y_pred, probabilities)
    threads = max(1, min(usable_processors(), MAX_THREADS, MAX_ROWS // rows))
    with ThreadPoolExecutor(threads) as pool:
        submitted = (pool.submit(weighted_metrics, weights) for weights in _resample_counts(rows, resamples, seed))
        blocks = [block.result() for block in prefetch(submitted, limit=threads)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def interval(values: Array) -> Interval | None:
    """Return the middle 95 % of resampled values; None if the metric is undefined on more than half of them."""
    defined = values[~np.isnan(values)]
    if len(defined) < len(values) / 2:
        return None
    return [float(edge) for edge in np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])]


def intervals(resampled: Resampled) -> Intervals:
    """Return the interval of each metric, without those that are undefined on most resamples."""
    return {name: edges for name, values in resampled.items() if (edges := interval(values))}


def accuracy_interval(correct: int, rows: int) -> Interval:
    """Return the 95 % interval of Wilson 1927, which also holds for few rows, and if all or none are correct."""
    from scipy.stats import binomtest

    edges = binomtest(correct, rows).proportion_ci(method="wilson")
    return [float(edges.low), float(edges.high)]


def difference_intervals(resampled: Resampled, other: Resampled) -> Intervals:
    """Return the interval of each metric's difference between two models on the same rows."""
    return intervals({name: values - other[name] for name, values in resampled.items() if name in other})


def mcnemar(correct: Array, other_correct: Array) -> dict[str, float]:
    """Test whether two models are equally often correct on the same rows, by McNemar's exact two-sided test.

    Args:
        correct, other_correct: whether each model is correct on each row, shape (n,).
    """
    from scipy.stats import binomtest

    only, only_other = int((correct & ~other_correct).sum()), int((~correct & other_correct).sum())
    p_value = float(binomtest(only, only + only_other).pvalue) if only + only_other else 1.0
    return {"only_this_right": only, "only_other_right": only_other, "p_value": p_value}


def _resample_counts(rows: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield how often each resample holds each row, in blocks of shape (rows, resamples of the block)."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // rows)
    for start in range(0, resamples, block):
        weights = np.empty((rows, min(block, resamples - start)), np.int32)
        for column in range(weights.shape[1]):
            weights[:, column] = np.bincount(rng.integers(0, rows, rows), minlength=rows)
        yield weights


def _single_label_metrics(y_true: Array, y_pred: Array, probabilities: Array) -> WeightedMetrics:
    rows, labels = probabilities.shape
    is_true, is_predicted = _one_hot(y_true, labels), _one_hot(y_pred, labels)  # (labels, n), as is the next
    is_correct = _one_hot(y_true, labels, y_pred == y_true)
    columns = [1] if labels == 2 else range(labels)
    ranking = _ranking_metrics((y_true == column, probabilities[:, column]) for column in columns)
    losses = _loss_metrics(y_true, y_pred, probabilities)

    def metrics(weights: Array) -> Resampled:
        actual, predicted, correct = is_true @ weights, is_predicted @ weights, is_correct @ weights
        recalls = np.where(actual > 0, safe_divide(correct, actual), np.nan)  # (labels, resamples)
        return {
            "accuracy": correct.sum(axis=0) / rows,
            "balanced_accuracy": np.nanmean(recalls, axis=0),
            "matthews_corrcoef": _matthews(actual, predicted, correct, rows),
            **_averages(actual, predicted, correct),
            **ranking(weights),
            **losses(weights),
        }

    return metrics


def _multilabel_metrics(y_true: Array, y_pred: Array, probabilities: Array) -> WeightedMetrics:
    rows, labels = y_true.shape
    all_correct, wrong_fraction = (y_true == y_pred).all(axis=1), (y_true != y_pred).mean(axis=1)  # (n,)
    is_true, is_predicted, is_correct = (  # (labels, n) each
        csr_matrix(values.T, dtype=np.int32) for values in (y_true, y_pred, y_true & y_pred)
    )
    ranking = _ranking_metrics((y_true[:, column] == 1, probabilities[:, column]) for column in range(labels))
    losses = _loss_metrics(y_true, y_pred, probabilities)

    def metrics(weights: Array) -> Resampled:
        actual, predicted, correct = is_true @ weights, is_predicted @ weights, is_correct @ weights
        return {
            "accuracy": all_correct @ weights / rows,
            "hamming_loss": wrong_fraction @ weights / rows,
            **_averages(actual, predicted, correct),
            **ranking(weights),
            **losses(weights),
        }

    return metrics


def _one_hot(indices: Array, labels: int, values: Array | int = 1) -> csr_matrix:
    """Return a sparse matrix, shape (labels, n), with 1, or the row's value, at the label of each row."""
    values = np.broadcast_to(np.asarray(values, np.int32), indices.shape)
    return csr_matrix((values, (indices, np.arange(len(indices)))), (labels, len(indices)))


def _matthews(actual: Array, predicted: Array, correct: Array, rows: int) -> Array:
    """Return the correlation (Gorodkin 2004), shape (resamples,), from counts of shape (labels, resamples)."""
    covariance = correct.sum(axis=0) * float(rows) - (actual * predicted.astype(float)).sum(axis=0)
    variances = [float(rows) ** 2 - (counts.astype(float) ** 2).sum(axis=0) for counts in (actual, predicted)]
    correlation = safe_divide(covariance, np.sqrt(variances[0] * variances[1]))
    return np.where(variances[0] > 0, correlation, np.nan)


def _averages(actual: Array, predicted: Array, correct: Array) -> Resampled:
    """Return the averages of precision, recall and F1, computed from the rows of each label.

    Args:
        actual, predicted, correct: shape (labels, resamples).
    """
    has_rows = actual > 0  # (labels, resamples): the labels that macro averages go over
    any_rows = has_rows.any(axis=0)  # (resamples,)
    fractions = {
        "precision": (correct, predicted),
        "recall": (correct, actual),
        "f1": (2 * correct, actual + predicted),
    }
    metrics: Resampled = {}
    for name, (numerator, denominator) in fractions.items():
        scores = safe_divide(numerator, denominator)  # (labels, resamples)
        macro = safe_divide(np.where(has_rows, scores, 0).sum(axis=0), has_rows.sum(axis=0))
        micro = safe_divide(numerator.sum(axis=0), denominator.sum(axis=0))
        weighted = safe_divide((scores * actual).sum(axis=0), actual.sum(axis=0))
        for average, values in zip(AVERAGES, (macro, micro, weighted), strict=True):
            metrics[f"{name}_{average}"] = np.where(any_rows, values, np.nan)
    return metrics


class _Ranking(NamedTuple):
    """The rows ordered by their probability of a label."""

    order: Array
    """Rows by ascending probability, shape (n,)."""
    positives: Array
    """Rows that have the label, by ascending probability, shape (positives,); the arrays below have this shape too."""
    lower: Array
    """Number of rows of lower probability."""
    lower_or_equal: Array
    """Number of rows of lower or equal probability."""
    positives_lower: Array
    """Number of rows with the label of lower probability."""
    positives_lower_or_equal: Array
    """Number of rows with the label of lower or equal probability."""


def _rank(has_label: Array, probabilities: Array) -> _Ranking:
    order = np.argsort(probabilities, kind="stable")
    ranked, positions = probabilities[order], np.flatnonzero(has_label[order])  # (n,), (positives,)
    lower, lower_or_equal = (np.searchsorted(ranked, ranked[positions], side=side) for side in ("left", "right"))
    positives_below = [np.searchsorted(positions, count) for count in (lower, lower_or_equal)]
    arrays = order, order[positions], lower, lower_or_equal, *positives_below
    return _Ranking(*(array.astype(np.int32) for array in arrays))  # int32: half the memory, which each label takes


def _ranking_metrics(columns: Iterable[tuple[Array, Array]]) -> WeightedMetrics:
    """Return a function to ROC AUC and average precision: the means over the labels for which they are defined.

    Args:
        columns: for each label whether a row has it, and its probabilities, shape (n,) each.
    """
    rankings = [_rank(has_label, probabilities) for has_label, probabilities in columns]

    def metrics(weights: Array) -> Resampled:
        scores = np.array([_ranking_scores(ranking, weights) for ranking in rankings])
        defined = ~np.isnan(scores)  # (labels, 2, resamples)
        means = np.where(defined, scores, 0).sum(axis=0) / np.where(defined.any(axis=0), defined.sum(axis=0), np.nan)
        return {"roc_auc": means[0], "average_precision": means[1]}

    return metrics


def _ranking_scores(ranking: _Ranking, weights: Array) -> Array:
    """Return ROC AUC and average precision of one label, shape (2, resamples); NaN if all rows have it, or none."""
    positive_weights = weights.take(ranking.positives, axis=0)  # (positives, resamples)
    totals, positive_totals = _totals_before(weights.take(ranking.order, axis=0)), _totals_before(positive_weights)
    total, total_positive = totals[-1], positive_totals[-1]  # (resamples,)
    # (positives, resamples): weights of the rows below each positive row, and up to it, equal ones included
    below, up_to = totals.take(ranking.lower, axis=0), totals.take(ranking.lower_or_equal, axis=0)
    positive_below = positive_totals.take(ranking.positives_lower, axis=0)
    positive_up_to = positive_totals.take(ranking.positives_lower_or_equal, axis=0)
    negative_below, negative_up_to = below - positive_below, up_to - positive_up_to
    # a positive row that ties with a negative one counts as half a win
    pairs_won = (positive_weights * ((negative_below + negative_up_to) / 2)).sum(axis=0)
    auc = safe_divide(pairs_won, total_positive.astype(float) * (total - total_positive), otherwise=np.nan)
    precision = safe_divide(total_positive - positive_below, total - below)
    average = safe_divide((positive_weights * precision).sum(axis=0), total_positive, otherwise=np.nan)
    return np.array([auc, np.where(total_positive < total, average, np.nan)])


def _totals_before(weights: Array) -> Array:
    """Return the sum of the weights before each row, and last the sum of all, shape (n + 1, resamples)."""
    totals = np.zeros((len(weights) + 1, weights.shape[1]), np.int32)
    np.cumsum(weights, axis=0, out=totals[1:])
    return totals


def _loss_metrics(y_true: Array, y_pred: Array, probabilities: Array) -> WeightedMetrics:
    """Return a function to the mean losses and the calibration error."""
    correct, confidence = correct_and_confidence(y_true, y_pred, probabilities)  # (n, 1) or (n, labels)
    rows, labels = correct.shape
    losses = row_losses(y_true, probabilities)
    bins, row_of = calibration_bins(confidence).ravel(), np.repeat(np.arange(rows), labels)
    gaps = csr_matrix(((correct - confidence).ravel(), (bins, row_of)), (CALIBRATION_BINS, rows))

    def metrics(weights: Array) -> Resampled:
        means = {name: values @ weights / rows for name, values in losses.items()}
        # (bins, n) @ (n, resamples) -> (bins, resamples)
        return means | {"expected_calibration_error": np.abs(gaps @ weights).sum(axis=0) / (rows * labels)}

    return metrics
