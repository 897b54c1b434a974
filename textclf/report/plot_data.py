"""The data of the plots as arrays: points of curves, bins of confidence and scores by threshold."""

from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]


class Curve(NamedTuple):
    """A line with the area under it."""

    name: str
    x: Array
    """Shape (points,), ascending, 0 to 1."""
    y: Array
    """Shape (points,), 0 to 1."""
    area: float


class Bins(NamedTuple):
    """Calibration in bins of confidence, equally wide from 0 to 1."""

    confidence: Array
    """Mean confidence of the rows of each bin, shape (bins,); NaN where there are none."""
    accuracy: Array
    """Share of these rows that are correct, shape (bins,); NaN where there are none."""
    rows: Array
    """Shape (bins,)."""
    error: float
    """Expected calibration error."""


class Thresholds(NamedTuple):
    """Scores by threshold; all of shape (thresholds,)."""

    threshold: Array
    precision: Array
    """NaN where no score reaches the threshold."""
    recall: Array
    """NaN if no row has a 1."""
    f1: Array
    """NaN if both are undefined."""
    accuracy: Array


class Coverage(NamedTuple):
    """Accuracy of the most confident rows, from few rows to all; both of shape (points,)."""

    share: Array
    """Share of the rows that is kept, rising to 1."""
    accuracy: Array
    """Share of these rows that are correct."""
