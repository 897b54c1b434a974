"""What a network is to the rest of textclf: what it is built from, and what it must be able to do."""

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

Metadata = Mapping[str, str]

Activation = Literal["sigmoid", "softmax"]


class Shape(NamedTuple):
    """What the data ask of a network."""

    vocabulary: int
    """Token ids that there are, padding and unknown counted in."""
    outputs: int
    activation: Activation

    @classmethod
    def of(cls, *, vocabulary: int, labels: int, multilabel: bool) -> Shape:
        """That for so many words, those reserved counted in, and labels, one or several a row."""
        if multilabel:
            return cls(vocabulary, labels, "sigmoid")
        return cls(vocabulary, 1, "sigmoid") if labels == 2 else cls(vocabulary, labels, "softmax")


class Start(NamedTuple):
    """What a network may begin with; each takes what it has a use for."""

    embeddings: Floats | None = None
    """Word vectors, shape (vocabulary, embedding_dim)."""
    rows: Iterable[Ids] = ()
    """Token ids of the training rows, padded, some rows at a time, shape (rows, width) each."""


class Architecture(NamedTuple):
    options: type[Any]
    build: Callable[..., keras.Model]
    """From options and a Shape; keywords: `start`, a Start, and `exact_twin`: other layers, for the same numbers
    sooner on a CPU, if there are such."""
    constants: Callable[[Any, keras.Model], tuple[Constants, Metadata]]
    """From options and the trained network the constants of its ONNX graph, and what else decides how that looks."""
    checked: Callable[[Shape, Constants, Metadata], tuple[Constants, Metadata]]
    """Of constants and metadata that were read from a file those that a network of this shape has; raises ForeignGraph
    where they do not fit."""
    logits: Callable[[Graph, Constants, Metadata], str]
    """Writes the network into a graph that has these constants, from token_ids, shape (batch, width), and lengths,
    shape (batch,), to the logits, shape (batch, outputs), exact to rounding; their name."""
    weights: Callable[[keras.Model], dict[str, Floats]]
    """Those of a network by their names, in the order in which Keras has them."""
    weight_shapes: Callable[[Any, Shape], dict[str, tuple[int, ...]]]
    """From options and a Shape the shape of each weight, by the names of `weights`."""
    smaller: Callable[[Any, Sizes], Any]
    """From options those of a smaller network."""
    shrink: Callable[[Any, Mapping[str, Floats], Sizes], dict[str, Floats]]
    """From options and trained weights those that the smaller network starts from."""
    space: Mapping[str, Any]
    """What `textclf tune` tries where a config does not say: by an option's name its candidates, as `tune` has them."""
