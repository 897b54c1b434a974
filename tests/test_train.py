"""train: a complete run, the same one each time, never in the place of another."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK, SAMPLES, overrides, textclf, write_config

from textclf.inference.classifier import load_classifier

FILES = [
    "README.md",
    "config.yaml",
    "environment.json",
    "history.csv",
    "metrics.json",
    "model.keras",
    "model/model.json",
    "model/model.onnx",
    "predictions.csv",
    "report.html",
    "samples.json",
    "split.json",
]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def document(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_a_run_is_complete(reviews: Path) -> None:
    assert [name for name in files(reviews) if not name.startswith("evaluations/")] == FILES
    assert list(document(reviews)) == [
        "format", "data", "metrics", "labels", "confusion_matrix", "unseen_labels", "truncated", "unknown_words",
        "intervals", "bootstrap", "slices", "lengths", "positive", "threshold", "baselines", "comparisons", "parity",
        "validation", "decision", "checks",
    ]  # fmt: skip
    assert document(reviews)["parity"] < 1e-5
    assert list(document(reviews)["baselines"]) == ["network_alone", "tfidf_logistic_regression", "majority"]


def test_the_split_names_rows_of_the_file(reviews: Path) -> None:
    found = json.loads((reviews / "split.json").read_text(encoding="utf-8"))
    assert (len(found["validation"]), found["rows"]) == (40, 400)
    rows = [line.split(",")[0] for line in (reviews / "predictions.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert rows == [str(row) for row in found["validation"]]


def test_a_run_repeats_from_its_own_config(reviews: Path, tmp_path: Path) -> None:
    result = textclf("train", reviews / "config.yaml", "--run", tmp_path / "again")
    assert result.exit_code == 0
    assert document(tmp_path / "again") == document(reviews)
    for name in ("config.yaml", "history.csv", "split.json", "predictions.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (reviews / name).read_bytes()


def test_an_existing_run_is_refused_and_replaced_only_when_asked(reviews: Path, tmp_path: Path) -> None:
    run = shutil.copytree(reviews, tmp_path / "reviews")
    before = document(run)
    config = write_config(tmp_path, "reviews")
    settings = overrides(*QUICK, "training.epochs=1", "training.seed=7", "report.baseline=false")
    refused = textclf("train", config, "--run", run, *settings)
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"{run} exists. Replace it with --overwrite, or choose another folder with --run.\n",
    )
    assert document(run) == before
    assert textclf("train", config, "--run", run, "--overwrite", *settings).exit_code == 0
    assert document(run) != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews", "reviews.yaml"]


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    result = textclf("train", write_config(tmp_path, "reviews"), "--run", tmp_path, "--overwrite")
    assert (result.exit_code, result.stderr) == (
        1,
        f"{tmp_path} exists and is no run of textclf. Choose another folder with --run.\n",
    )


def test_a_folder_with_a_config_of_something_else_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.yaml").write_text("hydra: 1")
    result = textclf("train", write_config(tmp_path, "reviews"), "--run", tmp_path / "project", "--overwrite")
    assert result.exit_code == 1
    assert (tmp_path / "project" / "config.yaml").read_text() == "hydra: 1"


def test_a_folder_that_cannot_be_written_is_named_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = textclf("train", write_config(tmp_path, "reviews"), "--run", tmp_path / "file" / "run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"{tmp_path}/file/run cannot be written: File exists ({tmp_path}/file). Choose another place.\n"
    )


def test_a_failed_training_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("text,label\na,1\nb,1\nc,1\n")
    (tmp_path / "c.yaml").write_text(f"data: {{train: {tmp_path}/one.csv}}\n")
    assert textclf("train", tmp_path / "c.yaml", "--run", tmp_path / "run").exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "one.csv"]


LOAD_WITHOUT_TEXTCLF = """
import sys
sys.modules["textclf"] = None
import keras, numpy
rows = numpy.array([[5, 3, 1, 0, 0], [2, 7, 4, 9, 30]])
for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
    numpy.save(name + ".npy", keras.models.load_model(path).predict(rows, verbose=0))
