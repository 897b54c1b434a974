"""Runs with a pretrained encoder: what training, evaluating, predicting, explaining, comparing and checking do."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ALONE, HEAD, QUICK, SAMPLES, CopyRun, encoder_settings, overrides, textclf, write_config
from faults import contents

from textclf.config.load import load_saved_config
from textclf.inference.classifier import load_classifier
from textclf.models.ensemble import parts
from textclf.training.model_io import load_network

FILES = [
    "README.md", "config.yaml", "environment.json", "history.csv", "metrics.json", "model.keras", "model/model.json",
    "model/model.onnx", "model/tokenizer.json", "predictions.csv", "report.html", "samples.json", "split.json",
]  # fmt: skip
LONG = "word of a long text " * 3000
EMOJI = "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e8\U0001f1ed\U0001f389"
LINES = ["the film was good", "", LONG, EMOJI, "the room was cold", "好电影", "a \x00 b"]


@pytest.fixture(scope="session")
def encoder(copy_run: CopyRun) -> Path:
    """A run of two labels: the whole encoder is trained, and blended."""
    return copy_run("encoder")


@pytest.fixture(scope="session")
def head(copy_run: CopyRun) -> Path:
    """A run of four labels: the last layer alone is trained, and not blended."""
    return copy_run("encoder_head")


@pytest.fixture(scope="session")
def topics(copy_run: CopyRun) -> Path:
    """A run of several labels a row: the last layer of the encoder is trained too, and blended."""
    return copy_run("encoder_topics")


@pytest.fixture(params=["encoder", "encoder_head", "encoder_topics"])
def run(request: pytest.FixtureRequest, copy_run: CopyRun) -> Path:
    return copy_run(request.param)


def document(run: Path, name: str = "metrics.json") -> dict:
    return json.loads((run / name).read_text(encoding="utf-8"))


def train(folder: Path, *settings: str, sample: str = "reviews", options: tuple[str, ...] = ()) -> Path:
    chosen = [*encoder_settings(folder / "tiny"), "report.baseline=false", "training.epochs=1", *settings]
    result = textclf("train", write_config(folder, sample), "--run", folder / "run", *overrides(*chosen), *options)
    assert result.exit_code == 0, result.output
    return folder / "run"


# Training and evaluating


def test_a_run_has_the_tokenizer_and_no_trace_of_the_training(run: Path) -> None:
    assert sorted(name for name in contents(run) if not name.endswith("/")) == FILES
    assert document(run)["parity"] < 1e-5
    assert document(run, "model/model.json")["tokenizer"]["pieces"] == 74


def test_evaluate_reproduces_the_run_without_the_encoders_folder(run: Path) -> None:
    folder = Path(load_saved_config(run / "config.yaml").model.encoder)
    assert not folder.exists()
    before = {name: (run / name).read_bytes() for name in ("metrics.json", "predictions.csv", "samples.json")}
    result = textclf("evaluate", "--run", run)
    assert (result.exit_code, {name: (run / name).read_bytes() for name in before}) == (0, before)


def test_training_changes_what_trainable_says(encoder: Path, head: Path, topics: Path, tmp_path: Path) -> None:
    """A tiny encoder has an embedding and one layer: `all` changes both, `last_1` the layer, `head` neither."""
    import keras
    from tiny_encoders import write_tiny_encoder

    from textclf.models.encoder.folder import read_encoder
    from textclf.models.encoder.network import encoder_weights
    from textclf.models.encoder.weights import read_weights

    write_tiny_encoder(tmp_path, "bert", hidden=8, layers=1, intermediate=8, positions=24)
    before = read_weights(read_encoder(tmp_path))
    changed = {}
    for name, run in (("all", encoder), ("head", head), ("last_1", topics)):
        network: keras.Model = parts(load_network(run / "model.keras"), "encoder")[0].network
        after = encoder_weights(network)
        changed[name] = {key.split(".")[0] for key, array in before.items() if not np.array_equal(array, after[key])}
    assert changed == {"all": {"pieces", "positions", "norm", "layer_1"}, "head": set(), "last_1": {"layer_1"}}


@pytest.mark.parametrize("settings", [(ALONE, "model.trainable=last_1"), ("model.trainable=head",)])
def test_the_other_pairs_of_blend_and_trainable(settings: tuple[str, ...], tmp_path: Path) -> None:
    run = train(tmp_path, *settings)
    before = (run / "metrics.json").read_bytes()
    assert textclf("evaluate", "--run", run).exit_code == 0
    assert (run / "metrics.json").read_bytes() == before


def test_a_test_file_is_read_as_the_training_rows_are(tmp_path: Path) -> None:
    run = train(tmp_path, *HEAD, f"data.test={SAMPLES / 'reviews.csv'}")
    metrics = document(run)
    assert (metrics["data"]["rows"], metrics["data"]["part"]) == (400, "test")
    before = (run / "predictions.csv").read_bytes()
    assert textclf("evaluate", "--run", run).exit_code == 0
    assert (run / "predictions.csv").read_bytes() == before


def test_the_log_says_what_the_network_reads(tmp_path: Path) -> None:
    config, settings = write_config(tmp_path, "reviews"), encoder_settings(tmp_path / "tiny")
    chosen = overrides(*settings, "report.baseline=false", "training.epochs=1", *HEAD)
    lines = textclf("train", config, "--run", tmp_path / "run", *chosen).stderr.splitlines()
    assert lines[0] == "360 rows to train on, 40 to validate on, 2 labels"
    assert lines[1].startswith("the network knows 74 pieces of words and reads 24 tokens of a text: cuts ")
    assert "the encoder computes the vectors of 400 texts once" in lines


def test_no_text_is_shown_where_none_must_be(tmp_path: Path) -> None:
    run = train(tmp_path, "report.texts=false", "model.trainable=head")
    with (SAMPLES / "reviews.csv").open(encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file) if row["text"]]
    for path, content in contents(run).items():
        assert [text for text in texts if text.encode() in content] == [], path
    classifier = load_classifier(run)
    probe, rows = classifier.probe_rows(), classifier.encode(texts)
    shown = {tuple(rows.row(index)) for index in range(len(rows))}
    assert not shown & {tuple(probe.row(index)) for index in range(len(probe))}
    first = classifier.description.first_piece
    assert [row for row in shown if len(row) == len(probe.row(0))]  # a row of the same length was scrambled
    assert (probe.pieces(first).lengths > 2).all()
    assert textclf("check", run).exit_code == 0


# Predicting, explaining, comparing


def test_predictions_keep_their_order_whatever_is_read_together(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text.replace("\x00", " ") for text in LINES]
    (tmp_path / "lines.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    arguments = ("predict", tmp_path / "lines.txt", "--run", run)
    whole = textclf(*arguments)
    assert (whole.exit_code, whole.stdout.count("\n")) == (0, len(texts))
    monkeypatch.setattr("textclf.data.rows.ROWS_AT_ONCE", 2)
    assert textclf(*arguments).stdout == whole.stdout
    monkeypatch.setattr("textclf.inference.classifier.BATCH_ROWS", 2)
    assert textclf(*arguments).stdout == whole.stdout


def test_a_text_alone_gives_what_it_gives_beside_others(run: Path) -> None:
    classifier = load_classifier(run)
    together = classifier.predict_proba(LINES)
    alone = np.concatenate([classifier.predict_proba([text]) for text in LINES])
    assert np.abs(together - alone).max() < 1e-6
    assert classifier.predict_proba([]).shape == (0, len(classifier.labels))


@pytest.mark.parametrize("stdin", ["", "\n", "\n\n"])
def test_predict_gives_a_line_for_each_line(stdin: str, run: Path) -> None:
    result = textclf("predict", "-", "--run", run, stdin=stdin)
    assert (result.exit_code, result.stdout.count("\n"), result.stderr) == (0, stdin.count("\n"), "")


@pytest.mark.parametrize("text", ["The film was Good, really", "", EMOJI])
def test_explanations_add_up(text: str, run: Path) -> None:
    result = textclf("explain", text, "--run", run, "--json")
    assert result.exit_code == 0, result.output
    for each in json.loads(result.stdout)["explanations"]:
        weights = sum(word["weight"] for word in each["words"])
        assert weights == pytest.approx(each["log_odds"] - each["without_words"], abs=1e-4)
        assert "".join(word["word"] for word in each["words"]) == re.sub(r"\s", "", text)


def test_explain_prints_words_and_not_pieces(encoder: Path) -> None:
    lines = textclf("explain", "The film was Good", "--run", encoder).stdout.splitlines()
    assert lines[1] == "  The film was Good"
    assert sorted(re.findall(r"[A-Za-z]+", lines[2])) == ["Good", "The", "film", "was"]


def test_a_run_is_compared_with_one_that_reads_words(encoder: Path, reviews: Path) -> None:
    result = textclf("compare", encoder, reviews, "--json")
    assert result.exit_code == 0, result.output
    compared = json.loads(result.stdout)
    assert [run["metrics"] for run in compared["runs"].values()] == [
        document(run)["metrics"] for run in (encoder, reviews)
    ]
    assert compared["settings"]["model.type"] == ["encoder", "bilstm"]
    assert compared["settings"]["model.trainable"] == ["all", None]
    assert textclf("compare", encoder, reviews).exit_code == 0


# Checking


def test_check_shows_what_the_encoder_reads(tmp_path: Path) -> None:
    config, settings = write_config(tmp_path, "questions"), encoder_settings(tmp_path / "tiny")
    result = textclf("check", config, *overrides(*settings))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == CHECKED


CHECKED = """\
rows to train on                                             216
rows to validate on                                           24
rows to evaluate on                                           24
tokens per text: median, 95 %, longest                24, 31, 40
pieces of words that the network knows                        74
texts longer than the network reads                 105 (48.6 %)
tokens that the network does not read                      8.8 %
pieces of words unknown to the network, train              1.1 %
pieces of words unknown to the network, validation         1.9 %

