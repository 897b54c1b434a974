"""The linear part of a blend as an ONNX graph; see `network` for what it computes.

A map of the graph (names as in the code):

    rows       (batch, grams)         table rows of a text's words, then of its n-grams; 0 if they are no feature
    weights    (batch, grams)         TF-IDF of each distinct row, not yet scaled to length 1
    scores     (batch, outputs)       sum over the rows of weight * table[row], scaled, + bias
    logits     (batch, outputs)       the scores, or their log sigmoids
"""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from textclf.models.architecture import Activation, Constants, Metadata, Shape
from textclf.models.hashing import PRIME
from textclf.models.linear.gram_table import GROUP_FACTORS, LONGEST, SLOT_FACTORS, GramTable
from textclf.models.linear.network import TINY, linear_weights, longest_ngram
from textclf.models.onnx.bag_of_words import length, tfidf, weighted_sum
from textclf.models.onnx.graph import ForeignGraph, Graph, check_arrays

if TYPE_CHECKING:
    import keras


def graph_constants(network: keras.Model) -> tuple[Constants, Metadata]:
    """Return the constants and the metadata of the graph of a trained network."""
    constants = linear_weights(network)
    for name in ("bias", *GramTable._fields):
        if name in constants:
            constants[name] = constants[name].reshape(-1)
    return constants, {"ngrams": str(longest_ngram(network))}


def check_constants(shape: Shape, constants: Constants, metadata: Metadata) -> tuple[Constants, Metadata]:
    """Check the constants and the metadata read from a file; return those that `write_logits` needs.

    Whatever numbers the displacements and fingerprints hold, each n-gram gets a row that the table has.

    Raises:
        ForeignGraph: they do not fit each other or the shape.
    """
    ngrams = metadata.get("ngrams", "")
    if not re.fullmatch(f"[1-{LONGEST}]", ngrams):
        raise ForeignGraph(f"its ngrams are {ngrams!r:.60}, no whole number from 1 to {LONGEST}")
    names = GramTable._fields if ngrams != "1" else ()
    integers = {name: (constants[name].size,) for name in names if name in constants}
    missing = [name for name in names if name not in constants]
    if missing:
        raise ForeignGraph(f"its constant '{missing[0]}' is missing")
    rows = shape.vocabulary + sum(integers.get("fingerprints", ()))
    floats = {"table": (rows, shape.outputs), "idf": (rows, 1), "bias": (shape.outputs,)}
    return check_arrays(constants, floats, integers), {"ngrams": ngrams}


def write_logits(graph: Graph, constants: Constants, metadata: Metadata, *, activation: Activation) -> str:
    """Write the network into a graph that has the constants; return the name of the logits, shape (batch, outputs)."""
    rows = "token_ids"
    if metadata["ngrams"] != "1":
        rows = graph.node("Concat", "token_ids", _gram_rows(graph, constants, int(metadata["ngrams"])), axis=1)
    rows, weights = tfidf(graph, rows)  # (batch, grams) each
    scale = graph.node("Max", length(graph, weights), graph.constant(np.array([TINY], np.float32)))  # (batch, 1)
    scores = graph.node("Add", graph.node("Div", weighted_sum(graph, "table", rows, weights), scale), "bias")
    return scores if activation == "sigmoid" else _log_sigmoid(graph, scores)


def _log_sigmoid(graph: Graph, scores: str) -> str:
    """Return ln(1 / (1 + exp(-scores))); see `network._log_sigmoid`. ONNX Runtime's Softplus takes twice as long."""
    power = graph.node("Exp", graph.node("Neg", graph.node("Abs", scores)))
    logarithm = graph.node("Log", graph.node("Add", power, graph.constant(np.ones(1, np.float32))))
    return graph.node("Sub", graph.node("Min", scores, graph.constant(np.zeros(1, np.float32))), logarithm)


def _gram_rows(graph: Graph, constants: Constants, ngrams: int) -> str:
    """Return the table row of each n-gram, 0 for those that the table does not have; see `network._gram_rows`."""
    groups, slots = len(constants["displacements"]), len(constants["fingerprints"])
    vocabulary = len(constants["table"]) - slots
    ids = graph.node("Cast", "token_ids", to=graph.INT64)  # (batch, width)
    windows = [_window(graph, ids, words) for words in range(2, ngrams + 1)]
    group_hash, slot_hash = (
        _joined(graph, [_hash(graph, window, factors) for window in windows])  # (batch, grams)
        for factors in (GROUP_FACTORS, SLOT_FACTORS)
    )
    cut_short = _joined(graph, [graph.node("Equal", window[-1], graph.ints(0)) for window in windows])
    group = graph.node("Mod", group_hash, graph.ints(groups))
    displacement = graph.node("Cast", graph.node("Gather", "displacements", group, axis=0), to=graph.INT64)
    product = graph.node("Mod", graph.node("Mul", slot_hash, displacement), graph.ints(PRIME))
    slot = graph.node("Mod", product, graph.ints(slots))  # (batch, grams)
    fingerprint = graph.node("Cast", graph.node("Gather", "fingerprints", slot, axis=0), to=graph.INT64)
    known = graph.node("And", graph.node("Equal", fingerprint, group_hash), graph.node("Not", cut_short))
    rows = graph.node("Where", known, graph.node("Add", slot, graph.ints(vocabulary)), graph.ints(0))
    return graph.node("Cast", rows, to=graph.INT32)


def _window(graph: Graph, ids: str, words: int) -> list[str]:
    """Return the first, second, ... token id of each n-gram of so many words, shape (batch, width - words + 1) each."""
    ends = [*range(1 - words, 0), np.iinfo(np.int64).max]
    return [
        graph.node("Slice", ids, graph.ints(start), graph.ints(end), graph.ints(1)) for start, end in enumerate(ends)
    ]


def _hash(graph: Graph, ids: list[str], factors: tuple[int, ...]) -> str:
    """Return the hashes of n-grams; see `hashing.hash_ids`."""
    products = [graph.node("Mul", part, graph.ints(factor)) for part, factor in zip(ids, factors, strict=False)]
    return graph.node("Mod", reduce(lambda left, right: graph.node("Add", left, right), products), graph.ints(PRIME))


def _joined(graph: Graph, parts: list[str]) -> str:
    return graph.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
