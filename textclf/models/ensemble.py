"""Models of several parts, as one network in Keras and one graph in ONNX: members of an ensemble, and a linear model.

The members of an ensemble are networks trained with different seeds; the logits of the network are the mean of theirs.
In a blend, the logits are a weighted sum of those of the network and of further parts, such as the linear model: each
part reads its own part of the token ids of a whole text; an encoder reads the pieces, which come behind the words. No
other module knows how many parts there are: such a model is a network like any other.

    token_ids -> limits -> network: member_1, member_2, ... -> mean -> network_logits -
              -> linear ----------------------------------------------> linear_logits --> blend -> probabilities
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from textclf.models.architecture import RESERVED, Constants, Floats, InputLimits, Metadata, Shape
from textclf.models.onnx.graph import ForeignGraph, Graph, check_arrays, choice
from textclf.models.onnx.quantization import Storage, quantize
from textclf.models.registry import MODELS, PARTS, logits_model

if TYPE_CHECKING:
    import keras


COUNT = "members"  # key of a graph's metadata; a graph of one network does not have it

NETWORK = "network"  # name of the part that an architecture of MODELS makes

BLEND = "blend"  # name of the layer and of the constant that weigh the parts; key of a graph's metadata: further parts

UNKNOWN = 1  # token id that stands for those that a part does not know


def join(networks: Sequence[keras.Model], activation: str) -> keras.Model:
    """Return one network, of stock layers and with shared weights, that averages the logits of the networks."""
    import keras

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # (batch, width)
    models = [logits_model(network, name=f"member_{number}") for number, network in enumerate(networks, start=1)]
    logits = keras.layers.Average(name="logits")([model(token_ids) for model in models])  # (batch, outputs)
    probabilities = keras.layers.Activation(activation, name="probabilities")(logits)
    return keras.Model(token_ids, probabilities, name="ensemble")


def blend(
    network: keras.Model,
    further: Mapping[str, keras.Model],
    weights: Sequence[float],
    *,
    limits: InputLimits,
    activation: str,
) -> keras.Model:
    """Return one network, of stock layers and with shared weights, whose logits are the weighted sum of its parts'.

    Args:
        network: reads the token ids within the limits.
        further: models from the token ids of whole texts to logits, shape (batch, outputs), by name in the order of
            PARTS.
        weights: of the network, then of each further part.
    """
    import keras
    from keras import ops

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # (batch, width)
    logits = [logits_model(network, name=NETWORK)(_limit_input(token_ids, limits))]  # (batch, outputs) each
    words = token_ids if limits.first_piece is None else ops.where(token_ids < limits.first_piece, token_ids, 0)
    logits += [keras.Model(part.inputs, part.output, name=name)(words) for name, part in further.items()]
    layer = keras.layers.Dense(1, use_bias=False, name=BLEND)
    total = layer(ops.stack(logits, axis=2))  # (batch, outputs, parts) -> (batch, outputs, 1)
    layer.set_weights([np.array(weights, np.float32)[:, None]])
    total = keras.layers.Reshape((network.output_shape[-1],), name="logits")(total)  # (batch, outputs)
    probabilities = keras.layers.Activation(activation, name="probabilities")(total)
    return keras.Model(token_ids, probabilities, name=BLEND)


def _limit_input(token_ids: Any, limits: InputLimits) -> Any:
    """Return the token ids within the limits, shape (batch, width or max_length, whichever is less)."""
    from keras import ops

    lengths = _count(token_ids > 0)  # (batch, 1)
    if limits.first_piece is None:
        known = ops.where(token_ids < limits.vocabulary, token_ids, UNKNOWN)  # (batch, width)
        if limits.truncate == "end":
            return known[:, : limits.max_length]
        first = ops.maximum(lengths - limits.max_length, 0)  # (batch, 1)
    else:
        known = token_ids - (limits.first_piece - RESERVED)  # (batch, width)
        first = lengths - _count(token_ids >= limits.first_piece)  # (batch, 1), behind the words
    # not arange: the width is not known when the network is built
    positions = ops.cumsum(ops.ones_like(token_ids), axis=1)[:, : limits.max_length] - 1  # (batch, kept)
    inside = positions + first < lengths  # (batch, kept)
    kept = ops.take_along_axis(known, ops.where(inside, positions + first, 0), axis=1)
    return ops.where(inside, kept, 0)


def _count(condition: Any) -> Any:
    """Return the number of token ids of each text that a condition holds for, shape (batch, 1)."""
    from keras import ops

    return ops.sum(ops.cast(condition, "int32"), axis=1, keepdims=True)


class Part(NamedTuple):
    """A part of a model: a member of its network, or a further part of a blend."""

    kind: str
    """A key of MODELS or of PARTS."""
    prefix: str
    """Put before the names of its constants in a graph."""
    network: keras.Model
    """From token ids to logits."""


def parts(network: keras.Model, architecture: str) -> list[Part]:
    """Return the parts of a model: the members of an ensemble or the one network, and the further parts of a blend.

    Args:
        architecture: a key of MODELS.
    """
    networks = members(network)
    of_network = [Part(architecture, *pair) for pair in zip(_prefixes(len(networks)), networks, strict=True)]
    return of_network + [Part(name, f"{name}.", part) for name, part in further_parts(network).items()]


def members(network: keras.Model) -> list[keras.Model]:
    """Return the networks of an ensemble, up to their logits; a single network is its own only member."""
    network = _models(network).get(NETWORK, network)
    return list(_models(network).values()) or [network]


def _models(network: keras.Model) -> dict[str, keras.Model]:
    """Return the models that are layers of a network, by name."""
    import keras

    return {layer.name: layer for layer in network.layers if isinstance(layer, keras.Model)}


def further_parts(network: keras.Model) -> dict[str, keras.Model]:
    """Return the parts of a blend besides its network, by name in the order of PARTS; none if it is no blend."""
    models = _models(network)
    return {name: models[name] for name in PARTS if name in models}


def divide_logits(network: keras.Model, divisor: float) -> None:
    """Divide the logits of a network that is no blend by a number, in place, through the weights of its last layer."""
    for member in members(network):
        layer = member.get_layer("logits")
        layer.set_weights([weights / np.float32(divisor) for weights in layer.get_weights()])


def onnx_model(
    options: Any, shape: Shape, network: keras.Model, *, limits: InputLimits | None = None, storage: Storage = "float32"
) -> bytes:
    """Return a trained network as an ONNX model, exact up to rounding and quantization.

    Args:
        limits: what the network of a blend reads; None: it is no blend.

    Returns:
        The file's bytes. Inputs: token_ids, shape (batch, width), and lengths, shape (batch,). Output: probabilities,
        shape (batch, labels); a single sigmoid becomes two columns. A blend has the logits of its parts as well:
        network_logits, linear_logits, shape (batch, outputs) each.
    """
    exported = [MODELS[options.type].graph_constants(options, member) for member in members(network)]
    constants, metadata = [quantize(own, storage) for own, _ in exported], exported[0][1]
    if limits is None:
        return _write(options.type, shape, constants, metadata, None)
    further = {name: PARTS[name].graph_constants(part) for name, part in further_parts(network).items()}
    blended = _Blend(
        limits=limits,
        parts={name: quantize(own, storage) for name, (own, _) in further.items()},
        metadata={name: own for name, (_, own) in further.items()},
        weights=network.get_layer(BLEND).get_weights()[0],
    )
    return _write(options.type, shape, constants, metadata, blended)


class _Blend(NamedTuple):
    """The further parts of a blend in a graph."""

    limits: InputLimits
    """What the network reads."""
    parts: Mapping[str, Constants]
    """The constants of each further part."""
    metadata: Mapping[str, Metadata]
    """The metadata of each further part."""
    weights: Floats
    """Of the network and of each further part, shape (parts, 1)."""


def rewrite_onnx_model(
    shape: Shape, constants: Constants, metadata: Metadata, *, limits: InputLimits | None = None
) -> bytes:
    """Return the ONNX model that this version of textclf writes for constants and metadata read from a file.

    A file is run only if it equals this model.

    Args:
        limits: what the network of a blend reads; None: it is no blend.

    Raises:
        ForeignGraph: they do not fit each other or the shape.
    """
    architecture = choice(metadata, "architecture", MODELS)
    of_network = shape if limits is None else shape._replace(vocabulary=limits.vocabulary)
    checked = []
    for prefix, part in _split_members(constants, metadata).items():
        try:
            checked.append(MODELS[architecture].check_constants(of_network, part, metadata))
        except ForeignGraph as problem:
            raise ForeignGraph(f"{prefix.rstrip('.')}: {problem}" if prefix else str(problem)) from None
    of_members = [part for part, _ in checked]
    if any(_shapes(part) != _shapes(of_members[0]) for part in of_members):
        raise ForeignGraph("its members have different sizes")
    blended = None if limits is None else _check_blend(shape, constants, metadata, limits)
    return _write(architecture, shape, of_members, checked[0][1], blended)


def _check_blend(shape: Shape, constants: Constants, metadata: Metadata, limits: InputLimits) -> _Blend:
    """Check the constants and metadata of the further parts, read from a file.

    Raises:
        ForeignGraph: there are none, they are not known, or they do not fit each other or the shape.
    """
    words = shape if limits.first_piece is None else shape._replace(vocabulary=limits.first_piece)
    names = metadata.get(BLEND, "").split()
    if not names or not set(names) <= PARTS.keys():
        raise ForeignGraph(f"its {BLEND} is {' '.join(names)!r:.60}, none of {', '.join(PARTS)}")
    checked = {}
    for name in names:
        own = {key.removeprefix(f"{name}."): value for key, value in metadata.items() if key.startswith(f"{name}.")}
        checked[name] = PARTS[name].check_constants(words, _with_prefix(constants, f"{name}."), own)
    weights = check_arrays(constants, {BLEND: (1 + len(names), 1)})[BLEND]
    return _Blend(
        limits=limits,
        parts={name: part for name, (part, _) in checked.items()},
        metadata={name: own for name, (_, own) in checked.items()},
        weights=weights,
    )


def _write(
    architecture: str, shape: Shape, of_members: Sequence[Constants], metadata: Metadata, blended: _Blend | None
) -> bytes:
    """Return the graph of a model.

    Args:
        of_members: the constants of each member.
        metadata: of all members.
        blended: the further parts; None: it is no blend.
    """
    graph = Graph({})
    inputs = _write_limits(graph, blended.limits) if blended else {}
    words = _write_words(graph, blended.limits) if blended else {}
    prefixes = _prefixes(len(of_members))
    logits = [
        MODELS[architecture].write_logits(graph.part(prefix, part, inputs=inputs), part, metadata)
        for prefix, part in zip(prefixes, of_members, strict=True)
    ]
    entries = {"architecture": architecture, **metadata, "activation": shape.activation}
    if len(of_members) > 1:
        entries[COUNT] = str(len(of_members))
    total = graph.node("Mean", *logits) if len(of_members) > 1 else logits[0]  # (batch, outputs)
    outputs: dict[str, str] = {}
    if blended:
        entries[BLEND] = " ".join(blended.parts)
        outputs = {logits_name(NETWORK): total}
        for name, part in blended.parts.items():
            own = blended.metadata[name]
            entries |= {f"{name}.{key}": value for key, value in own.items()}
            outputs[logits_name(name)] = PARTS[name].write_logits(
                graph.part(f"{name}.", part, inputs=words), part, own, activation=shape.activation
            )
        total = _write_sum(graph, list(outputs.values()), blended.weights)
    return graph.finish(total, activation=shape.activation, outputs=shape.outputs, metadata=entries, further=outputs)


def _write_limits(graph: Graph, limits: InputLimits) -> dict[str, str]:
    """Write what `_limit_input` does; return the values that the network reads in the place of each input."""
    if limits.first_piece is not None:
        return _write_pieces(graph, limits.first_piece)
    known = graph.node("Less", "token_ids", graph.ids(limits.vocabulary))
    token_ids = graph.node("Where", known, "token_ids", graph.ids(UNKNOWN))  # (batch, width)
    kept = graph.node("Slice", token_ids, graph.ints(0), graph.ints(limits.max_length), graph.ints(1))
    lengths = graph.node("Min", "lengths", graph.ids(limits.max_length))  # (batch,)
    if limits.truncate == "start":
        start = graph.node("Unsqueeze", graph.node("Sub", "lengths", lengths), graph.ints(1))  # (batch, 1)
        kept = _gather(graph, token_ids, kept, start=start, lengths=lengths)
    return {"token_ids": kept, "lengths": lengths}


def _write_pieces(graph: Graph, first_piece: int) -> dict[str, str]:
    """Write the selection of an encoder's pieces behind the words, no wider than the most pieces of a text.

    They are not cut here: whoever makes the token ids keeps the special pieces at both ends.
    """
    is_piece = graph.node("Not", graph.node("Less", "token_ids", graph.ids(first_piece)))  # (batch, width)
    lengths = graph.node("ReduceSum", graph.node("Cast", is_piece, to=graph.INT32), graph.ints(1), keepdims=0)
    longest = graph.node("Cast", graph.node("ReduceMax", lengths, graph.ints(0), keepdims=1), to=graph.INT64)  # (1,)
    kept = graph.node("Slice", "token_ids", graph.ints(0), longest, graph.ints(1))  # (batch, longest)
    token_ids = graph.node("Sub", "token_ids", graph.ids(first_piece - RESERVED))
    words = graph.node("Unsqueeze", graph.node("Sub", "lengths", lengths), graph.ints(1))  # (batch, 1)
    return {"token_ids": _gather(graph, token_ids, kept, start=words, lengths=lengths), "lengths": lengths}


def _gather(graph: Graph, token_ids: str, kept: str, *, start: str, lengths: str) -> str:
    """Return `lengths` token ids of each text from `start` on, with 0 behind them, in the shape of `kept`."""
    ones = graph.node("Expand", graph.ids(1), graph.node("Shape", kept))
    positions = graph.node("CumSum", ones, graph.constant(np.array(1, np.int32)), exclusive=1)  # (batch, kept)
    inside = graph.node("Less", positions, graph.node("Unsqueeze", lengths, graph.ints(1)))
    wanted = graph.node("Where", inside, graph.node("Add", positions, start), graph.ids(0))
    return graph.node("Where", inside, graph.node("GatherElements", token_ids, wanted, axis=1), graph.ids(0))


def _write_words(graph: Graph, limits: InputLimits) -> dict[str, str]:
    """Return the values that the further parts read in the place of each input: the words without pieces."""
    if limits.first_piece is None:
        return {}
    is_word = graph.node("Less", "token_ids", graph.ids(limits.first_piece))
    return {"token_ids": graph.node("Where", is_word, "token_ids", graph.ids(0))}


def _write_sum(graph: Graph, logits: Sequence[str], weights: Floats) -> str:
    """Return the weighted sum of the parts' logits, shape (batch, outputs)."""
    columns = [graph.node("Unsqueeze", part, graph.ints(2)) for part in logits]
    stacked = graph.node("Concat", *columns, axis=2)  # (batch, outputs, parts)
    return graph.node("Squeeze", graph.node("MatMul", stacked, graph.constant(weights, name=BLEND)), graph.ints(2))


def logits_name(part: str) -> str:
    """Return the name of the output that has the logits of a part of a blend."""
    return f"{part}_logits"


def _prefixes(count: int) -> list[str]:
    """Return the prefix of each member's constants; empty if there is one member."""
    return [f"member_{number}." for number in range(1, count + 1)] if count > 1 else [""]


def _split_members(constants: Constants, metadata: Metadata) -> dict[str, Constants]:
    """Return the constants of each member, by the prefix of their names in the graph."""
    count = metadata.get(COUNT, "1")
    if COUNT in metadata and not re.fullmatch("[2-9]|[1-9][0-9]|100", count):
        raise ForeignGraph(f"its {COUNT} are {count!r:.60}, no whole number from 2 to 100")
    return {prefix: _with_prefix(constants, prefix) for prefix in _prefixes(int(count))}


def _with_prefix(constants: Constants, prefix: str) -> Constants:
    """Return the constants of a part, by their names without its prefix."""
    return {name.removeprefix(prefix): array for name, array in constants.items() if name.startswith(prefix)}


def _shapes(constants: Constants) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in constants.items()}
