"""decision.positive: the one of two labels that ROC AUC, average precision, the threshold and the tables are about."""

import csv
import json
from pathlib import Path

import pytest
import sklearn.metrics as sk
from conftest import QUICK, overrides, textclf

ROWS = [
    (
        f"part {number} is {'bent' if number % 4 == 0 else 'fine'}",
        "defect" if number % 4 == 0 else "ok",
        "ab"[number % 3 % 2],
    )
    for number in range(120)
]
SETTINGS = (*QUICK, "data.validation_split=0.4", "report.baseline=false", 'report.slices=["line"]')


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which 'defect' is the positive label, with a threshold for its recall."""
    folder = tmp_path_factory.mktemp("positive")
    write_config(folder)
    settings = (*SETTINGS, "decision.positive=defect", "decision.aim=recall>=0.9")
    result = textclf("train", folder / "c.yaml", "--run", folder / "run", *overrides(*settings))
    assert result.exit_code == 0, result.stderr
    return folder / "run"


def write_config(folder: Path) -> Path:
    with (folder / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label", "line"), *ROWS])
    (folder / "c.yaml").write_text(f"data: {{train: {folder / 'rows.csv'}}}")
    return folder / "c.yaml"


def test_metrics_are_of_the_positive_label(run: Path) -> None:
    document = json.loads((run / "metrics.json").read_text())
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    y_true, scores = [row["truth"] == "defect" for row in rows], [float(row["defect"]) for row in rows]
    threshold = document["threshold"]["value"]
    assert document["positive"] == "defect"
    assert document["metrics"]["average_precision"] == pytest.approx(sk.average_precision_score(y_true, scores))
    assert document["metrics"]["roc_auc"] == pytest.approx(sk.roc_auc_score(y_true, scores))
    assert [row["prediction"] == "defect" for row in rows] == [score >= threshold for score in scores]
    assert document["decision"]["reached"]
    assert document["labels"]["defect"]["recall"] >= 0.9
    assert document["slices"][2]["label"] == "defect"
    assert json.loads((run / "model" / "model.json").read_text())["labels"] == ["ok", "defect"]


def test_tables_and_report_name_the_positive_label(run: Path) -> None:
    result = textclf("evaluate", "--run", run)
    threshold = json.loads((run / "metrics.json").read_text())["threshold"]["value"]
    titles = [line.partition("  ")[0] for line in result.stdout.splitlines()]
    assert [title for title in titles if title.endswith(" of defect")] == [
        "ROC AUC of defect", "Average precision of defect"
    ]  # fmt: skip
    sentence = (
        f"The positive label, defect, is predicted from a probability of {threshold:.3f}, chosen on the validation "
        "rows for recall>=0.9 of defect."
    )
    assert sentence in titles
    page = (run / "report.html").read_text()
    assert "<td>ROC AUC of defect</td>" in page
    assert "for recall&gt;=0.9 of defect." in page


@pytest.mark.plots
def test_plots_name_the_positive_label(run: Path) -> None:
    assert textclf("report", run).exit_code == 0
    page = (run / "report.html").read_text()
    for words in ("Area under the ROC curve: defect ", "Average precision: defect ", "least probability of defect"):
        assert words in page, words


def test_a_smaller_run_has_the_same_positive_label(run: Path, tmp_path: Path) -> None:
    options = ("--method", "float16", "--max-loss", "1", "--output", tmp_path / "small")
    result = textclf("compress", "--run", run, *options, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["positive"] == "defect"
    assert json.loads((tmp_path / "small" / "model" / "model.json").read_text())["labels"] == ["ok", "defect"]


def test_another_file_is_evaluated_by_the_same_positive_label(run: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\npart 1 is bent,defect\npart 2 is fine,ok\npart 3 is odd,odd\n")
    result = textclf("evaluate", tmp_path / "new.csv", "--run", run / "model")
    titles = [line.partition("  ")[0] for line in result.stdout.splitlines()]
    assert "ROC AUC" in titles  # a mean over three labels
    assert titles[-1].startswith("The positive label, defect, is predicted from a probability of 0.")


def test_runs_with_other_positive_labels_are_not_compared(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert textclf("train", write_config(tmp_path), "--run", other, *overrides(*SETTINGS)).exit_code == 0
    assert json.loads((other / "metrics.json").read_text())["positive"] == "ok"  # the second in alphabetical order
    result = textclf("compare", run, other)
    message = f"{run} has the positive label 'defect', {other} has 'ok'. Train both with one decision.positive.\n"
    assert (result.exit_code, result.stderr) == (1, message)
    result = textclf("compare", other, other)
    assert "ROC AUC of ok" in [line.partition("  ")[0] for line in result.stdout.splitlines()]


def test_an_aim_that_is_not_reached_names_the_positive_label(tmp_path: Path) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *[("same text", "ab"[number % 2]) for number in range(40)]])
        csv.writer(file).writerows([(f"same text {number}", "ab"[number % 3 % 2]) for number in range(40)])
    (tmp_path / "c.yaml").write_text(f"data: {{train: {tmp_path / 'rows.csv'}, validation_split: 0.3}}")
    settings = (*QUICK, "training.epochs=1", "decision.positive=a", "decision.aim=precision>=1", "text.min_count=10")
    result = textclf("train", tmp_path / "c.yaml", "--run", tmp_path / "run", *overrides(*settings))
    assert "warning: no threshold reaches precision>=1 of a on the validation rows; " in result.stderr


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        ("yes no", "decision.positive=Yes", "no training row has the label 'Yes'. Set 'no' or 'yes'."),
        ("0 1", "decision.positive=1.0", "no training row has the label '1.0'. Set '0' or '1'."),
        ("a b c", "decision.positive=a", "there are 3 labels, of which none is the positive one. Leave the key out."),
        (
            "a b",
            "data.label_separator=| decision.positive=a",
            "a row may have several labels, of which none is the positive one. Leave the key out.",
        ),
    ],
)
def test_a_positive_label_that_there_is_not(labels: str, settings: str, message: str, tmp_path: Path) -> None:
    names = labels.split()
    rows = "".join(f"text {number},{names[number % len(names)]}\n" for number in range(30))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    (tmp_path / "c.yaml").write_text(f"data: {{train: {tmp_path / 'rows.csv'}}}")
    result = textclf("check", tmp_path / "c.yaml", *overrides(*settings.split()))
    assert (result.exit_code, result.stderr) == (1, f"decision.positive: {message}\n")


@pytest.mark.parametrize("label", ["0", "true", "1.0"])
def test_a_positive_label_is_taken_as_written(label: str, tmp_path: Path) -> None:
    rows = "".join(f"text {number},{(label, 'z')[number % 2]}\n" for number in range(30))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    (tmp_path / "c.yaml").write_text(f"data: {{train: {tmp_path / 'rows.csv'}}}\ndecision: {{positive: {label}}}")
    result = textclf("check", tmp_path / "c.yaml", "--json")
    assert (result.exit_code, result.stderr, [*json.loads(result.stdout)["labels"]]) == (0, "", [label, "z"])
