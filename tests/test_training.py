"""The training loop: batches, weights, schedules, stopping, and how it shows itself."""

import csv
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import QUICK, ROOT, SAMPLES, overrides, textclf, write_config
from test_mlp import Silent

from textclf.cli.progress import LogCallback
from textclf.config.schema import TrainingOptions
from textclf.errors import UserError
from textclf.models.architecture import Shape
from textclf.models.mlp.network import MlpOptions, build_mlp, mlp_weights
from textclf.text.encoding import TokenIds
from textclf.training.loop import Examples, Step, batches, build_optimizer, fit, loss_weights


def test_a_batch_holds_rows_of_similar_length_and_every_row_comes_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1003)
    found = list(batches(lengths, 32, np.random.default_rng([42, 1])))
    assert sorted(np.concatenate(found)) == list(range(1003))
    assert [len(rows) for rows in found].count(32) == 31
    assert np.mean([np.ptp(lengths[rows]) for rows in found]) < 10


def test_batches_differ_from_epoch_to_epoch_and_are_the_same_for_a_seed() -> None:
    lengths = np.ones(100, int)
    one, same, other = (list(batches(lengths, 10, np.random.default_rng([1, epoch]))) for epoch in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_balanced_weights_give_each_label_the_same_say() -> None:
    assert loss_weights(np.array([0, 0, 0, 1]), "balanced") == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    several = loss_weights(np.array([[1, 0], [0, 0], [0, 1], [0, 1]]), "balanced")
    assert several == pytest.approx(np.array([[2, 1], [2 / 3, 1], [2 / 3, 1], [2 / 3, 1]]))
    assert loss_weights(np.array([0, 1]), None).tolist() == [1, 1]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_cosine_falls_from_the_learning_rate_to_0(optimizer: str) -> None:
    built = build_optimizer(TrainingOptions(optimizer=optimizer, learning_rate=0.5), total_steps=10)  # type: ignore[arg-type]
    schedule = built._learning_rate
    assert [float(schedule(step)) for step in (0, 5, 10)] == pytest.approx([0.5, 0.25, 0])


@pytest.mark.parametrize(
    ("schedule", "after"),
    [
        ("constant", [0.4] * 7),
        ("linear", [0.4, 0.4 * 5 / 6, 0.4 * 4 / 6, 0.2, 0.4 * 2 / 6, 0.4 / 6, 0]),
        ("cosine", [0.2 * (1 + np.cos(np.pi * step / 6)) for step in range(7)]),
    ],
)
def test_the_rate_rises_in_a_straight_line_and_then_follows_its_schedule_over_the_rest(
    schedule: Any, after: list[float]
) -> None:
    options = TrainingOptions(learning_rate=0.4, schedule=schedule, warmup=0.4)
    rate = build_optimizer(options, total_steps=10)._learning_rate
    assert [float(rate(step)) for step in range(11)] == pytest.approx([0.1, 0.2, 0.3, 0.4, *after], abs=1e-6)


def changes(*, rows: int = 16, encoder_rate: float | None = None, **options: Any) -> dict[str, np.ndarray]:
    """Train a small network for an epoch on 16 rows; return by how much each weight has changed.

    Args:
        rows: in a batch.
    """
    network = build_mlp(
        MlpOptions(type="mlp", features="count", hidden=[6], dropout=0, input_dropout=0), Shape(12, 3, "softmax")
    )
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.5, weight.shape) for weight in network.get_weights()])
    before = mlp_weights(network)
    lengths = rng.integers(3, 9, 16)
    train = Examples(TokenIds(rng.integers(1, 12, lengths.sum()), lengths, lengths), rng.integers(0, 3, 16))
    training = TrainingOptions(epochs=1, batch_size=rows, **{"schedule": "constant", **options})
    fit(network, train, train, training, Silent(), encoder_rate=encoder_rate)
    return {name: weight - before[name] for name, weight in mlp_weights(network).items()}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_two_batches_accumulated_make_the_step_of_one(optimizer: str) -> None:
    expected = changes(optimizer=optimizer, learning_rate=0.01)
    assert min(np.abs(change).max() for change in expected.values()) > 1e-5
    found = changes(optimizer=optimizer, learning_rate=0.01, rows=8, accumulate=2)
    assert {name: np.abs(found[name] - expected[name]).max() for name in expected} == pytest.approx(
        dict.fromkeys(expected, 0), abs=1e-6
    )


def test_more_accumulated_batches_than_there_are_is_refused() -> None:
    message = "training.accumulate: found 3, and all epochs have 2 batches: no step would be made. Set less."
    with pytest.raises(UserError, match=f"^{message}$"):
        changes(rows=8, accumulate=3)


def test_an_encoder_has_a_learning_rate_of_its_own() -> None:
    """The first step of Adam is the learning rate, whatever the gradient."""
    largest = {name: np.abs(change).max() for name, change in changes(learning_rate=0.01, encoder_rate=0.001).items()}
    assert largest == pytest.approx(
        {"embedding": 0.001, "hidden_1.bias": 0.001, "logits.kernel": 0.01, "logits.bias": 0.01}, rel=0.01
    )


