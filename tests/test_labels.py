"""Labels that are missing, spelled in several ways, unknown to training, or named as a column."""

import csv
import json
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import yaml
from conftest import QUICK, overrides, textclf

TEXTS = [f"the {thing} number {number} was dull" for number in range(20) for thing in ("lamp", "tram")]


LIST_ADVICE = "Write the labels of a row joined by |, as in a|b, and set data.label_separator to |."


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# Missing ones


def nan_in_jsonl() -> Path:
    lines = [f'{{"text": "{text}", "label": {label}}}' for text, label in zip(TEXTS, ['"a"', '"b"'] * 20, strict=True)]
    lines[2:4] = ['{"text": NaN, "label": "a"}', '{"text": "a text", "label": NaN}']
    Path("rows.jsonl").write_text("\n".join(lines))
    return Path("rows.jsonl")


def nan_in_parquet() -> Path:
    labels = [0.0, 1.0, 0.0, float("nan")] * 10
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS, "label": labels}), "rows.parquet")
    return Path("rows.parquet")


def test_rows_of_one_label_or_none_are_refused() -> None:
    Path("c.yaml").write_text(f"data: {{train: {write_rows('rows.csv', ['a', ''])}, label_separator: '|'}}")
    message = (
        "rows.csv: only the label 'a' in 36 training rows. There must be two or more: give rows without it a label "
        "of their own, and drop label_separator.\n"
    )
    assert [textclf(*command, "c.yaml").stderr for command in (["check"], ["train", "--run", "run"])] == [message] * 2


def test_a_run_that_is_evaluated_on_rows_without_labels_is_complete() -> None:
    files = write_rows("rows.csv", ["a", "b"]), write_rows("test.csv", [""])
    Path("c.yaml").write_text(f"data: {{train: {files[0]}, test: {files[1]}, label_separator: '|'}}")
    result = textclf("train", "c.yaml", "--run", "run", *overrides(*QUICK, "training.epochs=1"))
    assert result.exit_code == 0, result.output
    limit = "- None of the rows evaluated has a label: no score says how well the labels are found.\n"
    assert limit in Path("run/README.md").read_text(encoding="utf-8")
    assert textclf("evaluate", "--run", "run").exit_code == 0


@pytest.mark.parametrize(("write", "rows"), [(nan_in_jsonl, 1), (nan_in_parquet, 10)])
def test_nan_is_no_label(write: Callable[[], Path], rows: int) -> None:
    file = write()
    Path("c.yaml").write_text(f"data: {{train: {file}}}")
    message = f"{file}: row 3 has no label (rows count from 0). Add it or drop the row.\n"
    assert [textclf(*command, "c.yaml").stderr for command in (["check"], ["train", "--run", "run"])] == [message] * 2
    assert f"{file}: {rows} of 40 rows have no label in 'label', the first is row 3" in textclf("init", file).stderr


def test_nan_is_an_empty_text(reviews: Path) -> None:
    nan_in_jsonl()
    Path("null.jsonl").write_text(Path("rows.jsonl").read_text().replace("NaN", "null"))
    predicted = [textclf("predict", name, "--run", reviews).stdout for name in ("rows.jsonl", "null.jsonl")]
    assert predicted[0] == predicted[1]
    assert len(predicted[0].splitlines()) == len(TEXTS)


def write_rows(name: str, labels: Sequence[str]) -> Path:
    """Write a table of 40 rows, with these labels by turns."""
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(TEXTS, cycle(labels), strict=False)])
    return Path(name)


def check_findings(labels: Sequence[str], *settings: str) -> dict[str, list[str]]:
    """Return the lines that `check` prints for each finding, by the first words of the first line."""
    Path("c.yaml").write_text(f"data: {{train: {write_rows('rows.csv', labels)}}}")
    result = textclf("check", "c.yaml", *overrides(*settings))
    assert (result.exit_code, result.stderr) == (0, "")
    parts = [part.splitlines() for part in result.stdout.split("\n\n")[2:]]
    return {first.partition(":")[0]: [first, *others] for first, *others in parts}


# Lists as text


LISTS = ["['a', 'b']", '["a", "b"]', "('a', 'b')", "('a',)", "['a'\n 'b']", "[1, 2]", "[]"]


@pytest.mark.parametrize("separator", [(), ("data.label_separator=,",)])
def test_lists_as_text_are_told(separator: tuple[str, ...]) -> None:
    what = "40 rows have a list as text for a label, the first is row 0: ['a', 'b']"
    assert check_findings(["['a', 'b']", "['a']"], *separator)["lists as text (train)"] == [
        f"lists as text (train): {what}.",
        f"  {LIST_ADVICE}",
        "  row 0  ['a', 'b']  the lamp number 0 was dull",
        "  row 1  ['a']  the tram number 0 was dull",
        "  row 2  ['a', 'b']  the lamp number 1 was dull",
    ]
    result = textclf("train", "c.yaml", "--run", "run", *overrides(*QUICK, "report.baseline=false", *separator))
    assert f"warning: train, lists as text: {what}. {LIST_ADVICE}" in result.stderr.splitlines()


