"""Checkpoints: a training that is resumed from one gives the same network as if it had never stopped."""

import json
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.files import replacing

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Epoch:
    """The scores of an epoch, a row of history.csv."""

    epoch: int
    learning_rate: float
    loss: float
    val_loss: float
    val_accuracy: float


def higher_is_better(monitor: str) -> bool:
    """Return True if a higher score is better."""
    return monitor == "val_accuracy"


def better(epoch: Epoch, best: Epoch, monitor: str) -> bool:
    """Return True if an epoch has a better validation score than the best so far."""
    new, old = asdict(epoch)[monitor], asdict(best)[monitor]
    return bool(new > old if higher_is_better(monitor) else new < old)


@dataclass
class TrainingState:
    """The progress of a training between two steps, besides the variables of network and optimizer."""

    epoch: int = 1
    """The current epoch, counted from 1."""
    step: int = 0
    """Steps done in this epoch."""
    total: float = 0.0
    """Sum of the losses of these steps."""
    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    """The epoch with the best validation score so far; 0 before the first."""
    best_weights: list[Array] = field(default_factory=list)

    @property
    def best_epoch(self) -> Epoch | None:
        return self.history[self.best - 1] if self.best else None

    def end_epoch(self, epoch: Epoch) -> None:
        """Add a finished epoch and start the next."""
        self.history.append(epoch)
        self.epoch, self.step, self.total = epoch.epoch + 1, 0, 0.0


class Checkpoint:
    """A file with the state of a training and its variables, always written whole.

    The variables of TensorFlow include the weights, the moments and steps of the optimizer, and the random states of
    dropout.
    """

    def __init__(self, path: Path, *, minutes: float | None = None):
        self._path = path
        self._seconds = None if minutes is None else 60 * minutes
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Return True if it is time to save within an epoch."""
        return self._seconds is not None and time.monotonic() - self._saved >= self._seconds

    def save(self, state: TrainingState, variables: Sequence[Any]) -> None:
        # not by np.savez: where a write fails, that of NumPy 2.1 leaves the archive open
        with replacing(self._path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, array in _arrays(state, variables):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        self._saved = time.monotonic()

    def load(self, variables: Sequence[Any]) -> TrainingState:
        """Assign the saved values to the variables and return the state; without a file, return an initial state.

        Raises:
            UserError: the file is damaged, or of another network.
        """
        if not self._path.exists():
            return TrainingState()
        with self._path.open("rb") as file:  # np.load leaves a file open that it finds damaged
            return load_state(file, variables, name=str(self._path))

    def read_bytes(self) -> bytes:
        """Return the contents of the file; none without a file."""
        return self._path.read_bytes() if self._path.exists() else b""


def load_state(file: IO[bytes], variables: Sequence[Any], *, name: str) -> TrainingState:
    """Assign the saved values in a file to the variables and return the state.

    Args:
        name: of the file, for messages.

    Raises:
        UserError: the file is damaged, or of another network.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{name} is damaged: {error}. Begin anew with --overwrite.") from None
    saved = [arrays.get(f"variable_{i}") for i in range(len(variables))]
    shapes = [None if array is None else array.shape for array in saved]
    if shapes != [tuple(variable.shape) for variable in variables]:
        raise UserError(f"{name} is of another network. Begin anew with --overwrite.")
    for variable, array in zip(variables, saved, strict=True):
        variable.assign(array)
    values = json.loads(arrays["progress"].tobytes())
    values["history"] = [Epoch(**epoch) for epoch in values["history"]]
    best_weights = [arrays[f"best_{i}"] for i in range(sum(name.startswith("best_") for name in arrays))]
    return TrainingState(**values, best_weights=best_weights)


def _arrays(state: TrainingState, variables: Sequence[Any]) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a checkpoint by name, one at a time: those of an encoder take hundreds of MB."""
    progress = asdict(replace(state, best_weights=[]))
    del progress["best_weights"]
    yield "progress", np.frombuffer(json.dumps(progress).encode(), np.uint8)
    for index, variable in enumerate(variables):
        yield f"variable_{index}", variable.numpy()
    for index, weights in enumerate(state.best_weights):
        yield f"best_{index}", weights
