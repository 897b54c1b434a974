"""Texts joined from several columns, and the formats that `predict` reads."""

import json
from pathlib import Path

import pytest
from conftest import QUICK, SAMPLES, overrides, textclf
from test_predict import expected_tsv

from textclf.inference.classifier import load_classifier

ROWS = [("Lovely place", "friendly staff", "positive"), ("Rude", "", "negative"), ("", "Broken", "negative")] * 10
TEXTS = ["Lovely place friendly staff", "Rude", "Broken"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str) -> None:
    """Write ROWS with the columns title, body and label, and a number in the title to make the texts differ."""
    rows = [(f"{title} {row}".strip(), body, label) for row, (title, body, label) in enumerate(ROWS)]
    if name.endswith(".jsonl"):
        lines = [json.dumps(dict(zip(("title", "body", "label"), row, strict=True))) for row in rows]
    else:
        lines = [",".join(row) for row in [("title", "body", "label"), *rows]]
    Path(name).write_text("\n".join(lines))


def test_a_text_may_be_joined_from_several_columns() -> None:
    write("rows.csv")
    write("rows.jsonl")
    settings = overrides(*QUICK, "training.epochs=1", "data.text=[title, body]")
    Path("c.yaml").write_text("data: {train: rows.csv, test: rows.jsonl}\n")
    result = textclf("train", "c.yaml", "--run", "run", *settings)
    assert result.exit_code == 0, result.stderr
    assert "  text:\n  - title\n  - body\n" in Path("run/config.yaml").read_text()
    assert json.loads(Path("run/model/model.json").read_text())["column"] == ["title", "body"]
    classifier = load_classifier(Path("run"))
    Path("new.csv").write_text("id,body,title\n7,friendly staff,Lovely place\n8,,Rude\n9,Broken,\n")
    assert textclf("predict", "new.csv", "--run", "run").stdout == expected_tsv(classifier, TEXTS)
    Path("other.csv").write_text("head,text\nLovely place,friendly staff\n")
    columns = ("--column", "head", "--column", "text")
    assert textclf("predict", "other.csv", "--run", "run", *columns).stdout == expected_tsv(classifier, TEXTS[:1])
    evaluated = textclf("evaluate", "rows.csv", "--run", "run/model", "--json")
    assert json.loads(evaluated.stdout)["metrics"] == json.loads(Path("run/metrics.json").read_text())["metrics"]
    only = textclf("evaluate", "rows.csv", "--run", "run/model", "--text", "title", "--json")
    assert json.loads(only.stdout)["data"]["columns"] == ["title", "label"]
    missing = textclf("predict", "other.csv", "--run", "run")
    assert (missing.exit_code, missing.stderr) == (
        1,
        "other.csv has no column 'title'; it has: head, text. Set --column for each of the 2 columns of the texts.\n",
    )
    refusals = [
        ("predict", ("--column", "head", "--column", "body"), "--column for each of the 2 columns of the texts"),
        ("evaluate", ("--text", "head", "--text", "body"), "--text for each of the 2 columns of the texts"),
        ("evaluate", ("--text", "body"), "--text"),
    ]
    for command, options, advice in refusals:
        refused = textclf(command, "other.csv", "--run", "run", *options)
        assert refused.exit_code == 1
        assert refused.stderr == f"other.csv has no column 'body'; it has: head, text. Set {advice}.\n"
    lines = textclf("predict", "--run", "run", stdin='pos,"a, b"\nneg,c\nneg,d\n')
    assert lines.stderr == (
        "warning: -: the lines look like CSV, and each is taken for a text. --input-format csv reads the columns "
        "'title' and 'body' of a table, or those that --column names\n"
    )


def test_init_takes_several_columns() -> None:
    write("train.csv")
    Path("test.csv").write_text("title,body,label\nRude 1,,negative\n")
    result = textclf("init", "train.csv", "--text", "title", "--text", "body", "--output", "c.yaml")
    assert (result.exit_code, "have texts in 'title' and 'body' (median" in result.stderr) == (0, True)
    settings = Path("c.yaml").read_text()
    assert "  text: [title, body]  " in settings
    assert "1 of 1 texts of test.csv are in the training file too." in settings
    assert textclf("check", "c.yaml").exit_code == 0
    missing = textclf("init", "train.csv", "--text", "title", "--text", "nope")
    assert (missing.exit_code, missing.stderr) == (
        1,
        "train.csv has no column 'nope'; it has: title, body, label. Set --text.\n",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[title, nope]", "data.text: rows.csv has no column 'nope'; it has: title, body, label. Set data.text."),
        ("[title, title]", "data.text: the column 'title' is named twice. Name it once."),
        ("[]", "data.text: is empty"),
        ('""', "data.text: is empty"),
        ("{a: 1}", 'data.text: should be text, found {"a": 1}'),
    ],
)
def test_wrong_columns_are_refused(text: str, problem: str) -> None:
    write("rows.csv")
    Path("c.yaml").write_text(f"data: {{train: rows.csv, text: {text}}}\n")
    result = textclf("check", "c.yaml")
    assert (result.exit_code, result.stderr) == (1, f"c.yaml:1:25: {problem}\n")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("init", "--text", "title", "--text", " title"), "--text: the column ' title' is named twice. Name it once."),
        (
            ("init", "--text", "title", "--text", "body", "--label", "body"),
            "--label: the column 'body' is that of --text too. Name another.",
        ),
        (
            ("predict", "--column", "title", "--column", "title"),
            "--column: the column 'title' is named twice. Name it once.",
        ),
        (
            ("evaluate", "--text", "title", "--text", "title"),
            "--text: the column 'title' is named twice. Name it once.",
        ),
        (("evaluate", "--label", "text"), "--label: the column 'text' is that of --text too. Name another."),
    ],
)
def test_a_column_has_one_use(command: tuple[str, ...], problem: str, reviews: Path) -> None:
    write("rows.csv")
    run = () if command[0] == "init" else ("--run", reviews)
    result = textclf(command[0], "rows.csv", *command[1:], *run)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"{problem}\n")


