"""Parts shared by the export formats: the description in each file, and prediction on texts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf import __version__
from textclf.inference.classifier import Classifier
from textclf.text.encoding import PADDING, RESERVED, UNKNOWN, pad

DESCRIPTION, TOKENIZER = "textclf.json", "tokenizer.json"

Forward = Callable[[npt.NDArray[np.int32]], npt.NDArray[Any]]
"""A network: from token ids, shape (n, width), padded at the end, to probabilities, shape (n, labels)."""

PredictProba = Callable[[Sequence[str]], npt.NDArray[Any]]
"""A classifier: from n texts to probabilities, shape (n, labels)."""


def description_files(classifier: Classifier) -> dict[str, str]:
    """Return what a recipient needs besides the network, as the content of files by their names.

    textclf.json has text options, vocabulary, labels and threshold; tokenizer.json is that of a pretrained encoder.
    """
    description, pieces = classifier.description, classifier.tokenizer
    token_ids = {"padding": PADDING, "unknown": UNKNOWN, "first_of_vocabulary": RESERVED}
    if pieces:
        token_ids["first_of_pieces"] = description.first_piece
    limits = description.network_limits and description.network_limits._asdict()
    document = {"textclf": __version__, **asdict(description), "network_limits": limits, "token_ids": token_ids}
    files = {DESCRIPTION: json.dumps(document, indent=1, ensure_ascii=False)}
    return files | {TOKENIZER: pieces.data.decode()} if pieces else files


def on_texts(classifier: Classifier, forward: Forward) -> PredictProba:
    """Return a function from texts to probabilities that encodes texts as the classifier does."""

    def predict_proba(texts: Sequence[str]) -> npt.NDArray[Any]:
        ids = classifier.encode(texts)
        return forward(pad(ids.flat, ids.starts, ids.lengths))

    return predict_proba
