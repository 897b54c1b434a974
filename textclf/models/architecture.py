"""The contract between an architecture and the rest of textclf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

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

Activation = Literal["sigmoid", "softmax"]


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


class InitialData(NamedTuple):
    """Word vectors and training rows for the initial weights; each is optional."""

    embeddings: Floats | None = None
    """Word vectors, shape (vocabulary, embedding_dim)."""
    rows: Iterable[Ids] = ()
    """Padded token ids of the training rows in blocks, shape (rows, width) each."""


class Architecture(NamedTuple):
    """A kind of network: its options, its Keras network and its ONNX graph."""

    options: type[Any]
    """Options class, with a field `type` that holds the name in MODELS."""
    space: Mapping[str, Any]
    """Default search space of `textclf tune`: candidate values by the name of the option."""
    build: Callable[..., keras.Model]
    """(options, shape, *, initial: InitialData | None, fast: bool) -> network from token ids to probabilities. `fast`
    allows CPU-optimised layers with the same outputs and weight order that are not Keras layers."""
    weights: Callable[[keras.Model], dict[str, Floats]]
    """(network) -> weights by name, in Keras's order."""
    weight_shapes: Callable[[Any, Shape], dict[str, tuple[int, ...]]]
    """(options, shape) -> shape of each weight, by the names of `weights`."""
    smaller: Callable[[Any, Sizes], Any]
    """(options, sizes) -> options of a smaller network."""
    shrink: Callable[[Any, Mapping[str, Floats], Sizes], dict[str, Floats]]
    """(options, weights, sizes) -> initial weights of the smaller network."""
    graph_constants: Callable[[Any, keras.Model], tuple[Constants, Metadata]]
    """(options, network) -> constants and metadata of its ONNX graph."""
    check_constants: Callable[[Shape, Constants, Metadata], tuple[Constants, Metadata]]
    """(shape, constants, metadata), as read from a file -> those that the graph needs. Raises ForeignGraph if they do
    not fit."""
    write_logits: Callable[[Graph, Constants, Metadata], str]
    """(graph, constants, metadata) -> name of the logits, shape (batch, outputs), computed from `token_ids`, shape
    (batch, width), and `lengths`, shape (batch,). Reads only the constants' shapes."""
