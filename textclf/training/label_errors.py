"""Rows that are probably labelled wrong, by confident learning (Northcutt, Jiang, Chuang 2021) through cleanlab."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.config.schema import DEFAULT_THRESHOLD, Config
from textclf.data.label_studio import TEXT, prediction_task
from textclf.data.rows import split_labels
from textclf.data.source import SourceRows
from textclf.errors import UserError
from textclf.inference.classifier import confidence_in, decide, label_fields
from textclf.io.files import json_list, write_csv, write_pieces
from textclf.io.run_folder import Run
from textclf.training.dataset import Dataset
from textclf.training.linear import LabelledWords, fit_linear, sample_rows

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

FOLDS = 5

MODEL_VERSION = "linear model of other rows"


class Suspects(NamedTuple):
    """Rows of the training files, the most suspicious first."""

    rows: SourceRows
    """The k rows, with their numbers in the files."""
    labels: list[str]
    """Label fields of the rows."""
    suggested: list[str]
    """Labels predicted by a linear model that was trained on other rows."""
    probabilities: npt.NDArray[np.float64]
    """Its probability of the row's own label, shape (k,); of several labels the lowest."""
    confidence: npt.NDArray[np.float64]
    """Its probability of the suggested label, shape (k,); of several labels of exactly these."""


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
    suggested = decide(probabilities, separator, DEFAULT_THRESHOLD)
    return Suspects(
        rows=suspects.rows,
        labels=[suspects.labels.fields[code] for code in suspects.labels.codes],
        suggested=label_fields(suggested, splits.labels, separator),
        probabilities=of_own_label,
        confidence=confidence_in(suggested, probabilities),
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


def check_suspects_file(path: Path, config: Config) -> None:
    """Refuse tasks for Label Studio, which hold texts, where the config keeps these out of files.

    Raises:
        UserError: it does.
    """
    if _has_tasks(path) and not config.report.texts:
        raise UserError(
            f"{path} would hold texts, which report.texts: false forbids. Name a .csv, which has row numbers instead."
        )


def _has_tasks(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def write_run_suspects(run: Run, dataset: Dataset, config: Config) -> None:
    """Write the suspects into a run: as CSV and, where its files may hold texts, as tasks for Label Studio."""
    separator = config.data.label_separator
    suspects = find_suspects(dataset, separator=separator, seed=config.training.seed)
    write_suspects(run.suspects, suspects, separator=separator)
    if config.report.texts:
        write_suspects(run.suspect_tasks, suspects, separator=separator)
    else:
        logger.info("suspects.json is left out, since it would hold texts, which report.texts: false forbids")


def write_suspects(
    path: Path, suspects: Suspects, *, separator: str | None, raw: bool = False, overwrite: bool = True
) -> None:  # fmt: skip
    """Write the suspects as CSV, without their texts, or as tasks for Label Studio if the name ends in .json.

    Args:
        separator: between several labels of a row; None: each has one.
        raw: do not escape labels that a spreadsheet would take for formulas.
        overwrite: replace a file that exists.
    """
    if _has_tasks(path):
        lines = (json.dumps(task, ensure_ascii=False) for task in _tasks(suspects, separator))
        write_pieces(path, json_list(lines), overwrite=overwrite)
        return
    rows = zip(
        suspects.rows.row_ids.tolist(), suspects.labels, suspects.suggested, suspects.probabilities.tolist(),
        strict=True,
    )  # fmt: skip
    write_csv(path, ["row", "label", "suggested", "probability_of_label"], rows, raw=raw, overwrite=overwrite)


def _tasks(suspects: Suspects, separator: str | None) -> Iterator[dict[str, object]]:
    """Yield a task for each suspect, with the suggested label as prediction."""
    for index, row in enumerate(suspects.rows.row_ids.tolist()):
        [text] = suspects.rows.texts(np.array([index]))
        data = {
            TEXT: text, "row": row, "given": suspects.labels[index],
            "probability_of_given": round(float(suspects.probabilities[index]), 6),
        }  # fmt: skip
        labels = split_labels(suspects.suggested[index], separator)
        yield prediction_task(data, labels, model_version=MODEL_VERSION, score=float(suspects.confidence[index]))
