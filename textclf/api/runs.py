"""`load` and `train`: the classifier of a run, and a run from a config.

What they need is imported inside them, so that a program may import them at its start at no cost.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textclf.errors import UserError

if TYPE_CHECKING:
    from textclf.config.schema import Config
    from textclf.inference.classifier import Classifier
    from textclf.io.contract import Metrics, MetricsDocument
    from textclf.io.run_folder import Run
    from textclf.training.checkpoint import Epoch
    from textclf.training.loop import Step

logger = logging.getLogger(__name__)


def load(run: str | os.PathLike[str], *, threads: int | None = None) -> Classifier:
    """Return the classifier of a run or of a bare `model/` folder; it predicts and explains without TensorFlow.

    Args:
        threads: number of threads that compute batches; None: one for each processor that the process may use.

    Raises:
        UserError: there is none, it is damaged or not what textclf writes, or a newer textclf wrote it.
    """
    from textclf.inference.classifier import load_classifier
    from textclf.io.run_folder import Run
    from textclf.io.staging import recover

    return load_classifier(recover(Run(path_of(run))).path, threads=threads)


@dataclass(frozen=True)
class TrainedRun:
    """A run that was trained: its folder and its metrics, which a notebook shows as a table."""

    path: Path
    document: MetricsDocument = field(repr=False)
    """The content of metrics.json."""

    @property
    def metrics(self) -> Metrics:
        """Each metric by scikit-learn's name, on the test rows, or without a test file on the validation rows."""
        return self.document["metrics"]

    def load(self) -> Classifier:
        """Return the classifier of the run."""
        return load(self.path)

    def _repr_html_(self) -> str:
        """Return the table of metrics, and the summary of the report."""
        from textclf.io.notebook import html_line, html_table
        from textclf.report.page import metric_table, summary

        header, *rows = metric_table(self.document)
        data = self.document["data"]
        table = html_table(header, rows, caption=f"{self.path}: {data['rows']:,} rows ({data['part']})")
        return table + html_line(summary(self.document))


def train(
    config: str | os.PathLike[str] | Mapping[str, Any],
    run: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> TrainedRun:
    """Train on a config, evaluate, and write the run.

    Nothing is printed: epochs and findings are logged by the logger `textclf`. After a first Ctrl-C the run is finished
    with the best epoch so far.

    Args:
        config: path of a YAML file, or a dictionary of sections such as {"data": {"train": "reviews.csv"}}.
        run: folder to write; None: runs/NAME of the file.
        overwrite: replace a run that exists, once the new one is complete.
        resume: continue a training that was stopped; the run is the same as if it had never stopped.

    Raises:
        UserError: everything that is wrong with the config, one problem a line, or what `textclf train` refuses.
        TypeError, ValueError: a dictionary without `run`; both `overwrite` and `resume`.
    """
    from textclf.config.load import load_config, make_config
    from textclf.io.run_folder import Run, run_for_config

    if overwrite and resume:
        raise ValueError("resume goes on, overwrite begins anew; choose one")
    if isinstance(config, Mapping):
        if run is None:
            raise TypeError("a dictionary has no name for its run: train(config, run='runs/NAME')")
        checked, target = make_config(config), Run(path_of(run))
    else:
        path = path_of(config)
        checked, target = load_config(path), Run(path_of(run)) if run is not None else run_for_config(path)
    with argument_names():
        document = train_silently(checked, target, overwrite=overwrite, resume=resume)
    return TrainedRun(target.path, document)


def train_silently(
    config: Config, run: Run, *, overwrite: bool = False, resume: bool = False, keep_interrupted: bool = True
) -> MetricsDocument:
    """Train inside a program: log the epochs, keep the global random numbers, and free TensorFlow's memory.

    Args:
        overwrite, resume, keep_interrupted: as for `textclf.training.train.train`.

    Raises:
        UserError: what `train` raises, or the process is one of several workers, of which only one has a run to return.
    """
    from textclf.training.cluster import find_cluster
    from textclf.training.tensorflow_setup import forget_networks
    from textclf.training.train import train

    if find_cluster(config.training):
        raise UserError(
            "training.strategy: several workers train together by `textclf train` only. In a program, set it to one or "
            "mirrored."
        )
    with _random_states_kept():
        try:
            document = train(
                config, run, EpochLogger(), overwrite=overwrite, resume=resume, keep_interrupted=keep_interrupted
            )
            assert document is not None
            return document
        finally:
            if "keras" in sys.modules:
                forget_networks()


class EpochLogger:
    """A training callback that logs each epoch."""

    def on_step(self, step: Step, /) -> None: ...

    def on_epoch(self, epoch: Epoch, /) -> None:
        logger.info(
            "epoch %2d  loss %.4f  val_loss %.4f  val_accuracy %.4f",
            epoch.epoch, epoch.loss, epoch.val_loss, epoch.val_accuracy,
        )  # fmt: skip

    def close(self) -> None: ...


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    """Set Python's and NumPy's global random numbers back after the block, in which Keras seeds them."""
    import numpy as np

    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@contextlib.contextmanager
def argument_names() -> Iterator[None]:
    """Let messages name the arguments of a function in the place of the command's options."""
    try:
        yield
    except UserError as error:
        raise UserError(*map(_with_arguments, error.lines)) from None


def _with_arguments(line: str) -> str:
    for option, argument in ARGUMENTS.items():
        line = line.replace(option, argument)
    return line


ARGUMENTS = {"--overwrite": "overwrite=True", "--resume": "resume=True", "--run": "the argument run"}
"""The argument that stands for each option of the command in a message."""


def path_of(path: str | os.PathLike[str]) -> Path:
    """Return a path that may begin with `~`."""
    from textclf.io.streams import expand_home

    return Path(expand_home(os.fspath(path)))
