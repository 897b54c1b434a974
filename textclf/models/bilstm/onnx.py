"""The trained BiLSTM as an ONNX graph, exact to rounding and quick on a CPU.

ONNX's own LSTM operator multiplies every token into the input weights. Here each distinct word of a batch is multiplied
once, and the steps of a Scan look the products up; batches of some hundred texts hold each word three to five times.
Of a small vocabulary all words are multiplied instead: ONNX Runtime does that once, when it loads the model.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.onnx.graph import ForeignGraph, Graph

Floats = npt.NDArray[np.float32]

Constants = Mapping[str, npt.NDArray[Any]]

DIRECTIONS = ("forward", "backward")

FIRST = "bilstm_1.forward.recurrent"  # has a row a unit

# Numbers, 32 MB, that the products of a whole vocabulary may take. As all that decides how a graph looks, it is a part
# of the format: a file is accepted when it is what would be written today.
FOLDED = 1 << 23


def write_bilstm(graph: Graph, constants: Constants, *, pooling: str) -> str:
    """The name of the logits, shape (batch, outputs), that the graph has from token_ids and lengths.

    Args:
        constants: those of the graph, from `graph_constants`. Only their shapes are looked at, so that the graph that
            belongs to constants that were read from a file can be written again and compared with the file.
    """
    steps = graph.node("Transpose", "token_ids", perm=[1, 0])
    vocabulary, units, layers = len(constants["embedding"]), _units(constants), _layers(constants)
    if vocabulary * 8 * units <= FOLDED:
        inputs, places = "embedding", steps
    else:
        inputs, places = _distinct_words(graph, steps, vocabulary)
    for layer in range(1, layers + 1):
        forward, backward = _recurrence(graph, inputs, places, f"bilstm_{layer}", units)
        if layer < layers:
            states = graph.node("Concat", forward, _reversed(graph, backward), axis=2)
            inputs = graph.node("Reshape", states, graph.ints(-1, 2 * units))
            places = _numbered(graph, steps)
    # pooling does not ask in which order a row's states come, so the backward ones stay in that of reading
    pooled = _pool(graph, graph.node("Concat", forward, backward, axis=2), pooling)
    return graph.node("Gemm", pooled, "dense.kernel", "dense.bias")


def graph_constants(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """The constants of the graph, from weights as `models.bilstm_weights` names them.

    Those of both directions stand side by side, and the gates in the graph's order: i, f, o, c.
    """
    constants = {name: weights[name] for name in ("embedding", "dense.kernel", "dense.bias")}
    for layer in range(1, sum(name.endswith(".forward.kernel") for name in weights) + 1):
        name = f"bilstm_{layer}"
        for part in ("kernel", "bias"):
            both = [_gates(weights[f"{name}.{direction}.{part}"]) for direction in DIRECTIONS]
            constants[f"{name}.{part}"] = np.concatenate(both, axis=-1)
        for direction in DIRECTIONS:
            constants[f"{name}.{direction}.recurrent"] = _gates(weights[f"{name}.{direction}.recurrent"])
    return constants


def constant_shapes(constants: Constants, *, vocabulary: int, outputs: int, pooling: str) -> dict[str, tuple[int, ...]]:
    """The shape of each constant of a graph with as many dimensions, units and layers as these have.

    Raises:
        ForeignGraph: they do not say how many.
    """
    for name in ("embedding", FIRST):
        if name not in constants or constants[name].ndim != 2:
            raise ForeignGraph(f"its constant '{name}' is missing or no table")
    dimensions, units = constants["embedding"].shape[1], _units(constants)
    pooled = 2 * units * (2 if pooling == "max_mean" else 1)
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (vocabulary, dimensions), "dense.kernel": (pooled, outputs), "dense.bias": (outputs,)
    }  # fmt: skip
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


def _distinct_words(graph: Graph, steps: str, vocabulary: int) -> tuple[str, str]:
    """The vectors of the words that occur, each once, and the place of each token's among them."""
    flat = graph.node("Reshape", steps, graph.ints(-1))
    ones = graph.node("Expand", graph.ids(1), graph.node("Shape", flat))
    absent = graph.node("Expand", graph.ids(0), graph.ints(vocabulary))
    seen = graph.node("ScatterElements", absent, flat, ones, axis=0)
    words = graph.node("Reshape", graph.node("NonZero", seen), graph.ints(-1))
    before = graph.node("CumSum", seen, graph.constant(np.array(0, np.int32)), exclusive=1)
    return graph.node("Gather", "embedding", words, axis=0), graph.node("Gather", before, steps, axis=0)


