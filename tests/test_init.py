"""`textclf init`: the config that it writes, which trains unchanged, and what it refuses."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import SAMPLES, overrides, textclf
from init_rows import HOSTILE, Row, make_rows, printed_config, printed_settings, refusal, select, write_csv

from textclf.config.init import yaml_value
from textclf.config.load import load_config, load_saved_config
from textclf.config.yaml_source import read_yaml


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The config

REVIEWS = """\
# By `textclf init`, from the 400 rows of data/sample/reviews.csv. docs/config.md has every option.
# - Without data.test the result is measured on the validation rows, which also choose the best epoch.
data:
  train: data/sample/reviews.csv    # 400 rows; the path is relative to where textclf is started
  text: text                        # 400 different texts, in Latin script
  label: label                      # 2 labels: positive (55 %), negative (45 %)
  validation_split: 0.2             # 80 of 400 rows
text:
  vocab_size: 850                   # room for all 814 different words
  max_length: 50                    # the longest text has 20 tokens: none is cut
model:
  embedding_dim: 50                 # 400 rows are few: a small network overfits less
  # pretrained: glove.6B.100d.txt   # if English: put such word vectors into data/vectors/ and run init again
  units: 32                         # likewise, for 400 rows
  pooling: max                      # half of the texts have at most 11 tokens: a word anywhere may decide
  embedding_dropout: 0.5            # against overfitting on 400 rows
training:
  epochs: 12                        # 400 rows, 200 per label: the fewer rows, the more epochs
  batch_size: 16                    # 20 steps per epoch
  learning_rate: 0.005              # larger than the default, 0.001, as 12 epochs are few
  early_stopping: null              # the rate falls to 0 over the 12 epochs, so the last ones gain; the best is kept
"""

QUESTIONS = """\
# By `textclf init`, from the 240 rows of data/sample/questions.csv. docs/config.md has every option.
# - Without data.test the result is measured on the validation rows, which also choose the best epoch.
data:
  train: data/sample/questions.csv   # 240 rows; the path is relative to where textclf is started
  text: text                         # 240 different texts, in Latin script
  label: label                       # 4 labels: time (38 %), place (29 %), person (21 %), number (12 %)
  validation_split: 0.2              # 48 of 240 rows
text:
  vocab_size: 500                    # room for all 496 different words
  max_length: 50                     # the longest text has 12 tokens: none is cut
model:
  embedding_dim: 50                  # 240 rows are few: a small network overfits less
  # pretrained: glove.6B.100d.txt    # if English: put such word vectors into data/vectors/ and run init again
  units: 32                          # likewise, for 240 rows
  pooling: max                       # half of the texts have at most 7 tokens: a word anywhere may decide
  embedding_dropout: 0.5             # against overfitting on 240 rows
training:
  epochs: 12                         # 240 rows, 60 per label: the fewer rows, the more epochs
  batch_size: 16                     # 12 steps per epoch
  learning_rate: 0.005               # larger than the default, 0.001, as 12 epochs are few
  early_stopping: null               # the rate falls to 0 over the 12 epochs, so the last ones gain; the best is kept
"""

TOPICS = """\
# By `textclf init`, from the 200 rows of data/sample/topics.csv. docs/config.md has every option.
# - Without data.test the result is measured on the validation rows, which also choose the best epoch.
data:
  train: data/sample/topics.csv     # 200 rows; the path is relative to where textclf is started
  text: text                        # 200 different texts, in Latin script
  label: labels                     # 5 labels: food (40 %), service (34 %), place (32 %), price (30 %), noise (22 %)
  validation_split: 0.2             # 40 of 200 rows
  label_separator: '|'              # 1.6 labels per row, 6 rows have none
text:
  vocab_size: 550                   # room for all 509 different words
  max_length: 50                    # the longest text has 16 tokens: none is cut
model:
  embedding_dim: 50                 # 200 rows are few: a small network overfits less
  # pretrained: glove.6B.100d.txt   # if English: put such word vectors into data/vectors/ and run init again
  units: 32                         # likewise, for 200 rows
  pooling: max                      # half of the texts have at most 9 tokens: a word anywhere may decide
  embedding_dropout: 0.5            # against overfitting on 200 rows
