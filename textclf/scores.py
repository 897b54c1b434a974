"""What metrics, intervals and plots are computed from, row by row; NumPy alone, which starts at once."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SEVERAL = 2  # dimensions of a truth with several labels a row
CALIBRATION_BINS = 15


def row_losses(truth: Array, probabilities: Array) -> dict[str, Array]:
    """Log loss and Brier score of each row, shape (n,); with several labels a row the means over its labels.

    The Brier score of two labels is that of the second alone, of more the sum over them, as scikit-learn has it.
    """
    tiny = np.finfo(np.float64).eps  # scikit-learn's clip
    if truth.ndim == SEVERAL:
        given = np.clip(np.where(truth == 1, probabilities, 1 - probabilities), tiny, 1 - tiny)
        return {
            "log_loss": -np.log(given).mean(axis=1),
            "brier_score_loss": ((probabilities - truth) ** 2).mean(axis=1),
        }
    rows, labels = np.arange(len(truth)), probabilities.shape[1]
    of_truth = probabilities[rows, truth]
    squares = (probabilities**2).sum(axis=1) - of_truth**2 + (1 - of_truth) ** 2
    return {
        "log_loss": -np.log(np.clip(of_truth, tiny, 1 - tiny)),
        "brier_score_loss": squares / 2 if labels == 2 else squares,
    }


def calibration_error(right: Array, confidence: Array) -> float:
    """Expected calibration error over equally wide bins (Guo et al. 2017, equation 3), 0 to 1."""
    bin_of = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(right))


def safe_divide(above: Array, below: Array, *, otherwise: float = 0.0) -> Array:
    """The quotient of each pair, and `otherwise` where the divisor is 0."""
    result = np.full(np.broadcast(above, below).shape, otherwise)
    return np.divide(above, below, out=result, where=below != 0)
