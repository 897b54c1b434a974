"""A training that is stopped at any moment: the earlier run stays whole, and going on gives the same to the bit."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from conftest import QUICK, ROOT, SAMPLES, SMALL, CopyRun, overrides, textclf, write_config
from faults import contents, ctrl_c, failing_writes, full_disk, small_files

from textclf.errors import UserError
from textclf.io.run_folder import Run
from textclf.io.staging import locked
from textclf.training.checkpoint import Checkpoint, Epoch, TrainingState

SAME = ["history.csv", "metrics.json", "split.json", "predictions.csv", "model/model.onnx", "model/model.json"]


def train(folder: Path, *options: str, settings: tuple[str, ...] = (), network: Sequence[str] = SMALL) -> Result:
    """Trains folder/run as the fixture `reviews` was trained, but for the settings and the network."""
    config = folder / "reviews.yaml"
    if not config.exists():
        write_config(folder, "reviews")
    return textclf("train", config, "--run", folder / "run", *overrides(*network, *settings), *options)


def is_same(run: Path, reviews: Path) -> bool:
    return [(run / name).read_bytes() for name in SAME] == [(reviews / name).read_bytes() for name in SAME]


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(reviews: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews")
    command = [sys.executable, "-m", "textclf", "train", config, "--run", tmp_path / "run", *overrides(*SMALL)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        assert any(line.startswith(b"epoch  2") for line in process.stderr)
        process.kill()
    result = train(tmp_path, "--resume")
    assert "epoch  1" not in result.stderr
    assert "epoch  3" in result.stderr
    assert is_same(tmp_path / "run", reviews)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "run"]


@pytest.mark.parametrize(
    ("stop", "code", "name", "network"), [(ctrl_c, 130, "reviews", SMALL), (full_disk, 1, "quick", QUICK)]
)
def test_stopped_within_an_epoch_it_goes_on_to_the_same_bits(
    stop: Callable[[str], BaseException],
    code: int,
    name: str,
    network: Sequence[str],
    copy_run: CopyRun,
    tmp_path: Path,
) -> None:
    often = ("training.checkpoint_minutes=1e-9",)
    with failing_writes(19, tmp_path, error=stop, only="state.npz"):  # each checkpoint takes three
        result = train(tmp_path, settings=often, network=network)
    assert (result.exit_code, result.stdout) == (code, "")
    assert f"what was trained is kept in {tmp_path}/run.partial; go on with --resume" in result.stderr
    assert sorted(contents(tmp_path / "run.partial")) == [
        "checkpoint/",
        "checkpoint/begun.json",
        "checkpoint/state.npz",
    ]
    assert train(tmp_path, "--resume", settings=often, network=network).exit_code == 0
    assert is_same(tmp_path / "run", copy_run(name))


def test_a_disk_that_is_full_from_any_write_on_leaves_the_earlier_run_whole(copy_run: CopyRun, tmp_path: Path) -> None:
    shutil.copytree(copy_run("reviews"), tmp_path / "run")
    write_config(tmp_path, "reviews")
    before = contents(tmp_path / "run")
    settings = ("training.epochs=1", "report.baseline=false")
    for writes in [*range(12), *range(14, 200, 9)]:
        with failing_writes(writes, tmp_path) as disk:
            result = train(tmp_path, "--overwrite", settings=settings, network=QUICK)
        if not disk.failed:
            break
        assert result.exit_code == 1
        assert "No space left on device" in result.stderr.splitlines()[-1]
        assert str(tmp_path) in result.stderr.splitlines()[-1]
        assert contents(tmp_path / "run") == before
        further = {name for name in contents(tmp_path) if not name.startswith("run/")} - {"reviews.yaml"}
        if further not in (set(), KEPT):  # complete, it lacks its place alone, which the next command gives it
            assert "run.partial/metrics.json" in further, (writes, disk.failed)
            assert "run.partial/checkpoint/" not in further
            shutil.rmtree(tmp_path / "run.partial")
    assert not disk.failed
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "run"]


KEPT = {
    "run.partial/",
    "run.partial/checkpoint/",
    "run.partial/checkpoint/begun.json",
    "run.partial/checkpoint/state.npz",
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_file_that_cannot_grow_is_named(tmp_path: Path) -> None:
    with small_files(50_000):
        result = train(tmp_path, settings=("training.epochs=1",), network=QUICK)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "run.partial/checkpoint/state.npz" in result.stderr.splitlines()[-1]
    assert "File too large" in result.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml"]


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A folder with a training that was stopped after its first epoch."""
    shutil.copy(SAMPLES / "reviews.csv", tmp_path / "rows.csv")
    with failing_writes(3, tmp_path, error=ctrl_c, only="state.npz"):  # the second checkpoint is not written
        settings = ("report.baseline=false", f"data.train={tmp_path}/rows.csv")
        result = train(tmp_path, settings=settings, network=QUICK)
    assert (tmp_path / "run.partial" / "checkpoint" / "state.npz").exists(), result.stderr
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize("limit", [10, 500, 5000])
def test_a_checkpoint_that_cannot_be_written_leaves_the_earlier_one(limit: int, tmp_path: Path) -> None:
    path, state = tmp_path / "checkpoint" / "state.npz", TrainingState(best_weights=[np.ones(1000)])
    path.parent.mkdir()
    Checkpoint(path).save(state, [])
    before = contents(tmp_path)
    state.end_epoch(Epoch(1, 0.1, 0.5, 0.5, 0.5))
    with small_files(limit), pytest.raises(UserError, match=r"state\.npz cannot be written: File too large"):
        Checkpoint(path).save(state, [])
    assert contents(tmp_path) == before
    restored = Checkpoint(path).load([])
    assert (restored.epoch, restored.history, [weights.sum() for weights in restored.best_weights]) == (1, [], [1000])


