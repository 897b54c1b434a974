"""The trained BiLSTM as an ONNX graph, exact to rounding and fast on a CPU.

ONNX's own LSTM operator multiplies every token by the input weights. Here every distinct word of a batch is multiplied
once, and the steps of a Scan look the products up: in a batch of a few hundred texts a word comes three to five times.
With a small vocabulary all its words are multiplied instead: ONNX Runtime does that once, when it loads the model.

A map of the graph, for one layer (names as in the code; v rows of word vectors, D their dimensions, U units):

    steps      (width, batch)         token_ids, transposed: a Scan runs over the first axis
    inputs     (v, D)                 vectors of the vocabulary, or of the distinct words; above layer 1 of all tokens
    indices    (width, batch)         row of `inputs` that each step reads
    products   (2 v, 4 U)             inputs @ kernel + bias; row 2 i is read forward, row 2 i + 1 backward
    Scan       over the steps, both directions at once, from h = c = 0:
        z          (batch, 4 U)       products[row of the step] + h @ recurrent
        i, f, o    (batch, U)         sigmoid of the first three quarters of z: input, forget and output gate
        g          (batch, U)         tanh of the last quarter: the candidate
        c          (batch, U)         f * c + i * g
        h          (batch, U)         o * tanh(c), kept of every step: (width, batch, U)
        pools      (batch, U)         in the last layer maximum and sum of h so far, without padding; then no h is kept
    pooled     (batch, P)             last state, maximum, mean, or maximum and mean
    logits     (batch, outputs)       pooled @ dense.kernel + dense.bias

Padding follows the last token, so no kept state of the forward direction sees it; the backward direction reads every
row reversed up to its length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import numpy as np

from textclf.models.architecture import Constants, Floats, Metadata, Shape
from textclf.models.bilstm.network import DIRECTIONS, BilstmOptions, Pooling, bilstm_weights, pooled_width
from textclf.models.onnx.graph import ForeignGraph, Graph, check_arrays, choice

if TYPE_CHECKING:
    import keras


FIRST = "bilstm_1.forward.recurrent"  # its number of rows is the number of units

# Entry of the metadata: where states are pooled; without it, as up to format 5 of model.json, behind the loop, which
# keeps them all and takes a third longer.
POOLED, IN_LOOP = "pooled", "in_loop"

NEVER = -1e9  # less than any state

# Most numbers in the products of a whole vocabulary, 32 MB. Like everything that shapes the graph, this is part of the
# format: a file is accepted if it is what would be written today.
MAX_PRODUCTS = 1 << 23


def graph_constants(options: BilstmOptions, network: keras.Model) -> tuple[Constants, Metadata]:
    """Return the constants and the metadata of the graph of a trained network."""
    metadata: dict[str, str] = {"pooling": options.pooling}
    if options.pooling != "last":
        metadata[POOLED] = IN_LOOP
    return stack_directions(bilstm_weights(network)), metadata


def stack_directions(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """Put the input weights of both directions side by side, and all gates in the graph's order: i, f, o, c.

    Args:
        weights: as `bilstm_weights` returns them.
    """
    constants = {name: weights[name] for name in ("embedding", "dense.kernel", "dense.bias")}
    for layer in range(1, sum(name.endswith(".forward.kernel") for name in weights) + 1):
        name = f"bilstm_{layer}"
        for part in ("kernel", "bias"):
            both = [_reorder_gates(weights[f"{name}.{direction}.{part}"]) for direction in DIRECTIONS]
            constants[f"{name}.{part}"] = np.concatenate(both, axis=-1)
        for direction in DIRECTIONS:
            constants[f"{name}.{direction}.recurrent"] = _reorder_gates(weights[f"{name}.{direction}.recurrent"])
    return constants


def _reorder_gates(weight: Floats) -> Floats:
    """Change the gates along the last axis from Keras's order i, f, c, o to i, f, o, c: one slice for all sigmoids."""
    i, f, c, o = np.split(weight, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def check_constants(shape: Shape, constants: Constants, metadata: Metadata) -> tuple[Constants, Metadata]:
    """Check the constants and the metadata read from a file; return those that `write_logits` needs.

    Raises:
        ForeignGraph: they do not fit each other or the shape.
    """
    known: dict[str, str] = {"pooling": choice(metadata, "pooling", get_args(Pooling))}
    if POOLED in metadata and known["pooling"] != "last":
        known[POOLED] = choice(metadata, POOLED, [IN_LOOP])
    return check_arrays(constants, _constant_shapes(shape, constants, known["pooling"])), known


def _constant_shapes(shape: Shape, constants: Constants, pooling: str) -> dict[str, tuple[int, ...]]:
    """Return the shape that each constant must have, with the dimensions, units and layers that these constants have.

    Raises:
        ForeignGraph: the number of dimensions or units cannot be read from them.
    """
    for name in ("embedding", FIRST):
        if name not in constants or constants[name].ndim != 2:
            raise ForeignGraph(f"its constant '{name}' is missing or no table")
    dimensions, units = constants["embedding"].shape[1], _units(constants)
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (shape.vocabulary, dimensions),
        "dense.kernel": (pooled_width(units, pooling), shape.outputs),
        "dense.bias": (shape.outputs,),
    }
    for layer in range(1, _layers(constants) + 1):
        name = f"bilstm_{layer}"
        shapes[f"{name}.kernel"] = (dimensions if layer == 1 else 2 * units, 8 * units)
        shapes[f"{name}.bias"] = (8 * units,)
        shapes |= {f"{name}.{direction}.recurrent": (units, 4 * units) for direction in DIRECTIONS}
    return shapes


