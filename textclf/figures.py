"""The plots of a report, by name, from the numbers of a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf import charts, curves, plots
from textclf.calibration import without_temperature
from textclf.outcome import Outcome

Array = npt.NDArray[Any]


def figures(document: dict[str, Any], found: Outcome, history: list[dict[Any, Any]]) -> dict[str, str]:
    """SVG by name; empty where the rows give no ground for a plot."""
    areas = {
        "roc": (plots.roc, curves.roc_curves(found.truth, found.probabilities, found.names)),
        "precision_recall": (
            plots.precision_recall,
            curves.precision_recall_curves(found.truth, found.probabilities, found.names),
        ),
    }
    drawn = {name: draw(lines) if lines else "" for name, (draw, lines) in areas.items()}
    drawn["learning_curves"] = plots.learning_curves(_columns(history)) if history else ""
    if found.separator is None:
        drawn["confusion_matrix"] = charts.confusion_matrix(document["confusion_matrix"], found.names)
    lengths = document["lengths"]
    return drawn | {
        "reliability": _reliability(document, found),
        "score_histogram": _scores(document, found),
        "thresholds": _thresholds(document, found),
        "coverage": plots.coverage(curves.coverage_curve(found.right, found.confidence)),
        "text_lengths": charts.text_lengths(
            lengths["counts"], lengths["edges"], lengths["max_length"], document["truncated"]["share_of_rows"]
        ),
        **{f"slices_{number}": _slices(number, document) for number in range(len(document["slices"]))},
    }


def _columns(history: list[dict[Any, Any]]) -> dict[str, Sequence[float]]:
    return {key: [epoch[key] for epoch in history] for key in history[0]}


def _reliability(document: dict[str, Any], found: Outcome) -> str:
    """With several labels a row of each label, else of the label given; beside it what it was before scaling."""
    temperature = document.get("decision", {}).get("temperature", 1.0)
    unscaled = without_temperature(found.probabilities, temperature, several=found.separator is not None)
    if found.separator is None:
        place = np.arange(len(found)), found.chosen
        now, before = (
            curves.reliability_bins(found.right, shares[place]) for shares in (found.probabilities, unscaled)
        )
    else:
        ones = found.truth.ravel() == 1
        now, before = (curves.reliability_bins(ones, shares.ravel()) for shares in (found.probabilities, unscaled))
    return plots.reliability(before, now) if temperature != 1 else plots.reliability(now)


def _scores(document: dict[str, Any], found: Outcome) -> str:
    """The probability of the second of two labels by truth; else the confidence by whether the row is right."""
    if found.separator is None and len(found.names) == 2:
        counts = curves.score_counts(found.probabilities[:, 1], found.truth)
        threshold = document["threshold"]["value"]
        return charts.score_histogram(counts, found.names, of=f"probability of {found.names[1]}", threshold=threshold)
    return charts.score_histogram(curves.score_counts(found.confidence, found.right.astype(np.int64)))


def _thresholds(document: dict[str, Any], found: Outcome) -> str:
    if "threshold" not in document or (found.separator is None and len(found.names) != 2):
        return ""
    ones, scores = (found.truth, found.probabilities)
    if found.separator is None:
        scores = scores[:, 1]
    return plots.thresholds(curves.threshold_curve(ones, scores), document["threshold"]["value"])


def _slices(number: int, document: dict[str, Any]) -> str:
    """Groups by their accuracy with its interval."""
    groups = document["slices"][number]["slices"]
    names, values = [each["name"] for each in groups], [each["accuracy"] for each in groups]
    lows, highs = zip(*(each["interval"] for each in groups), strict=True)
    return charts.slices(names, values, lows, highs, document["metrics"]["accuracy"], key=f"slices-{number}")
