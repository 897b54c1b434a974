"""The columns that `textclf init` chooses for the texts and the labels, and its message where none fits."""

import json
from itertools import cycle
from pathlib import Path

import pytest
from conftest import textclf
from init_rows import (
    HOSTILE,
    Row,
    chosen_columns,
    make_rows,
    printed_config,
    printed_settings,
    refusal,
    select,
    write_csv,
)

from textclf.config.load import load_config
from textclf.config.suggest import find_script
from textclf.data.columns import Column, find_separator, read_table


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Choosing the columns


@pytest.mark.parametrize(
    ("names", "text", "label"),
    [
        (["id", "date", "user", "title", "body", "verified", "stars", "price"], "body", "stars"),
        (["stars", "body"], "body", "stars"),
        (["verified", "price", "title"], "title", "verified"),
        (["body", "user", "verified"], "body", "verified"),
    ],
)
def test_columns_are_found_by_what_they_hold(names: list[str], text: str, label: str) -> None:
    write_csv("rows.csv", select(make_rows(), *names))
    assert chosen_columns("rows.csv") == (text, label)


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"a": "yes no", "b": "low high"}, "b"),  # alike: the last
        ({"label": "yes no", "b": "low high"}, "label"),
        ({"userRating": "1 2 3", "b": "low high"}, "userRating"),
        ({"Class Index": "1 2 3", "b": "low high"}, "Class Index"),
        ({"label": "0 1", "label_text": "neg pos"}, "label_text"),
        ({"a": "0 1", "b": "neg neutral pos"}, "b"),  # names of labels before numbers
    ],
)
def test_among_columns_that_could_be_the_label_the_name_decides(values: dict[str, str], label: str) -> None:
    cycles = {name: cycle(text.split()) for name, text in values.items()}
    rows = [{"t": row["body"], **{name: next(values) for name, values in cycles.items()}} for row in make_rows()]
    write_csv("rows.csv", rows)
    assert chosen_columns("rows.csv") == ("t", label)


def test_the_name_decides_between_columns_of_texts_of_like_length() -> None:
    rows = make_rows()
    write_csv("rows.csv", [{"a": row["body"] + " x", "review": row["body"], "stars": row["stars"]} for row in rows])
    assert chosen_columns("rows.csv") == ("review", "stars")


def test_options_name_the_columns() -> None:
    write_csv("rows.csv", make_rows())
    assert chosen_columns("rows.csv", "--text", "title", "--label", "user") == ("title", "user")


def test_other_columns_that_may_be_the_label_are_named() -> None:
    write_csv("rows.csv", select(make_rows(), "user", "body", "verified"))
    message = "Other columns that may be the label: user. `textclf init --label NAME` takes one."
    assert f"# - {message}\n" in printed_config("rows.csv")
    assert message in textclf("init", "rows.csv").stderr


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.parquet", "rows.csv.gz", "rows.jsonl.gz"])
def test_every_kind_of_file_is_read(name: str) -> None:
    import pandas

    frame = pandas.DataFrame(select(make_rows(), "body", "stars"))
    if ".jsonl" in name:
        frame.to_json(name, orient="records", lines=True)
    elif ".parquet" in name:
        frame.to_parquet(name)
    else:
        frame.to_csv(name, index=False, sep="\t" if ".tsv" in name else ",")
    assert printed_settings(name)["data.train"] == name
    assert chosen_columns(name) == ("body", "stars")


def test_columns_of_json_that_hold_no_text_or_are_missing_are_passed_over() -> None:
    rows: list[Row] = [{**row, "tags": ["a", "b"], "meta": {"x": 2}} for row in make_rows()]
    rows[7]["sometimes"] = "here"
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert chosen_columns("rows.jsonl") == ("body", "stars")
    assert refusal("rows.jsonl", "--label", "meta") == (
        "rows.jsonl: the column 'meta' does not hold a text, a number or a list of labels in every row. "
        "Fill it where it is missing; write dates as text.\n"
    )


def test_columns_without_a_name_of_their_own_are_passed_over() -> None:
    rows = "".join(
        f"{i},{row['body']},{row['body']},{row['body']},{row['stars']}\n" for i, row in enumerate(make_rows())
    )
    Path("rows.csv").write_text(f",a,a,b,stars\n{rows}")
    assert chosen_columns("rows.csv") == ("b", "stars")


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_of_a_column_is_written_as_it_is(name: str) -> None:
    write_csv("rows.csv", [{name: row["body"], f"{name}2": row["stars"]} for row in make_rows()])
    assert textclf("init", "rows.csv").exit_code == 0
    data = load_config(Path("rows.yaml")).data
    assert (data.text, data.label) == (name, f"{name}2")


