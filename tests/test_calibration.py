"""Temperature and threshold: against their definitions, and through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sk
from conftest import QUICK, SAMPLES, overrides, textclf, write_config

from textclf.evaluation.calibration import choose_threshold, fit_temperature, without_temperature


def test_the_temperature_of_the_logits_is_found() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 1)) * 2
    targets = (rng.random(20_000) < 1 / (1 + np.exp(-logits[:, 0]))).astype(np.int64)
    assert fit_temperature(3 * logits, targets) == pytest.approx(3, rel=0.05)


def test_several_labels_and_several_a_row_have_a_temperature_too() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(20_000, 4)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert fit_temperature(logits / 2, targets) == pytest.approx(0.5, rel=0.05)
    binary = (rng.random((20_000, 4)) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    assert fit_temperature(2 * logits, binary) == pytest.approx(2, rel=0.05)


def test_the_temperature_can_be_taken_back() -> None:
    logits = np.random.default_rng(3).normal(size=(5, 3))
    softmax = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (logits / 2, logits)]
    assert without_temperature(softmax[0], 2, multilabel=False) == pytest.approx(softmax[1])
    sigmoid = [1 / (1 + np.exp(-z)) for z in (logits / 2, logits)]
    assert without_temperature(sigmoid[0], 2, multilabel=True) == pytest.approx(sigmoid[1])


Y_TRUE = np.array([0, 0, 1, 0, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9])
BEST = {
    "accuracy": (0.65, True),  # one positive is missed, which costs as much as to let one negative in; nearer to 0.5
    "f1": (0.25, True),  # 8 / 9 beats 6 / 7
    "precision>=0.9": (0.65, True),
    "recall>=1": (0.25, True),
    "recall>=0.7": (0.65, True),
}


@pytest.mark.parametrize("aim", BEST)
def test_the_threshold_serves_its_aim(aim: str) -> None:
    threshold, reached = choose_threshold(aim, Y_TRUE, SCORES)
    assert (pytest.approx(threshold), reached) == BEST[aim]


def test_an_aim_out_of_reach_gives_the_nearest_threshold() -> None:
    threshold, reached = choose_threshold("precision>=0.9", np.array([0, 1, 0]), np.array([0.2, 0.5, 0.9]))
    assert (threshold, reached) == (0.35, False)


def test_without_a_positive_row_or_a_score_inside_the_threshold_is_a_half() -> None:
    assert choose_threshold("recall>=0.9", np.array([0, 0]), np.array([0.4, 0.6])) == (0.5, False)
    assert choose_threshold("f1", np.array([0, 1]), np.array([0.0, 0.0])) == (0.5, True)


def test_a_chosen_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(4)
    y_true, scores = rng.integers(0, 2, 50), rng.random(50)
    best, _ = choose_threshold("f1", y_true, scores)
    f1 = {threshold: sk.f1_score(y_true, scores >= threshold) for threshold in [best, *np.linspace(0, 1, 201)]}
    assert f1[best] == max(f1.values())


def test_a_run_keeps_its_threshold_and_predict_uses_it(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews", "decision:", "  aim: recall>=0.99")
    result = textclf("train", config, "--run", tmp_path / "run", "--json", *overrides(*QUICK))
    document = json.loads(result.stdout)
    threshold = json.loads((tmp_path / "run" / "model" / "model.json").read_text())["threshold"]
    assert document["threshold"]["value"] == threshold != 0.5
    assert document["labels"]["positive"]["recall"] == 1
    assert document["decision"]["aim"] == "recall>=0.99"
    assert set(document["threshold"]["metrics_at_half"]) == set(document["metrics"])
    lines = SAMPLES / "lines.txt"
    rows = [
        json.loads(line)
        for line in textclf("predict", lines, "--run", tmp_path / "run", "-f", "jsonl").stdout.splitlines()
    ]
    assert all((row["label"] == "positive") == (row["probabilities"]["positive"] >= threshold) for row in rows)


def test_an_aim_needs_a_threshold_that_decides(tmp_path: Path) -> None:
    config = write_config(tmp_path, "questions", "decision:", "  aim: f1")
    result = textclf("train", config, "--run", tmp_path / "run")
    expected = (
        "decision.aim: there are 4 labels, of which each row gets the most probable: no threshold decides. "
        "Leave the key out.\n"
    )
    assert (result.exit_code, result.stderr) == (1, expected)


def test_a_misspelt_aim_is_shown_with_its_place(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews", "decision:", "  aim: precision>0.9")
    result = textclf("check", config)
    said = 'should be such as f1, accuracy, precision>=0.9, recall>=0.9, found "precision>0.9"'
    assert (result.exit_code, result.stderr) == (1, f"{config}:4:3: decision.aim: {said}\n")


def test_calibration_can_be_left_out(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews", "decision:", "  calibrate: false")
    result = textclf("train", config, "--run", tmp_path / "run", "--json", *overrides(*QUICK, "training.epochs=1"))
    document = json.loads(result.stdout)
    assert document["decision"]["temperature"] == 1
    before, after = (
        document["decision"]["expected_calibration_error_before"],
        document["metrics"]["expected_calibration_error"],
    )
    assert before == pytest.approx(after)


def test_labels_below_the_least_confidence_are_left_empty(reviews: Path) -> None:
    arguments = ("predict", SAMPLES / "lines.txt", "--run", reviews)
    lines = [line.split("\t") for line in textclf(*arguments).stdout.splitlines()]
    middle = sorted(float(share) for _, share in lines)[len(lines) // 2] - 1e-6  # six decimals are printed
    sure = [line.split("\t") for line in textclf(*arguments, "--min-confidence", middle).stdout.splitlines()]
    assert sure == [[label if float(share) >= middle else "", share] for label, share in lines]
