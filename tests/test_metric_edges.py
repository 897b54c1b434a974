"""Metrics of rows that lack a label or have only one, and of hardly any rows; labels without validation rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES, overrides, textclf

from textclf.evaluation.bootstrap import resampled_metrics
from textclf.evaluation.metrics import compute_metrics

MACRO = ("precision_macro", "recall_macro", "f1_macro")


def evaluate(run: Path, rows: str, folder: Path, *options: str) -> str:
    """Return stdout of `evaluate` on rows of text and label."""
    (folder / "new.csv").write_text(f"text,label\n{rows}")
    result = textclf("evaluate", folder / "new.csv", "--run", run / "model", *options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def evaluated(run: Path, rows: str, folder: Path) -> dict[str, Any]:
    return json.loads(evaluate(run, rows, folder, "--json"))


def table(run: Path, rows: str, folder: Path) -> dict[str, str]:
    """Return the lines that `evaluate` prints, by their first words."""
    parts = [line.partition("  ") for line in evaluate(run, rows, folder).splitlines()]
    return {title: " ".join(rest.split()) for title, _, rest in parts}


def texts_predicted(run: Path, label: str) -> list[str]:
    """Return words of the vocabulary that have this label as a text."""
    vocabulary = json.loads((run / "model" / "model.json").read_text())["vocabulary"]
    words = [word for word in vocabulary if word.isalpha()][:60]
    lines = textclf("predict", "-", "--run", run, stdin="\n".join(words)).stdout.splitlines()
    return [word for word, line in zip(words, lines, strict=True) if line.startswith(label)]


def test_rows_of_one_label_that_are_all_right_have_no_correlation(reviews: Path, tmp_path: Path) -> None:
    texts = texts_predicted(reviews, "positive")[:8]
    shown = table(reviews, "".join(f"{text},positive\n" for text in texts), tmp_path)
    # of Wilson, as resamples do not differ; behind it the network and the linear model alone
    assert shown["Accuracy"] == "1.0000 0.6756 to 1.0000 0.8750 1.0000"
    assert shown["F1, macro"].startswith("1.0000 1.0000 to 1.0000 ")
    assert (shown["Matthews correlation"], shown["ROC AUC of positive"]) == ("- - -", "- - -")
    assert (shown["positive"], shown["negative"]) == ("1.0000 1.0000 1.0000 8", "- - - 0")
    assert "Macro averages leave out the labels without rows: negative." in shown


def test_one_row_says_little(reviews: Path, tmp_path: Path) -> None:
    document = evaluated(reviews, f"{texts_predicted(reviews, 'positive')[0]},negative\n", tmp_path)
    assert document["intervals"]["accuracy"] == pytest.approx([0, 0.7935], abs=1e-4)
    assert document["metrics"]["matthews_corrcoef"] is None
    assert document["labels"]["positive"] == {"precision": None, "recall": None, "f1": None, "support": 0}


def test_texts_without_a_word_get_one_probability(reviews: Path, tmp_path: Path) -> None:
    metrics = evaluated(reviews, ",negative\n,positive\n" * 5, tmp_path)["metrics"]
    values = [metrics[name] for name in ("accuracy", "roc_auc", "matthews_corrcoef")]
    assert values == [0.5, 0.5, 0]


def test_macro_averages_go_over_the_labels_with_rows(questions: Path, tmp_path: Path) -> None:
    rows = [line for line in (SAMPLES / "questions.csv").read_text().splitlines() if line.endswith((",time", ",place"))]
    document = evaluated(questions, "\n".join(rows[:30]) + "\n", tmp_path)
    scores = [document["labels"][label] for label in ("time", "place")]
    for name in MACRO:
        metric = name.removesuffix("_macro")
        assert document["metrics"][name] == pytest.approx(np.mean([score[metric] for score in scores]))
        low, high = document["intervals"][name]
        assert low <= document["metrics"][name] <= high
    assert document["metrics"]["recall_macro"] == document["metrics"]["balanced_accuracy"]
    assert [document["labels"][label]["recall"] for label in ("person", "number")] == [None, None]


def test_macro_averages_do_not_depend_on_labels_that_only_a_model_gives() -> None:
    y_true, probabilities = np.array([0, 0, 1, 1] * 10), np.full((40, 3), 1 / 3)
    y_pred = y_true.copy()
    y_pred[:3] = [1, 1, 2]
    metrics = compute_metrics(y_true, y_pred, probabilities)
    assert metrics["recall_macro"] == pytest.approx((17 / 20 + 1) / 2)
    # no resample has rows of the third label, so none averages over three
    resampled = resampled_metrics(y_true, y_pred, probabilities)["recall_macro"]
    assert resampled.min() > 0.7


@pytest.mark.parametrize("rows", ["a text,\n" * 4, "a text,\nanother,food\n"])
def test_rows_without_a_label_among_several(rows: str, topics: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(f"text,labels\n{rows}")
    result = textclf("evaluate", tmp_path / "new.csv", "--run", topics / "model", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    supported = [scores for scores in document["labels"].values() if scores["support"]]
    macro = np.mean([scores["f1"] for scores in supported]) if supported else None
    assert document["metrics"]["f1_macro"] == macro


# The share of the split


def test_labels_of_two_rows_do_not_fill_the_validation_rows(tmp_path: Path) -> None:
    rows = [*(f"one of {n // 2} {n},pair {n // 2:02}" for n in range(60)), *(f"of many {n},many" for n in range(140))]
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(rows))
    (tmp_path / "c.yaml").write_text(f"data: {{train: {tmp_path / 'rows.csv'}}}")
    document = json.loads(textclf("check", tmp_path / "c.yaml", "--json").stdout)
    assert document["rows"] == {"train": 180, "validation": 20, "measured": 20}
    [finding] = [each for each in document["findings"] if each["check"] == "labels without rows"]
    named = finding["what"].removeprefix("24 of 31 labels have no row here: ").removesuffix(" and 4 more")
    assert len(named.split(", ")) == 20
    assert set(named.split(", ")) < {f"pair {n:02}" for n in range(30)}
    assert finding["advice"] == (
        "They have no scores. Add texts with these labels, raise data.validation_split (0.1) or name data.validation."
    )


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ("data.test", "Add rows with these labels to data.test."),
        ("data.validation", "Add rows with these labels to data.validation."),
    ],
)
def test_a_file_that_lacks_a_label_is_a_finding(setting: str, advice: str, tmp_path: Path) -> None:
    for name, labels in (("rows.csv", "abc"), ("other.csv", "ab")):
        rows = "".join(f"{name} {n},{labels[n % len(labels)]}\n" for n in range(60))
        (tmp_path / name).write_text(f"text,label\n{rows}")
    (tmp_path / "c.yaml").write_text(f"data: {{train: {tmp_path / 'rows.csv'}}}")
    lines = textclf("check", tmp_path / "c.yaml", *overrides(f"{setting}={tmp_path / 'other.csv'}")).stdout.splitlines()
    part = setting.removeprefix("data.")
    line = lines.index(f"labels without rows ({part}): 1 of 3 labels have no row here: c.")
    assert lines[line + 1] == f"  They have no scores. {advice}"
