"""Replacing a run keeps what is the user's, writes through links, fills what cannot be renamed, and fails early."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from conftest import QUICK, ROOT, SAMPLES, CopyRun, overrides, textclf, write_config
from faults import contents, failing_writes

from textclf.io import files, publishing
from textclf.io.run_folder import Run

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such folders")
SETTINGS = overrides(*QUICK, "training.epochs=1", "training.seed=7", "report.baseline=false")


def retrain(folder: Path, *options: str | Path) -> Result:
    """Train folder/run again, or another folder."""
    run = () if "--run" in options else ("--run", folder / "run")
    return textclf("train", write_config(folder, "reviews"), *run, *SETTINGS, *options)


def seed(run: Path) -> int:
    return json.loads((run / "environment.json").read_text())["seed"]


@pytest.fixture
def run(copy_run: CopyRun, tmp_path: Path) -> Path:
    """A run with an evaluation, and with files and folders of the user's."""
    run = shutil.copytree(copy_run("quick"), tmp_path / "run")
    assert textclf("evaluate", SAMPLES / "reviews.csv", "--run", run).exit_code == 0
    for name in OWN:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    return run


OWN = ["notes.md", ".hidden", "model.onnx", "plots/one.png", "model/card.md"]


def assert_kept(run: Path) -> None:
    """Assert that the new run has the user's files, and keeps the evaluation of the earlier model apart."""
    assert seed(run) == 7
    assert [(run / name).read_text() for name in OWN] == ["mine"] * len(OWN)
    assert not (run / "evaluations").exists()
    earlier = run / "earlier_evaluations"
    assert [path.name for path in earlier.iterdir()] == ["reviews"]
    assert textclf("compare", earlier / "reviews", earlier / "reviews").exit_code == 0
    assert "seed: 42" in (earlier / "reviews" / "config.yaml").read_text()


def test_overwriting_keeps_what_textclf_did_not_write(run: Path, tmp_path: Path) -> None:
    result = retrain(tmp_path, "--overwrite")
    assert result.exit_code == 0
    assert f"evaluations of the earlier model are kept in {run}/earlier_evaluations" in result.stderr.splitlines()
    assert_kept(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "run"]
    assert textclf("evaluate", SAMPLES / "reviews.csv", "--run", run).exit_code == 0
    assert retrain(tmp_path, "--overwrite").exit_code == 0
    assert sorted(path.name for path in (run / "earlier_evaluations").iterdir()) == ["reviews", "reviews-2"]


def test_backups_and_locks_of_others_beside_a_run_stay(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run.old")
    before = contents(tmp_path / "run.old")
    assert retrain(tmp_path, "--overwrite").exit_code == 0
    assert contents(tmp_path / "run.old") == before
    (tmp_path / "poetry.lock").write_text("# a lock\n")
    refused = retrain(tmp_path, "--run", tmp_path / "poetry")
    assert (refused.exit_code, refused.stderr) == (
        1, f"{tmp_path}/poetry.lock is no lock of textclf, which needs this name. Choose another folder with --run.\n"
    )  # fmt: skip
    assert (tmp_path / "poetry.lock").read_text() == "# a lock\n"
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "download").write_text("half")
    refused = retrain(tmp_path, "--run", tmp_path / "new")
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"{tmp_path}/new.partial is in the way, with something that textclf did not write. Move it, or choose another "
        "folder with --run.\n",
    )
    assert (tmp_path / "new.partial" / "download").read_text() == "half"


def test_temporary_files_that_a_killed_training_left_are_not_in_the_way(tmp_path: Path) -> None:
    whole = Run(tmp_path / "new.partial")
    for file in [whole.metrics, whole.graph, whole.state(0)]:
        temporary = file.parent / ".7.0123cdef.new" / file.name
        temporary.parent.mkdir(parents=True)
        temporary.write_text("half")
    assert retrain(tmp_path, "--run", tmp_path / "new").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "reviews.yaml"]
    assert not [name for name in contents(tmp_path / "new") if ".7." in name]


def test_a_run_that_is_read_is_not_replaced(run: Path, tmp_path: Path) -> None:
    (run / "suspects.csv").write_text("row,label,suggested\n" + "".join(f"{n} is,a,{'xy'[n % 2]}\n" for n in range(20)))
    (tmp_path / "link.csv").symlink_to(run / "suspects.csv")
    names = overrides(f"data.train={tmp_path}/link.csv", "data.text=row", "data.label=suggested")
    before = contents(run)
    refused = textclf("train", run / "config.yaml", "--run", run, "--overwrite", *names)
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"{run}/suspects.csv is {tmp_path}/link.csv, which this command reads. Choose another folder with --run.\n",
    )
    assert contents(run) == before
    assert textclf("train", run / "config.yaml", "--run", run, "--overwrite", *SETTINGS).exit_code == 0


