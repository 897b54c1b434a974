"""Networks that differ in their seed: the choice of one or an ensemble, and how far apart they are."""

import statistics
from collections.abc import Callable, Mapping, Sequence
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
from textclf.training.fit import Decision, FittedPart, fit_decision
from textclf.training.loop import FitResult
from textclf.training.model_io import make_classifier, shape_of


@dataclass(frozen=True)
class Member:
    """A trained network whose logits are divided by the temperature of its decision."""

    seed: int
    network: Any
    fit_result: FitResult
    model: Any
    """The network, or its blend with further parts."""
    decision: Decision


@dataclass(frozen=True)
class Candidate:
    """A member as the classifier that it would be alone."""

    member: Member
    classifier: Classifier
    bytes: int
    """Size of its model.onnx."""


def best_member(members: Sequence[Member], monitor: str) -> Member:
    """Return the member with the best score on the validation rows, the first of equals."""
    best = members[0]
    for member in members[1:]:
        if better(member.fit_result.best, best.fit_result.best, monitor):
            best = member
    return best


def member_candidates(run: Run, config: Config, dataset: Dataset, members: Sequence[Member]) -> list[Candidate]:
    """Return each member as a classifier, before an ensemble changes its network; none where there is one member."""
    if len(members) == 1:
        return []
    return [
        Candidate(member, *make_classifier(run, config, dataset, member.model, member.decision.thresholds))
        for member in members
    ]


def choose_model(
    config: Config, dataset: Dataset, members: Sequence[Member], further: Mapping[str, FittedPart]
) -> tuple[Any, Decision]:
    """Return the model of the run and its decision: the best member, or all of them as an ensemble."""
    if not config.training.ensemble or len(members) == 1:
        best = best_member(members, config.training.monitor)
        return best.model, best.decision
    network = join([member.network for member in members], shape_of(config, dataset).activation)
    return fit_decision(config, dataset, network, further)


def compare_seeds(
    config: Config,
    candidates: Sequence[Candidate],
    classifier: Classifier,
    run: Run,
    predictions: Predictions,
    rows: SourceRows,
) -> tuple[SeedsDocument, dict[str, float]]:
    """Return the members' part of metrics.json, and how many rows per second the best member and an ensemble predict.

    Args:
        candidates: the members.
        classifier: that of the run.
        predictions: of the classifier for the rows.
    """
    ensemble = [classifier] if config.training.ensemble else []
    probabilities, speeds = measure_throughput(
        [*(candidate.classifier for candidate in candidates), *ensemble], rows.text_chunks()
    )
    members = [candidate.member for candidate in candidates]
    of_members = [
        predictions.with_probabilities(own, threshold=member.decision.thresholds.model)
        for own, member in zip(probabilities, members, strict=False)
    ]
    metrics = [own.metrics for own in of_members]
    best = members.index(best_member(members, config.training.monitor))
    document: SeedsDocument = {
        "best": members[best].seed,
        "members": [_member_document(member, own) for member, own in zip(members, metrics, strict=True)],
        "mean": _aggregate(metrics, statistics.fmean),
        "standard_deviation": _aggregate(metrics, statistics.stdev),
        "ensemble": None,
    }
    if not ensemble:
        return document, {}
    document["ensemble"] = {
        "over_best": compare_predictions(predictions, of_members[best]),
        "over_mean": _compare_with_mean(predictions, of_members, document["mean"]),
        "bytes": run.graph.stat().st_size,
        "bytes_of_best": candidates[best].bytes,
    }
    return document, {"best": speeds[best], "ensemble": speeds[-1]}


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


def _aggregate(metrics: Sequence[Metrics], function: Callable[[list[float]], float]) -> Metrics:
    """Return each metric's values as one number; None where a member has none."""
    aggregated: Metrics = {}
    for name in metrics[0]:
        values = [value for of_member in metrics if (value := of_member[name]) is not None]
        aggregated[name] = function(values) if len(values) == len(metrics) else None
    return aggregated


def _compare_with_mean(predictions: Predictions, members: Sequence[Predictions], mean: Metrics) -> DifferenceDocument:
    """Return how much better each metric is than the members' mean, with its interval over the rows."""
    resampled = {
        name: np.mean([member.resampled[name] for member in members], axis=0) for name in predictions.resampled
    }  # (resamples,) each
    return {
        "difference": metric_differences(predictions.metrics, mean),
        "intervals": difference_intervals(predictions.resampled, resampled),
    }
