"""Texts in, labels and probabilities out: needs numpy, onnxruntime, and a run's `model/` folder beside this file."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.inference.classifier import Classifier, Probabilities, scorer
from textclf.inference.model_folder import Description
from textclf.text.encoding import pad
from textclf.text.tokenizer import TextOptions

MODEL = Path(__file__).with_name("model")


def predict(texts: Sequence[str], *, model: Path = MODEL) -> list[str]:
    """The label of each text; where a text may have several, they are joined by the separator of the data."""
    return load(model).decide(predict_proba(texts, model=model))[0]


def predict_proba(texts: Sequence[str], *, model: Path = MODEL) -> Probabilities:
    """Probabilities, shape (n, labels), for n texts; the labels in the order of `labels()`."""
    return load(model).predict_proba(texts)


def labels(*, model: Path = MODEL) -> list[str]:
    """The labels that there are."""
    return load(model).labels


def token_ids(texts: Sequence[str], *, model: Path = MODEL) -> npt.NDArray[np.int32]:
    """What a network in any other format takes: ids of the texts, shape (n, longest), zeros behind the shorter ones."""
    ids = load(model).encode(texts)
    return pad(ids.flat, ids.starts, ids.lengths)


@cache
def load(model: Path) -> Classifier:
    """The classifier in the folder, which is read once.

    Raises:
        UserError: model.onnx is not the file that model.json describes, or ONNX Runtime cannot run it.
    """
    document = json.loads((model / "model.json").read_text(encoding="utf-8"))
    graph = (model / "model.onnx").read_bytes()
    if hashlib.sha256(graph).hexdigest() != document["sha256"]:
        raise UserError(f"{model}/model.onnx is not the file that model.json describes. Copy the folder again.")
    fields = {name: document[name] for name in Description.__dataclass_fields__}
    description = Description(**{**fields, "text": TextOptions(**document["text"])})
    return Classifier(description, scorer(graph, model / "model.onnx", len(description.labels)), document["probe"])
