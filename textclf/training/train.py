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
from textclf.evaluation.predictions import Outcome, difference
from textclf.inference.prefetch import begin
from textclf.io.files import read_json, write_json, write_text
from textclf.io.run_folder import Run
from textclf.io.staging import begin_stage, claimed, finishing
from textclf.text.vectors import WordVectors
from textclf.training.checkpoint import Checkpoint
from textclf.training.data_checks import Checked, check_data
from textclf.training.dataset import Material, Sides, prepare
from textclf.training.fit import Decision, check_aim, decide_on, fit_network, stock_network
from textclf.training.loop import Fit, Watch
from textclf.training.model_io import save_model
from textclf.training.provenance import (
    Beginning,
    beginning,
    complete_already,
    decision_facts,
    environment_facts,
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


def train(config: Config, run: Run, watch: Watch, *, overwrite: bool = False, resume: bool = False) -> dict[str, Any]:
    """Trains, evaluates and writes the run; the document of its metrics.json.

    Args:
        overwrite: replace a run that exists, once the new one is complete, and an unfinished training at once.
        resume: go on with an unfinished training; the run is the same as if it had never stopped.

    Raises:
        UserError: the run exists or another process is training it, what it was begun with has changed, the data cannot
            be learnt from, or the exported model disagrees with Keras's.
    """
    begun = beginning(config)
    with claimed(run):
        if resume and complete_already(run, begun):
            logger.info("%s was complete already", run.path)
            return read_json(run.metrics)
        stage = (resume and stage_to_resume(run, begun)) or begin_stage(run, overwrite=overwrite)
        with finishing(stage, run):
            write_json(stage.begun, asdict(begun))
            document = _fill(stage, config, begun, watch, name=run.path.name)
    logger.info("wrote %s; open %s", run.path, run.report)
    return document


def _fill(stage: Run, config: Config, begun: Beginning, watch: Watch, *, name: str) -> dict[str, Any]:
    """Trains, evaluates and writes all files of the run; the document of its metrics.json."""
    clock = Clock()
    with clock.phase("read"):
        material = prepare(config, folder=stage.path.parent)  # Windows renames no folder with an open file
        check_aim(config, material)
    with clock.phase("check"):
        checked = check_data(config, material)
    _talk_about(material, checked)
    if config.report.suspects:
        with clock.phase("suspects"):
            from textclf.training.label_errors import write_suspects  # scikit-learn takes seconds to import

            write_suspects(stage.suspects, material, config)
    material = replace(material, sides=material.sides.slim(words=config.report.baseline))
    if material.vectors:
        _talk_about_vectors(config, material, material.vectors)
    with clock.phase("tensorflow"):
        device = start_tensorflow(device=config.training.device)
    wait_for_linear = begin(lambda: _fit_linear(config, material.sides))
    with clock.phase("train"):
        trained = _fit_all(config, material, device, watch, stage)
    with clock.phase("calibrate"):
        members = [Member(seed, *each, decide_on(config, material, each[0])) for seed, each in trained.items()]
        alone = rivals(stage, config, material, members)
        network, decision = keep(config, material, members)
    with clock.phase("save"):
        classifier, parity = save_model(stage, config, material, network, decision.threshold)
    with clock.phase("baseline"):
        linear = wait_for_linear()
    with clock.phase("evaluate"):
        measured = material.sides.measured.labelled()
        found, document = evaluate_rows(classifier, measured, slices=config.report.slices)
        best = best_member(members, config.training.monitor)
        document |= {"parity": parity, "validation": validation_facts(config, material, best.fitted)}
        document |= _trust(found, document, decision, checked, config)
        if linear:
            document |= _baselines(linear, material.sides, material.train.targets, found)
    speed: dict[str, float] = {}
    if alone:
        with clock.phase("seeds"):
            document["seeds"], speed = compare_seeds(config, alone, classifier, stage, found, measured)
    write_text(stage.config, dump_config(config))
    write_history(stage, {member.seed: member.fitted for member in members})
    write_json(stage.split, material.sides.document)
    if config.report.texts:
        with clock.phase("samples"):
            write_json(stage.samples, sample_document(classifier, stage.path, measured, found))
    environment = environment_facts(config, device, packages=begun.packages, data=begun.data, seconds=clock.seconds)
    write_json(stage.environment, environment | ({"rows_a_second": speed} if speed else {}))
    write_evaluation(stage, found, document, name=name)
    return document


def _talk_about(material: Material, checked: Checked) -> None:
    """Says what a careful person would ask of the data before training."""
    cut, unknown = material.train_extent.truncation(), material.validation_extent.unknown_share()
    logger.info(
        "%d rows to train on, %d to validate on, %d labels, %d words",
        len(material.train), len(material.validation), len(material.sides.labels), material.trained_words,
    )  # fmt: skip
    logger.info(
        "cut to %d tokens: %d training rows (%.1f %%), %.1f %% of all tokens lost; unknown in validation: %.1f %%",
        material.encoder.options.max_length, cut["rows"], 100 * cut["share_of_rows"], 100 * cut["share_of_tokens"],
        100 * unknown,
    )  # fmt: skip
    for finding in checked.findings:
        logger.warning("%s, %s: %s. %s", finding.part, finding.check, finding.what, finding.advice)


def _talk_about_vectors(config: Config, material: Material, vectors: WordVectors) -> None:
    words = material.trained_words
    further = len(material.encoder.vocabulary) - words
    found = vectors.found - further
    logger.info(
        "%s has %d of the %d words (%.1f %%), and gives %d that training lacks",
        config.model.pretrained, found, words, 100 * found / words, further,
    )  # fmt: skip


def _fit_all(config: Config, material: Material, device: str, watch: Watch, stage: Run) -> dict[int, tuple[Any, Fit]]:
    """By seed a network and what training found; after Ctrl-C those that were begun."""
    first, count = config.training.seed, config.training.seeds
    trained: dict[int, tuple[Any, Fit]] = {}
    for number in range(count):
        if count > 1:
            logger.info("network %d of %d, seed %d", number + 1, count, first + number)
        own = replace(config, training=replace(config.training, seed=first + number))
        checkpoint = Checkpoint(stage.state(number), minutes=config.training.checkpoint_minutes)
        trained[first + number] = _fit(own, material, device, watch, checkpoint)
        if trained[first + number][1].interrupted:
            break
    return trained


def _fit(config: Config, material: Material, device: str, watch: Watch, checkpoint: Checkpoint) -> tuple[Any, Fit]:
    """The stock network with the trained weights, and how training went."""
    network, fitted = fit_network(config, material, device, watch, checkpoint=checkpoint)
    if fitted.interrupted:
        logger.warning(
            "interrupted in epoch %d; keeping epoch %d, the best so far", len(fitted.history), fitted.best.epoch
        )
    return stock_network(config, material, device, network), fitted


def _trust(
    found: Outcome, document: dict[str, Any], decision: Decision, checked: Checked, config: Config
) -> dict[str, Any]:
    """What metrics.json says of how far the numbers and the data can be trusted."""
    labels = found.probabilities.shape[1] - len(document["unseen_labels"])
    added: dict[str, Any] = {
        "decision": decision_facts(config, found, decision, labels=labels), "checks": checked.documents()
    }  # fmt: skip
    if checked.leaked.any() and not checked.leaked.all():
        unseen = found.take(~checked.leaked)
        added["without_seen"] = {
            "rows": len(unseen), "metrics": unseen.metrics(), "intervals": intervals(unseen.resampled)
        }  # fmt: skip
    return added


def _fit_linear(config: Config, sides: Sides) -> Linear | None:
    """The linear baseline, where it is asked for; in any case scikit-learn, which takes seconds to import, is there."""
    from textclf.evaluation.baseline import Linear, Part, affordable

    if not config.report.baseline:
        return None
    rows = affordable(sides.train.counts, seed=config.training.seed)
    if len(rows) < len(sides.train):
        logger.info("the linear baseline learns from %d rows, drawn at random", len(rows))
    train, validation = (
        Part(side.words.take(side.numbers), side.labels.targets(sides.labels, config.data.label_separator))
        for side in (sides.train.take(rows), sides.validation)
    )
    return Linear(train, validation)


def _baselines(linear: Linear, sides: Sides, train: Array, found: Outcome) -> dict[str, Any]:
    """The baselines on the rows that the network was measured on, and how far it is from them."""
    from textclf.evaluation.baseline import majority

    guesses = {
        "majority": majority(train, rows=len(sides.measured), labels=len(sides.labels)),
        "tfidf_logistic_regression": np.concatenate([linear.predict_proba(words) for words in sides.measured.chunks()]),
    }
    outcomes = {name: found.with_probabilities(guess) for name, guess in guesses.items()}
    return {
        "baselines": {name: other.metrics() for name, other in outcomes.items()},
        "comparisons": {name: difference(found, other) for name, other in outcomes.items()},
    }