def test_an_unfinished_training_is_not_lost_and_goes_on_only_as_it_was_begun(stopped: Path) -> None:
    settings = ("report.baseline=false", f"data.train={stopped}/rows.csv")
    again = train(stopped, settings=settings, network=QUICK)
    assert (again.exit_code, again.stderr) == (
        1,
        f"{stopped}/run.partial holds an unfinished training. Go on with --resume, or begin anew with --overwrite.\n",
    )
    with (stopped / "rows.csv").open("a", encoding="utf-8") as file:
        file.write("one more,positive\n")
    other = (*settings, "training.epochs=9", "model.hidden=[4]")
    changed = train(stopped, "--resume", settings=other, network=QUICK)
    assert (changed.exit_code, changed.stderr) == (
        1,
        f"{stopped}/run.partial was begun with other settings or data: model.hidden is [4], was [8]; training.epochs "
        f"is 9, was 3; {stopped}/rows.csv has changed. Go on with what it was begun with, or begin anew with "
        "--overwrite.\n",
    )
    state = stopped / "run.partial" / "checkpoint" / "state.npz"
    shutil.copy(SAMPLES / "reviews.csv", stopped / "rows.csv")
    state.write_bytes(state.read_bytes()[:1000])
    damaged = train(stopped, "--resume", settings=settings, network=QUICK)
    assert damaged.exit_code == 1
    assert f"{state} is damaged: File is not a zip file. Begin anew with --overwrite.\n" in damaged.stderr
    assert train(stopped, "--overwrite", settings=settings, network=QUICK).exit_code == 0
    assert sorted(path.name for path in stopped.iterdir()) == ["reviews.yaml", "rows.csv", "run"]


def test_a_complete_run_is_not_trained_again_and_other_settings_are_refused(reviews: Path, tmp_path: Path) -> None:
    shutil.copytree(reviews, tmp_path / "run")
    config = reviews.parent / "reviews.yaml"
    same = textclf("train", config, "--run", tmp_path / "run", "--resume", *overrides(*SMALL))
    assert (same.exit_code, same.stderr) == (0, f"{tmp_path}/run was complete already\n")
    assert same.stdout == textclf("train", config, "--run", tmp_path / "run", "--resume", *overrides(*SMALL)).stdout
    other = textclf("train", config, "--run", tmp_path / "run", "--resume", *overrides(*SMALL, "training.seed=7"))
    assert (other.exit_code, other.stderr) == (
        1,
        f"{tmp_path}/run is complete, and was trained with other settings or data: training.seed is 7, was 42. "
        "Train anew with --overwrite.\n",
    )


