"""A trial: a config is trained, and scored on rows that were held out."""

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from textclf.config.pretrained import pretrained_files
from textclf.config.schema import Config
from textclf.io.tuning_contract import TrialScores
from textclf.models.encoder.network import EncoderOptions
from textclf.training.checkpoint import Epoch
from textclf.training.dataset import Dataset, prepare
from textclf.training.fit import fit_network
from textclf.training.loop import Step
from textclf.training.splits import Fold
from textclf.training.tensorflow_setup import forget_networks, start_tensorflow

MAX_DATASETS = 4  # prepared datasets kept in memory; with more folds than that, one per fold


class TrialProgress(NamedTuple):
    """The last epoch of a running trial."""

    fold: int
    """Counted from 1, as the epoch is."""
    epoch: int
    score: float
    """Validation score of the epoch; at the end of one of several folds the mean of the folds' best scores."""
    step: int | None
    """Step for comparing trials: the epoch, or with several folds the number of folds done; None: not compared."""


Report = Callable[[TrialProgress], bool]
"""Receives the progress of a trial; False ends the trial."""


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a trial."""

    best_epochs: list[Epoch]
    """The epoch with the best validation score, by fold."""
    epochs: int
    """Number of epochs trained, over all folds."""
    end: Literal["complete", "stopped", "interrupted"] = "complete"
    """Stopped because a report returned False, or interrupted by Ctrl-C."""

    def scores(self, monitor: str, *, pruned: bool) -> TrialScores:
        """Return the means over the folds, and the standard deviation of the score that is monitored."""
        best_epochs = [epoch.epoch for epoch in self.best_epochs]
        if pruned:
            return {
                "score": None, "deviation": None, "loss": None, "accuracy": None,
                "epochs": self.epochs, "best_epochs": best_epochs,
            }  # fmt: skip
        scores = [asdict(epoch)[monitor] for epoch in self.best_epochs]
        return {
            "score": statistics.fmean(scores),
            "deviation": statistics.stdev(scores) if len(scores) > 1 else None,
            "loss": statistics.fmean(epoch.val_loss for epoch in self.best_epochs),
            "accuracy": statistics.fmean(epoch.val_accuracy for epoch in self.best_epochs),
            "epochs": self.epochs,
            "best_epochs": best_epochs,
        }


class Runner(Protocol):
    """An object that trains configs, one call each."""

    def run(self, config: Config, report: Report) -> TrialResult: ...


def trial_config(config: Config) -> Config:
    """Return the config of a trial: one network, and no test rows."""
    training = replace(config.training, seeds=1, ensemble=False)
    return replace(config, data=replace(config.data, test=None), training=training)


class TrialRunner:
    """Trains the trials of one process: TensorFlow is started once, and datasets are kept for further trials.

    Args:
        folds: validation parts that each trial is scored on; 1: the validation rows of the config.
        threads: threads of TensorFlow; None: its default.
    """

    def __init__(self, folds: int, threads: int | None = None):
        self._folds, self._threads = folds, threads
        self._device: str | None = None
        self._datasets: dict[str, Dataset] = {}

    def run(self, config: Config, report: Report) -> TrialResult:
        """Train on the config, once for each fold.

        Raises:
            UserError: the config cannot be trained on these rows.
        """
        monitor = config.training.monitor
        result = TrialResult([], 0)
        for fold in range(1, self._folds + 1):
            dataset = self._dataset(config, fold)
            device = self._start_tensorflow(config)
            callback = _EpochReporter(report, fold, monitor, compare=self._folds == 1)
            try:
                _, fit_result = fit_network(config, dataset, device, callback)
            except _TrialStopped:
                return replace(result, epochs=result.epochs + callback.epochs, end="stopped")
            epochs = len(fit_result.history)
            result = TrialResult([*result.best_epochs, fit_result.best], result.epochs + epochs)
            if fit_result.interrupted:
                return replace(result, end="interrupted")
            mean = statistics.fmean(asdict(epoch)[monitor] for epoch in result.best_epochs)
            if self._folds > 1 and not report(TrialProgress(fold, epochs, mean, step=fold)):
                return replace(result, end="stopped")
        return result

    def _dataset(self, config: Config, fold: int) -> Dataset:
        vectors = None if isinstance(config.model, EncoderOptions) else config.model.embedding_dim
        key = json.dumps([fold, asdict(config.text), [*map(str, pretrained_files(config))], vectors])
        if key not in self._datasets:
            dataset = prepare(config, fold=Fold(fold - 1, self._folds) if self._folds > 1 else None)
            self._datasets[key] = replace(dataset, splits=dataset.splits.without_keys(keep_words=False))
            if len(self._datasets) > max(MAX_DATASETS, self._folds):
                del self._datasets[next(iter(self._datasets))]
        return self._datasets[key]

    def _start_tensorflow(self, config: Config) -> str:
        """Drop the networks of earlier trials; return the device."""
        if self._device is None:
            self._device = start_tensorflow(device=config.training.device, threads=self._threads)
        forget_networks()
        return self._device


class _TrialStopped(Exception):  # noqa: N818 - no error
    """Raised if a report returns False."""


class _EpochReporter:
    """A training callback that reports each epoch."""

    def __init__(self, report: Report, fold: int, monitor: str, *, compare: bool):
        self._report, self._fold, self._monitor, self._compare = report, fold, monitor, compare
        self.epochs = 0

    def on_step(self, step: Step, /) -> Any: ...

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs = epoch.epoch
        score = asdict(epoch)[self._monitor]
        if not self._report(TrialProgress(self._fold, epoch.epoch, score, epoch.epoch if self._compare else None)):
            raise _TrialStopped

    def close(self) -> None: ...