label   training rows
number             27
person             45
place              63
time               81

cut texts (train): 3 labels lose more than 5 % of their pieces where the network cuts texts: number (11 %), time\
 (11 %), place (8 %).
  Raise text.max_length (24) if the encoder reads more, or see whether the start of a text is what can go.
  row 58  time  What year did the company open its first office?
  row 57  number  What does the big loaf cost, two or three euros?
  row 103  time  What time does the library open on Saturday?
"""


def test_check_shows_what_a_model_knows(encoder: Path, head: Path) -> None:
    words = len(load_classifier(encoder).description.vocabulary)
    assert textclf("check", encoder).stdout == (
        f"labels                               negative, positive\n"
        f"words in the vocabulary                             {words}\n"
        f"pieces of words                                      74\n"
        f"largest difference of a probability             0.0e+00\n"
        "\n"
        "The model gives the probabilities that it gave when it was saved.\n"
    )
    assert json.loads(textclf("check", head, "--json").stdout) == {
        "labels": ["number", "person", "place", "time"], "vocabulary": 0, "pieces": 74, "probe_difference": 0.0
    }  # fmt: skip


# A run in the place of another


def test_a_run_without_an_encoder_leaves_no_tokenizer_behind(copy_run: CopyRun, tmp_path: Path) -> None:
    run = copy_run("encoder")
    settings = overrides(*QUICK, "training.epochs=1", "report.baseline=false")
    assert textclf("train", write_config(tmp_path, "reviews"), "--run", run, "--overwrite", *settings).exit_code == 0
    assert sorted(path.name for path in (run / "model").iterdir()) == ["model.json", "model.onnx"]
    assert textclf("check", run).exit_code == 0
