"""The run folder: every file name once, and how files are written so that no reader sees half of one."""

import contextlib
import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.errors import UserError

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


def newest_run() -> Run:
    """The complete run under runs/ that was trained last.

    Raises:
        UserError: there is none.
    """
    # evaluating rewrites metrics.json, so that its time says nothing
    finished = [(run.environment.stat().st_mtime, run) for run in map(Run, RUNS.glob("*")) if run.complete]
    finished = [(time, run) for time, run in finished if run.path.suffix not in (STAGED, RETIRED)]
    if not finished:
        raise UserError(f"no complete run in {RUNS}/. Train one with `textclf train CONFIG`, or name one with --run.")
    return max(finished, key=lambda entry: entry[0])[1]


STAGED, RETIRED = ".partial", ".old"


@contextlib.contextmanager
def staged(run: Run, *, overwrite: bool) -> Iterator[Run]:
    """A run folder to fill, put in the run's place at the end, so that an earlier run stays whole until then.

    Raises:
        UserError: the run exists and is not to be overwritten, or the folder holds something else.
    """
    check_target(run, overwrite=overwrite)
    with replacing_folder(run.path) as stage:
        yield Run(stage)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `path` when the block ends well, and goes when it does not."""
    path = path.absolute()
    stage = path.with_name(f"{path.name}.{os.getpid()}{STAGED}")
    retired = path.with_name(f"{path.name}.{os.getpid()}{RETIRED}")
    stage.mkdir(parents=True)
    try:
        yield stage
        if path.exists():
            path.replace(retired)
        stage.replace(path)
    except BaseException:
        if retired.exists() and not path.exists():
            retired.replace(path)
        shutil.rmtree(stage, ignore_errors=True)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def check_target(run: Run, *, overwrite: bool) -> None:
    """Refuses a folder that training must not replace.

    Raises:
        UserError: it is a run and `overwrite` is not set, or it holds something that is no run.
    """
    if not run.path.exists() or (run.path.is_dir() and not any(run.path.iterdir())):
        return
    if not (run.complete and (run.model / "model.json").is_file()):
        raise UserError(f"{run.path} exists and is no run of textclf. Choose another folder with --run.")
    if not overwrite:
        raise UserError(f"{run.path} exists. Replace it with --overwrite, or choose another folder with --run.")


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
            file.writelines(pieces)
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


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
