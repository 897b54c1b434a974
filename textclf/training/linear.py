"""The linear model: logistic regression on TF-IDF of words and word n-grams.

It is the baseline of every report and, with `model.blend: linear`, a part of the model. scikit-learn takes seconds to
import, so import this module where a linear model is fitted.

Two priors, chosen on the validation rows, make some weights larger than others. Each changes the features of the fit
only and is then multiplied into the weights, so that a fitted model is one weight for each n-gram and label:

    label counts  features are scaled by the square root of |log-count ratio| of the label, after the NB-SVM of Wang and
                  Manning (2012): an n-gram that is as frequent with the label as without it gets little weight
    characters    character n-grams of the words are features too, each the sum over the words that have it: words
                  that look alike, such as forms of one stem, share a part of their weight
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from textclf.evaluation.calibration import log_loss
from textclf.evaluation.metrics import MULTILABEL
from textclf.inference.classifier import probabilities_of
from textclf.models.architecture import Shape
from textclf.models.linear.network import build_linear, linear_constants
from textclf.text.encoding import RESERVED, Tokens
from textclf.text.ngrams import NGrams, character_ngrams, choose_ngrams
from textclf.training.dataset import MANY_ROWS

Array = npt.NDArray[Any]

STRENGTHS = (2.0, 8.0, 32.0, 128.0)  # candidates for C of LogisticRegression, tried until one is worse than the last

MANY_LABELS = 20  # with more labels than this, each has too few rows for a prior from its counts

SEARCHED_OUTPUTS = 8  # at most, that settings are searched on

POWERS = (0.0, 0.5)  # candidates for the power of the log-count ratio; Wang and Manning's is 1

SHORTEST, LONGEST = 3, 4  # characters of a character n-gram, the edges of the word included

TOLERANCE = 1e-2  # of the fit; ten times less changes the loss in the fourth digit and takes half as long again

NEVER = -20.0  # score of a label that no row has: a probability of 2e-9

SINGLE_CHARACTERS = 1.5  # mean length of the words below which most of them are single characters

MAX_WORDS = 8_000_000  # of the training rows; more would take gigabytes


class LabelledWords(NamedTuple):
    """The words of n rows and their targets."""

    words: Tokens
    """Token ids of whole texts."""
    targets: Array
    """Index of the label, shape (n,), or with several labels per row 0 or 1, shape (n, labels)."""


class Settings(NamedTuple):
    """Settings of a fit."""

    strength: float
    """C of LogisticRegression: the larger, the less the weights are pulled towards 0."""
    ratio_power: float = 0.0
    """Power of the log-count ratio that features are scaled by; 0: no prior from label counts."""
    characters: bool = False
    """True for the prior from characters."""


@dataclass(frozen=True)
class LinearModel:
    """Logistic regressions on TF-IDF, one for each output."""

    ngrams: NGrams
    idf: Array
    """Inverse document frequency of each n-gram, shape (n-grams,)."""
    weights: Array
    """Shape (n-grams, outputs); a single output belongs to the second of two labels."""
    bias: Array
    """Shape (outputs,)."""
    multilabel: bool
    """True if a row may have several labels."""
    settings: Settings
    """Of the fit."""

    def logits(self, words: Tokens) -> Array:
        """Return the logits of n texts, shape (n, outputs)."""
        scores = _tfidf(self.ngrams, self.idf, words) @ self.weights + self.bias  # (n, outputs)
        return _logits(scores, multilabel=self.multilabel)

    def predict_proba(self, words: Tokens) -> Array:
        """Return the probabilities of n texts, shape (n, labels)."""
        return probabilities_of(self.logits(words), multilabel=self.multilabel)


def _tfidf(ngrams: NGrams, idf: Array, words: Tokens) -> csr_matrix:
    """Return TF-IDF with 1 + ln(count) as the term frequency, of length 1, shape (n, n-grams)."""
    counts = ngrams.count(words)
    counts.data = 1 + np.log(counts.data)
    return normalize(counts @ diags(idf))


def _logits(scores: Array, *, multilabel: bool) -> Array:
    """Return the logits for the scores of the logistic regressions, shape (n, outputs) both."""
    if multilabel or scores.shape[1] == 1:
        return scores
    return -np.logaddexp(0, -scores)  # log sigmoid, whose softmax is each probability over the sum of all


def sample_rows(counts: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.int64]:
    """Return the indices of the rows to train on, ascending: all, or a random sample of at most MAX_WORDS words.

    Args:
        counts: words of each row, shape (n,).
    """
    if counts.sum() <= MAX_WORDS:
        return np.arange(len(counts))
    drawn = np.random.default_rng(seed).permutation(len(counts))
    return np.sort(drawn[np.cumsum(counts[drawn]) <= MAX_WORDS])


def fit_linear(
    train: LabelledWords,
    validation: LabelledWords,
    *,
    labels: int,
    vocabulary: Sequence[str],
    settings: Settings | None = None,
) -> LinearModel:
    """Fit a linear model to the training rows.

    Args:
        labels: number of labels; a sample of rows may lack some of them.
        validation: rows to choose the settings on, by log loss; not read if these are given.
        vocabulary: the words that the token ids from RESERVED on stand for.
        settings: of the fit; None: the best of those that are tried.
    """
    ngrams, multilabel = _choose_ngrams(train.words, vocabulary), train.targets.ndim == MULTILABEL
    tfidf = TfidfTransformer(sublinear_tf=True)
    features = tfidf.fit_transform(ngrams.count(train.words))  # (n, n-grams)
    targets = _binary_targets(train.targets, labels)  # (n, outputs)
    words = [vocabulary[token_id - RESERVED] for token_id in ngrams.keys[0].tolist()]
    characters = _character_features(features, words)  # (words, character n-grams)

    @cache
    def fit(settings: Settings, outputs: tuple[int, ...]) -> tuple[Array, Array]:
        return _fit(features, targets[:, outputs], characters if settings.characters else None, settings)

    if settings is None:
        outputs = _some_outputs(targets)
        held_out = _tfidf(ngrams, tfidf.idf_, validation.words)  # (validation rows, n-grams)
        some = _binary_targets(validation.targets, labels)[:, outputs]

        def loss(settings: Settings) -> float:
            weights, bias = fit(settings, outputs)
            scores = held_out @ weights + bias  # (validation rows, outputs)
            if len(outputs) < targets.shape[1]:
                return log_loss(scores, some)
            return log_loss(_logits(scores, multilabel=multilabel), validation.targets)

        powers = POWERS if targets.shape[1] <= MANY_LABELS else POWERS[:1]
        settings = _search(loss, powers=powers, characters=characters.shape[1] > 0)
    weights, bias = fit(settings, tuple(range(targets.shape[1])))
    return LinearModel(ngrams, tfidf.idf_, weights, bias, multilabel, settings)


def _some_outputs(targets: Array) -> tuple[int, ...]:
    """Return the outputs that settings are searched on: all, or of many some from the frequent to the rare ones.

    Args:
        targets: 0 or 1, shape (n, outputs).
    """
    outputs = targets.shape[1]
    if outputs <= SEARCHED_OUTPUTS:
        return tuple(range(outputs))
    by_frequency = np.argsort(-targets.sum(axis=0), kind="stable")
    return tuple(by_frequency[np.linspace(0, outputs - 1, SEARCHED_OUTPUTS).astype(int)].tolist())


def _choose_ngrams(words: Tokens, vocabulary: Sequence[str]) -> NGrams:
    """Choose words and pairs; where most words are single characters and rows are many, triples too."""
    characters = np.array([0] * RESERVED + [len(word) for word in vocabulary])  # of each token id
    many = len(words) > MANY_ROWS
    order = 3 if many and characters[words.flat].mean() < SINGLE_CHARACTERS else 2
    ngrams = choose_ngrams(words, order=order, min_texts=2 if many else 1)
    return ngrams if len(ngrams) else choose_ngrams(words, order=order, min_texts=1)


def _binary_targets(targets: Array, labels: int) -> Array:
    """Return 0 or 1 for each output, shape (n, outputs)."""
    if targets.ndim == MULTILABEL:
        return targets
    return np.eye(labels, dtype=np.int64)[targets] if labels > 2 else targets[:, None]


def _character_features(features: csr_matrix, words: Sequence[str]) -> csr_matrix:
    """Return the TF-IDF of the character n-grams of each word, of length 1, shape (words, character n-grams).

    Those that one text only has are left out.

    Args:
        features: of the training rows, shape (n, n-grams); the words are the first columns.
    """
    counts = character_ngrams(words, shortest=SHORTEST, longest=LONGEST)  # (words, character n-grams)
    in_texts = (features[:, : len(words)] > 0).astype(np.float32) @ counts  # (n, character n-grams)
    texts_with = np.bincount(in_texts.indices, minlength=counts.shape[1])
    counts = counts[:, texts_with > 1]
    idf = np.log((1 + features.shape[0]) / (1 + texts_with[texts_with > 1])) + 1
    return normalize(counts @ diags(idf)) if counts.shape[1] else counts


def _search(loss: Callable[[Settings], float], *, powers: Sequence[float], characters: bool) -> Settings:
    """Return the settings with the least loss of those that are tried: power and strength, then characters.

    Args:
        powers: of the log-count ratio, to be tried.
        characters: True if the prior from characters can be tried.
    """
    losses: dict[Settings, float] = {}
    for power in powers:
        previous = np.inf
        for strength in STRENGTHS:
            settings = Settings(strength, power)
            losses[settings] = loss(settings)
            if losses[settings] > previous:
                break
            previous = losses[settings]
    if characters:
        best = min(losses, key=lambda settings: losses[settings])
        for factor in (0.5, 1.0):  # of more features less strength may be best
            settings = Settings(factor * best.strength, best.ratio_power, characters=True)
            losses[settings] = loss(settings)
    return min(losses, key=lambda settings: losses[settings])


def _fit(
    features: csr_matrix, targets: Array, characters: csr_matrix | None, settings: Settings
) -> tuple[Array, Array]:
    """Return the weights, shape (n-grams, outputs), and the bias, shape (outputs,).

    Args:
        targets: 0 or 1, shape (n, outputs).
        characters: features of each word, shape (words, character n-grams); None: no prior from them.
    """
    columns = features.shape[1]
    if characters is not None:
        words = characters.shape[0]
        features = hstack([features, features[:, :words] @ characters]).tocsr()
    weights, bias = np.zeros((columns, targets.shape[1]), np.float32), np.zeros(targets.shape[1], np.float32)
    for output, target in enumerate(targets.T):
        if target.min() == target.max():  # all rows of a sample, or none
            bias[output] = NEVER if target[0] == 0 else -NEVER
            continue
        scale = np.abs(_log_count_ratio(features, target)) ** settings.ratio_power  # (columns,)
        regression = LogisticRegression(C=settings.strength, solver="liblinear", tol=TOLERANCE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # accurate enough even if it has not converged
            regression.fit(features @ diags(scale), target)
        fitted = regression.coef_[0] * scale
        weights[:, output], bias[output] = fitted[:columns], regression.intercept_[0]
        if characters is not None:
            weights[:words, output] += characters @ fitted[columns:]
    return weights, bias


def _log_count_ratio(features: csr_matrix, target: Array) -> Array:
    """Return the logarithm of how much more frequent a feature is with the label than without it, shape (columns,).

    Wang and Manning (2012), from the texts that have it, as if each feature had one more on both sides.
    """
    present = (features > 0).astype(np.float32)
    with_label, without = (np.asarray(present[target == value].sum(axis=0)).ravel() + 1 for value in (1, 0))
    return np.log((with_label / with_label.sum()) / (without / without.sum()))


def linear_network(model: LinearModel, shape: Shape) -> Any:
    """Return the linear model as a Keras model from token ids, shape (batch, width), to logits, (batch, outputs)."""
    words, token_ids = model.ngrams.keys[0], model.ngrams.token_ids()
    longer = slice(len(words), None)
    word_weights = np.zeros((shape.vocabulary, shape.outputs), np.float32)
    word_idf = np.zeros(shape.vocabulary, np.float32)
    word_weights[words], word_idf[words] = model.weights[: len(words)], model.idf[: len(words)]
    constants = linear_constants(
        word_weights=word_weights,
        word_idf=word_idf,
        grams=token_ids[longer],
        gram_weights=model.weights[longer],
        gram_idf=model.idf[longer],
        bias=model.bias,
    )
    return build_linear(shape, constants, ngrams=token_ids.shape[1] if len(token_ids) > len(words) else 1)
