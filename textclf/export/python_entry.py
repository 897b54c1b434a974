"""Predicts the labels of texts. Needs Python 3.11 or later, numpy, onnxruntime and, for an encoder, tokenizers.

    from NAME import labels, predict, predict_proba, token_ids

where NAME is this folder, beside your script or on `sys.path`, or the zip file that holds it, itself on `sys.path`.

Made by textclf, of which `_textclf` is a part, under the Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from textclf.inference.classifier import Classifier, load_classifier
from textclf.inference.model_folder import MODEL_FILES
from textclf.text.encoding import pad


def predict(texts: Sequence[str]) -> list[str]:
    """Return the label of each text; several labels of one text are joined by the separator of the training data."""
    return _classifier().decide(predict_proba(texts))[0]


def predict_proba(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return probabilities, shape (n, labels), for n texts; the columns are in the order of `labels()`."""
    return _classifier().predict_proba(texts)


def labels() -> list[str]:
    """Return the labels in the order of the columns of `predict_proba`."""
    return _classifier().labels


def token_ids(texts: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return token ids, shape (n, longest), padded with 0 at the end: the input of the exports in other formats."""
    ids = _classifier().encode(texts)
    return pad(ids.flat, ids.starts, ids.lengths)


@cache
def _classifier() -> Classifier:
    """Return the classifier in `model/`, read and checked once."""
    model = files(__name__) / "model"
    if isinstance(model, Path):
        return load_classifier(model)
    with TemporaryDirectory() as folder:  # this package is in a zip file, and the reader of models needs files
        for name in MODEL_FILES:
            if (model / name).is_file():
                (Path(folder) / name).write_bytes((model / name).read_bytes())
        return load_classifier(Path(folder))
