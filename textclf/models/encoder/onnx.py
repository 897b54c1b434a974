"""A trained encoder as an ONNX graph, exact to rounding and fast on a CPU.

A map of the graph, for one layer (names as in the code; T = batch * width tokens, padding included):

    states             (T, hidden)                   norm(pieces[token_ids - 2] + positions)
    q, v               (batch, heads, width, D)      states @ qkv.kernel + qkv.bias, a third each, D = hidden / heads
    k                  (batch, heads, D, width)      transposed
    attention_weights  (batch, heads, width, width)  softmax(q @ k / sqrt(D) + mask), 0 for padding
    mixed              (T, hidden)                   attention_weights @ v
    attended           (T, hidden)                   norm(states + mixed @ attention.kernel + attention.bias)
    states             (T, hidden)                   norm(attended + gelu(attended @ intermediate + ...) @ output + ...)
    pooled             (batch, hidden)               mean of the states of a text, or the first
    logits             (batch, outputs)              pooled @ logits.kernel + logits.bias

A kernel that is stored in int8 is multiplied as such, with the states rounded to 8 bits by a scale of each token: no
text depends on its batch, as with DynamicQuantizeLinear, which has one scale for all. The states are uint8 with 128 for
0, as ONNX Runtime multiplies int8 by int8 ten times slower on x86.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, get_args

import numpy as np

from textclf.models.architecture import RESERVED, Constants, Metadata, Shape
from textclf.models.encoder.network import MASKED, EncoderOptions, encoder_sizes, encoder_weights
from textclf.models.encoder.sizes import MAX_HEADS, MAX_POSITIONS, EncoderSizes, PoolingOfPieces, encoder_weight_shapes
from textclf.models.onnx.graph import ForeignGraph, Graph, check_arrays, choice
from textclf.models.onnx.quantization import MAX_INT8, SCALE

if TYPE_CHECKING:
    import keras


ATTENTION_INPUTS = ("query", "key", "value")  # their kernels are one constant: one product is faster than three

EPSILONS = (1e-30, 1.0)  # a norm with less could divide by 0

TINY = 1e-30  # least scale of a token, so that a state of zeros is not divided by 0

ZERO_POINT = 128


def graph_constants(options: EncoderOptions, network: keras.Model) -> tuple[Constants, Metadata]:  # noqa: ARG001
    """Return the constants and the metadata of the graph of a trained network."""
    sizes = encoder_sizes(network)
    metadata = {"heads": str(sizes.heads), "epsilon": repr(float(sizes.epsilon)), "pooling": sizes.pooling}
    return _join_attention_inputs(encoder_weights(network), axis=-1), metadata


def _join_attention_inputs(weights: Constants, *, axis: int) -> dict[str, np.ndarray]:
    joined = {}
    for name, array in weights.items():
        layer, _, part = name.partition(".query.")
        if part:
            parts = [weights[f"{layer}.{kind}.{part}"] for kind in ATTENTION_INPUTS]
            joined[f"{layer}.qkv.{part}"] = np.concatenate(parts, axis=axis)
        elif ".key." not in name and ".value." not in name:
            joined[name] = array
    return joined


def check_constants(shape: Shape, constants: Constants, metadata: Metadata) -> tuple[Constants, Metadata]:
    """Check the constants and the metadata read from a file; return those that `write_logits` needs.

    Raises:
        ForeignGraph: they do not fit each other or the shape.
    """
    sizes = _sizes(shape, constants, metadata)
    shapes = dict(encoder_weight_shapes(sizes))
    for layer in range(1, sizes.layers + 1):
        for part, own in (("kernel", (sizes.hidden, 3 * sizes.hidden)), ("bias", (3 * sizes.hidden,))):
            for kind in ATTENTION_INPUTS:
                del shapes[f"layer_{layer}.{kind}.{part}"]
            shapes[f"layer_{layer}.qkv.{part}"] = own
    shapes |= {"logits.kernel": (sizes.hidden, shape.outputs), "logits.bias": (shape.outputs,)}
    kept = {name: metadata[name] for name in ("heads", "epsilon", "pooling")}
    return check_arrays(constants, shapes), kept


def _sizes(shape: Shape, constants: Constants, metadata: Metadata) -> EncoderSizes:
    """Return the sizes that the constants and the metadata, read from a file, name.

    Raises:
        ForeignGraph: they cannot be read from them, or heads do not divide the dimensions.
    """
    for name, axes in (("pieces", 2), ("positions", 2), ("layer_1.intermediate.bias", 1)):
        if name not in constants or constants[name].ndim != axes:
            raise ForeignGraph(f"its constant '{name}' is missing or has not {axes} axes")
    heads, hidden = metadata.get("heads", ""), constants["pieces"].shape[1]
    if not re.fullmatch("[1-9][0-9]?", heads) or int(heads) > MAX_HEADS or hidden % int(heads):
        raise ForeignGraph(f"its heads are {heads!r:.60}, no whole number up to {MAX_HEADS} that divides {hidden}")
    if len(constants["positions"]) > MAX_POSITIONS:
        raise ForeignGraph(f"it has {len(constants['positions'])} positions, more than {MAX_POSITIONS}")
    epsilon = metadata.get("epsilon", "")
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,20})?(e-[0-9]{2})?", epsilon) or not (
        EPSILONS[0] <= float(epsilon) <= EPSILONS[1]
    ):
        raise ForeignGraph(f"its epsilon is {epsilon!r:.60}, no number from {EPSILONS[0]} to {EPSILONS[1]}")
    choice(metadata, "pooling", get_args(PoolingOfPieces))
    return EncoderSizes(
        pieces=shape.vocabulary - RESERVED,
        positions=len(constants["positions"]),
        hidden=hidden,
        layers=_layers(constants),
        heads=int(heads),
        intermediate=constants["layer_1.intermediate.bias"].size,
        epsilon=float(epsilon),
        pooling="mean" if metadata["pooling"] == "mean" else "first",
    )


def _layers(constants: Constants) -> int:
    """Return the number of layers, which are numbered from 1 without a gap."""
    return next(layer for layer in count(1) if f"layer_{layer}.intermediate.bias" not in constants) - 1


def write_logits(graph: Graph, constants: Constants, metadata: Metadata) -> str:
    """Write the network into a graph that has the constants; return the name of the logits, shape (batch, outputs)."""
    encoder = _Encoder(graph, constants, metadata)
    states = encoder.embed()  # (tokens, hidden)
    for layer in range(1, _layers(constants) + 1):
        states = encoder.layer(f"layer_{layer}", states)
    return graph.node("Gemm", encoder.pool(states), "logits.kernel", "logits.bias")


class _Encoder:
    """Writes the parts of an encoder into a graph."""

    def __init__(self, graph: Graph, constants: Constants, metadata: Metadata):
        self.graph, self.constants = graph, constants
        self.hidden, self.heads = constants["pieces"].shape[1], int(metadata["heads"])
        self.epsilon, self.pooling = float(metadata["epsilon"]), metadata["pooling"]
        self.shape = graph.node("Shape", "token_ids")  # (2,)
        self.padded = graph.node("Equal", "token_ids", graph.ids(0))  # (batch, width)
        mask = graph.node("Where", self.padded, self.float(MASKED), self.float(0))
        self.scores_mask = graph.node("Unsqueeze", mask, graph.ints(1, 2))  # (batch, 1, 1, width)
        zero_point = graph.node("Cast", graph.ids(ZERO_POINT), to=graph.UINT8)
        self.zero_point = graph.node("Squeeze", zero_point)  # a number without axes
        self.zero_points = graph.node("Expand", zero_point, graph.node("ReduceProd", self.shape))  # (tokens,)

    def float(self, value: float) -> str:
        return self.graph.constant(np.array([value], np.float32))

    def embed(self) -> str:
        """Return the vectors of the pieces at their positions, normalised, shape (tokens, hidden)."""
        graph = self.graph
        ids = graph.node("Max", graph.node("Sub", "token_ids", graph.ids(RESERVED)), graph.ids(0))  # (batch, width)
        width = graph.node("Shape", "token_ids", start=1)
        positions = graph.node("Slice", "positions", graph.ints(0), width, graph.ints(0))  # (width, hidden)
        vectors = graph.node("Add", self.rows("pieces", ids), positions)  # (batch, width, hidden)
        return self.norm("norm", graph.node("Reshape", vectors, graph.ints(-1, self.hidden)))

    def rows(self, table: str, indices: str) -> str:
        """Return rows of a table; only these become float32, as a table of many languages is large."""
        graph, dtype = self.graph, self.constants[table].dtype
        rows = graph.node("Gather", graph.stored_weight(table), indices, axis=0)
        if dtype != np.float32:
            rows = graph.node("Cast", rows, to=graph.FLOAT)
        if dtype == np.int8:
            rows = graph.node("Mul", rows, graph.node("Gather", table + SCALE, indices, axis=0))
        return rows

    def layer(self, name: str, states: str) -> str:
        """Return the next states, shape (tokens, hidden)."""
        graph = self.graph
        mixed = self.attend(self.dense(f"{name}.qkv", states))
        change = self.dense(f"{name}.attention", mixed)
        attended = self.norm(f"{name}.attention_norm", graph.node("Add", states, change))
        wide = self.gelu(self.dense(f"{name}.intermediate", attended))  # (tokens, intermediate)
        return self.norm(f"{name}.output_norm", graph.node("Add", attended, self.dense(f"{name}.output", wide)))

    def attend(self, joined: str) -> str:
        """Return the mixed values, shape (tokens, hidden), for queries, keys and values, shape (tokens, 3 * hidden)."""
        graph, dimensions = self.graph, self.hidden // self.heads
        shape = graph.node("Concat", self.shape, graph.ints(self.heads, dimensions), axis=0)
        parts = graph.nodes("Split", joined, graph.ints(*[self.hidden] * 3), outputs=3, axis=1)
        q, k, v = (graph.node("Reshape", part, shape) for part in parts)  # (batch, width, heads, dimensions) each
        q, v = (graph.node("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
        k = graph.node("Transpose", k, perm=[0, 2, 3, 1])  # (batch, heads, dimensions, width)
        scores = graph.node("Mul", graph.node("MatMul", q, k), self.float(dimensions**-0.5))
        attention_weights = graph.node("Softmax", graph.node("Add", scores, self.scores_mask), axis=3)
        mixed = graph.node("MatMul", attention_weights, v)  # (batch, heads, width, dimensions)
        return graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(-1, self.hidden))

    def dense(self, name: str, states: str) -> str:
        """Return states @ kernel + bias, shape (tokens, units)."""
        graph, kernel, bias = self.graph, f"{name}.kernel", f"{name}.bias"
        if self.constants[kernel].dtype != np.int8:
            return graph.node("Gemm", states, kernel, bias)
        largest = graph.node("ReduceMax", graph.node("Abs", states), graph.ints(1), keepdims=0)  # (tokens,)
        scale = graph.node("Max", graph.node("Mul", largest, self.float(1 / MAX_INT8)), self.float(TINY))
        rounded = graph.node("QuantizeLinear", states, scale, self.zero_points, axis=0)  # uint8, (tokens, inputs)
        product = graph.node("MatMulInteger", rounded, graph.stored_weight(kernel), self.zero_point)
        # the scale of the tokens in the same pass as the conversion from int32
        product = graph.node("DequantizeLinear", product, scale, axis=0)  # (tokens, units)
        return graph.node("Add", graph.node("Mul", product, kernel + SCALE), bias)

    def norm(self, name: str, states: str) -> str:
        """Return the states with mean 0 and variance 1, times gamma, plus beta (Ba et al. 2016)."""
        weights = f"{name}.gamma", f"{name}.beta"
        return self.graph.node("LayerNormalization", states, *weights, axis=1, epsilon=self.epsilon)

    def gelu(self, values: str) -> str:
        """Return values * P(Z <= values) for a standard normal Z (Hendrycks and Gimpel 2016), as ONNX Runtime fuses."""
        graph = self.graph
        erf = graph.node("Erf", graph.node("Div", values, self.float(2**0.5)))
        return graph.node("Mul", graph.node("Mul", values, graph.node("Add", erf, self.float(1))), self.float(0.5))

    def pool(self, states: str) -> str:
        """Return one vector a text, shape (batch, hidden)."""
        graph = self.graph
        shape = graph.node("Concat", self.shape, graph.ints(self.hidden), axis=0)
        states = graph.node("Reshape", states, shape)  # (batch, width, hidden)
        if self.pooling == "first":
            return graph.node(
                "Squeeze", graph.node("Slice", states, graph.ints(0), graph.ints(1), graph.ints(1)), graph.ints(1)
            )
        present = graph.node("Cast", graph.node("Not", self.padded), to=graph.FLOAT)  # (batch, width)
        shown = graph.node("Where", graph.node("Unsqueeze", self.padded, graph.ints(2)), self.float(0), states)
        total = graph.node("ReduceSum", shown, graph.ints(1), keepdims=0)  # (batch, hidden)
        return graph.node("Div", total, graph.node("ReduceSum", present, graph.ints(1), keepdims=1))
