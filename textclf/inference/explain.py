"""`textclf explain`: which words spoke for a label and which against it.

Integrated gradients (Sundararajan, Taly, Yan 2017) over the word vectors, from vectors of zeros to those of the text.
What is explained is the log-odds of a label: 0 where it is as likely as not. The weights of the words add up to the
difference that the words make (the paper's completeness), as far as the steps between are fine enough; how far they
miss it is measured for each text, and the steps are doubled until it is little. Texts of one length go side by side.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from textclf.errors import UserError
from textclf.inference.classifier import Classifier
from textclf.inference.model_folder import read_model_files
from textclf.io.contract import ExplanationDocument, LabelWordDocument
from textclf.models.ensemble import differentiable
from textclf.text.encoding import UNKNOWN, TokenIds
from textclf.text.tokenizer import tokenize

Array = npt.NDArray[Any]

FEWEST_STEPS, MOST_STEPS = 8, 256

MISSED, MISSED_SHARE = 0.01, 0.01  # of log-odds, and of the difference: the larger is small enough

AT_ONCE = 1 << 14  # word vectors computed together

TEXTS_AT_ONCE, LINES_AT_ONCE = 16, 256


@dataclass(frozen=True)
class Word:
    """A token of a text as the model reads it."""

    word: str
    weight: float
    """What it adds to the log-odds of the label."""
    known: bool
    """Whether the vocabulary has it."""


@dataclass(frozen=True)
class Explanation:
    """Why a text has the probability of a label that it has."""

    label: str
    probability: float
    words: list[Word]
    log_odds: float
    without_words: float
    """The log-odds when all words are vectors of zeros."""
    missed: float
    """How far the weights are from adding up to the difference of the two."""
    cut: int
    """Tokens of the text that the model never saw."""

    @property
    def strongest(self) -> list[Word]:
        """The words by the size of their weight, largest first."""
        return sorted(self.words, key=lambda word: -abs(word.weight))

    def document(self) -> ExplanationDocument:
        """The explanation as pages take it: each word with its weight's share of the largest, -1 to 1."""
        largest = max(abs(self.strongest[0].weight), 1e-12)
        return {
            "label": self.label,
            "probability": self.probability,
            "words": [
                {"word": word.word, "weight": word.weight, "known": word.known, "share": word.weight / largest}
                for word in self.words
            ],
            "log_odds": self.log_odds,
            "without_words": self.without_words,
            "missed": self.missed,
            "cut": self.cut,
        }


