"""evaluate: scikit-learn's numbers, from predictions.csv to the last digit."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from conftest import SAMPLES, textclf


def predictions(run: Path) -> tuple[list[str], list[str], np.ndarray, list[str]]:
    """Truth, prediction, probabilities and names of the labels."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return [row[1] for row in rows], [row[2] for row in rows], np.array([row[3:] for row in rows], float), header[3:]


def metrics(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["reviews", "questions"])
def test_metrics_are_scikit_learns(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    truth, chosen, shares, names = predictions(run)
    found = metrics(run)["metrics"]
    expected = {
        "accuracy": sk.accuracy_score(truth, chosen),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, chosen),
        "matthews_corrcoef": sk.matthews_corrcoef(truth, chosen),
        "log_loss": sk.log_loss(truth, shares, labels=names),
    }
    for average in ("macro", "micro", "weighted"):
        for metric in ("precision", "recall", "f1"):
            score = getattr(sk, f"{metric}_score")
            expected[f"{metric}_{average}"] = score(truth, chosen, average=average, zero_division=0)
    if len(names) == 2:
        second = [label == names[1] for label in truth]
        expected["roc_auc"] = sk.roc_auc_score(second, shares[:, 1])
        expected["average_precision"] = sk.average_precision_score(second, shares[:, 1])
        expected["brier_score_loss"] = sk.brier_score_loss(second, shares[:, 1])
    else:
        one_hot = np.array([[label == name for name in names] for label in truth])
        expected["roc_auc"] = sk.roc_auc_score(truth, shares, multi_class="ovr")
        expected["average_precision"] = sk.average_precision_score(one_hot, shares)
        expected["brier_score_loss"] = sk.brier_score_loss(truth, shares, labels=names)
    assert found.pop("expected_calibration_error") >= 0
    assert found == pytest.approx(expected, abs=1e-9)
    assert metrics(run)["confusion_matrix"] == sk.confusion_matrix(truth, chosen, labels=names).tolist()
    report = sk.classification_report(truth, chosen, labels=names, output_dict=True, zero_division=0)
    for label, row in metrics(run)["labels"].items():
        assert list(row.values()) == pytest.approx(list(report[label].values()), abs=1e-9)


def test_metrics_of_several_labels_a_row_are_scikit_learns(topics: Path) -> None:
    truth, chosen, shares, names = predictions(topics)
    ones, guesses = (np.array([[name in row.split("|") for name in names] for row in rows]) for rows in (truth, chosen))
    found = metrics(topics)["metrics"]
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(ones, guesses), abs=1e-9)
    assert found["hamming_loss"] == pytest.approx(sk.hamming_loss(ones, guesses), abs=1e-9)
    assert found["f1_micro"] == pytest.approx(sk.f1_score(ones, guesses, average="micro"), abs=1e-9)
    assert found["f1_macro"] == pytest.approx(sk.f1_score(ones, guesses, average="macro", zero_division=0), abs=1e-9)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(ones, shares, average="macro"), abs=1e-9)
    assert metrics(topics)["confusion_matrix"] == sk.multilabel_confusion_matrix(ones, guesses).tolist()


