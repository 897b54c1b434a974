"""Files that cannot be read, or learnt from: what `check` says of each."""

import gzip
import io
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import textclf


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(name: str, content: bytes) -> str:
    """Return stderr of a `check` that refuses a training file with exit code 1 and nothing on stdout."""
    Path(name).write_bytes(content)
    Path("c.yaml").write_text(f"data: {{train: {name}}}\n")
    result = textclf("check", "c.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


def parquet(columns: dict[str, object]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


GZIPPED = gzip.compress(b"text,label\n" + bytes(f"{list(range(300))}", "ascii"))
HEADER_REFUSED = {
    "an empty file": ("a.csv", b"", "a.csv is empty. It needs a header line and rows."),
    "nothing but a byte order mark": ("a.csv", b"\xef\xbb\xbf", "a.csv is empty. It needs a header line and rows."),
    "nothing but blank lines": ("a.tsv", b"\n\n", "a.tsv is empty. It needs a header line and rows."),
    "an empty compressed file": ("a.csv.gz", b"", "a.csv.gz is empty. It needs a header line and rows."),
    "no object": ("a.jsonl", b"\n", "a.jsonl is empty. It needs a JSON object per line."),
    "an unknown suffix": (
        "a.xlsx",
        b"PK",
        "a.xlsx: unknown kind of file '.xlsx'; known: .csv, .tsv, .jsonl, .ndjson, .json, .parquet, each also .gz. "
        "Save it as one.",
    ),
    "no suffix": (
        "rows.gz",
        b"",
        "rows.gz: unknown kind of file ''; known: .csv, .tsv, .jsonl, .ndjson, .json, .parquet, each also .gz. "
        "Save it as one.",
    ),
    "a byte that is not UTF-8": ("a.csv", b"text,\xe9", "a.csv:1: byte 0xe9 is not UTF-8. Save the file as UTF-8."),
    "carriage returns as line ends": (
        "a.csv",
        b"text,label\ra,b\r",
        "a.csv:1: a carriage return outside double quotes. "
        "Quote the field, or save the file with LF or CRLF line ends.",
    ),
    "no gzip": (
        "a.csv.gz",
        b"text,label\n",
        "a.csv.gz is a damaged gzip file: Not a gzipped file (b'te'). Fetch or compress it again.",
    ),
    "gzip cut short": (
        "a.csv.gz",
        GZIPPED[:40],
        "a.csv.gz is a damaged gzip file: Compressed file ended before the end-of-stream marker was reached. "
        "Fetch or compress it again.",
    ),
    "gzip with a wrong byte": (
        "a.csv.gz",
        GZIPPED[:10] + b"\xff" + GZIPPED[11:],
        "a.csv.gz is a damaged gzip file: Error -3 while decompressing data: invalid block type. "
        "Fetch or compress it again.",
    ),
    "bad JSON": (
        "a.jsonl",
        b'\n{"text": a}',
        "a.jsonl:2:10: not JSON: Expecting value. Put an object on each line.",
    ),
    "a list in JSON": ("a.jsonl", b"[1, 2]", 'a.jsonl: row 0: found 1, need an object such as {"text": ...}.'),
    "JSON of many levels": (
        "a.jsonl",
        b"[" * 100_000,
        "a.jsonl: row 0: nested too deeply. Put an object with texts on each line.",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), HEADER_REFUSED.values(), ids=HEADER_REFUSED.keys())
def test_a_file_without_column_names_is_refused_beside_its_key(name: str, content: bytes, message: str) -> None:
    assert refusal(name, content) == f"c.yaml:1:8: data.train: {message}\n"


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_a_folder_is_refused(name: str) -> None:
    Path(name).mkdir()
    Path("c.yaml").write_text(f"data: {{train: {name}}}\n")
    result = textclf("check", "c.yaml")
    message = f"{name} is a folder. Name a file in it, or a glob such as {name}/*.csv."
    assert (result.exit_code, result.output) == (1, f"c.yaml:1:8: data.train: {message}\n")


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.csv", b"text,stars\na,1", "label", "a.csv has no column 'label'; it has: text, stars. Set data.label."),
        ("a.csv", b"Text,label\na,1", "text", "a.csv has no column 'text'; it has: Text, label. Set data.text."),
        ("a.csv", b"text,label,text\n", "text", "a.csv has 2 columns 'text'. Rename all but one."),
        ("a.jsonl", b'{"text": ""}', "label", "a.jsonl has no column 'label'; it has: text. Set data.label."),
        ("a.parquet", parquet({"text": []}), "label", "a.parquet has no column 'label'; it has: text. Set data.label."),
    ],
)
def test_a_missing_or_doubled_column_is_refused(name: str, content: bytes, column: str, message: str) -> None:
    assert refusal(name, content) == f"c.yaml:1:1: data.{column}: {message}\n"


