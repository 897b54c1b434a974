"""A trial: one config, trained to see what it scores on rows that it did not learn from; here or in another process."""

import contextlib
import json
import multiprocessing
import os
import signal
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple, Protocol

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.training.checkpoint import Epoch
from textclf.training.dataset import Dataset, Fold, prepare
from textclf.training.fit import fit_network
from textclf.training.loop import Step
from textclf.training.tensorflow_setup import forget_networks, start_tensorflow

MOST_MATERIALS = 4  # rows, prepared in so many ways, that are kept for further trials, or those of all folds


class News(NamedTuple):
    """How far a trial has come."""

    fold: int
    """Counted from 1, as the epoch is."""
    epoch: int
    score: float
    """Of this epoch; at the end of one of several folds the mean of the best so far."""
    step: int | None
    """Where trials can be compared: the epoch, or with several folds the fold that has ended; None: not here."""


Report = Callable[[News], bool]
"""Hears of each epoch and says whether to go on."""


@dataclass(frozen=True)
class Found:
    """What a trial found."""

    best: list[Epoch]
    """Of each fold the epoch with the best score."""
    epochs: int
    """Trained, of all folds."""
    end: Literal["complete", "given up", "interrupted"] = "complete"

    def mean(self, name: str) -> float:
        """Mean over the folds of what their best epochs have."""
        return statistics.fmean(self._values(name))

    def deviation(self, name: str) -> float | None:
        """Standard deviation over the folds; None of one."""
        return statistics.stdev(self._values(name)) if len(self.best) > 1 else None

    def _values(self, name: str) -> list[float]:
        return [asdict(epoch)[name] for epoch in self.best]


class Hand(Protocol):
    """Who tries out one config after the other."""

    def try_out(self, config: Config, report: Report) -> Found: ...

    def stop(self) -> None: ...


def trial_config(config: Config) -> Config:
    """The config of a trial: one network, and no test rows."""
    training = replace(config.training, seeds=1, ensemble=False)
    return replace(config, data=replace(config.data, test=None), training=training)


class Bench:
    """A hand in this process: TensorFlow is started once, and rows are prepared once for all trials that take the same.

    Args:
        folds: validation parts that each trial is scored on; 1: the one that training would hold out.
        threads: of TensorFlow; None: as many as it likes.
    """

    def __init__(self, *, folds: int, threads: int | None = None):
        self._folds, self._threads = folds, threads
        self._device: str | None = None
        self._materials: dict[str, Dataset] = {}

    def try_out(self, config: Config, report: Report) -> Found:
        """What training with the config finds.

        Raises:
            UserError: the rows cannot be learnt from with it.
        """
        monitor = config.training.monitor
        found = Found([], 0)
        for number in range(self._folds):
            dataset = self._material(config, number)
            device = self._start(config)
            callback = _Watch(report, number + 1, monitor, compare=self._folds == 1)
            try:
                _, fit_result = fit_network(config, dataset, device, callback)
            except _GivenUp:
                return Found(found.best, found.epochs + callback.epochs, "given up")
            found = Found([*found.best, fit_result.best], found.epochs + len(fit_result.history))
            if fit_result.interrupted:
                return replace(found, end="interrupted")
            ended = News(number + 1, len(fit_result.history), found.mean(monitor), number + 1)
            if self._folds > 1 and not report(ended):
                return replace(found, end="given up")
        return found

    def stop(self) -> None:
        """Nothing to do: Ctrl-C comes to this process itself."""

    def _material(self, config: Config, number: int) -> Dataset:
        """The rows as the config takes them, from memory where they were prepared."""
        key = json.dumps([number, asdict(config.text), config.model.pretrained, config.model.embedding_dim])
        if key not in self._materials:
            fold = Fold(number, self._folds) if self._folds > 1 else None
            dataset = prepare(config, fold=fold)
            self._materials[key] = replace(dataset, splits=dataset.splits.slim(words=False))
            if len(self._materials) > max(MOST_MATERIALS, self._folds):
                del self._materials[next(iter(self._materials))]
        return self._materials[key]

    def _start(self, config: Config) -> str:
        """TensorFlow without the networks of earlier trials; the device."""
        if self._device is None:
            self._device = start_tensorflow(device=config.training.device, threads=self._threads)
        forget_networks()
        return self._device


class _GivenUp(Exception):  # noqa: N818 - no error
    """Whoever heard of an epoch does not want another."""


class _Watch:
    """Passes on each epoch."""

    def __init__(self, report: Report, fold: int, monitor: str, *, compare: bool):
        self._report, self._fold, self._monitor, self._compare = report, fold, monitor, compare
        self.epochs = 0

    def on_step(self, _step: Step) -> None:
        """Too small a thing to tell."""

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs = epoch.epoch
        score = asdict(epoch)[self._monitor]
        if not self._report(News(self._fold, epoch.epoch, score, epoch.epoch if self._compare else None)):
            raise _GivenUp

    def close(self) -> None:
        """Nothing to put away."""


# In another process


class _Refused(NamedTuple):
    """The lines of a UserError."""

    lines: tuple[str, ...]


class Worker:
    """A hand in a process of its own, with its share of the cores."""

    def __init__(self, *, folds: int, of: int):
        context = multiprocessing.get_context("spawn")  # a fork of a process in which TensorFlow runs would hang
        self._connection, self._theirs = context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // of)
        self._process = context.Process(target=_work, args=(self._theirs, folds, threads), daemon=True)
        self._stopped = False

    def try_out(self, config: Config, report: Report) -> Found:
        """What training with the config finds.

        Raises:
            UserError: the rows cannot be learnt from with it, or the process died.
        """
        if self._process.pid is None:
            self._process.start()
            self._theirs.close()
        try:
            self._connection.send(config)
            while isinstance(answer := self._connection.recv(), News):
                self._connection.send(report(answer))
        except (EOFError, OSError):
            if self._stopped:
                return Found([], 0, "interrupted")
            self._process.join()
            raise UserError(
                f"the process of a trial ended with exit code {self._process.exitcode}; -9 is often too little memory. "
                "Try fewer --jobs with --resume."
            ) from None
        if isinstance(answer, _Refused):
            raise UserError(*answer.lines)
        return answer

    def stop(self) -> None:
        """Ends the process, and with it what it tries out."""
        self._stopped = True
        if self._process.pid is not None:
            self._process.terminate()
            self._process.join()


def _work(connection: Connection, folds: int, threads: int) -> None:
    """Tries out what comes through the connection, until nothing more can come."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began this process ends it
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else the first takes all memory of a GPU
    bench = Bench(folds=folds, threads=threads)

    def report(news: News) -> bool:
        connection.send(news)
        return bool(connection.recv())

    with contextlib.suppress(EOFError, ConnectionError):  # whoever began this process is gone
        while True:
            connection.send(_answer(bench, connection.recv(), report))


def _answer(bench: Bench, config: Config, report: Report) -> Any:
    try:
        return bench.try_out(config, report)
    except UserError as error:
        return _Refused(error.lines)