training:
  epochs: 20                        # 200 rows, 40 per label: the fewer rows, the more epochs
  batch_size: 16                    # 10 steps per epoch
  learning_rate: 0.005              # larger than the default, 0.001, as 20 epochs are few
  early_stopping: null              # the rate falls to 0 over the 20 epochs, so the last ones gain; the best is kept
decision:
  aim: f1                           # a threshold for each label: rare ones seldom reach a probability of 0.5
"""


@pytest.mark.parametrize(("sample", "config"), [("reviews", REVIEWS), ("questions", QUESTIONS), ("topics", TOPICS)])
def test_the_config_of_a_sample(sample: str, config: str) -> None:
    shutil.copytree(SAMPLES, "data/sample")
    assert printed_config(f"data/sample/{sample}.csv") == config


def test_the_data_are_described_in_a_few_lines(folder: Path) -> None:
    shutil.copytree(SAMPLES, "data/sample")
    result = textclf("init", "data/sample/topics.csv", "--output", folder / "topics.yaml")
    assert (result.exit_code, result.stdout, (folder / "topics.yaml").read_text()) == (0, "", TOPICS)
    labels = "food (40 %), service (34 %), place (32 %), price (30 %), noise (22 %)"
    assert (
        result.stderr
        == f"""\
data/sample/topics.csv: the 200 rows have texts in 'text' (median 9 tokens, longest 16)
and labels in 'labels' (5 labels: {labels})
Without data.test the result is measured on the validation rows, which also choose the best epoch.
wrote {folder}/topics.yaml; next: textclf train {folder}/topics.yaml
"""
    )


@pytest.mark.parametrize("label", ["a\nb", "x: #", "\x1b[31m", "a\u2028b", "\x00"])
def test_any_label_is_harmless_in_a_comment(label: str) -> None:
    rows = [{"text": row["body"], "label": label if row["stars"] > 2 else "other"} for row in make_rows()]
    write_csv("rows.csv", rows)
    config = printed_config("rows.csv")
    assert all(line.isprintable() for line in config.split("\n"))
    assert list(yaml.safe_load(config)) == ["data", "text", "model", "training"]


@pytest.mark.parametrize("value", [*HOSTILE, "x" * 300, "word " * 60, "a\n\n b", ["html", "url"], None, 2e-3, 3, True])
def test_a_value_is_written_on_one_line(value: object) -> None:
    text = yaml_value(value)
    assert "\n" not in text
    Path("c.yaml").write_text(f"key: {text}   # why\n", encoding="utf-8", newline="\n")
    assert read_yaml(Path("c.yaml")).values == {"key": value}


# Settings that follow from the texts


def texts_and_labels(texts: list[str]) -> list[Row]:
    return [{"text": text, "label": "pos" if i % 2 else "neg"} for i, text in enumerate(texts)]


def test_texts_without_blanks_between_words_are_cut_into_characters() -> None:
    write_csv("rows.csv", texts_and_labels([f"อาหารอร่อยมาก{'ครับ' * i}" for i in range(20)]))
    settings = printed_settings("rows.csv")
    assert (settings["text.tokenizer"], settings["text.max_length"], settings["model.pooling"]) == (
        "char",
        90,
        "max_mean",
    )


def test_texts_of_a_single_word_are_cut_into_characters() -> None:
    write_csv("rows.csv", texts_and_labels([f"name{'abcdefghijklmnopqrst'[i]}" for i in range(20)]))
    assert printed_settings("rows.csv")["text.tokenizer"] == "char"


def test_chinese_gets_no_hint_of_word_vectors() -> None:
    write_csv("rows.csv", texts_and_labels([f"酒店很好{'，早餐不错' * i}。" for i in range(50)]))
    config = printed_config("rows.csv")
    assert "pretrained" not in config
    assert " characters" in config


def test_long_texts_are_cut_and_their_share_is_shown() -> None:
    write_csv("rows.csv", texts_and_labels([f"{i} {'word ' * 40 * i}" for i in range(20)]))
    line = "half of the texts have at most 381 tokens; 50 % have more than 400, of which the network reads the end"
    assert f"# {line}\n" in printed_config("rows.csv")
    assert printed_settings("rows.csv")["text.max_length"] == 400


def test_addresses_in_many_texts_become_one_word() -> None:
    write_csv("rows.csv", texts_and_labels([f"look here https://x.org/{i} now" for i in range(20)]))
    assert printed_settings("rows.csv")["text.clean"] == ["html", "url"]


def test_full_width_forms_in_a_hundredth_of_the_texts_become_the_usual_ones() -> None:
    texts = [f"number {i} of it" for i in range(200)]
    write_csv("rows.csv", texts_and_labels([*texts[:-1], "ｎｕｍｂｅｒ ９"]))
    assert "text.clean" not in printed_settings("rows.csv")
    write_csv("rows.csv", texts_and_labels([*texts[:-2], "ｎｕｍｂｅｒ ９", "ﾊﾅ"]))
    assert printed_settings("rows.csv")["text.clean"] == ["html", "nfkc"]
    assert "# 1 % of the texts hold full-width or half-width forms" in printed_config("rows.csv")


def test_texts_with_zero_width_spaces_between_words_have_words() -> None:
    write_csv("rows.csv", texts_and_labels(["\u200b".join(["ខ្ញុំ", "ស្រឡាញ់", "ភាសា", *["ខ្មែរ"] * i]) for i in range(20)]))
    settings = printed_settings("rows.csv")
    assert ("text.tokenizer" in settings, settings["text.max_length"]) == (False, 50)


def test_a_rare_label_is_remarked() -> None:
    rows = texts_and_labels([f"some text {i}" for i in range(60)])
    write_csv("rows.csv", [{**row, "label": "spam" if i % 10 == 0 else "ham"} for i, row in enumerate(rows)])
    assert "# class_weight: balanced " in printed_config("rows.csv")
    assert "# 'spam' has 6 of 60 rows; finds more of them, costs accuracy\n" in printed_config("rows.csv")


def test_what_is_odd_in_the_data_is_remarked() -> None:
    rows = texts_and_labels([f"some text {i}" for i in range(40)])
    rows += [{"text": "", "label": "pos"}, {"text": "Some  TEXT 1", "label": "neg"}, {"text": "alone", "label": "odd"}]
    write_csv("rows.csv", rows)
    assert [line for line in printed_config("rows.csv").splitlines() if line.startswith("# - ")] == [
        "# - Empty texts: 1. They are kept, and all get the same probabilities.",
        "# - Rows that repeat an earlier text: 1, 1 of them with another label. A split keeps them on one side.",
        "# - Labels with a single row, too few to learn or to measure: 1 (odd).",
        "# - Without data.test the result is measured on the validation rows, which also choose the best epoch.",
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (60, {"data.validation_split": 0.2, "training.epochs": 12, "training.batch_size": 16}),
        (3000, {"training.epochs": 8}),
        (5000, {"training.epochs": 4}),
        (21_000, {"data.validation_split": 0.05, "training.epochs": 4, "training.batch_size": 64}),
    ],
)
def test_the_number_of_rows_decides_split_epochs_and_batches(rows: int, expected: Row) -> None:
    write_csv("rows.csv", texts_and_labels([f"some text {i}" for i in range(rows)]))
    settings = printed_settings("rows.csv")
    assert {key: settings[key] for key in settings if key in COUNTED} == expected


COUNTED = ("data.validation_split", "training.epochs", "training.batch_size")


# Files of validation and test rows


def test_files_of_validation_and_test_rows_beside_it_are_used() -> None:
    Path("set").mkdir()
    rows = select(make_rows(), "body", "stars")
    for part, content in {
        "train": rows,
        "dev": make_rows(10),
        "test": [*rows[:2], {"body": "new", "stars": 9}],
    }.items():
        write_csv(f"set/{part}.csv", select(content, "body", "stars"))
    result = textclf("init", "set/train.csv")
    config = load_config(Path("set.yaml"))
    assert (config.data.validation, config.data.test) == ("set/dev.csv", "set/test.csv")
    assert "2 of 3 texts of set/test.csv are in the training file too." in result.stderr
    assert "data.validation_split" not in printed_settings("set/train.csv")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"body": "x"}], "beside_test.csv has no column 'stars'; it has: body. Set data.label."),
        ([{"body": "x", "stars": ""}], "row 0 has no label (rows count from 0). Add it or drop the row."),
        ([{"body": "x", "stars": "-1"}], "its label '-1' is in no training row looked at"),
    ],
)
def test_a_file_beside_it_that_cannot_be_measured_on_is_not_used(rows: list[Row], reason: str) -> None:
    write_csv("beside_train.csv", select(make_rows(), "body", "stars"))
    write_csv("beside_test.csv", rows)
    assert "data.test" not in printed_settings("beside_train.csv")
    remarks = [line for line in printed_config("beside_train.csv").splitlines() if "is not used" in line]
    assert [remark.endswith(reason) for remark in remarks] == [True]


# The file and the messages


@pytest.mark.parametrize(
    ("data", "config"),
    [("mine.csv", "mine.yaml"), ("mr/train.csv", "mr.yaml"), ("mr/Data.csv.gz", "mr.yaml"), ("a.b.csv", "a.b.yaml")],
)
def test_the_config_is_named_like_the_data(data: str, config: str) -> None:
    Path(data).parent.mkdir(exist_ok=True)
    write_csv("rows", make_rows())
    content = Path("rows").read_bytes()
    Path(data).write_bytes(gzip.compress(content) if data.endswith(".gz") else content)
    result = textclf("init", data)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith(f"wrote {config}; next: textclf train {config}\n")
    assert load_config(Path(config)).data.train == data


def test_any_name_of_a_file_is_written_as_it_is() -> None:
    write_csv("my: data #1.csv", make_rows())
    result = textclf("init", "my: data #1.csv")
    assert result.stderr.endswith("wrote my: data #1.yaml; next: textclf train 'my: data #1.yaml'\n")
    assert load_config(Path("my: data #1.yaml")).data.train == "my: data #1.csv"


def test_an_existing_config_is_replaced_only_on_demand() -> None:
    write_csv("rows.csv", make_rows())
    Path("rows.yaml").write_text("mine")
    assert refusal("rows.csv") == (
        "rows.yaml exists. Replace it with --overwrite, or choose another file with --output.\n"
    )
    assert Path("rows.yaml").read_text() == "mine"
    assert textclf("init", "rows.csv", "--overwrite").exit_code == 0
    assert load_config(Path("rows.yaml")).data.text == "body"


def test_the_result_is_one_json_document() -> None:
    write_csv("rows.csv", select(make_rows(), "body", "stars"))
    result = textclf("init", "rows.csv", "--output", "here.yaml", "--json")
    document = json.loads(result.stdout)
    assert (document["config"], document["data"], document["beside"]) == ("here.yaml", "rows.csv", [])
    assert document["found"]["labels"] == {"1": 12, "2": 12, "3": 12, "4": 12, "5": 12}
    assert Path("here.yaml").exists()


def test_two_results_on_stdout_are_wrong_usage() -> None:
    result = textclf("init", "rows.csv", "--output", "-", "--json")
    assert (result.exit_code, result.stdout) == (2, "")


# Training


def test_the_config_trains_unchanged() -> None:
    assert textclf("init", SAMPLES / "topics.csv").exit_code == 0
    assert textclf("train", "topics.yaml", *overrides("training.epochs=1")).exit_code == 0
    assert load_saved_config(Path("runs/topics/config.yaml")) == load_config(Path("topics.yaml"), ["training.epochs=1"])
    metrics = json.loads(Path("runs/topics/metrics.json").read_text(encoding="utf-8"))
    assert (metrics["data"]["rows"], list(metrics["labels"])) == (40, ["food", "noise", "place", "price", "service"])
