"""Full disks, read-only folders, signals and closed pipes: earlier files stay, nothing half-written, one message."""

import copy
import importlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLES, start_textclf, textclf, write_config
from faults import contents, ctrl_c, failing_writes, small_files

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits and sends no such signals")


@pytest.fixture
def run(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run with an evaluation; temporary files go into the folder around it too."""
    folder = shutil.copytree(evaluated, tmp_path / "work" / "run")
    (tmp_path / "work" / "out.txt").write_text("earlier\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "work"))
    return folder


def commands(run: Path) -> dict[str, list[str | Path]]:
    """Every command that writes files, train aside: in place of an earlier file, or as a new one in a new folder."""
    out, new, other = run.parent / "out.txt", run.parent / "new" / "out.txt", run.parent.parent / "other.csv"
    shutil.copyfile(SAMPLES / "reviews.csv", other)
    return {
        "predict": ["predict", SAMPLES / "lines.txt", "--run", run, "--output", out, "--overwrite"],
        "predict, new": ["predict", SAMPLES / "lines.txt", "--run", run, "--output", new, "--json"],
        "explain": ["explain", "good", "--run", run, "--format", "html", "--output", out, "--overwrite"],
        "evaluate": ["evaluate", "--run", run],
        "evaluate, again": ["evaluate", SAMPLES / "reviews.csv", "--run", run],
        "evaluate, new": ["evaluate", other, "--run", run],
        "report": ["report", run],
        "compare": ["compare", run, run, "--changed", out, "--overwrite"],
        "check": ["check", write_config(run.parent.parent, "reviews"), "--suspects", new],
        "init": ["init", SAMPLES / "reviews.csv", "--output", out, "--overwrite"],
    }


WRITING = [
    "predict", "predict, new", "explain", "evaluate", "evaluate, again", "evaluate, new", "report", "compare", "check",
    "init",
]  # fmt: skip


def compute_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has what takes seconds and writes nothing computed once, however often a command runs."""
    for name in (
        "evaluate.evaluate_rows",
        "evaluate.sample_document",
        "run_report.render",
        "predictions.resampled_metrics",
    ):
        monkeypatch.setattr(f"textclf.evaluation.{name}", remembered(name))


def remembered(name: str) -> Callable[..., object]:
    module, _, function = name.partition(".")
    compute, found = getattr(importlib.import_module(f"textclf.evaluation.{module}"), function), []

    def give(*arguments: object, **options: object) -> object:
        found.append(copy.deepcopy(found[0]) if found else compute(*arguments, **options))
        return found[-1]

    return give


def assert_refused(message: str, folder: Path) -> None:
    """The last line names a file or folder beneath the folder and says what to do."""
    last = message.splitlines()[-1]
    assert str(folder) in last
    assert last.endswith(
        ("ree space, or choose another place.", "Choose another place.", "set TMPDIR to another folder.")
    )


@pytest.mark.parametrize("name", WRITING)
def test_a_disk_that_is_full_at_any_write_changes_nothing(
    name: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_once(monkeypatch)
    folder, arguments = run.parent, commands(run)[name]
    before = contents(folder)
    for n in itertools.count():
        with failing_writes(n, folder) as disk:
            result = textclf(*arguments)
        if not disk.failed or result.exit_code == 0:  # a temporary file may find another way
            break
        assert result.exit_code == 1, disk.failed
        assert contents(folder) == before, disk.failed
        assert_refused(result.stderr, folder)
    assert n >= 2
    assert result.exit_code == 0


@pytest.mark.parametrize("name", ["predict", "evaluate, again", "init"])
def test_ctrl_c_at_any_write_changes_nothing(name: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compute_once(monkeypatch)
    folder, arguments = run.parent, commands(run)[name]
    before = contents(folder)
    for n in itertools.count():
        with failing_writes(n, folder, error=ctrl_c, lasting=False) as disk:
            result = textclf(*arguments)
        if not disk.failed:
            break
        assert (result.exit_code, result.stderr.splitlines()[-2:]) == (130, ["", "stopped by Ctrl-C"])
        assert contents(folder) == before, disk.failed
    assert n >= 2


@posix
@pytest.mark.parametrize("name", WRITING)
def test_a_disk_that_fills_up_within_a_file_changes_nothing(name: str, run: Path) -> None:
    folder, arguments = run.parent, commands(run)[name]
    before = contents(folder)
    with small_files(100):
        result = textclf(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert contents(folder) == before
    assert "File too large" in result.stderr
    assert_refused(result.stderr, folder)


def test_what_stands_in_the_way_is_named(run: Path) -> None:
    out = run.parent / "out.txt" / "a" / "b.tsv"
    result = textclf("predict", SAMPLES / "lines.txt", "--run", run, "--output", out)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{out} cannot be written: ")
    assert str(run.parent / "out.txt") in result.stderr


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(run: Path) -> None:
    run.parent.chmod(0o500)
    out = run.parent / "out.tsv"
    result = textclf("predict", SAMPLES / "lines.txt", "--run", run, "--output", out)
    run.parent.chmod(0o700)
    assert (result.exit_code, result.stderr) == (
        1, f"{out} cannot be written: Permission denied. Choose another place.\n"
    )  # fmt: skip


# Signals and pipes


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        ("SIGINT", 130, b"\nstopped by Ctrl-C\n"),
        ("SIGTERM", 143, b"stopped by SIGTERM\n"),
        ("SIGHUP", 129, b"stopped by SIGHUP\n"),
    ],
)
def test_a_signal_ends_it_and_leaves_the_earlier_file(number: str, code: int, message: bytes, run: Path) -> None:
    folder = run.parent
    before = contents(folder)
    arguments = ["predict", "-", "--run", run, "--output", folder / "out.txt", "--overwrite"]
    with start_textclf(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"good\n" * 1000)
        process.stdin.flush()
        wait_for(lambda: len(contents(folder)) > len(before))
        process.send_signal(getattr(signal, number))
        assert process.wait(10) == code
        assert (process.stdout.read(), process.stderr.read()) == (b"", message)
    assert contents(folder) == before


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@posix
def test_a_signal_that_is_ignored_stays_ignored(run: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with start_textclf(
        "predict", "-", "--run", run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=ignore
    ) as process:
        process.stdin.write(b"good\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.stdin.close()
        assert (process.wait(10), process.stderr.read()) == (0, b"")


def test_handlers_are_as_they_were_after_a_command() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert textclf("schema").exit_code == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
@posix
@pytest.mark.parametrize("arguments", [["schema"], ["evaluate", "--json"]], ids=["schema", "evaluate"])
def test_a_reader_that_has_left_is_no_error(arguments: list[str], run: Path) -> None:
    options = [] if arguments == ["schema"] else ["--run", run]
    gone, pipe = os.pipe()
    os.close(gone)
    done = subprocess.run(
        [sys.executable, "-m", "textclf", *map(str, [*arguments, *options])],
        cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(pipe)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
@posix
@pytest.mark.parametrize("descriptors", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_do_no_harm(descriptors: str, run: Path) -> None:
    out = run.parent / "out.txt"
    command = [sys.executable, "-m", "textclf", "predict", str(SAMPLES / "lines.txt"), "--run", str(run)]
    shell = ["sh", "-c", f'exec "$@" {descriptors}', "sh", *command, "--output", str(out), "--overwrite"]
    assert subprocess.run(shell, cwd=ROOT, check=False, capture_output=True).returncode == 0
    assert out.read_text().count("\n") == len((SAMPLES / "lines.txt").read_bytes().splitlines())


@pytest.mark.slow
@posix
def test_talk_that_nobody_reads_does_not_stop_the_work(tmp_path: Path) -> None:
    gone, pipe = os.pipe()
    os.close(gone)
    command = [sys.executable, "-m", "textclf", "init", str(SAMPLES / "reviews.csv"), "-o", str(tmp_path / "c.yaml")]
    assert subprocess.run(command, cwd=ROOT, stderr=pipe, stdout=pipe, check=False).returncode == 0
    os.close(pipe)
    assert (tmp_path / "c.yaml").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_is_named(run: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "textclf", "predict", str(SAMPLES / "lines.txt"), "--run", str(run)]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.decode()) == (
        1, "stdout cannot be written: No space left on device. Free space, or choose another place.\n"
    )  # fmt: skip
