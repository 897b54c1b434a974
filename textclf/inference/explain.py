"""`textclf explain`: the words that speak for a label and those against it.

The weight of a word is its Shapley value: how much the log-odds of the label change when the word joins other words of
the text, averaged over all orders in which the words can join. The average is taken over sampled orders (Strumbelj and
Kononenko 2014), each with its reverse, which cancels a part of the error (antithetic sampling, Mitchell et al. 2022).
Along any order the changes add up to the difference between the whole text and the empty one, and so do the weights.

Only `predict_proba` is used, on coalitions: texts with some words left out. So any model that reads words can be
explained.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.spelling import spelling_advice
from textclf.errors import UserError
from textclf.inference.classifier import Classifier, Probabilities, Words, decide
from textclf.io.contract import ExplanationDocument, LabelWordDocument
from textclf.io.notebook import html_line, html_word

Array = npt.NDArray[Any]

COALITIONS = 1500  # to explain one text; chosen by tests/benchmarks/explain.py

# In a longer text, neighbouring words form groups that are left out together and share a weight. Groups lose more
# accuracy than few orders. Rank correlation with the weights from many orders without groups, on reviews of 250 words:
# 0.96 for one order and its reverse without groups, 0.69 for 128 groups.
MAX_GROUPS = 256

COALITIONS_TOGETHER = 8192  # predicted in one call

EPSILON = 2.0**-24  # precision of a float32 probability near 1; keeps log-odds finite


@dataclass(frozen=True)
class Word:
    """A word of a text as the model reads it."""

    word: str
    weight: float
    """The word's part of the label's log-odds."""
    known: bool
    """True if the vocabulary has it."""


@dataclass(frozen=True)
class Explanation:
    """The weights of a text's words for one label."""

    label: str
    probability: float
    words: list[Word]
    log_odds: float
    """The log-odds of the label: `without_words` and all weights added up."""
    without_words: float
    """The log-odds of the label for the empty text."""
    cut: int
    """Tokens of the text that the model does not read."""

    @property
    def strongest(self) -> list[Word]:
        """The words by the size of their weight, largest first."""
        return sorted(self.words, key=lambda word: -abs(word.weight))

    @property
    def addition(self) -> str:
        """The line that adds the weights up to the log-odds, and says how much of the text was cut off."""
        of_words, rest = self.log_odds - self.without_words, self.without_words
        cut = f"; {self.cut} tokens cut off" if self.cut else ""
        return f"words {of_words:+.2f}, without them {rest:+.2f}: log-odds {self.log_odds:+.2f}{cut}"

    def document(self) -> ExplanationDocument:
        """Return the explanation as JSON fields; `share` is a word's weight divided by the largest, -1 to 1."""
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
            "cut": self.cut,
        }

    def _repr_html_(self) -> str:
        """Return the words for a notebook: those on blue speak for the label, those on orange against it."""
        words = " ".join(html_word(**word) for word in self.document()["words"])
        return f"{html_line(f'{self.label} {self.probability:.4f}')}<p>{words}</p>\n{html_line(self.addition)}"