def _numbered(graph: Graph, steps: str) -> str:
    """The numbers 0, 1, 2, ... in the shape of the steps."""
    shape = graph.node("Shape", steps)
    ones = graph.node("Expand", graph.ids(1), graph.node("ReduceProd", shape))
    return graph.node("Reshape", graph.node("CumSum", ones, graph.constant(np.array(0, np.int32)), exclusive=1), shape)


def _reversed(graph: Graph, values: str) -> str:
    """The values of each row, shape (width, batch, ...), last first; padding stays behind them."""
    lengths = graph.node("Cast", "lengths", to=graph.INT64)
    return graph.node("ReverseSequence", values, lengths, time_axis=0, batch_axis=1)


def _recurrence(graph: Graph, inputs: str, places: str, name: str, units: int) -> tuple[str, str]:
    """The states of both directions, shape (width, batch, units) each, in the order of reading.

    Args:
        inputs: the vectors that steps read, shape (vectors, dimensions).
        places: which of them each step reads, shape (width, batch).
    """
    both = [graph.weight(f"{name}.{part}") for part in ("kernel", "bias")]
    # (vectors, 2 * gates) -> (2 * vectors, gates): vector v is read forward at 2 v, backward at 2 v + 1
    products = graph.node("Reshape", graph.node("Gemm", inputs, *both), graph.ints(-1, 4 * units))
    twice = graph.node("Mul", places, graph.ids(2))
    reads = [twice, graph.node("Add", _reversed(graph, twice), graph.ids(1))]
    zeros = graph.node(
        "ConstantOfShape", graph.node("Concat", graph.node("Shape", "lengths"), graph.ints(units), axis=0)
    )

    def step(body: Graph, states: list[str], read: list[str]) -> tuple[list[str], list[str]]:
        h_forward, c_forward, h_backward, c_backward = states
        by = [body.weight(f"{name}.{direction}.recurrent") for direction in DIRECTIONS]
        forward = _cell(body, products, read[0], h_forward, c_forward, by[0], units)
        backward = _cell(body, products, read[1], h_backward, c_backward, by[1], units)
        return [*forward[:2], *backward[:2]], [forward[2], backward[2]]

    forward, backward = graph.scan(name, step, carried=[zeros] * 4, read=reads)
    return forward, backward


def _cell(body: Graph, products: str, read: str, h: str, c: str, recurrent: str, units: int) -> tuple[str, str, str]:
    """The next h and c, shape (batch, units), and h again; after Hochreiter and Schmidhuber 1997, Gers et al. 2000.

    What a loop carries it cannot keep as well, and computing h twice is quicker than copying it.
    """
    product = body.node("Gather", products, read, axis=0)
    z = body.node("Gemm", h, recurrent, product)
    *gates, candidate = body.nodes("Split", z, body.ints(units, units, units, units), outputs=4, axis=1)
    i, f, o = (body.node("Sigmoid", gate) for gate in gates)
    c = body.node("Add", body.node("Mul", f, c), body.node("Mul", i, body.node("Tanh", candidate)))
    factors = o, body.node("Tanh", c)
    return body.node("Mul", *factors), c, body.node("Mul", *factors)


def _gates(weight: Floats) -> Floats:
    """Keras orders the gates i, f, c, o along the last axis; here those under a sigmoid stand together: i, f, o, c."""
    i, f, c, o = np.split(weight, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def _pool(graph: Graph, states: str, pooling: str) -> str:
    """One vector a row, shape (batch, n), of its states, shape (width, batch, units)."""
    if pooling == "last":
        return _last(graph, states)
    steps = graph.node("Unsqueeze", graph.node("Transpose", "token_ids", perm=[1, 0]), graph.ints(2))
    padded = graph.node("Equal", steps, graph.ids(0))
    pools = []
    if "max" in pooling:
        masked = graph.node("Where", padded, graph.constant(np.array(-1e9, np.float32)), states)
        pools.append(graph.node("ReduceMax", masked, graph.ints(0), keepdims=0))
    if "mean" in pooling:
        masked = graph.node("Where", padded, graph.constant(np.array(0, np.float32)), states)
        total = graph.node("ReduceSum", masked, graph.ints(0), keepdims=0)
        lengths = graph.node("Cast", graph.node("Unsqueeze", "lengths", graph.ints(1)), to=graph.FLOAT)
        pools.append(graph.node("Div", total, lengths))
    return graph.node("Concat", *pools, axis=1) if len(pools) > 1 else pools[0]


def _last(graph: Graph, states: str) -> str:
    """The state of each row that was read last, shape (batch, units)."""
    lengths = graph.node("Unsqueeze", graph.node("Sub", "lengths", graph.ids(1)), graph.ints(1))
    row = _numbered(graph, lengths)
    place = graph.node(
        "Concat", graph.node("Cast", lengths, to=graph.INT64), graph.node("Cast", row, to=graph.INT64), axis=1
    )
    return graph.node("GatherND", states, place)