class Explainer:
    """Explains what a classifier gives; needs its `model/` folder, and no TensorFlow.

    Raises:
        UserError: the folder is no longer what it was when the classifier was loaded from it.
    """

    def __init__(self, classifier: Classifier, folder: Path):
        files = read_model_files(folder)
        self._classifier = classifier
        self._pools = ThreadpoolController()  # many small products: two threads in their way take longer than one
        self._softmax = files.metadata["activation"] == "softmax"
        self._network = differentiable(files.constants, files.metadata)

    def explain(
        self, texts: Sequence[str], label: str | None = None, *, most_steps: int = MOST_STEPS
    ) -> list[list[Explanation]]:
        """For each text why it has its label, or why it has or lacks the one named; of several labels a row, for each.

        Args:
            most_steps: between zeros and the text; fewer are quicker, and miss more.

        Raises:
            UserError: the classifier does not know the label.
        """
        labels = self._classifier.labels
        if label is not None and label not in labels:
            raise UserError(f"--label {label}: the model does not know it; it knows: {', '.join(labels)}.")
        token_ids = self._classifier.encode(texts)
        shares = self._classifier.probabilities(token_ids)
        chosen = [[labels.index(label)] if label is not None else self._chosen(row) for row in shares]
        pairs = [(row, index) for row, indices in enumerate(chosen) for index in indices]
        found: dict[tuple[int, int], Explanation] = {}
        with self._pools.limit(limits=1, user_api="blas"):
            for some in _of_one_length(pairs, token_ids.lengths):
                for pair, attributed in zip(some, self._attribute(token_ids, some, most_steps), strict=True):
                    row, index = pair
                    cut = int(token_ids.token_counts[row]) - len(token_ids.row(row))
                    words = self._words(texts[row], token_ids.row(row), attributed.weights)
                    found[pair] = Explanation(
                        labels[index],
                        float(shares[row, index]),
                        words,
                        *attributed.ends,
                        attributed.missed,
                        max(0, cut),
                    )
        return [[found[row, index] for index in indices] for row, indices in enumerate(chosen)]

    def _chosen(self, shares: Array) -> list[int]:
        """The labels that a text is given; where it is given none, the most probable."""
        given, _ = self._classifier.decide(shares[None])
        separator = self._classifier.description.label_separator
        names = given[0].split(separator) if separator else given
        return [index for index, name in enumerate(self._classifier.labels) if name in names] or [int(shares.argmax())]

    def _words(self, text: str, ids: Array, weights: Array) -> list[Word]:
        """The tokens that the model saw of a text, with their weights."""
        options = self._classifier.description.text
        tokens = tokenize(text, options)
        kept = (tokens[-len(ids) :] if options.truncate == "start" else tokens[: len(ids)]) or [""]
        return [Word(*each) for each in zip(kept, weights.tolist(), (ids != UNKNOWN).tolist(), strict=True)]

    def _attribute(self, token_ids: TokenIds, pairs: list[tuple[int, int]], most_steps: int) -> list["_Attributed"]:
        """What the words of each text add to a label, of pairs of a text and a label; the texts equally long."""
        vectors = np.stack([self._network.vectors(token_ids.row(row)) for row, _ in pairs])
        labels = np.array([label for _, label in pairs])
        here, zero = (self._log_odds(self._logits(ends), labels) for ends in (vectors, np.zeros_like(vectors)))
        steps = FEWEST_STEPS
        while True:
            weights = self._integrated(vectors, labels, steps)
            missed = np.abs(weights.sum(axis=1) - (here - zero))
            if (missed <= np.maximum(MISSED, MISSED_SHARE * np.abs(here - zero))).all() or steps >= most_steps:
                break
            steps *= 2
        ends = zip(here.tolist(), zero.tolist(), strict=True)
        return [_Attributed(*each) for each in zip(weights, ends, missed.tolist(), strict=True)]

    def _logits(self, vectors: Array) -> Array:
        return self._network.forward(vectors)[0]

    def _integrated(self, vectors: Array, labels: Array, steps: int) -> Array:
        """The weight of each word, shape (texts, width), by Gauss-Legendre quadrature over so many steps."""
        points, shares = (part.astype(np.float32) for part in np.polynomial.legendre.leggauss(steps))
        texts, width, _ = vectors.shape
        total = np.zeros_like(vectors)
        together = max(1, AT_ONCE // (texts * width))
        for begin in range(0, steps, together):
            some = slice(begin, begin + together)
            scaled: Array = ((points[some, None, None, None] + 1) / 2 * vectors).reshape(-1, *vectors.shape[1:])
            logits, back = self._network.forward(scaled)
            gradient = back(self._weigh(logits, np.tile(labels, len(points[some]))))
            total += np.tensordot(shares[some] / 2, gradient.reshape(-1, *vectors.shape), axes=1)
        return np.asarray((total * vectors).sum(axis=2))

    def _log_odds(self, logits: Array, labels: Array) -> Array:
        """The log-odds of a label for each row of logits, shape (batch,)."""
        if not self._softmax:
            sign, column = self._sign_and_column(labels)
            return np.asarray(sign * logits[np.arange(len(labels)), column])
        return np.asarray(logits[np.arange(len(labels)), labels] - np.logaddexp.reduce(_others(logits, labels), axis=1))

    def _weigh(self, logits: Array, labels: Array) -> Array:
        """The gradient of the log-odds of a label by the logits, shape (batch, outputs)."""
        rows = np.arange(len(labels))
        if not self._softmax:
            gradient = np.zeros_like(logits)
            sign, column = self._sign_and_column(labels)
            gradient[rows, column] = sign
            return gradient
        others = _others(logits, labels)
        shares = np.exp(others - others.max(axis=1, keepdims=True))
        gradient = -shares / shares.sum(axis=1, keepdims=True)
        gradient[rows, labels] = 1
        return gradient

    def _sign_and_column(self, labels: Array) -> tuple[Array, Array]:
        """Where a label's logit stands: of two labels there is one, that of the second."""
        if self._classifier.description.label_separator is not None:
            return np.ones(len(labels), np.float32), labels
        return np.where(labels == 1, 1, -1).astype(np.float32), np.zeros_like(labels)


class _Attributed(NamedTuple):
    weights: Array
    """What each word adds, shape (width,)."""
    ends: tuple[float, float]
    """The log-odds with the words and without."""
    missed: float


def _of_one_length(pairs: list[tuple[int, int]], lengths: Array) -> Iterator[list[tuple[int, int]]]:
    """The pairs of a text and a label, those of texts of one length together, TEXTS_AT_ONCE at most."""
    ordered = sorted(pairs, key=lambda pair: lengths[pair[0]])
    for _, group in groupby(ordered, key=lambda pair: lengths[pair[0]]):
        while some := list(islice(group, TEXTS_AT_ONCE)):
            yield some


def _others(logits: Array, labels: Array) -> Array:
    """The logits of all labels but one a row; that one counts for nothing."""
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return others


def strongest_words(
    explanations: Iterable[Explanation], *, fewest: int = 2, most: int = 12
) -> dict[str, list[LabelWordDocument]]:
    """For each label the words that speak for it most, of those in `fewest` texts or more, with their mean weight."""
    weights: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for explanation in explanations:
        in_text: dict[str, float] = defaultdict(float)
        for word in explanation.words:
            if word.known:
                in_text[word.word] += word.weight
        for name, weight in in_text.items():
            weights[explanation.label][name].append(weight)
    return {label: _strongest(found, fewest, most) for label, found in sorted(weights.items())}


def _strongest(weights: dict[str, list[float]], fewest: int, most: int) -> list[LabelWordDocument]:
    means = [(-float(np.mean(each)), word, len(each)) for word, each in weights.items() if len(each) >= fewest]
    speaking = sorted(mean for mean in means if mean[0] < 0)[:most]
    return [{"word": word, "weight": -weight, "texts": texts} for weight, word, texts in speaking]


def explain_lines(
    explainer: Explainer, chunks: Iterable[Sequence[str]], label: str | None
) -> Iterator[tuple[int, str, list[Explanation]]]:
    """Row, text and explanations of each text, in order."""
    row = 0
    for texts in chunks:
        for begin in range(0, len(texts), LINES_AT_ONCE):
            some = texts[begin : begin + LINES_AT_ONCE]
            for text, explanations in zip(some, explainer.explain(some, label), strict=True):
                yield row, text, explanations
                row += 1
