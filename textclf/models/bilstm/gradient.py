"""The trained BiLSTM in NumPy, forwards and backwards: logits, and their gradient by the word vectors that it reads.

Only single texts without padding pass through, many versions of one side by side, as explaining a text asks for. The
weights have the names of `models.bilstm_weights`; gates stand in the order i, f, o, c, as in the ONNX graph.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Weights = Mapping[str, Array]


class _Steps(NamedTuple):
    """What a layer in one direction computed, for the way back; shape (width, batch, units) each but the gates."""

    gates: Array
    """After their sigmoid: input, forget, output; shape (width, batch, 3 * units)."""
    g: Array
    """What a step has to add to the cell."""
    c: Array
    squashed: Array
    """tanh(c)."""
    h: Array


def bilstm_forward(weights: Weights, vectors: Array, *, pooling: str) -> tuple[Array, Callable[[Array], Array]]:
    """The logits, shape (batch, outputs), and what gives from a gradient by them that by the vectors.

    Args:
        vectors: what stands for the words of the text, shape (batch, width, dimensions).
    """
    inputs = vectors.transpose(1, 0, 2)
    layers = sum(name.endswith("forward.kernel") for name in weights)
    passes = []
    for layer in range(1, layers + 1):
        forward = _run(weights, f"bilstm_{layer}.forward", inputs)
        backward = _run(weights, f"bilstm_{layer}.backward", inputs[::-1])
        passes.append((forward, backward))
        inputs = np.concatenate([forward.h, backward.h[::-1]], axis=2)
    pooled, spread = _pool(passes[-1][0].h, passes[-1][1].h, pooling)
    logits = pooled @ weights["dense.kernel"] + weights["dense.bias"]

    def back(d_logits: Array) -> Array:
        d_forward, d_backward = spread(d_logits @ weights["dense.kernel"].T)
        for layer in range(layers, 0, -1):
            forward, backward = passes[layer - 1]
            d_inputs = _run_back(weights, f"bilstm_{layer}.forward", forward, d_forward)
            d_inputs = d_inputs + _run_back(weights, f"bilstm_{layer}.backward", backward, d_backward)[::-1]
            units = d_inputs.shape[2] // 2
            d_forward, d_backward = d_inputs[:, :, :units], d_inputs[::-1, :, units:]
        return d_inputs.transpose(1, 0, 2)

    return logits, back


def _run(weights: Weights, name: str, inputs: Array) -> _Steps:
    """All steps over the inputs, shape (width, batch, dimensions), in the order in which they are read."""
    recurrent = weights[f"{name}.recurrent"]
    products = inputs @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]
    units = len(recurrent)
    h = c = np.zeros((inputs.shape[1], units), products.dtype)
    steps = []
    for product in products:
        z = product + h @ recurrent
        gates, g = _sigmoid(z[:, : 3 * units]), np.tanh(z[:, 3 * units :])
        i, f, o = gates[:, :units], gates[:, units : 2 * units], gates[:, 2 * units :]
        c = f * c + i * g
        squashed = np.tanh(c)
        h = o * squashed
        steps.append((gates, g, c, squashed, h))
    return _Steps(*map(np.stack, zip(*steps, strict=True)))


def _run_back(weights: Weights, name: str, steps: _Steps, d_states: Array) -> Array:
    """The gradient by the inputs, given that by the states, each in the order in which they are read."""
    recurrent = weights[f"{name}.recurrent"].T
    units = recurrent.shape[1]
    d_products = np.empty((*d_states.shape[:2], 4 * units), d_states.dtype)
    d_h = d_c = np.zeros_like(d_states[0])
    slopes = steps.gates * (1 - steps.gates)
    d_g, d_squashed = 1 - steps.g**2, 1 - steps.squashed**2
    for step in range(len(d_states) - 1, -1, -1):
        i, f, o = np.split(steps.gates[step], 3, axis=1)
        d_h = d_h + d_states[step]
        d_c = d_c + d_h * o * d_squashed[step]
        d_product = d_products[step]
        d_product[:, :units] = d_c * steps.g[step]
        d_product[:, units : 2 * units] = d_c * steps.c[step - 1] if step else 0
        d_product[:, 2 * units : 3 * units] = d_h * steps.squashed[step]
        d_product[:, : 3 * units] *= slopes[step]
        d_product[:, 3 * units :] = d_c * i * d_g[step]
        d_h = d_product @ recurrent
        d_c = d_c * f
    return d_products @ weights[f"{name}.kernel"].T


def _pool(forward: Array, backward: Array, pooling: str) -> tuple[Array, Any]:
    """One vector a text, shape (batch, n), and what spreads its gradient over the states of both directions."""
    width, batch, units = forward.shape
    if pooling == "last":

        def spread_last(d_pooled: Array) -> tuple[Array, Array]:
            d_forward, d_backward = np.zeros_like(forward), np.zeros_like(backward)
            d_forward[-1], d_backward[-1] = d_pooled[:, :units], d_pooled[:, units:]
            return d_forward, d_backward

        return np.concatenate([forward[-1], backward[-1]], axis=1), spread_last
    states = np.concatenate([forward, backward[::-1]], axis=2)
    kinds = [kind for kind in ("max", "mean") if kind in pooling]
    pooled = np.concatenate([getattr(states, kind)(axis=0) for kind in kinds], axis=1)
    largest = states.argmax(axis=0)

    def spread(d_pooled: Array) -> tuple[Array, Array]:
        d_states = np.zeros_like(states)
        for kind, part in zip(kinds, np.split(d_pooled, len(kinds), axis=1), strict=True):
            if kind == "mean":
                d_states += part / width
            else:
                rows, places = np.ogrid[:batch, : 2 * units]
                d_states[largest, rows, places] += part
        return d_states[:, :, :units], d_states[::-1, :, units:]

    return pooled, spread


def _sigmoid(values: Array) -> Array:
    return np.tanh(values * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
