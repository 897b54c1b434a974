"""Commands run in this process or in one of their own, and small runs that many tests read."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from textclf.cli.main import main

for name in ("TEXTCLF_VECTORS", "TEXTCLF_ENCODER"):
    os.environ.pop(name, None)  # `init` would find the developer's word vectors and encoders

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "data" / "sample"

LEARNING = ["training.epochs=3", "training.learning_rate=1e-2"]
ALONE = "model.blend=null"
SMALL = ["model.embedding_dim=16", "model.units=8", *LEARNING]
# For tests to which the network does not matter: TensorFlow traces this one in half the time.
QUICK = ["model.type=mlp", "model.features=embedding", "model.embedding_dim=16", "model.hidden=[8]", ALONE, *LEARNING]


def textclf(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)


def textclf_process(*arguments: str | Path, cwd: Path | None = None, **options: object) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "textclf", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False, **options)


def start_textclf(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command line in a process that runs beside the test and obeys signals."""
    command = [sys.executable, "-m", "textclf", *map(str, arguments)]
    obey = {} if os.name == "nt" else {"preexec_fn": obey_signals}
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **{**obey, **options})


def obey_signals() -> None:
    """Undo what `nohup` and a shell's `&` do: let signals end the process."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def overrides(*settings: str) -> list[str]:
    """Return the settings as --set arguments."""
    return [part for setting in settings for part in ("--set", setting)]


def write_config(folder: Path, sample: str, *extra: str) -> Path:
    """Write a config that trains on a sample."""
    config = folder / f"{sample}.yaml"
    config.write_text("\n".join([f"data:\n  train: {SAMPLES / sample}.csv", *extra]) + "\n", encoding="utf-8")
    return config


def trained(folder: Path, sample: str, *settings: str, network: Sequence[str] = SMALL, name: str | None = None) -> Path:
    """Train a run on a sample; it has the sample's name unless another is given."""
    run = folder / (name or sample)
    result = textclf("train", write_config(folder, sample), "--run", run, *overrides(*network, *settings))
    assert result.exit_code == 0, result.output
    return run


# Plots take half the time of a small training, so that tests draw them only where they look at them

DRAWN = ContextVar("DRAWN", default=True)


@pytest.fixture(scope="session", autouse=True)
def figures() -> Iterator[None]:
    """Leave the plots out of reports while DRAWN is false."""
    from textclf.evaluation import run_report  # imports scikit-learn, which xdist's controller has no use for

    real = run_report.figures

    def drawn_or_empty(*arguments: Any) -> dict[str, str]:
        return real(*arguments) if DRAWN.get() else defaultdict(str)

    with patch.object(run_report, "figures", drawn_or_empty):
        yield


@pytest.fixture(autouse=True)
def plots(request: pytest.FixtureRequest) -> Iterator[None]:
    """Draw plots in tests that are marked with `plots`; fixtures of a module or of the session draw theirs anyway."""
    token = DRAWN.set(request.node.get_closest_marker("plots") is not None)
    yield
    DRAWN.reset(token)


# Runs that are trained once


def trained_encoder(folder: Path, sample: str, *settings: str, name: str) -> Path:
    """Train a run with a tiny pretrained encoder, whose folder is gone where the run is copied to."""
    return trained(folder, sample, *settings, network=encoder_settings(folder / "tiny"), name=name)


def encoder_settings(folder: Path) -> list[str]:
    """Write a tiny pretrained encoder to a folder; return settings that train on it."""
    from tiny_encoders import write_tiny_encoder

    write_tiny_encoder(folder, "bert", hidden=8, layers=1, intermediate=8, positions=24)
    return ["model.type=encoder", f"model.encoder={folder}", "text.max_length=24", *ENCODER_LEARNING]


ENCODER_LEARNING = ["training.epochs=2", "training.learning_rate=1e-2", "model.encoder_learning_rate=1e-3"]
HEAD = (ALONE, "model.trainable=head")
LAST = ("data.label=labels", 'data.label_separator="|"', "model.trainable=last_1")
QUESTIONS = (ALONE, "model.pooling=max_mean", "training.class_weight=balanced", "training.optimizer=adamw")
TOPICS = ("data.label=labels", 'data.label_separator="|"', "model.pooling=max")
BAGS = (*LEARNING, "model.type=mlp", "model.ngrams=2", "model.buckets=1000", "model.hidden=[16, 8]")
RUNS: dict[str, Callable[[Path], Path]] = {
    "reviews": lambda folder: trained(folder, "reviews"),
    "questions": lambda folder: trained(folder, "questions", *QUESTIONS),
    "topics": lambda folder: trained(folder, "topics", *TOPICS),
    "bags": lambda folder: trained(folder, "questions", network=BAGS, name="bags"),
    "quick": lambda folder: trained(folder, "reviews", network=QUICK, name="quick"),
    "encoder": lambda folder: trained_encoder(folder, "reviews", "model.trainable=all", name="encoder"),
    "encoder_head": lambda folder: trained_encoder(folder, "questions", *HEAD, name="encoder_head"),
    "encoder_topics": lambda folder: trained_encoder(folder, "topics", *LAST, name="encoder_topics"),
}
CopyRun = Callable[[str], Path]


@pytest.fixture(scope="session")
def copy_run(tmp_path_factory: pytest.TempPathFactory) -> CopyRun:
    """A function that copies one of RUNS, which the first worker that needs it trains for all workers."""
    own = tmp_path_factory.getbasetemp()
    common = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    common.mkdir(exist_ok=True)

    def copy(name: str) -> Path:
        with FileLock(common / f"{name}.lock"):
            if not (common / name).exists():
                begun = Path(tempfile.mkdtemp(dir=common))
                token = DRAWN.set(True)
                RUNS[name](begun)
                DRAWN.reset(token)
                begun.rename(common / name)
        return shutil.copytree(common / name, tmp_path_factory.mktemp("runs"), dirs_exist_ok=True) / name

    return copy


# A copy for each worker, so that a test may write into a run while another worker reads it


@pytest.fixture(scope="session")
def reviews(copy_run: CopyRun) -> Path:
    """A run with two labels."""
    return copy_run("reviews")


@pytest.fixture(scope="session")
def questions(copy_run: CopyRun) -> Path:
    """A run with four labels, max and mean pooling, balanced class weights."""
    return copy_run("questions")


@pytest.fixture(scope="session")
def topics(copy_run: CopyRun) -> Path:
    """A run with several labels per row."""
    return copy_run("topics")


@pytest.fixture(scope="session")
def bags(copy_run: CopyRun) -> Path:
    """A run of bags of words and of pairs, with four labels."""
    return copy_run("bags")


@pytest.fixture(scope="session")
def evaluated(copy_run: CopyRun) -> Path:
    """A run with two labels and an evaluation."""
    run = copy_run("reviews")
    assert textclf("evaluate", SAMPLES / "reviews.csv", "--run", run).exit_code == 0
    return run
