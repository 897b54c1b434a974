"""Progress of training and of tuning on stderr: live on a terminal, one line per epoch or trial in a log."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from textclf.cli.console import print_stderr
from textclf.io.sanitize import printable
from textclf.training.checkpoint import Epoch
from textclf.training.loop import Step, TrainingCallback
from textclf.tuning.results import best_trial, format_setting, short_names
from textclf.tuning.search import TrialCallback
from textclf.tuning.study import Trial


def epoch_line(epoch: Epoch, seconds: float) -> str:
    return (
        f"epoch {epoch.epoch:>2}  {seconds:5.1f} s  loss {epoch.loss:.4f}  "
        f"val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}"
    )


FIRST_STEPS = 2  # not measured for the forecast: in them TensorFlow compiles the step

MEASURED_SECONDS = 10.0  # after which the forecast is made

LONG = 60.0  # seconds that must be left for the forecast to be worth a line


class Forecast:
    """A forecast of how long a training takes, measured on its first steps."""

    def __init__(self) -> None:
        self._steps = 0  # done while it measures
        self._start = 0.0
        self._made = False

    def after(self, step: Step) -> str | None:
        """Return a line with the time that is left, once, and only if that is long."""
        self._steps += 1
        if self._steps <= FIRST_STEPS:
            self._start = time.perf_counter()
            return None
        seconds = time.perf_counter() - self._start
        if self._made or seconds < MEASURED_SECONDS:
            return None
        self._made = True
        left = (step.epochs - step.epoch + 1) * step.steps - step.step  # steps
        seconds_left = seconds / (self._steps - FIRST_STEPS) * left
        if seconds_left < LONG:
            return None
        minutes = round(seconds_left / 60)
        duration = f"{minutes} min" if minutes < 60 else f"{seconds_left / 3600:.1f} h"
        return f"training takes about {duration} more on this machine"


class LogCallback:
    """A callback that prints one line per epoch on stderr, and before them how long a long training takes."""

    def __init__(self) -> None:
        self._start: float | None = None  # of the epoch
        self._forecast = Forecast()

    def on_step(self, step: Step) -> None:
        # the first step compiles the network, so the first epoch is timed from its end
        self._start = self._start or time.perf_counter()
        line = self._forecast.after(step)
        if line:
            self._print(line)

    def on_epoch(self, epoch: Epoch) -> None:
        now = time.perf_counter()
        self._print(epoch_line(epoch, now - (self._start or now)))
        self._start = now

    def close(self) -> None:
        self._forecast = Forecast()  # of the next network, where there are several

    def _print(self, line: str) -> None:
        print_stderr(line)


class BarCallback(LogCallback):
    """A callback that shows a bar with the time left and the scores, and above it the line of each epoch."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__()
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20), TextColumn("{task.completed}/{task.total}"),
            TextColumn("loss {task.fields[loss]:.3f}  val {task.fields[score]}"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, epoch="", loss=0.0, score="-")

    def on_step(self, step: Step) -> None:
        self._start = self._start or time.perf_counter()  # no forecast: the bar shows the time left
        self._bar.start()
        done, total = (step.epoch - 1) * step.steps + step.step, step.epochs * step.steps
        self._bar.update(self._task, completed=done, total=total, epoch=f"{step.epoch}/{step.epochs}", loss=step.loss)

    def on_epoch(self, epoch: Epoch) -> None:
        self._bar.update(self._task, score=f"{epoch.val_accuracy:.4f}")
        super().on_epoch(epoch)

    def close(self) -> None:
        self._bar.stop()

    def _print(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def training_callback() -> Iterator[TrainingCallback]:
    """Yield a callback for the terminal or the log on stderr; restore the terminal afterwards."""
    callback = BarCallback() if sys.stderr.isatty() else LogCallback()
    try:
        yield callback
    finally:
        callback.close()


MAX_ROWS = 12  # of the table of trials


class LogTrialCallback:
    """A callback that prints one line on stderr for each trial that ends.

    Args:
        monitor: name of the score.
    """

    def __init__(self, monitor: str):
        self._monitor = monitor
        self._ended: set[int] | None = None

    def on_change(self, trials: Sequence[Trial]) -> None:
        ended = [trial for trial in trials if trial.state != "running"]
        for trial in ended:
            if self._ended is not None and trial.id not in self._ended:
                best, state = _best(trials, self._monitor), _state(trial, self._monitor)
                line = f"{trial.seconds:5.1f} s  {state}  {best}  {_settings(trial)}"
                print_stderr(f"trial {trial.number:>2}  {line}")
        self._ended = {trial.id for trial in ended}

    def close(self) -> None: ...


class LiveTrialCallback:
    """A callback that shows a table of the last trials on stderr, with the progress of running ones."""

    def __init__(self, monitor: str):
        from rich.console import Console
        from rich.live import Live

        self._monitor = monitor
        self._live = Live(console=Console(stderr=True), auto_refresh=False)

    def on_change(self, trials: Sequence[Trial]) -> None:
        self._live.start()
        self._live.update(self._table(trials), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _table(self, trials: Sequence[Trial]) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, title=_best(trials, self._monitor), title_justify="left", pad_edge=False)
        table.add_column("trial", justify="right")
        table.add_column("seconds", justify="right")
        table.add_column("score")
        table.add_column("settings")
        for trial in trials[-MAX_ROWS:]:
            cells = (str(trial.number), f"{trial.seconds:.0f}", _state(trial, self._monitor), _settings(trial))
            table.add_row(*(Text(printable(cell)) for cell in cells))
        return table


def _state(trial: Trial, monitor: str) -> str:
    if trial.state == "complete" and trial.scores:
        return f"{monitor} {trial.scores['score']:.4f}"
    if trial.state == "pruned":
        return "given up"
    if not trial.progress:
        return "begins"
    fold = f"fold {trial.progress.fold}, " if trial.progress.fold > 1 else ""
    return f"{fold}epoch {trial.progress.epoch}: {trial.progress.score:.4f}"


def _best(trials: Sequence[Trial], monitor: str) -> str:
    if not any(trial.state == "complete" for trial in trials):
        return "no best yet"
    best = best_trial(trials, monitor=monitor)
    return f"best {best.scores['score']:.4f} (trial {best.number})" if best.scores else ""


def _settings(trial: Trial) -> str:
    named = zip(short_names(trial.settings), trial.settings.values(), strict=True)
    return ", ".join(f"{name} {format_setting(value)}" for name, value in named)


@contextmanager
def trial_callback_for(monitor: str) -> Iterator[TrialCallback]:
    """Yield a callback for the terminal or the log on stderr; restore the terminal afterwards."""
    callback = LiveTrialCallback(monitor) if sys.stderr.isatty() else LogTrialCallback(monitor)
    try:
        yield callback
    finally:
        callback.close()
