"""Numbers of our own, against their definitions."""

import numpy as np
import pytest
import sklearn.metrics as sk

from textclf.metrics import bootstrap_intervals, calibration_error, compute_metrics


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    # two bins: 4 rows at 0.9 of which 2 are right, 1 row at 0.6 that is right
    right, confidence = np.array([1, 1, 0, 0, 1]), np.array([0.9, 0.9, 0.9, 0.9, 0.6])
    assert calibration_error(right, confidence) == pytest.approx((4 * 0.4 + 1 * 0.4) / 5)


def test_a_probability_of_one_has_a_bin() -> None:
    assert calibration_error(np.array([1]), np.array([1.0])) == 0


def test_intervals_are_those_of_resampled_rows() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 400)
    chosen = np.where(rng.random(400) < 0.8, truth, rng.integers(0, 3, 400))
    samples = [rng.integers(0, 400, 400) for _ in range(1000)]
    found = bootstrap_intervals(truth, chosen)
    for name, score in (("accuracy", sk.accuracy_score), ("f1_macro", lambda t, c: sk.f1_score(t, c, average="macro"))):
        expected = np.quantile([score(truth[rows], chosen[rows]) for rows in samples], [0.025, 0.975])
        assert found[name] == pytest.approx(expected, abs=0.012)


def test_intervals_are_the_same_each_time() -> None:
    truth = np.array([0, 1, 1, 0])
    assert bootstrap_intervals(truth, truth[::-1]) == bootstrap_intervals(truth, truth[::-1])


def test_a_label_that_no_row_has_and_none_is_given_does_not_lower_the_mean() -> None:
    shares = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]])
    assert compute_metrics(np.array([0, 1]), np.array([0, 1]), shares)["f1_macro"] == 1
