"""`textclf tune`: search for better settings of a config, and train a run with the best."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from textclf.config.load import dump_config, input_files, load_saved_config
from textclf.config.schema import Config, option_values
from textclf.errors import UserError
from textclf.io.contract import MetricsDocument
from textclf.io.files import read_json, write_json, write_text
from textclf.io.outputs import check_not_read
from textclf.io.run_folder import Run
from textclf.io.staging import is_empty, locked, staging_of
from textclf.io.tuning_contract import TuningDocument
from textclf.training.loop import TrainingCallback
from textclf.training.provenance import Fingerprint, check_unchanged, fingerprint
from textclf.training.train import train
from textclf.tuning.results import Tuning, best_trial, tuning_document, write_tuning_report
from textclf.tuning.search import MakeRunner, Search, TrialCallback, run_search
from textclf.tuning.search_space import Space, with_settings
from textclf.tuning.study import Study, load_optuna
from textclf.tuning.trials import TrialRunner

logger = logging.getLogger(__name__)


def tune(
    config: Config, space: Space, tuning: Tuning, *, trial_callback: TrialCallback, callback: TrainingCallback,
    trials: int | None, minutes: float | None = None, folds: int = 1, jobs: int = 1, resume: bool = False,
    overwrite: bool = False, sources: Sequence[Path] = (), runner: MakeRunner = TrialRunner,
) -> TuningDocument:  # fmt: skip
    """Search the space, train with the best settings, and write the folder; return the document of its tuning.json.

    The first trial is the config as it stands. Trials are scored on rows that they did not learn from; the test rows
    are used once, for the run with the best settings.

    Args:
        trial_callback: receives the progress of the search.
        callback: receives the progress of the training with the best settings.
        trials: number of complete and pruned trials at which the search ends, with those of earlier calls.
        minutes: minutes of search at which it ends, with those of earlier calls.
        folds: parts of the training rows, each of which is held out once; 1: the validation rows of the config.
        jobs: trials that run at the same time.
        resume: continue an earlier search, or extend it.
        overwrite: remove an earlier search first.
        sources: files that the command has read, such as the config's.
        runner: returns the object that trains the trials.

    Raises:
        UserError: Optuna is missing, the folder is taken, the settings or the data of the earlier search have changed,
            or the data cannot be learnt from.
    """
    load_optuna()
    if config.training.strategy not in ("auto", "one"):
        logger.warning("training.strategy: '%s' is for `train`; tune trains on one device", config.training.strategy)
    config = replace(config, training=replace(config.training, strategy="one"))
    sources = [*sources, *input_files(config)]
    if folds > 1 and config.data.validation:
        raise UserError(
            f"data.validation names rows to validate on, {config.data.validation}, and --folds {folds} takes them from "
            "the training rows. Leave out --folds, or --set data.validation=null."
        )
    now = _fingerprint(config, space, folds)
    search = Search(tuning.journal, config, space, folds, trials, runner=runner)
    with locked(Run(tuning.path)):
        _open_folder(tuning, now, sources, resume=resume, overwrite=overwrite)
        study = _search(search, tuning, minutes, trial_callback, jobs=jobs)
        done = study.trials()
        best = best_trial(done, monitor=config.training.monitor)
        best_config = with_settings(config, best.settings)
        write_text(tuning.best_config, dump_config(best_config))
        metrics = _train_best(best_config, tuning.best, callback, data=now.data)
        document = tuning_document(done, best, config, space, folds, importance=study.importance(), metrics=metrics)
        write_json(tuning.document, document)
        write_tuning_report(tuning)
    logger.info("wrote %s; open %s", tuning.path, tuning.report)
    return document


def _fingerprint(config: Config, space: Space, folds: int) -> Fingerprint:
    """Return the settings, space and data on which the search depends."""
    of_config = fingerprint(config)
    candidates_by_key = {f"tune.{key}": candidates.as_config() for key, candidates in space.items()}
    return replace(of_config, settings={**of_config.settings, **candidates_by_key, "--folds": folds})


def _open_folder(tuning: Tuning, now: Fingerprint, sources: Sequence[Path], *, resume: bool, overwrite: bool) -> None:
    """Make the folder of a new search, or check that the search in it can be continued."""
    for file in (*tuning.files, *tuning.best.files):
        check_not_read(file, sources, option="--run", kind="folder")
    if tuning.fingerprint.is_file() and not overwrite:
        if not resume:
            raise UserError(
                f"{tuning.path} exists. Go on with its search with --resume, replace it with --overwrite, or choose "
                "another folder with --run."
            )
        advice = "Go on with what it was begun with, or begin anew with --overwrite."
        check_unchanged(Fingerprint(**read_json(tuning.fingerprint)), now, f"{tuning.path} was begun", advice)
        return
    if not tuning.fingerprint.is_file():
        if tuning.path.exists() and not is_empty(tuning.path):
            raise UserError(f"{tuning.path} exists and is no tuning of textclf. Choose another folder with --run.")
        if resume:
            logger.info("nothing to resume; the search begins at the start")
    for file in tuning.files[1:]:
        file.unlink(missing_ok=True)
    write_json(tuning.fingerprint, asdict(now))


def _search(search: Search, tuning: Tuning, minutes: float | None, callback: TrialCallback, *, jobs: int) -> Study:
    """Search until the budget is used up or Ctrl-C is pressed, and return the study."""
    study = search.open_study(recover=True)
    if minutes is not None:
        seconds = sum(trial.seconds for trial in study.trials()) / jobs
        search = replace(search, deadline=time.time() + 60 * minutes - seconds)
    try:
        try:
            interrupted = run_search(search, study, callback, jobs=jobs)
        finally:
            callback.close()
        study = search.open_study(recover=True)
        trials = study.trials()
        if not any(trial.state == "complete" for trial in trials):
            if interrupted:
                raise KeyboardInterrupt
            raise UserError(
                f"training diverged in every trial ({len(trials)}). Set a smaller training.learning_rate, and smaller "
                "ones in tune.training.learning_rate."
            )
    except BaseException:
        if any(trial.state != "running" for trial in study.trials()):
            logger.warning("what was tried is kept in %s; go on with --resume", tuning.path)
        else:
            _remove_search(tuning)
        raise
    return study


def _remove_search(tuning: Tuning) -> None:
    """Remove a search without trials; where the user has files in its folder, keep the folder and what marks it."""
    for file in tuning.files[1:]:
        file.unlink(missing_ok=True)
    if [*tuning.path.iterdir()] == [tuning.fingerprint]:
        tuning.fingerprint.unlink()
        with contextlib.suppress(OSError):  # fails for a link to a folder, which stays
            tuning.path.rmdir()


def _train_best(config: Config, run: Run, callback: TrainingCallback, *, data: Mapping[str, str]) -> MetricsDocument:
    """Train the run, or continue its training, unless it is complete; return the document of its metrics.json.

    Args:
        data: sha256 of each file by its path.
    """
    staging = staging_of(run)
    complete = run.complete and not staging.checkpoint.exists()
    # after --overwrite the folder may hold the best run of an earlier search
    if complete and load_saved_config(run.config) == config and read_json(run.environment)["data"] == data:
        metrics = train(config, run, callback, resume=True)
    else:
        started = staging.checkpoint.exists() and read_json(staging.fingerprint)["settings"] == option_values(config)
        metrics = train(config, run, callback, resume=started, overwrite=not started)
    assert metrics is not None  # one device has no workers
    return metrics
