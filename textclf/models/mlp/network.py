"""Bag of words, hidden layers, dense: the options, and the network in Keras and in ONNX.

The first layer's weighted sum over a row of 100,000 features, nearly all of them 0, is computed as what it is: the sum
of a few rows of a table, each by its weight. So the network takes token ids like every other, and no dense row of
features is ever made. A row of the table stands for a word, or for all pairs of neighbours that share a bucket.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from textclf.models.architecture import Constants, Floats, Metadata, Shape, Start
from textclf.models.mlp.features import bucket, inverse_document_frequencies
from textclf.models.onnx.graph import Graph
from textclf.options import option, options

if TYPE_CHECKING:
    import keras


WIDEST = 4096


@options
class MlpOptions:
    """Bag of words or mean of word vectors, hidden layers, dense."""

    type: Literal["mlp"] = option(help="words without their order, and layers of units: the textbook's network")
    features: Literal["count", "binary", "tfidf", "embedding"] = option(
        default="tfidf",
        help="what a word counts for: how often it comes; 1; its TF-IDF; or the mean of word vectors, then layers",
    )
    ngrams: int = option(default=1, help="2: pairs of neighbouring words too", ge=1, le=2)
    buckets: int = option(default=1 << 17, help="rows of the table that the pairs share, by a hash", ge=1, le=1 << 24)
    embedding_dim: int = option(default=100, help="features: embedding: numbers a word vector has", ge=1, le=WIDEST)
    pretrained: str | None = option(
        default=None, help="features: embedding: word vectors to begin with, as those of bilstm"
    )
    trainable_embedding: bool = option(
        default=True, help="features: embedding: whether training changes the word vectors"
    )
    input_dropout: float = option(
        default=0.3, help="share of a text's words, and of its pairs, dropped in training", ge=0, lt=1
    )
    hidden: list[int] = option(default=lambda: [64, 64], help="units of each hidden layer (ReLU)")
    dropout: float = option(default=0.5, help="share of each hidden layer's units dropped in training", ge=0, lt=1)

    def __post_init__(self) -> None:
        if not self.hidden or not all(1 <= units <= WIDEST for units in self.hidden):
            raise ValueError(f"hidden should be a list of 1 to {WIDEST} units a layer, found {self.hidden}")
        if self.pretrained is not None and self.features != "embedding":
            raise ValueError(f"pretrained needs features: embedding, found {self.features}")


MLP_SPACE = {
    "ngrams": [1, 2],
    "hidden": [[16], [64], [256], [64, 64]],
    "input_dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
    "dropout": {"low": 0.0, "high": 0.7, "step": 0.1},
}


def build_mlp(
    options: MlpOptions,
    shape: Shape,
    *,
    start: Start | None = None,
    fast: bool = False,  # noqa: ARG001 - the stock layers are quick enough
) -> keras.Model:
    """Token ids, shape (batch, width), to probabilities, shape (batch, outputs).

    The last layer is the activation alone, so that training can take its input, the logits.

    Args:
        start: word vectors to begin with; rows to take the document frequencies from.
    """
    import keras

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = _text_vector(options, shape, token_ids, start or Start())
    for layer, units in enumerate(options.hidden, start=1):
        if layer == 1 and options.features != "embedding":
            hidden = keras.layers.Activation("relu", name="hidden_1")(hidden + _bias(token_ids, units))
        else:
            hidden = keras.layers.Dense(units, activation="relu", name=f"hidden_{layer}")(hidden)
        if options.dropout:
            hidden = keras.layers.Dropout(options.dropout, name=f"dropout_{layer}")(hidden)
    logits = keras.layers.Dense(shape.outputs, name="logits")(hidden)
    probabilities = keras.layers.Activation(shape.activation, name="probabilities")(logits)
    return keras.Model(token_ids, probabilities, name="mlp")


def _text_vector(options: MlpOptions, shape: Shape, token_ids: Any, start: Start) -> Any:
    """The weighted sum of the rows of the table that a text has, shape (batch, dimensions)."""
    import keras
    from keras import ops

    rows = shape.vocabulary + options.buckets * (options.ngrams - 1)
    grams = _grams(token_ids, shape.vocabulary, options)
    if options.features == "tfidf":
        grams, weights = _tfidf(grams, _idf(options, shape, start, rows))
    else:
        grams, weights = FEATURES[options.features](grams)
    if options.input_dropout:
        weights = keras.layers.Dropout(options.input_dropout, name="input_dropout")(weights)
    means = options.features == "embedding"
    embedding = keras.layers.Embedding(
        rows,
        options.embedding_dim if means else options.hidden[0],
        embeddings_initializer="uniform" if means else "glorot_uniform",
        trainable=options.trainable_embedding or not means,
        name="embedding",
    )
    vectors = embedding(grams)
    if start.embeddings is not None:
        embedding.set_weights([np.concatenate([start.embeddings, embedding.get_weights()[0][len(start.embeddings) :]])])
    return ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), vectors), 1)


def _idf(options: MlpOptions, shape: Shape, start: Start, rows: int) -> keras.layers.Layer:
    """What gives each row's inverse document frequency in the training rows; training leaves it as it is."""
    import keras

    layer = keras.layers.Embedding(rows, 1, trainable=False, name="idf")
    layer.build((None, None))
    found = inverse_document_frequencies(
        start.rows, vocabulary=shape.vocabulary, buckets=options.buckets, pairs=options.ngrams > 1
    )
    layer.set_weights([found[:, None]])
    return layer