@pytest.mark.parametrize(
    ("fields", "separator"),
    [
        (["a", "b", "a|b", "b|c", "a|c"], "|"),
        (["a", "b, a", "c, b", "c", "a, c", ""], ","),
        (["a;b", "a", "b"], ";"),
        (["Paris, France", "Lyon, France", "Rome, Italy", "Milan, Italy"], None),
        (["Arts, Crafts", "Sports", "News"], None),
        (["a", "b"], None),
        ([], None),
    ],
)
def test_the_separator_of_several_labels_is_found(fields: list[str], separator: str | None) -> None:
    assert find_separator(fields) == separator


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "-3", "1e-3", "1,000", "7 %".replace(" ", "")], "numbers"),
        (["2024-01-31", "1/2/2024", "2024-01-31T10:00:00Z", "Mon Apr 06 22:19:45 PDT 2009", "Jan 3, 2024"], "dates"),
        (["a1b2", "https://x.org/a", "x@y.org", "data/a.txt"], "codes"),
        (["good", "very good 1", "May I come", "好", "x/y z"], "words"),
        ([""], "words"),
    ],
)
def test_the_kind_of_a_column_is_what_its_values_look_like(values: list[str], kind: str) -> None:
    assert [Column("x", [value]).kind for value in values] == [kind] * len(values)


@pytest.mark.parametrize(
    ("text", "script"),
    [("Hello, Welt", "Latin"), ("Привет", "Cyrillic"), ("酒店很好", "CJK"), ("とても良い", "CJK"), ("สวัสดี", "Thai"),
     ("مرحبا", "Arabic"), ("안녕", "Hangul"), ("123 !", "Unknown"), ("", "Unknown")],
)  # fmt: skip
def test_the_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert find_script([text]) == script


def test_only_the_first_rows_of_a_large_file_are_looked_at() -> None:
    write_csv("rows.csv", make_rows(30))
    tables = [read_table(Path("rows.csv"), max_rows=rows) for rows in (29, 30, 31)]
    assert [(table.rows, table.more) for table in tables] == [(29, True), (30, False), (30, False)]
    few = read_table(Path("rows.csv"), max_bytes=1000)
    assert (few.rows, few.more) == (3, True)


# What is refused


def test_a_file_without_labels_is_refused_with_its_columns() -> None:
    write_csv("rows.csv", select(make_rows(), "id", "date", "body", "price"))
    assert (
        refusal("rows.csv")
        == """\
rows.csv has no column that looks like labels: few different values, each in several rows. --label names it. Columns:
  id: codes, 60 different, mean length 5
  date: dates, 60 different, mean length 16
  body: words, 60 different, mean length 33
  price: numbers, 60 different, mean length 5
"""
    )


def test_a_file_without_texts_is_refused_with_its_columns() -> None:
    write_csv("rows.csv", select(make_rows(), "id", "stars"))
    assert (
        refusal("rows.csv")
        == """\
rows.csv has no column that looks like texts: words, most of them different. --text names it. Columns:
  id: codes, 60 different, mean length 5
  stars: numbers, 5 different, mean length 1
"""
    )


def refused_csv(content: str, *arguments: str) -> str:
    Path("rows.csv").write_text(content, encoding="utf-8")
    return refusal("rows.csv", *arguments)


def test_rows_without_labels_are_refused() -> None:
    assert refused_csv("text,label\n" + "a b,x\nc d,y\n" * 9 + "e f,\n") == (
        "rows.csv: 1 of 19 rows have no label in 'label', the first is row 18 (rows count from 0). Add the labels, "
        "drop the rows, or name another column with --label.\n"
    )


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (
            "What a good film this is,pos\n" + "Another nice film,pos\nAnd a bad one,neg\n" * 5,
            [],
            "rows.csv has no header: its first line holds 'What a good film this is' and 'pos', which look like a text "
            "and its label. Put the columns' names above it.\n",
        ),
        ("text,label\n", [], "rows.csv has no rows. Add some, or name another file.\n"),
        (
            "text,label\na b,x\n",
            ["--text", "body"],
            "rows.csv has no column 'body'; it has: text, label. Set --text.\n",
        ),
        (
            "text,label\na b,x\nc d,y\n",
            ["--text", "text", "--label", "text"],
            "--label: the column 'text' is that of --text too. Name another.\n",
        ),
        (
            "text,label\na b,x\nc d,x\n",
            ["--label", "label"],
            "rows.csv: 'label' holds only x. There must be something to tell apart; name --label.\n",
        ),
        (
            "text,label\na b,x\nc d,y\n",
            ["--label", "label"],
            "rows.csv: no label in 'label' has two different texts, to learn from one and validate on the other. "
            "Add rows, or name another column with --label.\n",
        ),
        (
            "text,label\na,b,c\n",
            [],
            "rows.csv:2: the header has 2 fields, this row 3. Put a text that holds ',' in double quotes.\n",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(content: str, arguments: list[str], message: str) -> None:
    assert refused_csv(content, *arguments) == message
