"""A trained bag-of-words network with fewer words, dimensions and units."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.shrinking import Sizes, fewer_words, principal_axes, strongest

Array = npt.NDArray[Any]


def shrink_mlp(options: Any, weights: Mapping[str, Array], sizes: Sizes) -> tuple[Any, dict[str, Array]]:
    """Options and weights of the smaller network; names and order of the weights as `mlp.mlp_weights` has them.

    The columns of the table are the word vectors' dimensions, of which the principal ones stay, or the units of the
    first hidden layer. Units go from which the smallest weights go out. The buckets of the pairs stay.
    """
    left = {name: fewer_words(weights[name], sizes) for name in ("embedding", "idf") if name in weights}
    axes = np.eye(options.embedding_dim, dtype=np.float32)
    if "hidden_1.kernel" in weights:
        axes = principal_axes(weights["embedding"], sizes.counts, sizes.of(options.embedding_dim))
        left["embedding"] = left["embedding"] @ axes
    hidden: list[int] = []
    inputs: Array = axes.T
    for layer in range(1, len(options.hidden) + 1):
        after = weights.get(f"hidden_{layer + 1}.kernel", weights["logits.kernel"])
        units = strongest(after, sizes.of(options.hidden[layer - 1]))
        if layer > 1 or "hidden_1.kernel" in weights:
            kernel = weights[f"hidden_{layer}.kernel"]
            left[f"hidden_{layer}.kernel"] = (inputs @ kernel if layer == 1 else kernel[inputs])[:, units]
        else:
            left["embedding"] = left["embedding"][:, units]
        left[f"hidden_{layer}.bias"] = weights[f"hidden_{layer}.bias"][..., units]
        hidden, inputs = [*hidden, len(units)], units
    left |= {"logits.kernel": weights["logits.kernel"][inputs], "logits.bias": weights["logits.bias"]}
    ordered = {name: left[name] for name in weights}
    return replace(options, pretrained=None, embedding_dim=axes.shape[1], hidden=hidden), ordered
