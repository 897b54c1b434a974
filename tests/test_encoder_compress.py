"""Smaller runs of one with a pretrained encoder, several seeds of it, and the search over its settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from conftest import HEAD, SAMPLES, CopyRun, encoder_settings, overrides, textclf, write_config
from faults import contents

from textclf.compression import encoder_students
from textclf.config.load import load_saved_config
from textclf.inference.classifier import load_classifier


@pytest.fixture(scope="module")
def encoder(copy_run: CopyRun) -> Path:
    return copy_run("encoder")


@pytest.fixture(scope="module")
def topics(copy_run: CopyRun) -> Path:
    return copy_run("encoder_topics")


@pytest.fixture(autouse=True)
def _few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_students, "COPIES", 1)


def compress(run: Path, folder: Path, *options: str | Path) -> Result:
    return textclf("compress", "--run", run, "--output", folder / "small", "--max-loss", "1", *options)


def document(run: Path, name: str = "metrics.json") -> dict:
    return json.loads((run / name).read_text(encoding="utf-8"))


def size(run: Path) -> int:
    return sum(path.stat().st_size for path in (run / "model").iterdir())


def check_run(small: Path, original: Path) -> None:
    """It is a run like any other."""
    metrics = document(small)
    assert metrics["compression"]["bytes"] == {"original": size(original), "compressed": size(small)}
    assert size(small) < size(original)
    assert textclf("check", small).exit_code == 0
    again = textclf("evaluate", "--run", small)
    assert (again.exit_code, document(small)) == (0, metrics)
    assert textclf("compare", small, original).exit_code == 0


@pytest.mark.parametrize(("method", "error"), [("float16", 1e-3), ("int8", 0.05)])
def test_the_weights_in_fewer_bits(method: str, error: float, encoder: Path, tmp_path: Path) -> None:
    result = compress(encoder, tmp_path, "--method", method)
    assert result.exit_code == 0, result.output
    small = tmp_path / "small"
    assert f"Made of encoder by {method}: model/ has {size(small):,} bytes" in result.stdout
    assert document(small)["parity"] < (0.01 if method == "int8" else 1e-5)
    lines = (SAMPLES / "lines.txt").read_text(encoding="utf-8").splitlines()
    before, after = (load_classifier(run).predict_proba(lines) for run in (encoder, small))
    assert np.abs(before - after).max() < error
    alone = np.concatenate([load_classifier(small).predict_proba([line]) for line in lines])
    assert np.abs(alone - after).max() < 1e-6  # each token has its own scale
    assert (small / "model" / "tokenizer.json").read_bytes() == (encoder / "model" / "tokenizer.json").read_bytes()
    check_run(small, encoder)


def test_an_encoder_is_not_pruned(encoder: Path, tmp_path: Path) -> None:
    result = compress(encoder, tmp_path, "--method", "prune")
    assert (result.exit_code, result.stdout, list(tmp_path.iterdir())) == (1, "", [])
    assert result.stderr.splitlines()[-1] == (
        "--method prune: a pretrained encoder keeps its size. Use distill, which makes a small network."
    )


@pytest.mark.parametrize(
    ("name", "student", "kind", "unlabelled"),
    [("encoder", "small", "bilstm", True), ("encoder", "bag", "mlp", False), ("topics", "bag", "mlp", True)],
)
def test_a_student_reads_words(
    name: str, student: str, kind: str, unlabelled: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(name)
    further = ["--unlabelled", SAMPLES / "lines.txt"] if unlabelled else []
    result = compress(run, tmp_path, "--method", "distill", "--student", student, "--keep", "0.02", *further)
    assert result.exit_code == 0, result.output
    small = tmp_path / "small"
    config, description = load_saved_config(small / "config.yaml"), load_classifier(small).description
    assert (config.model.type, config.model.blend, description.piece_count) == (kind, "linear", None)
    assert description.network_limits is not None
    assert description.network_limits.first_piece is None
    assert sorted(path.name for path in (small / "model").iterdir()) == ["model.json", "model.onnx"]
    assert document(small)["compression"].get("unlabelled texts") == (12 if unlabelled else None)
    check_run(small, run)


def test_a_budget_takes_the_best_that_fits(copy_run: CopyRun, tmp_path: Path) -> None:
    run = copy_run("encoder_head")
    result = compress(run, tmp_path, "--budget", "25KB", "--method", "distill", "--student", "bag")
    assert result.exit_code == 0, result.output
    assert size(tmp_path / "small") <= 25_000
    assert load_saved_config(tmp_path / "small" / "config.yaml").model.blend is None
    check_run(tmp_path / "small", run)


def test_formats_of_keras_say_that_they_compute_without_integers(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compress(encoder, tmp_path, "--method", "int8").exit_code == 0
    monkeypatch.setattr("textclf.export.export.PARITY_LIMIT", 0.0)
    arguments = ("export", "--run", tmp_path / "small", "--format", "keras", "--output", tmp_path / "a.keras")
    result = textclf(*arguments)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "so nothing was written. An int8 encoder computes with integers in model/, and not in this format. Export the "
        "run before int8.\n"
    )


# Several seeds, and a search


def test_several_seeds_are_one_model(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews")
    chosen = overrides(*encoder_settings(tmp_path / "tiny"), "training.epochs=1", "report.baseline=false", HEAD[1])
    run = tmp_path / "run"
    result = textclf("train", config, "--run", run, "--seeds", "2", "--ensemble", *chosen)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("computes the vectors") == 1  # all seeds have the same rows
    assert not [name for name in contents(run) if "checkpoint" in name]
    metrics = document(run)
    assert metrics["parity"] < 1e-5
    assert textclf("evaluate", "--run", run).exit_code == 0
    assert document(run) == metrics
    assert compress(run, tmp_path, "--method", "int8").exit_code == 0
    check_run(tmp_path / "small", run)


SPACE = "tune:\n  model.trainable: [head, last_1]\n  model.encoder_learning_rate: {low: 1e-4, high: 1e-2, log: true}"


def test_tune_searches_what_is_trained_and_how_fast(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    config = write_config(tmp_path, "questions", SPACE)
    chosen = overrides(*encoder_settings(tmp_path / "tiny"), "training.epochs=1", "report.baseline=false")
    result = textclf("tune", config, "--run", tmp_path / "tuned", "--trials", "3", *chosen)
    assert result.exit_code == 0, result.output
    trials = document(tmp_path / "tuned", "tuning.json")["trials"]
    assert all({*trial["settings"]} == {"model.trainable", "model.encoder_learning_rate"} for trial in trials)
    assert trials[0]["settings"] == {"model.trainable": "all", "model.encoder_learning_rate": 1e-3}
    assert {trial["settings"]["model.trainable"] for trial in trials[1:]} <= {"head", "last_1"}
    best = tmp_path / "tuned" / "best"
    assert (best / "model" / "tokenizer.json").is_file()
    assert textclf("check", best).exit_code == 0
