"""Temperature, weights of the parts and thresholds of a model, all fitted to validation rows."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.schema import AIM_PATTERN, DEFAULT_THRESHOLD
from textclf.evaluation.curves import ThresholdCounts, count_by_threshold, scores_by_threshold, threshold_curve
from textclf.evaluation.metrics import MULTILABEL
from textclf.report.plot_data import Thresholds

Array = npt.NDArray[Any]

GRID = np.arange(1, 100) / 100  # thresholds that are tried for each of several labels

OPPOSITE = {"precision": "recall", "recall": "precision"}
"""The score that is made as high as possible once the other one is reached."""

SHARED_POSITIVES = 40.0  # rows with a label that its threshold shares with all other labels

BLEND_PENALTY = 10.0  # log loss, summed over the rows, of weights whose squared distance from equal ones is 1


def fit_temperature(logits: Array, targets: Array) -> float:
    """Return the divisor of the logits, 0.05 to 20, with the lowest log loss (Guo et al. 2017, section 4.2).

    Args:
        logits: shape (n, outputs); a single output belongs to the second of two labels.
        targets: index of the label, shape (n,), or with several labels per row 0 or 1, shape (n, outputs).
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)
    bounds = (np.log(0.05), np.log(20))
    result = minimize_scalar(lambda log: log_loss(logits / np.exp(log), targets), bounds=bounds, method="bounded")
    return float(np.exp(result.x))


def fit_blend(parts: Sequence[Array], targets: Array, *, penalty: float = BLEND_PENALTY) -> list[float]:
    """Return the weight, 0 to 20, of each part's logits in the sum with the lowest penalised log loss.

    The log loss, summed over rows and, with several labels per row, over labels, gets the penalty times the squared
    distance of the weights from equal ones, 1 / parts each: fitted to few rows without it, they would follow chance.

    Args:
        parts: the logits of each part, shape (n, outputs) each.
        targets: as for `fit_temperature`.
    """
    from scipy.optimize import minimize

    stacked = np.stack([part.astype(np.float64) for part in parts], axis=2)  # (n, outputs, parts)
    equal = np.full(len(parts), 1 / len(parts))
    strength = penalty / targets.size  # of a mean

    def penalised(weights: Array) -> float:
        return log_loss(stacked @ weights, targets) + strength * float(((weights - equal) ** 2).sum())

    result = minimize(penalised, equal, method="L-BFGS-B", bounds=[(0, 20)] * len(parts))
    return [float(weight) for weight in result.x]


def log_loss(logits: Array, targets: Array) -> float:
    """Return the mean log loss over the rows, with several labels per row over the labels too.

    From logits, not by `row_losses`: probabilities that round to 0 or 1 have no gradient.

    Args:
        logits, targets: as for `fit_temperature`.
    """
    if targets.ndim == MULTILABEL or logits.shape[1] == 1:
        binary = targets.reshape(logits.shape)
        return float(np.logaddexp(0, np.where(binary == 1, -logits, logits)).mean())
    true_logits = logits[np.arange(len(targets)), targets]  # (n,)
    return float((np.logaddexp.reduce(logits, axis=1) - true_logits).mean())


def without_temperature(probabilities: Array, temperature: float, *, multilabel: bool) -> Array:
    """Return the probabilities, shape (n, labels), as they were before the logits were divided by the temperature."""
    if multilabel:
        positive, negative = probabilities**temperature, (1 - probabilities) ** temperature
        return positive / (positive + negative)
    powers = probabilities**temperature
    return powers / powers.sum(axis=1, keepdims=True)


def needs_threshold(labels: int, *, multilabel: bool) -> bool:
    """Return True if a threshold decides: between two labels, or with several labels per row for each."""
    return multilabel or labels == 2


def choose_threshold(aim: str, y_true: Array, scores: Array) -> tuple[float, bool]:
    """Return the best threshold for the aim, halfway between two neighbouring scores.

    For precision>=P, that is the threshold with the highest recall among those that reach P, and the reverse for
    recall>=R; if none reaches it, the one that comes nearest. Ties go to the threshold nearest to 0.5.

    Args:
        aim: f1, accuracy, precision>=P or recall>=R; over all labels together.
        y_true: 0 or 1, shape (n, labels).
        scores: the probability of the label, shape (n, labels).

    Returns:
        The threshold, and whether it reaches the aim.
    """
    curve = threshold_curve(y_true, scores, _candidates(scores))
    best = _best_index(aim, curve)
    return float(curve.threshold[best]), bool(_reached(aim, curve)[best])


def choose_thresholds(aim: str, y_true: Array, scores: Array) -> tuple[list[float], bool]:
    """Return a threshold for each label of rows with several labels, and whether all of them reach the aim.

    A label of few rows tells little about its own threshold. So each is chosen as if SHARED_POSITIVES further rows had
    the label, spread like those of all labels together: the fewer rows a label has, the nearer is its threshold to the
    common one.

    Args:
        aim, y_true, scores: as for `choose_threshold`.
    """
    own = [count_by_threshold(*columns, GRID) for columns in zip(y_true.T, scores.T, strict=True)]
    total = [sum(values) for values in zip(*own, strict=True)]  # the fields of ThresholdCounts
    share = SHARED_POSITIVES / max(1, sum(counts.actual for counts in own))
    chosen, reached = [], True
    for counts in own:
        added = ThresholdCounts(*(value + share * of_all for value, of_all in zip(counts, total, strict=True)))
        best = _best_index(aim, scores_by_threshold(added, GRID))
        chosen.append(float(GRID[best]))
        reached &= bool(_reached(aim, scores_by_threshold(counts, GRID))[best])
    return chosen, reached


def _best_index(aim: str, curve: Thresholds) -> int:
    """Return the index of the best threshold of a curve; see `choose_threshold`."""
    score, _ = _parse(aim)
    values, reached = np.nan_to_num(getattr(curve, score)), _reached(aim, curve)  # (thresholds,) each
    best = values == values.max()
    if score in OPPOSITE and reached.any():
        opposite = np.nan_to_num(getattr(curve, OPPOSITE[score]))
        best = reached & (opposite == opposite[reached].max())
    return int(np.where(best, np.abs(curve.threshold - DEFAULT_THRESHOLD), np.inf).argmin())


def _reached(aim: str, curve: Thresholds) -> npt.NDArray[np.bool_]:
    """Return True for each threshold that reaches the aim, shape (thresholds,)."""
    score, least = _parse(aim)
    return np.asarray(np.nan_to_num(getattr(curve, score)) >= least)


def _parse(aim: str) -> tuple[str, float]:
    """Return the name of the score, and the least value that is accepted, 0 for f1 and accuracy."""
    if not re.fullmatch(AIM_PATTERN, aim):
        raise ValueError(f"unknown aim {aim!r}; use f1, accuracy, precision>=0.9 or recall>=0.9")
    score, _, least = aim.partition(">=")
    return score, float(least or 0)


def _candidates(scores: Array) -> Array:
    """Return the thresholds to try: half the lowest score, and midpoints of neighbours; 0.5 if none is in (0, 1)."""
    distinct = np.unique(scores)
    middles = np.r_[distinct[0] / 2, (distinct[1:] + distinct[:-1]) / 2]
    inside = middles[(middles > 0) & (middles < 1)]
    return inside if len(inside) else np.array([DEFAULT_THRESHOLD])
