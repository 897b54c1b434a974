"""Names of files: `~`, names relative to another folder, and names of another kind of file than the content."""

import gzip
import io
import json
import sqlite3
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from bad_files import ROWS, put, refusal
from conftest import textclf


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; the home folder is beside it."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    (home / "rows.csv").write_bytes(ROWS)
    return home


def test_a_tilde_is_the_home_folder(folder: Path) -> None:
    (folder / "v.txt").write_text("good 1 2\nbad 1 3\n")
    put({"c.yaml": b"data: {train: ~/rows.csv, test: '~/r*.csv'}\nmodel: {embedding_dim: 2, pretrained: ~/v.txt}"})
    result = textclf("check", "c.yaml")
    assert result.exit_code == 0, result.stderr
    (folder / "c.yaml").write_bytes(Path("c.yaml").read_bytes())
    assert textclf("check", "~/c.yaml").stdout == result.stdout
    assert textclf("init", "~/rows.csv", "--output", "~/new.yaml").exit_code == 0
    assert textclf("check", "~/new.yaml").exit_code == 0


def test_a_tilde_may_be_a_part_of_a_name() -> None:
    put({"~rows.csv": ROWS, "c.yaml": b"data: {train: ~rows.csv}"})
    result = textclf("check", "c.yaml", "--json")
    assert (result.exit_code, json.loads(result.stdout)["labels"]) == (0, {"no": 4, "yes": 4})


def test_a_file_beside_the_config_is_named() -> None:
    Path("sub").mkdir()
    put({"sub/rows.csv": ROWS, "sub/v.txt": b"", "sub/c.yaml": b"data: {train: rows.csv, test: 'r*.csv'}\n"})
    hint = "It is beside the config, but paths start where textclf is started: write"
    assert refusal("check sub/c.yaml --set model.pretrained=v.txt") == (
        f"sub/c.yaml:1:8: data.train: no file 'rows.csv' (looked in HERE). {hint} 'sub/rows.csv'.\n"
        f"sub/c.yaml:1:25: data.test: no file 'r*.csv' (looked in HERE). {hint} 'sub/r*.csv'.\n"
        f"--set model.pretrained=v.txt: model.pretrained: no file 'v.txt' (looked in HERE). {hint} 'sub/v.txt'."
    )


def test_an_absolute_path_says_nothing_of_the_working_directory() -> None:
    put({"c.yaml": b"data: {train: /nowhere/rows.csv}"})
    assert refusal("check c.yaml") == "c.yaml:1:8: data.train: no file '/nowhere/rows.csv'."


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "text,label\n")
    return file.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table rows (text, label)")
        return connection.serialize()


def parquet() -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": ["b"]}), file)
    return file.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
UTF_16 = "in UTF-16, by its first bytes. Save it in UTF-8: in Excel as CSV UTF-8, in an editor with the encoding UTF-8."

CONTENTS = {
    "gzip": ("rows.csv", gzip.compress(ROWS), "a gzip file. Add .gz to its name."),
    "gzip in lines": ("lines.txt", gzip.compress(ROWS), "a gzip file. Add .gz to its name."),
    "a spreadsheet": ("rows.csv", zipped("[Content_Types].xml"), "an Excel file. Save it as CSV, in UTF-8."),
    "a spreadsheet by its name": ("rows.xlsx", zipped("xl/workbook.xml"), "an Excel file. Save it as CSV, in UTF-8."),
    "an old spreadsheet": (
        "rows.tsv",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0",
        "an Excel file. Save it as CSV, in UTF-8.",
    ),
    "zip": ("rows.jsonl", zipped("rows.csv"), "a zip file. Unpack it."),
    "zip in gzip": ("rows.csv.gz", gzip.compress(zipped("rows.csv")), "a zip file. Unpack it."),
    "parquet": ("rows.csv", parquet(), "a parquet file. End its name with .parquet."),
    "a pointer": ("rows.parquet", POINTER, "a pointer of Git LFS, not the data. Fetch them: git lfs pull."),
    "bzip2": ("rows.csv", b"BZh91AY&SY\0", "compressed. Unpack it, or use gzip."),
    "UTF-16": ("rows.csv", ROWS.decode().encode("utf-16"), UTF_16),
    "UTF-16 without a mark": ("rows.tsv.gz", gzip.compress(ROWS.decode().encode("utf-16-le")), UTF_16),
    "UTF-16 of another byte order": ("rows.jsonl", ROWS.decode().encode("utf-16-be"), UTF_16),
    "a database": ("rows.csv", database(), "no table and no text. Save the rows as CSV, in UTF-8."),
}


@pytest.mark.parametrize(("name", "content", "what"), CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_of_another_program_is_named_for_what_it_is(name: str, content: bytes, what: str) -> None:
    put({name: content, "c.yaml": f"data: {{train: {name}}}".encode()})
    assert refusal("check c.yaml") == f"c.yaml:1:8: data.train: {name} is {what}"
    assert refusal(f"init {name}") == f"{name} is {what}"


def test_predict_names_it_too(reviews: Path) -> None:
    put({"lines.txt": gzip.compress(b"good\n")})
    assert refusal("predict lines.txt --run RUN", run=str(reviews)) == (
        "lines.txt is a gzip file. Add .gz to its name."
    )
    result = textclf("predict", "--run", reviews, stdin=zipped("rows.csv"))
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "- is a zip file. Unpack it.\n")
    result = textclf("predict", "--run", reviews, stdin="good\nbad\n".encode("utf-16-le"))
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"- is {UTF_16}\n")


def test_texts_that_begin_alike_are_texts() -> None:
    for start in ("PAR1", "PK", "BZh", "version https", "%PDF"):
        put({"rows.csv": ROWS.replace(b"text,", start.encode() + b",")})
        put({"c.yaml": f"data: {{train: rows.csv, text: '{start}'}}".encode()})
        result = textclf("check", "c.yaml", "--json")
        assert (result.exit_code, json.loads(result.stdout)["labels"]) == (0, {"no": 4, "yes": 4})
