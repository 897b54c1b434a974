"""The contract between an architecture and the rest of textclf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.models.encoder.sizes import EncoderWeights
from textclf.models.onnx.graph import Graph
from textclf.models.shrinking import Sizes

if TYPE_CHECKING:
    import keras


Floats = npt.NDArray[np.float32]

Ids = npt.NDArray[np.int32]

Constants = Mapping[str, npt.NDArray[Any]]
"""The weights in an ONNX graph by name, as they are stored there."""

Metadata = Mapping[str, str]
"""Options that shape the graph and cannot be inferred from the weights, such as `pooling`."""

RESERVED = 2
"""Token ids before the first word of a vocabulary, or the first piece of an encoder: padding, and unknown or blank."""

Activation = Literal["sigmoid", "softmax"]

Blend = Literal["linear"]
"""A model whose logits are added to those of a network."""

BLEND_HELP = (
    "linear: TF-IDF with logistic regression joins the network, weighted by the validation rows; null: it does not"
)


class Shape(NamedTuple):
    """Sizes of a network that follow from the data."""

    vocabulary: int
    """Number of token ids, padding and unknown included."""
    outputs: int
    """Number of logits."""
    activation: Activation

    @classmethod
    def of(cls, *, vocabulary: int, labels: int, multilabel: bool) -> Shape:
        """Return the shape for a number of labels: one sigmoid output for two, unless a row may have several labels."""
        if multilabel:
            return cls(vocabulary, labels, "sigmoid")
        return cls(vocabulary, 1, "sigmoid") if labels == 2 else cls(vocabulary, labels, "softmax")


class InputLimits(NamedTuple):
    """The part of a text's token ids that a network of a blend reads."""

    vocabulary: int
    """Number of token ids that it knows; those from here on are unknown to it."""
    max_length: int
    """Most tokens that it reads."""
    truncate: Literal["start", "end"]
    """The end of a longer text that it does not read."""
    first_piece: int | None = None
    """The token id of the first piece of a pretrained encoder. An encoder reads pieces, which come behind the words of
    a text and are cut to `max_length` already; it knows them as RESERVED and up. None: the network reads words."""


class InitialData(NamedTuple):
    """Pretrained weights and training rows for the initial weights; each is optional."""

    embeddings: Floats | None = None
    """Word vectors, shape (vocabulary, embedding_dim)."""
    rows: Iterable[Ids] = ()
    """Padded token ids of the training rows in blocks, shape (rows, width) each."""
    encoder: EncoderWeights | None = None
    """Sizes and weights of a pretrained encoder."""


class FurtherPart(NamedTuple):
    """A kind of model that joins a network in a blend: the weights of its Keras model, and its ONNX graph.

    Its Keras model goes from token ids of whole texts to logits, shape (batch, outputs).
    """

    weights: Callable[[keras.Model], dict[str, npt.NDArray[Any]]]
    """(model) -> weights by name, in Keras's order."""
    graph_constants: Callable[[keras.Model], tuple[Constants, Metadata]]
    """(model) -> constants and metadata of its ONNX graph."""
    check_constants: Callable[[Shape, Constants, Metadata], tuple[Constants, Metadata]]
    """As that of an Architecture."""
    write_logits: Callable[..., str]
    """(graph, constants, metadata, *, activation) -> name of the logits, shape (batch, outputs)."""


class Shrinking(NamedTuple):
    """How a trained network becomes a smaller one of the same kind."""

    weight_shapes: Callable[[Any, Shape], dict[str, tuple[int, ...]]]
    """(options, shape) -> shape of each weight, by the names of the architecture's `weights`."""
    smaller: Callable[[Any, Sizes], Any]
    """(options, sizes) -> options of a smaller network."""
    shrink: Callable[[Any, Mapping[str, Floats], Sizes], dict[str, Floats]]
    """(options, weights, sizes) -> initial weights of the smaller network."""


class Architecture(NamedTuple):
    """A kind of network: its options, its Keras network and its ONNX graph."""

    options: type[Any]
    """Options class, with the fields `type`, which holds the name in MODELS, and `blend`."""
    space: Mapping[str, Any]
    """Default search space of `textclf tune`: candidate values by the name of the option."""
    build: Callable[..., keras.Model]
    """(options, shape, *, initial: InitialData | None, fast: bool) -> network from token ids to probabilities. `fast`
    allows layers for training that are not stock Keras layers, with the same outputs and weight order."""
    weights: Callable[[keras.Model], dict[str, Floats]]
    """(network) -> weights by name, in Keras's order."""
    shrinking: Shrinking | None
    """How a smaller network of the kind is made; None: it cannot be."""
    graph_constants: Callable[[Any, keras.Model], tuple[Constants, Metadata]]
    """(options, network) -> constants and metadata of its ONNX graph."""
    check_constants: Callable[[Shape, Constants, Metadata], tuple[Constants, Metadata]]
    """(shape, constants, metadata), as read from a file -> those that the graph needs. Raises ForeignGraph if they do
    not fit."""
    write_logits: Callable[[Graph, Constants, Metadata], str]
    """(graph, constants, metadata) -> name of the logits, shape (batch, outputs), computed from `token_ids`, shape
    (batch, width), and `lengths`, shape (batch,). Reads only the constants' shapes and types."""
    integer_products: bool = False
    """True if its graph multiplies integers where weights are int8, which is faster and not exactly what Keras does."""
