"""`textclf train`: from a config to a complete run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from textclf.config.load import dump_config
from textclf.config.schema import Config
from textclf.evaluation.bootstrap import intervals
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.evaluate import evaluate_rows, write_evaluation
from textclf.evaluation.predictions import Predictions, compare_predictions
from textclf.inference.prefetch import begin
from textclf.io.contract import MetricsDocument, WithoutSeenDocument
from textclf.io.files import read_json, write_json, write_text
from textclf.io.run_folder import Run
from textclf.io.staging import begin_stage, claimed, finishing
from textclf.text.vectors import WordVectors
from textclf.training.checkpoint import Checkpoint
from textclf.training.data_checks import DataChecks, check_data
from textclf.training.dataset import Dataset, Splits, prepare
from textclf.training.fit import check_aim, decide_on, fit_network, stock_network
from textclf.training.loop import FitResult, TrainingCallback
from textclf.training.model_io import save_model
from textclf.training.provenance import (
    Fingerprint,
    check_unchanged_since,
    complete_already,
    decision_facts,
    environment_facts,
    fingerprint,
    stage_to_resume,
    validation_facts,
    write_history,
)
from textclf.training.seeds import Member, best_member, compare_seeds, keep, rivals
from textclf.training.tensorflow_setup import start_tensorflow

if TYPE_CHECKING:
    from textclf.evaluation.baseline import Linear


Array = npt.NDArray[Any]

logger = logging.getLogger(__name__)


class Clock:
    """Seconds that each phase took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begin, 3)


def train(
    config: Config, run: Run, callback: TrainingCallback, *, overwrite: bool = False, resume: bool = False
) -> MetricsDocument:
    """Trains, evaluates and writes the run; the document of its metrics.json.

    Args:
        overwrite: replace a run that exists, once the new one is complete, and an unfinished training at once.
        resume: go on with an unfinished training; the run is the same as if it had never stopped.

    Raises:
        UserError: the run exists or another process is training it, what it was begun with has changed, the data cannot
            be learnt from, or the exported model disagrees with Keras's.
    """
    begun = fingerprint(config) if resume else None
    with claimed(run):
        if begun and complete_already(run, begun):
            logger.info("%s was complete already", run.path)
            return read_json(run.metrics)
        stage = (begun and stage_to_resume(run, begun)) or begin_stage(run, overwrite=overwrite)
        with finishing(stage, run):
            document = _fill(stage, config, begun, callback, name=run.path.name)
    logger.info("wrote %s; open %s", run.path, run.report)
    return document


def _fill(
    stage: Run, config: Config, resumed: Fingerprint | None, callback: TrainingCallback, *, name: str
) -> MetricsDocument:
    """Trains, evaluates and writes all files of the run; the document of its metrics.json."""
    clock = Clock()
    with clock.phase("read"):
        dataset = prepare(config, folder=stage.path.parent)  # Windows renames no folder with an open file
        check_aim(config, dataset)
        begun = fingerprint(config, dataset.splits)
        if resumed:
            check_unchanged_since(resumed, begun)
        write_json(stage.begun, asdict(begun))
    with clock.phase("check"):
        checked = check_data(config, dataset)
    _talk_about(dataset, checked)
    if config.report.suspects:
        with clock.phase("suspects"):
            from textclf.training.label_errors import write_suspects  # scikit-learn takes seconds to import

            write_suspects(stage.suspects, dataset, config)
    dataset = replace(dataset, splits=dataset.splits.slim(words=config.report.baseline))
    if dataset.vectors:
        _talk_about_vectors(config, dataset, dataset.vectors)
    with clock.phase("tensorflow"):
        device = start_tensorflow(device=config.training.device)
    wait_for_linear = begin(lambda: _fit_linear(config, dataset.splits))
    with clock.phase("train"):
        trained = _fit_all(config, dataset, device, callback, stage)
    with clock.phase("calibrate"):
        members = [Member(seed, *each, decide_on(config, dataset, each[0])) for seed, each in trained.items()]
        alone = rivals(stage, config, dataset, members)
        network, decision = keep(config, dataset, members)
    with clock.phase("save"):
        classifier, parity = save_model(stage, config, dataset, network, decision.threshold)
    with clock.phase("baseline"):
        linear = wait_for_linear()
    with clock.phase("evaluate"):
        measured = dataset.splits.evaluation.rows
        found, document = evaluate_rows(classifier, measured, dataset.evaluation_chunks(), slices=config.report.slices)
        best = best_member(members, config.training.monitor)
        document["parity"] = parity
        document["validation"] = validation_facts(config, dataset, best.fit_result)
        document["decision"] = decision_facts(
            config, found, decision, labels=len(found.label_names) - len(document["unseen_labels"])
        )
        document["checks"] = checked.documents()
        if checked.leaked.any() and not checked.leaked.all():
            document["without_seen"] = _scores(found.take(~checked.leaked))
        if linear:
            others = _baselines(linear, dataset.splits, dataset.train.targets, found)
            document["baselines"] = {name: other.metrics for name, other in others.items()}
            document["comparisons"] = {name: compare_predictions(found, other) for name, other in others.items()}
    speed: dict[str, float] = {}
    if alone:
        with clock.phase("seeds"):
            document["seeds"], speed = compare_seeds(config, alone, classifier, stage, found, measured)
    write_text(stage.config, dump_config(config))
    write_history(stage, {member.seed: member.fit_result for member in members})
    write_json(stage.split, dataset.splits.document)
    if config.report.texts:
        with clock.phase("samples"):
            write_json(stage.samples, sample_document(classifier, measured, found))
    environment = environment_facts(config, device, packages=begun.packages, data=begun.data, seconds=clock.seconds)
    if speed:
        environment["rows_a_second"] = speed
    write_json(stage.environment, environment)
    write_evaluation(stage, found, document, name=name)
    return document


