"""Probabilities that can be believed, and the line from which a label is given: both fitted on validation rows."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.schema import AIM_PATTERN, DEFAULT_THRESHOLD
from textclf.evaluation.metrics import SEVERAL, safe_divide

Array = npt.NDArray[Any]


def fit_temperature(logits: Array, targets: Array) -> float:
    """The number to divide the logits by for the least log loss (Guo et al. 2017, section 4.2), 0.05 to 20.

    Args:
        logits: shape (n, outputs); a single output is that of the second of two labels.
        targets: index of the label, shape (n,), or for several labels a row 0 and 1, shape (n, outputs).
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        if targets.ndim == SEVERAL or logits.shape[1] == 1:
            ones = targets.reshape(scaled.shape)
            return float(np.logaddexp(0, np.where(ones == 1, -scaled, scaled)).mean())
        of_truth = scaled[np.arange(len(targets)), targets]
        return float((np.logaddexp.reduce(scaled, axis=1) - of_truth).mean())

    bounds = (np.log(0.05), np.log(20))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def without_temperature(probabilities: Array, temperature: float, *, multilabel: bool) -> Array:
    """The probabilities as they were before their logits were divided, shape (n, labels) as they come."""
    if multilabel:
        ones, zeros = probabilities**temperature, (1 - probabilities) ** temperature
        return ones / (ones + zeros)
    powers = probabilities**temperature
    return powers / powers.sum(axis=1, keepdims=True)


def needs_threshold(labels: int, *, multilabel: bool) -> bool:
    """Whether a threshold decides: between two labels, or for each of several a row."""
    return multilabel or labels == 2


def choose_threshold(aim: str, ones: Array, scores: Array) -> tuple[float, bool]:
    """The threshold that serves the aim best, and whether it reaches it.

    Halfway between two neighbouring scores. Of those that reach a precision, the one with the highest recall is taken,
    and the reverse; where none does, the one that comes nearest.

    Args:
        ones: whether rows have the label, 0 and 1, shape (n, labels).
        scores: the probability of the label, shape (n, labels). Precision, recall and F1 are of all labels together.
    """
    thresholds, precision, recall, f1, accuracy = threshold_curve(ones, scores)
    if not re.fullmatch(AIM_PATTERN, aim):
        raise ValueError(f"unknown aim {aim!r}; use f1, accuracy, precision>=0.9 or recall>=0.9")
    name, _, least = aim.partition(">=")
    values = {"precision": precision, "recall": recall, "f1": f1, "accuracy": accuracy}[name]
    if not least:
        best = values.max()
    else:
        reached = values >= float(least)
        if reached.any():
            other = np.where(reached, recall if name == "precision" else precision, -1.0)
            return float(thresholds[_nearest_half(thresholds, other == other.max())]), True
        best = values.max()
    place = _nearest_half(thresholds, values == best)
    return float(thresholds[place]), not least


def _nearest_half(thresholds: Array, wanted: Array) -> int:
    """Of the thresholds that are wanted, the place of that nearest to one half."""
    return int(np.where(wanted, np.abs(thresholds - DEFAULT_THRESHOLD), np.inf).argmin())


def threshold_curve(ones: Array, scores: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Thresholds, ascending, and precision, recall, F1 and accuracy at each, over all labels together; shape (k,) each.

    Args:
        ones, scores: as `choose_threshold` takes them.
    """
    flat, order = ones.ravel()[np.argsort(scores, axis=None, kind="stable")], np.sort(scores, axis=None)
    first = np.flatnonzero(np.r_[True, order[1:] != order[:-1]])
    below = np.r_[order[0] / 2, (order[first][1:] + order[first][:-1]) / 2]
    positive = flat.sum()
    missed = np.r_[0, np.cumsum(flat)][first]  # rows with the label below each threshold
    given = len(flat) - first
    hits = positive - missed
    precision, recall = safe_divide(hits, given, otherwise=1.0), safe_divide(hits, np.full(len(hits), positive))
    f1 = safe_divide(2 * hits, given + positive)
    accuracy = (hits + first - missed) / len(flat)
    inside = (below > 0) & (below < 1)
    if not inside.any():
        below, inside = np.full(len(below), DEFAULT_THRESHOLD), np.arange(len(below)) == 0
    return below[inside], precision[inside], recall[inside], f1[inside], accuracy[inside]
