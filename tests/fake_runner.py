"""Runners for a search that train nothing: scores that follow from the settings alone."""

import math
import os
import signal
import time

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.training.checkpoint import Epoch
from textclf.tuning.trials import Report, TrialProgress, TrialResult

EPOCHS = 4


class FakeRunner:
    """Scores are best for a learning rate near 0.03, few hidden units and little dropout, and fall with each epoch."""

    def __init__(self, folds: int = 1, threads: int | None = None):
        self.folds, self.threads = folds, threads
        self.trials = 0

    def run(self, config: Config, report: Report) -> TrialResult:
        self.trials += 1
        epochs = []
        for epoch in range(1, EPOCHS + 1):
            loss = self.loss(config) + 0.5 / epoch
            epochs.append(Epoch(epoch, config.training.learning_rate, loss, loss, 1 / (1 + loss)))
            if not report(TrialProgress(1, epoch, loss, epoch)):
                return TrialResult([], epoch, "stopped")
        return TrialResult(epochs[-1:], EPOCHS)

    def loss(self, config: Config) -> float:
        rate = abs(math.log10(config.training.learning_rate) + 1.5)
        return rate + sum(config.model.hidden) / 100 + config.model.dropout / 10


class DivergingRunner(FakeRunner):
    def loss(self, _config: Config) -> float:
        return math.nan


class RefusingRunner(FakeRunner):
    """A runner that refuses the data in its second trial."""

    def loss(self, config: Config) -> float:
        if self.trials == 2:
            raise UserError("data/train.csv: no words.", "Add some.")
        return super().loss(config)


class FullRunner(FakeRunner):
    """A runner that lacks memory in its second trial."""

    def loss(self, config: Config) -> float:
        if self.trials == 2:
            raise MemoryError("Unable to allocate 7.45 GiB")
        return super().loss(config)


class DyingRunner(FakeRunner):
    """A runner whose process is killed in its third trial."""

    def loss(self, config: Config) -> float:
        if self.trials == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(config)


class SlowRunner(FakeRunner):
    """A runner whose second trial goes on until it is stopped."""

    def loss(self, config: Config) -> float:
        if self.trials == 2:
            time.sleep(60)
        return super().loss(config)
