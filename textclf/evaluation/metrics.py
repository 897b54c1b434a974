"""Numbers that say how good predictions are, under the names that scikit-learn gives them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn.metrics as sk

Array = npt.NDArray[Any]

SEVERAL = 2  # dimensions of a truth with several labels a row

CALIBRATION_BINS = 15


def row_losses(truth: Array, probabilities: Array) -> dict[str, Array]:
    """Log loss and Brier score of each row, shape (n,); with several labels a row the means over its labels.

    The Brier score of two labels is that of the second alone, of more the sum over them, as scikit-learn has it.
    """
    tiny = np.finfo(np.float64).eps  # scikit-learn's clip
    if truth.ndim == SEVERAL:
        given = np.clip(np.where(truth == 1, probabilities, 1 - probabilities), tiny, 1 - tiny)
        return {
            "log_loss": -np.log(given).mean(axis=1),
            "brier_score_loss": ((probabilities - truth) ** 2).mean(axis=1),
        }
    rows, labels = np.arange(len(truth)), probabilities.shape[1]
    of_truth = probabilities[rows, truth]
    squares = (probabilities**2).sum(axis=1) - of_truth**2 + (1 - of_truth) ** 2
    return {
        "log_loss": -np.log(np.clip(of_truth, tiny, 1 - tiny)),
        "brier_score_loss": squares / 2 if labels == 2 else squares,
    }


def calibration_error(right: Array, confidence: Array) -> float:
    """Expected calibration error over equally wide bins (Guo et al. 2017, equation 3), 0 to 1."""
    bin_of = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(right))


def safe_divide(above: Array, below: Array, *, otherwise: float = 0.0) -> Array:
    """The quotient of each pair, and `otherwise` where the divisor is 0."""
    result = np.full(np.broadcast(above, below).shape, otherwise)
    return np.divide(above, below, out=result, where=below != 0)


Metrics = dict[str, float | None]

AVERAGES = ("macro", "micro", "weighted")


def compute_metrics(truth: Array, chosen: Array, probabilities: Array) -> Metrics:
    """All headline numbers of n rows; None where one is not defined, such as ROC AUC with one label.

    Args:
        truth: index of the right label, shape (n,), or for several labels a row 0 and 1, shape (n, labels).
        chosen: what was predicted, of the same shape.
        probabilities: shape (n, labels).
    """
    labels = np.arange(probabilities.shape[1])
    ones = truth if truth.ndim == 2 else (truth[:, None] == labels).astype(np.int64)
    found: Metrics = {"accuracy": float(sk.accuracy_score(truth, chosen))}
    if truth.ndim == 1:
        found["balanced_accuracy"] = _balanced_accuracy(truth, chosen)
        # scikit-learn gives 0 as well where there is one label, with a warning
        several = len(np.union1d(truth, chosen)) > 1
        found["matthews_corrcoef"] = float(sk.matthews_corrcoef(truth, chosen)) if several else 0.0
    else:
        found["hamming_loss"] = float(sk.hamming_loss(truth, chosen))
    for average in AVERAGES:
        scores = sk.precision_recall_fscore_support(truth, chosen, average=average, zero_division=0)[:3]
        for name, value in zip(("precision", "recall", "f1"), scores, strict=True):
            found[f"{name}_{average}"] = float(value)
    single = truth.ndim == 1 and len(labels) == 2
    found["roc_auc"] = _ranking(sk.roc_auc_score, ones, probabilities, second_only=single)
    found["average_precision"] = _ranking(sk.average_precision_score, ones, probabilities, second_only=single)
    found |= {name: float(losses.mean()) for name, losses in row_losses(truth, probabilities).items()}
    if truth.ndim == SEVERAL:
        found["expected_calibration_error"] = calibration_error(truth.ravel() == 1, probabilities.ravel())
    else:
        confidence = probabilities[np.arange(len(chosen)), chosen]
        found["expected_calibration_error"] = calibration_error(chosen == truth, confidence)
    return found


def _balanced_accuracy(truth: Array, chosen: Array) -> float:
    """Mean recall of the labels that occur; scikit-learn's own warns where a prediction does not occur."""
    recalls = sk.recall_score(truth, chosen, labels=np.unique(truth), average=None, zero_division=0)
    return float(np.mean(recalls))


def _ranking(score: Any, ones: Array, probabilities: Array, *, second_only: bool) -> float | None:
    """A ranking metric, averaged over the labels that some rows have and some have not; or the second label's."""
    columns = np.flatnonzero((ones.sum(axis=0) > 0) & (ones.sum(axis=0) < len(ones)))
    if second_only:
        columns = columns[columns == 1]
    scores = [score(ones[:, column], probabilities[:, column]) for column in columns]
    return float(np.mean(scores)) if scores else None


def label_metrics(truth: Array, chosen: Array, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and number of rows of each label."""
    parts = sk.precision_recall_fscore_support(
        truth, chosen, labels=np.arange(len(names)), average=None, zero_division=0
    )
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(names, *parts, strict=True)
    }


def confusion_matrix(truth: Array, chosen: Array, labels: int) -> Array:
    """Rows of each label (down) predicted as each (across), shape (labels, labels); several labels a row: for each
    label [[true negatives, false positives], [false negatives, true positives]], shape (labels, 2, 2)."""
    if truth.ndim == 2:
        return np.asarray(sk.multilabel_confusion_matrix(truth, chosen))
    return np.asarray(sk.confusion_matrix(truth, chosen, labels=np.arange(labels)))
