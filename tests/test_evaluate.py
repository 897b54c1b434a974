"""evaluate: scikit-learn's numbers, from predictions.csv to the last digit."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from conftest import SAMPLES, CopyRun, textclf


def predictions(run: Path) -> tuple[list[str], list[str], np.ndarray, list[str]]:
    """Return true and predicted labels, probabilities, shape (n, labels), and the names of the labels."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return [row[1] for row in rows], [row[2] for row in rows], np.array([row[3:] for row in rows], float), header[3:]


def metrics(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def calibration_error(correct: np.ndarray, confidence: np.ndarray) -> float:
    """Return the gap between accuracy and mean confidence in each of 15 bins, weighted by the rows."""
    gaps = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & ((confidence < low + 1 / 15) | (low == 14 / 15))
        gaps += abs(correct[inside].sum() - confidence[inside].sum())
    return gaps / len(correct)


@pytest.mark.parametrize("name", ["reviews", "questions"])
def test_metrics_are_scikit_learns(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    y_true, y_pred, probabilities, names = predictions(run)
    expected = {
        "accuracy": sk.accuracy_score(y_true, y_pred),
        "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
        "matthews_corrcoef": sk.matthews_corrcoef(y_true, y_pred),
        "log_loss": sk.log_loss(y_true, probabilities, labels=names),
    }
    for average in ("macro", "micro", "weighted"):
        for metric in ("precision", "recall", "f1"):
            score = getattr(sk, f"{metric}_score")
            expected[f"{metric}_{average}"] = score(y_true, y_pred, average=average, zero_division=0)
    if len(names) == 2:
        second = [label == names[1] for label in y_true]
        expected["roc_auc"] = sk.roc_auc_score(second, probabilities[:, 1])
        expected["average_precision"] = sk.average_precision_score(second, probabilities[:, 1])
        expected["brier_score_loss"] = sk.brier_score_loss(second, probabilities[:, 1])
    else:
        one_hot = np.array([[label == name for name in names] for label in y_true])
        expected["roc_auc"] = sk.roc_auc_score(y_true, probabilities, multi_class="ovr")
        expected["average_precision"] = sk.average_precision_score(one_hot, probabilities)
        expected["brier_score_loss"] = sk.brier_score_loss(y_true, probabilities, labels=names)
    correct = np.array(y_true) == np.array(y_pred)
    confidence = probabilities[np.arange(len(y_pred)), [names.index(label) for label in y_pred]]
    expected["expected_calibration_error"] = calibration_error(correct, confidence)
    document = metrics(run)
    assert document["metrics"] == pytest.approx(expected, abs=1e-9)
    assert document["confusion_matrix"] == sk.confusion_matrix(y_true, y_pred, labels=names).tolist()
    report = sk.classification_report(y_true, y_pred, labels=names, output_dict=True, zero_division=0)
    for label, scores in document["labels"].items():
        assert list(scores.values()) == pytest.approx(list(report[label].values()), abs=1e-9)


def test_metrics_of_several_labels_a_row_are_scikit_learns(topics: Path) -> None:
    *labels, probabilities, names = predictions(topics)
    y_true, y_pred = (np.array([[name in row.split("|") for name in names] for row in rows]) for rows in labels)
    expected = {
        "accuracy": sk.accuracy_score(y_true, y_pred),
        "hamming_loss": sk.hamming_loss(y_true, y_pred),
        "f1_micro": sk.f1_score(y_true, y_pred, average="micro"),
        "f1_macro": sk.f1_score(y_true, y_pred, average="macro", zero_division=0),
        "roc_auc": sk.roc_auc_score(y_true, probabilities, average="macro"),
        "expected_calibration_error": calibration_error(y_true.ravel(), probabilities.ravel()),
    }
    document = metrics(topics)
    assert {name: document["metrics"][name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert document["confusion_matrix"] == sk.multilabel_confusion_matrix(y_true, y_pred).tolist()


@pytest.mark.plots
def test_evaluating_a_run_again_finds_the_same(copy_run: CopyRun) -> None:
    reviews = copy_run("reviews")
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
    document = json.loads(result.stdout)
    assert document["unseen_labels"] == ["mixed"]
    assert document["labels"]["mixed"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert sum(document["confusion_matrix"][2]) == 1


def test_a_bare_model_knows_its_columns(topics: Path) -> None:
    result = textclf("evaluate", SAMPLES / "topics.csv", "--run", topics / "model", "--json")
    assert json.loads(result.stdout)["data"]["rows"] == 200


@pytest.mark.parametrize("folder", [".", "model"])
def test_columns_may_have_other_names_than_in_training(folder: str, reviews: Path, tmp_path: Path) -> None:
    rows = "good,positive\nbad,negative\ngreat,negative\n"
    (tmp_path / "same.csv").write_text("text,label\n" + rows)
    (tmp_path / "other.csv").write_text("body,stars\n" + rows)
    same, other = (
        json.loads(textclf("evaluate", tmp_path / name, "--run", reviews / folder, "--json", *options).stdout)
        for name, options in (("same.csv", ()), ("other.csv", ("--text", "body", "--label", "stars")))
    )
    data = other.pop("data")
    assert (data["rows"], data["columns"]) == (3, ["body", "stars"])
    assert same.pop("data")["rows"] == 3
    assert other == same


def test_evaluations_on_other_columns_of_a_file_are_kept_apart(copy_run: CopyRun, tmp_path: Path) -> None:
    run, data = copy_run("reviews"), tmp_path / "new.csv"
    data.write_text("text,label,second\ngood,positive,negative\nbad,negative,positive\n")
    evaluate = ("evaluate", data, "--run", run)
    messages = [textclf(*evaluate, *options).stderr for options in ((), ("--label", "second"), ("--label", "label"))]
    assert messages == [f"wrote {run}/evaluations/{name}\n" for name in ("new", "new-2", "new")]


def test_columns_without_a_file_are_wrong_usage(reviews: Path) -> None:
    result = textclf("evaluate", "--run", reviews, "--label", "stars")
    message = "Error: --text and --label name columns of DATA; name a file.\n"
    assert (result.exit_code, result.stderr[-len(message) :]) == (2, message)


def test_files_of_the_same_name_get_folders_of_their_own(reviews: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "new.v2.csv").write_text("text,label\ngood,positive\nbad,negative\n")
    messages = [
        textclf("evaluate", tmp_path / name / "new.v2.csv", "--run", reviews).stderr for name in ("one", "two", "one")
    ]
    folders = [f"wrote {reviews}/evaluations/{name}\n" for name in ("new.v2", "new.v2-2", "new.v2")]
    assert messages == folders


def test_files_of_the_same_relative_name_get_folders_of_their_own(
    copy_run: CopyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, messages = copy_run("reviews"), []
    for folder in ("one", "two", "one"):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        rows = f"good,positive\nbad,negative\n{folder} {len(messages)},negative\n"  # the first file is changed later
        Path("data.csv").write_text(f"text,label\n{rows}")
        messages += textclf("evaluate", "data.csv", "--run", run).stderr.splitlines()
    messages += textclf("evaluate", tmp_path / "two" / "data.csv", "--run", run).stderr.splitlines()
    names = ("data", "data-2", "data", "data-2")
    assert messages == [f"wrote {run}/evaluations/{name}" for name in names]


def test_an_evaluation_of_an_earlier_version_is_replaced_by_one_of_the_same_rows(
    copy_run: CopyRun, tmp_path: Path
) -> None:
    run, data = copy_run("reviews"), tmp_path / "data.csv"
    data.write_text("text,label\ngood,positive\nbad,negative\n")
    evaluate = ("evaluate", data, "--run", run)
    messages = [textclf(*evaluate).stderr]
    written = run / "evaluations" / "data" / "metrics.json"
    document = metrics(written.parent)
    assert document["data"].pop("paths") == [data.resolve().as_posix()]
    written.write_text(json.dumps(document))
    messages += [textclf(*evaluate).stderr]
    written.write_text(json.dumps(document))
    data.write_text("text,label\ngood,positive\nbad,positive\n")
    messages += [textclf(*evaluate).stderr]
    assert messages == [f"wrote {run}/evaluations/{name}\n" for name in ("data", "data", "data-2")]


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
    document = metrics(questions)
    accuracy, (low, high) = document["metrics"]["accuracy"], document["intervals"]["accuracy"]
    baselines = " ".join(f"{scores['accuracy']:.4f}" for scores in document["baselines"].values())
    assert lines[3].split() == f"Accuracy {accuracy:.4f} {low:.4f} to {high:.4f} {baselines}".split()
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
