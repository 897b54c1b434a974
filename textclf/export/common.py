"""What exported files have in common: what is said in them, and how they are asked for probabilities."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf import __version__
from textclf.inference.classifier import Classifier
from textclf.inference.model_folder import Description
from textclf.text.encoding import PADDING, RESERVED, UNKNOWN, pad

DESCRIPTION = "textclf.json"

Forward = Callable[[npt.NDArray[np.int32]], npt.NDArray[Any]]
"""From token ids, shape (n, width), padded at the end, to probabilities, shape (n, labels)."""

PredictProba = Callable[[Sequence[str]], npt.NDArray[Any]]
"""From n texts to probabilities, shape (n, labels)."""


def description_text(description: Description) -> str:
    """JSON of all that a recipient has to know besides the network: labels, vocabulary, what became of texts."""
    token_ids = {"padding": PADDING, "unknown": UNKNOWN, "first_of_vocabulary": RESERVED}
    document = {"textclf": __version__, **asdict(description), "token_ids": token_ids}
    return json.dumps(document, indent=1, ensure_ascii=False)


def on_texts(classifier: Classifier, forward: Forward) -> PredictProba:
    """The same network on texts, by the classifier's vocabulary."""

    def predict_proba(texts: Sequence[str]) -> npt.NDArray[Any]:
        ids = classifier.encode(texts)
        return forward(pad(ids.flat, ids.starts, ids.lengths))

    return predict_proba
