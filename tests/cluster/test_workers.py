"""Two worker processes on this machine train one network: as one process would, and no hang where one is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from conftest import ALONE, QUICK, ROOT, obey_signals, overrides, write_config

SMALL = ["model.embedding_dim=16", "model.units=8", "training.learning_rate=1e-2", "report.baseline=false", ALONE]
NO_DROPOUT = ["model.dropout=0", "model.embedding_dropout=0"]
WAIT = 480  # seconds, in which everything is over on a busy machine


def free_addresses(count: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def start(config: Path, settings: Sequence[str], *options: str, **variables: str) -> subprocess.Popen[str]:
    """Start `train`, which writes the run beside the config."""
    command = [sys.executable, ROOT / "tests" / "devices_driver.py", "train", config, "--run", config.parent / "run"]
    return subprocess.Popen(
        [*map(str, command), *overrides(*settings), *options],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **variables}, text=True, preexec_fn=obey_signals,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@contextmanager
def two_workers(
    folder: Path, sample: str, settings: Sequence[str], *options: str, dies: dict[int, str] | None = None, **own: str
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start two workers; their weights go to 0.npz and 1.npz in the folder.

    Args:
        dies: the step at which a worker is killed, by its number.
        own: a setting of the second worker only.
    """
    addresses = free_addresses(2)
    config = write_config(folder, sample)
    workers = []
    for index in range(2):
        tf_config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        variables = {"TF_CONFIG": json.dumps(tf_config), "TEST_WEIGHTS": str(folder / f"{index}.npz")}
        variables["TEST_DIES_AT"] = (dies or {}).get(index, "0")
        of_second = [f"training.{key}={value}" for key, value in own.items()] if index else []
        workers.append(start(config, [*settings, *of_second], *options, **variables))
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def ends(workers: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Return exit code, stdout and stderr of each worker."""
    return [(worker.wait(WAIT), *worker.communicate()) for worker in workers]


def weights(path: Path) -> list[np.ndarray]:
    """Return the weights that a driver saved, those of each device first."""
    with np.load(path) as arrays:
        return list(arrays.values())


def largest_difference(path: Path, other: Path) -> float:
    return max(np.abs(one - two).max() for one, two in zip(weights(path), weights(other), strict=True))


def one_process(folder: Path, sample: str, settings: Sequence[str]) -> Path:
    """Train in one process; return the folder, which has the run and 0.npz."""
    folder.mkdir()
    with start(write_config(folder, sample), settings, TEST_WEIGHTS=str(folder / "0.npz")) as process:
        assert ends([process])[0][0] == 0
    return folder


@pytest.mark.parametrize(
    ("sample", "settings"),
    [
        ("reviews", ["training.batch_size=33"]),
        ("questions", ["training.class_weight=balanced", "training.optimizer=sgd", "model.pooling=max_mean"]),
        ("topics", ["data.label=labels", 'data.label_separator="|"', "training.batch_size=25", "augment.swap=0.1"]),
    ],
)
def test_two_workers_train_the_network_of_one_process(sample: str, settings: list[str], tmp_path: Path) -> None:
    settings = [*SMALL, *NO_DROPOUT, "training.epochs=2", *settings]
    with two_workers(tmp_path, sample, settings) as workers:
        (code, _, _), (code_of_second, stdout, stderr) = ends(workers)
    assert (code, code_of_second, stdout) == (0, 0, "")
    assert stderr.startswith("worker 1 (127.0.0.1:")
    assert stderr.count("\n") == 1
    assert largest_difference(tmp_path / "0.npz", tmp_path / "1.npz") == 0
    alone = one_process(tmp_path / "alone", sample, settings)
    assert largest_difference(tmp_path / "0.npz", alone / "0.npz") < 1e-5
    assert {path.name for path in tmp_path.iterdir()} == {"0.npz", "1.npz", "alone", f"{sample}.yaml", "run"}
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["device"] == "2 x cpu"


def test_with_dropout_two_workers_learn_as_much(tmp_path: Path) -> None:
    settings = [*SMALL, "training.epochs=5", "data.validation_split=0.5"]
    with two_workers(tmp_path, "reviews", settings) as workers:
        assert [code for code, _, _ in ends(workers)] == [0, 0]
    assert largest_difference(tmp_path / "0.npz", tmp_path / "1.npz") == 0
    alone = one_process(tmp_path / "alone", "reviews", settings)
    one, two = (pd.read_csv(folder / "run" / "history.csv").val_accuracy.max() for folder in (alone, tmp_path))
    assert abs(one - two) < 2 * (one * (1 - one) / 200 * 2) ** 0.5  # two standard errors of a difference over 200 rows


LONG = [*QUICK, "report.baseline=false", "training.epochs=10000", "training.early_stopping=null"]
UNDISTURBED = [*QUICK, "report.baseline=false", "model.dropout=0", "model.input_dropout=0", "training.epochs=4"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of two workers that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with two_workers(folder, "reviews", UNDISTURBED) as workers:
        assert [code for code, _, _ in ends(workers)] == [0, 0]
    return folder


@pytest.mark.parametrize("victim", [0, 1])
def test_where_a_worker_is_killed_the_other_ends_and_both_go_on(victim: int, undisturbed: Path, tmp_path: Path) -> None:
    with two_workers(tmp_path, "reviews", UNDISTURBED, dies={victim: "30"}) as workers:
        results = ends(workers)
    code, stdout, stderr = results[1 - victim]
    assert (results[victim][0], code, stdout) == (-signal.SIGKILL, 1, "")
    message = (
        rf"worker {victim} \(127\S+\) is gone, so worker {1 - victim} \(127\S+\) ends too\. Start all workers again"
    )
    assert re.search(message, stderr)
    assert (tmp_path / "run.partial" / "checkpoint" / "state.npz").exists()
    with two_workers(tmp_path, "reviews", UNDISTURBED, "--resume") as workers:
        (code, _, stderr), (code_of_second, _, _) = ends(workers)
    assert (code, code_of_second) == (0, 0)
    assert "epoch  1" not in stderr
    assert "epoch  4" in stderr
    assert largest_difference(tmp_path / "0.npz", tmp_path / "1.npz") == 0
    assert largest_difference(tmp_path / "0.npz", undisturbed / "0.npz") == 0


def test_where_nothing_is_left_to_train_all_workers_end_well(undisturbed: Path) -> None:
    with two_workers(undisturbed, "reviews", UNDISTURBED, "--resume") as workers:
        (code, _, stderr), (code_of_second, _, _) = ends(workers)
    assert (code, code_of_second) == (0, 0)
    assert stderr.endswith("was complete already\n")


def test_a_worker_that_is_frozen_ends_the_other(tmp_path: Path) -> None:
    with two_workers(tmp_path, "reviews", LONG) as workers:
        assert workers[0].stderr is not None
        assert any(line.startswith("epoch  2") for line in workers[0].stderr)
        workers[1].send_signal(signal.SIGSTOP)
        [(code, stdout, stderr)] = ends(workers[:1])
    assert (code, stdout) == (1, "")
    assert "is gone, so worker 0 (127.0.0.1:" in stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 1)])
def test_a_signal_to_one_worker_ends_both(number: int, code: int, tmp_path: Path) -> None:
    """Ctrl-C keeps the best epoch, as on one device; SIGTERM ends a worker, and so the others."""
    with two_workers(tmp_path, "reviews", LONG) as workers:
        assert workers[0].stderr is not None
        assert any(line.startswith("epoch  2") for line in workers[0].stderr)
        workers[1].send_signal(number)
        (code_of_chief, _, stderr), (code_of_second, _, _) = ends(workers)
    assert (code_of_chief, code_of_second) == (code, 128 + number if code else 0)
    assert (tmp_path / "run" / "metrics.json").exists() == (code == 0)
    assert ("interrupted in epoch" in stderr) == (code == 0)


def test_a_worker_with_other_settings_or_data_is_refused(tmp_path: Path) -> None:
    with two_workers(tmp_path, "reviews", QUICK, seed="7") as workers:
        (code, _, _), (code_of_second, _, stderr) = ends(workers)
    assert (code, code_of_second) == (1, 1)
    assert stderr.splitlines()[1] == (
        "the chief was started with other settings or data: training.seed is 7, was 42. Start all workers with the "
        "same config and files."
    )


def test_a_worker_alone_does_not_wait_for_ever(tmp_path: Path) -> None:
    script = (
        "from textclf.training import cluster; cluster.MEETING_SECONDS = 1; from textclf.cli.main import main; main()"
    )
    addresses = free_addresses(2)
    tf_config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 1}})
    command = [sys.executable, "-c", script, "train", str(write_config(tmp_path, "reviews"))]
    environment = {**os.environ, "TF_CONFIG": tf_config}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (
        1,
        "",
        f"worker 1 ({addresses[1]}) has waited 1 s for worker 0 ({addresses[0]}). Start all workers, where these "
        "addresses can be reached.\n",
    )
