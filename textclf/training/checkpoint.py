"""Where training stands, in one file: all that it takes to go on as if it had never stopped."""

import io
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.files import replacing

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Epoch:
    """A line of history.csv."""

    epoch: int
    learning_rate: float
    loss: float
    val_loss: float
    val_accuracy: float


def higher_is_better(monitor: str) -> bool:
    """Whether a greater validation score is a better one."""
    return monitor == "val_accuracy"


def better(epoch: Epoch, best: Epoch, monitor: str) -> bool:
    """Whether the epoch's validation score is better than that of the best so far."""
    new, old = asdict(epoch)[monitor], asdict(best)[monitor]
    return bool(new > old if higher_is_better(monitor) else new < old)


@dataclass
class TrainingState:
    """Where training stands between two steps, besides the variables of network and optimizer."""

    epoch: int = 1
    """The one under way."""
    step: int = 0
    """Steps of it that are done."""
    total: float = 0.0
    """Sum of their losses."""
    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    """The epoch with the best validation score so far; 0 before the first."""
    best_weights: list[Array] = field(default_factory=list)

    @property
    def best_epoch(self) -> Epoch | None:
        return self.history[self.best - 1] if self.best else None

    def end_epoch(self, epoch: Epoch) -> None:
        """Notes a finished epoch and turns to the next."""
        self.history.append(epoch)
        self.epoch, self.step, self.total = epoch.epoch + 1, 0, 0.0


class Checkpoint:
    """The file that `Progress` and variables are kept in, written whole or not at all.

    A variable is what TensorFlow calls so: the weights, what the optimizer knows of each, the learning rate's step and
    the states of dropout's random numbers among them.
    """

    def __init__(self, path: Path, *, minutes: float | None = None):
        self._path = path
        self._seconds = None if minutes is None else 60 * minutes
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether so many minutes have passed since the last."""
        return self._seconds is not None and time.monotonic() - self._saved >= self._seconds

    def save(self, progress: TrainingState, variables: Sequence[Any]) -> None:
        facts = {name: value for name, value in asdict(progress).items() if name != "best_weights"}
        arrays: dict[str, Any] = {"progress": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
        arrays |= {f"variable_{i}": variable.numpy() for i, variable in enumerate(variables)}
        arrays |= {f"best_{i}": weight for i, weight in enumerate(progress.best_weights)}
        held = io.BytesIO()  # into a file, NumPy 2.1 leaves the archive open where a write fails
        np.savez(held, **arrays)
        with replacing(self._path) as temporary:
            temporary.write_bytes(held.getbuffer())
        self._saved = time.monotonic()

    def load(self, variables: Sequence[Any]) -> TrainingState:
        """Where training stands, the variables set accordingly; the beginning, where there is no file.

        Raises:
            UserError: the file is damaged, or of another network.
        """
        if not self._path.exists():
            return TrainingState()
        arrays = self._arrays()
        values = [arrays.get(f"variable_{i}") for i in range(len(variables))]
        if [None if value is None else value.shape for value in values] != [tuple(each.shape) for each in variables]:
            raise UserError(f"{self._path} is of another network. Begin anew with --overwrite.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        facts = json.loads(arrays["progress"].tobytes())
        facts["history"] = [Epoch(**epoch) for epoch in facts["history"]]
        best = [arrays[f"best_{i}"] for i in range(sum(name.startswith("best_") for name in arrays))]
        return TrainingState(**facts, best_weights=best)

    def _arrays(self) -> dict[str, Array]:
        try:
            # np.load leaves a file open that it finds damaged
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{self._path} is damaged: {error}. Begin anew with --overwrite.") from None
