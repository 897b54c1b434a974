"""Temperature and threshold of a model, both chosen on validation rows."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.schema import AIM_PATTERN, DEFAULT_THRESHOLD
from textclf.evaluation.curves import threshold_curve
from textclf.evaluation.metrics import MULTILABEL

Array = npt.NDArray[Any]


def fit_temperature(logits: Array, targets: Array) -> float:
    """Return the divisor of the logits, 0.05 to 20, with the lowest log loss (Guo et al. 2017, section 4.2).

    Args:
        logits: shape (n, outputs); a single output belongs to the second of two labels.
        targets: index of the label, shape (n,), or with several labels per row 0 or 1, shape (n, outputs).
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)

    def log_loss(log_temperature: float) -> float:
        # from logits, not by `row_losses`: probabilities that round to 0 or 1 have no gradient
        scaled = logits / np.exp(log_temperature)  # (n, outputs)
        if targets.ndim == MULTILABEL or logits.shape[1] == 1:
            binary = targets.reshape(scaled.shape)
            return float(np.logaddexp(0, np.where(binary == 1, -scaled, scaled)).mean())
        true_logits = scaled[np.arange(len(targets)), targets]  # (n,)
        return float((np.logaddexp.reduce(scaled, axis=1) - true_logits).mean())

    bounds = (np.log(0.05), np.log(20))
    return float(np.exp(minimize_scalar(log_loss, bounds=bounds, method="bounded").x))


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
    if not re.fullmatch(AIM_PATTERN, aim):
        raise ValueError(f"unknown aim {aim!r}; use f1, accuracy, precision>=0.9 or recall>=0.9")
    thresholds, *curves = map(np.nan_to_num, threshold_curve(y_true, scores, _candidates(scores)))
    values = dict(zip(("precision", "recall", "f1", "accuracy"), curves, strict=True))  # (thresholds,) each
    name, _, least = aim.partition(">=")
    reached = values[name] >= float(least or 0)
    if least and reached.any():
        other = values["recall" if name == "precision" else "precision"]
        best = reached & (other == other[reached].max())
    else:
        best = values[name] == values[name].max()
    chosen = np.where(best, np.abs(thresholds - DEFAULT_THRESHOLD), np.inf).argmin()
    return float(thresholds[chosen]), not least or bool(reached.any())


def _candidates(scores: Array) -> Array:
    """Return the thresholds to try: half the lowest score, and midpoints of neighbours; 0.5 if none is in (0, 1)."""
    distinct = np.unique(scores)
    middles = np.r_[distinct[0] / 2, (distinct[1:] + distinct[:-1]) / 2]
    inside = middles[(middles > 0) & (middles < 1)]
    return inside if len(inside) else np.array([DEFAULT_THRESHOLD])
