"""The trained bag-of-words network as an ONNX graph, exact to rounding and fast on a CPU.

A map of the graph (names as in the code; D columns of the table, H units of a hidden layer):

    rows       (batch, grams)         row numbers of a text's words, then of its word pairs
    weights    (batch, grams)         value of each feature: count, 1, 1 / words for the mean, or TF-IDF
    bag        (batch, D)             sum over the rows of weight * embedding[row]
    hidden     (batch, H)             relu(hidden @ kernel + bias); a first layer that is the bag has no kernel
    logits     (batch, outputs)       hidden @ logits.kernel + logits.bias

Row 0 is padding; its vector is 0 and adds nothing to the sum.
"""

from __future__ import annotations

import re
from itertools import count, pairwise
from typing import TYPE_CHECKING

import numpy as np

from textclf.models.architecture import Constants, Metadata, Shape
from textclf.models.hashing import PRIME
from textclf.models.mlp.features import FACTORS
from textclf.models.mlp.network import MlpOptions, mlp_weights
from textclf.models.onnx.bag_of_words import length, run_starts, sort_rows, tfidf, weighted_sum
from textclf.models.onnx.graph import ForeignGraph, Graph, check_arrays, choice

if TYPE_CHECKING:
    import keras


def graph_constants(options: MlpOptions, network: keras.Model) -> tuple[Constants, Metadata]:
    """Return the constants and the metadata of the graph of a trained network."""
    constants = mlp_weights(network)
    for name in ("embedding", "idf"):
        if name in constants:  # the row of padding
            constants[name] = np.concatenate([np.zeros_like(constants[name][:1]), constants[name][1:]])
    if "hidden_1.bias" in constants:  # shape (1, units) if the first layer is not Dense
        constants["hidden_1.bias"] = constants["hidden_1.bias"].reshape(-1)
    buckets = options.buckets if options.ngrams > 1 else 0
    return constants, {"features": options.features, "buckets": str(buckets)}


def check_constants(shape: Shape, constants: Constants, metadata: Metadata) -> tuple[Constants, Metadata]:
    """Check the constants and the metadata read from a file; return those that `write_logits` needs.

    Raises:
        ForeignGraph: they do not fit each other or the shape.
    """
    features, buckets = choice(metadata, "features", FEATURES), metadata.get("buckets", "")
    if not re.fullmatch("0|[1-9][0-9]{0,7}", buckets):
        raise ForeignGraph(f"its buckets are {buckets!r:.60}, no whole number below 100 million")
    shapes = _constant_shapes(constants, shape.vocabulary + int(buckets), shape.outputs, features)
    return check_arrays(constants, shapes), {"features": features, "buckets": buckets}


def _constant_shapes(constants: Constants, table_rows: int, outputs: int, features: str) -> dict[str, tuple[int, ...]]:
    """Return the shape that each constant must have, with the layers and units that these constants have.

    Raises:
        ForeignGraph: the numbers of layers and units cannot be read from them.
    """
    units = [constants[f"hidden_{layer}.bias"].size for layer in range(1, _layers(constants) + 1)]
    if not units or "embedding" not in constants or constants["embedding"].ndim != 2:
        raise ForeignGraph("its constants 'embedding' and 'hidden_1.bias' are missing or of another kind")
    inputs = [constants["embedding"].shape[1], *units]
    shapes: dict[str, tuple[int, ...]] = {"embedding": (table_rows, inputs[0]), "logits.bias": (outputs,)}
    shapes["logits.kernel"] = (units[-1], outputs)
    for layer, (before, after) in enumerate(pairwise(inputs), start=1):
        shapes[f"hidden_{layer}.bias"] = (after,)
        if layer > 1 or features == "embedding":
            shapes[f"hidden_{layer}.kernel"] = (before, after)
    return shapes | ({"idf": (table_rows, 1)} if features == "tfidf" else {})


def _layers(constants: Constants) -> int:
    """Return the number of hidden layers, which are numbered from 1 without a gap."""
    return next(layer for layer in count(1) if f"hidden_{layer}.bias" not in constants) - 1


def write_logits(graph: Graph, constants: Constants, metadata: Metadata) -> str:
    """Write the network into a graph that has the constants; return the name of the logits, shape (batch, outputs)."""
    buckets = int(metadata["buckets"])
    rows = _with_pairs(graph, len(constants["embedding"]) - buckets, buckets) if buckets else "token_ids"
    hidden = FEATURES[metadata["features"]](graph, rows)  # (batch, dimensions)
    for layer in range(1, _layers(constants) + 1):
        kernel, bias = f"hidden_{layer}.kernel", f"hidden_{layer}.bias"
        product = graph.node("Gemm", hidden, kernel, bias) if kernel in constants else graph.node("Add", hidden, bias)
        hidden = graph.node("Relu", product)  # (batch, units)
    return graph.node("Gemm", hidden, "logits.kernel", "logits.bias")


def _with_pairs(graph: Graph, vocabulary: int, buckets: int) -> str:
    """Return the table rows of words and pairs, shape (batch, 2 * width - 1); see `features.bucket`."""
    ids = graph.node("Cast", "token_ids", to=graph.INT64)  # (batch, width)
    left = graph.node("Slice", ids, graph.ints(0), graph.ints(-1), graph.ints(1))  # (batch, width - 1)
    right = graph.node("Slice", ids, graph.ints(1), graph.ints(np.iinfo(np.int64).max), graph.ints(1))
    products = [
        graph.node("Mul", part, graph.ints(factor)) for part, factor in zip((left, right), FACTORS, strict=True)
    ]
    hashed = graph.node("Mod", graph.node("Mod", graph.node("Add", *products), graph.ints(PRIME)), graph.ints(buckets))
    rows = graph.node("Add", hashed, graph.ints(vocabulary))
    padded = graph.node("Equal", right, graph.ints(0))
    pairs = graph.node("Cast", graph.node("Where", padded, graph.ints(0), rows), to=graph.INT32)
    return graph.node("Concat", "token_ids", pairs, axis=1)


def _count(graph: Graph, rows: str) -> str:
    """Return the sum of the vectors, shape (batch, dimensions)."""
    return graph.node("ReduceSum", graph.node("Gather", "embedding", rows, axis=0), graph.ints(1), keepdims=0)


def _mean(graph: Graph, rows: str) -> str:
    """Return the mean of the vectors, padding left out, shape (batch, dimensions)."""
    present = graph.node("Cast", graph.node("Cast", rows, to=graph.BOOL), to=graph.FLOAT)  # (batch, grams)
    return graph.node("Div", _count(graph, rows), graph.node("ReduceSum", present, graph.ints(1), keepdims=1))


def _binary(graph: Graph, rows: str) -> str:
    """Return the sum of the vectors of distinct rows, shape (batch, dimensions)."""
    ordered = sort_rows(graph, rows)
    return weighted_sum(graph, "embedding", ordered, graph.node("Cast", run_starts(graph, ordered), to=graph.FLOAT))


def _tfidf(graph: Graph, rows: str) -> str:
    """Return the TF-IDF weighted sum of the vectors; see `bag_of_words.tfidf`, shape (batch, dimensions)."""
    ordered, weights = tfidf(graph, rows)  # (batch, grams)
    scale = length(graph, weights)  # (batch, 1)
    return graph.node("Div", weighted_sum(graph, "embedding", ordered, weights), scale)


FEATURES = {"count": _count, "binary": _binary, "tfidf": _tfidf, "embedding": _mean}
