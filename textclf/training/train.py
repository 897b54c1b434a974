"""`textclf train`: from a config to a complete run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from textclf.config.load import input_files
from textclf.config.pretrained import pretrained_files
from textclf.config.schema import Config
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.evaluate import evaluate_rows
from textclf.evaluation.predictions import Predictions
from textclf.inference.prefetch import run_in_thread
from textclf.io.contract import MetricsDocument
from textclf.io.files import read_json, write_json
from textclf.io.run_folder import Run
from textclf.io.staging import create_staging, locked, publishing
from textclf.training.checkpoint import Checkpoint
from textclf.training.cluster import find_cluster
from textclf.training.data_checks import DataChecks, check_data
from textclf.training.dataset import Dataset, prepare
from textclf.training.devices import Devices, start_devices
from textclf.training.fit import FittedPart, check_objective, fit_decision, fit_network, stock_network
from textclf.training.follower import BEGIN, SilentCallback, agree, follow
from textclf.training.loop import FitResult, TrainingCallback
from textclf.training.model_io import save_model
from textclf.training.provenance import Fingerprint, check_same_data, fingerprint, is_complete, resumable_staging
from textclf.training.run_writer import (
    RunContents,
    decision_document,
    environment_document,
    history_table,
    validation_document,
    write_run,
)
from textclf.training.seeds import Member, best_member, choose_model, compare_seeds, member_candidates

if TYPE_CHECKING:
    from textclf.training.linear import LinearModel

logger = logging.getLogger(__name__)


class Clock:
    """A stopwatch for the phases of a training."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def train(
    config: Config, run: Run, callback: TrainingCallback, *, overwrite: bool = False, resume: bool = False,
    keep_interrupted: bool = True,
) -> MetricsDocument | None:  # fmt: skip
    """Train, evaluate and write the run; return its metrics.json, or None in a worker that is not the chief.

    Args:
        overwrite: replace a run that exists, once the new one is complete, and an unfinished training at once.
        resume: continue an unfinished training; the run is the same as if it had never stopped.
        keep_interrupted: after Ctrl-C, finish the run with the best epoch so far; else KeyboardInterrupt is raised.

    Raises:
        UserError: the run exists or another process is training it, settings or data changed since it was started, the
            data cannot be learnt from, the exported model disagrees with Keras's, or there are too few devices.
    """
    cluster = find_cluster(config.training)
    devices = start_devices(config.training, cluster) if cluster else None
    if devices and not devices.is_chief:
        follow(
            config, devices, lambda dataset: _fit_networks(
                config, dataset, devices, SilentCallback(), None, keep_interrupted=keep_interrupted
            )
        )  # fmt: skip
        return None
    before = fingerprint(config) if resume else None
    with locked(run):
        if before and is_complete(run, before):
            logger.info("%s was complete already", run.path)
            if devices:
                devices.broadcast(b"")
            return read_json(run.metrics)
        staging = (before and resumable_staging(run, before)) or create_staging(
            run, input_files(config), overwrite=overwrite
        )
        with publishing(staging, run):
            document = _train(
                config, staging, before, callback, devices, name=run.path.name, keep_interrupted=keep_interrupted
            )
    logger.info("wrote %s; open %s", run.path, run.report)
    return document


def _train(
    config: Config, staging: Run, before: Fingerprint | None, callback: TrainingCallback, devices: Devices | None, *,
    name: str, keep_interrupted: bool,
) -> MetricsDocument:  # fmt: skip
    """Train, evaluate and write all files of the run; return its metrics.json.

    Args:
        before: of the training that is resumed.
        devices: those of all workers; None: this process trains alone.
        name: of the run.
    """
    clock = Clock()
    if devices:
        devices.broadcast(BEGIN)
    dataset, checks, now = _prepare(config, staging, before, devices, clock)
    with clock.phase("tensorflow"):
        devices = devices or start_devices(config.training, None)
    wait_for_linear = run_in_thread(lambda: _fit_linear(config, dataset))
    with clock.phase("train"):
        networks = _fit_networks(config, dataset, devices, callback, staging, keep_interrupted=keep_interrupted)
    with clock.phase("linear"):
        linear = wait_for_linear()
    with clock.phase("decide"):
        further = _further_parts(config, dataset, linear)
        members = [
            Member(seed, *trained, *fit_decision(config, dataset, trained[0], further))
            for seed, trained in networks.items()
        ]
        candidates = member_candidates(staging, config, dataset, members)
        model, decision = choose_model(config, dataset, members, further)
    with clock.phase("save"):
        classifier, parity = save_model(staging, config, dataset, model, decision.thresholds)
    rows = dataset.splits.evaluation.rows
    with clock.phase("evaluate"):
        chunks = dataset.evaluation_chunks()
        predictions, document = evaluate_rows(classifier, rows, chunks, slices=config.report.slices)
        document["parity"] = parity
        best = best_member(members, config.training.monitor)
        document["validation"] = validation_document(config, dataset, best.fit_result)
        document["decision"] = decision_document(config, predictions, decision, labels=len(classifier.labels))
        _add_checks(document, predictions, checks)
        if config.report.baseline:
            from textclf.training.baselines import add_baselines

            add_baselines(document, predictions, dataset, None if further else linear)
    speeds: dict[str, float] = {}
    if candidates:
        with clock.phase("seeds"):
            document["seeds"], speeds = compare_seeds(config, candidates, classifier, staging, predictions, rows)
    samples = None
    if config.report.texts:
        with clock.phase("samples"):
            samples = sample_document(classifier, rows, predictions)
    environment = environment_document(
        config, devices.description, packages=now.packages, data=now.data, seconds=clock.seconds, rows_a_second=speeds
    )
    history = history_table({member.seed: member.fit_result for member in members})
    split = dataset.splits.document
    contents = RunContents(config, classifier, history, split, predictions, document, samples, environment)
    write_run(staging, contents, name=name)
    return document


