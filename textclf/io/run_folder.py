"""The run folder: the name of every file in it."""

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from textclf.errors import UserError
from textclf.io.files import temporary_folder

RUNS = Path("runs")

TOKENIZER = "tokenizer.json"  # of a pretrained encoder, in its folder and in `model/`


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
        """The folder with all that prediction needs."""
        return self.path / "model"

    @property
    def graph(self) -> Path:
        """The weights and the graph in `model/`."""
        return self.model / "model.onnx"

    @property
    def description(self) -> Path:
        """Text options, vocabulary and labels in `model/`."""
        return self.model / "model.json"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of a pretrained encoder in `model/`, where the model has one."""
        return self.model / TOKENIZER

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def split(self) -> Path:
        return self.path / "split.json"

    @property
    def metrics(self) -> Path:
        """Written last, so that its presence means that the run is complete."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.csv"

    @property
    def suspects(self) -> Path:
        """Training rows with probable label errors, where the config asks for them."""
        return self.path / "suspects.csv"

    @property
    def suspect_tasks(self) -> Path:
        """The same rows as tasks for Label Studio, where files may hold texts."""
        return self.path / "suspects.json"

    @property
    def samples(self) -> Path:
        """The rows that the report quotes, where it may show texts."""
        return self.path / "samples.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def card(self) -> Path:
        """The model card, for a model hub and for who opens the folder."""
        return self.path / "README.md"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def estimator(self) -> Path:
        """The classes of a scikit-learn estimator, where one was saved as this run."""
        return self.path / "estimator.json"

    @property
    def checkpoint(self) -> Path:
        """The training state of the first network; it exists while training is unfinished."""
        return self.state(0)

    def state(self, number: int) -> Path:
        """Return the file of the training state of one of several networks, counted from 0."""
        return self.path / "checkpoint" / ("state.npz" if number == 0 else f"state_{number + 1}.npz")

    @property
    def fingerprint(self) -> Path:
        """Settings and data of the training, while it is unfinished."""
        return self.path / "checkpoint" / "begun.json"

    @property
    def vectors(self) -> Path:
        """The vectors of all rows, while the last layer of an encoder is trained on them."""
        return self.path / "checkpoint" / "vectors.npy"

    @property
    def tracking(self) -> Path:
        """The ids of the runs that trackers have for the training, while it is unfinished."""
        return self.path / "checkpoint" / "tracking.json"

    @property
    def owner(self) -> "Run":
        """The run itself, or, for an evaluation on other data, the run that was evaluated: two folders above.

        Raises:
            UserError: neither holds a config.
        """
        for run in (self, Run(self.path.parent.parent)):
            if run.config.is_file():
                return run
        raise UserError(f"{self.path} holds no config.yaml: name a run, or RUN/evaluations/NAME.")

    @property
    def complete(self) -> bool:
        return self.metrics.is_file() and self.environment.is_file()

    @property
    def files(self) -> list[Path]:
        """The files of a finished run, some of which not every run has; metrics.json last."""
        return [
            self.config, self.keras_model, self.graph, self.description, self.tokenizer, self.history, self.split,
            self.suspects, self.suspect_tasks, self.samples, self.estimator, self.environment, self.predictions,
            self.report, self.card, self.metrics,
        ]  # fmt: skip

    @property
    def evaluations(self) -> Path:
        """The folder of the evaluations on other data."""
        return self.path / "evaluations"

    def evaluation(self, name: str) -> "Run":
        """Return the folder of an evaluation on other data, with metrics, predictions and report like the run's own."""
        return Run(self.evaluations / name)


def other_paths(run: Run) -> list[Path]:
    """Return the files and folders in a run folder that textclf did not write."""
    own = {path for path in _own_files(run) if path.is_symlink() or not path.is_dir()}
    own |= {*_own_folders(run), run.evaluations, *_temporary_paths(run)}
    return [path for path in _paths_in(run) if path not in own]


def remove_run(run: Run, *, keep: Collection[Path] = ()) -> None:
    """Remove the files of a run as far as the system allows, and its folders unless something else is in them."""
    for path in _temporary_paths(run):
        shutil.rmtree(path, ignore_errors=True)
    for path in set(_own_files(run)).difference(keep):
        with contextlib.suppress(OSError):
            path.unlink()
    for folder in (*_own_folders(run), run.path):
        with contextlib.suppress(OSError):  # something is left in it
            folder.rmdir()


def _own_files(run: Run) -> list[Path]:
    """Return the files that textclf writes into a run folder; of a folder in it that is a link only the link."""
    links = [folder for folder in _own_folders(run) if folder.is_symlink()]
    files = [*run.files, *training_files(run)]
    return links + [file for file in files if file.parent not in links]


def training_files(run: Run) -> list[Path]:
    """Return the files that a run has while it is trained."""
    return [run.fingerprint, run.vectors, run.tracking, *run.checkpoint.parent.glob("state*.npz")]


def _own_folders(run: Run) -> tuple[Path, Path]:
    return run.model, run.checkpoint.parent


def _paths_in(run: Run) -> list[Path]:
    """Return the files and folders in a run folder, and in its `model/` and `checkpoint/`."""
    folders = [run.path, *(folder for folder in _own_folders(run) if not folder.is_symlink())]
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def _temporary_paths(run: Run) -> list[Path]:
    """Return the temporary folders that a killed process left."""
    return [path for path in _paths_in(run) if re.fullmatch(r"\.\d+\.[0-9a-f]{8}\.new", path.name)]


def run_for_config(config: Path) -> Run:
    """Return the default run of a config.

    runs/imdb for configs/imdb.yaml and runs/imdb/config.yaml, runs/imdb-tune-best for runs/imdb-tune/best.yaml.
    """
    folder = Path(os.path.realpath(config)).parent  # Path.resolve raises where links form a circle
    if config.name == "config.yaml":
        return Run(RUNS / folder.name)
    of_tuning = config.name == "best.yaml" and (folder / "tuning.json").is_file()
    return Run(RUNS / (f"{folder.name}-best" if of_tuning else config.stem))


def check_rows_are_kept(run: Run, *, advice: str) -> None:
    """Refuse a saved TextClassifier, whose rows were in a temporary file.

    Raises:
        UserError: the run is one.
    """
    if run.estimator.is_file():
        raise UserError(
            f"{run.path} is a TextClassifier that was saved, without the rows that it was fitted to. {advice}"
        )


def numbered(path: Path) -> Iterator[Path]:
    """Yield NAME, NAME-2, NAME-3 and so on, in the same folder."""
    return map(path.with_name, numbered_names(path.name))


def numbered_names(name: str) -> Iterator[str]:
    """Yield NAME, NAME-2, NAME-3 and so on."""
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


@contextlib.contextmanager
def replacing_files(run: Run) -> Iterator[Run]:
    """Yield a temporary run, whose files replace those of `run` together at the end of the block.

    If that fails half-way, the earlier files are put back, so that the files of a run always belong to one evaluation.

    Raises:
        UserError: a file cannot be written, for example because the disk is full.
    """
    with temporary_folder(run.path, run.path) as new:
        yield Run(new)
        _move_files(new, run.path)


def _move_files(new: Path, folder: Path) -> None:
    """Move the files of one folder into the other, all or none."""
    files = sorted(new.iterdir(), key=lambda file: (file == Run(new).metrics, file.name))
    earlier = {file: file.with_name(f"{file.name}.old") for file in files if (folder / file.name).exists()}
    for file, copy in earlier.items():
        shutil.copyfile(folder / file.name, copy)
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
