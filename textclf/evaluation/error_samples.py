"""The rows that a report shows in full: the most confident errors, and the rows closest to another label."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.source import SourceRows
from textclf.evaluation.predictions import Predictions
from textclf.inference.classifier import Classifier
from textclf.inference.explain import MAX_GROUPS, Explanation, explain, strongest_words
from textclf.io.contract import SampleDocument, SamplesDocument, Threshold

Array = npt.NDArray[Any]

SHOWN_ROWS = 10  # surely wrong, and as many nearest

SHOWN_CHARACTERS = 2000  # of a text


class Effort(NamedTuple):
    """How much is computed for the words of a report."""

    coalitions: int
    """Per explanation; the words are only coloured, so a rough weight is enough."""
    groups: int
    """Most groups of words in a text, each with one weight."""
    drawn_rows: int
    """Most rows of the sample that each label's strongest words are taken from."""
    drawn_characters: int
    """Most characters of this sample."""


EFFORT, ENCODER_EFFORT = Effort(400, MAX_GROUPS, 300, 40_000), Effort(80, 40, 60, 8_000)
"""Of a network, and of a pretrained encoder, which computes a hundredth as many texts a second."""


def surely_wrong_rows(predictions: Predictions) -> Array:
    """Return the indices of the wrong rows with the highest confidence, highest first."""
    order = np.argsort(np.where(predictions.correct, -1.0, predictions.confidence), kind="stable")[::-1]
    return order[: min(SHOWN_ROWS, int((~predictions.correct).sum()))]


def nearest_rows(predictions: Predictions, threshold: Threshold) -> Array:
    """Return the indices of the rows closest to another label, closest first."""
    probabilities = predictions.probabilities  # (n, labels)
    if predictions.separator is not None:
        # labels that the classifier does not know come last, and have no threshold
        known = probabilities[:, : len(threshold)] if isinstance(threshold, list) else probabilities
        margins = np.abs(known - threshold).min(axis=1)
    elif probabilities.shape[1] == 2:
        margins = np.abs(probabilities[:, 1] - threshold)
    else:
        ascending = np.sort(probabilities, axis=1)
        margins = ascending[:, -1] - ascending[:, -2]
    return np.argsort(margins, kind="stable")[:SHOWN_ROWS]


def sample_document(classifier: Classifier, rows: SourceRows, predictions: Predictions) -> SamplesDocument:
    """Return the rows with their texts, each word with its weight, and the words that speak most for each label."""
    errors = surely_wrong_rows(predictions)
    closest = nearest_rows(predictions, classifier.description.threshold)
    effort = ENCODER_EFFORT if classifier.tokenizer else EFFORT
    drawn = np.sort(np.random.default_rng(0).permutation(len(predictions))[: effort.drawn_rows])
    indices = np.unique(np.concatenate([errors, closest, drawn]))
    texts = dict(zip(indices.tolist(), rows.texts(indices), strict=True))
    shown = np.unique(np.concatenate([errors, closest])).tolist()
    shown_texts = [texts[index][:SHOWN_CHARACTERS] for index in shown]
    explanations = explain(classifier, shown_texts, coalitions=effort.coalitions, groups=effort.groups)
    samples = {
        index: _sample(predictions, index, texts[index], explained)
        for index, explained in zip(shown, explanations, strict=True)
    }
    return {
        "surely_wrong": [samples[index] for index in errors.tolist()],
        "nearest": [samples[index] for index in closest.tolist()],
        "words": strongest_words(_explain_first(classifier, [texts[index] for index in drawn.tolist()], effort)),
    }


def _explain_first(classifier: Classifier, texts: list[str], effort: Effort) -> list[Explanation]:
    """Explain the first texts, as many as have `drawn_characters` together."""
    characters = np.cumsum([len(text) for text in texts])
    first = texts[: max(1, int(np.searchsorted(characters, effort.drawn_characters)))]
    # for a mean over many texts, one order of each text's words and its reverse are enough
    return [
        explanation
        for explained in explain(classifier, first, coalitions=0, groups=effort.groups)
        for explanation in explained
    ]


def _sample(predictions: Predictions, index: int, text: str, explained: Sequence[Explanation]) -> SampleDocument:
    row = predictions.take(np.array([index]))
    return {
        "row": int(row.row_ids[0]),
        "truth": row.true_fields()[0],
        "prediction": row.predicted_fields()[0],
        "probability": float(row.confidence[0]),
        "text": text[:SHOWN_CHARACTERS],
        "explained": [explanation.document() for explanation in explained],
    }
