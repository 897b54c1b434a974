"""`load` and `train` in a Python program, and what a notebook shows of their results."""

import csv
import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import SAMPLES, textclf

import textclf as package
from textclf import load, train
from textclf.errors import UserError
from textclf.inference.explain import Explanation, Word
from textclf.inference.labelled import LabelledTexts

TEXTS = ["A fast phone with a clear screen", "", "The bus was late \u2013 again & again"]
QUICK = {
    "model": {"type": "mlp", "features": "embedding", "embedding_dim": 16, "hidden": (8,), "blend": None},
    "training": {"epochs": np.int64(2), "learning_rate": 1e-2},
}
"""Settings of the quick network of conftest.py, some as a program has them."""
DATA = {"train": SAMPLES / "reviews.csv"}


def message_of(call: Any, *arguments: Any, **options: Any) -> str:
    """Return the message of the error that a call ends with."""
    with pytest.raises((UserError, TypeError, ValueError)) as caught:
        call(*arguments, **options)
    return str(caught.value)


# load


@pytest.mark.parametrize("name", ["reviews", "questions", "topics"])
def test_load_predicts_what_the_command_predicts(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run = request.getfixturevalue(name)
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    rows = list(csv.DictReader(textclf("predict", lines, "--run", run, "--format", "csv").stdout.splitlines()))
    model = load(run)
    separator = model.description.label_separator
    labels = (
        [label.split(separator) if label else [] for label in [row["label"] for row in rows]] if separator else None
    )
    assert model.predict(TEXTS) == (labels or [row["label"] for row in rows])
    probabilities = [[f"{value:.6f}" for value in row] for row in model.predict_proba(TEXTS)]
    assert probabilities == [[row[label] for label in model.labels] for row in rows]
    assert [(row.text, row.label, f"{row.probability:.6f}") for row in model.table(TEXTS)] == [
        (text, row["label"], row["probability"]) for text, row in zip(TEXTS, rows, strict=True)
    ]


def test_a_model_folder_loads_and_shows_its_labels(questions: Path) -> None:
    model = load(str(questions / "model"))
    assert (model.labels, repr(model)) == (
        ["number", "person", "place", "time"],
        "<Classifier of 4 labels: number, person, place, time>",
    )


def test_texts_may_be_a_list_a_series_or_an_array(reviews: Path) -> None:
    model = load(reviews)
    expected = model.predict(TEXTS)
    for texts in (
        tuple(TEXTS),
        pd.Series(TEXTS, index=[7, 7, 3]),
        np.array(TEXTS),
        np.array(TEXTS, object),
        iter(TEXTS),
    ):
        assert model.predict(texts) == expected
    assert (model.predict([]), model.predict_proba([]).shape) == ([], (0, 2))


def test_what_is_no_list_of_texts_is_refused(reviews: Path) -> None:
    model = load(reviews)
    cases: list[tuple[Any, str]] = [
        ("One text", "texts: found one text, need a list of texts: [text]."),
        (["a", None], "texts: row 1 is None, of type NoneType, need text. Make missing texts empty, as by "
         "Series.fillna('')."),
        (pd.Series(["a", pd.NA], dtype=object), "texts: row 1 is <NA>, of type NAType, need text. Make missing texts "
         "empty, as by Series.fillna('')."),
        ([3], "texts: row 0 is 3, of type int, need text."),
        (pd.DataFrame({"text": ["a"], "other": ["b"]}), "texts: found a table of shape (1, 2), need one text for each "
         "row, shape (n,). Choose a column, such as table['text']."),
    ]  # fmt: skip
    for texts, message in cases:
        assert message_of(model.predict, texts) == message
    assert message_of(model.explain, ["a"]) == "text: row 0 is ['a'], of type list, need text."


def test_explain_gives_what_the_command_gives(reviews: Path, topics: Path) -> None:
    shown = json.loads(textclf("explain", TEXTS[0], "--run", reviews, "--json").stdout)["explanations"]
    explanation = load(reviews).explain(TEXTS[0])
    assert [explanation.label, explanation.probability] == [shown[0]["label"], shown[0]["probability"]]
    assert [word.weight for word in explanation.words] == [word["weight"] for word in shown[0]["words"]]
    assert load(topics).explain("Cheap cakes", "price").label == "price"
    assert load(topics).explain("Cheap cakes").label in load(topics).labels
    assert message_of(load(reviews).explain, "good", "god") == (
        "label god: the model does not know it; it knows: negative, positive."
    )


def test_no_run_is_refused() -> None:
    message = "nowhere holds no model: nowhere/model.json is missing. Name a run or a model/ folder."
    assert message_of(load, "nowhere") == message


# train


def test_train_takes_a_dictionary_and_returns_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    of_python, of_numpy = random.getstate(), np.random.get_state()[1].tolist()
    monkeypatch.setattr(logging.getLogger("textclf"), "propagate", True)  # as in a program, where no command ran
    with caplog.at_level("INFO"):
        run = train({"data": DATA, **QUICK}, run=tmp_path / "mine")
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (of_python, of_numpy)
    messages = dict.fromkeys(record.getMessage() for record in caplog.records)
    epochs = [message for message in messages if message.startswith("epoch")]
    assert [line.split()[:3] for line in epochs] == [["epoch", "1", "loss"], ["epoch", "2", "loss"]]
    metrics = json.loads((tmp_path / "mine" / "metrics.json").read_text("utf-8"))
    assert (run.path, run.document, run.metrics) == (tmp_path / "mine", metrics, metrics["metrics"])
    assert repr(run) == f"TrainedRun(path={run.path!r})"
    assert run.load().predict(TEXTS) == load(run.path).predict(TEXTS)
    html = run._repr_html_()
    assert f'<td style="text-align: left">Accuracy</td><td>{run.metrics["accuracy"]:.4f}</td>' in html
    assert f"<p>{tmp_path / 'mine'}: 40 rows (validation)</p>" in html
    message = f"{run.path} exists. Replace it with overwrite=True, or choose another folder with the argument run."
    assert message_of(train, {"data": DATA, **QUICK}, run=run.path) == message
    assert train(run.path / "config.yaml", run=run.path, resume=True).document == metrics


def test_every_problem_of_a_dictionary_is_named_by_its_key() -> None:
    needed = "text, a number, true or false, None, a list or a dictionary"
    assert message_of(train, {"data": {"train": object()}}, run="x") == (
        f"data.train: should be {needed}, found an object of type object"
    )
    config = {"data": {"train": "none.csv"}, "model": {"unit": 3, "type": "mlp"}, "trainig": {}}
    assert message_of(train, config, run="x").splitlines() == [
        "model.unit: unknown key; did you mean 'model.units'?",
        "trainig: unknown key; did you mean 'training'?",
        f"data.train: no file 'none.csv' (looked in {Path.cwd()}).",
    ]
    assert message_of(train, {"data": DATA, "model": {"unit": 3}}, run="x") == (
        "model.unit: unknown key; did you mean 'units'?"
    )
    assert message_of(train, {"data": DATA, "decision": {"positive": "\ud800"}}, run="x") == (
        "decision.positive: is not UTF-8"
    )
    assert message_of(train, {"data": DATA}) == ("a dictionary has no name for its run: train(config, run='runs/NAME')")
    assert message_of(train, {"data": DATA}, run="x", overwrite=True, resume=True) == (
        "resume goes on, overwrite begins anew; choose one"
    )


def test_train_takes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("model:\n  unit: 3\n", encoding="utf-8")
    assert message_of(train, "mine.yaml").splitlines()[-1] == (
        "mine.yaml:2:3: model.unit: unknown key; did you mean 'units'?"
    )
    assert message_of(train, Path("none.yaml")) == (
        f"no config 'none.yaml' (looked in {tmp_path}). Write one for your table: textclf init DATA.csv"
    )


# The package


def test_the_package_names_what_it_offers() -> None:
    assert {"TextClassifier", "load", "train"} <= {*dir(package)}
    with pytest.raises(AttributeError, match="module 'textclf' has no attribute 'lod'"):
        _ = package.lod


# Notebooks

HOSTILE = "<script>\u202e\n&\"'"


def test_a_notebook_shows_an_explanation_as_coloured_words() -> None:
    words = [Word("good", 1.5, True), Word(HOSTILE, -0.75, False)]
    explanation = Explanation("<b>", 0.75, words, log_odds=1.0, without_words=0.25, cut=3)
    style = "border-radius: .2em"
    assert explanation._repr_html_() == (
        "<p>&lt;b&gt; 0.7500</p>\n"
        f'<p><span style="background: rgb(37 99 235 / 70%); {style}" title="+1.500">good</span> '
        f'<span style="background: rgb(217 83 25 / 35%); {style}; text-decoration: underline dotted" title="-0.750">'
        "&lt;script&gt;\ufffd &amp;&quot;&#x27;</span></p>\n"
        "<p>words +0.75, without them +0.25: log-odds +1.00; 3 tokens cut off</p>\n"
    )


def test_a_notebook_shows_predictions_as_a_table() -> None:
    table = LabelledTexts([HOSTILE, "b"], ["<i>", ""], np.array([0.5, 0.25]))
    left = 'style="text-align: left"'
    assert table._repr_html_() == (
        '<table style="font-variant-numeric: tabular-nums">\n'
        f"<tr><th {left}>text</th><th>label</th><th>probability</th></tr>\n"
        f"<tr><td {left}>&lt;script&gt;\ufffd\ufffd&amp;&quot;&#x27;</td><td>&lt;i&gt;</td><td>0.5000</td></tr>\n"
        f"<tr><td {left}>b</td><td></td><td>0.2500</td></tr>\n"
        "</table>\n<p>2 texts</p>\n"
    )
    many = LabelledTexts(["a"] * 1000, ["b"] * 1000, np.ones(1000))
    assert many._repr_html_().count("<tr>") == 51
    assert many._repr_html_().endswith("<p>the first 50 of 1,000 texts</p>\n")