def explain(
    classifier: Classifier,
    texts: Sequence[str],
    label: str | None = None,
    *,
    coalitions: int = COALITIONS,
    groups: int = MAX_GROUPS,
    seed: int = 0,
    option: str = "--label",
) -> Iterator[list[Explanation]]:
    """Explain the predicted label of each text; multilabel: every predicted label.

    Args:
        label: the label to explain instead, for every text.
        coalitions: approximate number of coalitions predicted for each text; fewer are faster and less exact. At
            least one order of the words and its reverse are used.
        groups: most groups of neighbouring words in a text; a text with fewer words has none.
        seed: of the orders, which are the same for texts with the same number of words.
        option: the option or the argument that named the label, for messages.

    Raises:
        UserError: the classifier does not know the label.
    """
    labels = classifier.labels
    if label is not None and label not in labels:
        advice = spelling_advice([label], labels)
        known = f"it knows: {', '.join(labels)}.{advice and f' {advice}'}"
        raise UserError(f"{option} {label}: the model does not know it; {known}")
    together = max(1, COALITIONS_TOGETHER // max(coalitions, 2 * groups))
    for start in range(0, len(texts), together):
        part = texts[start : start + together]
        samples = [_sample(classifier.words(text), coalitions, groups, seed) for text in part]
        yield from _explain_together(classifier, part, samples, label)


def _explain_together(
    classifier: Classifier, texts: Sequence[str], samples: "Sequence[_Sample]", label: str | None
) -> Iterator[list[Explanation]]:
    """Explain texts with one call of `predict_proba`, on each distinct coalition once."""
    distinct: dict[str, int] = {}
    rows = [
        [distinct.setdefault(text, len(distinct)) for text in (*sample.texts(classifier), whole)]
        for sample, whole in zip(samples, texts, strict=True)
    ]
    probabilities = classifier.predict_proba(list(distinct))
    log_odds = _log_odds(probabilities)
    for sample, (*parts, whole_row) in zip(samples, rows, strict=True):
        weights = sample.weights(log_odds[parts], log_odds[whole_row])
        whole = probabilities[whole_row]
        indices = _label_indices(classifier, whole) if label is None else [classifier.labels.index(label)]
        words = sample.words
        yield [
            Explanation(
                label=classifier.labels[index],
                probability=float(whole[index]),
                words=list(map(Word, words.words, weights[:, index].tolist(), words.known)),
                log_odds=float(log_odds[whole_row, index]),
                without_words=float(log_odds[parts[0], index]),
                cut=words.cut,
            )
            for index in indices
        ]


class _Sample(NamedTuple):
    """Sampled orders in which the groups of a text's words join."""

    words: Words
    groups: npt.NDArray[np.int64]
    """The group of each word, shape (words,)."""
    ranks: npt.NDArray[np.int64]
    """The position of each group in each order, shape (orders, groups)."""

    def texts(self, classifier: Classifier) -> Iterator[str]:
        """Generate the coalition before each group joins, orders x groups of them; the first is empty."""
        before = np.arange(self.ranks.shape[1])
        present = self.ranks[:, None, :] < before[:, None]  # (orders, groups joined, groups)
        present = present.reshape(-1, len(before))[:, self.groups]  # (orders * groups, words)
        return (classifier.join(compress(self.words.words, mask)) for mask in present.tolist())

    def weights(self, parts: Array, whole: Array) -> Array:
        """Return the Shapley value of each word, shape (words, labels).

        Args:
            parts: the log-odds of the `texts`, shape (orders * groups, labels).
            whole: those of the whole text, shape (labels,).
        """
        orders, groups = self.ranks.shape
        values = parts.reshape(orders, groups, -1)  # (orders, groups joined, labels)
        values = np.concatenate([values, np.broadcast_to(whole, (orders, 1, len(whole)))], axis=1)
        changes = np.diff(values, axis=1)  # (orders, position, labels)
        changes = np.take_along_axis(changes, self.ranks[:, :, None], axis=1)  # (orders, groups, labels)
        shares = changes.mean(axis=0) / np.bincount(self.groups)[:, None]  # (groups, labels)
        return np.asarray(shares[self.groups])  # (words, labels)


def _sample(words: Words, coalitions: int, groups: int, seed: int) -> _Sample:
    """Sample orders in which a text's words join, each with its reverse."""
    width = len(words.words)
    count = min(width, groups)
    orders = np.tile(np.arange(count), (max(1, coalitions // (2 * count)), 1))
    ranks = np.random.default_rng(seed).permuted(orders, axis=1)  # (orders / 2, groups)
    return _Sample(words, np.arange(width) * count // width, np.concatenate([ranks, count - 1 - ranks]))


def _log_odds(probabilities: Probabilities) -> Array:
    """Return the log-odds of each label, shape (n, labels)."""
    clipped = probabilities.clip(EPSILON, 1 - EPSILON)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _label_indices(classifier: Classifier, probabilities: Array) -> list[int]:
    """Return the indices of the predicted labels; if there are none, of the most probable label."""
    description = classifier.description
    y_pred = decide(probabilities[None], description.label_separator, description.threshold)
    if description.label_separator is None:
        return [int(y_pred[0])]
    return np.flatnonzero(y_pred[0]).tolist() or [int(probabilities.argmax())]


def strongest_words(
    explanations: Iterable[Explanation], *, min_texts: int = 2, limit: int = 12
) -> dict[str, list[LabelWordDocument]]:
    """Return the words that speak most for each label, by their mean weight over `min_texts` texts or more."""
    weights: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for explanation in explanations:
        in_text: dict[str, float] = defaultdict(float)
        for word in explanation.words:
            if word.known:
                in_text[word.word] += word.weight
        for name, weight in in_text.items():
            weights[explanation.label][name].append(weight)
    return {label: _largest_means(by_word, min_texts, limit) for label, by_word in sorted(weights.items())}


def _largest_means(weights: dict[str, list[float]], min_texts: int, limit: int) -> list[LabelWordDocument]:
    means = [(-float(np.mean(values)), word, len(values)) for word, values in weights.items()]
    largest = sorted(mean for mean in means if mean[0] < 0 and mean[2] >= min_texts)[:limit]
    return [{"word": word, "weight": -weight, "texts": texts} for weight, word, texts in largest]


def explain_lines(
    classifier: Classifier, chunks: Iterable[Sequence[str]], label: str | None
) -> Iterator[tuple[int, str, list[Explanation]]]:
    """Yield row, text and explanations of each text, in order."""
    row = 0
    for texts in chunks:
        for text, explanations in zip(texts, explain(classifier, texts, label), strict=True):
            yield row, text, explanations
            row += 1