ROW_REFUSED = {
    "too many fields": (
        "a.csv",
        b"text,label\na,1\nb,c,2\n",
        "a.csv:3: the header has 2 fields, this row 3. Put a text that holds ',' in double quotes.",
    ),
    "too few fields": (
        "a.tsv",
        b"text\tlabel\na\n",
        "a.tsv:2: the header has 2 fields, this row 1. Put a text that holds a line break in double quotes.",
    ),
    "too many fields after a quoted line break": (
        "a.csv",
        b'text,label\n"a\n\n",1\nb,c,2\n',
        "a.csv:5: the header has 2 fields, this row 3. Put a text that holds ',' in double quotes.",
    ),
    "a quote that is never closed": (
        "a.csv",
        b'text,label\na,1\n"b,2\nc,3\n',
        "a.csv:3: a double quote is opened here and never closed. Close it, or double it to mean itself.",
    ),
    "text after a quoted field": (
        "a.csv",
        b'text,label\n"a" b,1\n',
        "a.csv:2: text after a closing double quote. Double each double quote inside a quoted field.",
    ),
    "a byte that is not UTF-8": (
        "a.csv",
        b'text,label\n"a\nb",1\n\xe9t\xe9,2\n',
        "a.csv:4: byte 0xe9 is not UTF-8. Save the file as UTF-8.",
    ),
    "nothing but a header": ("a.csv", b"text,label\n", "a.csv has no rows. Add some, or name another file."),
    "parquet without rows": (
        "a.parquet",
        parquet({"text": [], "label": []}),
        "a.parquet has no rows. Add some, or name another file.",
    ),
    "a row without a label": (
        "a.csv",
        b"text,label\na,1\nb, \n",
        "a.csv: row 1 has no label (rows count from 0). Add it or drop the row.",
    ),
    "gzip whose checksum is wrong": (
        "a.csv.gz",
        gzip.compress(b"text,label\na,1\n")[:-8] + b"12345678",
        "a.csv.gz is a damaged gzip file: CRC check failed 0x34333231 != 0x72f0f64d. Fetch or compress it again.",
    ),
    "bad JSON": (
        "a.jsonl",
        b'{"text": "a", "label": 1}\n{"text": "b"',
        "a.jsonl:2:13: not JSON: Expecting ',' delimiter. Put an object on each line.",
    ),
    "no object": (
        "a.jsonl",
        b'{"text": "a", "label": 1}\n"b"',
        'a.jsonl:2: found "b", need an object such as {"text": ...}.',
    ),
    "an object without the column": (
        "a.jsonl",
        b'{"text": "a", "label": 1}\n{"text": "b"}',
        "a.jsonl:2 has no column 'label'; it has: text. Set data.label.",
    ),
    "a nested value in JSON": (
        "a.jsonl",
        b'{"text": ["a", 1], "label": 1}',
        "a.jsonl:1: 'text': found list ['a', '1'], need text.",
    ),
    "a nested value in parquet": (
        "a.parquet",
        parquet({"text": [[1], [2]], "label": ["a", "b"]}),
        "a.parquet: row 0, 'text': found list [1], need text.",
    ),
    "one label": (
        "a.csv",
        b"text,label\na,1\nb,1\nc,1\n",
        "a.csv: only the label '1' in 2 training rows. There must be something to tell apart.",
    ),
    "too few rows": (
        "a.csv",
        b"text,label\na,1\nb,2\n",
        "a.csv: no label has two different texts, one to learn from and one to validate on. Add rows, "
        "name data.validation, or set data.text to another column.",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), ROW_REFUSED.values(), ids=ROW_REFUSED.keys())
def test_a_row_that_cannot_be_read_is_refused_with_its_place(name: str, content: bytes, message: str) -> None:
    assert refusal(name, content) == f"{message}\n"


PARQUET = parquet({"text": ["a"], "label": ["b"]})


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"text,label\n" * 9, PARQUET[:-10], PARQUET[:20] + b"\xff" * 8 + PARQUET[28:]]
)
def test_a_damaged_parquet_file_is_refused_in_the_words_of_pyarrow(content: bytes) -> None:
    said = refusal("a.parquet", content).removeprefix("c.yaml:1:8: data.train: ")
    assert re.fullmatch(r"a\.parquet is a damaged parquet file: .+\. Write it again\.\n", said)


def test_a_damaged_compressed_parquet_file_is_refused() -> None:
    said = refusal("a.parquet.gz", gzip.compress(PARQUET)[:-20])
    problem = "Compressed file ended before the end-of-stream marker was reached. Fetch or compress it again."
    assert said == f"c.yaml:1:8: data.train: a.parquet.gz is a damaged gzip file: {problem}\n"


def test_parquet_with_a_text_that_is_not_utf_8_is_refused() -> None:
    lengths, letters = pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff")
    content = parquet({"text": pyarrow.StringArray.from_buffers(1, lengths, letters), "label": ["a"]})
    problem = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    assert refusal("a.parquet", content) == f"a.parquet is a damaged parquet file: {problem}. Write it again.\n"
