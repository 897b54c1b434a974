"""`textclf compress`: a run made smaller, as a run of its own, measured beside the original on the same rows."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from textclf.compression.candidates import KEEPS, Compressed, Original, Plan, Settings, kept_as, prune, read_original
from textclf.compression.distill import distill
from textclf.config.load import dump_config
from textclf.errors import UserError
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.evaluate import evaluate_rows, measure_throughput, write_evaluation
from textclf.evaluation.predictions import Predictions, compare_predictions
from textclf.inference.classifier import Classifier, decide
from textclf.inference.predict import read_texts
from textclf.io.contract import CompressedBytes, EnvironmentDocument, MetricsDocument
from textclf.io.files import read_json, size_in_bytes, write_csv, write_json, write_text
from textclf.io.run_folder import Run
from textclf.io.staging import begin_stage, claimed, finishing
from textclf.text.encoding import TokenIds, concatenate
from textclf.training.loop import TrainingCallback
from textclf.training.model_io import save_model
from textclf.training.provenance import (
    decision_facts,
    environment_facts,
    package_versions,
    validation_facts,
    write_history,
)

logger = logging.getLogger(__name__)


class Method(NamedTuple):
    """A way of making a run smaller, or several of them."""

    plans: Callable[[Original, Settings], Mapping[str, Iterable[Plan]]]
    """For each way the networks that could be made, the largest first."""
    takes: tuple[str, ...] = ()
    """What of a wish it heeds besides the budget."""


METHODS: dict[str, Method] = {
    "int8": Method(lambda original, _settings: {"int8": kept_as(original, "int8")}),
    "float16": Method(lambda original, _settings: {"float16": kept_as(original, "float16")}),
    "prune": Method(prune, takes=("keep",)),
    "distill": Method(distill, takes=("keep", "student", "unlabelled")),
}


@dataclass(frozen=True)
class CompressionRequest:
    """What is asked for: a method of METHODS, or bytes that model/ may take, or both."""

    method: str | None = None
    budget: int | None = None
    keep: float | None = None
    """Share of the words, dimensions and units that stay; None: as the method has it, or as the budget allows."""
    student: str | None = None
    """Of STUDENTS; None: the first, or with a budget each."""
    max_loss: float = 0.01
    """How much accuracy may be lost on the rows that the run is measured on, 0 to 1."""
    unlabelled: Path | None = None
    """File of further texts for a student to learn on, as for `predict`."""


def compress(
    run: Run,
    target: Run,
    wish: CompressionRequest,
    callback: TrainingCallback,
    *,
    overwrite: bool = False,
) -> MetricsDocument:
    """Writes the smaller run; the document of its metrics.json.

    Args:
        overwrite: replace a run that exists, once the new one is complete.

    Raises:
        UserError: the run or its data cannot be read, the target must not be written, nothing fits the budget, or
            more accuracy is lost than is allowed.
    """
    if target.path.resolve() == run.path.resolve():
        raise UserError(f"--output {target.path} is the run itself. Choose another folder.")
    with claimed(target):
        stage = begin_stage(target, overwrite=overwrite, option="--output")
        with finishing(stage, target):
            original = read_original(run, folder=stage.path.parent)
            keeps = (wish.keep,) if wish.keep else KEEPS if wish.budget else ()
            settings = Settings(keeps, wish.student, _unlabelled_ids(original, wish.unlabelled))
            ways = METHODS[wish.method].plans(original, settings) if wish.method else _every_way(original, settings)
            if wish.budget:
                made = _best_within(wish.budget, stage, original, ways, callback)
            else:
                made = next(iter(next(iter(ways.values())))).make(callback)
            document = _fill(stage, original, made, wish, name=target.path.name)
    logger.info("wrote %s; open %s", target.path, target.report)
    return document


def _unlabelled_ids(original: Original, path: Path | None) -> TokenIds | None:
    """Return the token ids of the texts in a file, or None without a file."""
    if path is None:
        return None
    chunks = read_texts(path, column=None, default_column=original.classifier.description.column)
    encoded = [original.classifier.encode(texts) for texts in chunks]
    return concatenate(encoded) if encoded else None


def _every_way(original: Original, settings: Settings) -> dict[str, Iterable[Plan]]:
    """What all methods could make of the run; one that is not for it says why."""
    ways: dict[str, Iterable[Plan]] = {}
    for method in METHODS.values():
        try:
            ways |= method.plans(original, settings)
        except UserError as problem:
            logger.info("%s", problem)
    return ways


def _best_within(
    budget: int, stage: Run, original: Original, ways: Mapping[str, Iterable[Plan]], callback: TrainingCallback
) -> Compressed:
    """Of the largest networks that fit, one of each way, the most accurate on the validation rows.

    Raises:
        UserError: none fits.
    """
    found = [
        each
        for name, plans in ways.items()
        if (each := _largest_within(budget, stage, original, name, plans, callback))
    ]
    if not found:
        raise UserError(f"--budget: nothing that was tried fits into {budget:,} bytes. Allow more.")
    return max(found, key=lambda each: each[0])[1]


def _largest_within(
    budget: int, stage: Run, original: Original, name: str, plans: Iterable[Plan], callback: TrainingCallback
) -> tuple[float, Compressed] | None:
    """The largest network of one way that fits, with its accuracy on the validation rows; None where none does."""
    size = 0
    for plan in plans:
        size = plan.bytes
        if size > budget:
            continue
        made = plan.make(callback)
        classifier, _ = _save(stage, original, made)
        size = size_in_bytes(stage.model)
        if size > budget:  # what it was taken to have was a guess
            continue
        accuracy = _validation_accuracy(classifier, made)
        logger.info("%s: %s bytes, accuracy on the validation rows %.4f", name, f"{size:,}", accuracy)
        return accuracy, made
    logger.info("%s: %s bytes at the least", name, f"{size:,}")
    return None


def _validation_accuracy(classifier: Classifier, made: Compressed) -> float:
    validation, description = made.dataset.validation, classifier.description
    chosen = decide(classifier.probabilities(validation.token_ids), description.label_separator, description.threshold)
    right = chosen == validation.targets
    return float((right if right.ndim == 1 else right.all(axis=1)).mean())


def _save(stage: Run, original: Original, made: Compressed) -> tuple[Classifier, float]:
    """The classifier, and how far it is from Keras's."""
    threshold = made.decision.threshold if made.decision else original.classifier.description.threshold
    return save_model(stage, made.config, made.dataset, made.network, threshold, storage=made.storage)


