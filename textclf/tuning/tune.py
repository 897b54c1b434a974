"""`textclf tune`: search for better settings of a config, and train a run with the best."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

from textclf.config.load import dump_config, input_files, load_saved_config
from textclf.config.schema import Config, option_values
from textclf.errors import UserError
from textclf.io.contract import MetricsDocument
from textclf.io.files import read_json, write_json, write_text
from textclf.io.outputs import check_not_read
from textclf.io.run_folder import Run, remove_run
from textclf.io.staging import is_empty, locked, staging_of
from textclf.io.tuning_contract import TuningDocument
from textclf.training.loop import TrainingCallback
from textclf.training.provenance import Fingerprint, check_unchanged, fingerprint
from textclf.training.train import train
from textclf.tuning.machines import Machine
from textclf.tuning.results import Tuning, best_trial, tuning_document, write_tuning_report
from textclf.tuning.search import MakeRunner, Search, TrialCallback, run_search
from textclf.tuning.search_space import Space, with_settings
from textclf.tuning.storage import Storage, shared_storage
from textclf.tuning.study import Study, Trial, load_optuna
from textclf.tuning.trials import TrialRunner

logger = logging.getLogger(__name__)


def tune(
    config: Config, space: Space, tuning: Tuning, *, trial_callback: TrialCallback, callback: TrainingCallback,
    trials: int | None, minutes: float | None = None, folds: int = 1, jobs: int = 1, resume: bool = False,
    overwrite: bool = False, storage: str | None = None, sources: Sequence[Path] = (),
    runner: MakeRunner = TrialRunner,
) -> TuningDocument | None:  # fmt: skip
    """Search the space, train with the best settings, and write the folder; return the document of its tuning.json.

    None if other machines share the search, and one of them is still at work and will do the rest.

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
        storage: URL of a database or path of a journal that machines share; None: a journal in the folder.
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
    if storage is not None:
        shared = shared_storage(storage, search=tuning.path.resolve().name)
        search = Search(shared, config, space, folds, trials, runner=runner, machine=uuid4().hex)
        return _tune_shared(search, tuning, now, trial_callback, callback, minutes=minutes, jobs=jobs, sources=sources)
    search = Search(Storage(str(tuning.journal)), config, space, folds, trials, runner=runner)
    with locked(Run(tuning.path)):
        _open_folder(tuning, now, sources, resume=resume, overwrite=overwrite)
        study = _search(search, tuning, minutes, trial_callback, jobs=jobs)
        done = study.trials()
        best = best_trial(done, monitor=config.training.monitor)
        best_config = with_settings(config, best.settings)
        write_text(tuning.best_config, dump_config(best_config))
        metrics = _train_best(best_config, tuning.best, callback, data=now.data)
        document = _write_document(search, tuning, study, done, best, metrics)
    logger.info("wrote %s; open %s", tuning.path, tuning.report)
    return document


def _write_document(
    search: Search, tuning: Tuning, study: Study, done: Sequence[Trial], best: Trial, metrics: MetricsDocument
) -> TuningDocument:
    """Write tuning.json and the report."""
    importance = study.importance()
    document = tuning_document(
        done, best, search.config, search.space, search.folds, importance=importance, metrics=metrics
    )  # fmt: skip
    write_json(tuning.document, document)
    write_tuning_report(tuning)
    return document


