"""Bad files to train on: one message, exit code 1, in bounded time and memory.

Damaged files are in test_damaged_files.py.
"""

import os
import sys
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from bad_files import GOOD, ROWS, Content, bomb, damaged_zip, link, parquet, put, refusal, sparse
from conftest import textclf

from textclf.data.readers import read_columns
from textclf.errors import UserError
from textclf.io.streams import SIZE_LIMIT
from textclf.text.vectors import vector_words

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, links and sparse files")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_bytes(ROWS)


TRAINING_FILES: dict[str, tuple[Any, Any, str]] = {
    "zeros without end": (
        "a.csv",
        link("/dev/zero"),
        "c.yaml:1:8: data.train: a.csv is a pipe or a device, no file. Write what it gives into a file.",
    ),
    "a pipe": (
        "a.csv",
        os.mkfifo,
        "c.yaml:1:8: data.train: a.csv is a pipe or a device, no file. Write what it gives into a file.",
    ),
    "a link to itself": (
        "a.csv",
        link("a.csv"),
        "c.yaml:1:8: data.train: a.csv cannot be read: Too many levels of symbolic links.",
    ),
    "a line of 100 MB": (
        "a.csv",
        sparse(b"text,label\n"),
        "c.yaml:1:8: data.train: a.csv:2: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "a quoted text of 100 MB": (
        "a.csv",
        lambda path: path.write_bytes(b'text,label\n"' + b"0123456789abcde\n" * (100 << 16)),
        "a.csv:2: a row of more than 16 MB. Cut the text, or drop the row.",
    ),
    "a gigabyte in a gzip file": (
        "a.csv.gz",
        bomb("a.csv.gz"),
        "c.yaml:1:8: data.train: a.csv.gz:1: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "a JSON line of 100 MB": (
        "a.jsonl",
        sparse(b'{"text": "a", "label": "b"}\n{"text": "'),
        "a.jsonl:2: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "a text of 17 MB in parquet": (
        "a.parquet",
        lambda path: path.write_bytes(parquet(("text", ["x" * (17 << 20)]), ("label", ["a"]))),
        "a.parquet: row 0, 'text': a text of more than 16 MB. Cut the text, or drop the row.",
    ),
    "quotes of Windows": (
        "a.csv",
        "text,label\n\u201ca\u201d,b\n".encode("cp1252"),
        "c.yaml:1:8: data.train: a.csv:2: byte 0x93 is not UTF-8. Save the file as UTF-8.",
    ),
    "half a character in UTF-8": (
        "a.csv",
        b"text,label\n\xed\xa0\xbd,b\n",
        "c.yaml:1:8: data.train: a.csv:2: byte 0xed is not UTF-8. Save the file as UTF-8.",
    ),
    "a key twice in JSON": (
        "a.jsonl",
        b'{"text": "a", "label": "b", "text": "c"}',
        "c.yaml:1:8: data.train: a.jsonl:1: the key 'text' stands twice. Drop one.",
    ),
    "half a character in a key of JSON": (
        "a.jsonl",
        b'{"te\\ud83dxt": "a", "label": "b"}',
        "c.yaml:1:1: data.text: a.jsonl has no column 'text'; it has: te\ufffdxt, label. Set data.text.",
    ),
    "control characters in a column's name": (
        "a.csv",
        b"te\x1b[31mxt,label\x07\n",
        (
            "c.yaml:1:1: data.text: a.csv has no column 'text'; it has: te\ufffd[31mxt, label\ufffd. Set data.text.\n"
            "c.yaml:1:1: data.label: a.csv has no column 'label'; it has: te\ufffd[31mxt, label\ufffd. Set data.label."
        ),
    ),
    "a hundred thousand columns": (
        "a.csv",
        ",".join(f"c{i}" for i in range(100_000)).encode(),
        (
            "c.yaml:1:1: data.text: a.csv has no column 'text'; it has: c0, c1, c2, c3, c4, c5, c6, c7, c8, "
            "c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19 and 99,980 more. Set data.text.\n"
            "c.yaml:1:1: data.label: a.csv has no column 'label'; it has: c0, c1, c2, c3, c4, c5, c6, c7, "
            "c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19 and 99,980 more. Set data.label."
        ),
    ),
    "a date that Python lacks": (
        "a.parquet",
        parquet(("text", ["a"]), ("label", pyarrow.array([2**31 - 1], pyarrow.date32()))),
        ("a.parquet is a damaged parquet file: days=2147483647; must have magnitude <= 999999999. Write it again."),
    ),
    "a time that Python lacks": (
        "a.parquet",
        parquet(("text", ["a"]), ("label", pyarrow.array([2**62], pyarrow.timestamp("us")))),
        "a.parquet is a damaged parquet file: date value out of range. Write it again.",
    ),
    "a date in parquet": (
        "a.parquet",
        parquet(("text", ["a"]), ("label", [date(2024, 1, 31)])),
        "a.parquet: row 0, 'label': found date 2024-01-31, need text.",
    ),
    "bytes in parquet": (
        "a.parquet",
        parquet(("text", [b"\xffa"]), ("label", ["a"])),
        "a.parquet: row 0, 'text': byte 0xff is not UTF-8. Save it as text.",
    ),
    "a column twice in parquet": (
        "a.parquet",
        parquet(("text", ["a"]), ("text", ["b"]), ("label", ["a"])),
        "c.yaml:1:1: data.text: a.parquet has 2 columns 'text'. Rename all but one.",
    ),
    "no column in parquet": (
        "a.parquet",
        parquet(),
        (
            "c.yaml:1:1: data.text: a.parquet has no column 'text'; it has: none. Set data.text.\n"
            "c.yaml:1:1: data.label: a.parquet has no column 'label'; it has: none. Set data.label."
        ),
    ),
    "one row": (
        "a.csv",
        b"text,label\na,b\n",
        "a.csv: only the label 'b' in 1 training rows. There must be something to tell apart.",
    ),
    "texts that are all empty": (
        "a.csv",
        b"text,label\n" + b",a\n,b\n" * 9,
        "a.csv: no label has two different texts, one to learn from and one to validate on. Add rows, "
        "name data.validation, or set data.text to another column.",
    ),
    "texts of NUL bytes": (
        "a.csv",
        b"text,label\n" + b"\0,a\n\0\0,a\n\0,b\n" * 9,
        "a.csv: no label has two different texts, one to learn from and one to validate on. Add rows, "
        "name data.validation, or set data.text to another column.",
    ),
    "an id for a label": (
        "a.csv",
        b"text,label\n" + b"".join(b"a text,%d\n" % i for i in range(10_000)),
        (
            "a.csv: 10,000 different labels in 10,000 rows; at most 2,000 can be told apart. If data.label "
            "names a column of ids or texts, name another."
        ),
    ),
    "10,000 labels": (
        "a.csv",
        b"text,label\n" + b"".join(b"text %d,%d\n" % (i, i % 10_000) for i in range(30_000)),
        (
            "a.csv: 10,000 different labels in 30,000 rows; at most 2,000 can be told apart. If data.label "
            "names a column of ids or texts, name another."
        ),
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), TRAINING_FILES.values(), ids=TRAINING_FILES.keys())
def test_a_training_file_is_refused(name: str, content: Content, message: str) -> None:
    put({name: content, "c.yaml": b"data: {train: %s}\n" % name.encode()})
    assert refusal("check c.yaml") == message


