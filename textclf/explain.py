"""`textclf explain`: which words spoke for a label and which against it.

Integrated gradients (Sundararajan, Taly, Yan 2017) over the word vectors, from vectors of zeros to those of the text.
What is explained is the log-odds of a label: 0 where it is as likely as not. The weights of the words add up to the
difference that the words make (the paper's completeness), as far as the steps between are fine enough; how far they
miss it is measured for each text, and the steps are doubled until it is little.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from textclf.classifier import Classifier, model_folder
from textclf.errors import UserError
from textclf.models import MODELS
from textclf.onnx_graph import read_graph
from textclf.text import UNKNOWN
from textclf.tokens import tokenize

Array = npt.NDArray[Any]

FEWEST_STEPS, MOST_STEPS = 16, 256
MISSED, MISSED_SHARE = 0.01, 0.01  # of log-odds, and of the difference: the larger is small enough
AT_ONCE = 1 << 16  # word vectors computed together


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


class Explainer:
    """Explains what a classifier gives; needs its `model/` folder, and no TensorFlow.

    Raises:
        UserError: an older textclf wrote the folder, so that its weights cannot be read.
    """

    def __init__(self, classifier: Classifier, folder: Path):
        path = model_folder(folder) / "model.onnx"
        constants, metadata = read_graph(path)
        if metadata.get("architecture") not in MODELS:
            raise UserError(f"{path} does not say what network it is: an older textclf wrote it. Train the run again.")
        self._classifier = classifier
        self._pools = ThreadpoolController()  # many small products: two threads in their way take longer than one
        self._softmax = metadata["activation"] == "softmax"
        self._network = MODELS[metadata["architecture"]].gradient(constants, metadata)

    def explain(self, text: str, label: str | None = None, *, most_steps: int = MOST_STEPS) -> list[Explanation]:
        """Why the text has its label, or why it has or lacks the one named; of several labels a row, for each.

        Args:
            most_steps: between zeros and the text; fewer are quicker, and miss more.

        Raises:
            UserError: the classifier does not know the label.
        """
        labels = self._classifier.labels
        if label is not None and label not in labels:
            raise UserError(f"--label {label}: the model does not know it; it knows: {', '.join(labels)}.")
        shares = self._classifier.predict_proba([text])[0]
        chosen = [labels.index(label)] if label is not None else self._chosen(shares)
        with self._pools.limit(limits=1, user_api="blas"):
            return [self._explain(text, index, float(shares[index]), most_steps) for index in chosen]

    def _chosen(self, shares: Array) -> list[int]:
        """The labels that the text is given; where it is given none, the most probable."""
        given, _ = self._classifier.decide(shares[None])
        separator = self._classifier.description.label_separator
        names = given[0].split(separator) if separator else given
        return [index for index, name in enumerate(self._classifier.labels) if name in names] or [int(shares.argmax())]

    def _explain(self, text: str, label: int, probability: float, most_steps: int) -> Explanation:
        options = self._classifier.description.text
        token_ids = self._classifier.encode([text])
        vectors = self._network.embedding[token_ids.flat]
        log_odds, weigh = self._log_odds(label)
        ends = np.stack([vectors, np.zeros_like(vectors)])
        here, zero = log_odds(self._network.gradient(ends, weigh=weigh)[0]).tolist()
        steps = FEWEST_STEPS
        while True:
            weights = self._integrated(vectors, weigh, steps)
            missed = abs(float(weights.sum()) - (here - zero))
            if missed <= max(MISSED, MISSED_SHARE * abs(here - zero)) or steps >= most_steps:
                break
            steps *= 2
        tokens = tokenize(text, options)
        kept = len(token_ids.flat)
        words = (tokens[-kept:] if options.truncate == "start" else tokens[:kept]) or [""]
        known = (token_ids.flat != UNKNOWN).tolist()
        found = [Word(*each) for each in zip(words, weights.tolist(), known, strict=True)]
        label_name = self._classifier.labels[label]
        return Explanation(label_name, probability, found, here, zero, missed, max(0, len(tokens) - kept))

    def _integrated(self, vectors: Array, weigh: Callable[[Array], Array], steps: int) -> Array:
        """The weight of each word, shape (width,), by Gauss-Legendre quadrature over so many steps."""
        points, shares = (part.astype(np.float32) for part in np.polynomial.legendre.leggauss(steps))
        total = np.zeros_like(vectors)
        together = max(1, AT_ONCE // len(vectors))
        for begin in range(0, steps, together):
            some = slice(begin, begin + together)
            scales = (points[some, None, None] + 1) / 2
            gradient = self._network.gradient(scales * vectors, weigh=weigh)[1]
            total += np.tensordot(shares[some] / 2, gradient, axes=1)
        return (total * vectors).sum(axis=1)

    def _log_odds(self, label: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
        """The log-odds of a label given logits, shape (batch, outputs), and its gradient by them."""
        if not self._softmax:
            sign = -1.0 if self._classifier.description.label_separator is None and label == 0 else 1.0
            column = label if self._classifier.description.label_separator is not None else 0

            def one(logits: Array) -> Array:
                gradient = np.zeros_like(logits)
                gradient[:, column] = sign
                return gradient

            return lambda logits: sign * logits[:, column], one

        def others(logits: Array) -> Array:
            """The logits of all other labels; that of the label counts for nothing."""
            without = logits.copy()
            without[:, label] = -np.inf
            return without

        def weigh(logits: Array) -> Array:
            shares = np.exp(others(logits) - others(logits).max(axis=1, keepdims=True))
            gradient = -shares / shares.sum(axis=1, keepdims=True)
            gradient[:, label] = 1
            return gradient

        return lambda logits: logits[:, label] - np.logaddexp.reduce(others(logits), axis=1), weigh


def strongest_words(
    explanations: Iterable[Explanation], *, fewest: int = 2, most: int = 12
) -> dict[str, list[dict[str, Any]]]:
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


def _strongest(weights: dict[str, list[float]], fewest: int, most: int) -> list[dict[str, Any]]:
    means = [(-float(np.mean(each)), word, len(each)) for word, each in weights.items() if len(each) >= fewest]
    speaking = sorted(mean for mean in means if mean[0] < 0)[:most]
    return [{"word": word, "weight": -weight, "texts": texts} for weight, word, texts in speaking]


def explain_lines(
    explainer: Explainer, chunks: Iterable[Sequence[str]], label: str | None
) -> Iterator[tuple[int, str, list[Explanation]]]:
    """Row, text and explanations of each text, in order."""
    row = 0
    for texts in chunks:
        for text in texts:
            yield row, text, explainer.explain(text, label)
            row += 1
