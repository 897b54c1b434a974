"""The model/ folder: what is stored in it, the check that it still predicts the same, and the batches it computes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import textclf

from textclf.inference.classifier import (
    BATCH_ROWS,
    BATCH_TOKENS,
    FEW_ROWS,
    FULL_SHARE,
    WHOLE_TOKENS,
    batches_by_length,
    load_classifier,
)
from textclf.inference.model_folder import checksum


@pytest.fixture
def model(reviews: Path, tmp_path: Path) -> Path:
    """A copy of a run's model/ folder, to damage."""
    return Path(shutil.copytree(reviews / "model", tmp_path / "model"))


@pytest.mark.parametrize("name", ["reviews", "questions", "topics"])
def test_check_predicts_the_stored_rows_again(name: str, request: pytest.FixtureRequest) -> None:
    result = textclf("check", request.getfixturevalue(name), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["probe_difference"] < 1e-6


def test_a_model_that_gives_the_saved_probabilities_passes(reviews: Path) -> None:
    result = textclf("check", reviews)
    last_line = "The model gives the probabilities that it gave when it was saved."
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, last_line)


def test_a_model_that_gives_other_probabilities_is_refused(model: Path) -> None:
    document = json.loads((model / "model.json").read_text(encoding="utf-8"))
    probe = document["probe"]
    first, second = probe["probabilities"][0]
    step = 0.25 if first < 0.5 else -0.25
    probe["probabilities"][0] = [first + step, second - step]
    (model / "model.json").write_text(json.dumps(document | {"checksum": checksum(document)}), encoding="utf-8")
    result = textclf("check", model)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{model}: probabilities differ by 2.5e-01 from those when it was saved")


def test_a_run_and_its_model_folder_hold_the_same_classifier(reviews: Path) -> None:
    run, folder = load_classifier(reviews), load_classifier(reviews / "model")
    assert run.description == folder.description


@pytest.mark.parametrize("name", ["reviews", "topics"])
def test_no_probability_is_beyond_0_and_1(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_classifier(request.getfixturevalue(name))  # two labels, and several labels per row
    above = np.float32(1.0000001)  # ONNX Runtime's sigmoid of 17.844
    row = [1 - above, *[above] * (len(classifier.labels) - 1)]
    monkeypatch.setattr(classifier, "_score", lambda _ids, lengths, _names: [np.tile(row, (len(lengths), 1))])
    assert classifier.predict_proba(["a", "b"]).tolist() == [[0.0, *[1.0] * (len(row) - 1)]] * 2


@pytest.mark.parametrize("count", [1, 5, 256, 8192])
def test_batches_hold_each_row_once_with_little_padding(count: int) -> None:
    rng = np.random.default_rng(count)
    lengths = np.minimum(rng.geometric(0.04, count), 300)
    read = np.minimum(lengths, 100)
    batches = list(batches_by_length(lengths, read, batch_tokens=BATCH_TOKENS))
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    for rows in batches:
        assert len(rows) <= BATCH_ROWS
        assert len(rows) * read[rows].max() <= max(BATCH_TOKENS, read[rows].max())
        assert len(rows) <= FEW_ROWS or read[rows].min() >= FULL_SHARE * read[rows].max()


def test_a_row_longer_than_a_batch_is_a_batch() -> None:
    lengths = np.array([3, BATCH_TOKENS + 1, WHOLE_TOKENS + 1])
    batches = list(batches_by_length(lengths, lengths, batch_tokens=BATCH_TOKENS))
    assert [rows.tolist() for rows in batches] == [[2], [1], [0]]


def test_few_texts_get_the_same_probabilities_to_the_bit(reviews: Path) -> None:
    texts = ["a good meal", "cold food and slow service", ""]
    every, few = (load_classifier(reviews, few_texts=few).predict_proba(texts) for few in (False, True))
    assert (every == few).all()
