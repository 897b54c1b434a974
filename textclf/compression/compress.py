"""`textclf compress`: write a smaller run, compared with the original on the same rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from textclf.compression.candidates import (
    BUDGET_KEEPS,
    Candidate,
    Compressed,
    MethodOptions,
    Original,
    prune,
    quantized,
    read_original,
)
from textclf.compression.distill import distill
from textclf.errors import UserError
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.evaluate import evaluate_rows, measure_throughput
from textclf.evaluation.predictions import Predictions, compare_predictions
from textclf.evaluation.run_report import read_history
from textclf.inference.classifier import Classifier, decide
from textclf.inference.predict import read_texts
from textclf.io.contract import CompressedBytes, EnvironmentDocument, MetricsDocument
from textclf.io.files import read_json, size_in_bytes
from textclf.io.run_folder import Run
from textclf.io.staging import create_staging, locked, publishing
from textclf.text.encoding import TokenIds, concatenate
from textclf.training.loop import TrainingCallback
from textclf.training.model_io import save_model
from textclf.training.provenance import package_versions
from textclf.training.run_writer import (
    RunContents,
    decision_document,
    environment_document,
    history_table,
    validation_document,
    write_run,
)

logger = logging.getLogger(__name__)


class Method(NamedTuple):
    """A way of making a run smaller."""

    candidates: Callable[[Original, MethodOptions], Mapping[str, Iterable[Candidate]]]
    """Returns the networks that can be made, the largest first, by the kind of network."""
    takes: tuple[str, ...] = ()
    """Options of the command that the method uses."""


METHODS: dict[str, Method] = {
    "int8": Method(lambda original, _options: {"int8": quantized(original, "int8")}),
    "float16": Method(lambda original, _options: {"float16": quantized(original, "float16")}),
    "prune": Method(prune, takes=("keep",)),
    "distill": Method(distill, takes=("keep", "student", "unlabelled")),
}


@dataclass(frozen=True)
class CompressionRequest:
    """The options of the command: a method of METHODS, or the bytes that model/ may take, or both."""

    method: str | None = None
    budget: int | None = None
    keep: float | None = None
    """Fraction of the words, dimensions and units to keep; None: the method's default, or what fits the budget."""
    student: str | None = None
    """A key of STUDENTS; None: the first, or with a budget all."""
    max_loss: float = 0.01
    """Accuracy that may be lost on the rows that the run is evaluated on, 0 to 1."""
    unlabelled: Path | None = None
    """File of further texts for a student to learn from, read like those of `predict`."""


def compress(
    run: Run,
    target: Run,
    request: CompressionRequest,
    callback: TrainingCallback,
    *,
    overwrite: bool = False,
) -> MetricsDocument:
    """Write the smaller run; return the document of its metrics.json.

    Args:
        overwrite: replace a run that exists, once the new one is complete.

    Raises:
        UserError: the run or its data cannot be read, the target must not be written, nothing fits the budget, or
            more accuracy is lost than is allowed.
    """
    if target.path.resolve() == run.path.resolve():
        raise UserError(f"--output {target.path} is the run itself. Choose another folder.")
    with locked(target):
        staging = create_staging(target, overwrite=overwrite, option="--output")
        with publishing(staging, target):
            original = read_original(run, folder=staging.path.parent)
            keeps = (request.keep,) if request.keep else BUDGET_KEEPS if request.budget else ()
            options = MethodOptions(keeps, request.student, _unlabelled_ids(original, request.unlabelled))
            kinds = _candidates(original, options, request.method)
            if request.budget:
                compressed = _best_within(request.budget, staging, original, kinds, callback)
            else:
                compressed = next(iter(next(iter(kinds.values())))).make(callback)
            metrics = _write(staging, original, compressed, request, name=target.path.name)
    logger.info("wrote %s; open %s", target.path, target.report)
    return metrics


def _unlabelled_ids(original: Original, path: Path | None) -> TokenIds | None:
    """Return the token ids of the texts in a file, or None without a file."""
    if path is None:
        return None
    chunks = read_texts(path, column=None, default_column=original.classifier.description.column)
    encoded = [original.classifier.encode(texts) for texts in chunks]
    return concatenate(encoded) if encoded else None


def _candidates(original: Original, options: MethodOptions, method: str | None) -> Mapping[str, Iterable[Candidate]]:
    """Return the candidates of the method, or of all methods that can be applied to the run, by kind."""
    if method:
        return METHODS[method].candidates(original, options)
    kinds: dict[str, Iterable[Candidate]] = {}
    for known in METHODS.values():
        try:
            kinds |= known.candidates(original, options)
        except UserError as problem:
            logger.info("%s", problem)
    return kinds


def _best_within(
    budget: int, staging: Run, original: Original, kinds: Mapping[str, Iterable[Candidate]], callback: TrainingCallback
) -> Compressed:
    """Make the largest network of each kind that fits; return the most accurate of them on the validation rows.

    Raises:
        UserError: none fits.
    """
    largest = [
        _largest_within(budget, staging, original, kind, candidates, callback) for kind, candidates in kinds.items()
    ]
    fitting = [pair for pair in largest if pair]
    if not fitting:
        raise UserError(f"--budget: nothing that was tried fits into {budget:,} bytes. Allow more.")
    return max(fitting, key=lambda pair: pair[0])[1]


