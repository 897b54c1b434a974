"""`textclf score --engine ray`, with Ray as it is installed: the bytes of one process, whatever dies on the way."""

import csv
import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import ROOT, SAMPLES

MODEL = ROOT / "tests" / "frozen" / "format_4" / "reviews"

ROWS = 20_000  # of each input

TIMEOUT = 300.0

POISON = """
import os, sys
if "default_worker" in " ".join(sys.orig_argv):  # a process of Ray
    from textclf.scoring import share
    score = share._score
    def poisoned(classifier, rows, **options):
        for text, *_ in rows:
            if "deadly" in text:
                os.kill(os.getpid(), 9)
            if "odd" in text:
                raise RuntimeError("an odd text")
        return score(classifier, rows, **options)
    share._score = poisoned
"""
"""sitecustomize.py: what a text does that no test could otherwise make a text do."""


def start(
    *arguments: str | Path, path: Path | None = None, cwd: Path = ROOT, **environment: str
) -> "subprocess.Popen[str]":
    """Start textclf; its actors import modules of the folder `path` first."""
    modules = os.pathsep.join(str(part) for part in (path, ROOT) if part)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "textclf", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": modules, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
    )  # fmt: skip


def end(process: "subprocess.Popen[str]") -> tuple[int, str, list[str]]:
    """Wait; return code, stdout, and stderr without its lines of progress."""
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    return process.returncode, stdout, [line for line in stderr.splitlines() if " rows, " not in line]


def table(path: Path, texts: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *((f"id-{number}", text) for number, text in enumerate(texts))])
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def processes(pattern: str) -> list[int]:
    """The processes of Ray whose command begins so, in the order in which they were started."""
    command = ["ps", "-ww", "-eo", "pid=,args=", "--sort=start_time"]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if re.match(pattern, line.split(maxsplit=1)[1])]


def actors() -> list[int]:
    return processes("ray::Actor")


