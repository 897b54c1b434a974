"""The trackers of a command: opened together, told of everything, and ended in any case."""

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from textclf.errors import UserError
from textclf.io.files import read_json, write_json
from textclf.tracking.mlflow_log import mlflow_faults, open_mlflow
from textclf.tracking.tensorboard_log import open_tensorboard, tensorboard_faults
from textclf.tracking.tracker import EndedTrial, Results, Start, State, Tracker
from textclf.tracking.wandb_log import open_wandb, wandb_faults
from textclf.training.checkpoint import Epoch

logger = logging.getLogger(__name__)

LATER = "It is told the rest at the end"


class Tool(NamedTuple):
    """A tracking tool."""

    package: str
    """With its lowest version, as in the extra of its name in pyproject.toml."""
    open: Callable[[Start], Tracker]
    faults: Callable[[], tuple[type[Exception], ...]]
    """Exceptions of the tool, such as that its server cannot be reached."""


TOOLS = {
    "tensorboard": Tool("tensorboard>=2.21", open_tensorboard, tensorboard_faults),
    "mlflow": Tool("mlflow>=3.10", open_mlflow, mlflow_faults),
    "wandb": Tool("wandb>=0.26", open_wandb, wandb_faults),
}


def check_installed(names: Sequence[str]) -> None:
    """Check that the packages of the tools can be imported.

    Raises:
        UserError: one is missing.
    """
    for name in names:
        package = TOOLS[name].package
        module = package.partition(">")[0]
        spec = find_spec(module)
        if spec is None or spec.origin is None:  # a folder such as `wandb/`, where its runs are kept, has no origin
            raise UserError(f"--log {name} needs the package {module}: pip install '{package}'.")


class Trackers:
    """The runs, one in each tool, that a training or a search is logged in.

    A tool that fails once the run has begun is warned of, and told at the end what it has missed.

    Args:
        names: of the tools.
        file: keeps the ids of the runs, for a command that goes on with the same training or search.
    """

    def __init__(self, names: Sequence[str], file: Path):
        self._names, self._file = [*dict.fromkeys(names)], file
        self._trackers: dict[str, Tracker] = {}
        self._down: set[str] = set()
        self._epochs: list[tuple[str, int]] = []
        self._sent: dict[str, set[tuple[str, int]]] = {name: set() for name in names}
        self._continued: set[str] = set()
        self._ids: dict[str, str] = {}
        self._trials: dict[str, list[int]] = {}

    def open(self, start: Start, *, search: "Trackers | None" = None) -> None:
        """Begin a run in each tool, or go on with the one that was begun.

        Args:
            search: of the search that the training belongs to.

        Raises:
            UserError: a tool cannot begin.
        """
        if self._file.is_file():
            saved = read_json(self._file)
            self._ids, self._trials = saved["ids"], saved["trials"]
            self._continued = {name for name in self._names if name in self._ids}
        for name in self._names:
            tool = TOOLS[name]
            parent = search._ids[name] if search else None
            faults = tool.faults()
            try:
                self._trackers[name] = tool.open(start._replace(id=self._ids.get(name), search=parent))
            except faults as error:
                raise UserError(
                    f"--log {name}: {error}. See where its own variables and settings point to, or leave the option "
                    "out."
                ) from None
            self._ids[name] = self._trackers[name].id
        self._save()

    @property
    def opened(self) -> bool:
        return bool(self._trackers)

    def epoch(self, epoch: Epoch, prefix: str) -> None:
        key = prefix, epoch.epoch
        self._epochs.append(key)
        for name in self._tell(lambda tracker: tracker.epoch(epoch, prefix), LATER):
            self._sent[name].add(key)

    def trial(self, trial: EndedTrial, id: int) -> None:
        """Add a trial that has ended to each run that lacks it."""
        lacking = [name for name in self._names if id not in self._trials.get(name, [])]
        for name in self._tell(lambda tracker: tracker.trial(trial), LATER, lacking):
            self._trials.setdefault(name, []).append(id)
            self._save()

    def retry(self) -> None:
        """Tell runs whose tool has failed of what follows again."""
        self._down.clear()

    def results(self, results: Results, epochs: Sequence[tuple[str, Epoch]] = ()) -> None:
        """Add the results, and those epochs that a tool has not been told of."""
        self.retry()

        def tell(name: str) -> Callable[[Tracker], None]:
            def tell_tracker(tracker: Tracker) -> None:
                for prefix, epoch in self._missed(name, epochs):
                    tracker.epoch(epoch, prefix)
                tracker.results(results)

            return tell_tracker

        for name in self._names:
            self._tell(tell(name), "It lacks the results", [name])

    def end(self, state: State) -> None:
        """End each run."""
        self.retry()
        self._tell(lambda tracker: tracker.end(state), "It may show the run as unfinished")

    def _missed(self, name: str, epochs: Sequence[tuple[str, Epoch]]) -> list[tuple[str, Epoch]]:
        keys = [(prefix, epoch.epoch) for prefix, epoch in epochs]
        first = 0
        if name in self._continued:  # an earlier command has logged what came before
            first = keys.index(self._epochs[0]) if self._epochs else len(keys)
        return [
            each for key, each in zip(keys[first:], epochs[first:], strict=True) if key not in self._sent[name]
        ]  # fmt: skip

    def _tell(
        self, message: Callable[[Tracker], None], consequence: str, names: Sequence[str] | None = None
    ) -> list[str]:
        """Give each tracker a message; return the names of those that took it, and warn of the consequence if not."""
        told = []
        for name in self._names if names is None else names:
            if name not in self._trackers or name in self._down:
                continue
            try:
                message(self._trackers[name])
            except TOOLS[name].faults() as error:
                self._down.add(name)
                logger.warning("--log %s: %s. %s.", name, error, consequence)
            else:
                told.append(name)
        return told

    def _save(self) -> None:
        write_json(self._file, {"ids": self._ids, "trials": self._trials})
