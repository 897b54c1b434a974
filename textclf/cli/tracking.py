"""`--log`: callbacks that log a training or a search in trackers."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from textclf.config.load import load_saved_config
from textclf.config.schema import Config, option_values
from textclf.io.files import read_json
from textclf.io.run_folder import Run, run_for_config
from textclf.io.staging import staging_of
from textclf.io.tuning_contract import TuningDocument
from textclf.tracking.tracker import EndedTrial, Results, Start, history, run_results, scores
from textclf.tracking.trackers import Trackers, check_installed
from textclf.training.checkpoint import Epoch
from textclf.training.loop import Step, TrainingCallback
from textclf.tuning.results import Tuning
from textclf.tuning.search import TrialCallback
from textclf.tuning.search_space import Space
from textclf.tuning.study import Trial

logger = logging.getLogger(__name__)


@contextmanager
def track_training(
    names: Sequence[str], path: Path, config: Config, run: Run, callback: TrainingCallback
) -> Iterator[TrainingCallback]:
    """Yield a callback that logs a training in the tools too, and add the results at the end.

    Args:
        names: of the tools; none: the callback is yielded as it is.
        path: of the config.

    Raises:
        UserError: the package of a tool is missing.
    """
    check_installed(names)
    if not names:
        yield callback
        return
    start = Start("train", run_for_config(path).path.name, run.path.name, option_values(config))
    tracked = TrackedTraining(names, run, callback, lambda: start)
    with _ended(tracked.trackers, tracked.add_results):
        yield tracked


@contextmanager
def track_search(
    names: Sequence[str], path: Path, config: Config, space: Space, tuning: Tuning,
    trial_callback: TrialCallback, callback: TrainingCallback,
) -> Iterator[tuple[TrialCallback, TrainingCallback]]:  # fmt: skip
    """Yield callbacks that log a search and the training with its best settings in the tools too.

    Args and Raises: as in `track_training`.
    """
    check_installed(names)
    if not names:
        yield trial_callback, callback
        return
    project = run_for_config(path).path.name
    params = option_values(config) | {f"tune.{key}": candidates.as_config() for key, candidates in space.items()}
    search = TrackedSearch(names, tuning, trial_callback, Start("search", project, tuning.path.name, params))

    def start_best() -> Start:
        best = option_values(load_saved_config(tuning.best_config))
        return Start("train", project, tuning.best.path.name, best)

    best = TrackedTraining(names, tuning.best, callback, start_best, search=search.trackers)
    with _ended(search.trackers, search.add_results), _ended(best.trackers, best.add_results):
        yield search, best


@contextmanager
def _ended(trackers: Trackers, add_results: Callable[[], None]) -> Iterator[None]:
    """End the trackers after the block, if they were opened in it; before that, add the results if nothing failed."""
    try:
        yield
        if trackers.opened:
            add_results()
    except BaseException as error:
        trackers.end("failed" if isinstance(error, Exception) else "killed")  # others are signals, such as Ctrl-C
        raise
    trackers.end("finished")


class TrackedTraining:
    """A callback that tells trackers of each epoch, and another callback of everything.

    Args:
        start: called once the training begins.
        search: the trackers of the search that the training belongs to.
    """

    def __init__(
        self, names: Sequence[str], run: Run, callback: TrainingCallback, start: Callable[[], Start], *,
        search: Trackers | None = None,
    ):  # fmt: skip
        self._run, self._callback, self._start, self._search = run, callback, start, search
        self._network = 0  # counted from 0
        self.trackers = Trackers(names, staging_of(run).tracking)

    def on_step(self, step: Step, /) -> None:
        self._open()
        self._callback.on_step(step)

    def on_epoch(self, epoch: Epoch, /) -> None:
        self._callback.on_epoch(epoch)
        self.trackers.epoch(epoch, self._prefix(self._network))

    def close(self) -> None:
        """Receive the end of a network's training."""
        self._open()  # all epochs of a training that goes on may be done
        self._network += 1
        self._callback.close()

    def add_results(self) -> None:
        epochs = [(self._prefix(seed - self._seed), epoch) for seed, epoch in history(self._run)]
        self.trackers.results(run_results(self._run), epochs)

    def _open(self) -> None:
        if not self.trackers.opened:
            start = self._start()
            self._seed, self._networks = start.params["training.seed"], start.params["training.seeds"]
            self.trackers.open(start, search=self._search)

    def _prefix(self, network: int) -> str:
        """Return what the names of a network's scores begin with, where there are several."""
        return f"seed_{self._seed + network}/" if self._networks > 1 else ""


class TrackedSearch:
    """A callback that tells trackers of each trial that has ended, and another callback of everything."""

    def __init__(self, names: Sequence[str], tuning: Tuning, callback: TrialCallback, start: Start):
        self._tuning, self._callback, self._start = tuning, callback, start
        self._ended: list[Trial] = []
        self.trackers = Trackers(names, tuning.tracking)

    def on_change(self, trials: Sequence[Trial], /) -> None:
        self._callback.on_change(trials)
        if not self.trackers.opened:
            self.trackers.open(self._start)
        self._ended = [trial for trial in trials if trial.state != "running"]
        self._tell_trials()

    def close(self) -> None:
        self._callback.close()

    def _tell_trials(self) -> None:
        for trial in self._ended:
            self.trackers.trial(self._ended_trial(trial), trial.id)

    def add_results(self) -> None:
        self.trackers.retry()
        self._tell_trials()
        if not self._tuning.document.is_file():  # another machine trains with the best settings
            return
        document: TuningDocument = read_json(self._tuning.document)
        metrics = scores(document["measured"], document["measured"]["data"]["part"])
        metrics["best_trial"] = document["best"]["trial"]
        files = [self._tuning.document, self._tuning.best_config]
        self.trackers.results(Results(metrics, files, self._tuning.report, None))

    def _ended_trial(self, trial: Trial) -> EndedTrial:
        monitor = self._start.params["training.monitor"]
        best = {}
        if trial.scores and trial.scores["loss"] is not None and trial.scores["accuracy"] is not None:
            best = {"val_loss": trial.scores["loss"], "val_accuracy": trial.scores["accuracy"]}
        return EndedTrial(
            trial.number, trial.settings, trial.state == "complete", best, monitor, trial.steps, trial.seconds
        )
