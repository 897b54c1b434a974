"""Metrics of our own, against their definitions."""

import numpy as np
import pytest

from textclf.evaluation.metrics import calibration_error, compute_metrics, correct_and_confidence
from textclf.report.page import TITLES

UNTITLED = {"precision_micro", "recall_micro", "precision_weighted", "recall_weighted"}
"""Metrics that the tables leave out on purpose: the micro and weighted F1 say the same or more."""


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    # two bins: 4 rows at 0.9 of which 2 are correct, 1 row at 0.6 that is correct
    correct, confidence = np.array([1, 1, 0, 0, 1]), np.array([0.9, 0.9, 0.9, 0.9, 0.6])
    assert calibration_error(correct, confidence) == pytest.approx((4 * 0.4 + 1 * 0.4) / 5)


def test_a_probability_of_one_has_a_bin() -> None:
    assert calibration_error(np.array([1]), np.array([1.0])) == 0


def test_calibration_is_of_the_predicted_label_or_of_every_one_of_several() -> None:
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7]])
    correct, confidence = correct_and_confidence(np.array([0, 0]), np.array([0, 1]), probabilities)
    assert (correct.tolist(), confidence.tolist()) == ([[True], [False]], [[0.9], [0.7]])
    correct, confidence = correct_and_confidence(np.array([[1, 0], [0, 0]]), np.array([[1, 0], [0, 1]]), probabilities)
    assert (correct.tolist(), confidence.tolist()) == ([[True, False], [False, False]], probabilities.tolist())


def test_a_label_that_neither_rows_nor_predictions_have_does_not_lower_the_mean() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]])
    assert compute_metrics(np.array([0, 1]), np.array([0, 1]), probabilities)["f1_macro"] == 1


def test_every_metric_has_a_title_or_is_left_out_of_the_tables_on_purpose() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    single = compute_metrics(np.array([0, 1]), np.array([0, 1]), probabilities)
    multilabel = compute_metrics(np.eye(2, dtype=int), np.eye(2, dtype=int), probabilities)
    assert single.keys() | multilabel.keys() == TITLES.keys() | UNTITLED
