"""Arrays on disk, and that reading a few rows at a time gives what reading all does."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK, overrides, textclf, write_config

from textclf.io.files import array_on_disk, smallest_dtype
from textclf.text.vocabulary import WordCounts
from textclf.training.linear import sample_rows


@pytest.mark.parametrize("lengths", [[], [0], [3], [2, 0, 5]])
def test_blocks_become_one_array_and_leave_no_file(lengths: list[int], tmp_path: Path) -> None:
    blocks = [np.arange(length) + 100 * index for index, length in enumerate(lengths)]
    found = array_on_disk(iter(blocks), np.uint16, folder=tmp_path)
    assert (found.dtype, found.tolist()) == (np.uint16, [number for block in blocks for number in block.tolist()])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "kind"), [(0, "u1"), (256, "u1"), (257, "u2"), (65536, "u2"), (65537, "u4")])
def test_ids_take_the_smallest_type_that_holds_them(count: int, kind: str) -> None:
    assert smallest_dtype(count) == np.dtype(kind)


@pytest.mark.parametrize("sample", ["reviews", "topics"])
def test_rows_read_a_few_at_a_time_give_the_same_run(
    sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["data.label=labels", 'data.label_separator="|"'] if sample == "topics" else []
    config = write_config(tmp_path, sample)
    sets = overrides(*QUICK, *settings, "training.epochs=1")
    for name, rows in (("all", 8192), ("few", 7)):
        monkeypatch.setattr("textclf.data.rows.ROWS_AT_ONCE", rows)
        monkeypatch.setattr("textclf.training.splits.ROWS_AT_ONCE", rows)
        assert textclf("train", config, "--run", tmp_path / name, *sets).exit_code == 0
    for file in ("split.json", "history.csv", "model/model.onnx"):
        assert (tmp_path / "few" / file).read_bytes() == (tmp_path / "all" / file).read_bytes()
    # batches hold other rows, which changes the last digits
    one, other = (np.genfromtxt(tmp_path / name / "predictions.csv", delimiter=",")[1:, 3:] for name in ("all", "few"))
    assert np.abs(one - other).max() < 1e-6


def test_words_that_reading_forgot_are_known_to_the_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textclf.training.dataset.WordCounts", partial(WordCounts, max_words=0))
    monkeypatch.setattr("textclf.data.rows.ROWS_AT_ONCE", 20)
    config, run = write_config(tmp_path, "reviews"), tmp_path / "run"
    sets = overrides(*QUICK, "training.epochs=1", "text.vocab_size=50")
    assert textclf("train", config, "--run", run, *sets).exit_code == 0
    trained = (run / "predictions.csv").read_bytes()
    assert textclf("evaluate", "--run", run).exit_code == 0
    assert (run / "predictions.csv").read_bytes() == trained


def test_the_baseline_learns_from_as_many_rows_as_it_can_afford(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textclf.training.linear.MAX_WORDS", 50)
    counts = np.full(40, 5)
    assert sample_rows(counts[:10], seed=1).tolist() == list(range(10))
    found = sample_rows(counts, seed=1)
    assert (len(found), sorted(found.tolist()) == found.tolist()) == (10, True)
    assert found.tolist() != sample_rows(counts, seed=2).tolist()
