"""Baselines on the same rows as the model: the majority class, and TF-IDF with logistic regression.

scikit-learn takes seconds to import, so import this module where a baseline is fitted.
"""

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

from textclf.evaluation.metrics import MULTILABEL, row_losses
from textclf.text.encoding import Tokens

Array = npt.NDArray[Any]

STRENGTHS = (1.0, 8.0, 64.0)  # candidates for C of LogisticRegression; the validation rows decide

MANY_ROWS = 1000  # with more rows than this, n-grams that occur in one row only are left out

MAX_WORDS = 8_000_000  # of the training rows; more would take gigabytes


class LabelledWords(NamedTuple):
    """The words of n rows and their targets."""

    words: Tokens
    targets: Array
    """Index of the label, shape (n,), or with several labels per row 0 or 1, shape (n, labels)."""


def majority_probabilities(train: Array, *, rows: int, labels: int) -> Array:
    """Return the share of each label in the training targets as its probability in every row, shape (rows, labels)."""
    priors = train.mean(axis=0) if train.ndim == MULTILABEL else np.bincount(train, minlength=labels) / len(train)
    return np.tile(priors, (rows, 1))


def sample_rows(counts: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.int64]:
    """Return the indices of the rows to train on, ascending: all, or a random sample of at most MAX_WORDS words.

    Args:
        counts: words of each row, shape (n,).
    """
    if counts.sum() <= MAX_WORDS:
        return np.arange(len(counts))
    drawn = np.random.default_rng(seed).permutation(len(counts))
    return np.sort(drawn[np.cumsum(counts[drawn]) <= MAX_WORDS])


class LinearBaseline:
    """Logistic regression on TF-IDF of the words and pairs of neighbouring words of whole texts."""

    def __init__(self, train: LabelledWords, validation: LabelledWords, *, strengths: Sequence[float] = STRENGTHS):
        counts = self._choose_ngrams(train.words)
        self._tfidf = TfidfTransformer(sublinear_tf=True)
        features = self._tfidf.fit_transform(counts)
        models = {strength: _fit(features, train.targets, strength) for strength in strengths}
        self.strength = strengths[0] if len(models) == 1 else self._best(models, validation)
        self._model = models[self.strength]

    @property
    def labels(self) -> Array:
        """Index of the label of each column of `predict_proba`, shape (columns,)."""
        return np.asarray(self._model.classes_)

    def _best(self, models: dict[float, Any], validation: LabelledWords) -> float:
        """Return the strength with the least log loss on the validation rows."""
        features = self._features(validation.words)
        losses = {
            strength: row_losses(validation.targets, model.predict_proba(features))["log_loss"].mean()
            for strength, model in models.items()
        }
        return min(losses, key=lambda strength: losses[strength])

    def predict_proba(self, words: Tokens) -> Array:
        """Return the probabilities of n texts, shape (n, labels)."""
        return np.asarray(self._model.predict_proba(self._features(words)), np.float64)

    def _features(self, words: Tokens) -> csr_matrix:
        return self._tfidf.transform(self._count_ngrams(*_ngrams(words), len(words)))

    def _choose_ngrams(self, words: Tokens) -> csr_matrix:
        """Choose the n-grams, of many rows only those that two or more have; count them, shape (n, n-grams)."""
        rows, ngrams = _ngrams(words)
        self._ngrams, occurrences = np.unique(ngrams, return_counts=True)
        if len(words) > MANY_ROWS and (occurrences > 1).any():
            # two occurrences may be in one row: a cheap test first, then the exact one
            self._ngrams = self._ngrams[occurrences > 1]
            counts = self._count_ngrams(rows, ngrams, len(words))
            repeated = np.bincount(counts.indices, minlength=len(self._ngrams)) > 1
            if repeated.any():
                self._ngrams = self._ngrams[repeated]
                return counts[:, repeated]
        return self._count_ngrams(rows, ngrams, len(words))

    def _count_ngrams(self, rows: Array, ngrams: Array, total: int) -> csr_matrix:
        """Count each chosen n-gram in each row, sparse, shape (total, n-grams)."""
        columns = np.searchsorted(self._ngrams, ngrams)  # (occurrences,)
        columns[columns == len(self._ngrams)] = 0
        known = self._ngrams[columns] == ngrams
        ones = np.ones(int(known.sum()), np.float32)
        return csr_matrix((ones, (rows[known], columns[known])), (total, len(self._ngrams)))


def _ngrams(words: Tokens) -> tuple[Array, Array]:
    """Return the row and the id of each word and of each pair of neighbouring words, shape (occurrences,) each."""
    rows = np.repeat(np.arange(len(words), dtype=np.int32), words.counts)  # (words,)
    single = words.flat.astype(np.int64)
    pairs = (single[:-1] + 1 << 32) + single[1:]  # greater than the id of any single word
    inside = rows[:-1] == rows[1:]
    return np.concatenate([rows, rows[:-1][inside]]), np.concatenate([single, pairs[inside]])


def _fit(features: csr_matrix, targets: Array, strength: float) -> Any:
    model = LogisticRegression(C=strength, solver="liblinear")
    one_vs_rest = targets.ndim == MULTILABEL or targets.max() > 1
    with warnings.catch_warnings():
        # a baseline is accurate enough even if the fit stops before it has converged
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Label not .* is present in all training examples")
        return (OneVsRestClassifier(model) if one_vs_rest else model).fit(features, targets)
