"""A tuning: the files of its folder, and the document of what was tried and found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.checkpoint import rises
from textclf.run import RUNS, Run, run_for_config
from textclf.space import Space
from textclf.study import Trial

FORMAT = 1


@dataclass(frozen=True)
class Tuning:
    """A folder that `textclf tune` wrote."""

    path: Path

    @property
    def begun(self) -> Path:
        """The settings, the space and the data that the search began with."""
        return self.path / "begun.json"

    @property
    def study(self) -> Path:
        """Every trial: Optuna's SQLite file, in which it is the study `tune`."""
        return self.path / "study.db"

    @property
    def best_config(self) -> Path:
        return self.path / "best.yaml"

    @property
    def best(self) -> Run:
        """What training with the best settings gave."""
        return Run(self.path / "best")

    @property
    def document(self) -> Path:
        """Every number of the report; written last, but for the report."""
        return self.path / "tuning.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"


def tuning_for_config(config: Path) -> Tuning:
    """Where the tuning of a config goes by default: runs/imdb-tune for configs/imdb.yaml."""
    return Tuning(RUNS / f"{run_for_config(config).path.name}-tune")


def rank(found: Mapping[str, Any], *, monitor: str) -> tuple[float, float]:
    """What sorts trials, given what they found: the best score first, of equal ones the least loss."""
    return -found["score"] if rises(monitor) else found["score"], found["loss"]


def winner(trials: Sequence[Trial], *, monitor: str) -> Trial:
    """The best of the complete trials, of equal ones the first."""
    complete = [(trial, trial.found) for trial in trials if trial.state == "complete" and trial.found]
    return min(complete, key=lambda each: rank(each[1], monitor=monitor))[0]


def tuning_document(
    trials: Sequence[Trial], best: Trial, space: Space, own: dict[str, Any], *, monitor: str, folds: int,
    importance: dict[str, float], measured: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The document of tuning.json; no time in it, so that a repeated search gives the same.

    Args:
        own: the settings of the config as it stands.
        measured: what metrics.json says of the run with the best settings.
    """
    first = [trial.number for trial in trials if trial.settings == own and trial.state == "complete"][:1]
    return {
        "format": FORMAT,
        "monitor": monitor,
        "folds": folds,
        "space": {key: candidates.document() for key, candidates in space.items()},
        "trials": [_trial_document(trial) for trial in trials],
        "own": {"settings": own, "trial": first[0] if first else None},
        "best": {"settings": best.settings, "trial": best.number},
        "importance": importance,
        "validation_rows": measured["validation"]["rows"],
        "measured": {key: measured[key] for key in ("data", "metrics", "intervals")},
    }


def _trial_document(trial: Trial) -> dict[str, Any]:
    nothing = dict.fromkeys(("score", "deviation", "loss", "accuracy"))
    steps = {"steps": list(trial.steps.values())}
    return {"number": trial.number, "state": trial.state, "settings": trial.settings, **nothing, **(trial.found or {}),
            **steps}  # fmt: skip
