"""Runs that many tests read: small networks trained once on the samples in data/sample."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from textclf.cli.main import main

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "data" / "sample"

LEARNING = ["training.epochs=3", "training.learning_rate=1e-2"]
SMALL = ["model.embedding_dim=16", "model.units=8", *LEARNING]
# Where the network does not matter: to trace this one takes half the time.
QUICK = ["model.type=mlp", "model.features=embedding", "model.embedding_dim=16", "model.hidden=[8]", *LEARNING]


def textclf(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    """What the command line does, in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)


def textclf_process(*arguments: str | Path, cwd: Path | None = None, **options: object) -> subprocess.CompletedProcess:
    """What the command line does, in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "textclf", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False, **options)


def textclf_begun(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """The command line in a process that goes on meanwhile, and obeys signals even where the tests run without."""
    command = [sys.executable, "-m", "textclf", *map(str, arguments)]
    obey = {} if os.name == "nt" else {"preexec_fn": obey_signals}
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **{**obey, **options})


def obey_signals() -> None:
    """What `nohup` and a shell's `&` take away."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def overrides(*settings: str) -> list[str]:
    """The settings as --set arguments."""
    return [part for setting in settings for part in ("--set", setting)]


def write_config(folder: Path, sample: str, *extra: str) -> Path:
    """A config in the folder that trains on a sample."""
    config = folder / f"{sample}.yaml"
    config.write_text("\n".join([f"data:\n  train: {SAMPLES / sample}.csv", *extra]) + "\n", encoding="utf-8")
    return config


def trained(folder: Path, sample: str, *settings: str, extra: tuple[str, ...] = ()) -> Path:
    """A run in the folder, trained on a sample."""
    run = folder / sample
    config = write_config(folder, sample, *extra)
    result = textclf("train", config, "--run", run, *overrides(*SMALL, *settings))
    assert result.exit_code == 0, result.output
    return run


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two labels."""
    return trained(tmp_path_factory.mktemp("runs"), "reviews")


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with four labels, max and mean pooling, balanced class weights."""
    settings = ("model.pooling=max_mean", "training.class_weight=balanced", "training.optimizer=adamw")
    return trained(tmp_path_factory.mktemp("runs"), "questions", *settings)


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with several labels a row."""
    settings = ("data.label=labels", 'data.label_separator="|"', "model.pooling=max", "report.baseline=true")
    return trained(tmp_path_factory.mktemp("runs"), "topics", *settings)


@pytest.fixture(scope="session")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of bags of words and of pairs, with four labels."""
    folder = tmp_path_factory.mktemp("runs")
    settings = ("model.type=mlp", "model.ngrams=2", "model.buckets=1000", "model.hidden=[16, 8]")
    config = write_config(folder, "questions")
    result = textclf("train", config, "--run", folder / "bags", *overrides(*LEARNING, *settings))
    assert result.exit_code == 0, result.output
    return folder / "bags"