def _tune_shared(
    search: Search, tuning: Tuning, now: Fingerprint, trial_callback: TrialCallback, callback: TrainingCallback, *,
    minutes: float | None, jobs: int, sources: Sequence[Path],
) -> TuningDocument | None:  # fmt: skip
    """Take part in a search that machines share; whichever is the last at work trains with the best settings."""
    study = search.open_study()
    with study.turn(), locked(Run(tuning.path)):
        _join(study, search.storage, tuning, now, sources)
    logger.info("%s in %s: %d trials so far", search.storage.search, search.storage.place, len(study.trials()))
    if minutes is not None:
        search = replace(search, deadline=time.time() + 60 * minutes)
    with Machine(study, search.machine, str(tuning.best.path.resolve())) as machine:
        hosts = _search_shared(search, study, machine, trial_callback, jobs=jobs)
        while not hosts:
            done = [trial for trial in study.trials() if trial.state != "running"]
            best = best_trial(done, monitor=search.config.training.monitor)
            best_config = with_settings(search.config, best.settings)
            if machine.claim(best):
                with locked(Run(tuning.path)):
                    write_text(tuning.best_config, dump_config(best_config))  # trackers log what is in it
                    metrics = _train_best(best_config, tuning.best, callback, data=now.data)
                machine.publish(best, metrics)
            if found := machine.metrics(best):
                return _write_shared(search, tuning, study, done, best, found, machine.place(best))
            hosts = machine.wait()
    logger.info(
        "no trial is left to begin; at work: %s. The machine that is done last trains with the best settings; then the "
        "same command writes here what was found.", ", ".join(hosts),
    )  # fmt: skip
    return None


def _join(study: Study, storage: Storage, tuning: Tuning, now: Fingerprint, sources: Sequence[Path]) -> None:
    """Make the folder of this machine; begin the search in the storage, or check that it is of the same config."""
    for file in (*tuning.files, *tuning.best.files):
        check_not_read(file, sources, option="--run", kind="folder")
    here = replace(now, settings={**now.settings, "--storage": storage.place})
    if tuning.journal.exists():
        raise UserError(f"{tuning.path} holds a search of this machine alone. Choose another folder with --run.")
    if tuning.fingerprint.is_file():
        advice = "Go on with what it was begun with, or choose another folder with --run."
        check_unchanged(Fingerprint(**read_json(tuning.fingerprint)), here, f"{tuning.path} was begun", advice)
    elif tuning.path.exists() and not is_empty(tuning.path):
        raise UserError(f"{tuning.path} exists and is no tuning of textclf. Choose another folder with --run.")
    begun = study.attributes().get("begun")
    if begun is None:
        study.set_attribute("begun", asdict(now))
    else:
        advice = "Go on with what it was begun with, or give this search a name of its own with --run runs/NAME."
        check_unchanged(Fingerprint(**begun), now, f"{storage.search} in {storage.place} was begun", advice)
    write_json(tuning.fingerprint, asdict(here))


def _search_shared(search: Search, study: Study, machine: Machine, callback: TrialCallback, *, jobs: int) -> list[str]:
    """Search until no trial is left to begin; return the hosts of other machines that are still at work."""
    try:
        while True:
            if run_search(search, study, callback, jobs=jobs):
                raise KeyboardInterrupt
            hosts = machine.wait()
            trials = study.trials()
            if hosts:
                return hosts
            if search.done(trials):  # else a trial was lost with its machine
                break
    except BaseException as error:
        if not isinstance(error, Exception):  # Ctrl-C, or the signal to end that cli raises
            logger.warning("what was tried is kept in %s; the same command goes on", search.storage.place)
        raise
    finally:
        callback.close()
    if not any(trial.state == "complete" for trial in trials):
        raise _diverged(len(trials))
    return []


def _write_shared(
    search: Search,
    tuning: Tuning,
    study: Study,
    done: Sequence[Trial],
    best: Trial,
    metrics: MetricsDocument,
    place: str,
) -> TuningDocument:
    """Write what the machines found into the folder of this one."""
    best_config = with_settings(search.config, best.settings)
    with locked(Run(tuning.path)):
        if tuning.best.complete and load_saved_config(tuning.best.config) != best_config:
            remove_run(tuning.best)  # better settings were found since, and trained with on another machine
        write_text(tuning.best_config, dump_config(best_config))
        document = _write_document(search, tuning, study, done, best, metrics)
    logger.info("wrote %s; open %s; the best run is %s", tuning.path, tuning.report, place)
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
            raise _diverged(len(trials))
    except BaseException:
        if any(trial.state != "running" for trial in study.trials()):
            logger.warning("what was tried is kept in %s; go on with --resume", tuning.path)
        else:
            _remove_search(tuning)
        raise
    return study


def _diverged(trials: int) -> UserError:
    return UserError(
        f"training diverged in every trial ({trials}). Set a smaller training.learning_rate, and smaller ones in "
        "tune.training.learning_rate."
    )


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
