"""Pretrained encoders that `textclf init` finds and proposes, and the config that it writes for one."""

import json
import os
import shutil
from itertools import product
from pathlib import Path

import pytest
from conftest import SAMPLES, overrides, textclf
from init_rows import printed_settings, refusal, write_csv
from tiny_encoders import TEXTS, write_tiny_encoder

from textclf.config import encoder_files
from textclf.config.encoder_files import EncoderFolder, suggest_encoder_training
from textclf.config.load import load_config
from textclf.errors import UserError

REVIEWS = [line.rpartition(",")[0].lower() for line in (SAMPLES / "reviews.csv").read_text("utf-8").splitlines()[1:]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the sample data, on a machine of two processors."""
    shutil.copytree(SAMPLES, tmp_path / "data/sample")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoder_files, "usable_processors", lambda: 2)
    return tmp_path


def encoder_of_reviews(path: str) -> Path:
    """Write an encoder whose pieces are the words of the sample reviews."""
    return write_tiny_encoder(Path(path), "bert", texts=[review.replace('"', " ") for review in REVIEWS])


def talk(*options: str) -> list[str]:
    """Return what init prints on stderr about the sample reviews, less the description of the data."""
    result = textclf("init", "data/sample/reviews.csv", *options)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    return result.stderr.splitlines()[2:]


WITHOUT_TEST = "Without data.test the result is measured on the validation rows, which also choose the best epoch."
WROTE = "wrote reviews.yaml; next: textclf train reviews.yaml"


def test_an_encoder_is_proposed_by_the_whole_command() -> None:
    encoder_of_reviews("data/encoders/tiny")
    command = "textclf init data/sample/reviews.csv --text text --label label --encoder data/encoders/tiny"
    assert talk("--text", "text", "--label", "label") == [
        f"an encoder is there that may score higher: {command} (trains in about 1 min)",
        WITHOUT_TEST,
        WROTE,
    ]
    assert "encoder" not in Path("reviews.yaml").read_text(encoding="utf-8")
    result = textclf(*command.split()[1:])
    assert result.stderr.endswith("wrote reviews-encoder.yaml; next: textclf train reviews-encoder.yaml\n")


def test_without_an_encoder_there_is_no_word_of_one() -> None:
    assert talk() == [WITHOUT_TEST, WROTE]


def test_an_encoder_of_another_language_is_not_proposed() -> None:
    write_tiny_encoder(Path("data/encoders/tiny"), "bert")  # knows few words, and splits all others into letters
    assert talk() == [WITHOUT_TEST, WROTE]
    result = textclf("init", "data/sample/reviews.csv", "--encoder", "data/encoders/tiny")
    remark = "data/encoders/tiny may not know the language of the texts: it splits a word into 3.0 pieces, 2 % of them"
    assert result.stderr.splitlines()[2:] == [
        f"{remark} unknown.",
        WITHOUT_TEST,
        "wrote reviews-encoder.yaml; next: textclf train reviews-encoder.yaml",
    ]


@pytest.mark.parametrize(("rows", "is_proposed"), [(19_999, True), (20_000, False)])
def test_an_encoder_is_proposed_for_few_rows(rows: int, is_proposed: bool) -> None:
    write_tiny_encoder(Path("data/encoders/tiny"), "bert")
    texts = map(" ".join, product(sorted(set(" ".join(TEXTS).split())), repeat=4))
    write_csv("rows.csv", [{"text": next(texts), "label": "a" if i % 2 else "b"} for i in range(rows)])
    assert ("an encoder is there" in textclf("init", "rows.csv").stderr) == is_proposed


@pytest.mark.parametrize("place", ["elsewhere", "elsewhere/tiny"])
def test_the_environment_names_a_folder_or_its_parent(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder_of_reviews("elsewhere/tiny")
    Path("elsewhere/.cache").mkdir()
    Path("elsewhere/notes.txt").touch()
    monkeypatch.setenv("TEXTCLF_ENCODER", place)
    [line, *_] = talk()
    assert line.endswith("--encoder elsewhere/tiny (trains in about 1 min)")


def test_encoders_that_cannot_be_used_are_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_encoder(Path("data/encoders/tiny"), "bert")
    Path("data/encoders/tiny/tokenizer.json").unlink()
    Path("data/encoders/empty").mkdir()
    monkeypatch.setenv("TEXTCLF_ENCODER", "x" * 300)
    assert talk() == [
        "not used: data/encoders/empty has no config.json; it is empty. Name the folder of a pretrained encoder as "
        "Hugging Face writes it.",
        "not used: data/encoders/tiny has no tokenizer.json; it has: config.json, model.safetensors. Hugging Face's "
        "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it.",
        f"not used: {'x' * 57}... cannot be read: File name too long.",
        WITHOUT_TEST,
        WROTE,
    ]
    document = json.loads(textclf("init", "data/sample/reviews.csv", "--json", "--overwrite").stdout)
    assert [encoder["path"] for encoder in document["encoders"]] == [
        "data/encoders/empty",
        "data/encoders/tiny",
        "x" * 300,
    ]


@pytest.mark.parametrize("place", ["nowhere", "data/sample/lines.txt", "empty"])
def test_a_place_in_the_environment_without_an_encoder_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    monkeypatch.setenv("TEXTCLF_ENCODER", place)
    reasons = {
        "nowhere": f"no folder 'nowhere' (looked in {Path.cwd()}). textclf downloads nothing: fetch the encoder's "
        "folder first.",
        "data/sample/lines.txt": "data/sample/lines.txt is a file. Name the folder of the encoder, which has "
        "config.json.",
        "empty": "empty has no config.json; it is empty. Name the folder of a pretrained encoder as Hugging Face "
        "writes it.",
    }
    line = f"not used: {reasons[place]}"
    assert talk() == [line if len(reasons[place]) <= 200 else f"{line[:207]}...", WITHOUT_TEST, WROTE]


def test_a_folder_without_permission_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("data/encoders").mkdir()
    listdir = os.listdir

    def refused(path: Path) -> list[str]:
        if Path(path) == Path("data/encoders"):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refused)
    assert talk() == ["not used: data/encoders cannot be read: Permission denied.", WITHOUT_TEST, WROTE]


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder_of_reviews("data/encoders/tiny")

    def missing(*_: object, **__: object) -> None:
        raise UserError("model.type encoder needs the package tokenizers: pip install 'tokenizers>=0.21.1'.")

    monkeypatch.setattr(encoder_files, "read_tokenizer", missing)
    reason = "model.type encoder needs the package tokenizers: pip install 'tokenizers>=0.21.1'."
    assert talk() == [f"not used: data/encoders/tiny: {reason}", WITHOUT_TEST, WROTE]


# --encoder

CONFIG = """\
# By `textclf init`, from the 400 rows of data/sample/reviews.csv. docs/config.md has every option.
# - Without data.test the result is measured on the validation rows, which also choose the best epoch.
data:
  train: data/sample/reviews.csv   # 400 rows; the path is relative to where textclf is started
  text: text                       # 400 different texts, in Latin script
  label: label                     # 2 labels: positive (55 %), negative (45 %)
  validation_split: 0.2            # 80 of 400 rows
text:
  max_length: 32                   # pieces of words: half of the texts have at most 14, 99 % at most 27
model:
  type: encoder                    # a pretrained encoder and a layer for the labels
  encoder: data/encoders/tiny      # 23,760 weights, in 2 layers and the table of pieces
  trainable: last_2                # 400 rows are few; training takes about 1 min on this machine's processors
  encoder_learning_rate: 0.0001    # small: training adapts what it has learnt; twice that for `trainable: all`
training:
  epochs: 6                        # 400 rows: an encoder needs few, more for fewer rows
  batch_size: 16                   # 20 steps per epoch
  optimizer: adamw                 # the one that encoders are trained with
  learning_rate: 0.001             # of the layer for the labels, which is new
  schedule: linear                 # the rate falls to 0 over the 6 epochs
  warmup: 0.1                      # the rate rises in the first tenth: the new layer's first errors are large
  weight_decay: 0.01               # that of BERT
  early_stopping: null             # the 6 epochs are few; the best is kept
  monitor: val_accuracy            # later epochs label better; calibration mends that they are too sure
"""


def test_the_config_of_an_encoder_has_a_reason_for_each_setting() -> None:
    encoder_of_reviews("data/encoders/tiny")
    result = textclf("init", "data/sample/reviews.csv", "--encoder", "data/encoders/tiny", "--output", "-")
    assert result.stdout == CONFIG


def test_the_config_of_an_encoder_trains_unchanged() -> None:
    encoder_of_reviews("tiny")
    assert textclf("init", "data/sample/reviews.csv", "--encoder", "tiny", "--output", "c.yaml").exit_code == 0
    result = textclf("train", "c.yaml", *overrides("training.epochs=1"))
    assert result.exit_code == 0, result.output
    assert load_config(Path("c.yaml")).model.trainable == "last_2"


def test_a_folder_that_is_no_encoder_is_refused() -> None:
    assert refusal("data/sample/reviews.csv", "--encoder", "intfloat/e5-small") == (
        f"no folder 'intfloat/e5-small' (looked in {Path.cwd()}). textclf downloads nothing: fetch the encoder's "
        "folder first.\n"
    )
    assert refusal("data/sample/reviews.csv", "--encoder", "data/sample") == (
        "data/sample has no config.json; it has: lines.txt, questions.csv, reviews.csv, topics.csv. Name the folder "
        "of a pretrained encoder as Hugging Face writes it.\n"
    )


def test_the_encoder_is_never_overwritten() -> None:
    encoder_of_reviews("tiny")
    before = Path("tiny/config.json").read_bytes()
    options = ("--encoder", "tiny", "--output", "tiny/config.json", "--overwrite")
    assert refusal("data/sample/reviews.csv", *options) == (
        "tiny/config.json is a file that this command reads. Choose another file with --output.\n"
    )
    assert Path("tiny/config.json").read_bytes() == before


def test_long_texts_are_cut_to_the_positions_of_the_encoder() -> None:
    encoder_of_reviews("tiny")
    write_csv("rows.csv", [{"text": "the film was good " * i, "label": "a" if i % 2 else "b"} for i in range(1, 41)])
    assert printed_settings("rows.csv", "--encoder", "tiny")["text.max_length"] == 40


# What to train, and how long it takes

MINILM = EncoderFolder("minilm", layers=6, operations=6 * (4 * 384**2 + 2 * 384 * 1536), mean=32)
LARGE = MINILM._replace(layers=24, operations=24 * (4 * 1024**2 + 2 * 1024 * 4096))


@pytest.mark.parametrize(
    ("encoder", "rows", "labels", "training"),
    [
        (MINILM, 200, 2, ("last_2", 6, 0, 0)),
        (MINILM, 1500, 2, ("all", 3, 1, 1)),
        (MINILM, 13_200, 2, ("all", 2, 4, 4)),  # 110 rows a second, as measured
        (MINILM, 10_000, 77, ("all", 3, 4, 4)),
        (LARGE, 10_000, 2, ("last_2", 2, 33, 85)),
    ],
)
def test_size_rows_and_labels_decide_what_is_trained(
    encoder: EncoderFolder, rows: int, labels: int, training: tuple[str, int, int, int]
) -> None:
    trainable, epochs, *minutes = suggest_encoder_training(encoder, rows=rows, labels=labels)
    assert (trainable, epochs, *map(round, minutes)) == training


def test_more_processors_take_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = suggest_encoder_training(LARGE, rows=10_000, labels=2).minutes
    monkeypatch.setattr(encoder_files, "usable_processors", lambda: 16)
    assert suggest_encoder_training(LARGE, rows=10_000, labels=2).minutes == pytest.approx(before / 8**0.7)