@pytest.mark.parametrize(("text", "label"), [("[title, body]", "body"), ("'body '", "body")])
def test_texts_are_no_labels(text: str, label: str) -> None:
    write("rows.csv")
    Path("c.yaml").write_text(f"data:\n  train: rows.csv\n  text: {text}\n  label: {label}\n")
    message = f"c.yaml:4:3: data.label: the column '{label}' is that of data.text too. Name another.\n"
    for command in ("check", "train"):
        result = textclf(command, "c.yaml")
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)


# Formats of the input

FORMATS = {
    "csv": 'label,text\nx,"a, b"\ny,c\n',
    "tsv": 'label\ttext\nx\ta, b\ny\t"c"\n',
    "jsonl": '{"label": "x", "text": "a, b"}\n{"text": "c", "label": ["y"]}\n',
    "lines": "a, b\nc\n",
}


@pytest.mark.parametrize(("input_format", "content"), FORMATS.items())
def test_the_format_of_the_input_can_be_named(input_format: str, content: str, reviews: Path) -> None:
    expected = expected_tsv(load_classifier(reviews), ["a, b", "c"])
    result = textclf("predict", "--run", reviews, "--input-format", input_format, stdin=content)
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, "")
    Path("rows.parquet").write_text(content)  # the option counts, not the name
    assert textclf("predict", "rows.parquet", "--run", reviews, "--input-format", input_format).stdout == expected


def test_lines_have_no_columns(reviews: Path) -> None:
    result = textclf("predict", "--run", reviews, "--input-format", "lines", "--column", "text", stdin="a")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: --column is for tables: --input-format lines has none.\n")


TABLES = {
    "a header": ("csv", "text,label\na,b\n"),
    "a header of semicolons": ("csv", "\ufefflabel; text\na;b\n"),
    "one column": ("csv", "text\na\nb\n"),
    "tabs": ("tsv", "1\ta\n2\tb\n3\tc, d\n"),
    "fields": ("csv", 'neg,"a, b"\npos,c\nneg,d\n'),
    "objects": ("jsonl", '{"text": "a"}\n\n{"text": "b"}\n'),
    "a list": ("jsonl", '[\n{"text": "a"}\n]\n'),
}


@pytest.mark.parametrize(("input_format", "content"), TABLES.values(), ids=TABLES.keys())
def test_lines_that_look_like_a_table_are_told(input_format: str, content: str, reviews: Path) -> None:
    result = textclf("predict", "--run", reviews, stdin=content)
    assert (result.exit_code, result.stdout.count("\n")) == (0, content.count("\n"))
    assert result.stderr == (
        f"warning: -: the lines look like {input_format.upper()}, and each is taken for a text. --input-format "
        f"{input_format} reads the column 'text' of a table, or those that --column names\n"
    )
    assert textclf("predict", "--run", reviews, "--input-format", "lines", stdin=content).stderr == ""
    Path("lines.txt").write_text(content)
    assert textclf("predict", "lines.txt", "--run", reviews).stderr == result.stderr.replace("-:", "lines.txt:")


@pytest.mark.parametrize(
    "content",
    [
        "good, really\nbad, really\nugly, really\n",
        "one, two\nthree\n",
        "a,b\nc,d\n",
        "{x} is good\n",
        "[1] see above\n",
        "text is all\n",
        "",
        "\n\n",
    ],
)
def test_prose_is_not_taken_for_a_table(content: str, reviews: Path) -> None:
    assert textclf("predict", "--run", reviews, stdin=content).stderr == ""


def test_explain_says_nothing_of_tables(reviews: Path) -> None:
    assert textclf("explain", "--run", reviews, stdin="text,label\n").stderr == ""


def test_sample_lines_are_lines(reviews: Path) -> None:
    assert textclf("predict", SAMPLES / "lines.txt", "--run", reviews).stderr == ""
