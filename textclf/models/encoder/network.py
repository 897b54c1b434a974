"""A pretrained encoder with a layer for the labels: options and Keras network.

A BERT (Devlin et al. 2019; post-norm) of stock Keras layers. Its token ids are the tokenizer's pieces, each RESERVED
higher: 0 is padding, behind the pieces of a text, and 1 stands for a row without any piece, read as piece 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from textclf.models.architecture import BLEND_HELP, RESERVED, Blend, Floats, InitialData, Shape
from textclf.models.encoder.sizes import EncoderSizes, encoder_weight_shapes
from textclf.options import option, options

if TYPE_CHECKING:
    import keras


MASKED = -1e9  # added to the scores of padding; its softmax is exactly 0, so that padding changes no other number


@options
class EncoderOptions:
    """Pretrained encoder, pooling, dense."""

    type: Literal["encoder"] = option(help="pretrained encoder, fine-tuned")
    blend: Blend | None = option(default="linear", help=BLEND_HELP)
    encoder: str = option(
        help="the folder of a pretrained encoder as Hugging Face writes it: config.json, model.safetensors, "
        "tokenizer.json"
    )
    trainable: str = option(
        default="all",
        help="what training changes: head (the last layer alone, on vectors that are computed once), last_2 (the last "
        "two layers of the encoder as well; any number), all",
        pattern=r"^(all|head|last_[1-9][0-9]?)$",
        examples=["head", "last_2", "all"],
    )
    encoder_learning_rate: float = option(
        default=5e-5,
        help="learning rate of the encoder's own weights; training.learning_rate is that of the last layer",
        gt=0,
        le=100,
    )
    hidden_dropout: float = option(
        default=0.0,
        help="dropout after attention and feed-forward of each layer that is trained; two epochs leave no time for it",
        ge=0,
        lt=1,
    )
    dropout: float = option(default=0.1, help="share of the pooled vector dropped in training", ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = option(
        default="float32",
        help="bfloat16: in training the encoder computes in 16 bits, faster and in less memory on GPUs that have them; "
        "its weights, and the model that is saved, have 32",
    )


ENCODER_SPACE = {
    "encoder_learning_rate": {"low": 1e-5, "high": 2e-4, "log": True},
    "trainable": ["last_2", "all"],
    "dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
}


def trained_layers(options: EncoderOptions, layers: int) -> int:
    """Return how many of an encoder's layers training changes, counted from the last one."""
    if options.trainable in ("head", "all"):
        return layers if options.trainable == "all" else 0
    return min(layers, int(options.trainable.removeprefix("last_")))


def build_encoder(
    options: EncoderOptions,
    shape: Shape,
    *,
    initial: InitialData | None = None,
    fast: bool = False,
) -> keras.Model:
    """Build the network from token ids, shape (batch, width), to probabilities, shape (batch, outputs).

    The last layer is the activation alone, so that training can take its input, the logits. The layer `pooled` has the
    vector of each text, shape (batch, hidden).

    Args:
        initial: the encoder.
        fast: compute in `precision`, as only training does.

    Raises:
        ValueError: there is no encoder in `initial`.
    """
    import keras

    if initial is None or initial.encoder is None:
        raise ValueError("an encoder's network takes its sizes from initial.encoder")
    sizes, weights = initial.encoder
    layers = trained_layers(options, sizes.layers)
    whole = options.trainable == "all"
    with _computing_in(options.precision if fast else "float32"):
        body = build_body(sizes, weights, trained=layers, embeddings=whole, dropout=options.hidden_dropout)
    return keras.Model(body.input, _head(options, shape, body.output), name="encoder")


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Build the layers in the block so that they compute in a precision; their weights are float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_head(options: EncoderOptions, shape: Shape, vectors: Floats) -> keras.Model:
    """Build the last layer alone, on pooled vectors that were computed before.

    Args:
        vectors: the pooled vectors of n texts, shape (n, hidden).

    Returns:
        A network from the row id of a text in `vectors` plus 1, shape (batch, 1), to probabilities, shape
        (batch, outputs). Its trained weights are those of the layer `logits`.
    """
    import keras

    table = np.concatenate([np.zeros_like(vectors[:1]), vectors])  # row 0 is padding
    row_ids = keras.Input((1,), dtype="int32", name="token_ids")  # (batch, 1)
    embedding = keras.layers.Embedding(*table.shape, trainable=False, embeddings_initializer="zeros", name="vectors")
    pooled = keras.layers.Flatten(name="pooled")(embedding(row_ids))  # (batch, 1, hidden) -> (batch, hidden)
    embedding.set_weights([table])
    return keras.Model(row_ids, _head(options, shape, pooled), name="head")


