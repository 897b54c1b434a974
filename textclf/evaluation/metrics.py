"""Numbers that say how good predictions are, under the names that scikit-learn gives them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn.metrics as sk

from textclf.io.contract import LabelDocument, Metrics

Array = npt.NDArray[Any]

SEVERAL = 2  # dimensions of a truth with several labels a row

CALIBRATION_BINS = 15


def row_losses(y_true: Array, probabilities: Array) -> dict[str, Array]:
    """Log loss and Brier score of each row, shape (n,); with several labels a row the means over its labels.

    The Brier score of two labels is that of the second alone, of more the sum over them, as scikit-learn has it.
    """
    tiny = np.finfo(np.float64).eps  # scikit-learn's clip
    if y_true.ndim == SEVERAL:
        given = np.clip(np.where(y_true == 1, probabilities, 1 - probabilities), tiny, 1 - tiny)
        return {
            "log_loss": -np.log(given).mean(axis=1),
            "brier_score_loss": ((probabilities - y_true) ** 2).mean(axis=1),
        }
    rows, labels = np.arange(len(y_true)), probabilities.shape[1]
    of_truth = probabilities[rows, y_true]
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


AVERAGES = ("macro", "micro", "weighted")


def compute_metrics(y_true: Array, y_pred: Array, probabilities: Array) -> Metrics:
    """All headline numbers of n rows; None where one is not defined, such as ROC AUC with one label.

    Args:
        truth: index of the right label, shape (n,), or for several labels a row 0 and 1, shape (n, labels).
        chosen: what was predicted, of the same shape.
        probabilities: shape (n, labels).
    """
    labels = np.arange(probabilities.shape[1])
    ones = y_true if y_true.ndim == 2 else (y_true[:, None] == labels).astype(np.int64)
    found: Metrics = {"accuracy": float(sk.accuracy_score(y_true, y_pred))}
    if y_true.ndim == 1:
        found["balanced_accuracy"] = _balanced_accuracy(y_true, y_pred)
        # scikit-learn gives 0 as well where there is one label, with a warning
        multilabel = len(np.union1d(y_true, y_pred)) > 1
        found["matthews_corrcoef"] = float(sk.matthews_corrcoef(y_true, y_pred)) if multilabel else 0.0
    else:
        found["hamming_loss"] = float(sk.hamming_loss(y_true, y_pred))
    for average in AVERAGES:
        scores = sk.precision_recall_fscore_support(y_true, y_pred, average=average, zero_division=0)[:3]
        for name, value in zip(("precision", "recall", "f1"), scores, strict=True):
            found[f"{name}_{average}"] = float(value)
    single = y_true.ndim == 1 and len(labels) == 2
    found["roc_auc"] = _ranking(sk.roc_auc_score, ones, probabilities, second_only=single)
    found["average_precision"] = _ranking(sk.average_precision_score, ones, probabilities, second_only=single)
    found |= {name: float(losses.mean()) for name, losses in row_losses(y_true, probabilities).items()}
    if y_true.ndim == SEVERAL:
        found["expected_calibration_error"] = calibration_error(y_true.ravel() == 1, probabilities.ravel())
    else:
        confidence = probabilities[np.arange(len(y_pred)), y_pred]
        found["expected_calibration_error"] = calibration_error(y_pred == y_true, confidence)
    return found


def _balanced_accuracy(y_true: Array, y_pred: Array) -> float:
    """Mean recall of the labels that occur; scikit-learn's own warns where a prediction does not occur."""
    recalls = sk.recall_score(y_true, y_pred, labels=np.unique(y_true), average=None, zero_division=0)
    return float(np.mean(recalls))


def _ranking(score: Any, ones: Array, probabilities: Array, *, second_only: bool) -> float | None:
    """A ranking metric, averaged over the labels that some rows have and some have not; or the second label's."""
    columns = np.flatnonzero((ones.sum(axis=0) > 0) & (ones.sum(axis=0) < len(ones)))
    if second_only:
        columns = columns[columns == 1]
    scores = [score(ones[:, column], probabilities[:, column]) for column in columns]
    return float(np.mean(scores)) if scores else None


def label_metrics(y_true: Array, y_pred: Array, names: Sequence[str]) -> dict[str, LabelDocument]:
    """Precision, recall, F1 and number of rows of each label."""
    parts = sk.precision_recall_fscore_support(
        y_true, y_pred, labels=np.arange(len(names)), average=None, zero_division=0
    )
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for name, p, r, f, s in zip(names, *parts, strict=True)
    }


def confusion_matrix(y_true: Array, y_pred: Array, labels: int) -> Array:
    """Rows of each label (down) predicted as each (across), shape (labels, labels); several labels a row: for each
    label [[true negatives, false positives], [false negatives, true positives]], shape (labels, 2, 2)."""
    if y_true.ndim == 2:
        return np.asarray(sk.multilabel_confusion_matrix(y_true, y_pred))
    return np.asarray(sk.confusion_matrix(y_true, y_pred, labels=np.arange(labels)))
