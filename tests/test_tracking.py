"""--log: what a training and a search tell a tracker; tests/cluster/test_trackers.py asks the tools themselves."""

import csv
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import QUICK, ROOT, overrides, textclf, write_config
from faults import ctrl_c, failing_writes, full_disk

from textclf.config.load import load_saved_config
from textclf.config.schema import option_values
from textclf.tracking.tracker import EndedTrial, Results, Start
from textclf.tracking.trackers import TOOLS, Tool
from textclf.training.checkpoint import Epoch

SEARCH = "tune:\n  model.dropout: [0.0, 0.2, 0.4]"


class Recorder:
    """A tool that keeps what it is told; `faulty` events cannot be told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.faulty: Callable[[Any], bool] = lambda _event: False

    def open(self, start: Start) -> "RecordingTracker":
        self.tell(start)
        return RecordingTracker(self, start.id or f"{start.kind}-{len(self.told)}")

    def tell(self, event: Any) -> None:
        if self.faulty(event):
            raise ConnectionError("no answer")
        self.told.append(event)

    def summary(self) -> list[str]:
        """What was told in short, and forget it."""
        told, self.told = self.told, []
        return [_short(event) for event in told]


def _short(event: Any) -> str:
    if isinstance(event, Start):
        within = f" in {event.search}" if event.search else ""
        return f"{event.kind} {event.project}/{event.name}{within}{f', goes on with {event.id}' if event.id else ''}"
    if isinstance(event, EndedTrial):
        return f"trial {event.number}"
    return "results" if isinstance(event, Results) else str(event)


class RecordingTracker:
    def __init__(self, recorder: Recorder, id: str):
        self._recorder, self.id = recorder, id

    def epoch(self, epoch: Epoch, prefix: str) -> None:
        self._recorder.tell(f"{prefix}epoch {epoch.epoch}: {epoch.val_loss!r}")

    def trial(self, trial: EndedTrial) -> None:
        self._recorder.tell(trial)

    def results(self, results: Results) -> None:
        assert all(path.exists() for path in (results.report, *results.files))
        self._recorder.tell(results)

    def end(self, state: str) -> None:
        self._recorder.tell(state)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setitem(TOOLS, "mlflow", Tool("pytest>=8", recorder.open, lambda: (ConnectionError,)))
    return recorder


def train(folder: Path, *options: str, settings: tuple[str, ...] = ()) -> Result:
    config = folder / "reviews.yaml"
    if not config.exists():
        write_config(folder, "reviews")
    arguments = ["train", config, "--run", folder / "mine", "--log", "mlflow"]
    return textclf(*arguments, *overrides(*QUICK, "report.baseline=false", *settings), *options)


def epochs_of(run: Path, *, prefix: str = "") -> list[str]:
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        return [
            f"{prefix.format(**row)}epoch {row['epoch']}: {float(row['val_loss'])!r}" for row in csv.DictReader(file)
        ]


def test_a_training_tells_config_epochs_and_results(recorder: Recorder, tmp_path: Path) -> None:
    assert train(tmp_path).exit_code == 0
    run = tmp_path / "mine"
    start, results = recorder.told[0], recorder.told[-2]
    assert start.params == option_values(load_saved_config(run / "config.yaml"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    low, high = metrics["intervals"]["f1_macro"]
    told = {end: results.metrics[f"validation{end}/f1_macro"] for end in ("", "_low", "_high")}
    assert told == {"": metrics["metrics"]["f1_macro"], "_low": low, "_high": high}
    assert (results.report, results.model) == (run / "report.html", run / "model")
    assert recorder.summary() == ["train reviews/mine", *epochs_of(run), "results", "finished"]
    assert [path.name for path in run.glob("*track*")] == []

    assert train(tmp_path, "--resume").exit_code == 0
    assert recorder.summary() == []  # it was complete


def test_networks_of_several_seeds_are_told_apart(recorder: Recorder, tmp_path: Path) -> None:
    assert train(tmp_path, "--seeds", "2", settings=("training.epochs=1",)).exit_code == 0
    epochs = epochs_of(tmp_path / "mine", prefix="seed_{seed}/")
    assert recorder.summary() == ["train reviews/mine", *epochs, "results", "finished"]
    assert [epoch.split()[0] for epoch in epochs] == ["seed_42/epoch", "seed_43/epoch"]


@pytest.mark.parametrize(("stop", "state"), [(ctrl_c, "killed"), (full_disk, "failed")])
def test_a_training_that_stops_is_ended_and_gone_on_with(
    stop: Callable[[str], BaseException], state: str, recorder: Recorder, tmp_path: Path
) -> None:
    with failing_writes(5, tmp_path, error=stop, only="state.npz"):  # the second epoch's
        assert train(tmp_path).exit_code in (1, 130)
    first = recorder.summary()
    assert train(tmp_path, "--resume").exit_code == 0
    epochs = epochs_of(tmp_path / "mine")
    assert first == ["train reviews/mine", *epochs[:2], state]
    assert recorder.summary() == [
        "train reviews/mine, goes on with train-1", *epochs[1:], "results", "finished"
    ]  # fmt: skip


def test_an_outage_is_warned_of_and_made_up_for(recorder: Recorder, tmp_path: Path) -> None:
    recorder.faulty = _first_time("epoch 2:")
    result = train(tmp_path)
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if line.startswith("warning")] == [
        "warning: --log mlflow: no answer. It is told the rest at the end."
    ]
    epochs = epochs_of(tmp_path / "mine")
    assert recorder.summary() == ["train reviews/mine", *epochs, "results", "finished"]


def _first_time(start: str) -> Callable[[Any], bool]:
    seen: list[str] = []

    def faulty(event: Any) -> bool:
        if not str(event).startswith(start):
            return False
        seen.append(str(event))
        return len(seen) == 1

    return faulty


def test_what_never_answers_again_leaves_the_run_complete(recorder: Recorder, tmp_path: Path) -> None:
    recorder.faulty = lambda event: not isinstance(event, Start)
    result = train(tmp_path)
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if line.startswith("warning")] == [
        "warning: --log mlflow: no answer. It is told the rest at the end.",
        "warning: --log mlflow: no answer. It lacks the results.",
        "warning: --log mlflow: no answer. It may show the run as unfinished.",
    ]
    assert textclf("check", tmp_path / "mine").exit_code == 0


def test_a_tool_that_cannot_begin_ends_the_command_before_the_first_epoch(recorder: Recorder, tmp_path: Path) -> None:
    recorder.faulty = lambda event: isinstance(event, Start)
    result = train(tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        "--log mlflow: no answer. See where its own variables and settings point to, or leave the option out."
    )
    assert "epoch" not in result.stderr
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("name", TOOLS)
def test_a_package_that_is_missing_is_named_before_anything_is_read(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    config = write_config(tmp_path, "reviews")
    with (ROOT / "pyproject.toml").open("rb") as file:
        [package] = tomllib.load(file)["project"]["optional-dependencies"][name]
    message = f"--log {name} needs the package {name}: pip install '{package}'.\n"
    for command in ("train", "tune"):
        result = textclf(command, config, "--run", tmp_path / "run", "--log", name)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.yaml"]


def test_a_search_in_a_storage_tells_the_best_settings_found_last(recorder: Recorder, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    config = write_config(tmp_path, "reviews", SEARCH)
    command = ["tune", config, "--run", tmp_path / "tuned", "--log", "mlflow", "--storage", tmp_path / "journal"]
    settings = overrides("model.type=mlp", "model.hidden=[8]", "training.epochs=1", "report.baseline=false")
    result = textclf(*command, *settings, "--trials", "1")
    assert result.exit_code == 0, result.output
    starts = [event for event in recorder.told if isinstance(event, Start)]
    best = option_values(load_saved_config(tmp_path / "tuned" / "best" / "config.yaml"))
    assert (starts[-1].name, starts[-1].params) == ("best", best)
    epochs = epochs_of(tmp_path / "tuned" / "best")
    ends = ["results", "finished"]
    assert recorder.summary() == [
        "search reviews/tuned", "trial 1", "train reviews/best in search-1", *epochs, *ends, *ends
    ]  # fmt: skip


def test_a_search_tells_each_trial_once_and_the_best_training_within_it(recorder: Recorder, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    config = write_config(tmp_path, "reviews", SEARCH)
    command = ["tune", config, "--run", tmp_path / "tuned", "--log", "mlflow", *overrides(*QUICK)]
    assert textclf(*command, "--trials", "2").exit_code == 0
    trials = [event for event in recorder.told if isinstance(event, EndedTrial)]
    document = json.loads((tmp_path / "tuned" / "tuning.json").read_text(encoding="utf-8"))
    assert [(trial.number, trial.settings, trial.scores["val_loss"]) for trial in trials] == [
        (trial["number"], trial["settings"], trial["loss"]) for trial in document["trials"]
    ]
    search, results = recorder.told[0], recorder.told[-2]
    assert search.params["tune.model.dropout"] == [0.0, 0.2, 0.4]
    assert results.metrics["best_trial"] == document["best"]["trial"]
    epochs = epochs_of(tmp_path / "tuned" / "best")
    ends = ["results", "finished"]
    assert recorder.summary() == [
        "search reviews/tuned", "trial 1", "trial 2", "train reviews/best in search-1", *epochs, *ends, *ends
    ]  # fmt: skip
    assert textclf(*command, "--trials", "3", "--resume").exit_code == 0
    assert recorder.summary()[:2] == ["search reviews/tuned, goes on with search-1", "trial 3"]
