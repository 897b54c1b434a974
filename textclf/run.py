"""The run folder: every file name once, and how files are written so that no reader sees half of one."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from textclf.cells import csv_lines
from textclf.errors import UserError
from textclf.visible import visible_lines

RUNS = Path("runs")


@dataclass(frozen=True)
class Run:
    """A folder that `textclf train` wrote."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def keras_model(self) -> Path:
        return self.path / "model.keras"

    @property
    def model(self) -> Path:
        """The folder that prediction needs, and all it needs."""
        return self.path / "model"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def split(self) -> Path:
        return self.path / "split.json"

    @property
    def metrics(self) -> Path:
        """Written last: where it is, the run is complete."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.csv"

    @property
    def suspects(self) -> Path:
        """Training rows that are probably labelled wrong, where the config asks for them."""
        return self.path / "suspects.csv"

    @property
    def samples(self) -> Path:
        """The rows that the report shows in full, where texts may be shown."""
        return self.path / "samples.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def checkpoint(self) -> Path:
        """Where training stands, while the run is being made."""
        return self.path / "checkpoint" / "state.npz"

    @property
    def begun(self) -> Path:
        """The settings and the data that the training began with, while the run is being made."""
        return self.path / "checkpoint" / "begun.json"

    @property
    def owner(self) -> "Run":
        """The run itself, or, of an evaluation on other data, the run that was evaluated: two folders above.

        Raises:
            UserError: neither holds a config.
        """
        found = [run for run in (self, Run(self.path.parent.parent)) if run.config.is_file()]
        if not found:
            raise UserError(f"{self.path} holds no config.yaml: name a run, or RUN/evaluations/NAME.")
        return found[0]

    @property
    def complete(self) -> bool:
        return self.metrics.is_file() and self.environment.is_file()

    def evaluation(self, name: str) -> "Run":
        """Where an evaluation on other data goes: a folder with metrics, predictions and report like the run's own."""
        return Run(self.path / "evaluations" / name)


def run_for_config(config: Path) -> Run:
    """The run that training a config writes by default: runs/imdb for configs/imdb.yaml and runs/imdb/config.yaml."""
    return Run(RUNS / (config.resolve().parent.name if config.name == "config.yaml" else config.stem))


def make_folder(path: Path) -> None:
    """Makes a folder, and those that it is in, unless it is there.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be made a folder: {error.strerror}. Choose another place.") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and goes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: Keras tells the format of a file by it.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Writes text that comes piece by piece, without holding all of it; straight into what is no ordinary file."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(map(visible_lines, pieces) if file.isatty() else pieces)
        return
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def write_json(path: Path, document: Any) -> None:
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The document in a JSON file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {path.parent} is no complete run.") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}. Train the run again.") from None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, raw: bool = False) -> None:
    """A table that a spreadsheet shows and does not compute, unless its texts are to stay `raw`."""
    write_pieces(path, csv_lines(chain([header], rows), raw=raw))
