"""Bag of words -> hidden layers -> Dense: options, Keras network, and making it smaller.

The first layer is x @ kernel, where x has 100,000 features and nearly all are 0. The product is the sum of a few rows
of the kernel, each times the value of its feature, and is computed as an embedding lookup: the network takes token ids
like every other, and x is never built. A row of the table stands for a word, or for all word pairs in a hash bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from textclf.models import bag_of_words
from textclf.models.architecture import BLEND_HELP, Blend, Floats, InitialData, Shape
from textclf.models.mlp.features import bucket, inverse_document_frequencies
from textclf.models.shrinking import Sizes, fewer_words, principal_axes, strongest
from textclf.options import option, options

if TYPE_CHECKING:
    import keras


WIDEST = 4096


@options
class MlpOptions:
    """Bag of words or mean of word vectors, hidden layers, dense."""

    type: Literal["mlp"] = option(help="bag of words with a multilayer perceptron")
    blend: Blend | None = option(default="linear", help=BLEND_HELP)
    features: Literal["count", "binary", "tfidf", "embedding"] = option(
        default="tfidf",
        help="count: term counts; binary: 0 or 1; tfidf: TF-IDF; embedding: mean of word vectors",
    )
    ngrams: int = option(default=1, help="2: word pairs (bigrams) too", ge=1, le=2)
    buckets: int = option(default=1 << 17, help="hash buckets for word pairs", ge=1, le=1 << 24)
    embedding_dim: int = option(default=100, help="features: embedding: dimension of the word vectors", ge=1, le=WIDEST)
    pretrained: str | None = option(default=None, help="features: embedding: pretrained word vectors, as for bilstm")
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
            raise ValueError(f"hidden should be a list of 1 to {WIDEST} units per layer, found {self.hidden}")
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
    initial: InitialData | None = None,
    fast: bool = False,  # noqa: ARG001 - the stock layers are fast enough
) -> keras.Model:
    """Build the network from token ids, shape (batch, width), to probabilities, shape (batch, outputs).

    The last layer is the activation alone, so that training can take its input, the logits.

    Args:
        initial: word vectors for the embedding; training rows for the document frequencies.
    """
    import keras

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # (batch, width)
    hidden = _bag(options, shape, token_ids, initial or InitialData())  # (batch, dimensions)
    for layer, units in enumerate(options.hidden, start=1):
        if layer == 1 and options.features != "embedding":
            # the bag is already x @ kernel; bias and ReLU remain
            hidden = keras.layers.Activation("relu", name="hidden_1")(
                hidden + bag_of_words.bias(token_ids, units, name="hidden_1.bias")
            )
        else:
            hidden = keras.layers.Dense(units, activation="relu", name=f"hidden_{layer}")(hidden)
        if options.dropout:
            hidden = keras.layers.Dropout(options.dropout, name=f"dropout_{layer}")(hidden)
    logits = keras.layers.Dense(shape.outputs, name="logits")(hidden)  # (batch, outputs)
    probabilities = keras.layers.Activation(shape.activation, name="probabilities")(logits)
    return keras.Model(token_ids, probabilities, name="mlp")


def _bag(options: MlpOptions, shape: Shape, token_ids: Any, initial: InitialData) -> Any:
    """Return the weighted sum of the table rows of each text, shape (batch, dimensions)."""
    import keras

    table_rows = shape.vocabulary + options.buckets * (options.ngrams - 1)
    rows = _rows(token_ids, shape.vocabulary, options)  # (batch, grams)
    if options.features == "tfidf":
        rows, weights = _tfidf(rows, _idf(options, shape, initial, table_rows))
    else:
        rows, weights = FEATURES[options.features](rows)
    if options.input_dropout:
        weights = keras.layers.Dropout(options.input_dropout, name="input_dropout")(weights)
    mean = options.features == "embedding"
    embedding = keras.layers.Embedding(
        table_rows,
        options.embedding_dim if mean else options.hidden[0],
        embeddings_initializer="uniform" if mean else "glorot_uniform",
        trainable=options.trainable_embedding or not mean,
        name="embedding",
    )
    vectors = embedding(rows)  # (batch, grams, dimensions)
    if initial.embeddings is not None:
        pairs = embedding.get_weights()[0][len(initial.embeddings) :]  # (buckets, dimensions)
        embedding.set_weights([np.concatenate([initial.embeddings, pairs])])
    return bag_of_words.weighted_sum(weights, vectors)


def _idf(options: MlpOptions, shape: Shape, initial: InitialData, table_rows: int) -> keras.layers.Layer:
    """Return a frozen embedding layer that holds the inverse document frequency of each table row."""
    import keras

    layer = keras.layers.Embedding(table_rows, 1, trainable=False, name="idf")
    layer.build((None, None))
    idf = inverse_document_frequencies(
        initial.rows, vocabulary=shape.vocabulary, buckets=options.buckets, pairs=options.ngrams > 1
    )
    layer.set_weights([idf[:, None]])
    return layer


def _rows(token_ids: Any, vocabulary: int, options: MlpOptions) -> Any:
    """Return the row number of each word and pair of a text, shape (batch, grams).

    Padding is row 0.
    """
    from keras import ops

    if options.ngrams == 1:
        return token_ids
    left, right = (ops.cast(part, "int64") for part in (token_ids[:, :-1], token_ids[:, 1:]))
    pairs = ops.where(ops.equal(right, 0), 0, vocabulary + bucket(left, right, options.buckets))
    return ops.concatenate([token_ids, ops.cast(pairs, "int32")], axis=1)


def _count(rows: Any) -> tuple[Any, Any]:
    return rows, bag_of_words.present(rows)


def _mean(rows: Any) -> tuple[Any, Any]:
    from keras import ops

    present = bag_of_words.present(rows)
    return rows, present / ops.sum(present, axis=1, keepdims=True)


def _binary(rows: Any) -> tuple[Any, Any]:
    from keras import ops

    ordered, first = bag_of_words.sorted_runs(rows)
    return ordered, bag_of_words.present(ordered) * ops.cast(first, "float32")


FEATURES: dict[str, Callable[[Any], tuple[Any, Any]]] = {"count": _count, "binary": _binary, "embedding": _mean}
"""From the row numbers of a text's words and pairs to row numbers and their weights, each of shape (batch, grams)."""