def _units(constants: Constants) -> int:
    return len(constants[FIRST])


def _layers(constants: Constants) -> int:
    return sum(name.startswith("bilstm_") and name.endswith(".kernel") for name in constants)


def write_logits(graph: Graph, constants: Constants, metadata: Metadata) -> str:
    """Write the network into a graph that has the constants; return the name of the logits, shape (batch, outputs)."""
    steps = graph.node("Transpose", "token_ids", perm=[1, 0])  # (width, batch)
    vocabulary, units, layers = len(constants["embedding"]), _units(constants), _layers(constants)
    if vocabulary * 8 * units <= MAX_PRODUCTS:
        inputs, indices = "embedding", steps
    else:
        inputs, indices = _distinct_words(graph, steps, vocabulary)
    for layer in range(1, layers):
        forward, backward = _recurrence(graph, inputs, indices, f"bilstm_{layer}", units)  # (width, batch, units) each
        states = graph.node("Concat", forward, _reverse(graph, backward), axis=2)  # (width, batch, 2 * units)
        inputs = graph.node("Reshape", states, graph.ints(-1, 2 * units))  # (width * batch, 2 * units)
        indices = _arange(graph, steps)
    pooling, last = metadata["pooling"], f"bilstm_{layers}"
    if POOLED in metadata:
        pooled = _pooled_recurrence(graph, inputs, indices, steps, last, units, pooling)
    else:
        # max and mean ignore the order of the states, and `last` wants the last one read: the backward states stay in
        # the order in which they are read. Another kind of pooling may need `_reverse`.
        states = graph.node("Concat", *_recurrence(graph, inputs, indices, last, units), axis=2)
        pooled = _pool(graph, states, pooling)
    return graph.node("Gemm", pooled, "dense.kernel", "dense.bias")  # (batch, outputs)


def _distinct_words(graph: Graph, steps: str, vocabulary: int) -> tuple[str, str]:
    """Return the vectors of the distinct words in a batch, and for each token the index of its word in them."""
    flat = graph.node("Reshape", steps, graph.ints(-1))  # (width * batch,)
    ones = graph.node("Expand", graph.ids(1), graph.node("Shape", flat))
    absent = graph.node("Expand", graph.ids(0), graph.ints(vocabulary))
    present = graph.node("ScatterElements", absent, flat, ones, axis=0)  # (vocabulary,), 1 where the word occurs
    words = graph.node("Reshape", graph.node("NonZero", present), graph.ints(-1))  # (distinct,)
    rows = graph.node("CumSum", present, graph.constant(np.array(0, np.int32)), exclusive=1)  # (vocabulary,)
    return graph.node("Gather", "embedding", words, axis=0), graph.node("Gather", rows, steps, axis=0)


