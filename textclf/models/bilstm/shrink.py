"""A trained BiLSTM with fewer words, dimensions and units."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.shrinking import Sizes, fewer_words, principal_axes, strongest

Array = npt.NDArray[Any]

DIRECTIONS = ("forward", "backward")

GATES = 4


def shrink_bilstm(options: Any, weights: Mapping[str, Array], sizes: Sizes) -> tuple[Any, dict[str, Array]]:
    """Options and weights of the smaller network; names and order of the weights as `bilstm.bilstm_weights` has them.

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
    return replace(options, pretrained=None, embedding_dim=axes.shape[1], units=units), left


def _kept(weights: Mapping[str, Array], layer: int, direction: str, options: Any, count: int) -> npt.NDArray[np.int64]:
    """The units that stay in a direction of a layer."""
    if layer < options.layers:
        readers = [weights[f"bilstm_{layer + 1}.{other}.kernel"] for other in DIRECTIONS]
    else:
        readers = np.split(weights["dense.kernel"], len(weights["dense.kernel"]) // (2 * options.units))
    begin = options.units * DIRECTIONS.index(direction)
    of_units = [reader[begin : begin + options.units] for reader in readers]
    return strongest(np.concatenate([weights[f"bilstm_{layer}.{direction}.recurrent"], *of_units], axis=1), count)
