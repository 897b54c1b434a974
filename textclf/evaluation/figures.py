"""The report of a run: its figures drawn from the predictions, and the page around them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from textclf.evaluation import curves
from textclf.evaluation.calibration import without_temperature
from textclf.evaluation.predictions import Predictions
from textclf.io.contract import MetricsDocument, defined
from textclf.io.files import read_json, write_text
from textclf.io.run_folder import Run
from textclf.report import plots
from textclf.report.confusion_matrix import confusion_matrix
from textclf.report.page import render

Array = npt.NDArray[Any]


def write_report(run: Run, document: MetricsDocument, found: Predictions, *, name: str) -> None:
    """Draw the report of a document of metrics.json, with the run's history and samples where there are any."""
    history = pd.read_csv(run.history).to_dict("records") if run.history.is_file() else []
    page = render(
        document,
        name=name,
        figures=figures(document, found, history),
        coverage=coverage_sentence(found),
        history=history,
        samples=read_json(run.samples) if run.samples.is_file() else None,
        throughput=read_json(run.environment).get("rows_a_second") if run.environment.is_file() else None,
    )
    write_text(run.report, page)


def figures(document: MetricsDocument, found: Predictions, history: list[dict[Any, Any]]) -> dict[str, str]:
    """SVG by name; empty where the rows give no ground for a plot."""
    areas = {
        "roc": (plots.roc, curves.roc_curves(found.y_true, found.probabilities, found.names)),
        "precision_recall": (
            plots.precision_recall,
            curves.precision_recall_curves(found.y_true, found.probabilities, found.names),
        ),
    }
    drawn = {name: draw(lines) if lines else "" for name, (draw, lines) in areas.items()}
    drawn["learning_curves"] = _learning_curves(document, history) if history else ""
    if found.separator is None:
        drawn["confusion_matrix"] = confusion_matrix(document["confusion_matrix"], found.names)
    lengths = document["lengths"]
    return drawn | {
        "reliability": _reliability(document, found),
        "score_histogram": _scores(document, found),
        "thresholds": _thresholds(document, found),
        "coverage": plots.coverage(curves.coverage_curve(found.correct, found.confidence)),
        "text_lengths": plots.text_lengths(
            lengths["counts"], lengths["edges"], lengths["max_length"], document["truncated"]["share_of_rows"]
        ),
        **{f"slices_{number}": _slices(number, document) for number in range(len(document["slices"]))},
    }


def _learning_curves(document: MetricsDocument, history: list[dict[Any, Any]]) -> str:
    """The epochs of the network that was kept; of an ensemble, of its best member."""
    best_seed = document.get("seeds", {}).get("best")
    epochs = [row for row in history if best_seed in (None, row.get("seed"))]
    columns: dict[str, Sequence[float]] = {str(key): [epoch[key] for epoch in epochs] for key in epochs[0]}
    return plots.learning_curves(columns, kept=document["validation"]["best_epoch"])


def _reliability(document: MetricsDocument, found: Predictions) -> str:
    """With several labels a row of each label, else of the label given; beside it what it was before scaling."""
    temperature = document.get("decision", {}).get("temperature", 1.0)
    unscaled = without_temperature(found.probabilities, temperature, multilabel=found.separator is not None)
    if found.separator is None:
        place = np.arange(len(found)), found.y_pred
        now, before = (
            curves.reliability_bins(found.correct, shares[place]) for shares in (found.probabilities, unscaled)
        )
    else:
        ones = found.y_true.ravel() == 1
        now, before = (curves.reliability_bins(ones, shares.ravel()) for shares in (found.probabilities, unscaled))
    return plots.reliability(before, now) if temperature != 1 else plots.reliability(now)


def _scores(document: MetricsDocument, found: Predictions) -> str:
    """The probability of the second of two labels by truth; else the confidence by whether the row is right."""
    if found.separator is None and len(found.names) == 2:
        counts = curves.score_counts(found.probabilities[:, 1], found.y_true)
        threshold = document["threshold"]["value"]
        return plots.score_histogram(counts, found.names, of=f"probability of {found.names[1]}", threshold=threshold)
    return plots.score_histogram(curves.score_counts(found.confidence, found.correct.astype(np.int64)))


def _thresholds(document: MetricsDocument, found: Predictions) -> str:
    if "threshold" not in document or (found.separator is None and len(found.names) != 2):
        return ""
    ones, scores = (found.y_true, found.probabilities)
    if found.separator is None:
        scores = scores[:, 1]
    return plots.thresholds(curves.threshold_curve(ones, scores), document["threshold"]["value"])


def _slices(number: int, document: MetricsDocument) -> str:
    """Groups by their accuracy with its interval."""
    groups = document["slices"][number]["slices"]
    names, values = [each["name"] for each in groups], [each["accuracy"] for each in groups]
    lows, highs = zip(*(each["interval"] for each in groups), strict=True)
    return plots.slices(names, values, lows, highs, defined(document["metrics"], "accuracy"), key=f"slices-{number}")


def coverage_sentence(found: Predictions) -> str:
    """What is gained by leaving the fifth of the rows out of which the model is least sure."""
    order = found.confidence.argsort(kind="stable")[::-1]
    kept = order[: max(1, round(0.8 * len(found)))]
    return (
        f"Of the 80 % of the rows of which it is surest (a probability of {found.confidence[kept[-1]]:.2f} or more) it "
        f"has {100 * found.correct[kept].mean():.1f} % right, of all {100 * found.correct.mean():.1f} %. "
        "`textclf predict --min-confidence` leaves the label of the others empty."
    )