def _arange(graph: Graph, values: str) -> str:
    """Return 0, 1, 2, ... in the shape of the values."""
    shape = graph.node("Shape", values)
    ones = graph.node("Expand", graph.ids(1), graph.node("ReduceProd", shape))
    return graph.node("Reshape", graph.node("CumSum", ones, graph.constant(np.array(0, np.int32)), exclusive=1), shape)


def _reverse(graph: Graph, values: str) -> str:
    """Reverse each row of values, shape (width, batch, ...), up to its length; padding stays behind."""
    lengths = graph.node("Cast", "lengths", to=graph.INT64)
    return graph.node("ReverseSequence", values, lengths, time_axis=0, batch_axis=1)


def _recurrence(graph: Graph, inputs: str, indices: str, name: str, units: int) -> tuple[str, str]:
    """Return the states of both directions, shape (width, batch, units) each, in reading order.

    Args:
        inputs: vectors, shape (vectors, dimensions).
        indices: the vector that each step reads, shape (width, batch).
    """
    products, rows, zeros = _before_loop(graph, inputs, indices, name, units)

    def step(body: Graph, states: list[str], read: list[str]) -> tuple[list[str], list[str]]:
        h_forward, c_forward, h_backward, c_backward = states
        recurrent = _recurrent_weights(body, name)
        forward = _kept_cell(body, products, read[0], h_forward, c_forward, recurrent[0], units)
        backward = _kept_cell(body, products, read[1], h_backward, c_backward, recurrent[1], units)
        return [*forward[:2], *backward[:2]], [forward[2], backward[2]]

    _, (forward, backward) = graph.scan(name, step, carried=[zeros] * 4, read=rows)
    return forward, backward


