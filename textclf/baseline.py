"""What a model must beat: the majority class, and TF-IDF with logistic regression, on the same rows."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from textclf.text import TextOptions, tokenizer

Array = npt.NDArray[Any]

STRENGTHS = (1.0, 8.0, 64.0)  # inverse regularisation, the best on the validation rows is taken
MANY = 1000  # rows from which on grams of a single row are left out
SEVERAL = 2  # dimensions of targets with several labels a row


@dataclass(frozen=True)
class Part:
    """Texts and targets; targets as the network has them."""

    texts: Sequence[str]
    targets: Array


def majority(train: Array, *, rows: int, labels: int) -> Array:
    """Each label's share of the training rows as its probability, shape (rows, labels)."""
    shares = train.mean(axis=0) if train.ndim == SEVERAL else np.bincount(train, minlength=labels) / len(train)
    return np.tile(shares, (rows, 1))


def tfidf_logistic_regression(train: Part, validation: Part, texts: Sequence[str], options: TextOptions) -> Array:
    """Probabilities, shape (texts, labels), of TF-IDF over 1-2-grams and logistic regression.

    Grams are of the tokens that `options` find, of whole texts: of words, or of characters in Chinese and Japanese.
    """
    analyzer = _bigrams(tokenizer(options))
    min_df = 2 if len(train.texts) > MANY else 1
    vectorizer = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, min_df=min_df, dtype=np.float32)
    try:
        features = vectorizer.fit_transform(train.texts)
    except ValueError:  # no gram is in two rows
        features = vectorizer.set_params(min_df=1).fit_transform(train.texts)
    held_out = vectorizer.transform(validation.texts)
    fitted = [_fit(features, train.targets, strength) for strength in STRENGTHS]
    best = min(fitted, key=lambda model: _log_loss(model.predict_proba(held_out), validation.targets))
    return np.asarray(best.predict_proba(vectorizer.transform(texts)), np.float64)


def _bigrams(tokenize: Any) -> Any:
    def analyze(text: str) -> list[str]:
        words = tokenize(text)
        return [*words, *(f"{a} {b}" for a, b in pairwise(words))]

    return analyze


def _fit(features: Any, targets: Array, strength: float) -> Any:
    model = LogisticRegression(C=strength, solver="liblinear")
    several = targets.ndim == SEVERAL or targets.max() > 1
    with warnings.catch_warnings():
        # the figure is a yardstick: the last digits of a fit that stopped early do not matter
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Label not .* is present in all training examples")
        return (OneVsRestClassifier(model) if several else model).fit(features, targets)


def _log_loss(probabilities: Array, targets: Array) -> float:
    clipped = np.clip(probabilities, 1e-15, 1 - 1e-15)
    if targets.ndim == SEVERAL:
        return float(-np.where(targets == 1, np.log(clipped), np.log(1 - clipped)).mean())
    return float(-np.log(clipped[np.arange(len(targets)), targets]).mean())
