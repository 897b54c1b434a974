"""The sizes of a pretrained encoder, and the names and shapes of its weights."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

PoolingOfPieces = Literal["mean", "first"]
"""How the vectors of a text's pieces become one: their mean, or that of the first piece."""


MAX_HEADS, MAX_POSITIONS = 64, 8192
"""Limits of what is read: with more, a single text could take all memory."""


class EncoderSizes(NamedTuple):
    """All that shapes the network of a pretrained encoder, whatever its family."""

    pieces: int
    """Rows of the table of pieces."""
    positions: int
    """Rows of the table of positions: the most pieces of a text that it can read."""
    hidden: int
    """Dimensions of the vector of a piece; a multiple of `heads`."""
    layers: int
    """Layers, each of attention and a feed-forward network."""
    heads: int
    """Heads of the attention of a layer."""
    intermediate: int
    """Units of the feed-forward network of a layer."""
    epsilon: float
    """Added to the variance in each layer normalisation."""
    pooling: PoolingOfPieces


class EncoderWeights(NamedTuple):
    """A pretrained encoder: its sizes and its weights."""

    sizes: EncoderSizes
    weights: Mapping[str, npt.NDArray[np.float32]] | None
    """By the names of `encoder_weight_shapes`; None: random ones."""


def encoder_weight_shapes(sizes: EncoderSizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of an encoder, in the order of its network, without the layer of the logits.

    Kernels have shape (inputs, outputs). The vector of token type 0, which every piece has in a single text, is part
    of the table of positions.
    """
    hidden, intermediate = sizes.hidden, sizes.intermediate
    shapes: dict[str, tuple[int, ...]] = {
        "pieces": (sizes.pieces, hidden),
        "positions": (sizes.positions, hidden),
        "norm.gamma": (hidden,),
        "norm.beta": (hidden,),
    }
    for layer in range(1, sizes.layers + 1):
        name = f"layer_{layer}"
        for part in ("query", "key", "value", "attention"):
            shapes |= {f"{name}.{part}.kernel": (hidden, hidden), f"{name}.{part}.bias": (hidden,)}
        shapes |= {f"{name}.attention_norm.gamma": (hidden,), f"{name}.attention_norm.beta": (hidden,)}
        shapes |= {f"{name}.intermediate.kernel": (hidden, intermediate), f"{name}.intermediate.bias": (intermediate,)}
        shapes |= {f"{name}.output.kernel": (intermediate, hidden), f"{name}.output.bias": (hidden,)}
        shapes |= {f"{name}.output_norm.gamma": (hidden,), f"{name}.output_norm.beta": (hidden,)}
    return shapes


def weight_count(sizes: EncoderSizes) -> int:
    """Return the number of weights of an encoder, without the layer of the logits."""
    return sum(map(math.prod, encoder_weight_shapes(sizes).values()))