"""


@pytest.mark.slow
def test_keras_loads_the_model_where_textclf_is_not(
    reviews: Path, questions: Path, topics: Path, bags: Path, tmp_path: Path
) -> None:
    runs = (reviews, questions, topics, bags)
    named = [part for run in runs for part in (run.name, run / "model.keras")]
    command = [sys.executable, "-c", LOAD_WITHOUT_TEXTCLF, *named]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    from textclf.text.encoding import TokenIds

    lengths = np.array([3, 5])
    ids = TokenIds(np.array([5, 3, 1, 2, 7, 4, 9, 30], np.int32), lengths, lengths)
    for run in runs:
        expected = load_classifier(run).probabilities(ids)
        keras_gives = np.load(tmp_path / f"{run.name}.npy")
        assert np.abs(expected[:, -keras_gives.shape[1] :] - keras_gives).max() < 1e-5


def test_settings_on_the_command_line_are_in_the_saved_config(questions: Path) -> None:
    saved = (questions / "config.yaml").read_text(encoding="utf-8")
    assert "pooling: max_mean" in saved
    assert "optimizer: adamw" in saved


def test_a_validation_file_and_a_test_file_are_used(tmp_path: Path) -> None:
    rows = (SAMPLES / "questions.csv").read_text(encoding="utf-8").splitlines()
    for name, part in (("train", rows[1::3]), ("validation", rows[2::3]), ("test", rows[3::3])):
        (tmp_path / f"{name}.csv").write_text("\n".join([rows[0], *part]) + "\n", encoding="utf-8")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{train: {tmp_path}/train.csv, validation: {tmp_path}/validation.csv, test: {tmp_path}/test.csv}}\n"
    )
    result = textclf("train", config, "--run", tmp_path / "run", *overrides(*QUICK, "report.baseline=false"))
    assert result.stderr.splitlines()[0].startswith("80 rows to train on, 80 to validate on, 4 labels")
    assert result.stdout.splitlines()[0] == f"80 rows (test) of {tmp_path}/test.csv"
    assert json.loads((tmp_path / "run" / "split.json").read_text())["validation"] == []


def test_word_vectors_are_used_and_their_share_is_said(tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("the 1 2 3\nis 0 1 0\nzebra 9 9 9\n")
    settings = (
        *QUICK,
        "model.embedding_dim=3",
        "training.epochs=1",
        f"model.pretrained={tmp_path}/vectors.txt",
        "report.baseline=false",
    )
    result = textclf("train", write_config(tmp_path, "reviews"), "--run", tmp_path / "run", *overrides(*settings))
    assert (
        result.stderr.splitlines()[2]
        == f"{tmp_path}/vectors.txt has 2 of the 782 words (0.3 %), and gives 1 that training lacks"
    )


def test_what_truncation_loses_is_said_and_kept(tmp_path: Path) -> None:
    settings = (*QUICK, "text.max_length=5", "training.epochs=1", "report.baseline=false")
    result = textclf("train", write_config(tmp_path, "reviews"), "--run", tmp_path / "run", *overrides(*settings))
    said = result.stderr.splitlines()[1]
    match = re.fullmatch(
        r"the network knows \d+ words and reads 5 tokens of a text: cuts (\d+) training rows \(([\d.]+) %\), "
        r"([\d.]+) % of all tokens; unknown to it in validation: ([\d.]+) %",
        said,
    )
    assert match, said
    kept = document(tmp_path / "run")["validation"]
    assert int(match[1]) == kept["truncated_train"]["rows"] > 300
    assert match[4] == f"{100 * kept['unknown_words']:.1f}"


def test_a_label_too_rare_for_both_sides_stays_in_train(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(40)) + "odd one,rare\n")
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{train: {data}}}\n")
    result = textclf("train", config, "--run", tmp_path / "run", *overrides(*QUICK, "training.epochs=1"))
    assert result.exit_code == 0
    assert (
        "warning: validation, labels without rows: 1 of 3 labels have no row here: rare. They have no scores. Add "
        "texts with these labels, raise data.validation_split (0.1) or name data.validation."
    ) in result.stderr.splitlines()
