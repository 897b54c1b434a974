"""Rows that are probably labelled wrong, by confident learning (Northcutt, Jiang, Chuang 2021) through cleanlab."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.config.schema import DEFAULT_THRESHOLD, Config
from textclf.errors import UserError
from textclf.inference.classifier import decide, label_fields
from textclf.io.files import write_csv
from textclf.training.dataset import Dataset
from textclf.training.linear import LabelledWords, fit_linear, sample_rows

Array = npt.NDArray[Any]

FOLDS = 5


class Suspects(NamedTuple):
    """Rows of the training files, the most suspicious first."""

    row_ids: npt.NDArray[np.int64]
    """Row numbers in the files, shape (k,)."""
    labels: list[str]
    """Label fields of the rows."""
    suggested: list[str]
    """Labels predicted by a linear model that was trained on other rows."""
    probabilities: npt.NDArray[np.float64]
    """Its probability of the row's own label, shape (k,); of several labels the lowest."""


def find_suspects(dataset: Dataset, *, separator: str | None, seed: int) -> Suspects:
    """Find the training rows whose labels a linear model, trained on other rows, contradicts.

    Raises:
        UserError: cleanlab is not installed.
    """
    multilabel = dataset.train.targets.ndim > 1
    find_label_issues = _cleanlab(multilabel=multilabel)
    splits = dataset.splits
    sampled = sample_rows(splits.train.counts, seed=seed)
    train = LabelledWords(dataset.linear_words(splits.train.take(sampled)), dataset.train.targets[sampled])
    validation = LabelledWords(dataset.linear_words(splits.validation), dataset.validation.targets)
    probabilities = cross_validate(
        train, validation, labels=len(splits.labels), vocabulary=dataset.linear_vocabulary, seed=seed
    )  # (n, labels)
    y_true = [np.flatnonzero(row).tolist() for row in train.targets] if multilabel else train.targets
    # one process: each further one would load all that this one has loaded
    issues = find_label_issues(y_true, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    issues = np.asarray(issues, np.int64)  # (k,)
    probabilities, targets = probabilities[issues], train.targets[issues]
    if multilabel:
        of_own_label = np.where(targets == 1, probabilities, 1 - probabilities).min(axis=1)
    else:
        of_own_label = probabilities[np.arange(len(issues)), targets]
    suspects = splits.train.take(sampled[issues])
    return Suspects(
        row_ids=suspects.row_ids,
        labels=[suspects.labels.fields[code] for code in suspects.labels.codes],
        suggested=label_fields(decide(probabilities, separator, DEFAULT_THRESHOLD), splits.labels, separator),
        probabilities=of_own_label,
    )


def cross_validate(
    train: LabelledWords, validation: LabelledWords, *, labels: int, vocabulary: Sequence[str], seed: int
) -> Array:
    """Return probabilities of the training rows, shape (n, labels), each by a linear model trained on other rows.

    Args:
        validation: rows to choose the settings of the models on.
        labels, vocabulary: as for `fit_linear`.
    """
    settings = fit_linear(train, validation, labels=labels, vocabulary=vocabulary).settings
    fold = np.random.default_rng(seed).permutation(len(train.targets)) % FOLDS  # (n,)
    probabilities = np.zeros((len(fold), labels))
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        others = LabelledWords(train.words.take(inside), train.targets[inside])
        model = fit_linear(others, validation, labels=labels, vocabulary=vocabulary, settings=settings)
        probabilities[outside] = model.predict_proba(train.words.take(outside))
    return probabilities


def _cleanlab(*, multilabel: bool) -> Any:
    try:
        from cleanlab import filter as single_label
        from cleanlab.multilabel_classification import filter as multiple_labels
    except ImportError:
        raise UserError("Rows that are labelled wrong are found by cleanlab: pip install 'cleanlab>=2.8'.") from None
    return (multiple_labels if multilabel else single_label).find_label_issues


def write_suspects(
    path: Path, dataset: Dataset, config: Config, *, raw: bool = False, overwrite: bool = True
) -> int:  # fmt: skip
    """Write the suspects as CSV, without their texts; return their number.

    Args:
        raw: do not escape labels that a spreadsheet would take for formulas.
        overwrite: replace a file that exists.
    """
    suspects = find_suspects(dataset, separator=config.data.label_separator, seed=config.training.seed)
    rows = zip(
        suspects.row_ids.tolist(), suspects.labels, suspects.suggested, suspects.probabilities.tolist(), strict=True
    )
    write_csv(path, ["row", "label", "suggested", "probability_of_label"], rows, raw=raw, overwrite=overwrite)
    return len(suspects.row_ids)
