"""The trained bag-of-words network in NumPy, forwards and backwards, from what each word of a text brings to it.

A word brings its row of the table by its weight; of a pair's, each of its two words brings half. The vectors of a
text's words add up to the text's. Weights that depend on the other words, as those of TF-IDF, are taken as they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.mlp.features import pair_rows

Array = npt.NDArray[Any]

Weights = Mapping[str, Array]


def word_vectors(weights: Weights, token_ids: Array, *, features: str, buckets: int) -> Array:
    """What each word of a text brings, shape (width, dimensions), given the text's token ids, shape (width,)."""
    table = weights["embedding"]
    grams = token_ids
    if buckets:
        grams = np.concatenate([grams, pair_rows(grams, vocabulary=len(table) - buckets, buckets=buckets)])
    vectors = table[grams] * _gram_weights(weights, grams, features)[:, None]
    words, pairs = np.split(vectors, [len(token_ids)])
    if buckets:
        words[:-1] += pairs / 2
        words[1:] += pairs / 2
    return words


def _gram_weights(weights: Weights, grams: Array, features: str) -> Array:
    """The weight of each gram, shape (grams,); where one comes again its weight is shared."""
    of_distinct: Array
    distinct, place, counts = np.unique(grams, return_inverse=True, return_counts=True)
    if features == "count":
        of_distinct = counts
    elif features == "binary":
        of_distinct = np.ones(len(distinct))
    elif features == "embedding":
        of_distinct = counts / len(grams)
    else:
        of_distinct = (1 + np.log(counts)) * weights["idf"][distinct, 0]
        of_distinct = of_distinct / np.linalg.norm(of_distinct)
    return (of_distinct / counts).astype(np.float32)[place]


def mlp_forward(weights: Weights, vectors: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The logits, shape (batch, outputs), and what gives from a gradient by them that by the vectors.

    Args:
        vectors: what the words of the texts bring, shape (batch, width, dimensions).
    """
    value = vectors.sum(axis=1)
    layers = sum(name.startswith("hidden_") and name.endswith(".bias") for name in weights)
    passed = []
    for layer in range(1, layers + 1):
        kernel = weights.get(f"hidden_{layer}.kernel")
        product = (value if kernel is None else value @ kernel) + weights[f"hidden_{layer}.bias"]
        passed.append((product > 0, kernel))
        value = np.maximum(product, 0)
    logits = value @ weights["logits.kernel"] + weights["logits.bias"]

    def back(d_logits: Array) -> Array:
        gradient = d_logits @ weights["logits.kernel"].T
        for above, kernel in reversed(passed):
            gradient = gradient * above
            gradient = gradient if kernel is None else gradient @ kernel.T
        return np.broadcast_to(gradient[:, None, :], vectors.shape)

    return logits, back
