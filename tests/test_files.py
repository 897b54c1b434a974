"""Readers of tables: every row, in order, unchanged, from every format."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import SAMPLES, textclf

from textclf.data.readers import FORMATS, find_files, read_columns

TEXT_AND_LABEL = [("data.text", "text"), ("data.label", "label")]
TEXTS = [
    "NA",
    "null",
    "None",
    "nan",
    "",
    " a ",
    "a,b\tc",
    'say "hi"',
    "two\nlines",
    "two\r\nlines",
    "\x85\u2028",
    "é🙂我",
]
LABELS = ["1", "01", "1.0", "true", "TRUE", "1e3", "-", "no", "null", "NaN", "None", "a b"]
ROWS = list(zip(TEXTS, LABELS, strict=True))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def delimited(rows: list[tuple[str, str]], delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    return file.getvalue().encode()


def json_lines(rows: list[tuple[str, str]]) -> bytes:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()


def parquet(columns: dict[str, object]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def in_format(rows: list[tuple[str, str]], suffix: str) -> bytes:
    """Return the rows in the format of a suffix."""
    if suffix == ".parquet":
        return parquet({"text": [text for text, _ in rows], "label": [label for _, label in rows]})
    if suffix in (".jsonl", ".ndjson", ".json"):
        return json_lines(rows)
    return delimited(rows, "\t" if suffix == ".tsv" else ",")


def read(name: str, content: str | bytes) -> list[tuple[str, ...]]:
    """Write a file and return text and label of each row."""
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_columns(Path(name), TEXT_AND_LABEL))


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_are_read_as_they_were_written(suffix: str) -> None:
    assert read("rows" + suffix, in_format(ROWS, suffix)) == ROWS


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_are_read_from_a_compressed_file(suffix: str) -> None:
    assert read(f"rows{suffix}.gz", gzip.compress(in_format(ROWS, suffix))) == ROWS


def test_a_suffix_may_be_in_capitals() -> None:
    assert read("ROWS.CSV.GZ", gzip.compress(b"text,label\na,b\n")) == [("a", "b")]


SAME_ROWS = {
    "no last newline": "text,label\na,1\nb,2",
    "CRLF": "text,label\r\na,1\r\nb,2\r\n",
    "a byte order mark": "\ufefftext,label\na,1\nb,2\n",
    "quoted": '"text","label"\n"a","1"\n"b","2"\n',
    "a byte order mark and quotes": '\ufeff"text","label"\n"a","1"\n"b","2"\n',
    "blanks around the names": " text ,label\t\na,1\nb,2\n",
    "blank lines": "\ntext,label\n\na,1\n\n\nb,2\n\n",
    "other columns and another order": "id,label,text,\n7,1,a,x\n8,2,b,\n",
    "a column whose name differs by a blank": "text , text,text,label\nx,y,a,1\nx,y,b,2\n",
}


@pytest.mark.parametrize("content", SAME_ROWS.values(), ids=SAME_ROWS.keys())
def test_variants_of_csv_have_the_same_rows(content: str) -> None:
    assert read("rows.csv", content) == [("a", "1"), ("b", "2")]


def test_a_blank_line_is_no_row_of_a_table_with_two_columns() -> None:
    assert read("rows.csv", "text,label\na,1\n\nb,2\n") == [("a", "1"), ("b", "2")]


def test_a_blank_line_is_an_empty_text_in_a_table_with_one_column() -> None:
    Path("rows.csv").write_text("text\na\n\nb\n")
    assert list(read_columns(Path("rows.csv"), [("--column", "text")])) == [("a",), ("",), ("b",)]


@pytest.mark.parametrize("text", ["x" * 200_000, "x\x00y", "a\rb", '"', "\ufeff", "\U0010ffff"])
def test_an_unusual_text_is_a_text(text: str) -> None:
    rows = [("first", "1"), (text, "2")]
    assert [read("rows" + suffix, in_format(rows, suffix)) for suffix in FORMATS] == [rows] * len(FORMATS)


@pytest.mark.parametrize("number", ["1", "1.0", "1e3", "-0", "1.10", "9" * 5000, "Infinity"])
def test_a_number_in_json_keeps_its_digits(number: str) -> None:
    assert read("rows.jsonl", f'{{"text": 3, "label": {number}}}') == [("3", number)]


def test_true_and_null_in_json_are_text() -> None:
    content = '{"text": null, "label": true}\n\n \n{"label": false, "x": [1], "text": ""}'
    assert read("rows.jsonl", content) == [("", "true"), ("", "false")]


def test_half_a_surrogate_pair_in_json_becomes_the_replacement_character() -> None:
    content = r'{"text": "a\ud83d", "label": "\ud83d\ude42"}'
    assert read("rows.jsonl", content) == [("a\ufffd", "🙂")]


def test_numbers_nulls_and_categories_in_parquet_are_text() -> None:
    labels = pyarrow.array(["x", "y", "x"]).dictionary_encode()
    columns = {"text": [1, None, 3], "label": labels, "text.length": [1, 2, 3]}
    assert read("rows.parquet", parquet(columns)) == [("1", "x"), ("", "y"), ("3", "x")]


# File names


def test_files_are_in_the_order_of_the_list_and_alphabetical_within_a_glob() -> None:
    for name in ("b2.csv", "b10.csv", "a.csv", "c.csv", "deep/d/e.tsv"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    paths = find_files(["c.csv", "[ab]*.csv", "deep/**/*.tsv"], key="data.train")
    assert [path.as_posix() for path in paths] == ["c.csv", "a.csv", "b10.csv", "b2.csv", "deep/d/e.tsv"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file() -> None:
    for name in ("a[1].csv", "a1.csv"):
        Path(name).touch()
    assert find_files("a[1].csv", key="data.train") == [Path("a[1].csv")]


def test_a_file_is_named_once(reviews: Path) -> None:
    rows = Path("deep/rows.csv")
    rows.parent.mkdir()
    rows.write_text("text,label\n" + "fine,positive\nbad,negative\n" * 5)
    Path("link.csv").symlink_to(rows)
    problems = {
        "[deep/rows.csv, deep/rows.csv]": "deep/rows.csv is named twice",
        "[deep/../deep/rows.csv, 'deep/*.csv']": "deep/rows.csv is the same file as deep/../deep/rows.csv",
        "[deep/rows.csv, link.csv]": "link.csv is the same file as deep/rows.csv",
    }
    for train, problem in problems.items():
        Path("c.yaml").write_text(f"data: {{train: {train}}}\n")
        for command in ("check", "train"):
            result = textclf(command, "c.yaml")
            message = f"c.yaml:1:8: data.train: {problem}. Name it once.\n"
            assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)
    result = textclf("evaluate", "**/*.csv", "--run", reviews)
    assert (result.exit_code, result.stderr) == (
        1, "DATA: link.csv is the same file as deep/rows.csv. Name it once.\n"
    )  # fmt: skip


def test_training_reads_all_files_of_a_list() -> None:
    Path("more.tsv").write_text("text\tlabel\n" + "fine\tpositive\n" * 5)
    Path("c.yaml").write_text(f"data: {{train: [more.tsv, {SAMPLES}/rev*.csv]}}\n")
    result = textclf("check", "c.yaml", "--json")
    rows = json.loads(result.stdout)["rows"]
    assert (result.exit_code, rows["train"] + rows["validation"]) == (0, 405)
