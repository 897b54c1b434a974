"""`TextClassifier`: a scikit-learn estimator over texts, which trains and predicts as the commands do."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from textclf.api.parameters import PARAMETERS, args_docstring, check_names, config_values, params_of, signature
from textclf.api.runs import argument_names, load, path_of, train_silently
from textclf.api.targets import Classes, Targets, classes_of, read_classes, read_targets
from textclf.errors import UserError
from textclf.inference.texts import as_texts
from textclf.io.files import read_json, replacing, write_json, write_pieces
from textclf.io.run_folder import Run
from textclf.io.staging import create_staging, locked, publishing, recover

Array = npt.NDArray[Any]

Files = Mapping[str, bytes]
"""The files of a run by their paths in it, metrics.json last."""


class TextClassifier(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier of texts, whose parameters are the options of a config by their names.

    X is a list, a Series or an array of texts. y holds classes (texts, whole numbers or booleans), or for rows with
    several labels a matrix of 0 and 1, shape (n, labels). A part of the rows, `validation_split`, is held out of
    training to choose the epoch and to calibrate the probabilities.

    Training writes its files to a temporary folder, removed at the end; the estimator keeps them in memory until
    `save` writes them as a run. A pickle of it holds their bytes, which are checked like those of any `model/` folder.

    Attributes:
        classes_: the classes, sorted; for a matrix the names of its columns, or their numbers.
        classifier_: the `Classifier` of the run, with `predict`, `explain` and `table`.
        metrics_: the scores on the rows held out, by scikit-learn's names.
    """

    classes_: Array
    metrics_: dict[str, float | None]

    def __init__(self, **parameters: Any) -> None:
        check_names(parameters)
        for name, parameter in PARAMETERS.items():
            setattr(self, name, parameters.get(name, parameter.default))

    __init__.__signature__ = signature()  # type: ignore[attr-defined] # what scikit-learn reads the names from

    def fit(self, X: Iterable[str], y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Train on texts and their classes.

        Raises:
            TypeError, ValueError: X holds no texts, or y no classes.
            UserError: everything that is wrong with the parameters, one problem a line, or nothing can be learnt.
        """
        texts, targets = as_texts(X, name="X"), read_targets(y)
        check_consistent_length(texts, targets.rows)
        with tempfile.TemporaryDirectory(prefix="textclf-") as folder:
            run = Run(Path(folder) / "TextClassifier")  # the name in its report and its card
            _train(self.get_params(), texts, targets, run)
            self._adopt(run, targets.classes)
        return self

    def predict_proba(self, X: Iterable[str]) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class, shape (n, classes); a row adds up to 1 unless y was a matrix."""
        check_is_fitted(self)
        probabilities = self.classifier_.predict_proba(as_texts(X, name="X"))  # (n, labels)
        return self._by_class(probabilities)

    def predict(self, X: Iterable[str]) -> Array:  # noqa: N803
        """Return the class of each text, shape (n,), or a matrix of 0 and 1, shape (n, classes), if y was one."""
        check_is_fitted(self)
        y_pred = self.classifier_.predict_indices(as_texts(X, name="X"))  # (n,) or (n, labels)
        if self._classes.multilabel:
            return self._by_class(y_pred)
        return np.asarray(self.classes_[self._positions[y_pred]])

    def _by_class(self, columns: Array) -> Array:
        """Return columns of the model's labels as columns of classes; of a label that no training row had 0."""
        by_class = np.zeros((len(columns), len(self.classes_)), columns.dtype)
        by_class[:, self._positions] = columns
        return by_class

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the estimator as a run, which the commands, `load` and `TextClassifier.load` read.

        Args:
            overwrite: replace a run that exists.

        Raises:
            UserError: the folder exists, or cannot be written.
        """
        check_is_fitted(self)
        run, option = Run(path_of(path)), "the argument path"
        with argument_names(), locked(run, option=option):
            staging = create_staging(run, [], overwrite=overwrite, option=option)
            with publishing(staging, run):
                write_json(staging.estimator, self._classes.document())
                _write_files(staging.path, self._files)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the fitted estimator of a run, whether `save` or `textclf train` wrote it.

        Raises:
            UserError: there is no complete run, or it is damaged.
        """
        from textclf.config.load import load_saved_config  # pydantic is not needed to predict

        run = recover(Run(path_of(path)))
        if not run.complete:
            raise UserError(f"{run.path} is no complete run. To predict with a model/ folder: textclf.load.")
        estimator = cls(**params_of(load_saved_config(run.config)))
        estimator._adopt(run, None)
        return estimator

    def _adopt(self, run: Run, classes: Classes | None) -> None:
        """Become the estimator of a run: read its files and its classes.

        Args:
            classes: None: those that the run holds.
        """
        self.classifier_ = load(run.path)
        labels, multilabel = self.classifier_.labels, self.classifier_.description.label_separator is not None
        if classes is None and run.estimator.is_file():
            classes = read_classes(read_json(run.estimator), labels, multilabel=multilabel, path=run.estimator)
        self._classes = classes or classes_of(labels, multilabel=multilabel)
        self._positions = np.array([self._classes.labels.index(label) for label in labels])
        self._files = {
            file.relative_to(run.path).as_posix(): file.read_bytes()
            for file in run.files if file.is_file() and file != run.estimator
        }  # fmt: skip
        self.classes_ = self._classes.values
        self.metrics_ = json.loads(self._files[run.metrics.name])["metrics"]

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "classifier_"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_files" in state:
            model = {name: data for name, data in self._files.items() if name.startswith("model/")}
            with tempfile.TemporaryDirectory(prefix="textclf-") as folder:
                _write_files(Path(folder), model)
                self.classifier_ = load(folder)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_label = True
        return tags


TextClassifier.__doc__ = f"{TextClassifier.__doc__}\n{args_docstring()}\n"


def _train(params: Mapping[str, Any], texts: list[str], targets: Targets, run: Run) -> None:
    """Train a run on texts and their labels, with their file beside it."""
    from textclf.config.load import make_config

    file = run.path.with_name("rows.jsonl")
    rows = zip(texts, targets.rows, strict=True)
    write_pieces(file, (json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    values = config_values(params)
    separator = targets.classes.separator
    values["data"] = {**values.get("data", {}), "train": file, "label_separator": separator}
    try:
        train_silently(make_config(values), run, keep_interrupted=False)
    except UserError as error:
        raise UserError(*(line.replace(str(file), "X and y") for line in error.lines)) from None


def _write_files(folder: Path, files: Files) -> None:
    for name, data in files.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_bytes(data)
