"""A text as a weighted sum of rows of a table, in ONNX; see `textclf.models.bag_of_words`."""

import numpy as np

from textclf.models.onnx.graph import Graph


def sort_rows(graph: Graph, rows: str) -> str:
    """Sort the rows of each text, so that equal ones are neighbours; padding comes first."""
    width = graph.node("Shape", rows, start=1)
    return graph.nodes("TopK", rows, width, outputs=2, axis=1, largest=0, sorted=1)[0]


def run_starts(graph: Graph, ordered: str) -> str:
    """Return True where a run of equal rows starts, shape (batch, grams); padding is a run too."""
    before = graph.node("Slice", ordered, graph.ints(0), graph.ints(-1), graph.ints(1))
    before = graph.node("Pad", before, graph.ints(0, 1, 0, 0), graph.ids(-1))
    return graph.node("Not", graph.node("Equal", ordered, before))


def tfidf(graph: Graph, rows: str) -> tuple[str, str]:
    """Return the sorted rows and their TF-IDF weights, not yet scaled to length 1, shape (batch, grams) each.

    The idf of each row is the constant `idf`, shape (table rows, 1); that of padding is 0.
    """
    ordered = sort_rows(graph, rows)  # (batch, grams)
    shape = graph.node("Shape", ordered)
    size = graph.node("ReduceProd", shape)
    starts = graph.node("NonZero", graph.node("Reshape", run_starts(graph, ordered), graph.ints(-1)))
    starts = graph.node("Reshape", starts, graph.ints(-1))  # (runs,), index of each in the flattened rows
    after = graph.node("Slice", starts, graph.ints(1), graph.ints(np.iinfo(np.int64).max), graph.ints(0))
    counts = graph.node("Sub", graph.node("Concat", after, size, axis=0), starts)  # (runs,)
    logarithm = graph.node("Log", graph.node("Cast", counts, to=graph.FLOAT))
    frequency = graph.node("Add", logarithm, graph.constant(np.ones(1, np.float32)))
    distinct = graph.node("Gather", graph.node("Reshape", ordered, graph.ints(-1)), starts, axis=0)  # (runs,)
    idf = graph.node("Reshape", graph.node("Gather", "idf", distinct, axis=0), graph.ints(-1))
    zeros = graph.node("ConstantOfShape", size)
    weights = graph.node("ScatterElements", zeros, starts, graph.node("Mul", frequency, idf), axis=0)
    return ordered, graph.node("Reshape", weights, shape)  # 0 except where a run starts


def length(graph: Graph, weights: str) -> str:
    """Return the Euclidean length of the weights of each text, shape (batch, 1)."""
    return graph.node("ReduceL2", weights, graph.ints(1), keepdims=1)


def weighted_sum(graph: Graph, table: str, rows: str, weights: str) -> str:
    """Return the weighted sum of the rows of a table, shape (batch, dimensions)."""
    vectors = graph.node("Gather", table, rows, axis=0)  # (batch, grams, dimensions)
    product = graph.node("MatMul", graph.node("Unsqueeze", weights, graph.ints(1)), vectors)
    return graph.node("Squeeze", product, graph.ints(1))
