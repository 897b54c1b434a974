"""`textclf tune`: from a config to a better one, and to the run that it gives."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace

from textclf.config.load import dump_config, load_saved_config
from textclf.config.schema import Config, option_values
from textclf.errors import UserError
from textclf.io.contract import MetricsDocument, TuningDocument
from textclf.io.files import read_json, write_json, write_text
from textclf.io.run_folder import Run
from textclf.io.staging import claimed, stage_of
from textclf.training.loop import TrainingCallback
from textclf.training.provenance import Fingerprint, check_unchanged, fingerprint
from textclf.training.train import train
from textclf.tuning.results import Tuning, tuning_document, winner, write_tuning_report
from textclf.tuning.search import Budget, Search, TrialCallback
from textclf.tuning.search_space import Space, own_settings, with_settings
from textclf.tuning.study import Study, Trial, load_optuna
from textclf.tuning.trials import Bench, Hand, Worker

logger = logging.getLogger(__name__)


def tune(
    config: Config, space: Space, tuning: Tuning, budget: Budget, *, trial_callback: TrialCallback,
    callback: TrainingCallback, folds: int = 1, jobs: int = 1, resume: bool = False, overwrite: bool = False,
) -> TuningDocument:  # fmt: skip
    """Searches the space, trains with the best settings, and writes the folder; the document of its tuning.json.

    The first trial is the config as it stands. Only rows that a trial did not learn from are scored; the test rows are
    measured once, with the best settings.

    Args:
        trial_watch: is told how the search goes,
        watch: how the training with the best settings goes.
        folds: parts of the training rows of which each is held out once; 1: those that training holds out.
        jobs: trials at the same time.
        resume: go on with an earlier search, or with more of it.
        overwrite: remove an earlier search first.

    Raises:
        UserError: Optuna is missing, the folder is taken, what the search began with has changed, or the data cannot
            be learnt from.
    """
    load_optuna()
    if folds > 1 and config.data.validation:
        raise UserError(
            f"data.validation names rows to validate on, {config.data.validation}, and --folds {folds} takes them from "
            "the training rows. Leave out --folds, or --set data.validation=null."
        )
    now = _beginning(config, space, folds)
    with claimed(Run(tuning.path)):
        _open_folder(tuning, now, resume=resume, overwrite=overwrite)
        trials, importance = _search(config, space, tuning, budget, trial_callback, folds=folds, jobs=jobs)
        monitor = config.training.monitor
        best = winner(trials, monitor=monitor)
        best_config = with_settings(config, best.settings)
        write_text(tuning.best_config, dump_config(best_config))
        measured = _train_best(best_config, tuning.best, callback)
        document = tuning_document(
            trials, best, space, own_settings(config, space), monitor=monitor, folds=folds, importance=importance,
            measured=measured,
        )  # fmt: skip
        write_json(tuning.document, document)
        write_tuning_report(tuning, document)
    logger.info("wrote %s; open %s", tuning.path, tuning.report)
    return document


def _beginning(config: Config, space: Space, folds: int) -> Fingerprint:
    """All that decides what a trial scores, and which are tried."""
    begun = fingerprint(config)
    candidates = {f"tune.{key}": each.document() for key, each in space.items()}
    return replace(begun, settings={**begun.settings, **candidates, "--folds": folds})


def _open_folder(tuning: Tuning, now: Fingerprint, *, resume: bool, overwrite: bool) -> None:
    """A folder to search in: a new one, or one whose search goes on."""
    if overwrite and tuning.begun.is_file():
        shutil.rmtree(tuning.path)
    if tuning.begun.is_file():
        if not resume:
            raise UserError(
                f"{tuning.path} exists. Go on with its search with --resume, replace it with --overwrite, or choose "
                "another folder with --run."
            )
        advice = "Go on with what it was begun with, or begin anew with --overwrite."
        check_unchanged(Fingerprint(**read_json(tuning.begun)), now, f"{tuning.path} was begun", advice)
        return
    if tuning.path.exists() and (not tuning.path.is_dir() or any(tuning.path.iterdir())):
        raise UserError(f"{tuning.path} exists and is no tuning of textclf. Choose another folder with --run.")
    if resume:
        logger.info("nothing to resume; the search begins at the start")
    write_json(tuning.begun, asdict(now))


def _search(
    config: Config, space: Space, tuning: Tuning, budget: Budget, callback: TrialCallback, *, folds: int, jobs: int
) -> tuple[list[Trial], dict[str, float]]:
    """All trials, of earlier calls too, and how much each option matters."""
    own, training = own_settings(config, space), config.training
    opened = Study(tuning.study, space, own=own, monitor=training.monitor, folds=folds, seed=training.seed)
    with contextlib.closing(opened) as study, _kept(tuning, study):
        search = Search(study, config, budget, callback, before=study.seconds() / jobs)
        try:
            search.run(_hands(jobs, folds))
        finally:
            callback.close()
        trials = study.trials()
        if not any(trial.state == "complete" for trial in trials):
            if search.interrupted:
                raise KeyboardInterrupt
            raise UserError(
                f"training diverged in every trial ({len(trials)}). Set a smaller training.learning_rate, and smaller "
                "ones in tune.training.learning_rate."
            )
        return trials, study.importance()


def _hands(jobs: int, folds: int) -> list[Hand]:
    return [Bench(folds=folds)] if jobs == 1 else [Worker(folds=folds, of=jobs) for _ in range(jobs)]


@contextlib.contextmanager
def _kept(tuning: Tuning, study: Study) -> Iterator[None]:
    """Where the block fails, says that what was tried is kept; or removes the folder where nothing was."""
    try:
        yield
    except BaseException:
        if study.tried():
            logger.warning("what was tried is kept in %s; go on with --resume", tuning.path)
        else:
            study.close()
            shutil.rmtree(tuning.path, ignore_errors=True)
        raise


def _train_best(config: Config, run: Run, callback: TrainingCallback) -> MetricsDocument:
    """The document of the run's metrics.json; trains it, or goes on with it, unless it is there already."""
    stage = stage_of(run)
    if run.complete and load_saved_config(run.config) == config and not stage.checkpoint.exists():
        return train(config, run, callback, resume=True)
    begun = stage.checkpoint.exists() and read_json(stage.begun)["settings"] == option_values(config)
    return train(config, run, callback, resume=begun, overwrite=not begun)
