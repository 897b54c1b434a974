"""Data files are read once; those that change meanwhile are refused with one message, and nothing is written."""

import csv
import gzip
import hashlib
import json
import os
import pkgutil
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
from conftest import QUICK, SAMPLES, overrides, textclf, write_config

OPENED: Counter[str] | None = None


def _count(event: str, arguments: tuple[object, ...]) -> None:
    if OPENED is not None and event == "open" and isinstance(arguments[0], str | os.PathLike):
        OPENED[os.path.abspath(arguments[0])] += 1  # noqa: PTH100


sys.addaudithook(_count)  # for good: Python takes none away


@pytest.fixture
def opened() -> Iterator[Counter[str]]:
    """The number of times that each file was opened during the test."""
    global OPENED
    OPENED = Counter()
    yield OPENED
    OPENED = None


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".parquet"])
def test_each_data_file_is_read_once(kind: str, tmp_path: Path, opened: Counter[str]) -> None:
    files = {part: tmp_path / f"{part}{kind}" for part in ("train", "validation", "test")}
    for path in files.values():
        write_as(path, SAMPLES / "reviews.csv")
    config = tmp_path / "config.yaml"
    config.write_text("data:\n" + "".join(f"  {part}: {path}\n" for part, path in files.items()))
    opened.clear()
    settings = [*QUICK, "training.epochs=1", "training.seeds=2", "report.slices=[label]"]
    assert textclf("train", config, "--run", tmp_path / "run", *overrides(*settings)).exit_code == 0
    # when the config is checked the header is looked at
    assert {part: opened[str(path)] for part, path in files.items()} == dict.fromkeys(files, 2)
    digests = {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files.values()}
    assert json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))["data"] == digests
    (tmp_path / "new").mkdir()
    other = Path(shutil.copyfile(files["test"], tmp_path / "new" / files["test"].name))
    opened.clear()
    assert textclf("evaluate", "--run", tmp_path / "run").exit_code == 0
    assert textclf("evaluate", other, "--run", tmp_path / "run" / "model").exit_code == 0
    assert (opened[str(files["test"])], opened[str(other)]) == (1, 1)


def test_a_model_is_not_read_back_by_training_and_once_by_evaluate(tmp_path: Path, opened: Counter[str]) -> None:
    run = tmp_path / "run"
    config = write_config(tmp_path, "reviews")
    assert textclf("train", config, "--run", run, *overrides(*QUICK, "training.epochs=1")).exit_code == 0
    files = [
        folder / "model" / name for name in ("model.json", "model.onnx") for folder in (run, tmp_path / "run.partial")
    ]
    assert [opened[str(path)] for path in files] == [0, 0, 0, 0]
    assert textclf("evaluate", SAMPLES / "reviews.csv", "--run", run).exit_code == 0
    assert [opened[str(path)] for path in files] == [1, 0, 1, 0]


def write_as(path: Path, table: Path) -> None:
    """Writes a CSV file in the format that the other's name says."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(table.read_bytes()))
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(table), path)
    else:
        shutil.copyfile(table, path)


def renamed_over(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def removed(path: Path, _content: bytes) -> None:
    path.unlink()


CHANGES: dict[str, Callable[[Path, bytes], object]] = {
    "renamed over": renamed_over,
    "written in place": lambda path, content: path.write_bytes(content[: len(content) // 2]),
    "written in place with the same bytes": lambda path, content: path.write_bytes(content),
    "removed": removed,
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(SAMPLES / "reviews.csv", tmp_path / "live.csv"))


def change_before(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[], object]) -> None:
    """Has the change happen each time that a function is called."""
    module, _, function = name.rpartition(".")
    target = pkgutil.resolve_name(module)
    compute = getattr(target, function)
    monkeypatch.setattr(target, function, lambda *arguments, **named: (change(), compute(*arguments, **named))[1])


def refusal(data: Path) -> str:
    return f"{data} changed while it was read. Try again when nothing writes to it.\n"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_changes_while_it_is_measured_on_is_refused(
    change: Callable[[Path, bytes], object], data: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = data.read_bytes()
    monkeypatch.setattr("textclf.data.rows.ROWS_AT_ONCE", 10)
    change_before(monkeypatch, "textclf.data.source.StoredTexts.add", lambda: change(data, content))
    result = textclf("evaluate", data, "--run", reviews)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", refusal(data))
    assert not (reviews / "evaluations" / "live").exists()


def test_a_file_that_is_half_written_is_not_called_damaged(
    data: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_before(monkeypatch, "textclf.data.source.read_rows", lambda: data.write_text('text,label\n"a'))
    result = textclf("evaluate", data, "--run", reviews)
    assert (result.exit_code, result.stderr) == (1, refusal(data))


def test_a_file_that_changes_after_it_was_read_changes_nothing(
    data: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = hashlib.sha256(data.read_bytes()).hexdigest()
    change_before(
        monkeypatch, "textclf.evaluation.evaluate.sample_document", lambda: data.write_text("text,label\na,b\n")
    )
    document = json.loads(textclf("evaluate", data, "--run", reviews, "--json").stdout)
    described = {"file": data.as_posix(), "part": "all", "rows": 400, "sha256": sha256}
    assert document["data"] == {**described, "paths": [data.resolve().as_posix()]}
    samples = json.loads((reviews / "evaluations" / "live" / "samples.json").read_text(encoding="utf-8"))
    with (SAMPLES / "reviews.csv").open(encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    shown = [*samples["surely_wrong"], *samples["nearest"]]
    assert [sample["text"] for sample in shown] == [texts[sample["row"]] for sample in shown]


def test_rows_are_checked_and_trained_on_as_their_digest_says(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, "reviews", f"  test: {data}")
    change_before(monkeypatch, "textclf.training.splits.text_keys", lambda: data.write_text("text,label\nwell,good\n"))
    for command in (["check", config], ["train", config, "--run", tmp_path / "run", *overrides(*QUICK)]):
        shutil.copyfile(SAMPLES / "reviews.csv", data)
        result = textclf(*command)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", refusal(data))
    assert not (tmp_path / "run").exists()