def _bias(token_ids: Any, units: int) -> Any:
    """The bias of the first hidden layer, which is no Dense one, shape (batch, units)."""
    import keras
    from keras import ops

    one_row = keras.layers.Embedding(1, units, embeddings_initializer="zeros", name="hidden_1.bias")
    return one_row(ops.zeros_like(token_ids[:, 0]))


def _grams(token_ids: Any, vocabulary: int, options: MlpOptions) -> Any:
    """The rows of the table that a text has, a row for each time, shape (batch, grams); 0 where there is none."""
    from keras import ops

    if options.ngrams == 1:
        return token_ids
    left, right = (ops.cast(part, "int64") for part in (token_ids[:, :-1], token_ids[:, 1:]))
    pairs = ops.where(ops.equal(right, 0), 0, vocabulary + bucket(left, right, options.buckets))
    return ops.concatenate([token_ids, ops.cast(pairs, "int32")], axis=1)


def _inside(grams: Any) -> Any:
    """1 where there is a gram, 0 where there is none."""
    from keras import ops

    return ops.cast(ops.not_equal(grams, 0), "float32")


def _count(grams: Any) -> tuple[Any, Any]:
    return grams, _inside(grams)


def _mean(grams: Any) -> tuple[Any, Any]:
    from keras import ops

    inside = _inside(grams)
    return grams, inside / ops.sum(inside, axis=1, keepdims=True)


def _binary(grams: Any) -> tuple[Any, Any]:
    from keras import ops

    ordered, begins = _in_runs(grams)
    return ordered, _inside(ordered) * ops.cast(begins, "float32")


FEATURES: dict[str, Callable[[Any], tuple[Any, Any]]] = {"count": _count, "binary": _binary, "embedding": _mean}
"""From the rows of the table that a text has: the same in some order, and the weight of each, shape (batch, grams)."""


def _tfidf(grams: Any, idf: Any) -> tuple[Any, Any]:
    """The same with TF-IDF: (1 + ln count) * idf, and the weights of a text of length 1 together.

    As scikit-learn's TfidfTransformer has it with sublinear_tf.
    """
    from keras import ops

    ordered, begins = _in_runs(grams)
    ends = ops.sum(begins, axis=1, keepdims=True)
    # Numbered through the batch. In this order: Keras's add takes a second summand of shape (n, 1) for a bias, and adds
    # it to columns instead of rows, where the first has shape (n, n).
    run = (ops.cumsum(ends, axis=0) - ends) + (ops.cumsum(begins, axis=1) - 1)
    flat = ops.reshape(run, (-1,))
    counts = ops.segment_sum(ops.ones_like(flat, dtype="float32"), flat, sorted=True)
    frequency = 1 + ops.log(ops.take(counts, run))
    values = _inside(ordered) * ops.cast(begins, "float32") * frequency * ops.squeeze(idf(ordered), 2)
    return ordered, values / ops.sqrt(ops.sum(values**2, axis=1, keepdims=True))


def _in_runs(grams: Any) -> tuple[Any, Any]:
    """The grams in order, so that equal ones stand together, and 1 where a run of them begins, else 0."""
    from keras import ops

    ordered = ops.sort(grams, axis=1)
    begins = ops.not_equal(ordered[:, 1:], ordered[:, :-1])
    first = ops.ones_like(ordered[:, :1])
    return ordered, ops.concatenate([first, ops.cast(begins, "int32")], axis=1)


def mlp_weights(network: keras.Model) -> dict[str, Floats]:
    """The weights by their names in the ONNX graph."""
    weights: dict[str, Floats] = {}
    for layer in network.layers:
        if len(layer.weights) == 1:
            [weights[layer.name]] = layer.get_weights()
        elif layer.weights:
            weights[f"{layer.name}.kernel"], weights[f"{layer.name}.bias"] = layer.get_weights()
    return weights


def mlp_constants(options: MlpOptions, network: keras.Model) -> tuple[Constants, Metadata]:
    from textclf.models.mlp.onnx import graph_constants

    buckets = options.buckets if options.ngrams > 1 else 0
    return graph_constants(mlp_weights(network)), {"features": options.features, "buckets": str(buckets)}


def mlp_checked(shape: Shape, constants: Constants, metadata: Metadata) -> tuple[Constants, Metadata]:
    from textclf.models.mlp.onnx import FEATURES as KNOWN
    from textclf.models.mlp.onnx import constant_shapes
    from textclf.models.onnx.graph import ForeignGraph, check_constants, choice

    features = choice(metadata, "features", KNOWN)
    found = metadata.get("buckets", "")
    if not re.fullmatch("0|[1-9][0-9]{0,7}", found):
        raise ForeignGraph(f"its buckets are {found!r:.60}, no whole number below 100 million")
    rows = shape.vocabulary + int(found)
    shapes = constant_shapes(constants, rows=rows, outputs=shape.outputs, features=features)
    return check_constants(constants, shapes), {"features": features, "buckets": found}


def mlp_logits(graph: Graph, constants: Constants, metadata: Metadata) -> str:
    from textclf.models.mlp.onnx import write_mlp

    return write_mlp(graph, constants, features=metadata["features"], buckets=int(metadata["buckets"]))
