"""Progress of training and of tuning on stderr: live on a terminal, a line an epoch or a trial in a log."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from textclf.cli.console import print_stderr
from textclf.io.sanitize import printable
from textclf.training.checkpoint import Epoch
from textclf.training.loop import Step, TrainingCallback
from textclf.tuning.results import short_names, shown, winner
from textclf.tuning.search import TrialCallback
from textclf.tuning.study import Trial
from textclf.tuning.trials import News


def epoch_line(epoch: Epoch, seconds: float) -> str:
    return (
        f"epoch {epoch.epoch:>2}  {seconds:5.1f} s  loss {epoch.loss:.4f}  "
        f"val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}"
    )


class LogCallback:
    """A callback that prints a line an epoch on stderr."""

    def __init__(self) -> None:
        self._start: float | None = None  # of the epoch

    def on_step(self, _step: Step) -> None:
        # the first step compiles the network, so the first epoch is timed from its end
        self._start = self._start or time.perf_counter()

    def on_epoch(self, epoch: Epoch) -> None:
        now = time.perf_counter()
        self._print(epoch_line(epoch, now - (self._start or now)))
        self._start = now

    def close(self) -> None:
        pass

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
        super().on_step(step)
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
    """Give a callback that suits stderr, and restore the terminal however training ends."""
    callback = BarCallback() if sys.stderr.isatty() else LogCallback()
    try:
        yield callback
    finally:
        callback.close()


MOST_SHOWN = 12  # trials that the table shows


def settings_line(trial: Trial) -> str:
    """All settings of a trial, in short."""
    named = zip(short_names(trial.settings), trial.settings.values(), strict=True)
    return ", ".join(f"{name} {shown(value)}" for name, value in named)


class LogTrialCallback:
    """One line a trial on stderr.

    Args:
        monitor: the score that is shown.
    """

    def __init__(self, monitor: str):
        self._monitor = monitor
        self._begun: dict[int, float] = {}

    def begin(self, trial: Trial) -> None:
        """Notes the time."""
        self._begun[trial.key] = time.perf_counter()

    def news(self, trial: Trial, news: News) -> None:
        """A log is no place for each epoch."""

    def end(self, trials: Sequence[Trial], trial: Trial) -> None:
        ended = _ended(trials, trial)
        if ended is not None:
            seconds = time.perf_counter() - self._begun.pop(trial.key)
            state = self.score(ended)
            print_stderr(
                f"trial {ended.number:>2}  {seconds:5.1f} s  {state}  {self.best(trials)}  {settings_line(ended)}"
            )

    def close(self) -> None:
        """Nothing to put away."""

    def score(self, trial: Trial) -> str:
        """What a trial that has ended scored."""
        if trial.found is None or trial.state != "complete":
            return "given up"
        return f"{self._monitor} {trial.found['score']:.4f}"

    def best(self, trials: Sequence[Trial]) -> str:
        if not any(trial.state == "complete" for trial in trials):
            return "no best yet"
        best = winner(trials, monitor=self._monitor)
        return f"best {best.found['score']:.4f} (trial {best.number})" if best.found else ""


class LiveTrialCallback(LogTrialCallback):
    """A table of the last trials on stderr, with how far those under way have come."""

    def __init__(self, monitor: str):
        from rich.console import Console
        from rich.live import Live

        super().__init__(monitor)
        self._live = Live(console=Console(stderr=True), auto_refresh=False)
        self._trials: Sequence[Trial] = ()
        self._running: dict[int, tuple[Trial, str]] = {}
        self._seconds: dict[int, float] = {}

    def begin(self, trial: Trial) -> None:
        super().begin(trial)
        self._live.start()
        self._running[trial.key] = trial, "begins"
        self._draw()

    def news(self, trial: Trial, news: News) -> None:
        fold = f"fold {news.fold}, " if news.fold > 1 else ""
        self._running[trial.key] = trial, f"{fold}epoch {news.epoch}: {news.score:.4f}"
        self._draw()

    def end(self, trials: Sequence[Trial], trial: Trial) -> None:
        self._seconds[trial.key] = time.perf_counter() - self._begun.pop(trial.key)
        del self._running[trial.key]
        self._trials = trials
        self._draw()

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> None:
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, title=self.best(self._trials), title_justify="left", pad_edge=False)
        table.add_column("trial", justify="right")
        table.add_column("seconds", justify="right")
        table.add_column("score")
        table.add_column("settings")
        ended = [trial for trial in self._trials if trial.state != "running"]
        rows = [(trial, self.score(trial)) for trial in ended] + list(self._running.values())
        for trial, state in rows[-MOST_SHOWN:]:
            seconds = self._seconds.get(
                trial.key, time.perf_counter() - self._begun.get(trial.key, time.perf_counter())
            )
            cells = (str(trial.number), f"{seconds:.0f}" if seconds else "", state, settings_line(trial))
            table.add_row(*(Text(printable(cell)) for cell in cells))
        return table


def _ended(trials: Sequence[Trial], trial: Trial) -> Trial | None:
    """The trial as it ended; None where it was dropped."""
    return next((each for each in trials if each.key == trial.key and each.state != "running"), None)


@contextmanager
def trial_callback_for(monitor: str) -> Iterator[TrialCallback]:
    """What fits where stderr goes; leaves the terminal as it was, however the search ends."""
    callback = LiveTrialCallback(monitor) if sys.stderr.isatty() else LogTrialCallback(monitor)
    try:
        yield callback
    finally:
        callback.close()
