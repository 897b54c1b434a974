"""A text as a weighted sum of rows of a table, in Keras: what networks of bags of words share.

The first layer of such a network is x @ table, where x has 100,000 features and nearly all are 0. It is computed as an
embedding lookup of the rows whose features a text has; `textclf.models.onnx.bag_of_words` is the same in ONNX.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def smooth_idf(texts: int, texts_with: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return ln((1 + texts) / (1 + texts that have it)) + 1 of each feature, shape (features,).

    The smooth variant of scikit-learn's TfidfTransformer: as if one more text had everything once.

    Args:
        texts_with: number of texts that have each feature, shape (features,).
    """
    idf: npt.NDArray[np.float64] = np.log((1 + texts) / (1 + texts_with)) + 1
    return idf


def present(rows: Any) -> Any:
    """Return 1.0 where there is a word or n-gram, and 0.0 where there is padding."""
    from keras import ops

    return ops.cast(ops.not_equal(rows, 0), "float32")


def sorted_runs(rows: Any) -> tuple[Any, Any]:
    """Sort rows, so that equal ones are neighbours; also return 1 where a run of equal ones starts, else 0."""
    from keras import ops

    ordered = ops.sort(rows, axis=1)
    changes = ops.not_equal(ordered[:, 1:], ordered[:, :-1])
    first = ops.ones_like(ordered[:, :1])
    return ordered, ops.concatenate([first, ops.cast(changes, "int32")], axis=1)


def tfidf(rows: Any, idf: Any) -> tuple[Any, Any]:
    """Weight each distinct row by (1 + ln count) * idf, as scikit-learn's TfidfTransformer does with sublinear_tf.

    Returns:
        The sorted rows and their weights, not yet scaled to length 1, shape (batch, grams) each.
    """
    from keras import ops

    ordered, first = sorted_runs(rows)  # (batch, grams)
    runs = ops.sum(first, axis=1, keepdims=True)  # (batch, 1)
    # The number of each run in the whole batch. The summand of shape (n, 1) comes first: as the second one, Keras takes
    # it for a bias where the other has shape (n, n), and adds it along the wrong axis.
    run = (ops.cumsum(runs, axis=0) - runs) + (ops.cumsum(first, axis=1) - 1)  # (batch, grams)
    flat = ops.reshape(run, (-1,))
    counts = ops.segment_sum(ops.ones_like(flat, dtype="float32"), flat, sorted=True)  # (runs in the batch,)
    frequency = 1 + ops.log(ops.take(counts, run))  # (batch, grams)
    return ordered, present(ordered) * ops.cast(first, "float32") * frequency * ops.squeeze(idf(ordered), 2)


def length(weights: Any) -> Any:
    """Return the Euclidean length of the weights of each text, shape (batch, 1)."""
    from keras import ops

    return ops.sqrt(ops.sum(weights**2, axis=1, keepdims=True))


def weighted_sum(weights: Any, vectors: Any) -> Any:
    """Return the sum of the vectors, each times its weight, shape (batch, dimensions)."""
    from keras import ops

    return ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), vectors), 1)


def bias(token_ids: Any, units: int, *, name: str) -> Any:
    """Return the bias of a layer that is no Dense layer, shape (batch, units)."""
    import keras
    from keras import ops

    one_row = keras.layers.Embedding(1, units, embeddings_initializer="zeros", name=name)
    return one_row(ops.zeros_like(token_ids[:, 0]))