def test_another_version_of_a_package_is_said(reviews: Path, tmp_path: Path) -> None:
    shutil.copytree(reviews, tmp_path / "run")
    path = tmp_path / "run" / "environment.json"
    environment = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps(environment | {"packages": environment["packages"] | {"keras": "1.0"}}), encoding="utf-8"
    )
    result = textclf(
        "train", reviews.parent / "reviews.yaml", "--run", tmp_path / "run", "--resume", *overrides(*SMALL)
    )
    assert (
        result.stderr.splitlines()[0]
        == f"warning: keras is {version('keras')} now, was 1.0: the last digits may differ"
    )


CLAIM_AND_DIE = """
import os, pathlib, sys
from textclf.io.run_folder import Run
from textclf.io.staging import locked
with locked(Run(pathlib.Path(sys.argv[1]))):
    os._exit(9)
"""


@pytest.mark.slow
def test_two_trainings_of_one_run_are_refused_and_a_dead_one_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("text,label\na,1\nb,1\n")
    (tmp_path / "c.yaml").write_text(f"data: {{train: {tmp_path}/one.csv}}\n")
    arguments = ("train", tmp_path / "c.yaml", "--run", tmp_path / "run")
    with locked(Run(tmp_path / "run")):
        refused = textclf(*arguments)
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"another process is training {tmp_path}/run. Wait until it is done, or choose another folder with --run.\n",
    )
    die = [sys.executable, "-c", CLAIM_AND_DIE, tmp_path / "run"]
    assert subprocess.run(die, cwd=ROOT, check=False).returncode == 9
    assert (tmp_path / "run.lock").exists()
    assert textclf(*arguments).stderr.startswith(f"{tmp_path}/one.csv: only the label '1'")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "one.csv"]


def test_a_process_that_died_while_it_put_the_run_in_place_loses_neither(
    copy_run: CopyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reviews, questions = copy_run("reviews"), copy_run("questions")
    # the earlier run was taken away, and the new one was not complete
    shutil.copytree(reviews, "runs/a.textclf-replaced")
    shutil.copytree(reviews, "runs/a.partial")
    Path("runs/a.partial/metrics.json").unlink()
    assert textclf("check", "runs/a").exit_code == 0
    assert contents(Path("runs/a")) == contents(reviews)
    # it was taken away, and the new one was ready
    shutil.copytree(reviews, "runs/b.textclf-replaced")
    shutil.copytree(questions, "runs/b.partial")
    found = textclf("predict", "-", stdin="why?\n")
    assert (found.exit_code, found.stderr) == (0, "using runs/b, the newest run\n")
    assert contents(Path("runs/b")) == contents(questions)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["a", "a.partial", "b"]


def test_training_twice_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(config: Path, run: Run) -> Run:
        assert textclf("train", config, "--run", run.path).exit_code == 0
        return run

    monkeypatch.setattr("textclf.training.check._train", in_this_process)
    config = write_config(tmp_path, "reviews")
    result = textclf("train", config, "--verify", "--json", *overrides(*QUICK, "report.baseline=false"))
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)["sha256"]) == [
        "split.json", "model/model.json", "model/model.onnx", "history.csv", "predictions.csv", "metrics.json"
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.yaml"]


def test_what_differs_between_two_trainings_is_said(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(reviews, tmp_path / "other")
    (tmp_path / "other" / "history.csv").write_text("")
    runs = [Run(reviews), Run(tmp_path / "other")]
    monkeypatch.setattr("textclf.training.check._train", lambda *_: runs.pop())
    result = textclf("train", write_config(tmp_path, "reviews"), "--verify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "two trainings of one epoch differ in history.csv (losses). Largest difference of a weight: 0.0e+00. "
        "Set training.device to cpu: results on a GPU are not reproducible.\n"
    )


def test_options_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    result = textclf("train", write_config(tmp_path, "reviews"), "--resume", "--overwrite")
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "Error: --resume goes on, --overwrite begins anew, --verify writes no run; choose one.\n"
    )
