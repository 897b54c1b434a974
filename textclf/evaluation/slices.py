"""Slices, to see where a model is weak: accuracy by text length, unknown words and columns of the data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.evaluation.bootstrap import accuracy_interval
from textclf.evaluation.metrics import safe_divide
from textclf.evaluation.predictions import Predictions
from textclf.io.contract import GroupDocument, SliceDocument

Array = npt.NDArray[Any]

MIN_ROWS = 10  # of a group that can be the worst, as the report says; the accuracy of fewer rows says too little

MAX_GROUPS = 20  # most frequent values of a column, a group each; all others are one group

QUARTERS = (0.25, 0.5, 0.75)

UNKNOWN_UP_TO = (0.0, 0.05, 0.1, 0.2, 1.0)  # fractions of unknown words


def by_length(predictions: Predictions, tokens: Array) -> SliceDocument:
    """Slice by quartiles of the text lengths, shape (n,) in tokens."""
    edges = np.unique([-1, *np.quantile(tokens, QUARTERS, method="lower"), tokens.max()])  # (groups + 1,)
    group = np.searchsorted(edges[1:], tokens)  # (n,): group i holds lengths above edge i, up to edge i + 1
    inside = [tokens[group == index] for index in range(len(edges) - 1)]
    names = [_range(lengths.min(), lengths.max()) if len(lengths) else "" for lengths in inside]
    return _sliced(predictions, "tokens", group, names)


def _range(low: int, high: int) -> str:
    return f"{low} to {high}" if low < high else str(low)


def by_unknown_words(predictions: Predictions, fractions: Array) -> SliceDocument:
    """Slice by the fraction of words that the network does not know, shape (n,), 0 to 1."""
    percent = [round(100 * edge) for edge in UNKNOWN_UP_TO]
    names = ["none", *(f"up to {edge} %" for edge in percent[1:-1]), f"over {percent[-2]} %"]
    return _sliced(predictions, "words unknown to the network", np.searchsorted(UNKNOWN_UP_TO, fractions), names)


def by_column(predictions: Predictions, column: str, values: Sequence[str]) -> SliceDocument:
    """Slice by the n values of a column; with two labels, add measures of fairness between the groups.

    These are each group's selection rate (share of rows that are predicted the positive label), true and false positive
    rate, the largest difference of each between groups, and the lowest selection rate divided by the highest (the
    four-fifths rule of the Uniform Guidelines on Employee Selection Procedures, 1978, asks for 0.8).
    """
    names = [name for name, _ in Counter(values).most_common(MAX_GROUPS)]
    indices = {name: index for index, name in enumerate(names)}
    group = np.array([indices.get(value, len(names)) for value in values])  # (n,)
    sliced = _sliced(predictions, column, group, [*(name or "(empty)" for name in names), "(other)"])
    if predictions.positive is not None:
        _add_rates(sliced, predictions, group)
    return sliced


def _sliced(predictions: Predictions, by: str, group: Array, names: list[str]) -> SliceDocument:
    """Return rows, accuracy and interval of each group that has rows, and the name of the worst of those with MIN_ROWS.

    Args:
        group: index of each row's group, shape (n,).
    """
    groups: list[GroupDocument] = []
    for index in np.unique(group).tolist():
        correct = predictions.correct[group == index]
        interval = accuracy_interval(int(correct.sum()), len(correct))
        groups.append(
            {"name": names[index], "rows": len(correct), "accuracy": float(correct.mean()), "interval": interval}
        )
    large = _large(groups)
    worst = min(large, key=lambda group: group["accuracy"])["name"] if len(large) > 1 else None
    return {"by": by, "slices": groups, "worst": worst}


def _large(groups: list[GroupDocument]) -> list[GroupDocument]:
    return [group for group in groups if group["rows"] >= MIN_ROWS]


def _add_rates(sliced: SliceDocument, predictions: Predictions, group: Array) -> None:
    """Add each group's rates, and the gaps between large groups."""
    predicted, actual = predictions.y_pred == 1, predictions.y_true == 1  # (n,)
    for document, index in zip(sliced["slices"], np.unique(group).tolist(), strict=True):
        inside = group == index
        document["selection_rate"] = _rate(predicted[inside])
        document["true_positive_rate"] = _rate(predicted[inside & actual])
        document["false_positive_rate"] = _rate(predicted[inside & ~actual])
    large = _large(sliced["slices"])
    rates = {
        "selection_rate": [document["selection_rate"] for document in large],
        "true_positive_rate": [document["true_positive_rate"] for document in large],
        "false_positive_rate": [document["false_positive_rate"] for document in large],
    }
    defined = {name: [rate for rate in values if rate is not None] for name, values in rates.items()}
    if min(map(len, defined.values())) < 2:
        return
    sliced["label"] = predictions.label_names[1]
    sliced["gaps"] = {name: max(values) - min(values) for name, values in defined.items()}
    lowest, highest = (np.array(edge(defined["selection_rate"])) for edge in (min, max))
    sliced["selection_ratio"] = float(safe_divide(lowest, highest, otherwise=1.0))


def _rate(predicted: Array) -> float | None:
    """Return the share of the rows that are predicted the label; None without rows."""
    return float(predicted.mean()) if len(predicted) else None
