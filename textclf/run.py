"""The run folder: every file name once, and how files are written so that no reader sees half of one."""

import contextlib
import errno
import json
import os
import shutil
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
    def graph(self) -> Path:
        """The weights and the graph in `model/`."""
        return self.model / "model.onnx"

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
        """Where training stands, while the run is being made; of several networks the first."""
        return self.state(0)

    def state(self, number: int) -> Path:
        """Where the training of one of several networks stands, counted from 0."""
        return self.path / "checkpoint" / ("state.npz" if number == 0 else f"state_{number + 1}.npz")

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
    """The run that training a config writes by default.

    runs/imdb for configs/imdb.yaml and runs/imdb/config.yaml, runs/imdb-tune-best for runs/imdb-tune/best.yaml.
    """
    folder = Path(os.path.realpath(config)).parent  # Path.resolve raises where links go round in a circle
    if config.name == "config.yaml":
        return Run(RUNS / folder.name)
    of_tuning = config.name == "best.yaml" and (folder / "tuning.json").is_file()
    return Run(RUNS / (f"{folder.name}-best" if of_tuning else config.stem))


def bytes_of(path: Path) -> int:
    """What a file takes, or a folder with all that is in it."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and goes when it does not.

    Raises:
        UserError: the disk is full, the folder cannot be written, or the like.
    """
    # The suffix stays last: Keras tells the format of a file by it.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    with _write_faults(path, temporary), folder_for(path):
        try:
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Waits until the file is on the disk: else the machine's crash could leave its new name without its bytes."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def _write_faults(path: Path, temporary: Path) -> Iterator[None]:
    """Says of an OSError in the block that `path` cannot be written, and why; what it names `temporary` is `path`."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        where = "" if named in ("", str(path), str(temporary)) or named.startswith(str(temporary)) else f" ({named})"
        advice = "Free space, or choose another place." if error.errno in _NO_ROOM else "Choose another place."
        raise UserError(f"{path} cannot be written: {error.strerror or error}{where}. {advice}") from None


@contextlib.contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Makes the folder that `path` is in; where the block fails, what was made goes again."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # others may have put something into it
                folder.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Writes text that comes piece by piece, without holding all of it; straight into what is no ordinary file.

    Raises:
        UserError: the disk is full, the folder cannot be written, or the like.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with _write_faults(path, path), path.open("w", encoding="utf-8", newline="") as file:
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
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}. Train the run again.") from None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, raw: bool = False) -> None:
    """A table that a spreadsheet shows and does not compute, unless its texts are to stay `raw`."""
    write_pieces(path, csv_lines(chain([header], rows), raw=raw))


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `path` when the block ends well, and goes when it does not.

    Raises:
        UserError: the disk is full, the place cannot be written, or the like.
    """
    new, earlier = (path.with_name(f".{os.getpid()}.{path.name}{suffix}") for suffix in ("", ".old"))
    with _write_faults(path, new), folder_for(path):
        try:
            new.mkdir()
            yield new
            if path.exists():
                path.replace(earlier)
            new.replace(path)
        except BaseException:
            if earlier.exists() and not path.exists():
                earlier.replace(path)
            raise
        finally:
            for left in (new, earlier):
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def replacing_files(run: Run) -> Iterator[Run]:
    """A folder to write some files of a run into; they take their places together when the block ends well.

    Where that fails half-way, the earlier files come back, so that those of a run are always of one measurement.

    Raises:
        UserError: the disk is full, the folder cannot be written, or the like.
    """
    new = run.path / f".{os.getpid()}.new"
    with _write_faults(run.path, new), folder_for(new):
        try:
            new.mkdir()
            yield Run(new)
            _move_files(new, run.path)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _move_files(new: Path, folder: Path) -> None:
    """Moves the files of the one folder into the other, all or none."""
    files = sorted(new.iterdir(), key=lambda file: (file == Run(new).metrics, file.name))
    earlier = {file: file.with_name(f"{file.name}.old") for file in files if (folder / file.name).exists()}
    for file, kept in earlier.items():
        shutil.copyfile(folder / file.name, kept)
    moved: list[Path] = []
    try:
        for file in files:
            file.replace(folder / file.name)
            moved.append(file)
    except BaseException:
        for file in moved:
            if file in earlier:
                earlier[file].replace(folder / file.name)
            else:
                (folder / file.name).unlink()
        raise