def _talk_about(dataset: Dataset, checked: DataChecks) -> None:
    """Says what a careful person would ask of the data before training."""
    cut, unknown = dataset.train_extent.summary(), dataset.validation_extent.unknown_fraction()
    logger.info(
        "%d rows to train on, %d to validate on, %d labels, %d words",
        len(dataset.train), len(dataset.validation), len(dataset.splits.labels), dataset.trained_words,
    )  # fmt: skip
    logger.info(
        "cut to %d tokens: %d training rows (%.1f %%), %.1f %% of all tokens lost; unknown in validation: %.1f %%",
        dataset.encoder.options.max_length, cut["rows"], 100 * cut["share_of_rows"], 100 * cut["share_of_tokens"],
        100 * unknown,
    )  # fmt: skip
    for finding in checked.findings:
        logger.warning("%s, %s: %s. %s", finding.part, finding.check, finding.what, finding.advice)


def _talk_about_vectors(config: Config, dataset: Dataset, vectors: WordVectors) -> None:
    words = dataset.trained_words
    further = len(dataset.encoder.vocabulary) - words
    found = vectors.known_count - further
    logger.info(
        "%s has %d of the %d words (%.1f %%), and gives %d that training lacks",
        config.model.pretrained, found, words, 100 * found / words, further,
    )  # fmt: skip


def _fit_all(
    config: Config, dataset: Dataset, device: str, callback: TrainingCallback, stage: Run
) -> dict[int, tuple[Any, FitResult]]:
    """By seed a network and what training found; after Ctrl-C those that were begun."""
    first, count = config.training.seed, config.training.seeds
    trained: dict[int, tuple[Any, FitResult]] = {}
    for number in range(count):
        if count > 1:
            logger.info("network %d of %d, seed %d", number + 1, count, first + number)
        own = replace(config, training=replace(config.training, seed=first + number))
        checkpoint = Checkpoint(stage.state(number), minutes=config.training.checkpoint_minutes)
        trained[first + number] = _fit(own, dataset, device, callback, checkpoint)
        if trained[first + number][1].interrupted:
            break
    return trained


def _fit(
    config: Config, dataset: Dataset, device: str, callback: TrainingCallback, checkpoint: Checkpoint
) -> tuple[Any, FitResult]:
    """The stock network with the trained weights, and how training went."""
    network, fit_result = fit_network(config, dataset, device, callback, checkpoint=checkpoint)
    if fit_result.interrupted:
        logger.warning(
            "interrupted in epoch %d; keeping epoch %d, the best so far", len(fit_result.history), fit_result.best.epoch
        )
    return stock_network(config, dataset, device, network), fit_result


def _scores(unseen: Predictions) -> WithoutSeenDocument:
    """The metrics of rows whose text training did not see."""
    return {"rows": len(unseen), "metrics": unseen.metrics, "intervals": intervals(unseen.resampled)}


def _fit_linear(config: Config, splits: Splits) -> Linear | None:
    """The linear baseline, where it is asked for; in any case scikit-learn, which takes seconds to import, is there."""
    from textclf.evaluation.baseline import Linear, Part, affordable

    if not config.report.baseline:
        return None
    rows = affordable(splits.train.counts, seed=config.training.seed)
    if len(rows) < len(splits.train):
        logger.info("the linear baseline learns from %d rows, drawn at random", len(rows))
    train, validation = (
        Part(side.words.take(side.row_ids), side.labels.targets(splits.labels, config.data.label_separator))
        for side in (splits.train.take(rows), splits.validation)
    )
    return Linear(train, validation)


def _baselines(linear: Linear, splits: Splits, train: Array, found: Predictions) -> dict[str, Predictions]:
    """The predictions of each baseline for the rows that the run is evaluated on."""
    from textclf.evaluation.baseline import majority

    guesses = {
        "majority": majority(train, rows=len(splits.evaluation), labels=len(splits.labels)),
        "tfidf_logistic_regression": np.concatenate(
            [linear.predict_proba(words) for words in splits.evaluation.chunks()]
        ),
    }
    return {name: found.with_probabilities(guess) for name, guess in guesses.items()}