@posix
def test_a_linked_run_is_written_through(run: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run.rename(tmp_path / "disk" / "real")
    run.symlink_to(tmp_path / "disk" / "real")
    assert retrain(tmp_path, "--overwrite").exit_code == 0
    assert run.is_symlink()
    assert_kept(tmp_path / "disk" / "real")
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "reviews.yaml", "run"]


@posix
def test_a_folder_that_evaluations_link_to_is_not_emptied(run: Path, tmp_path: Path) -> None:
    (run / "evaluations").rename(tmp_path / "elsewhere")
    (run / "evaluations").symlink_to(Path("..") / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    result = retrain(tmp_path, "--overwrite")
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if "warning" in line and str(run) in line] == []
    assert contents(tmp_path / "elsewhere") == before
    assert not os.path.lexists(run / "evaluations")
    assert (run / "earlier_evaluations").readlink() == Path("..") / "elsewhere"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "reviews.yaml", "run"]


@pytest.mark.parametrize("suffix", [".partial", ".textclf-replaced"])
def test_a_run_does_not_get_the_name_of_an_unfinished_one(suffix: str, tmp_path: Path) -> None:
    refused = retrain(tmp_path, "--run", tmp_path / f"run{suffix}")
    message = (
        f"{tmp_path}/run{suffix} ends in {suffix}, as only unfinished runs do. Choose another folder with --run.\n"
    )
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", message)
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.yaml"]


@posix
@pytest.mark.parametrize("name", ["run", "runs/run"])
def test_a_link_that_leads_nowhere_is_found_before_training(name: str, tmp_path: Path) -> None:
    (tmp_path / name.split("/")[0]).symlink_to(tmp_path / "no disk")
    refused = retrain(tmp_path, "--run", tmp_path / name)
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        1,
        "",
        f"{tmp_path}/{name.split('/')[0]} is a link to {tmp_path}/no disk, which does not exist. Make that folder, or "
        "choose another with --run.\n",
    )
    assert not (tmp_path / "no disk").exists()


@pytest.mark.parametrize("cause", ["mount point", "busy"])
def test_a_folder_that_cannot_be_renamed_is_filled(
    cause: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "samples.json").write_text("{}")  # the new run has no file of this name
    if cause == "mount point":
        monkeypatch.setattr(publishing, "_is_mount_point", lambda folder: folder == run)
    moved: list[str] = []
    move = shutil.move
    monkeypatch.setattr(shutil, "move", lambda *paths: moved.append(paths[1].name) or move(*paths))
    with failing_writes(99 * (cause == "mount point"), tmp_path, error=busy, lasting=False, only="/run") as disk:
        result = retrain(tmp_path, "--overwrite", "--set", "report.texts=false")
    assert (result.exit_code, disk.failed) == (0, [] if cause == "mount point" else [f"os.rename {run}"])
    assert_kept(run)
    assert not (run / "samples.json").exists()
    assert moved[-1] == "metrics.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "run"]
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == [".hidden"]


def busy(path: str) -> BaseException:
    return OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)


@pytest.mark.parametrize("moves", [0, 5, 9])
def test_filling_that_was_stopped_is_finished_by_the_next_command(
    moves: int, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(run / "evaluations")
    monkeypatch.setattr(publishing, "_is_mount_point", lambda folder: folder == run)
    moved: list[Path] = []
    move = shutil.move

    def move_some(source: Path, target: Path) -> None:
        if len(moved) == moves:
            raise KeyboardInterrupt
        moved.append(target)
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "move", move_some)
        assert retrain(tmp_path, "--overwrite").exit_code == 130
    assert not (run / "metrics.json").exists()
    assert textclf("check", run).exit_code == 0
    assert seed(run) == 7
    assert [(run / name).read_text() for name in OWN] == ["mine"] * len(OWN)
    assert not (run / ".textclf.partial").exists()
    assert textclf("evaluate", "--run", run).exit_code == 0


def test_an_empty_mount_point_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_is_mount_point", lambda folder: folder == tmp_path / "run")
    (tmp_path / "run" / "lost+found").mkdir(parents=True)
    assert retrain(tmp_path).exit_code == 0
    assert seed(tmp_path / "run") == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "run"]
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")] == []


def test_a_run_that_cannot_be_put_in_its_place_is_named_and_put_there_later(run: Path, tmp_path: Path) -> None:
    before = contents(run)
    with failing_writes(0, tmp_path, lasting=False, only="/run") as disk:
        result = retrain(tmp_path, "--overwrite")
    assert disk.failed == [f"os.rename {run}"]
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        f"{run} cannot be replaced: No space left on device. The new run is complete, in {run}.partial. "
        f"`textclf check {run}` brings it to its place once that is possible; until then name it with --run."
    )
    assert contents(run) == before
    assert textclf("predict", SAMPLES / "lines.txt", "--run", f"{run}.partial").exit_code == 0
    assert textclf("check", run).exit_code == 0
    assert_kept(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "run"]


