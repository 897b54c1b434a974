"""Parts shared by the export formats: the description in each file, and prediction on texts."""

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
"""A network: from token ids, shape (n, width), padded at the end, to probabilities, shape (n, labels)."""

PredictProba = Callable[[Sequence[str]], npt.NDArray[Any]]
"""A classifier: from n texts to probabilities, shape (n, labels)."""


def description_text(description: Description) -> str:
    """Return the JSON that a recipient needs besides the network: text options, vocabulary, labels, threshold."""
    token_ids = {"padding": PADDING, "unknown": UNKNOWN, "first_of_vocabulary": RESERVED}
    limits = description.network_limits and description.network_limits._asdict()
    document = {"textclf": __version__, **asdict(description), "network_limits": limits, "token_ids": token_ids}
    return json.dumps(document, indent=1, ensure_ascii=False)


def on_texts(classifier: Classifier, forward: Forward) -> PredictProba:
    """Return a function from texts to probabilities that encodes texts as the classifier does."""

    def predict_proba(texts: Sequence[str]) -> npt.NDArray[Any]:
        ids = classifier.encode(texts)
        return forward(pad(ids.flat, ids.starts, ids.lengths))

    return predict_proba
