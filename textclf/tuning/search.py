"""The search: trials one after the other in this process, or side by side in processes that share the journal."""

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Protocol

from textclf.config.schema import Config
from textclf.errors import UserError, out_of_memory, says_out_of_memory
from textclf.io.processors import usable_processors
from textclf.training.loop import catch_interrupt
from textclf.tuning.search_space import Space, with_settings
from textclf.tuning.storage import Storage
from textclf.tuning.study import Study, Trial
from textclf.tuning.trials import Runner, TrialProgress, TrialResult, TrialRunner, trial_config

POLL_SECONDS = 0.2

CRASH = "the process of a trial ended with exit code {}; -9 is often too little memory. Try fewer --jobs with --resume."


class TrialCallback(Protocol):
    """Receives the progress of a search."""

    def on_change(self, trials: Sequence[Trial], /) -> None:
        """Receive all trials, whenever one of them starts, ends an epoch, or ends; and at the start."""

    def close(self) -> None: ...


MakeRunner = Callable[[int, int | None], Runner]
"""Returns a runner, given the folds and the threads that it may use."""


@dataclass(frozen=True)
class Search:
    """The options that all processes of a search share."""

    storage: Storage
    config: Config
    space: Space
    folds: int = 1
    trials: int | None = None
    """Number of complete and pruned trials at which the search ends."""
    deadline: float = math.inf
    """Time, in seconds since the epoch, at which the search ends."""
    runner: MakeRunner = TrialRunner
    machine: str = ""
    """Name of this machine, if the storage is shared."""

    def open_study(self, *, recover: bool = False) -> Study:
        return Study(
            self.storage, self.config, self.space, folds=self.folds, recover=recover, machine=self.machine
        )  # fmt: skip

    def late(self) -> bool:
        return time.time() >= self.deadline

    def done(self, trials: Sequence[Trial]) -> bool:
        """Return True if no further trial is to start."""
        enough = self.trials is not None and len(trials) >= self.trials
        return enough or (self.late() and any(trial.state != "running" for trial in trials))


def run_search(search: Search, study: Study, callback: TrialCallback, *, jobs: int) -> bool:
    """Run trials until the budget is used up; return True if Ctrl-C ended the search before that.

    Raises:
        UserError: a config cannot be trained on, or the process of a trial died.
    """

    def show() -> None:
        callback.on_change(study.trials())

    show()
    with catch_interrupt() as pressed:
        if jobs > 1:
            _run_processes(search, study, show, pressed, jobs)
            return bool(pressed)
        runner = search.runner(search.folds, None)
        trials = _TrialLoop(search, study, runner, stop=lambda: bool(pressed), notify=show)
        return trials.run() or bool(pressed)


class _TrialLoop:
    """The loop that runs one trial after the other.

    Args:
        stop: returns True if no further trial is to start and the running one is to end.
        notify: called whenever the study has changed.
        turn: lock held by the process that starts a trial.
    """

    def __init__(
        self, search: Search, study: Study, runner: Runner, *, stop: Callable[[], bool],
        notify: Callable[[], None] = lambda: None, turn: contextlib.AbstractContextManager[Any] | None = None,
    ):  # fmt: skip
        self._search, self._study, self._runner = search, study, runner
        self._stop, self._notify, self._turn = stop, notify, turn or contextlib.nullcontext()
        self._config = trial_config(search.config)
        self._pruned = False

    def run(self) -> bool:
        """Run trials until the budget is used up; return True if Ctrl-C ended a training."""
        while trial := self._begin():
            self._notify()
            self._pruned = False
            result = self._runner.run(with_settings(self._config, trial.settings), self._report)
            self._end(result)
            self._notify()
            if result.end == "interrupted":
                return True
        return False

    def _begin(self) -> Trial | None:
        with self._turn, self._study.turn():
            done = self._search.done(self._study.trials())
            return None if done or self._stop() else self._study.ask()

    def _report(self, progress: TrialProgress) -> bool:
        """Keep the progress of the trial; return True if the trial is to go on."""
        if self._stop():
            return False
        self._pruned = not math.isfinite(progress.score) or self._study.report(progress)
        self._notify()
        late = self._search.late() and any(trial.state == "complete" for trial in self._study.trials())
        return not (self._pruned or late)

    def _end(self, result: TrialResult) -> None:
        if self._pruned or result.end == "complete":
            self._study.tell(result, pruned=self._pruned)
        else:  # without all of its epochs its score could not be compared
            self._study.fail()


def _run_processes(search: Search, study: Study, show: Callable[[], None], pressed: Sequence[int], jobs: int) -> None:
    """Run trials in processes until they have used up the budget, one of them fails, or Ctrl-C is pressed."""
    context = multiprocessing.get_context("spawn")  # a fork of a process in which TensorFlow runs would hang
    threads, turn = max(1, usable_processors() // jobs), context.Lock()
    processes = [context.Process(target=run_job, args=(search, threads, turn), daemon=True) for _ in range(jobs)]
    study.set_error()
    try:
        for process in processes:
            process.start()
        while True:
            running = [process.sentinel for process in processes if process.is_alive()]
            show()
            if failed := [process.exitcode for process in processes if process.exitcode]:
                raise UserError(*study.error() or [CRASH.format(failed[0])])
            if not running or pressed:
                return
            wait(running, POLL_SECONDS)
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()


def run_job(search: Search, threads: int, turn: contextlib.AbstractContextManager[Any]) -> None:
    """Run trials in a process started for it, until the budget is used up or the process that started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else the first process takes all memory of a GPU
    parent, study = multiprocessing.parent_process(), search.open_study()
    assert parent is not None
    runner = search.runner(search.folds, threads)
    try:
        _TrialLoop(search, study, runner, stop=lambda: not parent.is_alive(), turn=turn).run()
    except UserError as error:
        study.set_error(*error.lines)
        sys.exit(1)
    except Exception as error:
        if not says_out_of_memory(error):
            raise
        study.set_error(*out_of_memory(error).lines, "Fewer --jobs need less memory too; go on with --resume.")
        sys.exit(1)