def _pooled_recurrence(
    graph: Graph, inputs: str, indices: str, steps: str, name: str, units: int, pooling: str
) -> str:  # fmt: skip
    """Return the states of both directions pooled over the steps without padding, shape (batch, pooled).

    Args:
        inputs, indices: as for `_recurrence`.
        steps: token ids, shape (width, batch).
    """
    products, rows, zeros = _before_loop(graph, inputs, indices, name, units)
    with_max, with_mean = pooling in ("max", "max_mean"), pooling in ("mean", "max_mean")
    present = graph.node("Cast", graph.node("Cast", steps, to=graph.BOOL), to=graph.FLOAT)
    present = graph.node("Unsqueeze", present, graph.ints(2))  # (width, batch, 1)
    ones, large = (graph.constant(np.array([value], np.float32)) for value in (1, -NEVER))
    padding = graph.node("Mul", graph.node("Sub", present, ones), large)  # 0, or NEVER where padded
    starts = [graph.node("Sub", zeros, large)] * with_max + [zeros] * with_mean
    masks = [padding] * with_max + [present] * with_mean

    def step(body: Graph, states: list[str], read: list[str]) -> tuple[list[str], list[str]]:
        rows, masks, after = read[:2], read[2:], []
        for row, recurrent in zip(rows, _recurrent_weights(body, name), strict=True):
            h, c, *pools = [states.pop(0) for _ in range(2 + len(masks))]
            factors, c = _cell(body, products, row, h, c, recurrent, units)
            h = body.node("Mul", *factors)
            after += [h, c]
            if with_max:
                after.append(body.node("Max", pools.pop(0), body.node("Add", h, masks[0])))
            if with_mean:
                after.append(body.node("Add", pools.pop(0), body.node("Mul", h, masks[-1])))
        return after, []

    states, _ = graph.scan(name, step, carried=[zeros, zeros, *starts] * 2, read=rows, masks=masks)
    forward, backward = states[2 : len(states) // 2], states[len(states) // 2 + 2 :]
    pools = [part for both in zip(forward, backward, strict=True) for part in both]
    if with_mean:
        lengths = graph.node("Cast", graph.node("Unsqueeze", "lengths", graph.ints(1)), to=graph.FLOAT)  # (batch, 1)
        pools[-2:] = [graph.node("Div", total, lengths) for total in pools[-2:]]
    return graph.node("Concat", *pools, axis=1)


def _before_loop(graph: Graph, inputs: str, indices: str, name: str, units: int) -> tuple[str, list[str], str]:
    """Return the products of the inputs, their rows that each direction reads, and a first state of zeros.

    Returns:
        Shapes (2 * vectors, 4 * units), (width, batch) for both directions, (batch, units).
    """
    both = [graph.weight(f"{name}.{part}") for part in ("kernel", "bias")]  # (dimensions, 8 * units), (8 * units,)
    # (vectors, 8 * units) -> (2 * vectors, 4 * units): vector i is read forward in row 2 i, backward in 2 i + 1
    products = graph.node("Reshape", graph.node("Gemm", inputs, *both), graph.ints(-1, 4 * units))
    forward_rows = graph.node("Mul", indices, graph.ids(2))  # (width, batch)
    rows = [forward_rows, graph.node("Add", _reverse(graph, forward_rows), graph.ids(1))]
    zeros = graph.node(
        "ConstantOfShape", graph.node("Concat", graph.node("Shape", "lengths"), graph.ints(units), axis=0)
    )  # (batch, units)
    return products, rows, zeros


def _recurrent_weights(body: Graph, name: str) -> list[str]:
    """Return the recurrent weights of both directions, shape (units, 4 * units) each."""
    return [body.weight(f"{name}.{direction}.recurrent") for direction in DIRECTIONS]


def _kept_cell(
    body: Graph, products: str, rows: str, h: str, c: str, recurrent: str, units: int
) -> tuple[str, str, str]:  # fmt: skip
    """Return the next h and c, shape (batch, units), and h again.

    A loop cannot keep what it carries, and computing h twice is faster than copying it.
    """
    factors, c = _cell(body, products, rows, h, c, recurrent, units)
    return body.node("Mul", *factors), c, body.node("Mul", *factors)


def _cell(
    body: Graph, products: str, rows: str, h: str, c: str, recurrent: str, units: int
) -> tuple[tuple[str, str], str]:  # fmt: skip
    """Return the two factors of the next h, and the next c, shape (batch, units) each.

    After Hochreiter and Schmidhuber (1997) and Gers et al. (2000).
    """
    product = body.node("Gather", products, rows, axis=0)  # (batch, 4 * units)
    z = body.node("Gemm", h, recurrent, product)  # (batch, 4 * units)
    *gates, candidate = body.nodes("Split", z, body.ints(units, units, units, units), outputs=4, axis=1)
    i, f, o = (body.node("Sigmoid", gate) for gate in gates)  # (batch, units) each
    c = body.node("Add", body.node("Mul", f, c), body.node("Mul", i, body.node("Tanh", candidate)))
    return (o, body.node("Tanh", c)), c


def _pool(graph: Graph, states: str, pooling: str) -> str:
    """Pool states, shape (width, batch, 2 * units), to one vector per row, shape (batch, pooled)."""
    if pooling == "last":
        return _last(graph, states)
    steps = graph.node("Unsqueeze", graph.node("Transpose", "token_ids", perm=[1, 0]), graph.ints(2))
    padded = graph.node("Equal", steps, graph.ids(0))  # (width, batch, 1)
    pools = []
    if pooling in ("max", "max_mean"):
        masked = graph.node("Where", padded, graph.constant(np.array(NEVER, np.float32)), states)
        pools.append(graph.node("ReduceMax", masked, graph.ints(0), keepdims=0))  # (batch, 2 * units)
    if pooling in ("mean", "max_mean"):
        masked = graph.node("Where", padded, graph.constant(np.array(0, np.float32)), states)
        total = graph.node("ReduceSum", masked, graph.ints(0), keepdims=0)  # (batch, 2 * units)
        lengths = graph.node("Cast", graph.node("Unsqueeze", "lengths", graph.ints(1)), to=graph.FLOAT)  # (batch, 1)
        pools.append(graph.node("Div", total, lengths))
    return graph.node("Concat", *pools, axis=1) if len(pools) > 1 else pools[0]


def _last(graph: Graph, states: str) -> str:
    """Return the state of each row's last step, shape (batch, 2 * units)."""
    steps = graph.node("Unsqueeze", graph.node("Sub", "lengths", graph.ids(1)), graph.ints(1))  # (batch, 1)
    rows = _arange(graph, steps)  # (batch, 1)
    indices = graph.node(
        "Concat", graph.node("Cast", steps, to=graph.INT64), graph.node("Cast", rows, to=graph.INT64), axis=1
    )  # (batch, 2)
    return graph.node("GatherND", states, indices)