def test_what_cannot_be_moved_is_named_and_moved_later(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, _target: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "move", refuse)
        result = retrain(tmp_path, "--overwrite")
    assert result.exit_code == 0
    replaced = f"{run}.textclf-replaced"
    assert [line for line in result.stderr.splitlines() if replaced in line] == [
        f"warning: {replaced}/.hidden: Permission denied",
        f"warning: {replaced} holds files that could not be moved into {run}",
    ]
    assert textclf("check", run).exit_code == 0
    assert_kept(run)
    assert not Path(replaced).exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
@pytest.mark.parametrize("kind", ["other disk", "same disk"])
def test_a_real_mount_point_is_filled_twice(kind: str, tmp_path: Path) -> None:
    write_config(tmp_path, "reviews")
    mount = "mount --bind disk run" if kind == "same disk" else "mount -t tmpfs tmpfs run"
    train = f"{sys.executable} -m textclf train reviews.yaml --run run {' '.join(SETTINGS)}"
    script = (
        f"mkdir disk run && {mount} || exit 9; {train} && echo mine > run/notes && {train} --overwrite && "
        "cat run/notes && ls -A run run/model"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["unshare", "--mount", "sh", "-c", script]
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("may not mount")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "mine\nrun:\nREADME.md\nconfig.yaml\nenvironment.json\nhistory.csv\nmetrics.json\nmodel\nmodel.keras\nnotes\n"
        "predictions.csv\nreport.html\nsamples.json\nsplit.json\n\nrun/model:\nmodel.json\nmodel.onnx\n"
    )


# Disks without locks or fsync, and read-only ones


def test_a_disk_without_locks_or_fsync_is_trained_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_file: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def no_fsync(_file: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr("fcntl.flock", no_locks)
    monkeypatch.setattr(os, "fsync", no_fsync)
    files._warn_once.cache_clear()
    result = retrain(tmp_path)
    assert result.exit_code == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("warning:")] == [
        f"warning: {tmp_path}/run.lock: No locks available. Nothing keeps another training from the same folder.",
        "warning: the disk cannot be asked to keep files (fsync: Invalid argument); a crash may lose them",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "run"]


def test_a_read_only_run_is_evaluated_and_not_replaced(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(run)
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path) == run))
    for data in ([], [SAMPLES / "reviews.csv"]):
        result = textclf("evaluate", *data, "--run", run)
        assert (result.exit_code, result.stderr) == (
            0, f"warning: {run} is read-only: the evaluation is not kept in it\n"
        )  # fmt: skip
        assert "accuracy" in result.stdout
    refused = retrain(tmp_path, "--overwrite")
    assert (refused.exit_code, refused.stderr) == (1, f"{run} is read-only. Choose another folder with --run.\n")
    assert contents(run) == before


def test_without_a_folder_for_temporary_files_it_works_or_names_the_variable(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_folder() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile._get_default_tempdir", no_folder)
    monkeypatch.setattr("tempfile.tempdir", None)
    assert textclf("init", SAMPLES / "reviews.csv", "--output", "-").exit_code == 0
    config = write_config(tmp_path, "reviews")
    for arguments in (
        ["check", config],
        ["evaluate", "--run", run],
        ["evaluate", SAMPLES / "reviews.csv", "--run", run],
    ):
        files._warn_once.cache_clear()
        result = textclf(*arguments)
        warning = "warning: no folder can hold temporary files, so they are kept in memory. Set TMPDIR to one that can."
        assert (result.exit_code, result.stderr.splitlines()[0]) == (0, warning)
    for options in (["--verify"], ["--run", tmp_path / "new"]):  # TensorFlow needs a folder
        refused = textclf("train", config, *options)
        message = "no folder can hold temporary files. Set TMPDIR to one that can."
        assert (refused.exit_code, refused.stdout, refused.stderr.splitlines()[-1]) == (1, "", message)


# The newest run


def test_the_newest_run_is_the_one_trained_last_whatever_the_dates_of_its_files(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    earlier, later = "2026-02-01T10:00:00+02:00", "2026-02-01T09:00:00+00:00"
    for name, finished in (("b", later), ("a", earlier), ("old", None)):
        folder = shutil.copytree(run, Path("runs") / name)
        document = json.loads((folder / "environment.json").read_text())
        del document["finished"]
        (folder / "environment.json").write_text(json.dumps(document | ({"finished": finished} if finished else {})))
    os.utime("runs/a/environment.json")  # as after a copy
    Path("runs/a link").symlink_to("b")
    # an earlier textclf wrote no time, so the date of the file counts: the first of January
    os.utime("runs/old/environment.json", (1_767_225_600, 1_767_225_600))
    assert textclf("predict", "-", stdin="good\n").stderr == "using runs/b, the newest run\n"
    os.utime("runs/old/environment.json", (1_775_000_000, 1_775_000_000))  # the end of March
    assert textclf("predict", "-", stdin="good\n").stderr == "using runs/old, the newest run\n"