@pytest.mark.parametrize("encoder_rate", [None, 0.01])
def test_weights_decay_but_no_biases_of_an_encoder(encoder_rate: float | None) -> None:
    options: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 0.01, "encoder_rate": encoder_rate}
    decayed, plain = (changes(weight_decay=decay, **options) for decay in (0.5, 0.0))
    by_decay = {name for name in plain if np.abs(decayed[name] - plain[name]).max() > 1e-4}
    matrices = {"embedding", "hidden_1.bias", "logits.kernel"}  # this bias is a table with one row
    assert by_decay == matrices if encoder_rate else by_decay == matrices | {"logits.bias"}


class Clock:
    """A clock that a test sets."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("a_step", "first", "expected"),
    [
        (3.0, 1, "training takes about 10 min more on this machine\n"),
        (30.0, 1, "training takes about 1.6 h more on this machine\n"),
        (3.0, 171, "training takes about 1 min more on this machine\n"),
        (0.1, 1, ""),
        (3.0, 185, ""),
    ],
    ids=["minutes", "hours", "resumed within the last epoch", "soon done", "resumed near the end"],
)
def test_a_log_says_once_how_long_a_long_training_takes(
    a_step: float, first: int, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs of 100 steps; the first two steps of the process take as long as TensorFlow compiles them."""
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    callback = LogCallback()
    for number in range(first, 201):
        clock.seconds += a_step if number > first + 1 else 60
        callback.on_step(Step(1 + (number - 1) // 100, 2, 1 + (number - 1) % 100, 100, 0.5))
    callback.close()
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_the_fused_optimizer_takes_keras_steps(name: str) -> None:
    import keras
    import tensorflow as tf

    from textclf.training.optimizers import Adam

    def after_steps(kind: Any, gradient: Any) -> Any:
        optimizer, variable = kind(0.1), keras.Variable(tf.ones((3, 2)))
        for _ in range(3):
            optimizer.apply([gradient], [variable])
        return variable.numpy()

    # row 1 twice: where a word occurs twice in a batch, its gradients are one sum
    rows = tf.IndexedSlices(tf.constant([[1.0, 2], [3, 4], [5, 6]]), tf.constant([0, 1, 1]), tf.constant([3, 2]))
    expected = after_steps(getattr(keras.optimizers, name), tf.convert_to_tensor(rows))
    fused = partial(Adam, decay=0.004) if name == "AdamW" else Adam
    assert after_steps(fused, rows) == pytest.approx(expected, abs=1e-5)


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_the_best_epoch_is_kept(monitor: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews")
    settings = (*QUICK, "training.epochs=8", "training.learning_rate=0.1", f"training.monitor={monitor}")
    result = textclf(
        "train", config, "--run", tmp_path / "run", "--json", *overrides(*settings, "report.baseline=false")
    )
    epochs = history(tmp_path / "run")
    scores = [float(epoch[monitor]) for epoch in epochs]
    best = scores.index(min(scores) if monitor == "val_loss" else max(scores))
    assert f'"best_epoch": {best + 1},' in result.stdout
    assert len(epochs) in (8, best + 1 + 2)
    if monitor == "val_accuracy":
        assert f'"accuracy": {scores[best]},' in result.stdout


def test_a_gpu_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews", "training:", "  device: gpu")
    result = textclf("train", config, "--run", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "training.device is 'gpu', and TensorFlow finds none. On Linux with an NVIDIA driver: "
        "pip install 'tensorflow[and-cuda]>=2.21'. Else set training.device to auto or cpu."
    )
    assert not (tmp_path / "run").exists()


def start_training(folder: Path, *settings: str) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "textclf",
        "train",
        str(ROOT / "configs" / "sample.yaml"),
        "--run",
        str(folder / "run"),
    ]
    settings = (f"data.train={SAMPLES}/reviews.csv", "training.early_stopping=null", *settings)
    return subprocess.Popen(
        [*command, *overrides(*settings)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_so_far(tmp_path: Path) -> None:
    with start_training(tmp_path, "training.epochs=10000") as process:
        assert process.stderr
        lines = iter(process.stderr.readline, "")
        talk = [line for line, _ in zip(lines, range(3), strict=False)]
        assert talk[-1].startswith("epoch  1 ")
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        talk += process.stderr.readlines()
    assert process.returncode == 0
    [said] = [line for line in talk if line.startswith("warning: interrupted")]
    epochs = history(tmp_path / "run")
    best = min(epochs, key=lambda epoch: float(epoch["val_loss"]))["epoch"]
    assert said == f"warning: interrupted in epoch {len(epochs)}; keeping epoch {best}, the best so far\n"
    assert (tmp_path / "run" / "metrics.json").is_file()


@pytest.mark.slow
def test_a_log_has_one_line_an_epoch_and_nothing_of_tensorflow(tmp_path: Path) -> None:
    with start_training(tmp_path, "training.epochs=2") as process:
        _, talk = process.communicate()
    starts = [line.split("  ")[0] for line in talk.splitlines()]
    assert starts == [
        "360 rows to train on, 40 to validate on, 2 labels",
        talk.splitlines()[1],
        "epoch",
        "epoch",
        f"wrote {tmp_path}/run; open {tmp_path}/run/report.html",
    ]
