"""The networks: what each is made of, in Keras for training and in ONNX for everything after it.

An architecture is an options class, a `build` function and an `onnx` function, named in MODELS. Stock Keras layers and
ops only, so that a saved model loads where textclf is not installed. TensorFlow is imported inside `build`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from textclf.options import option, options

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Activation = Literal["sigmoid", "softmax"]
Pooling = Literal["last", "max", "mean", "max_mean"]


@options
class BilstmOptions:
    """Embedding, bidirectional LSTM, pooling, dense."""

    type: Literal["bilstm"] = option(default="bilstm", help="architecture of the network")
    embedding_dim: int = option(default=100, help="numbers a word vector has", ge=1, le=4096)
    pretrained: str | None = option(
        default=None,
        help="word vectors as text (GloVe, word2vec, fastText .vec), also .gz and .zip; their first words fill up "
        "what the training rows leave of the vocabulary",
    )
    trainable_embedding: bool = option(default=True, help="whether training changes the word vectors")
    units: int = option(default=64, help="units of the LSTM in each direction", ge=1, le=4096)
    layers: int = option(default=1, help="bidirectional LSTM layers, one on the other", ge=1, le=8)
    pooling: Pooling = option(default="last", help="how a text's states become one vector")
    embedding_dropout: float = option(
        default=0.2, help="share of the word vectors' dimensions dropped in training", ge=0, lt=1
    )
    dropout: float = option(default=0.5, help="share of the pooled states dropped in training", ge=0, lt=1)


class Shape(NamedTuple):
    """What the data ask of a network."""

    vocabulary: int
    """Rows of the embedding table, padding and unknown counted in."""
    outputs: int
    activation: Activation

    @classmethod
    def of(cls, *, vocabulary: int, labels: int, several: bool) -> Shape:
        """That for so many words, those reserved counted in, and labels, one or several a row."""
        if several:
            return cls(vocabulary, labels, "sigmoid")
        return cls(vocabulary, 1, "sigmoid") if labels == 2 else cls(vocabulary, labels, "softmax")


class Differentiable(NamedTuple):
    """A trained network in NumPy, as far as explaining its answers needs it."""

    embedding: Floats
    """Shape (vocabulary, dimensions)."""
    gradient: Callable[..., tuple[Floats, Floats]]
    """From vectors, shape (batch, width, dimensions), and `weigh`, which gives the gradient of what is explained by the
    logits: the logits, shape (batch, outputs), and the gradient of it by the vectors."""


class Architecture(NamedTuple):
    options: type[BilstmOptions]
    build: Callable[..., keras.Model]
    onnx: Callable[[Any, Shape, keras.Model], bytes]
    """The trained network as an ONNX model."""
    again: Callable[[Shape, Mapping[str, npt.NDArray[Any]], Mapping[str, str]], bytes]
    """The ONNX model that would be written with constants and metadata that were read from one; raises ForeignGraph
    where they do not fit. A file is run only if it is this, to the byte."""
    gradient: Callable[[Mapping[str, npt.NDArray[Any]], Mapping[str, str]], Differentiable]
    """From the constants and the metadata of its ONNX graph."""


def build_bilstm(
    options: BilstmOptions, shape: Shape, *, embeddings: Floats | None = None, exact_twin: bool = False
) -> keras.Model:
    """Token ids, shape (batch, width), to probabilities, shape (batch, outputs).

    The last layer is the activation alone, so that training can take its input, the logits.

    Args:
        embeddings: word vectors to begin with, shape (vocabulary, embedding_dim).
        exact_twin: LSTM layers by another kernel: the same numbers and the same order of weights, faster on a CPU,
            but no stock layers.
    """
    import keras

    bidirectional = _exact_twin if exact_twin else _stock
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    embedding = keras.layers.Embedding(
        shape.vocabulary, options.embedding_dim, mask_zero=True, trainable=options.trainable_embedding, name="embedding"
    )
    states = embedding(token_ids)
    if embeddings is not None:
        embedding.set_weights([embeddings])
    if options.embedding_dropout:
        states = keras.layers.SpatialDropout1D(options.embedding_dropout, name="embedding_dropout")(states)
    for layer in range(1, options.layers + 1):
        sequences = layer < options.layers or options.pooling != "last"
        states = bidirectional(options.units, return_sequences=sequences, name=f"bilstm_{layer}")(states)
    pooled = states if options.pooling == "last" else _pool(token_ids, states, options.pooling)
    if options.dropout:
        pooled = keras.layers.Dropout(options.dropout, name="dropout")(pooled)
    logits = keras.layers.Dense(shape.outputs, name="logits")(pooled)
    probabilities = keras.layers.Activation(shape.activation, name="probabilities")(logits)
    return keras.Model(token_ids, probabilities, name="bilstm")


def _exact_twin(units: int, *, return_sequences: bool, name: str) -> keras.layers.Layer:
    from textclf.recurrent import BidirectionalLSTM

    return BidirectionalLSTM(units, return_sequences=return_sequences, name=name)


def _stock(units: int, *, return_sequences: bool, name: str) -> keras.layers.Layer:
    import keras

    return keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=return_sequences), name=name)


def _pool(token_ids: Any, states: Any, pooling: str) -> Any:
    """The states, shape (batch, width, units), as one vector a text, padding left out."""
    from keras import ops

    inside = ops.expand_dims(ops.not_equal(token_ids, 0), -1)
    pools = []
    if "max" in pooling:
        pools.append(ops.max(ops.where(inside, states, -1e9), axis=1))
    if "mean" in pooling:
        weight = ops.cast(inside, "float32")
        pools.append(ops.sum(states * weight, axis=1) / ops.sum(weight, axis=1))
    return ops.concatenate(pools, axis=-1) if len(pools) > 1 else pools[0]


def logits_model(network: keras.Model) -> keras.Model:
    """The network less its activation: numerically the better end for a loss."""
    import keras

    return keras.Model(network.inputs, network.get_layer("logits").output)


def bilstm_weights(network: keras.Model) -> dict[str, Floats]:
    """The weights by their names in the ONNX graph."""
    arrays = iter(network.get_weights())
    weights = {"embedding": next(arrays)}
    layers = (len(network.get_weights()) - 3) // 6
    for layer in range(1, layers + 1):
        for direction in ("forward", "backward"):
            for part in ("kernel", "recurrent", "bias"):
                weights[f"bilstm_{layer}.{direction}.{part}"] = next(arrays)
    weights["dense.kernel"], weights["dense.bias"] = arrays
    return weights


def bilstm_onnx(options: BilstmOptions, shape: Shape, network: keras.Model) -> bytes:
    """The trained network as an ONNX model, exact to rounding.

    Its inputs are token_ids, shape (batch, width), and lengths, shape (batch,); its output probabilities, shape
    (batch, labels): a single sigmoid becomes the two columns of the labels that it tells apart.
    """
    from textclf.bilstm_onnx import bilstm_graph, graph_constants

    constants = graph_constants(bilstm_weights(network))
    return bilstm_graph(constants, pooling=options.pooling, activation=shape.activation)


def bilstm_again(shape: Shape, constants: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    from textclf.bilstm_onnx import bilstm_graph, constant_shapes
    from textclf.onnx_graph import ForeignGraph, check_constants

    pooling = metadata.get("pooling", "")
    if pooling not in get_args(Pooling):
        raise ForeignGraph(f"its pooling is {pooling!r:.60}, none of {', '.join(get_args(Pooling))}")
    check_constants(
        constants, constant_shapes(constants, vocabulary=shape.vocabulary, outputs=shape.outputs, pooling=pooling)
    )
    return bilstm_graph(constants, pooling=pooling, activation=shape.activation)


def bilstm_differentiable(constants: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> Differentiable:
    from textclf.bilstm_gradient import bilstm_gradient
    from textclf.bilstm_onnx import graph_weights

    weights = graph_weights(constants)
    return Differentiable(weights["embedding"], partial(bilstm_gradient, weights, pooling=metadata["pooling"]))


MODELS: dict[str, Architecture] = {
    "bilstm": Architecture(BilstmOptions, build_bilstm, bilstm_onnx, bilstm_again, bilstm_differentiable)
}
