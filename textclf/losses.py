"""What training makes small: the cross-entropy of rows, and what each of them counts for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def row_weights(targets: Array, class_weight: str | None) -> npt.NDArray[np.float32]:
    """Weight of each target in the loss, of the targets' shape; balanced: rows / (classes * rows of the class)."""
    if class_weight is None:
        return np.broadcast_to(np.float32(1), targets.shape)
    if targets.ndim == 1:
        counts = np.bincount(targets)
        return (len(targets) / (len(counts) * counts))[targets].astype(np.float32)
    ones = targets.sum(axis=0)
    weight = np.where(targets == 1, ones, len(targets) - ones)
    return (len(targets) / (2 * np.maximum(weight, 1))).astype(np.float32)


def losses(logits: Any, targets: Any, *, softmax: bool) -> Any:
    """Cross-entropy of each row, shape (n,), or, of several labels a row, of each label, (n, labels).

    Args:
        logits: shape (n, outputs).
        targets: as `training.Examples` has them.
        softmax: whether the probabilities of a row add up to 1.
    """
    import tensorflow as tf

    if softmax and len(targets.shape) == 1:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    if softmax:
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    one_column = logits if len(targets.shape) == 2 else logits[:, 0]
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(targets, tf.float32), one_column)
