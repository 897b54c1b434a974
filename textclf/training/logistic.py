"""Logistic regression on sparse features, by a trust region Newton method (Lin, Weng and Keerthi 2008, JMLR 9).

With y = -1 or 1, features x of shape (n, columns) and scores s = x a, the parameters a, shape (columns,), minimise

    f(a)  = a'a / 2 + C sum ln(1 + exp(-y s))
    g     = a - C x' (y q)                      gradient, q = sigmoid(-y s)
    H v   = v + C x' (q (1 - q) (x v))          Hessian times a vector

A step p minimises the quadratic model f + g'p + p'Hp / 2 within a radius, by conjugate gradients (Steihaug 1983). The
radius grows while the model predicts f well, and shrinks where it does not. All that is needed of x are products with
a vector, so the features of characters, sums over the words of a text, are never computed for the texts.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

Array = npt.NDArray[Any]

TOLERANCE = 3e-3  # of the gradient; three times less takes half as long again and changes the loss in the third digit

STEP_TOLERANCE = 0.1  # of the gradient of the quadratic model

MAX_NEWTON_STEPS, MAX_CG_STEPS = 100, 100  # the second for each of the first

# The paper's: reductions of f, as shares of the predicted one, from which a step is accepted, good, or very good, and
# factors of the radius
ACCEPTED, GOOD, VERY_GOOD = 1e-4, 0.25, 0.75
SHRINK, HALVE, GROW = 0.25, 0.5, 4.0


@dataclass(frozen=True)
class SparseFeatures:
    """n-grams of n texts, and character n-grams of their words."""

    ngrams: csr_matrix
    """Shape (n, n-grams), float32; the first columns are of words."""
    characters: csr_matrix
    """Of each word, shape (words, character n-grams), float32."""

    @cached_property
    def ngrams_transposed(self) -> csr_matrix:
        """Shape (n-grams, n): rows of numbers that lie together are read faster than columns."""
        return self.ngrams.T.tocsr()

    @cached_property
    def characters_transposed(self) -> csr_matrix:
        """Shape (character n-grams, words)."""
        return self.characters.T.tocsr()


class ScaledFeatures(NamedTuple):
    """Features with a factor for each, and a last one that is 1 for each text: the bias is its parameter."""

    features: SparseFeatures
    scale: Array
    """Shape (n-grams,), or (n-grams + character n-grams,) where these are features too."""

    def weights(self, parameters: Array) -> Array:
        """Return the weight of each n-gram, those of characters added to those of the words, shape (n-grams,)."""
        scaled = self.scale * parameters[:-1]
        of_ngrams, of_characters = np.split(scaled, [self.features.ngrams.shape[1]])
        weights = of_ngrams.copy()  # or all of `scaled` would stay in memory
        if len(of_characters):
            weights[: self.features.characters.shape[0]] += self.features.characters @ of_characters
        return weights

    def scores(self, parameters: Array) -> Array:
        """Return x a, shape (n,)."""
        return self.features.ngrams @ self.weights(parameters) + parameters[-1]

    def transposed(self, values: Array) -> Array:
        """Return x' times values, shape (columns,), for values of shape (n,)."""
        sums = [self.features.ngrams_transposed @ values]
        if len(self.scale) > len(sums[0]):
            sums.append(self.features.characters_transposed @ sums[0][: self.features.characters.shape[0]])
        return np.append(np.concatenate(sums) * self.scale, values.sum())


