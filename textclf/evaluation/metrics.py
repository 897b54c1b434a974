"""Metrics of predictions, under the names that scikit-learn gives them.

scikit-learn is imported by the functions that need it, since the import takes seconds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.io.contract import LabelDocument, Metrics

Array = npt.NDArray[Any]

MULTILABEL = 2  # dimensions of y_true where a row has several labels

CALIBRATION_BINS = 15

AVERAGES = ("macro", "micro", "weighted")


def compute_metrics(y_true: Array, y_pred: Array, probabilities: Array) -> Metrics:
    """Compute all metrics of n rows; an undefined one, such as ROC AUC with a single label, is None.

    Macro averages go over the labels that some row has. With labels that are only predicted, models with different
    predictions would be averaged over different labels.

    A metric that is added here is also added to `bootstrap`, which resamples it, and to TITLES in `report.page`, which
    shows it; tests compare the names.

    Args:
        y_true: index of the label, shape (n,), or with several labels per row 0 or 1, shape (n, labels).
        y_pred: the predicted labels, of the same shape.
        probabilities: shape (n, labels).
    """
    import sklearn.metrics as sk

    multilabel = y_true.ndim == MULTILABEL
    metrics: Metrics = {"accuracy": float(sk.accuracy_score(y_true, y_pred))}
    if multilabel:
        metrics["hamming_loss"] = float(sk.hamming_loss(y_true, y_pred))
    else:
        metrics["balanced_accuracy"] = _balanced_accuracy(y_true, y_pred)
        metrics["matthews_corrcoef"] = _matthews(y_true, y_pred)
    with_rows = np.flatnonzero(y_true.any(axis=0)) if multilabel else np.unique(y_true)
    for average in AVERAGES:
        labels = with_rows if average == "macro" else None
        scores: tuple[float | None, ...] = (None, None, None)
        if len(with_rows):
            scores = sk.precision_recall_fscore_support(y_true, y_pred, labels=labels, average=average, zero_division=0)
        for name, score in zip(("precision", "recall", "f1"), scores, strict=False):
            metrics[f"{name}_{average}"] = None if score is None else float(score)
    metrics["roc_auc"] = _ranking_metric(sk.roc_auc_score, y_true, probabilities)
    metrics["average_precision"] = _ranking_metric(sk.average_precision_score, y_true, probabilities)
    metrics |= {name: float(losses.mean()) for name, losses in row_losses(y_true, probabilities).items()}
    metrics["expected_calibration_error"] = calibration_error(*correct_and_confidence(y_true, y_pred, probabilities))
    return metrics


def _matthews(y_true: Array, y_pred: Array) -> float | None:
    """Return Matthews' correlation; None, as undefined, if all rows have the same label."""
    import sklearn.metrics as sk

    return float(sk.matthews_corrcoef(y_true, y_pred)) if len(np.unique(y_true)) > 1 else None


def _balanced_accuracy(y_true: Array, y_pred: Array) -> float:
    """Return the mean recall of the labels that occur; scikit-learn's own warns where a prediction does not occur."""
    import sklearn.metrics as sk

    recalls = sk.recall_score(y_true, y_pred, labels=np.unique(y_true), average=None, zero_division=0)
    return float(np.mean(recalls))


def _ranking_metric(score: Callable[[Array, Array], float], y_true: Array, probabilities: Array) -> float | None:
    """Return the mean score of the labels that some but not all rows have; of two labels, that of the positive one."""
    labels = probabilities.shape[1]
    binary = y_true if y_true.ndim == MULTILABEL else y_true[:, None] == np.arange(labels)  # (n, labels)
    has_label = binary.sum(axis=0)
    columns = np.flatnonzero((has_label > 0) & (has_label < len(binary)))
    if y_true.ndim == 1 and labels == 2:
        columns = columns[columns == 1]
    scores = [score(binary[:, column], probabilities[:, column]) for column in columns]
    return float(np.mean(scores)) if scores else None


def row_losses(y_true: Array, probabilities: Array) -> dict[str, Array]:
    """Return log loss and Brier score of each row, shape (n,); with several labels per row the means over the labels.

    As in scikit-learn, the Brier score of two labels is that of the second, and of more labels their sum.
    """
    tiny = np.finfo(np.float64).eps  # scikit-learn's clip
    if y_true.ndim == MULTILABEL:
        of_true = np.where(y_true == 1, probabilities, 1 - probabilities)  # (n, labels)
        return {
            "log_loss": -np.log(np.clip(of_true, tiny, 1 - tiny)).mean(axis=1),
            "brier_score_loss": ((probabilities - y_true) ** 2).mean(axis=1),
        }
    of_true = probabilities[np.arange(len(y_true)), y_true]  # (n,)
    squares = (probabilities**2).sum(axis=1) - of_true**2 + (1 - of_true) ** 2
    return {
        "log_loss": -np.log(np.clip(of_true, tiny, 1 - tiny)),
        "brier_score_loss": squares / 2 if probabilities.shape[1] == 2 else squares,
    }


def correct_and_confidence(y_true: Array, y_pred: Array, probabilities: Array) -> tuple[Array, Array]:
    """Return what calibration compares: whether a label is correct, and its probability.

    Returns:
        Two arrays for the predicted label of each row, shape (n, 1); with several labels per row for every label,
        shape (n, labels).
    """
    if y_true.ndim == MULTILABEL:
        return y_true == 1, probabilities
    return (y_pred == y_true)[:, None], probabilities[np.arange(len(y_pred)), y_pred][:, None]


def calibration_bins(confidence: Array) -> Array:
    """Return the index of each confidence's bin, of CALIBRATION_BINS equally wide bins from 0 to 1, same shape."""
    return np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


def calibration_error(correct: Array, confidence: Array) -> float:
    """Return the expected calibration error (Guo et al. 2017, equation 3), 0 to 1, of two arrays of one shape."""
    bins = calibration_bins(confidence).ravel()
    gaps = np.bincount(bins, weights=(correct - confidence).ravel(), minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / correct.size)


def safe_divide(numerator: Array, denominator: Array, *, otherwise: float = 0.0) -> Array:
    """Divide elementwise; return `otherwise` where the denominator is 0."""
    result = np.full(np.broadcast(numerator, denominator).shape, otherwise)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)


def label_metrics(y_true: Array, y_pred: Array, label_names: Sequence[str]) -> dict[str, LabelDocument]:
    """Return precision, recall, F1 and number of rows of each label; the scores of a label without rows are None."""
    import sklearn.metrics as sk

    scores = sk.precision_recall_fscore_support(
        y_true, y_pred, labels=np.arange(len(label_names)), average=None, zero_division=0
    )
    documents: dict[str, LabelDocument] = {}
    for name, precision, recall, f1, support in zip(label_names, *scores, strict=True):
        documents[name] = {"precision": None, "recall": None, "f1": None, "support": int(support)}
        if support:
            documents[name] |= {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
    return documents


def confusion_matrix(y_true: Array, y_pred: Array, labels: int) -> Array:
    """Count the rows of each label (down) that were predicted as each label (across), shape (labels, labels).

    With several labels per row, return for each label [[true negatives, false positives], [false negatives, true
    positives]], shape (labels, 2, 2).
    """
    import sklearn.metrics as sk

    if y_true.ndim == MULTILABEL:
        return np.asarray(sk.multilabel_confusion_matrix(y_true, y_pred))
    return np.asarray(sk.confusion_matrix(y_true, y_pred, labels=np.arange(labels)))
