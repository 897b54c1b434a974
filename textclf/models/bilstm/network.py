"""Embedding -> bidirectional LSTM -> pooling -> Dense: options, Keras network, and making it smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from textclf.models.architecture import BLEND_HELP, Blend, Floats, InitialData, Shape
from textclf.models.shrinking import Sizes, fewer_words, principal_axes, strongest
from textclf.options import option, options

if TYPE_CHECKING:
    import keras


Pooling = Literal["last", "max", "mean", "max_mean"]

DIRECTIONS = ("forward", "backward")

GATES = 4  # input, forget, cell, output, in Keras's order


@options
class BilstmOptions:
    """Embedding, bidirectional LSTM, pooling, dense."""

    type: Literal["bilstm"] = option(default="bilstm", help="architecture of the network")
    blend: Blend | None = option(default="linear", help=BLEND_HELP)
    embedding_dim: int = option(default=100, help="dimension of the word vectors", ge=1, le=4096)
    pretrained: str | None = option(
        default=None,
        help="word vectors as text (GloVe, word2vec, fastText .vec), also .gz and .zip; where the training rows have "
        "fewer words than `vocab_size`, the first words of the file fill the vocabulary",
    )
    trainable_embedding: bool = option(default=True, help="whether training changes the word vectors")
    units: int = option(default=64, help="units of the LSTM in each direction", ge=1, le=4096)
    layers: int = option(default=1, help="stacked bidirectional LSTM layers", ge=1, le=8)
    pooling: Pooling = option(default="last", help="how the LSTM states of a text become one vector")
    embedding_dropout: float = option(
        default=0.2, help="share of the word vectors' dimensions dropped in training", ge=0, lt=1
    )
    dropout: float = option(default=0.5, help="share of the pooled states dropped in training", ge=0, lt=1)


BILSTM_SPACE = {
    "units": [32, 64, 128],
    "pooling": list(get_args(Pooling)),
    "embedding_dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
    "dropout": {"low": 0.0, "high": 0.7, "step": 0.1},
}


def build_bilstm(
    options: BilstmOptions, shape: Shape, *, initial: InitialData | None = None, fast: bool = False
) -> keras.Model:
    """Build the network from token ids, shape (batch, width), to probabilities, shape (batch, outputs).

    The last layer is the activation alone, so that training can take its input, the logits.

    Args:
        initial: word vectors for the embedding.
        fast: CPU-optimised LSTM with the same outputs and weight order; not a Keras layer, see `stock_network` in
            training/fit.py.
    """
    import keras

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # (batch, width)
    embedding = keras.layers.Embedding(
        shape.vocabulary, options.embedding_dim, mask_zero=True, trainable=options.trainable_embedding, name="embedding"
    )
    states = embedding(token_ids)  # (batch, width, embedding_dim)
    if initial and initial.embeddings is not None:
        embedding.set_weights([initial.embeddings])
    if options.embedding_dropout:
        states = keras.layers.SpatialDropout1D(options.embedding_dropout, name="embedding_dropout")(states)
    bidirectional = _fast_lstm if fast else _stock_lstm
    for layer in range(1, options.layers + 1):
        sequences = layer < options.layers or options.pooling != "last"
        layer_lstm = bidirectional(options.units, return_sequences=sequences, name=f"bilstm_{layer}")
        states = layer_lstm(states)  # (batch, width, 2 * units), or without width if it returns the last states
    pooled = states if options.pooling == "last" else _pool(token_ids, states, options.pooling)
    if options.dropout:
        pooled = keras.layers.Dropout(options.dropout, name="dropout")(pooled)
    logits = keras.layers.Dense(shape.outputs, name="logits")(pooled)  # (batch, outputs)
    probabilities = keras.layers.Activation(shape.activation, name="probabilities")(logits)
    return keras.Model(token_ids, probabilities, name="bilstm")


def _fast_lstm(units: int, *, return_sequences: bool, name: str) -> keras.layers.Layer:
    from textclf.models.bilstm.fast_lstm import BidirectionalLSTM

    return BidirectionalLSTM(units, return_sequences=return_sequences, name=name)


def _stock_lstm(units: int, *, return_sequences: bool, name: str) -> keras.layers.Layer:
    import keras

    return keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=return_sequences), name=name)


def _pool(token_ids: Any, states: Any, pooling: str) -> Any:
    """Pool the states of each text over its tokens, without padding.

    Args:
        states: shape (batch, width, 2 * units).

    Returns:
        Shape (batch, 2 * units), or twice as wide for max_mean.
    """
    from keras import ops

    present = ops.expand_dims(ops.not_equal(token_ids, 0), -1)  # (batch, width, 1)
    pools = []
    if pooling in ("max", "max_mean"):
        pools.append(ops.max(ops.where(present, states, -1e9), axis=1))
    if pooling in ("mean", "max_mean"):
        weight = ops.cast(present, "float32")
        pools.append(ops.sum(states * weight, axis=1) / ops.sum(weight, axis=1))
    return ops.concatenate(pools, axis=-1) if len(pools) > 1 else pools[0]


def pooled_width(units: int, pooling: str) -> int:
    """Return the length of a pooled vector: `units` for each direction, twice if max and mean are joined."""
    return 2 * units * (2 if pooling == "max_mean" else 1)


def bilstm_weights(network: keras.Model) -> dict[str, Floats]:
    """Return the weights by name, in Keras's order: for each layer and direction kernel, recurrent kernel and bias."""
    arrays = iter(network.get_weights())
    weights = {"embedding": next(arrays)}
    layers = (len(network.get_weights()) - 3) // 6
    for layer in range(1, layers + 1):
        for direction in DIRECTIONS:
            for part in ("kernel", "recurrent", "bias"):
                weights[f"bilstm_{layer}.{direction}.{part}"] = next(arrays)
    weights["dense.kernel"], weights["dense.bias"] = arrays
    return weights


