"""What a model must beat: the majority class, and TF-IDF with logistic regression, on the same rows."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from textclf.text.encoding import Tokens

Array = npt.NDArray[Any]

STRENGTHS = (1.0, 8.0, 64.0)  # inverse regularisation, the best on the validation rows is taken

MANY = 1000  # rows from which on grams of a single row are left out

MOST_WORDS = 8_000_000  # of training rows; more take gigabytes

SEVERAL = 2  # dimensions of targets with several labels a row


class Part(NamedTuple):
    """The words of some rows, and their targets as the network has them."""

    words: Tokens
    targets: Array


def majority(train: Array, *, rows: int, labels: int) -> Array:
    """Each label's share of the training rows as its probability, shape (rows, labels)."""
    shares = train.mean(axis=0) if train.ndim == SEVERAL else np.bincount(train, minlength=labels) / len(train)
    return np.tile(shares, (rows, 1))


def affordable(counts: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.int64]:
    """Numbers of the rows to train on, ascending: all, or as many, drawn at random, as hold MOST_WORDS words.

    Args:
        counts: words of each row, shape (n,).
    """
    if counts.sum() <= MOST_WORDS:
        return np.arange(len(counts))
    drawn = np.random.default_rng(seed).permutation(len(counts))
    return np.sort(drawn[np.cumsum(counts[drawn]) <= MOST_WORDS])


class Linear:
    """Logistic regression on TF-IDF over 1-2-grams of whole texts, by the words that the network also has."""

    def __init__(self, train: Part, validation: Part, *, strengths: Sequence[float] = STRENGTHS):
        counts = self._begin(train.words)
        self._weights = TfidfTransformer(sublinear_tf=True)
        features = self._weights.fit_transform(counts)
        fit_result = {strength: _fit(features, train.targets, strength) for strength in strengths}
        self.strength = strengths[0] if len(fit_result) == 1 else self._best(fit_result, validation)
        self._model = fit_result[self.strength]

    @property
    def labels(self) -> Array:
        """Which labels the columns of `predict_proba` are, as indices."""
        return np.asarray(self._model.classes_)

    def _best(self, fit_result: dict[float, Any], validation: Part) -> float:
        features = self._features(validation.words)
        return min(fit_result, key=lambda each: _log_loss(fit_result[each].predict_proba(features), validation.targets))

    def predict_proba(self, words: Tokens) -> Array:
        """Probabilities, shape (n, labels), of n texts."""
        return np.asarray(self._model.predict_proba(self._features(words)), np.float64)

    def _begin(self, words: Tokens) -> Any:
        """Chooses the grams, and gives how often each is in each row."""
        rows, grams = _grams(words)
        self._grams, seen = np.unique(grams, return_counts=True)
        if len(words) > MANY and (seen > 1).any():
            self._grams = self._grams[seen > 1]
            counts = self._counts(rows, grams, len(words))
            multilabel = np.bincount(counts.indices, minlength=len(self._grams)) > 1
            if multilabel.any():
                self._grams = self._grams[multilabel]
                return counts[:, multilabel]
        return self._counts(rows, grams, len(words))

    def _features(self, words: Tokens) -> Any:
        return self._weights.transform(self._counts(*_grams(words), len(words)))

    def _counts(self, rows: Array, grams: Array, total: int) -> Any:
        """How often each gram is in each row, sparse, shape (total, grams)."""
        columns = np.searchsorted(self._grams, grams)
        columns[columns == len(self._grams)] = 0
        known = self._grams[columns] == grams
        ones = np.ones(int(known.sum()), np.float32)
        return csr_matrix((ones, (rows[known], columns[known])), (total, len(self._grams)))


def _grams(words: Tokens) -> tuple[Array, Array]:
    """The row and the number of each single word and of each pair of neighbours in a row."""
    rows = np.repeat(np.arange(len(words), dtype=np.int32), words.counts)
    single = words.flat.astype(np.int64)
    pairs = (single[:-1] + 1 << 32) + single[1:]
    inside = rows[:-1] == rows[1:]
    return np.concatenate([rows, rows[:-1][inside]]), np.concatenate([single, pairs[inside]])


def _fit(features: Any, targets: Array, strength: float) -> Any:
    model = LogisticRegression(C=strength, solver="liblinear")
    multilabel = targets.ndim == SEVERAL or targets.max() > 1
    with warnings.catch_warnings():
        # the figure is a yardstick: the last digits of a fit that stopped early do not matter
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Label not .* is present in all training examples")
        return (OneVsRestClassifier(model) if multilabel else model).fit(features, targets)


def _log_loss(probabilities: Array, targets: Array) -> float:
    clipped = np.clip(probabilities, 1e-15, 1 - 1e-15)
    if targets.ndim == SEVERAL:
        return float(-np.where(targets == 1, np.log(clipped), np.log(1 - clipped)).mean())
    return float(-np.log(clipped[np.arange(len(targets)), targets]).mean())