VECTORS: dict[str, tuple[Any, Any, str]] = {
    "a member whose name is not UTF-8": (
        "v.zip",
        damaged_zip({9: 8, 46: 255}),
        "v.zip cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte. "
        "Set model.pretrained.",
    ),
    "a ragged line": (
        "v.txt",
        b"good 1 2 3\nbad 1\n",
        "v.txt:1: a vector of 3 numbers, but model.embedding_dim is 2. Make them the same.",
    ),
    "a word for a number": (
        "v.txt",
        b"good 1 two\n",
        "v.txt:1: not a number: could not convert string to float: b'two'.",
    ),
    "a number that is not finite": ("v.txt", b"good 1 1e999\n", "v.txt:1: a number that is not finite."),
    "a line of 100 MB": (
        "v.txt",
        sparse(b"good 1 2\n"),
        "v.txt:2: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "a gigabyte in a gzip file": (
        "v.gz",
        bomb("v.gz"),
        "v.gz:1: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "32 MB on a line in a zip file": (
        "v.zip",
        bomb("v.zip"),
        "v.zip:1: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "a compression that there is not": (
        "v.zip",
        damaged_zip({10: 99}),
        "v.zip cannot be read: That compression method is not supported. Set model.pretrained.",
    ),
    "a member without a name": (
        "v.zip",
        damaged_zip({46: 0}),
        ("v.zip cannot be read: File name in directory '\\x00.txt' and header b'v.txt' differ. Set model.pretrained."),
    ),
    "a folder": ("v.txt", Path.mkdir, "c.yaml:2:27: model.pretrained: no file 'v.txt' (looked in HERE)."),
    "zeros without end": (
        "v.txt",
        link("/dev/zero"),
        "c.yaml:2:27: model.pretrained: no file 'v.txt' (looked in HERE).",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), VECTORS.values(), ids=VECTORS.keys())
def test_word_vectors_are_refused(name: str, content: Content, message: str) -> None:
    model = b"model: {embedding_dim: 2, pretrained: %s}\n" % name.encode()
    put({name: content, "c.yaml": GOOD + model})
    assert refusal("check c.yaml") == message


@pytest.mark.parametrize("name", ["a.csv.gz", "v.gz", "v.zip"])
def test_a_compressed_line_without_an_end_takes_little_memory(name: str) -> None:
    put({name: bomb(name)})
    read = read_columns(Path(name), []) if "csv" in name else vector_words(Path(name))
    tracemalloc.start()
    with pytest.raises(UserError, match="a line of more than 16 MB"):
        list(read)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * SIZE_LIMIT


def test_a_text_of_the_longest_allowed_line_is_read() -> None:
    text = "x" * (SIZE_LIMIT - 3)
    put({"a.csv": f"text\n{text}\n".encode()})
    assert list(read_columns(Path("a.csv"), [("data.text", "text")])) == [(text,)]


def test_two_thousand_labels_are_allowed() -> None:
    put({"a.csv": b"text,label\n" + b"".join(b"text %d,%d\n" % (i, i % 2000) for i in range(6000))})
    Path("c.yaml").write_text("data: {train: a.csv}\n")
    result = textclf("check", "c.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\n\nand 1,970 labels more" in result.stdout