def test_init_takes_no_list_as_text_apart() -> None:
    write_rows("rows.csv", ["['a', 'b']", "['a']", "['b']", "['b', 'c']", "['c']"])
    result = textclf("init", "rows.csv", "--output", "c.yaml")
    remark = f"Rows with a list as text for a label: 40, such as ['a', 'b']. {LIST_ADVICE}"
    assert result.stderr.splitlines()[2] == remark
    assert "label_separator" not in yaml.safe_load(Path("c.yaml").read_text())["data"]


@pytest.mark.parametrize("label", LISTS)
def test_a_list_as_text_is_told_among_labels(label: str) -> None:
    assert "14 rows have a list as text" in check_findings([label, "a", "b"])["lists as text (train)"][0]


@pytest.mark.parametrize("label", ["[a]", "(1)", "(a, b)", "a, b", "it's 'a'", "'a'", "[", '{"a": "b"}'])
def test_other_labels_are_no_lists(label: str) -> None:
    assert "lists as text (train)" not in check_findings([label, "a", "b"])


def test_too_many_lists_as_text_are_refused_with_the_reason() -> None:
    Path("rows.csv").write_text("text,label\n" + "".join(f"text {row},['{row}']\n" for row in range(2001)))
    Path("c.yaml").write_text("data: {train: rows.csv}")
    assert textclf("check", "c.yaml").stderr == (
        "rows.csv: 2,001 different labels in 2,001 rows; at most 2,000 can be told apart. ['0'] is a list as text. "
        f"{LIST_ADVICE}\n"
    )


# Spellings


@pytest.mark.parametrize("settings", [(), ("data.label_separator=|",)])
def test_blanks_around_a_label_are_no_part_of_it(settings: tuple[str, ...]) -> None:
    write_rows("rows.csv", [" a", "b", "a\u3000", "b\xa0"])
    Path("c.yaml").write_text("data: {train: rows.csv}")
    document = json.loads(textclf("check", "c.yaml", "--json", *overrides(*settings)).stdout)
    assert document["labels"] == {"a": 18, "b": 18}
    assert document["findings"] == []
    assert "labels in 'label' (2 labels: a (50 %), b (50 %))" in textclf("init", "rows.csv").stderr


def test_spellings_of_a_label_are_one_finding_of_check_and_of_train() -> None:
    labels = ["bar", "caf\xe9", "bar", "Cafe\u0301", "bar", "caf\xe9", "bar", "caf\xe9\u200b"]
    finding = check_findings(labels)["label spellings (train)"]
    what = (
        "'Cafe\\u0301' (5 rows, the first is 3), 'caf\xe9\\u200b' (5 rows, the first is 7) may be 'caf\xe9' "
        "(10 rows, the first is 1)"
    )
    advice = "If they mean the same, write them alike in data.train: each spelling is a label of its own now."
    assert finding == [
        f"label spellings (train): {what}.",
        f"  {advice}",
        "  row 1  caf\xe9  the tram number 0 was dull",
        "  row 3  Cafe\u0301  the tram number 1 was dull",
        "  row 7  caf\xe9\ufffd  the tram number 3 was dull",
    ]
    result = textclf("train", "c.yaml", "--run", "run", *overrides(*QUICK, "report.baseline=false"))
    assert f"warning: train, label spellings: {what}. {advice}" in result.stderr.splitlines()
    remark = "Labels that may be one: 'caf\xe9' and 'Cafe\\u0301' and 'caf\xe9\\u200b'. Write them alike."
    assert remark in textclf("init", "rows.csv").stderr.splitlines()


SAME = {
    "case": ("Yes", "yes"),
    "true": ("True", "true"),
    "a whole number": ("1", "1.0"),
    "zeros": ("01", "1"),
    "a fraction": (".50", "0.5"),
    "a minus zero": ("-0", "0.0"),
    "full width": ("\uff21\uff11", "A1"),
    "Unicode form": ("\u1e69", "s\u0323\u0307"),
    "a hyphen": ("not spam", "not-spam"),
    "an underscore": ("not_spam", "not  spam"),
    "a dash": ("A-B", "A\u2013B"),
    "a zero-width space": ("spam\u200b", "spam"),
    "a byte order mark": ("\ufeffspam", "spam"),
    "a variation selector": ("\u2764\ufe0f", "\u2764"),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME.keys())
def test_labels_that_a_reader_takes_for_one_are_found(pair: tuple[str, str]) -> None:
    assert "label spellings (train)" in check_findings([*pair, "other"])


DIFFERENT = [
    ("C", "C++"), ("C", "C#"), ("A", "A-"), ("1", "-1"), ("+", "-"), ("1", "10"), ("1.10", "1.1.0"), ("a", "\xe4"),
    ("1" * 40 + "0", "1" * 40 + "1"),
]  # fmt: skip


@pytest.mark.parametrize("pair", DIFFERENT)
def test_labels_that_differ_are_no_spellings_of_one(pair: tuple[str, str]) -> None:
    assert "label spellings (train)" not in check_findings([*pair, "other"])


