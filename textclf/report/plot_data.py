"""What the plots of a report draw: points of curves, bins and scores by threshold, as arrays."""

from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]


class Curve(NamedTuple):
    """A line with the area under it."""

    name: str
    x: Array
    """Shape (points,), never falling, 0 to 1."""
    y: Array
    """Shape (points,), 0 to 1."""
    area: float
    """Of the exact curve, before points are left out."""


class Bins(NamedTuple):
    """Calibration by confidence; all of shape (bins,), the bins equally wide from 0 to 1."""

    confidence: Array
    """Mean confidence of the rows of each bin; NaN where there are none."""
    accuracy: Array
    """Share of them that is right; NaN where there are none."""
    rows: Array


class Thresholds(NamedTuple):
    """What each threshold would give; all of shape (thresholds,)."""

    threshold: Array
    precision: Array
    """NaN where nothing reaches the threshold."""
    recall: Array
    """NaN where nothing is a 1."""
    f1: Array
    accuracy: Array


class Coverage(NamedTuple):
    """Accuracy of the most confident rows; all of shape (points,), from few rows to all."""

    share: Array
    """Share of the rows that is kept, rising to 1."""
    accuracy: Array
    """Share of them that is right."""
    confidence: Array
    """The least confidence that is kept."""
