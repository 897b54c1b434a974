"""A trained bag-of-words network with fewer words, dimensions and units."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.architecture import Shape
from textclf.models.shrinking import Sizes, fewer_words, principal_axes, strongest

Array = npt.NDArray[Any]


def smaller_mlp(options: Any, sizes: Sizes) -> Any:
    """Return the options of the smaller network."""
    dimensions = sizes.of(options.embedding_dim) if options.features == "embedding" else options.embedding_dim
    hidden = [sizes.of(units) for units in options.hidden]
    return replace(options, pretrained=None, embedding_dim=dimensions, hidden=hidden)


def mlp_weight_shapes(options: Any, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network, by the names of `mlp_weights`."""
    rows = shape.vocabulary + options.buckets * (options.ngrams - 1)
    of_vectors = options.features == "embedding"
    inputs = options.embedding_dim if of_vectors else options.hidden[0]
    shapes: dict[str, tuple[int, ...]] = {"embedding": (rows, inputs)}
    if options.features == "tfidf":
        shapes["idf"] = (rows, 1)
    for layer, units in enumerate(options.hidden, start=1):
        if layer > 1 or of_vectors:
            shapes[f"hidden_{layer}.kernel"] = (inputs, units)
        shapes[f"hidden_{layer}.bias"] = (units,) if layer > 1 or of_vectors else (1, units)
        inputs = units
    return shapes | {"logits.kernel": (inputs, shape.outputs), "logits.bias": (shape.outputs,)}


def shrink_mlp(options: Any, weights: Mapping[str, Array], sizes: Sizes) -> dict[str, Array]:
    """Return the weights of the smaller network, named and ordered as by `mlp_weights`.

    The columns of the table are the word vectors' dimensions, of which the principal ones stay, or the units of the
    first hidden layer. Units go from which the smallest weights go out. The buckets of the pairs stay.
    """
    left = {name: fewer_words(weights[name], sizes) for name in ("embedding", "idf") if name in weights}
    axes = np.eye(options.embedding_dim, dtype=np.float32)
    if "hidden_1.kernel" in weights:
        axes = principal_axes(weights["embedding"], sizes.counts, sizes.of(options.embedding_dim))
        left["embedding"] = left["embedding"] @ axes
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
        inputs = units
    left |= {"logits.kernel": weights["logits.kernel"][inputs], "logits.bias": weights["logits.bias"]}
    return {name: left[name] for name in weights}
