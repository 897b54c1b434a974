"""How training shows itself: a bar on a terminal, one line an epoch in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from textclf.checkpoint import Epoch
from textclf.console import say
from textclf.training import Step, Watch


def epoch_line(epoch: Epoch, seconds: float) -> str:
    return (
        f"epoch {epoch.epoch:>2}  {seconds:5.1f} s  loss {epoch.loss:.4f}  "
        f"val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}"
    )


class LogWatch:
    """One line an epoch on stderr."""

    def __init__(self) -> None:
        self._begin: float | None = None

    def step(self, _step: Step) -> None:
        """Notes when the first step is done; a log is no place for each."""
        self._begin = self._begin or time.perf_counter()

    def epoch(self, epoch: Epoch) -> None:
        now = time.perf_counter()
        self._say(epoch_line(epoch, now - (self._begin or now)))
        self._begin = now

    def end(self) -> None:
        """Nothing to put away."""

    def _say(self, line: str) -> None:
        say(line)


class BarWatch(LogWatch):
    """A bar with the time left, the loss so far and the last validation score, and the line of each epoch above it."""

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

    def step(self, step: Step) -> None:
        super().step(step)
        self._bar.start()
        done, total = (step.epoch - 1) * step.steps + step.step, step.epochs * step.steps
        self._bar.update(self._task, completed=done, total=total, epoch=f"{step.epoch}/{step.epochs}", loss=step.loss)

    def epoch(self, epoch: Epoch) -> None:
        self._bar.update(self._task, score=f"{epoch.val_accuracy:.4f}")
        super().epoch(epoch)

    def end(self) -> None:
        self._bar.stop()

    def _say(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def watching() -> Iterator[Watch]:
    """What fits where stderr goes; leaves the terminal as it was, however training ends."""
    watch = BarWatch() if sys.stderr.isatty() else LogWatch()
    try:
        yield watch
    finally:
        watch.end()
