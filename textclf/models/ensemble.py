"""Ensembles, in Keras and in ONNX: networks trained with different seeds, as one network of their mean logits.

No other module knows how many networks there are: an ensemble is a network like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf.models.architecture import Constants, Metadata, Shape
from textclf.models.onnx.graph import ForeignGraph, Graph, choice
from textclf.models.onnx.quantization import Storage, quantize
from textclf.models.registry import MODELS, logits_model

if TYPE_CHECKING:
    import keras


COUNT = "members"  # key of a graph's metadata; a graph of one network does not have it


def join(networks: Sequence[keras.Model], activation: str) -> keras.Model:
    """Return one network, of stock layers and with shared weights, that averages the logits of the networks."""
    import keras

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # (batch, width)
    parts = [logits_model(network, name=f"member_{number}") for number, network in enumerate(networks, start=1)]
    logits = keras.layers.Average(name="logits")([part(token_ids) for part in parts])  # (batch, outputs)
    probabilities = keras.layers.Activation(activation, name="probabilities")(logits)
    return keras.Model(token_ids, probabilities, name="ensemble")


def members(network: keras.Model) -> list[keras.Model]:
    """Return the networks of an ensemble, up to their logits; a single network is its own only member."""
    import keras

    return [layer for layer in network.layers if isinstance(layer, keras.Model)] or [network]


def divide_logits(network: keras.Model, divisor: float) -> None:
    """Divide the logits of a network by a number, in place, through the weights of its last layer."""
    for member in members(network):
        layer = member.get_layer("logits")
        layer.set_weights([weights / np.float32(divisor) for weights in layer.get_weights()])


def onnx_model(options: Any, shape: Shape, network: keras.Model, *, storage: Storage = "float32") -> bytes:
    """Return a trained network as an ONNX model, exact up to rounding and quantization.

    Returns:
        The file's bytes. Inputs: token_ids, shape (batch, width), and lengths, shape (batch,). Output: probabilities,
        shape (batch, labels); a single sigmoid becomes two columns.
    """
    parts = [MODELS[options.type].graph_constants(options, member) for member in members(network)]
    return _write(options.type, shape, [quantize(constants, storage) for constants, _ in parts], parts[0][1])


def rewrite_onnx_model(shape: Shape, constants: Constants, metadata: Metadata) -> bytes:
    """Return the ONNX model that this version of textclf writes for constants and metadata read from a file.

    A file is run only if it equals this model.

    Raises:
        ForeignGraph: they do not fit each other or the shape.
    """
    architecture = choice(metadata, "architecture", MODELS)
    checked = []
    for prefix, part in _split_members(constants, metadata).items():
        try:
            checked.append(MODELS[architecture].check_constants(shape, part, metadata))
        except ForeignGraph as problem:
            raise ForeignGraph(f"{prefix.rstrip('.')}: {problem}" if prefix else str(problem)) from None
    parts = [part for part, _ in checked]
    if any(_shapes(part) != _shapes(parts[0]) for part in parts):
        raise ForeignGraph("its members have different sizes")
    return _write(architecture, shape, parts, checked[0][1])


def _write(architecture: str, shape: Shape, parts: Sequence[Constants], metadata: Metadata) -> bytes:
    graph = Graph({})
    write_logits = MODELS[architecture].write_logits
    prefixes = _prefixes(len(parts))
    logits = [
        write_logits(graph.part(prefix, part), part, metadata) for prefix, part in zip(prefixes, parts, strict=True)
    ]
    entries = {"architecture": architecture, **metadata, "activation": shape.activation}
    if len(parts) > 1:
        entries[COUNT] = str(len(parts))
    mean = graph.node("Mean", *logits) if len(parts) > 1 else logits[0]  # (batch, outputs)
    return graph.finish(mean, activation=shape.activation, outputs=shape.outputs, metadata=entries)


def _prefixes(count: int) -> list[str]:
    """Return the prefix of each member's constants; empty if there is one member."""
    return [f"member_{number}." for number in range(1, count + 1)] if count > 1 else [""]


def _split_members(constants: Constants, metadata: Metadata) -> dict[str, Constants]:
    """Return the constants of each member, by the prefix of their names in the graph."""
    count = metadata.get(COUNT, "1")
    if COUNT in metadata and not re.fullmatch("[2-9]|[1-9][0-9]|100", count):
        raise ForeignGraph(f"its {COUNT} are {count!r:.60}, no whole number from 2 to 100")
    return {
        prefix: {name.removeprefix(prefix): array for name, array in constants.items() if name.startswith(prefix)}
        for prefix in _prefixes(int(count))
    }


def _shapes(constants: Constants) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in constants.items()}
