"""The report of a run: its figures drawn from the predictions, and the page around them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from textclf.config.load import load_saved_config
from textclf.evaluation import curves
from textclf.evaluation.calibration import without_temperature
from textclf.evaluation.metrics import correct_and_confidence
from textclf.evaluation.predictions import Predictions, read_predictions
from textclf.io.contract import EnvironmentDocument, MetricsDocument, defined
from textclf.io.files import read_json, write_text
from textclf.io.run_folder import Run
from textclf.io.staging import recover
from textclf.report import plots
from textclf.report.confusion_matrix import confusion_matrix
from textclf.report.page import common_threshold, render

Array = npt.NDArray[Any]

THRESHOLDS = np.linspace(0, 1, 101)  # where the scores by threshold are drawn


def write_report(run: Run, document: MetricsDocument, predictions: Predictions, *, name: str) -> None:
    """Write report.html from a metrics.json, with the history and the samples of the run if it has any."""
    history = read_history(run.history) if run.history.is_file() else pd.DataFrame()
    environment: EnvironmentDocument | None = read_json(run.environment) if run.environment.is_file() else None
    page = render(
        document,
        name=name,
        figures=figures(document, predictions, history),
        coverage=coverage_sentence(predictions),
        history=[{str(name): value for name, value in row.items()} for row in history.to_dict("records")],
        samples=read_json(run.samples) if run.samples.is_file() else None,
        throughput=environment.get("rows_a_second") if environment else None,
    )
    write_text(run.report, page)


def redraw(path: Path) -> Path:
    """Write the report of a run, or of an evaluation in it, again from its files; return its path.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    run = recover(Run(path))
    document: MetricsDocument = read_json(run.metrics)
    separator = load_saved_config(run.owner.config).data.label_separator
    predictions = read_predictions(run.predictions, separator=separator)
    name = path.name if run.owner == run else f"{run.owner.path.name}: {path.name}"
    write_report(run, document, predictions, name=name)
    return run.report


def read_history(path: Path, *, seed: int | None = None) -> pd.DataFrame:
    """Read history.csv, a row per epoch; with a seed only the epochs of its network."""
    text = pd.read_csv(path, dtype=str)  # its own reading of floats may round the last digit
    history = text.astype({name: int if name in ("epoch", "seed") else float for name in text})
    return history if seed is None or "seed" not in history else history[history["seed"] == seed]


def figures(document: MetricsDocument, predictions: Predictions, history: pd.DataFrame) -> dict[str, str]:
    """Draw the figures, as SVG by name; an empty string if there is nothing to draw."""
    arrays = predictions.y_true, predictions.probabilities, predictions.label_names
    roc, precision_recall = curves.roc_curves(*arrays), curves.precision_recall_curves(*arrays)
    multilabel, lengths = predictions.separator is not None, document["lengths"]
    return {
        "roc": plots.roc(roc) if roc else "",
        "precision_recall": plots.precision_recall(precision_recall) if precision_recall else "",
        "learning_curves": _learning_curves(document, history) if len(history) else "",
        "confusion_matrix": ""
        if multilabel
        else confusion_matrix(document["confusion_matrix"], predictions.label_names),
        "reliability": _reliability(document, predictions),
        "score_histogram": _score_histogram(document, predictions),
        "thresholds": _thresholds(document, predictions),
        "coverage": plots.coverage(curves.coverage_curve(predictions.correct, predictions.confidence)),
        "text_lengths": plots.text_lengths(
            lengths["counts"], lengths["edges"], lengths["max_length"], document["truncated"]["share_of_rows"]
        ),
        **{f"slices_{index}": _slices(index, document) for index in range(len(document["slices"]))},
    }


def _learning_curves(document: MetricsDocument, history: pd.DataFrame) -> str:
    """Draw the epochs of the network that was kept; of an ensemble, of its best member."""
    if "seeds" in document and "seed" in history:
        history = history[history["seed"] == document["seeds"]["best"]]
    return plots.learning_curves(
        {str(name): values.tolist() for name, values in history.items()}, kept=document["validation"]["best_epoch"]
    )


def _reliability(document: MetricsDocument, predictions: Predictions) -> str:
    """Draw the calibration, and beside it the calibration before the logits were scaled."""
    decision = document.get("decision")
    temperature = decision["temperature"] if decision and "blend" not in decision else 1.0
    multilabel = predictions.separator is not None
    unscaled = without_temperature(predictions.probabilities, temperature, multilabel=multilabel)
    after, before = (
        curves.reliability_bins(*correct_and_confidence(predictions.y_true, predictions.y_pred, probabilities))
        for probabilities in (predictions.probabilities, unscaled)
    )
    return plots.reliability(before, after) if temperature != 1 else plots.reliability(after)


def _score_histogram(document: MetricsDocument, predictions: Predictions) -> str:
    """Draw the probability of the positive label by true label; else the confidence of correct and wrong rows."""
    if predictions.positive is None:
        counts = curves.score_counts(predictions.confidence, predictions.correct.astype(np.int64))
        return plots.score_histogram(counts)
    counts = curves.score_counts(predictions.probabilities[:, 1], predictions.y_true)
    threshold = common_threshold(document)
    of = f"probability of {predictions.positive}"
    return plots.score_histogram(counts, predictions.label_names, of=of, threshold=threshold)


def _thresholds(document: MetricsDocument, predictions: Predictions) -> str:
    positive = predictions.positive
    if "threshold" not in document or (positive is None and predictions.separator is None):
        return ""
    scores = predictions.probabilities if positive is None else predictions.probabilities[:, 1]
    curve = curves.threshold_curve(predictions.y_true, scores, THRESHOLDS)
    of = "threshold" if positive is None else f"least probability of {positive}"
    return plots.thresholds(curve, common_threshold(document), of=of)


def _slices(index: int, document: MetricsDocument) -> str:
    sliced = document["slices"][index]
    groups = sliced["slices"]
    names, accuracies = [group["name"] for group in groups], [group["accuracy"] for group in groups]
    lows, highs = zip(*(group["interval"] for group in groups), strict=True)
    overall = defined(document["metrics"], "accuracy")
    return plots.slices(names, accuracies, lows, highs, overall, worst=sliced["worst"], key=f"slices-{index}")


def coverage_sentence(predictions: Predictions) -> str:
    """Return a sentence on the accuracy without the fifth of the rows that have the lowest confidence."""
    order = predictions.confidence.argsort(kind="stable")[::-1]
    kept = order[: max(1, round(0.8 * len(predictions)))]
    return (
        f"On the 80 % of the rows with the highest confidence ({predictions.confidence[kept[-1]]:.2f} or more) the "
        f"accuracy is {100 * predictions.correct[kept].mean():.1f} %, on all rows "
        f"{100 * predictions.correct.mean():.1f} %."
    )
