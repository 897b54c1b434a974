"""What a network is to the rest of textclf: what it is built from, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]
Activation = Literal["sigmoid", "softmax"]


class Shape(NamedTuple):
    """What the data ask of a network."""

    vocabulary: int
    """Token ids that there are, padding and unknown counted in."""
    outputs: int
    activation: Activation


class Start(NamedTuple):
    """What a network may begin with; each takes what it has a use for."""

    embeddings: Floats | None = None
    """Word vectors, shape (vocabulary, embedding_dim)."""
    rows: Iterable[Ids] = ()
    """Token ids of the training rows, padded, some rows at a time, shape (rows, width) each."""


class Differentiable(NamedTuple):
    """A trained network in NumPy, as far as explaining its answers needs it."""

    vectors: Callable[[Ids], Floats]
    """From the token ids of a text, shape (width,), what each of them brings to the network, (width, dimensions)."""
    gradient: Callable[..., tuple[Floats, Floats]]
    """From vectors, shape (batch, width, dimensions), and `weigh`, which gives the gradient of what is explained by the
    logits: the logits, shape (batch, outputs), and the gradient of it by the vectors."""


class Architecture(NamedTuple):
    options: type[Any]
    build: Callable[..., keras.Model]
    """From options and a Shape; keywords: `start`, a Start, and `exact_twin`: other layers, for the same numbers
    sooner on a CPU, if there are such."""
    onnx: Callable[..., Any]
    """From options, a Shape and the trained network: an ONNX model from token_ids, shape (batch, width), and lengths,
    shape (batch,), to probabilities, shape (batch, labels), exact to rounding."""
    gradient: Callable[[Mapping[str, npt.NDArray[Any]], Mapping[str, str]], Differentiable]
    """From the constants and the metadata of its ONNX graph."""
