"""The bootstrap, against scikit-learn on resampled rows, and McNemar's test, against the binomial formula."""

from math import comb

import numpy as np
import pytest

from textclf.evaluation import bootstrap
from textclf.evaluation.bootstrap import difference_intervals, interval, mcnemar, resampled_metrics
from textclf.evaluation.metrics import compute_metrics

RESAMPLES = 25

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""y_true, y_pred and probabilities."""


def single_label(labels: int) -> Rows:
    rng = np.random.default_rng(labels)
    probabilities = rng.dirichlet(np.ones(labels), 60).round(2)  # rounded: equal scores occur
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return rng.integers(0, labels, 60), probabilities.argmax(axis=1), probabilities


def multilabel() -> Rows:
    rng = np.random.default_rng(5)
    probabilities = rng.random((60, 3)).round(2)
    y_true = (rng.random((60, 3)) < 0.5 * probabilities).astype(np.int8)
    return y_true, (probabilities >= 0.5).astype(np.int64), probabilities


@pytest.mark.parametrize("rows", [single_label(2), single_label(4), multilabel()], ids=["two", "four", "several a row"])
def test_a_resample_has_scikit_learns_metrics(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "MAX_RESAMPLES", RESAMPLES)
    monkeypatch.setattr(bootstrap, "MIN_RESAMPLES", RESAMPLES)
    monkeypatch.setattr(bootstrap, "BLOCK", 60 * 4)  # blocks of four resamples
    resampled = resampled_metrics(*rows)
    rng = np.random.default_rng(0)
    for resample in range(RESAMPLES):
        drawn = rng.integers(0, 60, 60)
        expected = compute_metrics(*(part[drawn] for part in rows))
        values = {name: resampled[name][resample] for name in expected}
        assert values.keys() == resampled.keys()
        assert values == pytest.approx(
            {name: np.nan if value is None else value for name, value in expected.items()}, abs=1e-9, nan_ok=True
        )


def test_the_interval_is_the_middle_95_percent() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx([25, 975])


def test_a_metric_that_is_hardly_ever_defined_has_no_interval() -> None:
    assert interval(np.array([0.5, np.nan, np.nan])) is None


def test_the_same_model_twice_differs_by_nothing() -> None:
    resampled = [resampled_metrics(*single_label(2)) for _ in range(2)]
    assert set(map(tuple, difference_intervals(*resampled).values())) == {(0, 0)}


def test_fewer_resamples_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 1000
    monkeypatch.setattr(bootstrap, "MAX_WORK", 134 * rows * 20)
    y_true = np.zeros(rows, np.int64)
    y_true[::2] = 1
    probabilities = np.tile([0.4, 0.6], (rows, 1))
    resampled = resampled_metrics(y_true, np.ones(rows, np.int64), np.repeat(probabilities, 10, axis=1))
    assert len(resampled["accuracy"]) == 134


def test_mcnemar_is_the_two_sided_binomial() -> None:
    correct = np.array([True] * 10 + [True] * 8 + [False] * 2 + [False] * 5)
    other = np.array([True] * 10 + [False] * 8 + [True] * 2 + [False] * 5)
    expected = 2 * sum(comb(10, k) for k in range(3)) / 2**10
    assert mcnemar(correct, other) == {
        "only_this_right": 8,
        "only_other_right": 2,
        "p_value": pytest.approx(expected),
    }


def test_mcnemar_without_a_difference_is_certain() -> None:
    correct = np.array([True, False])
    assert mcnemar(correct, correct)["p_value"] == 1
