"""Rows that are probably labelled wrong, by confident learning (Northcutt, Jiang, Chuang 2021) through cleanlab."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.config.schema import DEFAULT_THRESHOLD, Config
from textclf.errors import UserError
from textclf.evaluation.baseline import LabelledWords, LinearBaseline, sample_rows
from textclf.inference.classifier import decide, label_fields
from textclf.io.files import write_csv
from textclf.training.dataset import Dataset, Split

Array = npt.NDArray[Any]

FOLDS = 5


class Suspects(NamedTuple):
    """Rows of the training files, the most suspicious first."""

    rows: npt.NDArray[np.int64]
    """Their numbers in the files, shape (k,)."""
    labels: list[str]
    """What they are labelled."""
    better: list[str]
    """The label that a linear model trained on other rows gives them."""
    share: npt.NDArray[np.float64]
    """The probability that it gives their own label, shape (k,); of several labels a row the least of all."""


def find_suspects(dataset: Dataset, *, separator: str | None, seed: int) -> Suspects:
    """Training rows that a linear model, trained on other rows, contradicts more surely than it should.

    Raises:
        UserError: cleanlab is not installed.
    """
    multilabel = dataset.train.targets.ndim > 1
    find = _cleanlab(multilabel=multilabel)
    splits = dataset.splits
    rows = sample_rows(splits.train.counts, seed=seed)
    train = _part(splits.train.take(rows), dataset.train.targets[rows])
    validation = _part(splits.validation, dataset.validation.targets)
    held_out = cross_validated(train, validation, seed=seed)
    labels = [np.flatnonzero(row).tolist() for row in train.targets] if multilabel else train.targets
    # as many processes as cores would each load all that this one has loaded
    found = find(labels, held_out, return_indices_ranked_by="self_confidence", n_jobs=1)
    found = np.asarray(found, np.int64)
    side, names = splits.train.take(rows[found]), splits.labels
    fields = [side.labels.fields[code] for code in side.labels.codes]
    shares = held_out[found]
    better = label_fields(decide(shares, separator, DEFAULT_THRESHOLD), names, separator)
    if multilabel:
        ones = train.targets[found] == 1
        return Suspects(side.row_ids, fields, better, np.where(ones, shares, 1 - shares).min(axis=1))
    return Suspects(side.row_ids, fields, better, shares[np.arange(len(found)), train.targets[found]])


def _part(side: Split, targets: Array) -> LabelledWords:
    return LabelledWords(side.words.take(side.row_ids), targets)


def cross_validated(train: LabelledWords, validation: LabelledWords, *, seed: int) -> Array:
    """Probabilities of the training rows, shape (n, labels), each by a linear model that did not see the row."""
    strength = LinearBaseline(train, validation).strength
    fold = np.random.default_rng(seed).permutation(len(train.targets)) % FOLDS
    labels = train.targets.shape[1] if train.targets.ndim > 1 else int(train.targets.max()) + 1
    held_out = np.zeros((len(fold), labels))
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        model = LinearBaseline(_rows(train, inside), validation, strengths=(strength,))
        known = model.labels
        held_out[np.ix_(outside, known)] = model.predict_proba(train.words.take(outside))
    return held_out


def _rows(part: LabelledWords, rows: Array) -> LabelledWords:
    return LabelledWords(part.words.take(rows), part.targets[rows])


def _cleanlab(*, multilabel: bool) -> Any:
    try:
        from cleanlab import filter as one_label
        from cleanlab.multilabel_classification import filter as several_labels
    except ImportError:
        raise UserError("Rows that are labelled wrong are found by cleanlab: pip install 'textclf[labels]'.") from None
    return (several_labels if multilabel else one_label).find_label_issues


def write_suspects(path: Path, dataset: Dataset, config: Config, *, raw: bool = False) -> int:
    """Writes them as CSV, without their texts, the labels harmless unless `raw`; how many there are."""
    found = find_suspects(dataset, separator=config.data.label_separator, seed=config.training.seed)
    columns = found.rows.tolist(), found.labels, found.better, found.share.tolist()
    write_csv(path, ["row", "label", "suggested", "probability_of_label"], zip(*columns, strict=True), raw=raw)
    return len(found.rows)