def wait_for_shards(output: Path, count: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + TIMEOUT
    while len([*output.glob("*/part-*.json")]) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a compressed one and one of parquet."""
    folder = tmp_path_factory.mktemp("in")
    with (SAMPLES / "reviews.csv").open(encoding="utf-8", newline="") as file:
        samples = [row["text"] for row in csv.DictReader(file)]
    texts = [f"{number} {samples[number % len(samples)]}" for number in range(3 * ROWS)]
    table(folder / "a.csv", texts[:ROWS])
    second = table(folder / "b.csv", texts[ROWS : 2 * ROWS])
    (folder / "b.csv.gz").write_bytes(gzip.compress(second.read_bytes(), 1, mtime=0))
    second.unlink()
    columns = {"id": [f"id-{number}" for number in range(ROWS)], "text": texts[2 * ROWS :]}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "c.parquet")
    return folder


@pytest.fixture(scope="module")
def whole(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes without Ray."""
    output = tmp_path_factory.mktemp("whole") / "out"
    code, _, stderr = end(start("score", *options(inputs, output)))
    assert (code, stderr) == (0, [])
    return output


def options(inputs: Path, output: Path) -> list[str | Path]:
    return [inputs, "--run", MODEL, "--output", output, "--keep", "id", "--rows-per-file", "500"]


RAY = ("--engine", "ray", "--jobs", "2")


def test_two_actors_of_which_one_is_killed_write_what_one_process_writes(
    inputs: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    process = start("score", *options(inputs, output), *RAY)
    wait_for_shards(output, 5, process)
    before = actors()
    os.kill(before[-1], signal.SIGKILL)
    killed_at = len([*output.glob("*/part-*.json")])
    code, stdout, stderr = end(process)
    assert (code, stderr, stdout.splitlines()[-1]) == (0, [], f"{3 * ROWS:>13,} rows in all")
    assert (len(before), killed_at < 3 * ROWS // 500, actors()) == (2, True, [])
    assert files_in(output) == files_in(whole)


def test_a_poisonous_shard_is_named_and_left_aside_and_the_others_are_done(tmp_path: Path) -> None:
    texts = [{35: "deadly", 72: "odd"}.get(number, f"a fine film {number}") for number in range(100)]
    source, output = table(tmp_path / "rows.csv", texts), tmp_path / "out"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sitecustomize.py").write_text(POISON)
    begun = ["score", source, "--run", MODEL, "--output", output, "--rows-per-file", "10"]
    code, stdout, stderr = end(start(*begun, *RAY, path=tmp_path / "modules"))
    shards = [f"rows.csv/part-0000{number}.csv (rows {number}0 to {number}9 of {source})" for number in (3, 7)]
    assert (code, stdout) == (1, "")
    assert sorted(stderr[:2]) == [
        f"warning: {shards[0]} is left aside: its process ended (ActorDiedError)",
        f"warning: {shards[1]} is left aside: RuntimeError: an odd text",
    ]
    assert stderr[2:] == [
        "shards left aside, since they failed 3 times: 2. See what is special about their rows. Go on with --resume, "
        "which tries them again:",
        *shards,
    ]
    assert sorted(path.stem for path in output.glob("rows.csv/part-*.json")) == [
        f"part-0000{number}" for number in range(10) if number not in (3, 7)
    ]
    assert end(start(*begun, "--resume"))[0] == 0
    one = tmp_path / "one"
    assert end(start("score", source, "--run", MODEL, "--output", one, "--rows-per-file", "10"))[0] == 0
    assert files_in(output) == files_in(one)


def test_a_damaged_input_is_left_where_that_shows_and_the_others_go_on(tmp_path: Path) -> None:
    source = table(tmp_path / "a.csv", ["a fine film"] * 7)
    source.write_bytes(source.read_bytes() + b"id-7,\xff\n")
    table(tmp_path / "b.csv", ["dull"] * 7)
    output = tmp_path / "out"
    arguments = ["score", tmp_path / "*.csv", "--run", MODEL, "--output", output, "--rows-per-file", "2"]
    code, stdout, stderr = end(start(*arguments, *RAY))
    assert (code, stdout) == (1, "")
    assert stderr == [
        f"warning: {source}:9: byte 0xff is not UTF-8. Save the file as UTF-8.",
        "1 of 2 inputs could not be read to the end. Mend them and go on with --resume.",
    ]
    assert ((output / "a.csv" / "part-00002.json").exists(), (output / "b.csv" / "input.json").exists()) == (True, True)


def test_stopped_by_a_signal_it_stops_ray_and_goes_on_later(inputs: Path, whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start("score", *options(inputs, output), *RAY)
    wait_for_shards(output, 5, process)
    process.send_signal(signal.SIGTERM)
    assert end(process) == (128 + signal.SIGTERM, "", ["stopped by SIGTERM"])
    assert actors() == []
    assert end(start("score", *options(inputs, output), "--resume"))[0] == 0
    assert files_in(output) == files_in(whole)


def test_no_code_beside_the_data_is_run(tmp_path: Path) -> None:
    source, output = table(tmp_path / "a.csv", ["a fine film"] * 7), tmp_path / "out"
    (tmp_path / "click.py").write_text("raise SystemExit('hijacked')")
    code, _, stderr = end(start("score", source.name, "--run", MODEL, "--output", "out", *RAY, cwd=tmp_path))
    assert (code, stderr) == (0, [])
    assert (output / "manifest.json").exists()


# Clusters


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def cluster() -> Iterator[tuple[str, dict[str, str]]]:
    """Address and environment of a cluster of two machines with a processor each, which are both this one."""
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}

    def ray(*arguments: str) -> None:
        command = [sys.executable, str(Path(sys.executable).with_name("ray")), *arguments]
        modules = {"PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            command, env={**os.environ, **environment, **modules}, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        try:
            ray(
                "start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", f"--temp-dir={folder}"
            )
            ray("start", f"--address=127.0.0.1:{port}", "--num-cpus=1")
            yield f"127.0.0.1:{port}", environment
        finally:
            ray("stop", "--force")


def test_a_cluster_of_which_a_machine_vanishes_writes_what_one_process_writes(
    inputs: Path, whole: Path, tmp_path: Path, cluster: tuple[str, dict[str, str]]
) -> None:
    address, environment = cluster
    output = tmp_path / "out"
    process = start("score", *options(inputs, output), *RAY, "--address", address, **environment)
    wait_for_shards(output, 5, process)
    machines = processes(r"\S*/raylet ")
    os.kill(machines[-1], signal.SIGKILL)
    code, _, stderr = end(process)
    assert (code, stderr, len(machines)) == (0, [], 2)
    assert files_in(output) == files_in(whole)


def test_an_address_where_nothing_listens_is_refused_at_once(tmp_path: Path) -> None:
    source, address = table(tmp_path / "a.csv", ["a fine film"]), f"127.0.0.1:{free_port()}"
    process = start("score", source, "--run", MODEL, "--output", tmp_path / "out", *RAY, "--address", address)
    message = (
        f"--address {address}: nothing listens there ([Errno 111] Connection refused). Start Ray there, or mend it."
    )
    assert end(process) == (1, "", [message])
