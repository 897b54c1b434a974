"""Bad configs, and bad files to predict and evaluate: one message, exit code 1, in bounded time and memory.

Further mistakes in configs are in test_config.py, damaged files in test_damaged_files.py.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from bad_files import GOOD, ROWS, Content, bomb, link, put, refusal, sparse
from conftest import textclf_process

from textclf.io.sanitize import printable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="makes pipes, links and sparse files")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_bytes(ROWS)


CONFIGS: dict[str, tuple[Any, Any, str]] = {
    "no data": (
        {"c.yaml": GOOD},
        "check c.yaml --set data=---",
        "c.yaml:1:8: data.train: is missing; it names a .csv, .tsv, .jsonl (.ndjson, .json) or .parquet file, "
        "each also .gz; a list or a glob too",
    ),
    "an escape for no character": (
        {"c.yaml": GOOD + b"text: {clean: ['', \"\\U00110000\"]}"},
        "check c.yaml",
        "c.yaml:2:23: not YAML: an escape that is no character",
    ),
    "an escape for a number too large": (
        {"c.yaml": GOOD + b'text: {clean: ["\\UFFFFFFFF"]}'},
        "check c.yaml",
        "c.yaml:2:19: not YAML: an escape that is no character",
    ),
    "a NUL in a name": (
        {"c.yaml": b'data: {train: "a\\0b.csv"}'},
        "check c.yaml",
        "c.yaml:1:8: data.train: no file 'a\ufffdb.csv' (looked in HERE).",
    ),
    "a NUL in a glob": (
        {"c.yaml": b'data: {train: "a\\0b/*.csv"}'},
        "check c.yaml",
        "c.yaml:1:8: data.train: no file 'a\ufffdb/*.csv' (looked in HERE).",
    ),
    "an escape sequence and a line end in a name": (
        {"c.yaml": b'data: {train: "a\\e[31m\\nb.csv"}'},
        "check c.yaml",
        ("c.yaml:1:8: data.train: no file 'a\ufffd[31m\ufffdb.csv' (looked in HERE)."),
    ),
    "a YAML of the future": (
        {"c.yaml": b"%YAML 9.9\n---\n" + GOOD},
        "check c.yaml",
        "c.yaml:1:1: not YAML: found incompatible YAML document (version 1.* is required)",
    ),
    "an alias": (
        {"c.yaml": b"data: &a {train: rows.csv}\nmodel: *a"},
        "check c.yaml",
        "c.yaml:2:8: not YAML: aliases and tags have no use here; quote a text that begins with * or !",
    ),
    "a key twice": (
        {"c.yaml": GOOD + GOOD},
        "check c.yaml",
        "c.yaml:2:1: data: stands twice; the first is at c.yaml:1:1",
    ),
    "UTF-16": (
        {"c.yaml": GOOD.decode().encode("utf-16")},
        "check c.yaml",
        "c.yaml is in UTF-16, by its first bytes. "
        "Save it in UTF-8: in Excel as CSV UTF-8, in an editor with the encoding UTF-8.",
    ),
    "numbers without end": (
        {"c.yaml": GOOD + b"training: {learning_rate: 1e999, seed: -1e999}\nmodel: {units: 1e999}"},
        "check c.yaml",
        (
            "c.yaml:3:9: model.units: should be a whole number, found Infinity\n"
            "c.yaml:2:12: training.learning_rate: should be less than or equal to 100, found Infinity\n"
            "c.yaml:2:34: training.seed: should be a whole number, found -Infinity"
        ),
    ),
    "a network as large as a house": (
        {"c.yaml": GOOD + b"model: {units: 100000000, embedding_dim: 100000000}"},
        "check c.yaml",
        (
            "c.yaml:2:27: model.embedding_dim: should be less than or equal to 4096, found 100000000\n"
            "c.yaml:2:9: model.units: should be less than or equal to 4096, found 100000000"
        ),
    ),
    "more than any config": (
        {"c.yaml": GOOD + b"#" * (1 << 17)},
        "check c.yaml",
        "c.yaml is no config: it has more than 128 KB.",
    ),
    "zeros without end": (
        {"c.yaml": link("/dev/zero")},
        "check c.yaml",
        "c.yaml is no config: it has more than 128 KB.",
    ),
    "a link to nothing": (
        {"c.yaml": link("nowhere")},
        "check c.yaml",
        "no config 'c.yaml' (looked in HERE). Write one for your table: textclf init DATA.csv",
    ),
    "a link to itself": (
        {"config.yaml": link("config.yaml")},
        "train config.yaml",
        "config.yaml cannot be read: Too many levels of symbolic links.",
    ),
    "a table": (
        {"a&b.tsv.gz": b""},
        "check a&b.tsv.gz",
        "a&b.tsv.gz is a table, and this command takes a config. Write one for it: textclf init 'a&b.tsv.gz'",
    ),
    "a table to train on": (
        {},
        "train rows.csv",
        "rows.csv is a table, and this command takes a config. Write one for it: textclf init rows.csv",
    ),
    "a table to tune on": (
        {},
        "tune rows.csv",
        "rows.csv is a table, and this command takes a config. Write one for it: textclf init rows.csv",
    ),
    "a table that there is not": (
        {},
        "train nowhere.csv",
        "no file 'nowhere.csv' (looked in HERE). This command takes a config, which `textclf init` writes for a table.",
    ),
    "a name too long": ({}, "check LONG.yaml", "HERE/LONG.yaml cannot be read or written: File name too long."),
    "a deep --set": (
        {"c.yaml": GOOD},
        "check c.yaml --set a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=|",
        "--set a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=|: not a config: nested too deeply",
    ),
    "a --set that is not UTF-8": (
        {"c.yaml": GOOD},
        "check c.yaml --set data.text=\udcff",
        "--set data.text=\ufffd: is not UTF-8",
    ),
    "a --set of a key that is not UTF-8": (
        {"c.yaml": GOOD},
        "check c.yaml --set \udcff.a=|",
        "--set \ufffd.a=|: is not UTF-8",
    ),
    "a --set without a key": (
        {"c.yaml": GOOD},
        "check c.yaml --set ..=1",
        "--set ..=1: should be KEY=VALUE, such as model.units=128",
    ),
    "slices by a column that there is not": (
        {"c.yaml": GOOD + b"report: {slices: [age]}"},
        "check c.yaml",
        ("c.yaml:2:10: report.slices: rows.csv has no column 'age'; it has: text, label. Set report.slices."),
    ),
    "validation rows of other labels": (
        {"c.yaml": b"data: {train: rows.csv, validation: a.csv}", "a.csv": b"text,label\na b,maybe\n"},
        "check c.yaml",
        "data.validation has labels that data.train lacks: maybe. Add training rows of them, or drop theirs.",
    ),
    "validation rows without a column of labels": (
        {"c.yaml": b"data: {train: rows.csv, validation: a.csv}", "a.csv": b"text\na b\n"},
        "check c.yaml",
        "c.yaml:1:1: data.label: a.csv has no column 'label'; it has: text. Set data.label.",
    ),
    "test rows without a column of labels": (
        {"c.yaml": b"data: {train: rows.csv, test: a.csv}", "a.csv": b"text\na b\n"},
        "check c.yaml",
        "c.yaml:1:1: data.label: a.csv has no column 'label'; it has: text. Set data.label.",
    ),
    "a test row without a label": (
        {"c.yaml": b"data: {train: rows.csv, test: a.csv}", "a.csv": b"text,label\na b,yes\nc d,\t\n"},
        "check c.yaml",
        "a.csv: row 1 has no label (rows count from 0). Add it or drop the row.",
    ),
    "test rows without a row": (
        {"c.yaml": b"data: {train: rows.csv, test: a.csv}", "a.csv": b"text,label\n"},
        "check c.yaml",
        "a.csv has no rows. Add some, or name another file.",
    ),
    "texts that are the labels": (
        {"c.yaml": b"data: {train: rows.csv, text: label}"},
        "check c.yaml",
        "c.yaml:1:1: data.label: the column 'label' is that of data.text too. Name another.",
    ),
}


@pytest.mark.parametrize(("files", "command", "message"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_config_is_refused(files: dict[str, Content], command: str, message: str) -> None:
    put(files)
    assert refusal(command) == message


FILES: dict[str, tuple[Any, Any, str]] = {
    "predict: a folder": (
        {"a.csv": Path.mkdir},
        "predict a.csv --run RUN",
        "a.csv is a folder. Name a file in it, or a glob such as a.csv/*.csv.",
    ),
    "predict: nothing": ({}, "predict nowhere.txt --run RUN", "no file 'nowhere.txt' (looked in HERE)."),
    "predict: a column that there is not": (
        {},
        "predict rows.csv --column body --run RUN",
        "rows.csv has no column 'body'; it has: text, label. Set --column.",
    ),
    "predict: a line of 100 MB": (
        {"a.txt": sparse(b"")},
        "predict a.txt --run RUN",
        "a.txt:1: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "predict: zeros without end": (
        {"a.txt": link("/dev/zero")},
        "predict a.txt --run RUN",
        "a.txt:1: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "predict: a gigabyte in a gzip file": (
        {"a.gz": bomb("a.gz")},
        "predict a.gz --run RUN",
        "a.gz:1: a line of more than 16 MB. Cut the text, or drop the row.",
    ),
    "predict: UTF-16": (
        {"a.txt": "a\nb".encode("utf-16")},
        "predict a.txt --run RUN",
        "a.txt is in UTF-16, by its first bytes. "
        "Save it in UTF-8: in Excel as CSV UTF-8, in an editor with the encoding UTF-8.",
    ),
    "evaluate: a pipe": (
        {"a.csv": os.mkfifo},
        "evaluate a.csv --run RUN",
        "a.csv is a pipe or a device, no file. Write what it gives into a file.",
    ),
    "evaluate: a folder": (
        {"a.csv": Path.mkdir},
        "evaluate a.csv --run RUN",
        "a.csv is a folder. Name a file in it, or a glob such as a.csv/*.csv.",
    ),
    "evaluate: nothing": ({}, "evaluate nowhere.csv --run RUN", "DATA: no file 'nowhere.csv' (looked in HERE)."),
    "evaluate: no column of labels": (
        {"a.csv": b"text\na\n"},
        "evaluate a.csv --run RUN",
        "a.csv has no column 'label'; it has: text. Set --label.",
    ),
    "evaluate: a column of texts that there is not": (
        {"a.csv": b"body,label\na,positive\n"},
        "evaluate a.csv --text title --run RUN",
        "a.csv has no column 'title'; it has: body, label. Set --text.",
    ),
    "evaluate: 10,000 labels": (
        {"a.csv": b"text,label\n" + b"".join(b"a,%d\n" % i for i in range(10_000))},
        "evaluate a.csv --run RUN",
        (
            "a.csv: 10,000 different labels in 10,000 rows; at most 2,000 can be told apart. If --label "
            "names a column of ids or texts, name another."
        ),
    ),
}


@pytest.mark.parametrize(("files", "command", "message"), FILES.values(), ids=FILES.keys())
def test_a_file_to_predict_or_evaluate_is_refused(
    files: dict[str, Content], command: str, message: str, reviews: Path
) -> None:
    put(files)
    assert refusal(command, run=str(reviews)) == message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["\udcff.yaml", "\x1b[31m.yaml"])
def test_unprintable_characters_of_a_name_are_replaced_in_messages(name: str) -> None:
    result = textclf_process("check", name)
    message = (
        f"no config '{printable(name)}' (looked in {Path.cwd()}). Write one for your table: textclf init DATA.csv\n"
    )
    assert (result.returncode, result.stdout, result.stderr.decode()) == (1, b"", message)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_not_utf_8_is_refused() -> None:
    put({"c.yaml": b"data: {train: '*.tsv'}", "\udcff.tsv": b"text\tlabel\n"})
    message = "the name \ufffd.tsv is not UTF-8, so that no run can hold it. Rename the file."
    assert refusal("check c.yaml") == f"c.yaml:1:8: data.train: {message}"