def _fill(stage: Run, original: Original, made: Compressed, wish: CompressionRequest, *, name: str) -> MetricsDocument:
    """Writes all files of the run; the document of its metrics.json.

    Raises:
        UserError: too much accuracy is lost.
    """
    config, run = made.config, original.run
    classifier, parity = _save(stage, original, made)
    measured = made.dataset.splits.evaluation.rows
    found, document = evaluate_rows(classifier, measured, made.dataset.evaluation_chunks(), slices=config.report.slices)
    (before, _), speeds = measure_throughput([original.classifier, classifier], measured.text_chunks())
    other = found.with_probabilities(before, threshold=original.classifier.description.threshold)
    _check_loss(found, other, wish, measured_on=document["data"]["file"])
    document["parity"] = parity
    _keep_facts(document, original, made, found)
    document["baselines"] = {**original.document.get("baselines", {}), "original": other.metrics}
    document["comparisons"] = {"original": compare_predictions(found, other)}
    size: CompressedBytes = {"original": size_in_bytes(run.model), "compressed": size_in_bytes(stage.model)}
    document["compression"] = {**made.facts, "of": run.path.name, "bytes": size}
    write_text(stage.config, dump_config(config))
    if made.fit_result:
        write_history(stage, {config.training.seed: made.fit_result})
    elif run.history.is_file():
        _copy_history(original, stage)
    write_json(stage.split, made.dataset.splits.document)
    if config.report.texts:
        write_json(stage.samples, sample_document(classifier, measured, found))
    write_json(stage.environment, _environment(original, made, speeds))
    write_evaluation(stage, found, document, name=name)
    return document


def _check_loss(found: Predictions, original: Predictions, wish: CompressionRequest, *, measured_on: object) -> None:
    accuracy, before = found.correct.mean(), original.correct.mean()
    if before - accuracy > wish.max_loss:
        raise UserError(
            f"accuracy on {measured_on} falls from {before:.4f} to {accuracy:.4f}, by more than {wish.max_loss} "
            "(--max-loss): nothing was written. Allow a greater loss, keep more with --keep, or take another method."
        )


def _keep_facts(document: MetricsDocument, original: Original, made: Compressed, found: Predictions) -> None:
    """Fill in what metrics.json says of the data, which are the same, and of how the network learnt."""
    before = original.document
    if "checks" in before:
        document["checks"] = before["checks"]
    if made.fit_result:
        document["validation"] = validation_facts(made.config, made.dataset, made.fit_result)
    elif "validation" in before:
        document["validation"] = before["validation"]
    if made.decision:
        labels = len(original.classifier.labels)
        document["decision"] = decision_facts(made.config, found, made.decision, labels=labels)
    elif "decision" in before:
        document["decision"] = before["decision"]


def _copy_history(original: Original, stage: Run) -> None:
    """The original's epochs; of several networks those of the best."""
    best = original.document.get("seeds", {}).get("best")
    with original.run.history.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    write_csv(stage.history, header, [row for row in rows if best is None or row[-1] == str(best)])


def _environment(original: Original, made: Compressed, speeds: list[float]) -> EnvironmentDocument:
    before: EnvironmentDocument = read_json(original.run.environment)
    facts = environment_facts(
        made.config, original.device, packages=package_versions(), data=before["data"], seconds={}
    )
    facts["rows_a_second"] = dict(zip(("original", "compressed"), speeds, strict=True))
    return facts
