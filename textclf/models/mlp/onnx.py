"""The trained bag-of-words network as an ONNX graph, exact to rounding and quick on a CPU."""

from collections.abc import Mapping
from itertools import count, pairwise

import numpy as np

from textclf.models.architecture import Constants, Floats
from textclf.models.mlp.features import FACTORS, PRIME
from textclf.models.onnx.graph import ForeignGraph, Graph


def write_mlp(graph: Graph, constants: Constants, *, features: str, buckets: int) -> str:
    """The name of the logits, shape (batch, outputs), that the graph has from token_ids.

    Args:
        constants: those of the graph, from `graph_constants`. Only their shapes are looked at.
        buckets: of pairs of words; 0: no pairs.
    """
    grams = _with_pairs(graph, len(constants["embedding"]) - buckets, buckets) if buckets else "token_ids"
    hidden = FEATURES[features](graph, grams)
    for layer in range(1, _layers(constants) + 1):
        kernel, bias = f"hidden_{layer}.kernel", f"hidden_{layer}.bias"
        product = graph.node("Gemm", hidden, kernel, bias) if kernel in constants else graph.node("Add", hidden, bias)
        hidden = graph.node("Relu", product)
    return graph.node("Gemm", hidden, "logits.kernel", "logits.bias")


def graph_constants(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """The constants of the graph, from weights as `mlp.mlp_weights` names them.

    What padding reads is 0, so that nothing needs to leave it out.
    """
    constants = dict(weights)
    for name in ("embedding", "idf"):
        if name in weights:
            constants[name] = np.concatenate([np.zeros_like(weights[name][:1]), weights[name][1:]])
    for layer in range(1, sum(name.startswith("hidden_") for name in weights) + 1):
        if f"hidden_{layer}.bias" in constants:  # that of a first layer which is no Dense one has a row of its own
            constants[f"hidden_{layer}.bias"] = constants[f"hidden_{layer}.bias"].reshape(-1)
    return constants


def constant_shapes(constants: Constants, *, rows: int, outputs: int, features: str) -> dict[str, tuple[int, ...]]:
    """The shape of each constant of a graph with as many layers and units as these have.

    Raises:
        ForeignGraph: they do not say how many.
    """
    units = [constants[f"hidden_{layer}.bias"].size for layer in range(1, _layers(constants) + 1)]
    if not units or "embedding" not in constants or constants["embedding"].ndim != 2:
        raise ForeignGraph("its constants 'embedding' and 'hidden_1.bias' are missing or of another kind")
    inputs = [constants["embedding"].shape[1], *units]
    shapes: dict[str, tuple[int, ...]] = {"embedding": (rows, inputs[0]), "logits.bias": (outputs,)}
    shapes["logits.kernel"] = (units[-1], outputs)
    for layer, (before, after) in enumerate(pairwise(inputs), start=1):
        shapes[f"hidden_{layer}.bias"] = (after,)
        if layer > 1 or features == "embedding":
            shapes[f"hidden_{layer}.kernel"] = (before, after)
    return shapes | ({"idf": (rows, 1)} if features == "tfidf" else {})


def _layers(constants: Constants) -> int:
    """How many hidden layers have their numbers one after the other."""
    return next(layer for layer in count(1) if f"hidden_{layer}.bias" not in constants) - 1


def _with_pairs(graph: Graph, vocabulary: int, buckets: int) -> str:
    """The rows of the words and, behind them, of the pairs, shape (batch, 2 * width - 1); see `grams.bucket`."""
    ids = graph.node("Cast", "token_ids", to=graph.INT64)
    left = graph.node("Slice", ids, graph.ints(0), graph.ints(-1), graph.ints(1))
    right = graph.node("Slice", ids, graph.ints(1), graph.ints(np.iinfo(np.int64).max), graph.ints(1))
    products = [
        graph.node("Mul", part, graph.ints(factor)) for part, factor in zip((left, right), FACTORS, strict=True)
    ]
    hashed = graph.node("Mod", graph.node("Mod", graph.node("Add", *products), graph.ints(PRIME)), graph.ints(buckets))
    rows = graph.node("Add", hashed, graph.ints(vocabulary))
    padded = graph.node("Equal", right, graph.ints(0))
    pairs = graph.node("Cast", graph.node("Where", padded, graph.ints(0), rows), to=graph.INT32)
    return graph.node("Concat", "token_ids", pairs, axis=1)


def _count(graph: Graph, grams: str) -> str:
    """The sum of the rows, shape (batch, dimensions)."""
    return graph.node("ReduceSum", graph.node("Gather", "embedding", grams, axis=0), graph.ints(1), keepdims=0)


def _mean(graph: Graph, grams: str) -> str:
    inside = graph.node("Cast", graph.node("Cast", grams, to=graph.BOOL), to=graph.FLOAT)
    return graph.node("Div", _count(graph, grams), graph.node("ReduceSum", inside, graph.ints(1), keepdims=1))


def _binary(graph: Graph, grams: str) -> str:
    ordered = _ordered(graph, grams)
    return _weighted(graph, ordered, graph.node("Cast", _begins(graph, ordered), to=graph.FLOAT))


def _tfidf(graph: Graph, grams: str) -> str:
    """The rows by (1 + ln count) * idf, each text's weights scaled to length 1."""
    ordered = _ordered(graph, grams)
    shape = graph.node("Shape", ordered)
    size = graph.node("ReduceProd", shape)
    begins = graph.node("NonZero", graph.node("Reshape", _begins(graph, ordered), graph.ints(-1)))
    begins = graph.node("Reshape", begins, graph.ints(-1))
    after = graph.node("Slice", begins, graph.ints(1), graph.ints(np.iinfo(np.int64).max), graph.ints(0))
    counts = graph.node("Sub", graph.node("Concat", after, size, axis=0), begins)
    logarithm = graph.node("Log", graph.node("Cast", counts, to=graph.FLOAT))
    frequency = graph.node("Add", logarithm, graph.constant(np.ones(1, np.float32)))
    distinct = graph.node("Gather", graph.node("Reshape", ordered, graph.ints(-1)), begins, axis=0)
    idf = graph.node("Reshape", graph.node("Gather", "idf", distinct, axis=0), graph.ints(-1))
    none = graph.node("ConstantOfShape", size)
    values = graph.node("ScatterElements", none, begins, graph.node("Mul", frequency, idf), axis=0)
    values = graph.node("Reshape", values, shape)
    length = graph.node("ReduceL2", values, graph.ints(1), keepdims=1)
    return graph.node("Div", _weighted(graph, ordered, values), length)


FEATURES = {"count": _count, "binary": _binary, "tfidf": _tfidf, "embedding": _mean}


def _ordered(graph: Graph, grams: str) -> str:
    """The grams of each text in order, so that equal ones stand together, padding first."""
    width = graph.node("Shape", grams, start=1)
    return graph.nodes("TopK", grams, width, outputs=2, axis=1, largest=0, sorted=1)[0]


def _begins(graph: Graph, ordered: str) -> str:
    """Where a run of equal grams begins, shape (batch, grams); padding is a run too."""
    before = graph.node("Slice", ordered, graph.ints(0), graph.ints(-1), graph.ints(1))
    before = graph.node("Pad", before, graph.ints(0, 1, 0, 0), graph.ids(-1))
    return graph.node("Not", graph.node("Equal", ordered, before))


def _weighted(graph: Graph, grams: str, weights: str) -> str:
    """The sum of the rows of the table, each by its weight, shape (batch, dimensions)."""
    vectors = graph.node("Gather", "embedding", grams, axis=0)
    product = graph.node("MatMul", graph.node("Unsqueeze", weights, graph.ints(1)), vectors)
    return graph.node("Squeeze", product, graph.ints(1))
