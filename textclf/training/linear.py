"""The linear model: logistic regression on TF-IDF of words and word n-grams.

It is the baseline of every report and, with `model.blend: linear`, a part of the model.

Two priors, chosen on the validation rows, make some weights larger than others. Each changes the features of the fit
only and is then multiplied into the weights, so that a fitted model is one weight for each n-gram and label:

    label counts  features are scaled by the square root of |log-count ratio| of the label, after the NB-SVM of Wang and
                  Manning (2012): an n-gram that is as frequent with the label as without it gets little weight
    characters    character n-grams of the words are features too, each the sum over the words that have it: words
                  that look alike, such as forms of one stem, share a part of their weight; where training rows have
                  millions of words, nothing is gained, and it is not tried
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from textclf.evaluation.calibration import log_loss
from textclf.evaluation.metrics import MULTILABEL
from textclf.inference.classifier import probabilities_of
from textclf.models.architecture import Shape
from textclf.models.bag_of_words import smooth_idf
from textclf.models.linear.network import build_linear, linear_constants
from textclf.text.encoding import RESERVED, Tokens
from textclf.text.ngrams import NGrams, character_ngrams, choose_ngrams
from textclf.training.dataset import MANY_ROWS
from textclf.training.logistic import ScaledFeatures, SparseFeatures, fit_logistic

Array = npt.NDArray[Any]

STRENGTHS = (2.0, 8.0, 32.0, 128.0)  # candidates, tried until one is worse than the last

MANY_LABELS = 20  # with more labels than this, each has too few rows for a prior from its counts

SEARCHED_OUTPUTS = 8  # at most, that settings are searched on

POWERS = (0.0, 0.5)  # candidates for the power of the log-count ratio; Wang and Manning's is 1

SHORTEST, LONGEST = 3, 4  # characters of a character n-gram, the edges of the word included

# Of the training rows, above which characters are no prior. The log loss on imdb is .363 without it and .345 with it
# for 270,000 words; for 2.2 million it is .241 either way, and a fit takes a quarter less without it.
CHARACTER_WORDS = 2_000_000

CHARACTER_ROWS = 2048  # whose character n-grams are in memory at the same time, about 1,500 of a long text

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
    """C of the logistic regression: the larger, the less the weights are pulled towards 0."""
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
    validation_logits: Array | None = None
    """Of the rows that the settings were chosen on, shape (n, outputs); None if the settings were given."""

    def logits(self, words: Tokens) -> Array:
        """Return the logits of n texts, shape (n, outputs)."""
        scores = _tfidf(self.ngrams.count(words), self.idf) @ self.weights + self.bias  # (n, outputs)
        return _logits(scores, multilabel=self.multilabel)

    def predict_proba(self, words: Tokens) -> Array:
        """Return the probabilities of n texts, shape (n, labels)."""
        return probabilities_of(self.logits(words), multilabel=self.multilabel)


def _tfidf(counts: csr_matrix, idf: Array) -> csr_matrix:
    """Return TF-IDF with 1 + ln(count) as the term frequency, of length 1, shape (n, n-grams)."""
    frequencies = csr_matrix((1 + np.log(counts.data), counts.indices, counts.indptr), counts.shape)
    return _unit_rows(frequencies, idf)


def _unit_rows(features: csr_matrix, scale: Array) -> csr_matrix:
    """Return features, each column times its scale, with rows of length 1; a row without features stays."""
    scaled = features.data * scale.astype(np.float32)[features.indices]  # (numbers,)
    squares = csr_matrix((scaled**2, features.indices, features.indptr), features.shape)
    length = np.sqrt(np.asarray(squares.sum(axis=1)).ravel())  # (n,)
    scaled /= np.repeat(length, np.diff(features.indptr))
    return csr_matrix((scaled, features.indices, features.indptr), features.shape)


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
    multilabel = train.targets.ndim == MULTILABEL
    ngrams, counts = _choose_ngrams(train.words, vocabulary)
    idf = smooth_idf(len(train.words), np.bincount(counts.indices, minlength=len(ngrams)))
    targets = _binary_targets(train.targets, labels)  # (n, outputs)
    spelled = ngrams.keys[0] if len(train.words.flat) <= CHARACTER_WORDS else ngrams.keys[0][:0]
    words = [vocabulary[token_id - RESERVED] for token_id in spelled.tolist()]
    fits = _Regressions(_tfidf(counts, idf), targets, words)
    fit, held_out = cache(fits.fit), None  # the settings that win have been fitted, unless only some outputs were
    if settings is None:
        outputs = _some_outputs(targets)
        held_out = _tfidf(ngrams.count(validation.words), idf)  # (validation rows, n-grams)
        some = _binary_targets(validation.targets, labels)[:, outputs]  # (validation rows, searched outputs)

        def loss(settings: Settings) -> float:
            weights, bias = fit(settings, outputs)
            scores = held_out @ weights + bias  # (validation rows, outputs)
            if len(outputs) < targets.shape[1]:
                return log_loss(scores, some)
            return log_loss(_logits(scores, multilabel=multilabel), validation.targets)

        powers = POWERS if targets.shape[1] <= MANY_LABELS else POWERS[:1]
        settings = _search(loss, powers=powers, characters=fits.characters.shape[1] > 0)
    weights, bias = fit(settings, tuple(range(targets.shape[1])))
    logits = None if held_out is None else _logits(held_out @ weights + bias, multilabel=multilabel)
    return LinearModel(ngrams, idf, weights, bias, multilabel, settings, logits)


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


def _choose_ngrams(words: Tokens, vocabulary: Sequence[str]) -> tuple[NGrams, csr_matrix]:
    """Choose words and pairs; where most words are single characters and rows are many, triples too.

    Returns:
        The n-grams, and how often each row has each, shape (n, n-grams).
    """
    characters = np.array([0] * RESERVED + [len(word) for word in vocabulary])  # of each token id
    many = len(words) > MANY_ROWS
    order = 3 if many and characters[words.flat].mean() < SINGLE_CHARACTERS else 2
    ngrams, counts = choose_ngrams(words, order=order, min_texts=2 if many else 1)
    return (ngrams, counts) if len(ngrams) else choose_ngrams(words, order=order, min_texts=1)


def _binary_targets(targets: Array, labels: int) -> Array:
    """Return 0 or 1 for each output, shape (n, outputs)."""
    if targets.ndim == MULTILABEL:
        return targets
    return np.eye(labels, dtype=np.int64)[targets] if labels > 2 else targets[:, None]


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


class _Regressions:
    """Logistic regressions on the same rows. Each fit starts from the last one with the same features.

    Args:
        features: TF-IDF, shape (n, n-grams), the first columns of words.
        targets: 0 or 1, shape (n, outputs).
        words: those of the first columns; none: characters are no prior.
    """

    def __init__(self, features: csr_matrix, targets: Array, words: Sequence[str]):
        self._targets = targets
        counts = character_ngrams(words, shortest=SHORTEST, longest=LONGEST)  # (words, character n-grams)
        self._of_words = features[:, : len(words)] > 0  # (n, words)
        texts_with = self._texts_with_characters(counts, np.arange(len(targets)))
        kept = texts_with > 1
        self._counts = counts[:, kept]
        self.characters = _unit_rows(self._counts, smooth_idf(len(targets), texts_with[kept]))
        """TF-IDF of the character n-grams of each word, shape (words, character n-grams)."""
        self._features = SparseFeatures(features, self.characters)
        self._last: dict[tuple[int, float, bool], tuple[Array, Array]] = {}
        """Scale and parameters of the last fit by output, power, and whether there were characters."""

    def fit(self, settings: Settings, outputs: tuple[int, ...]) -> tuple[Array, Array]:
        """Return the weights, shape (n-grams, outputs), and the bias, shape (outputs,)."""
        weights = np.zeros((self._features.ngrams.shape[1], len(outputs)), np.float32)
        bias = np.zeros(len(outputs), np.float32)
        for column, output in enumerate(outputs):
            target = self._targets[:, output]
            if target.min() == target.max():  # all rows of a sample, or none
                bias[column] = NEVER if target[0] == 0 else -NEVER
                continue
            key = output, settings.ratio_power, settings.characters
            scale, start = self._last.get(key) or (self._scale(settings, target), None)
            features = ScaledFeatures(self._features, scale)
            parameters = fit_logistic(features, target, strength=settings.strength, start=start)
            weights[:, column], bias[column] = features.weights(parameters), parameters[-1]
            if len(outputs) <= SEARCHED_OUTPUTS:  # of more, these are the last fits
                self._last[key] = scale, parameters
        return weights, bias

    def _scale(self, settings: Settings, target: Array) -> Array:
        """Return the factor of each feature, shape (columns,)."""
        ngrams, characters = self._features.ngrams.shape[1], self.characters.shape[1]
        if not settings.ratio_power:
            return np.ones(ngrams + characters * settings.characters, np.float32)
        texts_with = [self._texts_with(np.flatnonzero(target == value), settings) for value in (1, 0)]
        return (np.abs(_log_count_ratio(*texts_with)) ** settings.ratio_power).astype(np.float32)

    def _texts_with(self, rows: Array, settings: Settings) -> Array:
        """Return how many of these rows have each feature, shape (columns,)."""
        ngrams = self._features.ngrams
        counts = [np.bincount(ngrams[rows].indices, minlength=ngrams.shape[1])]
        if settings.characters:
            counts.append(self._texts_with_characters(self._counts, rows))
        return np.concatenate(counts)

    def _texts_with_characters(self, counts: csr_matrix, rows: Array) -> Array:
        """Return how many of these rows have each character n-gram in a word, shape (character n-grams,).

        Args:
            counts: of each word, shape (words, character n-grams).
        """
        texts_with = np.zeros(counts.shape[1], np.int64)
        for start in range(0, len(rows), CHARACTER_ROWS):
            in_texts = self._of_words[rows[start : start + CHARACTER_ROWS]].astype(np.float32) @ counts
            texts_with += np.bincount(in_texts.indices, minlength=counts.shape[1])
        return texts_with


def _log_count_ratio(with_label: Array, without: Array) -> Array:
    """Return the logarithm of how much more frequent a feature is with the label than without it, shape (columns,).

    Wang and Manning (2012), as if each feature had one more text on both sides.

    Args:
        with_label, without: texts that have each feature, of those with and without the label, shape (columns,).
    """
    with_label, without = with_label + 1, without + 1
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
