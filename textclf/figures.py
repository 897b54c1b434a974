"""The plots of a report, by name, from the numbers of a run."""

from typing import Any

import numpy as np
import numpy.typing as npt

from textclf import curves, plots
from textclf.calibration import needs_threshold, threshold_curve, without_temperature
from textclf.outcome import Outcome

Array = npt.NDArray[Any]

WORST = 3  # labels beside the mean curve


def figures(document: dict[str, Any], found: Outcome, history: list[dict[Any, Any]]) -> dict[str, str]:
    """SVG by name; a plot that the rows give no ground for is empty."""
    several = found.separator is not None
    ones = found.truth if several else (found.truth[:, None] == np.arange(len(found.names))).astype(np.int8)
    drawn = {
        "learning_curves": plots.learning_curves(_columns(history)) if history else "",
        "confusion_matrix": ""
        if several
        else plots.confusion_matrix(np.array(document["confusion_matrix"]), found.names),
        **_rankings(found, ones),
        "reliability": _reliability(document, found, ones),
        "score_histogram": _scores(found),
        "thresholds": _thresholds(document, found, ones),
        "coverage": plots.coverage(curves.coverage(found.right, found.confidence)),
        "text_lengths": plots.text_lengths(
            document["lengths"]["edges"], document["lengths"]["counts"], cut=document["lengths"]["max_length"]
        ),
    }
    overall = document["metrics"]["accuracy"]
    for number, sliced in enumerate(document["slices"]):
        name = f"slices_{number}"
        drawn[name] = plots.slices(name, sliced["slices"], overall=overall, worst=sliced["worst"])
    return drawn


def _columns(history: list[dict[Any, Any]]) -> dict[str, list[float]]:
    return {key: [epoch[key] for epoch in history] for key in history[0]}


def _rankings(found: Outcome, ones: Array) -> dict[str, str]:
    """ROC and precision-recall: of the second of two labels, else of all labels together and of the worst."""
    import sklearn.metrics as sk

    mixed = np.flatnonzero((ones.sum(axis=0) > 0) & (ones.sum(axis=0) < len(ones)))
    if not len(mixed):
        return {"roc": "", "precision_recall": ""}
    if found.separator is None and len(found.names) == 2:
        chosen = {found.names[1]: (ones[:, 1], found.probabilities[:, 1])}
    else:
        areas = {int(label): sk.roc_auc_score(ones[:, label], found.probabilities[:, label]) for label in mixed}
        worst = sorted(areas, key=lambda label: areas[label])[:WORST]
        chosen = {"all labels": (ones[:, mixed].ravel(), found.probabilities[:, mixed].ravel())}
        chosen |= {found.names[label]: (ones[:, label], found.probabilities[:, label]) for label in worst}
    return {
        "roc": plots.roc(
            {name: curves.roc(*each) for name, each in chosen.items()},
            {name: float(sk.roc_auc_score(*each)) for name, each in chosen.items()},
        ),
        "precision_recall": plots.precision_recall(
            {name: curves.precision_recall(*each) for name, each in chosen.items()},
            {name: float(sk.average_precision_score(*each)) for name, each in chosen.items()},
        ),
    }


def _reliability(document: dict[str, Any], found: Outcome, ones: Array) -> str:
    """With several labels a row of each label, else of the label given; beside it what it was before scaling."""
    several = found.separator is not None
    temperature = document.get("decision", {}).get("temperature", 1.0)
    unscaled = without_temperature(found.probabilities, temperature, several=several)
    if several:
        now, before = (curves.reliability(ones.ravel(), shares.ravel()) for shares in (found.probabilities, unscaled))
    else:
        place = np.arange(len(found)), found.chosen
        now, before = (curves.reliability(found.right, shares[place]) for shares in (found.probabilities, unscaled))
    return plots.reliability(now, before if temperature != 1 else None)


def _scores(found: Outcome) -> str:
    if found.separator is None and len(found.names) == 2:
        second = found.probabilities[:, 1]
        groups = {name: second[found.truth == label] for label, name in enumerate(found.names)}
        return plots.score_histogram(groups, of=f"probability of {found.names[1]}")
    groups = {"right": found.confidence[found.right], "wrong": found.confidence[~found.right]}
    return plots.score_histogram(groups, of="probability of the label given")


def _thresholds(document: dict[str, Any], found: Outcome, ones: Array) -> str:
    several = found.separator is not None
    if "threshold" not in document or not needs_threshold(len(found.names), several=several):
        return ""
    columns = slice(None) if several else slice(1, 2)
    at, *measures = threshold_curve(ones[:, columns], found.probabilities[:, columns])[:4]
    thin = [curves.thinned(at, values) for values in measures]
    grid = np.linspace(0, 1, 101)
    values = {
        name: np.interp(grid, curve.x, curve.y) for name, curve in zip(("precision", "recall", "F1"), thin, strict=True)
    }
    return plots.thresholds(grid, values, chosen=document["threshold"]["value"])
