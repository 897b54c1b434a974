"""The rows that a report shows in full: where the model was most surely wrong, and where it was nearest to the line."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.data.source import SourceRows
from textclf.evaluation.predictions import Predictions
from textclf.inference.classifier import Classifier
from textclf.inference.explain import FEWEST_STEPS, Explainer, Explanation, strongest_words
from textclf.io.contract import SampleDocument, SamplesDocument

Array = npt.NDArray[Any]

OF_EACH_KIND = 10

LONGEST = 2000  # characters of a text that are shown

STEPS = 32  # of an explanation at most: a picture of it needs no more

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


def sample_document(classifier: Classifier, folder: Path, rows: SourceRows, found: Predictions) -> SamplesDocument:
    """The rows with their texts, each word with its weight, and the words that speak for each label most.

    Args:
        folder: the run that the classifier is of.
    """
    explainer = Explainer(classifier, folder)
    kinds = {
        "surely_wrong": surely_wrong(found),
        "nearest": nearest_to_the_line(found, classifier.description.threshold),
    }
    drawn = np.sort(np.random.default_rng(0).permutation(len(found))[:DRAWN])
    wanted = np.unique(np.concatenate([*kinds.values(), drawn]))
    texts = dict(zip(wanted.tolist(), rows.texts(wanted), strict=True))
    shown = sorted(set(np.concatenate(list(kinds.values())).tolist()))
    explanations = explainer.explain([texts[place][:LONGEST] for place in shown], most_steps=STEPS)
    explained = dict(zip(shown, explanations, strict=True))
    samples = {
        kind: [_sample(found, place, texts[place], explained[place]) for place in places.tolist()]
        for kind, places in kinds.items()
    }
    return {
        "surely_wrong": samples["surely_wrong"],
        "nearest": samples["nearest"],
        "words": strongest_words(_first([texts[place] for place in drawn.tolist()], explainer)),
    }


def _first(texts: list[str], explainer: Explainer) -> list[Explanation]:
    """Explanations of the texts, of as many as have CHARACTERS together."""
    characters = np.cumsum([len(text) for text in texts])
    some = texts[: max(1, int(np.searchsorted(characters, CHARACTERS)))]
    # a mean over many texts needs no text's weights to the last hundredth
    return [each for found in explainer.explain(some, most_steps=FEWEST_STEPS) for each in found]


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
