"""The files of a run besides its model, written by one function."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pandas as pd

from textclf import __version__
from textclf.config.load import dump_config
from textclf.config.schema import Config
from textclf.evaluation.calibration import without_temperature
from textclf.evaluation.evaluate import write_evaluation
from textclf.evaluation.metrics import calibration_error, correct_and_confidence
from textclf.evaluation.predictions import Predictions
from textclf.inference.classifier import Classifier
from textclf.io.contract import (
    DecisionDocument,
    EnvironmentDocument,
    MetricsDocument,
    SamplesDocument,
    SplitDocument,
    ValidationDocument,
)
from textclf.io.files import write_json, write_text
from textclf.io.processors import usable_processors
from textclf.io.run_folder import Run
from textclf.report.model_card import render_card
from textclf.text.language import guess_language
from textclf.training.dataset import Dataset
from textclf.training.fit import Decision
from textclf.training.loop import FitResult


@dataclass(frozen=True)
class RunContents:
    """The contents of a run's files, besides model.keras and model/."""

    config: Config
    classifier: Classifier
    """That of model/."""
    history: pd.DataFrame | None
    """A row per epoch of each network; None where the run that this one was made from has none."""
    split: SplitDocument
    predictions: Predictions
    metrics: MetricsDocument
    samples: SamplesDocument | None
    """None where texts must not be shown."""
    environment: EnvironmentDocument


def write_run(staging: Run, contents: RunContents, *, name: str) -> None:
    """Write all files of a run whose model is saved already, metrics.json last.

    Args:
        name: of the run, for the title of its report.
    """
    write_text(staging.config, dump_config(contents.config))
    if contents.history is not None:
        write_text(staging.history, contents.history.to_csv(index=False, na_rep="nan", lineterminator="\n"))
    write_json(staging.split, contents.split)
    if contents.samples is not None:
        write_json(staging.samples, contents.samples)
    write_json(staging.environment, contents.environment)
    write_text(staging.card, _card(contents, name=name))
    write_evaluation(staging, contents.predictions, contents.metrics, name=name)


def _card(contents: RunContents, *, name: str) -> str:
    train, classifier = contents.config.data.train, contents.classifier
    return render_card(
        contents.metrics,
        name=name,
        files=[train] if isinstance(train, str) else train,
        labels=classifier.labels,
        language=guess_language(classifier.description.vocabulary),
        license=contents.config.report.license,
    )


def history_table(fit_results: Mapping[int, FitResult]) -> pd.DataFrame:
    """Return a row per epoch of the networks, which are given by their seeds."""
    rows = [{**asdict(epoch), "seed": seed} for seed, result in fit_results.items() for epoch in result.history]
    return pd.DataFrame(rows)


def decision_document(config: Config, predictions: Predictions, decision: Decision, *, labels: int) -> DecisionDocument:
    """Return how logits become labels, and unless it is a blend how well they were calibrated before the temperature.

    Args:
        predictions: for the rows that the run is evaluated on.
        labels: number of labels that the classifier knows.
    """
    document: DecisionDocument = {
        "temperature": decision.temperature,
        "expected_calibration_error_before": None,
        "aim": config.decision.aim,
        "reached": decision.reached,
    }
    if decision.weights:  # the weights scale the logits too, so there is no state before
        document["blend"] = {**decision.weights}
    else:
        document["expected_calibration_error_before"] = _error_before(predictions, decision.temperature, labels)
    return document


def _error_before(predictions: Predictions, temperature: float, labels: int) -> float:
    """Return the expected calibration error that the predictions would have without the temperature."""
    multilabel = predictions.separator is not None
    before = without_temperature(predictions.probabilities[:, :labels], temperature, multilabel=multilabel)
    unscaled = predictions.with_probabilities(before)
    return calibration_error(*correct_and_confidence(unscaled.y_true, unscaled.y_pred, unscaled.probabilities))


def validation_document(config: Config, dataset: Dataset, fit_result: FitResult) -> ValidationDocument:
    """Return the best epoch, and the rows that it was chosen on."""
    return {
        "rows": len(dataset.validation),
        "best_epoch": fit_result.best.epoch,
        "epochs": len(fit_result.history),
        "loss": fit_result.best.val_loss,
        "accuracy": fit_result.best.val_accuracy,
        "unknown_words": dataset.validation_truncation.unknown_fraction(),
        "truncated_train": dataset.train_truncation.summary(),
        "train_labels": dict(sorted(dataset.splits.train.labels.counts(config.data.label_separator).items())),
    }


def environment_document(
    config: Config,
    device: str,
    *,
    packages: dict[str, str],
    data: dict[str, str],
    seconds: dict[str, float],
    rows_a_second: dict[str, float] | None = None,
) -> EnvironmentDocument:
    """Return the versions, the device, the processors, the time, and the data with the sha256 of each file.

    Args:
        seconds: by phase.
        rows_a_second: by model, where models were compared.
    """
    document: EnvironmentDocument = {
        "textclf": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "device": device,
        "processors": usable_processors(),
        "seed": config.training.seed,
        "data": data,
        "seconds": seconds,
        "finished": datetime.now(UTC).isoformat(),
    }
    if rows_a_second:
        document["rows_a_second"] = rows_a_second
    return document