def _tfidf(rows: Any, idf: Any) -> tuple[Any, Any]:
    """Return TF-IDF weights, those of a text scaled to length 1."""
    ordered, weights = bag_of_words.tfidf(rows, idf)
    return ordered, weights / bag_of_words.length(weights)


def mlp_weights(network: keras.Model) -> dict[str, Floats]:
    """Return the weights by name, in Keras's order."""
    weights: dict[str, Floats] = {}
    for layer in network.layers:
        if len(layer.weights) == 1:
            [weights[layer.name]] = layer.get_weights()
        elif layer.weights:
            weights[f"{layer.name}.kernel"], weights[f"{layer.name}.bias"] = layer.get_weights()
    return weights


def mlp_weight_shapes(options: Any, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network, by the names of `mlp_weights`."""
    rows = shape.vocabulary + options.buckets * (options.ngrams - 1)
    of_vectors = options.features == "embedding"
    inputs = options.embedding_dim if of_vectors else options.hidden[0]
    shapes: dict[str, tuple[int, ...]] = {"embedding": (rows, inputs)}
    if options.features == "tfidf":
        shapes["idf"] = (rows, 1)
    for layer, units in enumerate(options.hidden, start=1):
        if layer > 1 or of_vectors:
            shapes[f"hidden_{layer}.kernel"] = (inputs, units)
        shapes[f"hidden_{layer}.bias"] = (units,) if layer > 1 or of_vectors else (1, units)
        inputs = units
    return shapes | {"logits.kernel": (inputs, shape.outputs), "logits.bias": (shape.outputs,)}


def smaller_mlp(options: Any, sizes: Sizes) -> Any:
    """Return the options of the smaller network."""
    dimensions = sizes.of(options.embedding_dim) if options.features == "embedding" else options.embedding_dim
    hidden = [sizes.of(units) for units in options.hidden]
    return replace(options, pretrained=None, embedding_dim=dimensions, hidden=hidden)


def shrink_mlp(options: Any, weights: Mapping[str, Floats], sizes: Sizes) -> dict[str, Floats]:
    """Return initial weights for a smaller network, taken from the trained one.

    The columns of the table are either dimensions of word vectors, projected on their first principal axes, or units
    of the first hidden layer. Units with the smallest outgoing weights are dropped. The buckets of the pairs are kept.

    Args:
        weights: as `mlp_weights` returns them.
    """
    small = {name: fewer_words(weights[name], sizes) for name in ("embedding", "idf") if name in weights}
    axes = np.eye(options.embedding_dim, dtype=np.float32)
    if "hidden_1.kernel" in weights:
        axes = principal_axes(weights["embedding"], sizes.counts, sizes.of(options.embedding_dim))
        small["embedding"] = small["embedding"] @ axes
    # rotates the input of the first layer, and selects the units kept from the input of those above it
    inputs: Any = axes.T
    for layer in range(1, len(options.hidden) + 1):
        outgoing = weights.get(f"hidden_{layer + 1}.kernel", weights["logits.kernel"])
        units = strongest(outgoing, sizes.of(options.hidden[layer - 1]))
        if layer > 1 or "hidden_1.kernel" in weights:
            kernel = weights[f"hidden_{layer}.kernel"]
            small[f"hidden_{layer}.kernel"] = (inputs @ kernel if layer == 1 else kernel[inputs])[:, units]
        else:
            small["embedding"] = small["embedding"][:, units]
        small[f"hidden_{layer}.bias"] = weights[f"hidden_{layer}.bias"][..., units]
        inputs = units
    small |= {"logits.kernel": weights["logits.kernel"][inputs], "logits.bias": weights["logits.bias"]}
    return {name: small[name] for name in weights}