def _largest_within(
    budget: int,
    staging: Run,
    original: Original,
    kind: str,
    candidates: Iterable[Candidate],
    callback: TrainingCallback,
) -> tuple[float, Compressed] | None:
    """Make the largest candidate that fits; return its accuracy on the validation rows and itself, or None."""
    size = 0
    for candidate in candidates:
        size = candidate.bytes
        if size > budget:
            continue
        compressed = candidate.make(callback)
        classifier, _ = _save(staging, original, compressed)
        size = size_in_bytes(staging.model)
        if size > budget:  # the estimate was too small
            continue
        accuracy = _validation_accuracy(classifier, compressed)
        logger.info("%s: %s bytes, accuracy on the validation rows %.4f", kind, f"{size:,}", accuracy)
        return accuracy, compressed
    logger.info("%s: %s bytes at the least", kind, f"{size:,}")
    return None


def _validation_accuracy(classifier: Classifier, compressed: Compressed) -> float:
    validation, description = compressed.dataset.validation, classifier.description
    probabilities = classifier.probabilities(validation.token_ids)
    y_pred = decide(probabilities, description.label_separator, description.threshold)
    correct = y_pred == validation.targets
    return float((correct if correct.ndim == 1 else correct.all(axis=1)).mean())


def _save(staging: Run, original: Original, compressed: Compressed) -> tuple[Classifier, float]:
    """Save the network; return the classifier, and its largest difference from Keras's probabilities."""
    decision = compressed.decision
    threshold = decision.threshold if decision else original.classifier.description.threshold
    return save_model(
        staging, compressed.config, compressed.dataset, compressed.network, threshold, storage=compressed.storage
    )


def _write(
    staging: Run, original: Original, compressed: Compressed, request: CompressionRequest, *, name: str
) -> MetricsDocument:
    """Evaluate the network beside the original and write all files of its run; return the document of metrics.json.

    Raises:
        UserError: more accuracy is lost than is allowed.
    """
    config, dataset = compressed.config, compressed.dataset
    classifier, parity = _save(staging, original, compressed)
    rows = dataset.splits.evaluation.rows
    predictions, metrics = evaluate_rows(classifier, rows, dataset.evaluation_chunks(), slices=config.report.slices)
    (probabilities, _), speeds = measure_throughput([original.classifier, classifier], rows.text_chunks())
    threshold = original.classifier.description.threshold
    original_predictions = predictions.with_probabilities(probabilities, threshold=threshold)
    _check_loss(predictions, original_predictions, request.max_loss, file=metrics["data"]["file"])
    metrics["parity"] = parity
    _add_training(metrics, original, compressed, predictions)
    metrics["baselines"] = {**original.metrics.get("baselines", {}), "original": original_predictions.metrics}
    metrics["comparisons"] = {"original": compare_predictions(predictions, original_predictions)}
    size: CompressedBytes = {
        "original": size_in_bytes(original.run.model),
        "compressed": size_in_bytes(staging.model),
    }
    metrics["compression"] = {**compressed.settings, "of": original.run.path.name, "bytes": size}
    contents = RunContents(
        config=config,
        history=_history(original, compressed),
        split=dataset.splits.document,
        predictions=predictions,
        metrics=metrics,
        samples=sample_document(classifier, rows, predictions) if config.report.texts else None,
        environment=_environment(original, compressed, speeds),
    )
    write_run(staging, contents, name=name)
    return metrics


def _check_loss(predictions: Predictions, original: Predictions, max_loss: float, *, file: object) -> None:
    accuracy, before = predictions.correct.mean(), original.correct.mean()
    if before - accuracy > max_loss:
        raise UserError(
            f"accuracy on {file} falls from {before:.4f} to {accuracy:.4f}, by more than {max_loss} "
            "(--max-loss): nothing was written. Allow a greater loss, keep more with --keep, or take another method."
        )


def _add_training(
    metrics: MetricsDocument, original: Original, compressed: Compressed, predictions: Predictions
) -> None:
    """Add to metrics.json how the network was trained; what compressing left as it was is copied."""
    before = original.metrics
    if "checks" in before:
        metrics["checks"] = before["checks"]
    if compressed.fit_result:
        metrics["validation"] = validation_document(compressed.config, compressed.dataset, compressed.fit_result)
    elif "validation" in before:
        metrics["validation"] = before["validation"]
    if compressed.decision:
        labels = len(original.classifier.labels)
        metrics["decision"] = decision_document(compressed.config, predictions, compressed.decision, labels=labels)
    elif "decision" in before:
        metrics["decision"] = before["decision"]


def _history(original: Original, compressed: Compressed) -> pd.DataFrame | None:
    """Return the epochs of the network, or of the original if it was not trained again; of several seeds the best's."""
    if compressed.fit_result:
        return history_table({compressed.config.training.seed: compressed.fit_result})
    if not original.run.history.is_file():
        return None
    return read_history(original.run.history, seed=original.metrics.get("seeds", {}).get("best"))


def _environment(original: Original, compressed: Compressed, speeds: list[float]) -> EnvironmentDocument:
    before: EnvironmentDocument = read_json(original.run.environment)
    return environment_document(
        compressed.config,
        original.device,
        packages=package_versions(),
        data=before["data"],
        seconds={},
        rows_a_second=dict(zip(("original", "compressed"), speeds, strict=True)),
    )