def _head(options: EncoderOptions, shape: Shape, pooled: Any) -> Any:
    """Return the probabilities, shape (batch, outputs), for pooled vectors, shape (batch, hidden)."""
    import keras

    if options.dropout:
        pooled = keras.layers.Dropout(options.dropout, name="dropout")(pooled)
    logits = keras.layers.Dense(shape.outputs, name="logits")(pooled)  # (batch, outputs)
    return keras.layers.Activation(shape.activation, name="probabilities")(logits)


def build_body(
    sizes: EncoderSizes,
    weights: Mapping[str, Floats] | None,
    *,
    trained: int = 0,
    embeddings: bool = False,
    dropout: float = 0.0,
) -> keras.Model:
    """Build the encoder from token ids, shape (batch, width), to the vectors of texts, shape (batch, hidden).

    Args:
        weights: as in EncoderWeights.
        trained: layers that training changes, counted from the last one. Dropout acts in no other, so that a frozen
            layer gives the same vectors each time.
        embeddings: True if training changes the embeddings and their norm too.
        dropout: of what is trained.
    """
    import keras
    from keras import ops

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # (batch, width)
    present = ops.not_equal(token_ids, 0)  # (batch, width)
    scores_mask = ops.expand_dims(ops.where(present, 0.0, MASKED), (1, 2))  # (batch, 1, 1, width)
    states = _embed(sizes, token_ids, trainable=embeddings)  # (batch, width, hidden)
    if embeddings and dropout:
        states = keras.layers.Dropout(dropout, name="embedding_dropout")(states)
    for layer in range(1, sizes.layers + 1):
        trainable = layer > sizes.layers - trained
        states = _layer(f"layer_{layer}", sizes, states, scores_mask, trainable=trainable, dropout=dropout)
    if sizes.pooling == "mean":
        pooled = keras.layers.GlobalAveragePooling1D(name="pooled")(states, mask=present)  # (batch, hidden)
    else:
        pooled = keras.layers.Identity(name="pooled")(states[:, 0])
    body = keras.Model(token_ids, pooled, name="encoder")
    if weights is not None:
        for name in encoder_weight_shapes(sizes):
            _variable(body, name).assign(weights[name])
    return body


def _embed(sizes: EncoderSizes, token_ids: Any, *, trainable: bool) -> Any:
    """Return the vectors of pieces at their positions, normalised, shape (batch, width, hidden)."""
    import keras
    from keras import ops

    def table(rows: int, name: str) -> keras.layers.Layer:
        scale = keras.initializers.RandomNormal(stddev=0.02)
        return keras.layers.Embedding(rows, sizes.hidden, embeddings_initializer=scale, trainable=trainable, name=name)

    pieces = ops.maximum(token_ids - RESERVED, 0)  # (batch, width); padding and blank rows read piece 0
    # not arange: the width is not known when the network is built
    positions = ops.cumsum(ops.ones_like(token_ids[:1, :]), axis=1) - 1  # (1, width)
    vectors = table(sizes.pieces, "pieces")(pieces) + table(sizes.positions, "positions")(positions)
    return keras.layers.LayerNormalization(epsilon=sizes.epsilon, trainable=trainable, name="norm")(vectors)


def _layer(
    name: str, sizes: EncoderSizes, states: Any, scores_mask: Any, *, trainable: bool, dropout: float
) -> Any:  # fmt: skip
    """Return the states after attention and a feed-forward network, each added to its input and normalised.

    Args:
        states: shape (batch, width, hidden), as are those that are returned.
        scores_mask: 0, or MASKED for padding, shape (batch, 1, 1, width).
    """

    def add_and_norm(states: Any, change: Any, part: str) -> Any:
        return _add_and_norm(
            f"{name}_{part}", states, change, epsilon=sizes.epsilon, trainable=trainable, dropout=dropout
        )

    states = add_and_norm(states, _attend(name, sizes, states, scores_mask, trainable=trainable), "attention_norm")
    wide = _dense(f"{name}_intermediate", sizes.intermediate, states, trainable=trainable, activation="gelu")
    return add_and_norm(states, _dense(f"{name}_output", sizes.hidden, wide, trainable=trainable), "output_norm")


