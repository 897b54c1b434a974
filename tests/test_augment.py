"""augment: training rows change as the options say, the same in each run and anew in each epoch; others do not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import QUICK, overrides, textclf, write_config
from faults import ctrl_c, failing_writes

from textclf.config.schema import AugmentOptions
from textclf.text.encoding import RESERVED, UNKNOWN, TokenIds
from textclf.text.vectors import WordVectors, neighbours
from textclf.training.augmentation import CHANGES, Augmentation

WORDS = 500
OWN_NEIGHBOUR = np.repeat(np.arange(WORDS, dtype=np.int32)[:, None] + WORDS, 3, axis=1)  # none is a word of the texts


def some_texts(lengths: list[int]) -> TokenIds:
    counts = np.array(lengths)
    ids = np.random.default_rng(0).integers(RESERVED, WORDS, counts.sum())
    return TokenIds(ids.astype(np.uint16), counts, counts)


def changed(texts: TokenIds, *, seed: int = 42, epoch: int = 1, **options: Any) -> TokenIds:
    return Augmentation(AugmentOptions(**options), OWN_NEIGHBOUR).epoch_rows(texts, seed=seed, epoch=epoch)


def rows(texts: TokenIds) -> list[list[int]]:
    return [texts.row(row).tolist() for row in range(len(texts))]


@pytest.mark.parametrize("change", CHANGES)
def test_rows_change_by_seed_and_epoch_alone(change: str) -> None:
    texts = some_texts([40, 1, 25, 60])
    first = rows(changed(texts, **{change: 0.5}))
    assert rows(changed(texts, **{change: 0.5})) == first
    assert rows(changed(texts, epoch=2, **{change: 0.5})) != first
    assert rows(changed(texts, seed=43, **{change: 0.5})) != first


def test_a_factor_gives_all_rows_so_many_times_each_time_changed_in_another_way() -> None:
    texts = some_texts([40, 1, 25, 60])
    once, again = (
        rows(changed(texts, word_dropout=0.2, factor=2))[:4],
        rows(changed(texts, word_dropout=0.2, factor=2))[4:],
    )
    assert once == rows(changed(texts, word_dropout=0.2))
    assert once != again
    assert list(map(len, once)) == list(map(len, again)) == [40, 1, 25, 60]


def test_without_options_the_rows_are_returned_as_they_are() -> None:
    texts = some_texts([5, 1])
    assert changed(texts) is texts


def test_each_option_changes_about_its_share_of_the_tokens() -> None:
    texts = some_texts([50] * 400)
    before = texts.flat
    replaced = changed(texts, synonyms=0.2).flat
    assert set((replaced - before)[replaced != before].tolist()) == {WORDS}
    assert (replaced != before).mean() == pytest.approx(0.2, abs=0.01)
    unknown = changed(texts, word_dropout=0.2).flat
    assert set(unknown[unknown != before].tolist()) == {UNKNOWN}
    assert (unknown != before).mean() == pytest.approx(0.2, abs=0.01)
    swapped = changed(texts, swap=0.2)
    assert [sorted(row) for row in rows(swapped)] == [sorted(row) for row in rows(texts)]
    assert (swapped.flat != before).mean() == pytest.approx(0.2, abs=0.01)
    fewer = changed(texts, deletion=0.2)
    assert len(fewer.flat) / len(before) == pytest.approx(0.8, abs=0.01)
    assert all(_is_part(some, whole) for some, whole in zip(rows(fewer), rows(texts), strict=True))


def _is_part(some: list[int], whole: list[int]) -> bool:
    left = iter(whole)
    return all(word in left for word in some)


def test_no_text_becomes_empty() -> None:
    texts = some_texts([1, 2, 3] * 200)
    assert changed(texts, deletion=0.99).lengths.min() == 1


def test_neighbours_are_the_nearest_words_of_letters_that_are_not_too_frequent() -> None:
    words = [*(f"the{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(100)), "good", "fine", "bad", "9th", "rare"]
    table = np.zeros((RESERVED + len(words), 2), np.float32)
    table[RESERVED:] = [0, 1]
    table[-5:] = [[1, 0], [0.9, 0.1], [-1, 0], [1, 0], [0.8, 0.2]]
    known = np.ones(len(table), bool)
    known[-1] = False
    nearest = neighbours(WordVectors(table, known), words, words=len(words), similarity=0.7)
    good, fine, bad, ninth, rare = range(len(table) - 5, len(table))
    assert {*nearest[good]} == {fine}
    assert {*nearest[fine]} == {good}
    assert [{*nearest[word]} for word in (RESERVED, bad, ninth, rare)] == [{RESERVED}, {bad}, {ninth}, {rare}]


def test_a_training_with_augmentation_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    settings = ["report.baseline=false", "augment.deletion=0.2", "augment.swap=0.2", "augment.factor=2"]
    config = write_config(tmp_path, "reviews")
    arguments = overrides(*QUICK, *settings, "training.checkpoint_minutes=1e-9")
    assert textclf("train", config, "--run", tmp_path / "whole", *arguments).exit_code == 0
    with failing_writes(60, tmp_path, error=ctrl_c):
        assert textclf("train", config, "--run", tmp_path / "stopped", *arguments).exit_code == 130
    assert textclf("train", config, "--run", tmp_path / "stopped", *arguments, "--resume").exit_code == 0
    for name in ("history.csv", "metrics.json", "model/model.onnx"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    document = json.loads((tmp_path / "whole" / "metrics.json").read_text(encoding="utf-8"))
    assert document["data"]["rows"] == 40  # those measured are as they were


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "augment.synonyms=0.1",
            "augment.synonyms: needs word vectors, whose neighbours they are. Set model.pretrained.",
        ),
        ("augment.deletion=1", "augment.deletion: should be less than 1, found 1"),
        ("augment.factor=2", "augment: factor: 2 needs one of synonyms, word_dropout, swap, deletion above 0"),
        ("augment.delete=0.1", "augment.delete: unknown key; did you mean 'deletion'?"),
    ],
)
def test_invalid_options_are_refused_before_training(setting: str, message: str, tmp_path: Path) -> None:
    result = textclf("train", write_config(tmp_path, "reviews"), "--set", setting)
    assert (result.exit_code, result.stderr) == (1, f"--set {setting}: {message}\n")
