"""Data files that change while they are read: refused with one message, and nothing is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import QUICK, SAMPLES, overrides, textclf, write_config


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
    target = __import__(module, fromlist=[function])
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
    change_before(monkeypatch, "textclf.evaluation.evaluate.outcome", lambda: change(data, content))
    result = textclf("evaluate", data, "--run", reviews)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", refusal(data))
    assert not (reviews / "evaluations" / "live").exists()


def test_a_file_that_is_half_written_is_not_called_damaged(
    data: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_before(monkeypatch, "textclf.data.source.read_rows", lambda: data.write_text('text,label\n"a'))
    result = textclf("evaluate", data, "--run", reviews)
    assert (result.exit_code, result.stderr) == (1, refusal(data))


def test_a_file_that_changes_before_its_rows_are_shown_is_refused(
    data: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_before(
        monkeypatch, "textclf.evaluation.evaluate.sample_document", lambda: data.write_text("text,label\na,b\n")
    )
    result = textclf("evaluate", data, "--run", reviews)
    assert (result.exit_code, result.stderr) == (1, refusal(data))
    assert not (reviews / "evaluations" / "live").exists()


def test_rows_are_checked_and_trained_on_as_their_digest_says(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, "reviews", f"  test: {data}")
    change_before(monkeypatch, "textclf.training.dataset.text_keys", lambda: data.write_text("text,label\nwell,good\n"))
    for command in (["check", config], ["train", config, "--run", tmp_path / "run", *overrides(*QUICK)]):
        shutil.copyfile(SAMPLES / "reviews.csv", data)
        result = textclf(*command)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", refusal(data))
    assert not (tmp_path / "run").exists()