def bilstm_weight_shapes(options: Any, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network, by the names of `bilstm_weights`."""
    units, inputs = options.units, options.embedding_dim
    shapes: dict[str, tuple[int, ...]] = {"embedding": (shape.vocabulary, inputs)}
    for layer in range(1, options.layers + 1):
        for direction in DIRECTIONS:
            shapes[f"bilstm_{layer}.{direction}.kernel"] = (inputs, GATES * units)
            shapes[f"bilstm_{layer}.{direction}.recurrent"] = (units, GATES * units)
            shapes[f"bilstm_{layer}.{direction}.bias"] = (GATES * units,)
        inputs = 2 * units
    pooled = pooled_width(units, options.pooling)
    return shapes | {"dense.kernel": (pooled, shape.outputs), "dense.bias": (shape.outputs,)}


def smaller_bilstm(options: Any, sizes: Sizes) -> Any:
    """Return the options of the smaller network."""
    dimensions, units = sizes.of(options.embedding_dim), sizes.of(options.units)
    return replace(options, pretrained=None, embedding_dim=dimensions, units=units)


def shrink_bilstm(options: Any, weights: Mapping[str, Floats], sizes: Sizes) -> dict[str, Floats]:
    """Return initial weights for a smaller network, taken from the trained one.

    Word vectors are projected on their first principal axes. Units with the smallest outgoing
    weights, to the next layer and to their own, are dropped.

    Args:
        weights: as `bilstm_weights` returns them.
    """
    axes = principal_axes(weights["embedding"], sizes.counts, sizes.of(options.embedding_dim))
    small = {"embedding": fewer_words(weights["embedding"], sizes) @ axes}  # (words kept, dimensions kept)
    # rotates the input of the first layer, and selects the units kept from the input of those above it
    inputs, units = axes.T, sizes.of(options.units)
    for layer in range(1, options.layers + 1):
        kept = [_strongest_units(weights, layer, direction, options, units) for direction in DIRECTIONS]
        for direction, own in zip(DIRECTIONS, kept, strict=True):
            name = f"bilstm_{layer}.{direction}"
            columns = (own + options.units * np.arange(GATES)[:, None]).ravel()  # of the units in each gate
            kernel = weights[f"{name}.kernel"]  # (inputs, gates * units)
            small[f"{name}.kernel"] = (inputs @ kernel if layer == 1 else kernel[inputs])[:, columns]
            small[f"{name}.recurrent"] = weights[f"{name}.recurrent"][own][:, columns]
            small[f"{name}.bias"] = weights[f"{name}.bias"][columns]
        inputs = np.concatenate([kept[0], options.units + kept[1]])
    pools = len(weights["dense.kernel"]) // (2 * options.units)
    rows = (inputs + 2 * options.units * np.arange(pools)[:, None]).ravel()  # of the units in each pool
    small |= {"dense.kernel": weights["dense.kernel"][rows], "dense.bias": weights["dense.bias"]}
    return small


def _strongest_units(
    weights: Mapping[str, Floats], layer: int, direction: str, options: Any, count: int
) -> npt.NDArray[np.int64]:
    """Return the indices of the units that are kept in one direction of a layer."""
    if layer < options.layers:
        readers = [weights[f"bilstm_{layer + 1}.{reader}.kernel"] for reader in DIRECTIONS]
    else:
        readers = np.split(weights["dense.kernel"], len(weights["dense.kernel"]) // (2 * options.units))
    first = options.units * DIRECTIONS.index(direction)
    outgoing = [reader[first : first + options.units] for reader in readers]  # (units, any)
    return strongest(np.concatenate([weights[f"bilstm_{layer}.{direction}.recurrent"], *outgoing], axis=1), count)