def test_spellings_are_found_among_several_labels_a_row() -> None:
    findings = check_findings(["a|B", "b", "a"], "data.label_separator=|")
    assert findings["label spellings (train)"][0] == (
        "label spellings (train): 'b' (13 rows, the first is 1) may be 'B' (14 rows, the first is 0)."
    )


# Labels that training does not know

HINT = "Write them as in training: '0' for '0.0', '1' for '1.0'."


@pytest.mark.parametrize(
    ("part", "labels", "message"),
    [
        ("test", ["0.0", "1.0"], f"data.test: training knows none of its labels: 0.0, 1.0; it knows: 0, 1. {HINT}"),
        (
            "test",
            ["x", "y"],
            "data.test: training knows none of its labels: x, y; it knows: 0, 1. Is data.label the right column?",
        ),
        ("validation", ["0", "0.0", "1.0"], f"data.validation has labels that data.train lacks: 0.0, 1.0. {HINT}"),
    ],
)
def test_a_file_of_labels_that_training_does_not_know_is_refused(part: str, labels: list[str], message: str) -> None:
    files = write_rows("rows.csv", ["0", "1"]), write_rows("other.csv", labels)
    Path("c.yaml").write_text(f"data: {{train: {files[0]}, {part}: {files[1]}}}")
    for command in (["check", "c.yaml"], ["train", "c.yaml", "--run", "run"]):
        result = textclf(*command)
        assert (result.exit_code, result.stderr) == (1, f"{message}\n")


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (["0", "1.0"], "Write them as in training: '1' for '1.0'."),
        (["0", "1", "odd"], "Add training rows of these labels, or drop theirs."),
    ],
)
def test_labels_of_the_test_file_that_training_does_not_know_are_a_finding(labels: list[str], advice: str) -> None:
    write_rows("test.csv", labels)
    unknown, rows, first = (labels[-1], 40 // len(labels), len(labels) - 1)
    assert check_findings(["0", "1"], "data.test=test.csv")["unknown labels (test)"] == [
        f"unknown labels (test): training does not know '{unknown}' ({rows} rows, the first is {first}).",
        f"  They count as wrong. {advice}",
        f"  row {first}  {unknown}  {TEXTS[first]}",
    ]


def test_evaluate_refuses_a_file_of_which_it_knows_no_label(reviews: Path) -> None:
    write_rows("new.csv", ["Positive", "NEGATIVE"])
    result = textclf("evaluate", "new.csv", "--run", reviews)
    assert (result.exit_code, result.stderr) == (
        1,
        "new.csv: training knows none of its labels: NEGATIVE, Positive; it knows: negative, positive. Write them as "
        "in training: 'negative' for 'NEGATIVE', 'positive' for 'Positive'.\n",
    )


def test_evaluate_names_the_known_spelling_of_a_label(reviews: Path) -> None:
    write_rows("new.csv", ["positive", "NEGATIVE", "so so"])
    result = textclf("evaluate", "new.csv", "--run", reviews / "model")
    assert (result.exit_code, result.stderr) == (
        0,
        "warning: labels that training never saw, counted as wrong: NEGATIVE, so so. Write them as in training: "
        "'negative' for 'NEGATIVE'.\n",
    )


def test_explain_names_the_known_spelling_of_a_label(reviews: Path) -> None:
    result = textclf("explain", "good", "--label", "Positive", "--run", reviews)
    assert (result.exit_code, result.stderr) == (
        1,
        "--label Positive: the model does not know it; it knows: negative, positive. Write them as in training: "
        "'positive' for 'Positive'.\n",
    )


def test_init_names_the_known_spelling_of_a_label_in_a_file_beside() -> None:
    write_rows("train.csv", ["0", "1"])
    write_rows("test.csv", ["0.0", "1.0"])
    remark = f"test.csv is not used: its label '0.0' is in no training row looked at. {HINT}"
    assert remark in textclf("init", "train.csv", "-o", "c.yaml").stderr.splitlines()


# Names of columns


def test_labels_with_the_name_of_a_column_have_columns_of_their_own() -> None:
    labels = ["row", "label", "probability of row", "truth", "=1"]
    Path("c.yaml").write_text(f"data: {{train: {write_rows('rows.csv', labels)}, validation_split: 0.5}}")
    result = textclf("train", "c.yaml", "--run", "run", *overrides(*QUICK, "report.baseline=false"))
    assert result.exit_code == 0, result.stderr
    with Path("run/predictions.csv").open(encoding="utf-8", newline="") as file:
        header, *_ = csv.reader(file)
    assert header == [
        "row", "truth", "prediction", "'=1", "label", "probability of probability of row", "probability of row",
        "probability of truth",
    ]  # fmt: skip
    before = Path("run/report.html").read_bytes()
    assert textclf("report", "run").exit_code == 0
    assert Path("run/report.html").read_bytes() == before
    assert textclf("compare", "run", "run").exit_code == 0
    predicted = textclf("predict", "rows.csv", "--run", "run", "--format", "csv").stdout
    assert predicted.splitlines()[0] == "label,probability,'=1,probability of label,probability of row,row,truth"
