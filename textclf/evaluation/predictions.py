"""The true and predicted labels of rows, from which all metrics and plots are computed."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.data.rows import ROWS_AT_ONCE, LabelBuilder, Labels
from textclf.errors import UserError
from textclf.evaluation.bootstrap import (
    Resampled,
    accuracy_interval,
    difference_intervals,
    intervals,
    mcnemar,
    resampled_metrics,
)
from textclf.evaluation.metrics import compute_metrics
from textclf.inference.classifier import Classifier, Probabilities, confidence_in, decide, label_fields
from textclf.io.contract import ComparisonDocument, Intervals, Metrics, Threshold
from textclf.io.files import write_csv
from textclf.io.sanitize import column_labels, label_columns, unescape_formulas

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """n rows with their true and predicted labels."""

    row_ids: npt.NDArray[np.int64]
    """Row numbers in the files, shape (n,)."""
    labels: Labels
    """The true labels as in the file."""
    separator: str | None
    """Separator of labels in a field; None: one label per row."""
    label_names: list[str]
    """The classifier's labels, of two the positive one last; then those that only the rows have."""
    y_true: Array
    """Index of the label, shape (n,), or with several labels per row 0 or 1, shape (n, labels)."""
    y_pred: Array
    """Predicted labels, in the form of `y_true`."""
    probabilities: Probabilities
    """Shape (n, labels); 0 for a label that the classifier does not know."""

    def __len__(self) -> int:
        return len(self.y_true)

    @property
    def positive(self) -> str | None:
        """The positive one of two labels; None with more labels, or several of them per row."""
        return self.label_names[1] if self.separator is None and len(self.label_names) == 2 else None

    @cached_property
    def correct(self) -> npt.NDArray[np.bool_]:
        """True where all labels of a row are correct, shape (n,)."""
        hits = self.y_true == self.y_pred
        return hits if hits.ndim == 1 else hits.all(axis=1)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Probability of the predicted labels of each row, shape (n,)."""
        return confidence_in(self.y_pred, self.probabilities)

    @cached_property
    def metrics(self) -> Metrics:
        """Each metric by its name."""
        return compute_metrics(self.y_true, self.y_pred, self.probabilities)

    @cached_property
    def resampled(self) -> Resampled:
        """Each metric on bootstrap resamples of the rows; models on the same rows get the same resamples."""
        return resampled_metrics(self.y_true, self.y_pred, self.probabilities)

    @cached_property
    def intervals(self) -> Intervals:
        """The interval of each metric."""
        correct, rows = int(self.correct.sum()), len(self)
        if 0 < correct < rows:
            return intervals(self.resampled)
        # resamples would all have the same accuracy, as if it were certain
        return {**intervals(self.resampled), "accuracy": accuracy_interval(correct, rows)}

    def with_probabilities(self, probabilities: Probabilities, *, threshold: Threshold = 0.5) -> "Predictions":
        """Return the same rows with another model's probabilities, shape (n, the classifier's labels)."""
        y_pred = decide(probabilities, self.separator, threshold)
        unknown = ((0, 0), (0, len(self.label_names) - probabilities.shape[1]))
        if self.separator is not None:
            y_pred = np.pad(y_pred, unknown)
        return replace(self, y_pred=y_pred, probabilities=np.pad(probabilities, unknown))

    def take(self, indices: Array | slice) -> "Predictions":
        """Return some of the rows, by their indices, a slice or a mask."""
        return replace(
            self,
            row_ids=self.row_ids[indices],
            labels=Labels(self.labels.fields, self.labels.codes[indices]),
            y_true=self.y_true[indices],
            y_pred=self.y_pred[indices],
            probabilities=self.probabilities[indices],
        )

    def true_fields(self) -> list[str]:
        """Return the true label field of each row, as in the file."""
        return [self.labels.fields[code] for code in self.labels.codes]

    def predicted_fields(self) -> list[str]:
        """Return the predicted label of each row; several labels are joined by the separator."""
        return label_fields(self.y_pred, self.label_names, self.separator)


def predictions_for(
    classifier: Classifier, labels: Labels, probabilities: Probabilities, row_ids: npt.NDArray[np.int64]
) -> Predictions:
    """Put true labels beside the predictions; labels that training never saw join the names, and count as wrong."""
    separator = classifier.description.label_separator
    unseen = [name for name in labels.names(separator) if name not in classifier.labels]
    label_names = classifier.labels + unseen
    y_true = labels.targets(label_names, separator)
    truth = Predictions(row_ids, labels, separator, label_names, y_true, y_true, probabilities)
    return truth.with_probabilities(probabilities, threshold=classifier.description.threshold)


def compare_predictions(predictions: Predictions, other: Predictions) -> ComparisonDocument:
    """Compare two models on the same rows: differences of the metrics with intervals, and McNemar's test."""
    return {
        "difference": metric_differences(predictions.metrics, other.metrics),
        "intervals": difference_intervals(predictions.resampled, other.resampled),
        "mcnemar": mcnemar(predictions.correct, other.correct),
    }


def metric_differences(metrics: Metrics, other: Metrics) -> dict[str, float]:
    """Return how much greater each metric is than the other's; a metric that either lacks is left out."""
    differences = {}
    for name, value in metrics.items():
        other_value = other[name]
        if value is not None and other_value is not None:
            differences[name] = value - other_value
    return differences


COLUMNS = ("row", "truth", "prediction")  # of predictions.csv, before those of the labels


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.csv, with probabilities in full, so that `read_predictions` gives the same ones."""
    write_csv(path, [*COLUMNS, *label_columns(predictions.label_names, COLUMNS)], _csv_rows(predictions))


def _csv_rows(predictions: Predictions) -> Iterator[list[object]]:
    """Yield the lines, made in blocks of rows, since Python's objects take ten times the memory of arrays."""
    for start in range(0, len(predictions), ROWS_AT_ONCE):
        block = predictions.take(slice(start, start + ROWS_AT_ONCE))
        columns = block.row_ids.tolist(), block.true_fields(), block.predicted_fields(), block.probabilities.tolist()
        for row_id, truth, predicted, probabilities in zip(*columns, strict=True):
            yield [row_id, truth, predicted, *probabilities]


def read_predictions(path: Path, *, separator: str | None) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *table = csv.reader(file)
        row_ids = np.array([row[0] for row in table], np.int64)
        probabilities = np.array([row[len(COLUMNS) :] for row in table], np.float64)
        probabilities = probabilities.reshape(len(table), len(header) - len(COLUMNS))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {path.parent} is no complete run.") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: {error}. Run `textclf evaluate` again.") from None
    label_names = column_labels(list(map(unescape_formulas, header[len(COLUMNS) :])), COLUMNS)
    true, predicted = (_labels([row[column] for row in table]) for column in (1, 2))
    y_true, y_pred = (labels.targets(label_names, separator) for labels in (true, predicted))
    return Predictions(row_ids, true, separator, label_names, y_true, y_pred, probabilities)


def _labels(fields: list[str]) -> Labels:
    builder = LabelBuilder()
    builder.add(map(unescape_formulas, fields))
    return builder.labels()
