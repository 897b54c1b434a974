"""Devices that train together: who takes part, by the environment, and two on one machine beside one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ALONE, QUICK, ROOT, overrides, textclf, write_config

from textclf.config.schema import TrainingOptions
from textclf.errors import UserError
from textclf.training.cluster import Cluster, find_cluster

WORKERS = TrainingOptions(strategy="workers")
SLURM = {
    "SLURM_JOB_ID": "7001", "SLURM_PROCID": "3", "SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "gpu[08-09,11],big",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1,1",
}  # fmt: skip


def tf_config(index: int, *, task: str = "worker", **jobs: list[str]) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": task, "index": index}})}


def test_the_chief_of_tf_config_is_the_first_worker() -> None:
    two = ["10.0.0.1:4000", "10.0.0.2:4000"]
    assert find_cluster(WORKERS, tf_config(1, worker=two)) == Cluster(tuple(two), 1)
    assert find_cluster(WORKERS, tf_config(0, chief=["a:1"], worker=["b:1"])) == Cluster(("a:1", "b:1"), 1)
    assert find_cluster(WORKERS, tf_config(0, task="chief", chief=["a:1"], worker=["b:1"])) == Cluster(
        ("a:1", "b:1"), 0
    )


def test_auto_trains_with_the_workers_of_tf_config_but_not_with_slurms_tasks() -> None:
    auto, one = TrainingOptions(), TrainingOptions(strategy="one")
    two = tf_config(0, worker=["a:1", "b:1"])
    assert find_cluster(auto, two) == Cluster(("a:1", "b:1"), 0)
    assert find_cluster(one, two) is None
    assert find_cluster(auto, tf_config(0, worker=["a:1"])) is None
    assert find_cluster(auto, {"TF_CONFIG": "{}"}) is None
    assert find_cluster(auto, SLURM) is None


def test_slurms_tasks_are_workers_in_the_order_of_their_nodes() -> None:
    addresses = ("gpu08:22016", "gpu08:22017", "gpu09:22016", "gpu09:22017", "gpu11:22016", "big:22016")
    assert find_cluster(WORKERS, SLURM) == Cluster(addresses, 3)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG is damaged: Expecting property name enclosed in double quotes"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG is damaged: 'list' object has no attribute 'get'"),
        (tf_config(2, worker=["a:1", "b:1"]), "TF_CONFIG: an address is no HOST:PORT, or no worker has its index; "),
        (tf_config(0, worker=["a", "b"]), "TF_CONFIG: an address is no HOST:PORT, or no worker has its index; "),
        (tf_config(0, worker=["a:1"], ps=["b:1"]), "TF_CONFIG: it names ps; textclf takes a cluster of chief and "),
        (tf_config(0, worker=["a:1"]), "training.strategy is 'workers', and there is one only. Set it to auto."),
        ({**SLURM, "SLURM_NODEID": "0"}, "Slurm has dealt the tasks in turns. Start them with srun --distribution="),
        ({**SLURM, "SLURM_PROCID": "x"}, "Slurm's variables are damaged or incomplete: invalid literal for int()"),
    ],
)
def test_what_names_the_workers_is_checked(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        find_cluster(WORKERS, environment)
    assert str(raised.value).startswith(message)


def test_workers_that_nothing_names_are_refused(tmp_path: Path) -> None:
    result = textclf("train", write_config(tmp_path, "reviews"), *overrides("training.strategy=workers"))
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "training.strategy is 'workers', and neither TF_CONFIG nor Slurm's variables say which workers there are. Set "
        'TF_CONFIG to {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}, the '
        "index another one for each process, or start them with srun. For one machine set training.strategy to auto.\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.yaml"]


def test_mirrored_needs_two_gpus(tmp_path: Path) -> None:
    settings = overrides(*QUICK, "training.strategy=mirrored", "training.device=cpu")
    result = textclf("train", write_config(tmp_path, "reviews"), "--run", tmp_path / "run", *settings)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        "training.strategy is 'mirrored', which needs two GPUs or more; TensorFlow may use 0. Set it to auto or one."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.yaml"]


def test_several_devices_and_accumulated_batches_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, "reviews", "training:", "  accumulate: 2")
    result = textclf("train", config, *overrides("training.strategy=mirrored"))
    assert (result.exit_code, result.stderr) == (
        1,
        f"{config}:3:1: training: strategy: mirrored needs accumulate: 1, found 2; devices share a batch anyway\n",
    )
    monkeypatch.setenv("TF_CONFIG", tf_config(0, worker=["a:1", "b:1"])["TF_CONFIG"])
    result = textclf("train", config)
    assert (result.exit_code, result.stderr) == (
        1,
        "training.accumulate: found 2; 2 workers take a part of each batch anyway. Set it to 1 and training.batch_size "
        "to what all workers hold together.\n",
    )


def test_verify_trains_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config(1, worker=["a:1", "b:1"])["TF_CONFIG"])
    result = textclf("train", write_config(tmp_path, "reviews"), "--verify")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "--verify trains in one process, and several workers are named. Add --set training.strategy=one\n",
    )


def weights(path: Path) -> list[np.ndarray]:
    """Return the weights that a driver saved, those of each device first."""
    with np.load(path) as arrays:
        return list(arrays.values())


def train(folder: Path, name: str, *settings: str, **variables: str) -> subprocess.CompletedProcess:
    """Train a small network; its weights go to NAME.npz."""
    command = [sys.executable, ROOT / "tests" / "devices_driver.py", "train", write_config(folder, "reviews")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TEST_WEIGHTS": str(folder / f"{name}.npz"), **variables}
    return subprocess.run(
        [*map(str, command), "--run", str(folder / name), *overrides(*settings)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip


@pytest.mark.slow
def test_two_devices_of_a_machine_train_the_network_of_one(tmp_path: Path) -> None:
    """With dropout too: it differs by device, and the copies of the network do not."""
    settings = [
        ALONE,
        "report.baseline=false",
        "model.embedding_dim=16",
        "model.units=8",
        "training.learning_rate=1e-2",
    ]
    settings += ["training.epochs=2", "training.batch_size=33"]
    still = [*settings, "model.dropout=0", "model.embedding_dropout=0"]
    train(tmp_path, "one", *still)
    result = train(tmp_path, "two", *still, "training.strategy=mirrored", TEST_GPUS="2")
    assert "each batch is dealt to 2 GPUs\n" in result.stderr
    one, two = weights(tmp_path / "one.npz"), weights(tmp_path / "two.npz")
    assert all(len(copies) == 2 and np.array_equal(*copies) for copies in two)
    assert max(np.abs(own - copies).max() for own, copies in zip(one, two, strict=True)) < 1e-5
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["device"] == "2 x cpu"
    train(tmp_path, "dropout", *settings, TEST_GPUS="2")  # auto
    assert all(len(copies) == 2 and np.array_equal(*copies) for copies in weights(tmp_path / "dropout.npz"))