def test_evaluating_a_run_again_finds_the_same(reviews: Path) -> None:
    before = {path: path.read_bytes() for path in reviews.rglob("*") if path.is_file()}
    result = textclf("evaluate", "--run", reviews, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == metrics(reviews)
    changed = [path.name for path, content in before.items() if path.read_bytes() != content]
    assert changed == []


def test_the_newest_run_is_the_default_and_is_named(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "unfinished").mkdir()
    (tmp_path / "runs" / "reviews").symlink_to(reviews)
    monkeypatch.chdir(tmp_path)
    result = textclf("evaluate")
    assert result.stderr == "using runs/reviews, the newest run\n"
    assert result.stdout.splitlines()[0] == f"40 rows (validation) of {SAMPLES}/reviews.csv"


def test_no_run_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = textclf("evaluate")
    expected = "no complete run in runs/. Train one with `textclf train CONFIG`, or name one with --run.\n"
    assert (result.exit_code, result.stderr) == (1, expected)


def test_other_data_get_a_folder_of_their_own(reviews: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("text,label\ngood,positive\nbad,negative\n,negative\n")
    result = textclf("evaluate", other, "--run", reviews)
    assert (result.exit_code, result.stderr) == (0, f"wrote {reviews}/evaluations/other\n")
    written = sorted(path.name for path in (reviews / "evaluations" / "other").iterdir())
    assert written == ["metrics.json", "predictions.csv", "report.html", "samples.json"]
    assert metrics(reviews / "evaluations" / "other")["data"]["rows"] == 3


def test_a_label_that_training_never_saw_counts_as_wrong_and_is_named(reviews: Path, tmp_path: Path) -> None:
    other = tmp_path / "unseen.csv"
    other.write_text("text,label\ngood,positive\nbad,negative\nso so,mixed\n")
    result = textclf("evaluate", other, "--run", reviews / "model", "--json")
    assert result.stderr == "warning: labels that training never saw, counted as wrong: mixed\n"
    found = json.loads(result.stdout)
    assert found["unseen_labels"] == ["mixed"]
    assert found["labels"]["mixed"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert sum(found["confusion_matrix"][2]) == 1


def test_a_bare_model_knows_its_columns(topics: Path) -> None:
    result = textclf("evaluate", SAMPLES / "topics.csv", "--run", topics / "model", "--json")
    assert json.loads(result.stdout)["data"]["rows"] == 200


def test_files_of_the_same_name_get_folders_of_their_own(reviews: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "new.v2.csv").write_text("text,label\ngood,positive\nbad,negative\n")
    said = [
        textclf("evaluate", tmp_path / name / "new.v2.csv", "--run", reviews).stderr for name in ("one", "two", "one")
    ]
    folders = [f"wrote {reviews}/evaluations/{name}\n" for name in ("new.v2", "new.v2-2", "new.v2")]
    assert said == folders


def test_evaluating_does_not_make_a_run_the_newest(
    reviews: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "older").symlink_to(min(reviews, questions, key=trained_at))
    (tmp_path / "runs" / "newer").symlink_to(max(reviews, questions, key=trained_at))
    monkeypatch.chdir(tmp_path)
    textclf("evaluate", "--run", "runs/older")
    assert textclf("evaluate").stderr == "using runs/newer, the newest run\n"


def trained_at(run: Path) -> float:
    return (run / "environment.json").stat().st_mtime


def test_one_label_alone_can_be_evaluated(reviews: Path, tmp_path: Path) -> None:
    other = tmp_path / "one.csv"
    other.write_text("text,label\ngood,positive\n")
    result = textclf("evaluate", other, "--run", reviews / "model", "--json")
    assert json.loads(result.stdout)["metrics"]["roc_auc"] is None


def test_the_table_shows_every_number_beside_the_baselines(questions: Path) -> None:
    lines = textclf("evaluate", "--run", questions).stdout.splitlines()
    found = metrics(questions)
    numbers = [found["metrics"]["accuracy"], *(found["baselines"][name]["accuracy"] for name in found["baselines"])]
    low, high = found["intervals"]["accuracy"]
    assert lines[3].split() == [
        "Accuracy",
        f"{numbers[0]:.4f}",
        f"{low:.4f}",
        "to",
        f"{high:.4f}",
        *(f"{n:.4f}" for n in numbers[1:]),
    ]
    assert [line.split()[0] for line in lines[-7:-2]] == ["label", "time", "place", "person", "number"]


def test_changed_training_data_are_noticed(tmp_path: Path, reviews: Path) -> None:
    copy = tmp_path / "run"
    for path in [path for path in reviews.rglob("*") if path.is_file()]:
        (copy / path.relative_to(reviews)).parent.mkdir(parents=True, exist_ok=True)
        (copy / path.relative_to(reviews)).write_bytes(path.read_bytes())
    data = tmp_path / "reviews.csv"
    data.write_text((SAMPLES / "reviews.csv").read_text(encoding="utf-8") + "new,positive\n", encoding="utf-8")
    config = (copy / "config.yaml").read_text(encoding="utf-8").replace(str(SAMPLES / "reviews.csv"), str(data))
    (copy / "config.yaml").write_text(config, encoding="utf-8")
    result = textclf("evaluate", "--run", copy)
    expected = f"{data} has changed since {copy} was trained: its validation rows are no longer known.\n"
    assert (result.exit_code, result.stderr) == (1, expected)
