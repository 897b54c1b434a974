"""What the files of a run say of its training, besides what was measured."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from textclf import __version__
from textclf.calibration import without_temperature
from textclf.checkpoint import Epoch
from textclf.config import Config
from textclf.decision import Decision
from textclf.material import Material
from textclf.outcome import Outcome
from textclf.run import Run, write_csv
from textclf.training import Fit


def decision_facts(config: Config, found: Outcome, decision: Decision, *, labels: int) -> dict[str, Any]:
    """How logits become labels, and what the temperature changes.

    Args:
        found: on the rows that the run is measured on.
        labels: how many the classifier knows.
    """
    several = found.separator is not None
    before = without_temperature(found.probabilities[:, :labels], decision.temperature, several=several)
    return {
        "temperature": decision.temperature,
        "expected_calibration_error_before": found.with_probabilities(before).metrics()["expected_calibration_error"],
        "aim": config.decision.aim,
        "reached": decision.reached,
    }


def validation_facts(config: Config, material: Material, fitted: Fit) -> dict[str, Any]:
    """The best epoch, and the rows that it was chosen on."""
    return {
        "rows": len(material.validation),
        "best_epoch": fitted.best.epoch,
        "epochs": len(fitted.history),
        "loss": fitted.best.val_loss,
        "accuracy": fitted.best.val_accuracy,
        "unknown_words": material.validation_extent.unknown_share(),
        "truncated_train": material.train_extent.truncation(),
        "train_labels": dict(sorted(material.sides.train.labels.counts(config.data.label_separator).items())),
    }


def write_history(run: Run, trained: Mapping[int, Fit]) -> None:
    """history.csv: a row an epoch, of the networks by their seeds."""
    rows = [[*asdict(epoch).values(), seed] for seed, fitted in trained.items() for epoch in fitted.history]
    write_csv(run.history, [*(field.name for field in fields(Epoch)), "seed"], rows)


def environment_facts(
    config: Config, device: str, *, packages: Mapping[str, str], data: Mapping[str, str], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """environment.json: what computed, on what, and how long.

    Args:
        data: sha256 of each file that was read.
    """
    return {
        "textclf": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "device": device,
        "seed": config.training.seed,
        "data": data,
        "seconds": seconds,
    }
