"""Curves against scikit-learn and by hand; plots as what a page can hold, whatever the labels are called."""

import re
from collections.abc import Callable
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
import sklearn.metrics as sk

from textclf.evaluation import curves
from textclf.evaluation.metrics import compute_metrics, correct_and_confidence
from textclf.report import plots
from textclf.report.confusion_matrix import confusion_matrix
from textclf.report.plot_data import Bins, Curve
from textclf.report.svg import clean_name

HOSTILE = [
    "<script>alert(1)</script>", "</svg>", "{{ 7*7 }}", "$x^", "a\x00\x07\n\tb", "\u202eevil", "正面评价", "🎉👩‍💻",
    "שלום", "x" * 300, "&amp; \"'", "[[0]]", " ", "\ud800\uffff",
]  # fmt: skip


Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""y_true, y_pred and probabilities."""


def single_label(labels: int, n: int = 600) -> Rows:
    rng = np.random.default_rng([labels, n])
    y_true = rng.integers(0, labels, n)
    scores = np.exp(rng.normal(size=(n, labels)) + 2 * (y_true[:, None] == np.arange(labels)))
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return y_true, probabilities.argmax(axis=1), probabilities


def multilabel(labels: int = 3, n: int = 400) -> Rows:
    rng = np.random.default_rng(1)
    y_true = (rng.random((n, labels)) < 0.3).astype(int)
    probabilities = 1 / (1 + np.exp(1.5 - 3 * y_true - rng.normal(size=(n, labels))))
    return y_true, (probabilities >= 0.5).astype(int), probabilities


def second_label(scores: np.ndarray) -> np.ndarray:
    """Return the probabilities of two labels, shape (n, 2)."""
    return np.stack([1 - scores, scores], axis=1)


def test_a_roc_curve_is_scikit_learns() -> None:
    y_true, scores = np.array([0, 0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.7])
    x, y, _ = sk.roc_curve(y_true, scores)
    [curve] = curves.roc_curves(y_true, second_label(scores), ["bad", "good"])
    assert (curve.x.tolist(), curve.y.tolist()) == (x.tolist(), y.tolist())
    assert (curve.name, curve.area) == ("good", sk.roc_auc_score(y_true, scores))


def test_precision_falls_in_steps_as_average_precision_counts_it() -> None:
    y_true, _, probabilities = single_label(2)
    [curve] = curves.precision_recall_curves(y_true, probabilities, ["no", "yes"])
    assert curve.area == pytest.approx(sk.average_precision_score(y_true, probabilities[:, 1]))
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(curve.area)


def test_a_curve_of_many_rows_is_drawn_by_few_points_without_being_seen() -> None:
    y_true, _, probabilities = single_label(2, 20_000)
    [curve] = curves.roc_curves(y_true, probabilities, ["no", "yes"])
    drawn = max(re.findall(r' d="([^"]*)"', plots.roc([curve])), key=len)
    points = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", drawn), float)  # (points, 2), in units
    assert len(points) <= 200 < len(curve.x)
    exact = points[0] + np.stack([curve.x, curve.y], axis=1) * (points[-1] - points[0])
    start, step = points[:-1, None], np.diff(points, axis=0)[:, None]  # (lines, 1, 2)
    along = np.clip(
        ((exact - start) * step).sum(axis=2) / np.maximum((step**2).sum(axis=2), 1e-12), 0, 1
    )  # (lines, exact)
    distances = np.hypot(*np.moveaxis(exact - start - along[:, :, None] * step, 2, 0)).min(axis=0)
    assert distances.max() <= 0.5


@pytest.mark.parametrize("make", [curves.roc_curves, curves.precision_recall_curves])
@pytest.mark.parametrize("data", [single_label(5), multilabel()], ids=["one label per row", "several"])
def test_of_more_labels_the_mean_and_the_worst_are_shown(make: Callable, data: Rows) -> None:
    y_true, y_pred, probabilities = data
    names = [f"label {number}" for number in range(probabilities.shape[1])]
    mean, *worst = make(y_true, probabilities, names)
    metric = "roc_auc" if make is curves.roc_curves else "average_precision"
    assert mean.area == pytest.approx(compute_metrics(y_true, y_pred, probabilities)[metric])
    assert np.trapezoid(mean.y, mean.x) == pytest.approx(mean.area, abs=5e-3)
    areas = [curve.area for curve in worst]
    assert len(areas) == 3
    assert areas == sorted(areas)
    assert areas[0] <= mean.area


def test_two_labels_have_one_curve_and_one_label_has_none() -> None:
    y_true, _, probabilities = single_label(2)
    assert [curve.name for curve in curves.roc_curves(y_true, probabilities, ["no", "yes"])] == ["yes"]
    assert curves.roc_curves(np.zeros(600, int), probabilities, ["no", "yes"]) == []


@pytest.mark.parametrize("data", [single_label(4), multilabel()], ids=["one label per row", "several"])
def test_reliability_bins_hold_the_calibration_error(data: Rows) -> None:
    correct, confidence = correct_and_confidence(*data)
    bins = curves.reliability_bins(correct, confidence)
    error = np.nansum(bins.rows * np.abs(bins.confidence - bins.accuracy)) / correct.size
    assert error == pytest.approx(bins.error)
    assert bins.error == compute_metrics(*data)["expected_calibration_error"]


def test_thresholds_are_scored_as_scikit_learn_does() -> None:
    y_true, _, probabilities = single_label(2)
    curve = curves.threshold_curve(y_true, probabilities[:, 1], np.linspace(0, 1, 11))
    for index, threshold in enumerate(curve.threshold):
        y_pred = probabilities[:, 1] >= threshold
        precision = sk.precision_score(y_true, y_pred, zero_division=np.nan)
        others = [score(y_true, y_pred) for score in (sk.recall_score, sk.f1_score, sk.accuracy_score)]
        assert [scores[index] for scores in curve[1:]] == pytest.approx([precision, *others], nan_ok=True)


def test_coverage_leaves_out_the_least_confident_and_keeps_ties_together() -> None:
    correct = np.array([1] * 20 + [0] * 5 + [1] * 5)
    confidence = np.array([0.9] * 20 + [0.7] * 10)
    curve = curves.coverage_curve(correct, confidence)
    assert [part.tolist() for part in curve] == [[20 / 30, 1.0], [1.0, 25 / 30]]


def test_lengths_are_binned_evenly_or_by_factor_where_the_tail_is_long() -> None:
    counts, edges = curves.length_histogram(np.array([0, 1, 3, 4]))
    assert (counts.tolist(), edges.tolist()) == ([2, 0, 1, 1], [1, 2, 3, 4, 5])
    counts, edges = curves.length_histogram(np.array([2, 2, 2, 31]), bins=4)
    assert (counts.tolist(), edges.tolist()) == ([3, 0, 0, 1], [2, 4, 8, 16, 32])


def test_scores_are_counted_by_group() -> None:
    counts = curves.score_counts(np.array([0.1, 0.7, 0.4]), np.array([0, 1, 1]), bins=2)
    assert counts.tolist() == [[1, 0], [1, 1]]


def confusions(labels: int) -> np.ndarray:
    y_true, y_pred, _ = single_label(labels)
    return sk.confusion_matrix(y_true, y_pred, labels=range(labels))


def hostile_curves(make: Callable) -> list[Curve]:
    y_true, _, probabilities = single_label(len(HOSTILE))
    return make(y_true, probabilities, HOSTILE)


def flat_pairs(*rows: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(part.ravel() for part in correct_and_confidence(*rows))


TWO, MANY = single_label(2), single_label(len(HOSTILE))
BINS = curves.reliability_bins(*correct_and_confidence(*TWO))
PLOTS: dict[str, Callable[[], str]] = {
    "learning": partial(
        plots.learning_curves, {"loss": [0.6, 0.3], "val_loss": [0.5, 0.6], "val_accuracy": [0.7, 1]}, kept=2
    ),
    "one epoch": partial(plots.learning_curves, {"loss": [np.inf], "val_loss": [np.nan]}, kept=1),
    "matrix 1": partial(confusion_matrix, [[3]], HOSTILE),
    "matrix 2": partial(confusion_matrix, confusions(2), HOSTILE),
    "matrix 14": partial(confusion_matrix, confusions(14), HOSTILE),
    "matrix 77": partial(confusion_matrix, confusions(77), 6 * HOSTILE),
    "matrix 120": partial(confusion_matrix, confusions(120), 9 * HOSTILE),
    "roc": lambda: plots.roc(curves.roc_curves(TWO[0], TWO[2], HOSTILE[:2])),
    "roc many": lambda: plots.roc(hostile_curves(curves.roc_curves)),
    "precision": lambda: plots.precision_recall(hostile_curves(curves.precision_recall_curves)),
    "reliability": partial(plots.reliability, BINS),
    "calibrated": partial(plots.reliability, BINS, Bins(*np.array([[np.nan, 0.7], [np.nan, 0.6], [0, 9]]), 0.1)),
    "scores": lambda: plots.score_histogram(curves.score_counts(TWO[2][:, 1], TWO[0]), HOSTILE, of=HOSTILE[0]),
    "scores many": lambda: plots.score_histogram(curves.score_counts(*flat_pairs(*MANY)[::-1]), threshold=0.5),
    "thresholds": lambda: plots.thresholds(curves.threshold_curve(TWO[0], TWO[2][:, 1], np.linspace(0, 1, 101)), 0.4),
    "coverage": lambda: plots.coverage(curves.coverage_curve(*flat_pairs(*TWO))),
    "all right": lambda: plots.coverage(curves.coverage_curve(np.ones(3), np.ones(3))),
    "lengths": partial(plots.text_lengths, [5, 9, 1], [1, 2, 4, 8], 4, 0.1),
    "slices": partial(plots.slices, HOSTILE, [0.8] * 14, [0.7] * 14, [0.9] * 14, 0.8, worst=HOSTILE[0], key="slices"),
}  # fmt: skip


@pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS)
def test_a_plot_is_one_svg_that_scales_and_says_what_it_shows(draw: Callable[[], str]) -> None:
    drawn = draw()
    root = ElementTree.fromstring(drawn)
    title, description = (root.find(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc"))
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text
    assert re.search(r"\d", description.text)
    assert {"viewBox", "style"} <= set(root.keys())
    assert {"width", "height"}.isdisjoint(root.keys())
    assert not re.search(r"<(\?|!|script|metadata|style|image)|#[0-9a-f]{6}\b|\[\[\d+x+\]\]|mathdefault", drawn)
    assert draw() == drawn


@pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS)
def test_all_ids_of_a_plot_begin_with_its_key_and_links_lead_to_them(draw: Callable[..., str]) -> None:
    drawn = draw()
    ids = re.findall(r' id="([^"]*)"', drawn)
    key = ids[0].removesuffix("-title")
    assert len(ids) == len(set(ids))
    assert all(name.startswith(f"{key}-") for name in ids)
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', drawn)) <= set(ids)


def test_hostile_names_come_out_as_text() -> None:
    drawn = plots.slices(HOSTILE, [0.8] * 14, [0.7] * 14, [0.9] * 14, 0.8, worst=HOSTILE[0], key="slices")
    texts = {"".join(part.itertext()) for part in ElementTree.fromstring(drawn).iter() if part.tag.endswith("text")}
    assert {
        "<script>alert(1)</scrip…", "</svg>", "{{ 7*7 }}", "$x^", "a����b", "�evil", "正面评价", "🎉👩‍💻",
        "\u2068שלום\u2069", "x" * 23 + "…", "&amp; \"'", "[[0]]", "(blank)", "��",
    } <= texts  # fmt: skip


def test_a_wide_sign_takes_two_columns() -> None:
    assert clean_name("正面评价", 6) == "正面…"


def test_a_plot_does_not_depend_on_the_users_matplotlib_settings() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    drawn = PLOTS["slices"]()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "text.usetex": False, "savefig.dpi": 10}):
        assert PLOTS["slices"]() == drawn
        assert matplotlib.rcParams["font.size"] == 30


def test_a_matrix_of_many_labels_shows_those_that_are_confused() -> None:
    matrix = 9 * np.eye(120, dtype=int)
    matrix[7, 119] = 3
    drawn = confusion_matrix(matrix, [f"label {number}" for number in range(120)])
    assert "The 100 most confused of 120 labels" in drawn
    assert "label 7 taken for label 119: 3 of 12 rows." in drawn
    assert ">label 119<" in drawn
    assert ">label 118<" not in drawn
