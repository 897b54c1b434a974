"""`textclf compare`: runs side by side on the same rows, and whether their difference could be chance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from textclf.config.load import load_saved_config
from textclf.config.schema import option_values
from textclf.errors import UserError
from textclf.evaluation.bootstrap import intervals
from textclf.evaluation.predictions import Predictions, difference, read_predictions
from textclf.io.contract import ComparisonDocument, DataDocument, MetricsDocument, ScoresDocument
from textclf.io.files import read_json, write_csv
from textclf.io.run_folder import Run
from textclf.io.staging import recover


@dataclass(frozen=True)
class Measured:
    """A run or an evaluation, as its folder has it."""

    name: str
    document: MetricsDocument
    outcome: Predictions
    settings: dict[str, Any]
    """Every option of the run's config by its dotted key."""


class ChangesDocument(TypedDict):
    """Rows whose label differs between two runs."""

    turned_right: int
    turned_wrong: int
    changed: int


class RunComparisonDocument(ComparisonDocument, ChangesDocument):
    """A run against the first."""


class RunsDocument(TypedDict):
    """Runs side by side, as `textclf compare` finds them."""

    data: DataDocument
    runs: dict[str, ScoresDocument]
    against_first: dict[str, RunComparisonDocument]
    settings: dict[str, list[Any]]
    """Values of each option that differs, in the order of the runs."""


def compare(paths: list[Path], *, changed: Path | None = None, raw: bool = False) -> RunsDocument:
    """Metrics of each run, and how far each is from the first; the rows that changed go to the file `changed`.

    Args:
        raw: whether the texts in that file stay as they are, even where a spreadsheet would compute them.

    Raises:
        UserError: a folder holds no results, or the runs were not measured on the same rows.
    """
    first, *others = read = [_measured(path) for path in paths]
    for other in others:
        _check_same_rows(first, other)
    if changed is not None:
        write_csv(changed, ["row", "truth", *(each.name for each in read)], _changed_rows(read), raw=raw)
    return {
        "data": first.document["data"],
        "runs": {
            each.name: {"metrics": each.outcome.metrics(), "intervals": intervals(each.outcome.resampled)}
            for each in read
        },
        "against_first": {
            other.name: {**difference(other.outcome, first.outcome), **_turned(first.outcome, other.outcome)}
            for other in others
        },
        "settings": _differing([each.settings for each in read]),
    }


def _measured(path: Path) -> Measured:
    run = recover(Run(path))
    document = read_json(run.metrics)
    config = load_saved_config(run.owner.config)
    outcome = read_predictions(run.predictions, separator=config.data.label_separator)
    return Measured(path.as_posix(), document, outcome, option_values(config))


def _check_same_rows(first: Measured, other: Measured) -> None:
    same = (
        first.document["data"]["sha256"] == other.document["data"]["sha256"]
        and np.array_equal(first.outcome.rows, other.outcome.rows)
        and first.outcome.truth_texts() == other.outcome.truth_texts()
        and first.outcome.names == other.outcome.names
    )
    if not same:
        seen = [f"{each.name} on {each.document['data']['rows']} rows of {each.document['data']['file']}"
                for each in (first, other)]  # fmt: skip
        raise UserError(
            f"{seen[0]}, {seen[1]}: not the same rows and labels. Evaluate both on one file with "
            "`textclf evaluate FILE --run RUN`, and compare RUN/evaluations/NAME."
        )


def _turned(first: Predictions, other: Predictions) -> ChangesDocument:
    """How many rows another run turned right, turned wrong, and gave another label."""
    return {
        "turned_right": int((~first.correct & other.correct).sum()),
        "turned_wrong": int((first.correct & ~other.correct).sum()),
        "changed": int(_differ([first, other]).sum()),
    }


def _differ(outcomes: list[Predictions]) -> Any:
    """Whether a row's label is not the same with all, shape (n,)."""
    chosen = np.array([found.y_pred for found in outcomes])
    differs = (chosen != chosen[0]).any(axis=0)
    return differs if differs.ndim == 1 else differs.any(axis=1)


def _changed_rows(read: list[Measured]) -> list[list[object]]:
    """Row, truth and each run's label, of the rows on which they differ."""
    places = np.flatnonzero(_differ([each.outcome for each in read]))
    outcomes = [each.outcome.take(places) for each in read]
    columns = outcomes[0].rows.tolist(), outcomes[0].truth_texts(), *(found.chosen_texts() for found in outcomes)
    return [list(row) for row in zip(*columns, strict=True)]


def _differing(settings: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The options that are not the same in all configs, with the value in each."""
    values = {key: [each.get(key) for each in settings] for key in settings[0]}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}
