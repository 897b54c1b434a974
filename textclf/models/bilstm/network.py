"""Embedding, bidirectional LSTM, pooling, dense: the options, and the network in Keras and in ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from textclf.models.architecture import Constants, Floats, Metadata, Shape, Start
from textclf.models.onnx.graph import Graph
from textclf.options import option, options

if TYPE_CHECKING:
    import keras


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


BILSTM_SPACE = {
    "units": [32, 64, 128],
    "pooling": ["last", "max", "mean", "max_mean"],
    "embedding_dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
    "dropout": {"low": 0.0, "high": 0.7, "step": 0.1},
}


def build_bilstm(
    options: BilstmOptions, shape: Shape, *, start: Start | None = None, fast: bool = False
) -> keras.Model:
    """Token ids, shape (batch, width), to probabilities, shape (batch, outputs).

    The last layer is the activation alone, so that training can take its input, the logits.

    Args:
        start: word vectors to begin with.
        exact_twin: LSTM layers by another kernel: the same numbers and the same order of weights, faster on a CPU,
            but no stock layers.
    """
    import keras

    bidirectional = _exact_twin if fast else _stock
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    embedding = keras.layers.Embedding(
        shape.vocabulary, options.embedding_dim, mask_zero=True, trainable=options.trainable_embedding, name="embedding"
    )
    states = embedding(token_ids)
    if start and start.embeddings is not None:
        embedding.set_weights([start.embeddings])
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
    from textclf.models.bilstm.fast_lstm import BidirectionalLSTM

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


def bilstm_constants(options: BilstmOptions, network: keras.Model) -> tuple[Constants, Metadata]:
    from textclf.models.bilstm.onnx import graph_constants

    return graph_constants(bilstm_weights(network)), {"pooling": options.pooling}


def bilstm_checked(shape: Shape, constants: Constants, metadata: Metadata) -> tuple[Constants, Metadata]:
    from textclf.models.bilstm.onnx import constant_shapes
    from textclf.models.onnx.graph import check_constants, choice

    pooling = choice(metadata, "pooling", get_args(Pooling))
    shapes = constant_shapes(constants, vocabulary=shape.vocabulary, outputs=shape.outputs, pooling=pooling)
    return check_constants(constants, shapes), {"pooling": pooling}


def bilstm_logits(graph: Graph, constants: Constants, metadata: Metadata) -> str:
    from textclf.models.bilstm.onnx import write_bilstm

    return write_bilstm(graph, constants, pooling=metadata["pooling"])
