"""Networks that differ in their seed alone: which is kept, how far apart they are, and what all give together."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textclf.config.schema import Config
from textclf.data.source import SourceRows
from textclf.evaluation.bootstrap import difference_intervals
from textclf.evaluation.evaluate import measure_throughput
from textclf.evaluation.predictions import Predictions, compare_predictions, metric_differences
from textclf.inference.classifier import Classifier
from textclf.io.contract import DifferenceDocument, MemberDocument, Metrics, SeedsDocument
from textclf.io.run_folder import Run
from textclf.models.ensemble import join
from textclf.training.checkpoint import better
from textclf.training.dataset import Dataset
from textclf.training.fit import Decision, fit_decision
from textclf.training.loop import FitResult
from textclf.training.model_io import classifier_of, shape_of


@dataclass(frozen=True)
class Member:
    """A trained network, its logits already divided by the temperature that was decided on."""

    seed: int
    network: Any
    fit_result: FitResult
    decision: Decision


@dataclass(frozen=True)
class Candidate:
    """What a member alone would be."""

    member: Member
    classifier: Classifier
    bytes: int
    """Of its model.onnx."""


def best_member(members: Sequence[Member], monitor: str) -> Member:
    """The one with the best score on the validation rows, the first of equals."""
    best = members[0]
    for member in members[1:]:
        if better(member.fit_result.best, best.fit_result.best, monitor):
            best = member
    return best


def classify_alone(run: Run, config: Config, dataset: Dataset, members: Sequence[Member]) -> list[Candidate]:
    """Each member alone, as it is now; none where there is one, which has nothing to be compared with."""
    if len(members) == 1:
        return []
    return [
        Candidate(member, *classifier_of(run, config, dataset, member.network, member.decision.threshold))
        for member in members
    ]


def choose_network(config: Config, dataset: Dataset, members: Sequence[Member]) -> tuple[Any, Decision]:
    """The network of the run and what was decided on for it: all members joined if so asked for, else the best."""
    if not config.training.ensemble or len(members) == 1:
        best = best_member(members, config.training.monitor)
        return best.network, best.decision
    network = join([member.network for member in members], shape_of(config, dataset).activation)
    return network, fit_decision(config, dataset, network)


def compare_seeds(
    config: Config, alone: Sequence[Candidate], classifier: Classifier, run: Run, found: Predictions, rows: SourceRows
) -> tuple[SeedsDocument, dict[str, float]]:
    """What metrics.json says of the members, and how many rows a second the best and an ensemble label.

    Args:
        alone: the members.
        classifier: that of the run, which found `found` on the rows.

    Raises:
        UserError: a file of the rows has changed.
    """
    best = best_member([rival.member for rival in alone], config.training.monitor)
    place = [rival.member for rival in alone].index(best)
    every = [rival.classifier for rival in alone]
    probabilities, speeds = measure_throughput(
        [*every, classifier] if config.training.ensemble else every, rows.text_chunks()
    )
    outcomes = [
        found.with_probabilities(shares, threshold=rival.member.decision.threshold)
        for rival, shares in zip(alone, probabilities, strict=False)
    ]
    metrics = [each.metrics for each in outcomes]
    document: SeedsDocument = {
        "best": best.seed,
        "members": [_member_document(rival.member, own) for rival, own in zip(alone, metrics, strict=True)],
        "mean": _each(metrics, statistics.fmean),
        "standard_deviation": _each(metrics, statistics.stdev),
        "ensemble": None,
    }
    if not config.training.ensemble:
        return document, {}
    document["ensemble"] = {
        "over_best": compare_predictions(found, outcomes[place]),
        "over_mean": _over_mean(found, outcomes, document["mean"]),
        "bytes": run.graph.stat().st_size,
        "bytes_of_best": alone[place].bytes,
    }
    return document, {"best": speeds[place], "ensemble": speeds[-1]}


def _member_document(member: Member, metrics: Metrics) -> MemberDocument:
    best = member.fit_result.best
    return {
        "seed": member.seed,
        "best_epoch": best.epoch,
        "epochs": len(member.fit_result.history),
        "loss": best.val_loss,
        "accuracy": best.val_accuracy,
        "metrics": metrics,
    }


def _each(metrics: Sequence[Metrics], combine: Callable[[list[float]], float]) -> Metrics:
    """Each metric's values as one number; None where a member has none."""
    found: Metrics = {}
    for name in metrics[0]:
        values = [value for each in metrics if (value := each[name]) is not None]
        found[name] = combine(values) if len(values) == len(metrics) else None
    return found


def _over_mean(found: Predictions, others: Sequence[Predictions], mean: Metrics) -> DifferenceDocument:
    """How much better each metric is than the members' mean, with its interval over the rows."""
    resampled = {name: np.mean([other.resampled[name] for other in others], axis=0) for name in found.resampled}
    return {
        "difference": metric_differences(found.metrics, mean),
        "intervals": difference_intervals(found.resampled, resampled),
    }
