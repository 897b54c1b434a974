"""Where a model is weak: accuracy by text length, by unknown words, and by any column that the user names."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.evaluation.metrics import safe_divide
from textclf.evaluation.predictions import Predictions
from textclf.io.contract import GroupDocument, Interval, SliceDocument

Array = npt.NDArray[Any]

FEWEST = 10  # rows of a group that is named the worst; fewer say too little

MOST_GROUPS = 20  # values of a column that are groups of their own; the rest is one

QUARTERS = (0.25, 0.5, 0.75)

UNKNOWN_UP_TO = (0.0, 0.05, 0.1, 0.2, 1.0)  # shares of unknown words


def by_length(found: Predictions, tokens: Array) -> SliceDocument:
    """Accuracy by quarters of the text lengths, shape (n,) in tokens."""
    edges = np.unique([-1, *np.quantile(tokens, QUARTERS, method="lower"), tokens.max()])
    return _sliced(found, "tokens", _between(tokens, edges), _range_names(tokens, edges))


def _between(values: Array, edges: Array) -> Array:
    """The place of each value among the edges: above the one and up to the next."""
    return np.searchsorted(edges[1:], values)


def _range_names(values: Array, edges: Array) -> list[str]:
    ranges = [values[_between(values, edges) == place] for place in range(len(edges) - 1)]
    return [f"{found.min()} to {found.max()}" if len(found) else "" for found in ranges]


def by_unknown_words(found: Predictions, shares: Array) -> SliceDocument:
    """Accuracy by the share of words that the vocabulary lacks, shape (n,), 0 to 1."""
    percent = [round(100 * edge) for edge in UNKNOWN_UP_TO]
    names = ["none", *(f"up to {edge} %" for edge in percent[1:-1]), f"over {percent[-2]} %"]
    return _sliced(found, "unknown words", np.searchsorted(UNKNOWN_UP_TO, shares), names)


def by_column(found: Predictions, column: str, values: Sequence[str]) -> SliceDocument:
    """Accuracy by the n values of a column, and, of two labels, the gaps that fairness work asks for.

    These are each group's selection rate (share of rows given the second label), true and false positive rate, the
    largest difference of each between groups, and the lowest selection rate divided by the highest (the four-fifths
    rule of the Uniform Guidelines on Employee Selection Procedures, 1978, asks for 0.8).
    """
    names = [name for name, _ in Counter(values).most_common(MOST_GROUPS)]
    places = {name: place for place, name in enumerate(names)}
    group = np.array([places.get(value, len(names)) for value in values])
    sliced = _sliced(found, column, group, [*(name or "(empty)" for name in names), "(other)"])
    if found.separator is None and len(found.names) == 2:
        _add_rates(sliced, found, group)
    return sliced


def _sliced(found: Predictions, by: str, group: Array, names: list[str]) -> SliceDocument:
    """Rows, accuracy and interval of each group that has rows, and the name of the worst."""
    slices: list[GroupDocument] = []
    for place in np.unique(group).tolist():
        right = found.correct[group == place]
        edges = accuracy_interval(int(right.sum()), len(right))
        slices.append({"name": names[place], "rows": len(right), "accuracy": float(right.mean()), "interval": edges})
    large = [each for each in slices if each["rows"] >= FEWEST] or slices
    worst = min(large, key=lambda each: each["accuracy"])["name"]
    return {"by": by, "slices": slices, "worst": worst if len(slices) > 1 else None}


def accuracy_interval(right: int, rows: int) -> Interval:
    """The 95 % interval of Wilson 1927, which holds for few rows too."""
    from scipy.stats import binomtest

    edges = binomtest(right, rows).proportion_ci(method="wilson")
    return [float(edges.low), float(edges.high)]


def _add_rates(sliced: SliceDocument, found: Predictions, group: Array) -> None:
    """Adds each group's rates and the gaps between groups."""
    given, true = found.y_pred == 1, found.y_true == 1
    for each, place in zip(sliced["slices"], np.unique(group).tolist(), strict=True):
        inside = group == place
        each["selection_rate"] = _rate(given[inside])
        each["true_positive_rate"] = _rate(given[inside & true])
        each["false_positive_rate"] = _rate(given[inside & ~true])
    large = [each for each in sliced["slices"] if each["rows"] >= FEWEST]
    rates = {
        "selection_rate": [each["selection_rate"] for each in large],
        "true_positive_rate": [each["true_positive_rate"] for each in large],
        "false_positive_rate": [each["false_positive_rate"] for each in large],
    }
    defined = {name: [value for value in values if value is not None] for name, values in rates.items()}
    if min(map(len, defined.values())) < 2:
        return
    sliced["label"] = found.names[1]
    sliced["gaps"] = {name: max(values) - min(values) for name, values in defined.items()}
    selected = defined["selection_rate"]
    sliced["selection_ratio"] = float(safe_divide(np.array(min(selected)), np.array(max(selected)), otherwise=1.0))


def _rate(given: Array) -> float | None:
    """The share that is given the label; None of no rows."""
    return float(given.mean()) if len(given) else None
