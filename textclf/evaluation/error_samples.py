"""The rows that a report shows in full: where the model was most surely wrong, and where it was nearest to the line."""

from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.data.source import SourceRows
from textclf.evaluation.predictions import Predictions
from textclf.inference.classifier import Classifier
from textclf.inference.explain import Explanation, explain, strongest_words
from textclf.io.contract import SampleDocument, SamplesDocument

Array = npt.NDArray[Any]

OF_EACH_KIND = 10

LONGEST = 2000  # characters of a text that are shown

COALITIONS = 400  # a picture of an explanation needs no more

DRAWN, CHARACTERS = 300, 40_000  # rows, and characters at most, from which the words of a label are taken


def surely_wrong(found: Predictions) -> Array:
    """Places of the wrong rows of which the model was surest, surest first."""
    order = np.argsort(np.where(found.correct, -1.0, found.confidence), kind="stable")[::-1]
    return order[: min(OF_EACH_KIND, int((~found.correct).sum()))]


def nearest_to_the_line(found: Predictions, threshold: float) -> Array:
    """Places of the rows that the least change would give another label, nearest first."""
    if found.separator is not None:
        margin = np.abs(found.probabilities - threshold).min(axis=1)
    elif found.probabilities.shape[1] == 2:
        margin = np.abs(found.probabilities[:, 1] - threshold)
    else:
        best = np.sort(found.probabilities, axis=1)
        margin = best[:, -1] - best[:, -2]
    return np.argsort(margin, kind="stable")[:OF_EACH_KIND]


def sample_document(classifier: Classifier, rows: SourceRows, found: Predictions) -> SamplesDocument:
    """The rows with their texts, each word with its weight, and the words that speak for each label most."""
    kinds = {
        "surely_wrong": surely_wrong(found),
        "nearest": nearest_to_the_line(found, classifier.description.threshold),
    }
    drawn = np.sort(np.random.default_rng(0).permutation(len(found))[:DRAWN])
    wanted = np.unique(np.concatenate([*kinds.values(), drawn]))
    texts = dict(zip(wanted.tolist(), rows.texts(wanted), strict=True))
    shown = sorted(set(np.concatenate(list(kinds.values())).tolist()))
    explanations = explain(classifier, [texts[place][:LONGEST] for place in shown], coalitions=COALITIONS)
    explained = dict(zip(shown, explanations, strict=True))
    samples = {
        kind: [_sample(found, place, texts[place], explained[place]) for place in places.tolist()]
        for kind, places in kinds.items()
    }
    return {
        "surely_wrong": samples["surely_wrong"],
        "nearest": samples["nearest"],
        "words": strongest_words(_first([texts[place] for place in drawn.tolist()], classifier)),
    }


def _first(texts: list[str], classifier: Classifier) -> list[Explanation]:
    """Explanations of the texts, of as many as have CHARACTERS together."""
    characters = np.cumsum([len(text) for text in texts])
    some = texts[: max(1, int(np.searchsorted(characters, CHARACTERS)))]
    # for a mean over many texts, one order of each text's words and its reverse are enough
    return [each for found in explain(classifier, some, coalitions=0) for each in found]


def _sample(found: Predictions, place: int, text: str, explained: list[Explanation]) -> SampleDocument:
    one = found.take(np.array([place]))
    return {
        "row": int(one.rows[0]),
        "truth": one.truth_texts()[0],
        "prediction": one.chosen_texts()[0],
        "probability": float(one.confidence[0]),
        "text": text[:LONGEST],
        "explained": [each.document() for each in explained],
    }
