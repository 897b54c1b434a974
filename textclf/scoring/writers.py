"""The files of shards: rows with their labels as CSV, JSON lines or parquet."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from textclf.inference.classifier import Probabilities
from textclf.io.sanitize import csv_lines, escape_formulas, label_columns

ROW, LABEL, PROBABILITY = "row", "label", "probability"
"""Columns before those of the labels: number of the row in its input, label, and its probability."""

INPUT = "input "  # before the name of a kept column that one of the output has


class ScoredRows(NamedTuple):
    """The rows of a shard with their labels."""

    first: int
    """Number of the first row in its input, counted from 0."""
    kept: Sequence[tuple[str, ...]]
    """The values of the kept columns of each row."""
    labels: list[str]
    confidence: list[float]
    probabilities: Probabilities
    """Shape (rows, labels)."""


class Columns(NamedTuple):
    """The names of a shard's columns."""

    kept: list[str]
    labels: list[str]
    """Of the probability of each label."""

    @classmethod
    def of(cls, keep: Sequence[str], labels: Sequence[str]) -> "Columns":
        """Return distinct names for kept columns and for the labels of a model."""
        own = (ROW, LABEL, PROBABILITY)
        kept: list[str] = []
        for name in keep:
            while name in (*own, *labels, *kept):
                name = INPUT + name
            kept.append(name)
        return cls(kept, label_columns(labels, [*own, *kept]))


def write_csv_shard(path: Path, columns: Columns, rows: ScoredRows, raw: bool) -> None:
    """Write CSV with a header; formulas in texts are escaped unless `raw`."""
    escape = str if raw else escape_formulas
    header = [ROW, *map(escape, columns.kept), LABEL, PROBABILITY, *map(escape, columns.labels)]
    cells = (
        [number, *map(escape, kept), escape(label), f"{confidence:.6f}", *[f"{p:.6f}" for p in values]]
        for number, kept, label, confidence, values in _each(rows)
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(csv_lines([header], raw=True))
        file.writelines(csv_lines(cells, raw=True))


def write_jsonl_shard(path: Path, columns: Columns, rows: ScoredRows, raw: bool) -> None:  # noqa: ARG001 - no formulas
    """Write an object a line, as `predict --format jsonl` does, with the kept columns after the row's number."""
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, kept, label, confidence, values in _each(rows):
            row = {
                ROW: number, **dict(zip(columns.kept, kept, strict=True)), LABEL: label,
                PROBABILITY: round(confidence, 6),
                "probabilities": dict(zip(columns.labels, [round(p, 6) for p in values], strict=True)),
            }  # fmt: skip
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_parquet_shard(path: Path, columns: Columns, rows: ScoredRows, raw: bool) -> None:  # noqa: ARG001
    """Write parquet; kept columns are text, as they were read."""
    import pyarrow
    import pyarrow.parquet

    count = len(rows.labels)
    table = {ROW: pyarrow.array(range(rows.first, rows.first + count), pyarrow.int64())}
    for index, name in enumerate(columns.kept):
        table[name] = pyarrow.array([kept[index] for kept in rows.kept], pyarrow.string())
    table[LABEL] = pyarrow.array(rows.labels, pyarrow.string())
    table[PROBABILITY] = pyarrow.array(rows.confidence, pyarrow.float64())
    for index, name in enumerate(columns.labels):
        table[name] = pyarrow.array(rows.probabilities[:, index])
    pyarrow.parquet.write_table(pyarrow.table(table), path)


def _each(rows: ScoredRows) -> "zip[tuple[int, tuple[str, ...], str, float, list[float]]]":
    """Return number, kept values, label, its probability and all probabilities of each row."""
    numbers = range(rows.first, rows.first + len(rows.labels))
    return zip(numbers, rows.kept, rows.labels, rows.confidence, rows.probabilities.tolist(), strict=True)


WRITERS: dict[str, Callable[[Path, Columns, ScoredRows, bool], None]] = {
    "csv": write_csv_shard,
    "jsonl": write_jsonl_shard,
    "parquet": write_parquet_shard,
}
"""By the suffix of a shard's file: (file, names of the columns, rows, raw)."""
