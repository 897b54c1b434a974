"""How training shows itself: a bar on a terminal, one line an epoch in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from textclf.training import Epoch, Watch


def epoch_line(epoch: Epoch, seconds: float) -> str:
    return (
        f"epoch {epoch.epoch:>2}  {seconds:5.1f} s  loss {epoch.loss:.4f}  "
        f"val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}"
    )


class LogWatch:
    """One line an epoch on stderr."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Nothing: a log is no place for steps."""

    def epoch(self, epoch: Epoch) -> None:
        now = time.perf_counter()
        click.echo(epoch_line(epoch, now - self._begin), err=True)
        self._begin = now


class BarWatch(LogWatch):
    """A bar with the time left in the epoch and the loss so far, and the line of each epoch above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__()
        self._bar: Any = Progress(
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
            TextColumn("loss {task.fields[loss]:.4f}"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task: Any = None

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("", total=steps, epoch=epoch, loss=loss)
        self._bar.update(self._task, completed=step, epoch=epoch, loss=loss)

    def stop(self) -> None:
        self._bar.stop()

    def epoch(self, epoch: Epoch) -> None:
        self.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        super().epoch(epoch)


@contextmanager
def watching() -> Iterator[Watch]:
    """What fits where stderr goes; leaves the terminal as it was, however training ends."""
    if not sys.stderr.isatty():
        yield LogWatch()
        return
    bar = BarWatch()
    try:
        yield bar
    finally:
        bar.stop()
