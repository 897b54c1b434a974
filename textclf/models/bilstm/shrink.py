"""A trained BiLSTM with fewer words, dimensions and units."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.architecture import Shape
from textclf.models.shrinking import Sizes, fewer_words, principal_axes, strongest

Array = npt.NDArray[Any]

DIRECTIONS = ("forward", "backward")

GATES = 4


def smaller_bilstm(options: Any, sizes: Sizes) -> Any:
    """Return the options of the smaller network."""
    dimensions, units = sizes.of(options.embedding_dim), sizes.of(options.units)
    return replace(options, pretrained=None, embedding_dim=dimensions, units=units)


def bilstm_weight_shapes(options: Any, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network, by the names of `bilstm_weights`."""
    units, inputs = options.units, options.embedding_dim
    shapes: dict[str, tuple[int, ...]] = {"embedding": (shape.vocabulary, inputs)}
    for layer in range(1, options.layers + 1):
        for direction in DIRECTIONS:
            shapes[f"bilstm_{layer}.{direction}.kernel"] = (inputs, GATES * units)
            shapes[f"bilstm_{layer}.{direction}.recurrent"] = (units, GATES * units)
            shapes[f"bilstm_{layer}.{direction}.bias"] = (GATES * units,)
        inputs = 2 * units
    pooled = inputs * (2 if options.pooling == "max_mean" else 1)
    return shapes | {"dense.kernel": (pooled, shape.outputs), "dense.bias": (shape.outputs,)}


def shrink_bilstm(options: Any, weights: Mapping[str, Array], sizes: Sizes) -> dict[str, Array]:
    """Return the weights of the smaller network, named and ordered as by `bilstm_weights`.

    Word vectors are turned to their principal axes, the last of which go. Units go from which the smallest weights go
    out, to the next layer and to the units of their own.
    """
    axes = principal_axes(weights["embedding"], sizes.counts, sizes.of(options.embedding_dim))
    left = {"embedding": fewer_words(weights["embedding"], sizes) @ axes}
    inputs, units = axes.T, sizes.of(options.units)
    for layer in range(1, options.layers + 1):
        kept = [_kept(weights, layer, direction, options, units) for direction in DIRECTIONS]
        for direction, own in zip(DIRECTIONS, kept, strict=True):
            name = f"bilstm_{layer}.{direction}"
            columns = (own + options.units * np.arange(GATES)[:, None]).ravel()
            kernel = weights[f"{name}.kernel"]
            left[f"{name}.kernel"] = (inputs @ kernel if layer == 1 else kernel[inputs])[:, columns]
            left[f"{name}.recurrent"] = weights[f"{name}.recurrent"][own][:, columns]
            left[f"{name}.bias"] = weights[f"{name}.bias"][columns]
        inputs = np.concatenate([kept[0], options.units + kept[1]])
    pools = len(weights["dense.kernel"]) // (2 * options.units)
    rows = (inputs + 2 * options.units * np.arange(pools)[:, None]).ravel()
    left |= {"dense.kernel": weights["dense.kernel"][rows], "dense.bias": weights["dense.bias"]}
    return left


def _kept(weights: Mapping[str, Array], layer: int, direction: str, options: Any, count: int) -> npt.NDArray[np.int64]:
    """The units that stay in a direction of a layer."""
    if layer < options.layers:
        readers = [weights[f"bilstm_{layer + 1}.{other}.kernel"] for other in DIRECTIONS]
    else:
        readers = np.split(weights["dense.kernel"], len(weights["dense.kernel"]) // (2 * options.units))
    begin = options.units * DIRECTIONS.index(direction)
    of_units = [reader[begin : begin + options.units] for reader in readers]
    return strongest(np.concatenate([weights[f"bilstm_{layer}.{direction}.recurrent"], *of_units], axis=1), count)