def fit_logistic(features: ScaledFeatures, target: Array, *, strength: float, start: Array | None = None) -> Array:
    """Return the parameters that minimise f, shape (columns,), the last one the bias.

    Args:
        target: 0 or 1 for each text, both of them at least once, shape (n,).
        strength: C, the weight of the texts' losses beside the size of the parameters.
        start: parameters to begin with, such as those for less strength; None: zeros.
    """
    y = np.where(target > 0, 1, -1).astype(np.float32)
    rarer_share = min((target > 0).mean(), (target <= 0).mean())
    least_gradient = TOLERANCE * rarer_share * _norm(strength * features.transposed(y / 2))  # the gradient at zero
    parameters = np.zeros(len(features.scale) + 1, np.float32) if start is None else start
    scores = features.scores(parameters)
    value, radius = _objective(parameters, y * scores, strength), 0.0
    for _ in range(MAX_NEWTON_STEPS):
        wrong = _sigmoid(-y * scores)  # the probability of the other label
        gradient = parameters - strength * features.transposed(y * wrong)
        if _norm(gradient) <= least_gradient:
            break
        radius = radius or _norm(gradient)
        step = _step(features, gradient, strength * wrong * (1 - wrong), radius)
        new_value = _objective(parameters + step.change, y * (scores + step.scores), strength)
        if not step.predicted_reduction > np.finfo(np.float32).eps * value:
            break  # the rest is rounding
        radius = _new_radius(radius, step, value - new_value)
        if value - new_value > ACCEPTED * step.predicted_reduction:
            parameters, scores, value = parameters + step.change, scores + step.scores, new_value
    return parameters


class _Step(NamedTuple):
    change: Array
    """Of the parameters, shape (columns,)."""
    scores: Array
    """Change of the scores, shape (n,)."""
    slope: float
    """The change of f to first order."""
    predicted_reduction: float
    """How much less f is by the quadratic model."""


def _step(features: ScaledFeatures, gradient: Array, curvature: Array, radius: float) -> _Step:
    """Return the step that minimises the quadratic model within a radius, by conjugate gradients.

    Args:
        curvature: C q (1 - q), shape (n,).
    """
    change, scores = np.zeros_like(gradient), np.zeros_like(curvature)
    residual = -gradient
    direction, squared = residual, _dot(residual, residual)
    least = STEP_TOLERANCE**2 * squared
    for _ in range(MAX_CG_STEPS):
        of_texts = features.scores(direction)  # (n,)
        product = direction + features.transposed(curvature * of_texts)
        length = squared / _dot(direction, product)  # a Python float: the arrays stay float32
        at_edge = _norm(change + length * direction) > radius
        if at_edge:
            length = _length_to_edge(change, direction, radius)
        change, scores = change + length * direction, scores + length * of_texts
        residual = residual - length * product
        before, squared = squared, _dot(residual, residual)
        if at_edge or squared <= least:
            break
        direction = residual + squared / before * direction
    slope = _dot(gradient, change)
    return _Step(change, scores, slope, -0.5 * (slope - _dot(change, residual)))


def _length_to_edge(change: Array, direction: Array, radius: float) -> float:
    """Return the length for which change + length * direction is as long as the radius."""
    squared, along = _dot(direction, direction), _dot(change, direction)
    root = math.sqrt(along**2 + squared * (radius**2 - _dot(change, change)))
    return (root - along) / squared


def _new_radius(radius: float, step: _Step, reduction: float) -> float:
    """Return the radius after a step that made f less by `reduction`."""
    size, excess = _norm(step.change), -reduction - step.slope
    factor = GROW if excess <= 0 else max(SHRINK, -HALVE * step.slope / excess)
    if reduction < ACCEPTED * step.predicted_reduction:
        return min(factor * size, SHRINK * radius)
    if reduction < GOOD * step.predicted_reduction:
        return max(SHRINK * radius, min(factor * size, HALVE * radius))
    if reduction < VERY_GOOD * step.predicted_reduction:
        return max(SHRINK * radius, min(factor * size, GROW * radius))
    return max(radius, min(factor * size, GROW * radius))


def _objective(parameters: Array, margins: Array, strength: float) -> float:
    """Return f for margins y s, shape (n,)."""
    return 0.5 * _dot(parameters, parameters) + strength * float(np.logaddexp(0, -margins).sum(dtype=np.float64))


def _sigmoid(values: Array) -> Array:
    return np.exp(-np.logaddexp(0, -values))  # which no value makes overflow


def _dot(left: Array, right: Array) -> float:
    return float(np.multiply(left, right).sum(dtype=np.float64))


def _norm(values: Array) -> float:
    return math.sqrt(_dot(values, values))
