"""Numbers that say how good predictions are, under the names that scikit-learn gives them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn.metrics as sk

Array = npt.NDArray[Any]
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
    squares = (probabilities - ones) ** 2
    if truth.ndim == 1:
        found["log_loss"] = float(sk.log_loss(truth, probabilities, labels=labels))
        found["brier_score_loss"] = float(squares.sum(axis=1).mean()) / (2 if single else 1)
        confidence = probabilities[np.arange(len(chosen)), chosen]
        found["expected_calibration_error"] = calibration_error(chosen == truth, confidence)
    else:
        flat = probabilities.ravel()
        found["log_loss"] = float(sk.log_loss(truth.ravel(), flat, labels=[0, 1]))
        found["brier_score_loss"] = float(squares.mean())
        found["expected_calibration_error"] = calibration_error(truth.ravel() == 1, flat)
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


def calibration_error(right: Array, confidence: Array, *, bins: int = 15) -> float:
    """Expected calibration error over equally wide bins (Guo et al. 2017, equation 3), 0 to 1."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=right, minlength=bins) - np.bincount(bin_of, weights=confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


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


def bootstrap_intervals(
    truth: Array, chosen: Array, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, list[float]]:
    """Percentile bootstrap intervals [low, high] over rows (Efron 1979) of accuracy and, one label a row, macro F1.

    Both depend on the rows only through counts, so that a resample is one multinomial draw of those counts.
    """
    rng = np.random.default_rng(seed)
    if truth.ndim == 2:
        right = (truth == chosen).all(axis=1)
        resampled = {"accuracy": rng.binomial(len(right), right.mean(), resamples) / len(right)}
    else:
        names = int(max(truth.max(), chosen.max())) + 1
        cells, counts = np.unique(truth * names + chosen, return_counts=True)
        drawn = rng.multinomial(len(truth), counts / len(truth), resamples)
        truth_is = (cells // names)[:, None] == np.arange(names)
        chosen_is = (cells % names)[:, None] == np.arange(names)
        hits = drawn @ (truth_is & chosen_is)
        # a label that neither occurs nor is predicted has no F1
        total = drawn @ truth_is + drawn @ chosen_is
        f1 = np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)
        resampled = {"accuracy": hits.sum(axis=1) / len(truth), "f1_macro": np.nanmean(f1, axis=1)}
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {name: np.quantile(values, tails).tolist() for name, values in resampled.items()}
