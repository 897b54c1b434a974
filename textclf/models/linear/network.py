"""The linear part of a blend, in Keras: TF-IDF of words and n-grams, times one weight vector a label.

The row of a word in the table of weights is its token id; that of an n-gram is its slot in a perfect hash table, behind
the words. Row 0 is padding, row 1 stands for unknown words; they and all other rows that are no feature hold zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from textclf.models import bag_of_words
from textclf.models.architecture import RESERVED, Shape
from textclf.models.hashing import hash_ids
from textclf.models.linear.gram_table import GROUP_FACTORS, SLOT_FACTORS, build_gram_table, slot

if TYPE_CHECKING:
    import keras


Array = npt.NDArray[Any]

FINGERPRINTS = "fingerprints."  # begins the name of their layer, which ends in the words of the longest n-gram

TINY = 1e-12  # least length of a text's weights: one without any feature has length 0


def linear_constants(
    *,
    word_weights: Array,
    word_idf: Array,
    grams: Array,
    gram_weights: Array,
    gram_idf: Array,
    bias: Array,
) -> dict[str, Array]:
    """Return the weights of the network, by the names of `linear_weights`.

    Args:
        word_weights: shape (vocabulary, outputs); zeros for words that are no feature.
        word_idf: inverse document frequency, shape (vocabulary,); zeros for words that are no feature.
        grams: token ids of each n-gram, zeros behind shorter ones, shape (n, 2) or (n, 3); n may be 0.
        gram_weights: shape (n, outputs).
        gram_idf: shape (n,).
        bias: shape (outputs,).

    Raises:
        ValueError: two n-grams are equal, or have equal hashes; see `build_gram_table`.
    """
    gram_table = build_gram_table(grams)
    vocabulary, slots = len(word_idf), len(gram_table.fingerprints)
    table = np.zeros((vocabulary + slots, len(bias)), np.float32)
    idf = np.zeros((vocabulary + slots, 1), np.float32)
    rows = vocabulary + gram_table.find(grams)  # (n,)
    # padding and unknown words are no features
    table[RESERVED:vocabulary], table[rows] = word_weights[RESERVED:], gram_weights
    idf[RESERVED:vocabulary, 0], idf[rows, 0] = word_idf[RESERVED:], gram_idf
    constants: dict[str, Array] = {"table": table, "idf": idf, "bias": bias[None].astype(np.float32)}
    if slots:
        constants |= {"displacements": gram_table.displacements[:, None]}
        constants |= {"fingerprints": gram_table.fingerprints[:, None]}
    return constants


def build_linear(shape: Shape, weights: dict[str, Array], *, ngrams: int) -> keras.Model:
    """Build the network from token ids, shape (batch, width), to logits, shape (batch, outputs).

    Args:
        weights: as `linear_constants` returns them.
        ngrams: words of the longest n-gram, 1 to 3; it makes no difference if the table has none.
    """
    import keras

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # (batch, width)
    layers = {
        name: _embedding(f"{FINGERPRINTS}{ngrams}" if name == "fingerprints" else name, array)
        for name, array in weights.items()
    }
    rows = token_ids
    if "fingerprints" in layers:
        grams = _gram_rows(token_ids, layers["displacements"], layers["fingerprints"], shape.vocabulary, ngrams)
        rows = keras.ops.concatenate([token_ids, grams], axis=1)  # (batch, grams)
    rows, values = bag_of_words.tfidf(rows, layers["idf"])  # (batch, grams) each
    total = bag_of_words.weighted_sum(values, layers["table"](rows))  # (batch, outputs)
    scores = total / keras.ops.maximum(bag_of_words.length(values), TINY)
    scores = scores + layers["bias"](keras.ops.zeros_like(token_ids[:, 0]))
    logits = _log_sigmoid(scores) if shape.activation == "softmax" else scores
    logits = keras.layers.Activation("linear", name="logits")(logits)
    return keras.Model(token_ids, logits, name="linear")


def _embedding(name: str, array: Array) -> keras.layers.Layer:
    """Return a frozen embedding layer that holds the array, of its type."""
    import keras

    layer = keras.layers.Embedding(
        *array.shape, embeddings_initializer="zeros", trainable=False, dtype=str(array.dtype), name=name
    )
    layer.build((None, None))
    layer.set_weights([array])
    return layer


def _gram_rows(token_ids: Any, displacements: Any, fingerprints: Any, vocabulary: int, ngrams: int) -> Any:
    """Return the table row of each n-gram of two words, then of each of three; 0 for those that are not in the table.

    Returns:
        Shape (batch, width - 1), for `ngrams` 3 (batch, 2 * width - 3).
    """
    from keras import ops

    ids = ops.cast(token_ids, "int64")  # (batch, width)
    windows = [[ids[:, start : start - words + 1 or None] for start in range(words)] for words in range(2, ngrams + 1)]
    group_hash, slot_hash = (
        ops.concatenate([hash_ids(window, factors) for window in windows], axis=1)  # (batch, grams)
        for factors in (GROUP_FACTORS, SLOT_FACTORS)
    )
    complete = ops.concatenate([ops.not_equal(window[-1], 0) for window in windows], axis=1)  # not cut short by padding
    displacement = ops.cast(ops.squeeze(displacements(group_hash % displacements.input_dim), 2), "int64")
    slots = slot(slot_hash, displacement, fingerprints.input_dim)  # (batch, grams)
    fingerprint = ops.cast(ops.squeeze(fingerprints(slots), 2), "int64")
    known = ops.logical_and(ops.equal(fingerprint, group_hash), complete)
    return ops.cast(ops.where(known, vocabulary + slots, 0), "int32")


def _log_sigmoid(scores: Any) -> Any:
    """Return ln(1 / (1 + exp(-scores))); its softmax is what scikit-learn's OneVsRestClassifier makes of the scores."""
    from keras import ops

    return ops.minimum(scores, 0) - ops.log(1 + ops.exp(-ops.absolute(scores)))


def linear_weights(network: keras.Model) -> dict[str, Array]:
    """Return the weights by name, in Keras's order, two-dimensional each."""
    return {layer.name.partition(".")[0]: layer.get_weights()[0] for layer in network.layers if layer.weights}


def longest_ngram(network: keras.Model) -> int:
    """Return the words of the longest n-gram of a network, 1 to 3."""
    names = [layer.name for layer in network.layers if layer.name.startswith(FINGERPRINTS)]
    return int(names[0].removeprefix(FINGERPRINTS)) if names else 1
