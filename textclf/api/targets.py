"""The classes of a scikit-learn y, and the label that stands for each of them in a run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from textclf.errors import UserError
from textclf.io.contract import EstimatorDocument
from textclf.io.sanitize import excerpt, is_encodable

Array = npt.NDArray[Any]

FORMAT = 1  # of estimator.json

SEPARATORS = ("|", ";", "/", "\x1f")  # the first that no label holds joins the labels of a row

TYPES: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": lambda label: label == "True"}
"""The types that classes may have, each with its way back from a label."""


class Classes(NamedTuple):
    """The classes of an estimator, and the label of each in its run."""

    values: Array
    """Shape (classes,), as `classes_`."""
    labels: list[str]
    multilabel: bool

    def document(self) -> EstimatorDocument:
        """Return the content of estimator.json."""
        return {"format": FORMAT, "type": _type_name(self.values), "labels": self.labels}

    @property
    def separator(self) -> str | None:
        """The separator of several labels of a row; None: a row has one."""
        if not self.multilabel:
            return None
        free = (mark for mark in SEPARATORS if not any(mark in label for label in self.labels))
        return next(free, SEPARATORS[-1])


class Targets(NamedTuple):
    """The y of n rows."""

    classes: Classes
    rows: list[str] | list[list[str]]
    """The label of each row, or several."""


def read_targets(y: Any) -> Targets:
    """Return the classes of y, sorted, and the labels of each row.

    Args:
        y: n classes, or a matrix of 0 and 1, shape (n, labels), for rows with several.

    Raises:
        ValueError: y is neither, or two classes would have the same label.
    """
    if y is None:
        raise ValueError("TextClassifier requires y to be passed, but the target y is None.")
    try:
        kind = type_of_target(y, input_name="y", raise_unknown=True)
    except TypeError:  # it sorts the classes
        raise ValueError("y holds classes of several types. Make all text, or all numbers.") from None
    if kind == "multilabel-indicator":
        return _read_indicators(y)
    check_classification_targets(y)
    values, codes = np.unique(column_or_1d(y, warn=True), return_inverse=True)
    if len(values) == 1:
        raise ValueError(f"y has only one class, {values.tolist()[0]!r}. There must be something to tell apart.")
    labels = _labels_of(values)
    return Targets(Classes(values, labels, multilabel=False), [labels[code] for code in codes.tolist()])


def _read_indicators(y: Any) -> Targets:
    """Return the classes of a matrix of 0 and 1: the names of its columns, or their numbers."""
    values = np.array(list(y.columns)) if hasattr(y, "columns") else np.arange(y.shape[1] if issparse(y) else len(y[0]))
    matrix = y.toarray() if issparse(y) else np.asarray(y)  # (n, labels)
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError("y is a matrix of other numbers than 0 and 1. Set 1 for each label that a row has.")
    labels = _labels_of(values)
    rows = [[labels[code] for code in np.flatnonzero(row)] for row in matrix]
    return Targets(Classes(values, labels, multilabel=True), rows)


def _labels_of(values: Array) -> list[str]:
    """Return the label of each class: its text without blanks around it."""
    if _type_name(values) not in TYPES:
        raise ValueError(f"y holds classes of type {_type_name(values)}, need one of {', '.join(TYPES)}.")
    labels: list[str] = []
    for value in values.tolist():
        label = str(value).strip()
        if not label or label in labels or not is_encodable(label):
            problem = "is empty" if not label else "stands for two" if label in labels else "is not UTF-8"
            raise ValueError(f"y: the class {excerpt(repr(value))} as a label of a run {problem}. Rename it.")
        labels.append(label)
    return labels


def _type_name(values: Array) -> str:
    """Return the name of the Python type that all classes have; several names if there are several types."""
    return " and ".join(sorted({type(value).__name__ for value in values.tolist()}))


def classes_of(labels: list[str], *, multilabel: bool) -> Classes:
    """Return the labels of a run as classes."""
    return Classes(np.unique(labels), sorted(labels), multilabel)


def read_classes(document: Any, labels: list[str], *, multilabel: bool, path: object) -> Classes:
    """Return the classes that an estimator.json holds.

    Args:
        labels: those that the model knows.
        path: named in messages.

    Raises:
        UserError: it is damaged, or of another version.
    """
    try:
        if document["format"] != FORMAT:
            raise UserError(f"{path} has format {document['format']!r:.60}; this textclf reads {FORMAT}.")
        saved = [str(label) for label in document["labels"]]
        values = np.array([TYPES[document["type"]](label) for label in saved])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error!r:.80}. Save the estimator again.") from None
    if not {*labels} <= {*saved}:
        raise UserError(f"{path} is damaged: it lacks labels of the model. Save the estimator again.")
    return Classes(values, saved, multilabel)