def _prepare(
    config: Config, staging: Run, before: Fingerprint | None, devices: Devices | None, clock: Clock
) -> tuple[Dataset, DataChecks, Fingerprint]:
    """Read the dataset, check it and log what was found; return it with the checks and the training's fingerprint."""
    with clock.phase("read"):
        dataset = prepare(config, folder=staging.path.parent)  # Windows renames no folder with an open file
        check_objective(config, dataset)
        now = fingerprint(config, dataset.splits)
        if before:
            check_same_data(before, now)
        if devices:
            agree(devices, now)
        write_json(staging.fingerprint, asdict(now))
    with clock.phase("check"):
        checks = check_data(config, dataset)
    _log_dataset(config, dataset, checks)
    if config.report.suspects:
        with clock.phase("suspects"):
            from textclf.training.label_errors import write_run_suspects  # scikit-learn takes seconds to import

            write_run_suspects(staging, dataset, config)
    return replace(dataset, splits=dataset.splits.without_keys(keep_words=_fits_linear(config))), checks, now


def _log_dataset(config: Config, dataset: Dataset, checks: DataChecks) -> None:
    """Log the size of the dataset, what the network does not read or know of it, and what is wrong with it."""
    cut, unknown = dataset.train_truncation.summary(), dataset.validation_truncation.unknown_fraction()
    logger.info(
        "%d rows to train on, %d to validate on, %d labels",
        len(dataset.train), len(dataset.validation), len(dataset.splits.labels),
    )  # fmt: skip
    known = dataset.piece_encoder.tokenizer.size if dataset.piece_encoder else dataset.trained_words
    logger.info(
        "the network knows %d %s and reads %d tokens of a text: cuts %d training rows (%.1f %%), %.1f %% of all "
        "tokens; unknown to it in validation: %.1f %%",
        known, "pieces of words" if dataset.piece_encoder else "words", config.text.max_length,
        cut["rows"], 100 * cut["share_of_rows"], 100 * cut["share_of_tokens"], 100 * unknown,
    )  # fmt: skip
    for finding in checks.findings:
        logger.warning("%s, %s: %s. %s", *(finding[key] for key in ("part", "check", "what", "advice")))
    if dataset.vectors:
        words = dataset.trained_words
        beyond = len(dataset.word_encoder.vocabulary) - words
        known = dataset.vectors.known_count - beyond
        logger.info(
            "%s has %d of the %d words (%.1f %%), and gives %d that training lacks",
            *pretrained_files(config), known, words, 100 * known / words, beyond,
        )  # fmt: skip


def _fit_networks(
    config: Config, dataset: Dataset, devices: Devices, callback: TrainingCallback, staging: Run | None, *,
    keep_interrupted: bool,
) -> dict[int, tuple[Any, FitResult]]:  # fmt: skip
    """Return a trained network, and how its training went, by seed; after Ctrl-C those that were started.

    Args:
        staging: where checkpoints are written; None: nowhere.
    """
    first, count = config.training.seed, config.training.seeds
    networks: dict[int, tuple[Any, FitResult]] = {}
    for index in range(count):
        seed = first + index
        if count > 1:
            logger.info("network %d of %d, seed %d", index + 1, count, seed)
        seeded = replace(config, training=replace(config.training, seed=seed))
        minutes = config.training.checkpoint_minutes
        checkpoint = Checkpoint(staging.state(index), minutes=minutes) if staging else None
        with devices.scope():
            network, fit_result = fit_network(
                seeded, dataset, devices.kind, callback,
                checkpoint=checkpoint, vectors_file=staging.vectors if staging else None, devices=devices,
            )  # fmt: skip
        networks[seed] = stock_network(seeded, dataset, devices.kind, network, devices=devices), fit_result
        if fit_result.interrupted:
            if not keep_interrupted:
                raise KeyboardInterrupt
            epochs, best = len(fit_result.history), fit_result.best.epoch
            logger.warning("interrupted in epoch %d; keeping epoch %d, the best so far", epochs, best)
            break
    return networks


def _add_checks(document: MetricsDocument, predictions: Predictions, checks: DataChecks) -> None:
    """Add what is wrong with the data, and the scores without the rows whose text training saw."""
    document["checks"] = checks.findings
    if checks.leaked.any() and not checks.leaked.all():
        unseen = predictions.take(~checks.leaked)
        document["without_seen"] = {
            "rows": len(unseen), "metrics": unseen.metrics, "intervals": unseen.intervals
        }  # fmt: skip


def _fits_linear(config: Config) -> bool:
    """Return True if a linear model is trained: as a baseline, as a part of the model, or as both."""
    return config.report.baseline or config.model.blend is not None


def _fit_linear(config: Config, dataset: Dataset) -> LinearModel | None:
    """Return the linear model, if the config asks for one."""
    from textclf.training.baselines import fit_linear_model  # which imports scipy's sparse matrices

    return fit_linear_model(config, dataset) if _fits_linear(config) else None


def _further_parts(config: Config, dataset: Dataset, linear: LinearModel | None) -> dict[str, FittedPart]:
    """Return the parts that join the network by name: the linear model, if the config asks for it."""
    from textclf.training.baselines import linear_part

    return {"linear": linear_part(config, dataset, linear)} if linear and config.model.blend else {}
