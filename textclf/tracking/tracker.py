"""The interface of a tracker, and what it is given: a start, epochs, trials, results."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from textclf.io.contract import MetricsDocument, ScoresDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.training.checkpoint import Epoch


class Start(NamedTuple):
    """The beginning of a training or of a search."""

    kind: Literal["train", "search"]
    project: str
    """Name of the config: what is trained on it is compared."""
    name: str
    params: Mapping[str, Any]
    """Value of every option by its dotted key."""
    search: str | None = None
    """Id of the tracker's run for the search that the training belongs to."""
    id: str | None = None
    """Id of the tracker's run to go on with; None: begin a new one."""


class EndedTrial(NamedTuple):
    """A trial of a search that has ended."""

    number: int
    settings: Mapping[str, Any]
    complete: bool
    """False: it was given up."""
    scores: Mapping[str, float]
    """Best scores by name, if it is complete."""
    monitor: str
    """Name of the score by which trials are compared."""
    steps: Mapping[int, float]
    """This score by epoch, or with several folds by fold."""
    seconds: float


class Results(NamedTuple):
    """The results of a training or a search."""

    metrics: Mapping[str, float]
    files: Sequence[Path]
    report: Path
    model: Path | None
    """The `model/` folder; a search has none of its own."""


State = Literal["finished", "failed", "killed"]


class Tracker(Protocol):
    """A run in a tracking tool."""

    @property
    def id(self) -> str:
        """The id by which the tool finds the run again."""

    def epoch(self, epoch: Epoch, prefix: str, /) -> None:
        """Receive an epoch; the prefix is for the names of its scores, where there are several networks."""

    def trial(self, trial: EndedTrial, /) -> None:
        """Receive a trial of the search, once it has ended."""

    def results(self, results: Results, /) -> None:
        """Receive the results, before the end."""

    def end(self, state: State, /) -> None:
        """End the run."""


def run_results(run: Run) -> Results:
    """Return the results of a complete run."""
    document: MetricsDocument = read_json(run.metrics)
    return Results(scores(document, document["data"]["part"]), [run.config, run.metrics], run.report, run.model)


def scores(document: ScoresDocument, part: str) -> dict[str, float]:
    """Return metrics as `test/accuracy`, the ends of their intervals as `test_low/accuracy`, `test_high/accuracy`."""
    metrics = {f"{part}/{name}": value for name, value in document["metrics"].items() if value is not None}
    for name, (low, high) in document["intervals"].items():
        metrics |= {f"{part}_low/{name}": low, f"{part}_high/{name}": high}
    return metrics


def history(run: Run) -> list[tuple[int, Epoch]]:
    """Return all epochs of a run, each with the seed of its network."""
    with run.history.open(encoding="utf-8", newline="") as file:
        return [
            (
                int(row["seed"]),
                Epoch(
                    int(row["epoch"]),
                    *(float(row[key]) for key in ("learning_rate", "loss", "val_loss", "val_accuracy")),
                ),
            )
            for row in csv.DictReader(file)
        ]


def as_text(value: Any) -> str:
    """Return the value of an option as text, as in the config."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