def _attend(name: str, sizes: EncoderSizes, states: Any, scores_mask: Any, *, trainable: bool) -> Any:
    """Return the output of the attention, shape (batch, width, hidden) (Vaswani et al. 2017, section 3.2).

    MultiHeadAttention of Keras computes the same in the same time, but its kernels have three axes.
    """
    import keras
    from keras import ops

    dimensions = sizes.hidden // sizes.heads
    query, key, value = (
        keras.layers.Reshape((-1, sizes.heads, dimensions), name=f"{name}_{part}_heads")(
            _dense(f"{name}_{part}", sizes.hidden, states, trainable=trainable)
        )
        for part in ("query", "key", "value")
    )  # (batch, width, heads, dimensions) each
    scores = ops.einsum("bqhd,bkhd->bhqk", query, key) * dimensions**-0.5  # (batch, heads, width, width)
    attention_weights = ops.softmax(scores + scores_mask)  # in float32, as the mask is
    if attention_weights.dtype != value.dtype:
        attention_weights = ops.cast(attention_weights, value.dtype)
    mixed = ops.einsum("bhqk,bkhd->bqhd", attention_weights, value)  # (batch, width, heads, dimensions)
    joined = keras.layers.Reshape((-1, sizes.hidden), name=f"{name}_joined")(mixed)  # (batch, width, hidden)
    return _dense(f"{name}_attention", sizes.hidden, joined, trainable=trainable)


def _dense(name: str, units: int, states: Any, *, trainable: bool, activation: str | None = None) -> Any:
    """Return the output of a dense layer, shape (batch, width, units)."""
    import keras

    return keras.layers.Dense(units, activation=activation, trainable=trainable, name=name)(states)


def _add_and_norm(
    name: str, states: Any, change: Any, *, epsilon: float, trainable: bool, dropout: float
) -> Any:  # fmt: skip
    """Return the normalised sum of states and their change, shape (batch, width, hidden)."""
    import keras

    if trainable and dropout:
        change = keras.layers.Dropout(dropout, name=f"{name}_dropout")(change)
    return keras.layers.LayerNormalization(epsilon=epsilon, trainable=trainable, name=name)(states + change)


def encoder_sizes(network: keras.Model) -> EncoderSizes:
    """Return the sizes of the encoder in a network that `build_encoder` or `build_body` made."""
    import keras

    names = {layer.name for layer in network.layers}
    mean = isinstance(network.get_layer("pooled"), keras.layers.GlobalAveragePooling1D)
    return EncoderSizes(
        pieces=network.get_layer("pieces").input_dim,
        positions=network.get_layer("positions").input_dim,
        hidden=network.get_layer("pieces").output_dim,
        layers=sum(re.fullmatch("layer_[0-9]+_query", name) is not None for name in names),
        heads=network.get_layer("layer_1_query_heads").target_shape[1],
        intermediate=network.get_layer("layer_1_intermediate").units,
        epsilon=network.get_layer("norm").epsilon,
        pooling="mean" if mean else "first",
    )


def encoder_weights(network: keras.Model) -> dict[str, Floats]:
    """Return the weights by name, in Keras's order.

    The names are those of `encoder_weight_shapes`, then `logits.kernel` and `logits.bias`.
    """
    names = [*encoder_weight_shapes(encoder_sizes(network)), "logits.kernel", "logits.bias"]
    return {name: _variable(network, name).numpy() for name in names}


def _variable(network: keras.Model, name: str) -> Any:
    """Return the variable of a weight, such as the kernel of layer `layer_1_query` for `layer_1.query.kernel`."""
    layer, _, part = name.rpartition(".")
    if not layer:  # a table, such as `pieces`
        return network.get_layer(part).embeddings
    return getattr(network.get_layer(layer.replace(".", "_")), part)
