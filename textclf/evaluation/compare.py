"""`textclf compare`: runs side by side on the same rows, and whether their difference could be chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from textclf.config.load import load_saved_config
from textclf.config.schema import option_values
from textclf.errors import UserError
from textclf.evaluation.predictions import Predictions, compare_predictions, read_predictions
from textclf.io.contract import ComparisonDocument, DataDocument, MetricsDocument, ScoresDocument
from textclf.io.files import read_json, write_csv
from textclf.io.outputs import check_output
from textclf.io.run_folder import Run
from textclf.io.staging import recover
from textclf.io.tuning_contract import Settings


@dataclass(frozen=True)
class EvaluatedRun:
    """A run, or an evaluation of one, read from its folder."""

    name: str
    data: DataDocument
    predictions: Predictions
    settings: Settings
    """Every option of the run's config by its dotted key."""


class RunComparisonDocument(ComparisonDocument):
    """A run against the first; the integers count rows."""

    turned_right: int
    """Wrong in the first run, correct in this one."""
    turned_wrong: int
    changed: int
    """Predicted labels that differ, correct or not."""


class RunsDocument(TypedDict):
    """The result of `textclf compare`: runs side by side."""

    data: DataDocument
    positive: str | None
    """The positive one of two labels; None with more labels, or several of them per row."""
    runs: dict[str, ScoresDocument]
    against_first: dict[str, RunComparisonDocument]
    settings: dict[str, list[Any]]
    """Values of each option that differs, in the order of the runs."""


def compare(
    paths: Sequence[Path], *, changed: Path | None = None, raw: bool = False, overwrite: bool = False
) -> RunsDocument:  # fmt: skip
    """Compare runs with the first of them, and write the rows on which they differ to the file `changed`.

    Args:
        raw: write texts as they are, even those that a spreadsheet would take for formulas.
        overwrite: replace the file if it exists.

    Raises:
        UserError: a folder holds no results, the runs were not evaluated on the same rows, or the file must not be
            written.
    """
    if changed is not None:
        # of an evaluation the config of its run, which is two folders above
        sources = [file for path in paths for file in (*Run(path).files, Run(path.parent.parent).config)]
        check_output(changed, sources, overwrite=overwrite, option="--changed")
    first, *others = runs = [_read_run(path) for path in paths]
    for other in others:
        _check_same_rows(first, other)
    if changed is not None:
        header = ["row", "truth", *(run.name for run in runs)]
        write_csv(changed, header, _changed_rows(runs), raw=raw, overwrite=overwrite)
    return {
        "data": first.data,
        "positive": first.predictions.positive,
        "runs": {
            run.name: {"metrics": run.predictions.metrics, "intervals": run.predictions.intervals} for run in runs
        },
        "against_first": {other.name: _against(first.predictions, other.predictions) for other in others},
        "settings": _differing_settings([run.settings for run in runs]),
    }


def _read_run(path: Path) -> EvaluatedRun:
    run = recover(Run(path))
    document: MetricsDocument = read_json(run.metrics)
    config = load_saved_config(run.owner.config)
    predictions = read_predictions(run.predictions, separator=config.data.label_separator)
    return EvaluatedRun(path.as_posix(), document["data"], predictions, option_values(config))


def _check_same_rows(first: EvaluatedRun, other: EvaluatedRun) -> None:
    labels = [run.predictions.label_names for run in (first, other)]
    if labels[0] == labels[1][::-1]:
        raise UserError(
            f"{first.name} has the positive label '{first.predictions.positive}', {other.name} has "
            f"'{other.predictions.positive}'. Train both with one decision.positive."
        )
    same = (
        first.data["sha256"] == other.data["sha256"]
        and np.array_equal(first.predictions.row_ids, other.predictions.row_ids)
        and first.predictions.true_fields() == other.predictions.true_fields()
        and first.predictions.label_names == other.predictions.label_names
    )
    if not same:
        rows = [f"{run.name} on {run.data['rows']} rows of {run.data['file']}" for run in (first, other)]
        raise UserError(
            f"{rows[0]}, {rows[1]}: not the same rows and labels. Evaluate both on one file with "
            "`textclf evaluate FILE --run RUN`, and compare RUN/evaluations/NAME."
        )


def _against(first: Predictions, other: Predictions) -> RunComparisonDocument:
    return {
        **compare_predictions(other, first),
        "turned_right": int((~first.correct & other.correct).sum()),
        "turned_wrong": int((first.correct & ~other.correct).sum()),
        "changed": int(_differ([first, other]).sum()),
    }


def _differ(predictions: Sequence[Predictions]) -> npt.NDArray[np.bool_]:
    """Return True where the predicted labels of a row differ between models, shape (n,)."""
    y_pred = np.array([model.y_pred for model in predictions])  # (models, n) or (models, n, labels)
    differs = (y_pred != y_pred[0]).any(axis=0)
    return differs if differs.ndim == 1 else differs.any(axis=1)


def _changed_rows(runs: Sequence[EvaluatedRun]) -> list[list[object]]:
    """Return row id, true label and each run's predicted label, for the rows on which the runs differ."""
    differ = _differ([run.predictions for run in runs])
    changed = [run.predictions.take(differ) for run in runs]
    columns = [changed[0].row_ids.tolist(), changed[0].true_fields(), *(run.predicted_fields() for run in changed)]
    return [list(row) for row in zip(*columns, strict=True)]


def _differing_settings(settings: Sequence[Settings]) -> dict[str, list[Any]]:
    """Return the values of each option that differs between the configs; None where a config has no such option."""
    keys = dict.fromkeys(key for of_run in settings for key in of_run)
    by_option = {key: [of_run.get(key) for of_run in settings] for key in keys}
    return {key: values for key, values in by_option.items() if any(value != values[0] for value in values)}
