"""`textclf compress`: write a smaller run, compared with the original on the same rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from textclf.compression.candidates import (
    Candidate,
    Compressed,
    CompressionRequest,
    Original,
    prune,
    quantized,
    read_original,
)
from textclf.compression.distill import distill
from textclf.config.load import input_files, load_saved_config
from textclf.errors import UserError
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.evaluate import add_comparisons, evaluate_rows, measure_throughput
from textclf.evaluation.predictions import Predictions
from textclf.evaluation.run_report import read_history
from textclf.inference.classifier import Classifier, decide
from textclf.io.contract import NETWORK_ALONE, MetricsDocument
from textclf.io.files import read_json, size_in_bytes
from textclf.io.run_folder import Run, check_rows_are_kept
from textclf.io.staging import create_staging, locked, publishing
from textclf.training.loop import TrainingCallback
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
    """A compression method."""

    candidates: Callable[[Original, CompressionRequest], Mapping[str, Iterable[Candidate]]]
    """Returns the candidates by kind of network, each the largest first."""
    takes: tuple[str, ...] = ()
    """Options of the command that the method uses."""


METHODS: dict[str, Method] = {
    "int8": Method(lambda original, _request: {"int8": quantized(original, "int8")}),
    "float16": Method(lambda original, _request: {"float16": quantized(original, "float16")}),
    "prune": Method(prune, takes=("keep",)),
    "distill": Method(distill, takes=("keep", "student", "alone", "unlabelled")),
}


def compress(
    run: Run, target: Run, request: CompressionRequest, callback: TrainingCallback, *, overwrite: bool = False
) -> MetricsDocument:
    """Write the smaller run; return the document of its metrics.json.

    Args:
        overwrite: replace a run that exists, once the new one is complete.

    Raises:
        UserError: the run or its data cannot be read, the target must not be written, nothing fits the budget, or
            more accuracy is lost than is allowed.
    """
    if os.path.realpath(target.path) == os.path.realpath(run.path):
        raise UserError(f"--output {target.path} is the run itself. Choose another folder.")
    check_rows_are_kept(run, advice="Write them as a table, train a run on it with `textclf train`, and compress that.")
    with locked(target, option="--output"):
        staging = create_staging(target, _sources(run, request), overwrite=overwrite, option="--output")
        with publishing(staging, target):
            original = read_original(run, folder=staging.path.parent)
            kinds = METHODS[request.method].candidates(original, request) if request.method else _all(original, request)
            if request.budget:
                compressed = _best_within(request.budget, staging, kinds, callback)
            else:
                compressed = next(iter(next(iter(kinds.values())))).make(callback)
            metrics = _write(staging, original, compressed, request.max_loss, name=target.path.name)
    logger.info("wrote %s; open %s", target.path, target.report)
    return metrics


def _sources(run: Run, request: CompressionRequest) -> list[Path]:
    """Return the files, other than the run's own, that compressing is known to read before it starts."""
    data = input_files(load_saved_config(run.config)) if run.config.is_file() else []
    return data + ([request.unlabelled] if request.unlabelled else [])


def _all(original: Original, request: CompressionRequest) -> dict[str, Iterable[Candidate]]:
    """Return the candidates of all methods that can be applied to the run."""
    kinds: dict[str, Iterable[Candidate]] = {}
    for method in METHODS.values():
        try:
            kinds |= method.candidates(original, request)
        except UserError as problem:
            logger.info("%s", problem)
    return kinds


def _best_within(
    budget: int, staging: Run, kinds: Mapping[str, Iterable[Candidate]], callback: TrainingCallback
) -> Compressed:
    """Make the largest network of each kind that fits; return the most accurate of them on the validation rows.

    Raises:
        UserError: none fits.
    """
    largest = [_largest_within(budget, staging, kind, candidates, callback) for kind, candidates in kinds.items()]
    fitting = [pair for pair in largest if pair]
    if not fitting:
        raise UserError(f"--budget: nothing that was tried fits into {budget:,} bytes. Allow more.")
    return max(fitting, key=lambda pair: pair[0])[1]


def _largest_within(
    budget: int, staging: Run, kind: str, candidates: Iterable[Candidate], callback: TrainingCallback
) -> tuple[float, Compressed] | None:
    """Make the largest candidate that fits; return its accuracy on the validation rows and itself, or None."""
    size = 0
    for candidate in candidates:
        size = candidate.bytes
        if size > budget:
            continue
        compressed = candidate.make(callback)
        try:
            classifier, _ = compressed.save(staging)
        except UserError as problem:  # such as an encoder that 8 bits change too much: another candidate may do
            logger.info("%s: %s", kind, problem)
            continue
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
    probabilities = classifier.probabilities(compressed.dataset.validation_ids)
    y_pred = decide(probabilities, description.label_separator, description.threshold)
    correct = y_pred == validation.targets
    return float((correct if correct.ndim == 1 else correct.all(axis=1)).mean())


def _write(staging: Run, original: Original, compressed: Compressed, max_loss: float, *, name: str) -> MetricsDocument:
    """Evaluate the network beside the original and write all files of its run; return the document of metrics.json.

    Raises:
        UserError: more accuracy is lost than is allowed.
    """
    config, dataset = compressed.config, compressed.dataset
    classifier, parity = compressed.save(staging)
    rows = dataset.splits.evaluation.rows
    predictions, metrics = evaluate_rows(classifier, rows, dataset.evaluation_chunks(), slices=config.report.slices)
    (probabilities, _), speeds = measure_throughput([original.classifier, classifier], rows.text_chunks())
    threshold = original.classifier.description.threshold
    original_predictions = predictions.with_probabilities(probabilities, threshold=threshold)
    accuracy, before = predictions.correct.mean(), original_predictions.correct.mean()
    if before - accuracy > max_loss:
        raise UserError(
            f"accuracy on {metrics['data']['file']} falls from {before:.4f} to {accuracy:.4f}, by more than {max_loss} "
            "(--max-loss): nothing was written. Allow a greater loss, keep more with --keep, or take another method."
        )
    metrics["parity"] = parity
    _add_training(metrics, original, compressed, predictions)
    before = {name: scores for name, scores in original.metrics.get("baselines", {}).items() if name != NETWORK_ALONE}
    metrics["baselines"] = before | metrics.get("baselines", {})
    add_comparisons(metrics, predictions, {"original": original_predictions})
    original_bytes, compressed_bytes = size_in_bytes(original.run.model), size_in_bytes(staging.model)
    metrics["compression"] = {
        **compressed.settings,
        "of": original.run.path.name,
        "bytes": {"original": original_bytes, "compressed": compressed_bytes},
    }
    environment = environment_document(
        config, original.device, packages=package_versions(config), data=read_json(original.run.environment)["data"],
        seconds={}, rows_a_second=dict(zip(("original", "compressed"), speeds, strict=True)),
    )  # fmt: skip
    samples = sample_document(classifier, rows, predictions) if config.report.texts else None
    history, split = _history(original, compressed), dataset.splits.document
    contents = RunContents(config, classifier, history, split, predictions, metrics, samples, environment)
    write_run(staging, contents, name=name)
    return metrics


def _add_training(
    metrics: MetricsDocument, original: Original, compressed: Compressed, predictions: Predictions
) -> None:
    """Add to metrics.json how the network was trained, or copy that from the original."""
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
    """Return the epochs of the network, or if it was not trained those of the original's best seed."""
    if compressed.fit_result:
        return history_table({compressed.config.training.seed: compressed.fit_result})
    if not original.run.history.is_file():
        return None
    return read_history(original.run.history, seed=original.metrics.get("seeds", {}).get("best"))
