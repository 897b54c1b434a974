"""Bad tables for `textclf init`: one message, exit code 1, in bounded time and memory."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from bad_files import ROWS, Content, link, put, refusal, sparse

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, links and sparse files")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_bytes(ROWS)


TABLES: dict[str, tuple[Any, Any, str]] = {
    "labels that are ids by order": (
        {"a.csv": b"text,label\n" + b"".join(b"a text %d,%d\n" % (i, i) for i in range(10_000))},
        "init a.csv --label label",
        "a.csv: 10,000 different labels in 10,000 rows; at most 2,000 can be told apart. "
        "If data.label names a column of ids or texts, name another.",
    ),
    "a pipe": (
        {"a.csv": os.mkfifo},
        "init a.csv",
        "a.csv is a pipe or a device, no file. Write what it gives into a file.",
    ),
    "a folder": (
        {"a.csv": Path.mkdir},
        "init a.csv",
        "a.csv is a folder. Name a file in it, or a glob such as a.csv/*.csv.",
    ),
    "a link to itself": (
        {"a.csv": link("a.csv")},
        "init a.csv",
        "a.csv cannot be read: Too many levels of symbolic links.",
    ),
    "nothing": ({}, "init nowhere.csv", "no file 'nowhere.csv' (looked in HERE)."),
    "a name too long": ({}, "init LONG.csv", "LONG.yaml cannot be read or written: File name too long."),
    "a name that is not UTF-8": (
        {},
        "init \udcff.csv",
        "\ufffd.csv: the name is not UTF-8, so that no config can hold it. Rename the file.",
    ),
    "a line of 100 MB": (
        {"a.csv": sparse(b"text,label\n")},
        "init a.csv",
        "a.csv:2: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "ten thousand columns": (
        {"a.csv": ",".join(f"c{i}" for i in range(10_000)).encode() + b"\n" + b"," * 9_999},
        "init a.csv",
        (
            "a.csv has no column that looks like texts: words, most of them different. --text names it. "
            "Columns:\n"
            + "".join(f"  c{i}: words, 0 different, mean length 0\n" for i in range(50))
            + "  and 9,950 more"
        ),
    ),
    "one row": (
        {"a.csv": b"text,label\na,b\n"},
        "init a.csv",
        (
            "a.csv has no column that looks like texts: words, most of them different. --text names it. "
            "Columns:\n"
            "  text: words, 1 different, mean length 1\n"
            "  label: words, 1 different, mean length 1"
        ),
    ),
    "an id for a label": (
        {"a.csv": b"text,label\n" + b"".join(b"a text %d,%d\n" % (i, i) for i in range(10_000))},
        "init a.csv",
        (
            "a.csv has no column that looks like labels: few different values, each in several rows. --label "
            "names it. Columns:\n"
            "  text: words, 10,000 different, mean length 11\n"
            "  label: numbers, 10,000 different, mean length 4"
        ),
    ),
}


@pytest.mark.parametrize(("files", "command", "message"), TABLES.values(), ids=TABLES.keys())
def test_a_table_is_refused(files: dict[str, Content], command: str, message: str) -> None:
    put(files)
    assert refusal(command) == message
