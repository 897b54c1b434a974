"""Rows with their truth and what a model made of them: what all numbers and plots are computed from."""

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
from textclf.inference.classifier import Classifier, Probabilities, decide
from textclf.io.contract import ComparisonDocument, Metrics
from textclf.io.files import write_csv
from textclf.io.sanitize import unescape_formulas

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """n rows with the truth and what was predicted, in terms of `names`."""

    rows: npt.NDArray[np.int64]
    """Their numbers in the files that they are from, shape (n,)."""
    labels: Labels
    """The truth as the rows have it."""
    separator: str | None
    names: list[str]
    """The classifier's labels, then those that only the rows have."""
    y_true: Array
    """Index of the label, shape (n,), or for several labels a row 0 and 1, shape (n, names); so is `chosen`."""
    y_pred: Array
    probabilities: Probabilities
    """Shape (n, names); 0 for a label that the classifier does not know."""

    def __len__(self) -> int:
        return len(self.y_true)

    @cached_property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether all of a row is right, shape (n,)."""
        hits = self.y_true == self.y_pred
        return hits if hits.ndim == 1 else hits.all(axis=1)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float64]:
        """The probability that the model gives its own choice, shape (n,); of several labels a row as independent."""
        if self.separator is None:
            return self.probabilities[np.arange(len(self)), self.y_pred]
        return np.where(self.y_pred == 1, self.probabilities, 1 - self.probabilities).prod(axis=1)

    def metrics(self) -> Metrics:
        from textclf.evaluation.metrics import compute_metrics  # scikit-learn takes seconds to import

        return compute_metrics(self.y_true, self.y_pred, self.probabilities)

    @cached_property
    def resampled(self) -> dict[str, Array]:
        """Each metric on resamples of the rows: the same resamples for every model on the same rows."""
        from textclf.evaluation.bootstrap import resampled_metrics

        return resampled_metrics(self.y_true, self.y_pred, self.probabilities)

    def with_probabilities(self, probabilities: Probabilities, *, threshold: float = 0.5) -> "Predictions":
        """The same rows as another model sees them, shape (n, the classifier's labels)."""
        y_pred = decide(probabilities, self.separator, threshold)
        extra = ((0, 0), (0, len(self.names) - probabilities.shape[1]))
        if self.separator is not None:
            y_pred = np.pad(y_pred, extra)
        return replace(self, y_pred=y_pred, probabilities=np.pad(probabilities, extra))

    def take(self, places: Array | slice) -> "Predictions":
        """Those of the rows at these places, or where a mask says so."""
        return replace(
            self,
            rows=self.rows[places],
            labels=Labels(self.labels.fields, self.labels.codes[places]),
            y_true=self.y_true[places],
            y_pred=self.y_pred[places],
            probabilities=self.probabilities[places],
        )

    def truth_texts(self) -> list[str]:
        """The label field of each row."""
        return [self.labels.fields[code] for code in self.labels.codes]

    def chosen_texts(self) -> list[str]:
        """What was predicted for each row, several labels joined by the separator."""
        names = np.array(self.names, object)
        if self.separator is None:
            return list(names[self.y_pred])
        return [self.separator.join(names[row == 1]) for row in self.y_pred]


def outcome(
    classifier: Classifier, labels: Labels, probabilities: Probabilities, rows: npt.NDArray[np.int64]
) -> Predictions:
    """The truth beside the predictions; labels that training never saw join the names, and count as wrong."""
    separator = classifier.description.label_separator
    unseen = [name for name in labels.names(separator) if name not in classifier.labels]
    names = classifier.labels + unseen
    y_true = labels.targets(names, separator)
    found = Predictions(rows, labels, separator, names, y_true, y_true, probabilities)
    return found.with_probabilities(probabilities, threshold=classifier.description.threshold)


def difference(found: Predictions, other: Predictions) -> ComparisonDocument:
    """How much better each metric is with the one than with the other on the same rows, how sure that is, and
    McNemar's test of whether they are right equally often."""
    from textclf.evaluation.bootstrap import difference_intervals, mcnemar

    ours, theirs = found.metrics(), other.metrics()
    gaps = {}
    for name, value in ours.items():
        other_value = theirs[name]
        if value is not None and other_value is not None:
            gaps[name] = value - other_value
    return {
        "difference": gaps,
        "intervals": difference_intervals(found.resampled, other.resampled),
        "mcnemar": mcnemar(found.correct, other.correct),
    }


def write_predictions(path: Path, found: Predictions) -> None:
    """predictions.csv: numbers in full, so that what is read is what was written."""
    write_csv(path, ["row", "truth", "prediction", *found.names], _csv_rows(found))


def _csv_rows(found: Predictions) -> Iterator[list[object]]:
    """The lines, some thousands of rows at a time turned into what Python holds, which takes ten times the memory."""
    for begin in range(0, len(found), ROWS_AT_ONCE):
        some = found.take(slice(begin, begin + ROWS_AT_ONCE))
        columns = some.rows.tolist(), some.truth_texts(), some.chosen_texts(), some.probabilities.tolist()
        for row, y_true, y_pred, shares in zip(*columns, strict=True):
            yield [row, y_true, y_pred, *shares]


def read_predictions(path: Path, *, separator: str | None) -> Predictions:
    """What `write_outcome` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *table = csv.reader(file)
        rows = np.array([row[0] for row in table], np.int64)
        probabilities = np.array([row[3:] for row in table], np.float64).reshape(len(table), len(header) - 3)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {path.parent} is no complete run.") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: {error}. Run `textclf evaluate` again.") from None
    names = list(map(unescape_formulas, header[3:]))
    y_true, y_pred = (_labels([row[column] for row in table]) for column in (1, 2))
    return Predictions(
        rows,
        y_true,
        separator,
        names,
        y_true.targets(names, separator),
        y_pred.targets(names, separator),
        probabilities,
    )


def _labels(fields: list[str]) -> Labels:
    reader = LabelBuilder()
    reader.add(map(unescape_formulas, fields))
    return reader.labels()
