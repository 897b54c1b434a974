"""The loader of a model in MLflow: it reads a `model/` folder, and the model labels texts."""

from pathlib import Path
from typing import Any

import pandas as pd

from textclf.inference.classifier import Classifier, load_classifier


def _load_pyfunc(path: str) -> "PythonModel":
    return PythonModel(load_classifier(Path(path)))


class PythonModel:
    """A classifier as MLflow calls it."""

    def __init__(self, classifier: Classifier):
        self._classifier = classifier

    def predict(self, model_input: Any) -> pd.DataFrame:
        """Return the label of each text and its probability.

        Args:
            model_input: n texts: a table with one column, a Series, an array or a list.
        """
        texts = [str(value) for value in pd.DataFrame(model_input).iloc[:, 0]]
        labels, confidence = self._classifier.decide(self._classifier.predict_proba(texts))
        return pd.DataFrame({"label": labels, "probability": confidence})
