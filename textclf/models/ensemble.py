"""What a model holds, one network or several of one architecture: of several the mean of their logits is the model's.

In Keras and in ONNX alike. Nothing outside knows how many there are: an ensemble is a network like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf.models.architecture import Constants, Metadata, Shape
from textclf.models.onnx.graph import ForeignGraph, Graph, choice
from textclf.models.onnx.quantization import Storage, stored
from textclf.models.registry import MODELS, logits_model

if TYPE_CHECKING:
    import keras


COUNT = "members"  # the entry of a graph's metadata that says how many there are; one is not counted


def join(networks: Sequence[keras.Model], activation: str) -> keras.Model:
    """The networks as one, of stock layers, that shares their weights."""
    import keras

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    members = [logits_model(network, name=f"member_{number}") for number, network in enumerate(networks, start=1)]
    logits = keras.layers.Average(name="logits")([member(token_ids) for member in members])
    probabilities = keras.layers.Activation(activation, name="probabilities")(logits)
    return keras.Model(token_ids, probabilities, name="ensemble")


def members(network: keras.Model) -> list[keras.Model]:
    """The networks that were joined, each up to its logits; of one that is none of `join` itself."""
    import keras

    return [layer for layer in network.layers if isinstance(layer, keras.Model)] or [network]


def divide_logits(network: keras.Model, by: float) -> None:
    """Has the network give its logits divided by a number."""
    for member in members(network):
        layer = member.get_layer("logits")
        layer.set_weights([weights / np.float32(by) for weights in layer.get_weights()])


def onnx_model(options: Any, shape: Shape, network: keras.Model, *, storage: Storage = "float32") -> bytes:
    """The trained network as an ONNX model, exact to rounding.

    Its inputs are token_ids, shape (batch, width), and lengths, shape (batch,); its output probabilities, shape
    (batch, labels): a single sigmoid becomes the two columns of the labels that it tells apart.

    Args:
        storage: how the weights are kept; what the model gives is exact to that.
    """
    found = [MODELS[options.type].constants(options, member) for member in members(network)]
    return _model(options.type, shape, [stored(constants, storage) for constants, _ in found], found[0][1])


def model_again(shape: Shape, constants: Constants, metadata: Metadata) -> bytes:
    """The ONNX model that would be written with constants and metadata that were read from one.

    A file is run only if it is this, to the byte.

    Raises:
        ForeignGraph: they do not fit each other or the shape.
    """
    architecture = choice(metadata, "architecture", MODELS)
    found = []
    for prefix, part in _parts(constants, metadata).items():
        try:
            found.append(MODELS[architecture].checked(shape, part, metadata))
        except ForeignGraph as problem:
            raise ForeignGraph(f"{prefix.rstrip('.')}: {problem}" if prefix else str(problem)) from None
    parts = [checked for checked, _ in found]
    if any(_sizes(part) != _sizes(parts[0]) for part in parts):
        raise ForeignGraph("its members have different sizes")
    return _model(architecture, shape, parts, found[0][1])


def _model(architecture: str, shape: Shape, parts: Sequence[Constants], metadata: Metadata) -> bytes:
    graph = Graph({})
    write = MODELS[architecture].logits
    prefixes = _prefixes(len(parts))
    logits = [write(graph.part(prefix, part), part, metadata) for prefix, part in zip(prefixes, parts, strict=True)]
    entries = {"architecture": architecture, **metadata, "activation": shape.activation}
    if len(parts) > 1:
        entries[COUNT] = str(len(parts))
    mean = graph.node("Mean", *logits) if len(parts) > 1 else logits[0]
    return graph.finish(mean, activation=shape.activation, outputs=shape.outputs, metadata=entries)


def _prefixes(count: int) -> list[str]:
    """What stands before the names of each member's constants; nothing where there is one."""
    return [f"member_{number}." for number in range(1, count + 1)] if count > 1 else [""]


def _parts(constants: Constants, metadata: Metadata) -> dict[str, Constants]:
    """The constants of each member, by the prefix that their names have in the graph."""
    found = metadata.get(COUNT, "1")
    if COUNT in metadata and not re.fullmatch("[2-9]|[1-9][0-9]|100", found):
        raise ForeignGraph(f"its {COUNT} are {found!r:.60}, no whole number from 2 to 100")
    return {
        prefix: {name.removeprefix(prefix): array for name, array in constants.items() if name.startswith(prefix)}
        for prefix in _prefixes(int(found))
    }


def _sizes(part: Constants) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in part.items()}
