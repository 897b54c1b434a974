"""tuning.json, the file of a tuning, as types."""

from typing import Any, TypedDict

from textclf.io.contract import DataDocument, ScoresDocument

Settings = dict[str, Any]
"""Value of an option by its dotted key."""


class TrialScores(TypedDict):
    """The scores of a trial, None if it was pruned."""

    score: float | None
    """Best value of the monitored validation score, the mean over the folds."""
    deviation: float | None
    """Standard deviation over the folds."""
    loss: float | None
    accuracy: float | None
    epochs: int
    """Number of epochs trained, over all folds."""
    best_epochs: list[int]
    """Epoch with the best score, by fold."""


class TrialDocument(TrialScores):
    """A trial: its settings and scores."""

    number: int
    state: str
    """complete or pruned."""
    settings: Settings
    steps: list[float]
    """Scores by which it was compared with other trials."""


class OwnSettings(TypedDict):
    """The settings of the config as it stands, and the complete trial that tried them, if any."""

    settings: Settings
    trial: int | None


class BestSettings(TypedDict):
    """The best settings, and the trial that tried them."""

    settings: Settings
    trial: int


class BestRunDocument(ScoresDocument):
    """The scores of the run with the best settings."""

    data: DataDocument


class TuningDocument(TypedDict):
    """tuning.json: every number of a tuning's report."""

    format: int
    monitor: str
    folds: int
    space: dict[str, Any]
    """Candidates by dotted key, as in a config: a list, or low, high, step and log."""
    trials: list[TrialDocument]
    own: OwnSettings
    best: BestSettings
    importance: dict[str, float]
    """Share of the scores' variance by dotted key."""
    validation_rows: int
    measured: BestRunDocument
