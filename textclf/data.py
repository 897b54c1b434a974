"""Rows of text and label from .csv, .tsv, .jsonl and .parquet files: all of them, in order, as they stand."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.files import OpenData, file_format, find_column, find_files, read_columns
from textclf.options import option, options


@options
class DataOptions:
    """Where the rows are, and which columns hold what."""

    train: str | list[str] = option(help="a .csv, .tsv, .jsonl or .parquet file, each also .gz; a list or a glob too")
    validation: str | None = option(
        default=None, help="a file of validation rows; null: a part of the training rows is held out"
    )
    test: str | None = option(default=None, help="a file that training never sees; scored at the end")
    text: str = option(default="text", help="name of the column with the texts", min_length=1)
    label: str = option(default="label", help="name of the column with the labels", min_length=1)
    validation_split: float = option(
        default=0.1, help="share of the training rows held out, stratified by label", gt=0, lt=1
    )
    label_separator: str | None = option(
        default=None,
        help='what stands between several labels of one row, such as "|"; null: one label a row',
        min_length=1,
    )


@dataclass(frozen=True)
class Rows:
    """Texts and labels of n rows, as their files have them."""

    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> "Rows":
        """The rows with these numbers, in this order."""
        rows = list(rows)
        return Rows([self.texts[row] for row in rows], [self.labels[row] for row in rows])


def read_rows(paths: Iterable[Path], options: DataOptions) -> Rows:
    """All rows of the files, in their order.

    Raises:
        UserError: a file cannot be read, has no rows, or a row has no label where each needs one.
    """
    texts: list[str] = []
    labels: list[str] = []
    for path in paths:
        before = len(texts)
        for text, label in read_columns(path, {"data.text": options.text, "data.label": options.label}):
            if not label.strip() and options.label_separator is None:
                raise UserError(
                    f"{path}: row {len(texts) - before} has no label (rows count from 0). Add it or drop the row."
                )
            texts.append(text)
            labels.append(label)
        if len(texts) == before:
            raise UserError(f"{path} has no rows. Add some, or name another file.")
    return Rows(texts, labels)


def data_problems(options: DataOptions) -> list[tuple[str, str]]:
    """What is wrong with the files and columns that a config names, as (dotted key, message) pairs."""
    problems: list[tuple[str, str]] = []
    for part in ("train", "validation", "test"):
        patterns = getattr(options, part)
        if patterns is None:
            continue
        try:
            for path in find_files(patterns, key=f"data.{part}"):
                with OpenData(path) as stream:
                    columns = file_format(path).columns(stream, str(path))
                problems += _column_problems(path, columns, options)
        except UserError as error:
            problems.append((f"data.{part}", str(error).removeprefix(f"data.{part}: ")))
    return problems


def _column_problems(path: Path, columns: list[str], options: DataOptions) -> Iterator[tuple[str, str]]:
    for key, name in (("data.text", options.text), ("data.label", options.label)):
        try:
            find_column(str(path), columns, name, key=key)
        except UserError as error:
            yield key, str(error)


# Labels


def split_labels(label: str, separator: str | None) -> list[str]:
    """The labels that a field holds: itself, or, with a separator, each part once."""
    if separator is None:
        return [label]
    parts = (part.strip() for part in label.split(separator))
    return list(dict.fromkeys(part for part in parts if part))


def label_names(labels: Iterable[str], separator: str | None) -> list[str]:
    """Every label that occurs, sorted, so that their order never depends on that of the rows."""
    return sorted({name for label in set(labels) for name in split_labels(label, separator)})


def label_targets(labels: list[str], names: list[str], separator: str | None) -> npt.NDArray[Any]:
    """What the network is to give: index of the label, shape (n,), or, with a separator, 0 and 1, shape (n, labels)."""
    index = {name: position for position, name in enumerate(names)}
    if separator is None:
        return np.fromiter((index[label] for label in labels), np.int64, len(labels))
    targets = np.zeros((len(labels), len(names)), np.int64)
    for row, label in enumerate(labels):
        targets[row, [index[name] for name in split_labels(label, separator)]] = 1
    return targets


def label_counts(labels: Iterable[str], separator: str | None) -> Counter[str]:
    """How many rows each label has."""
    counts: Counter[str] = Counter()
    for label, rows in Counter(labels).items():
        for name in split_labels(label, separator):
            counts[name] += rows
    return counts


# The split


@dataclass(frozen=True)
class Split:
    """Numbers of the rows on each side, ascending."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    rare: list[str]
    """Labels with too few texts to be on both sides; their rows are all in train."""


def split(rows: Rows, *, fraction: float, seed: int, separator: str | None = None) -> Split:
    """A stratified split in which no text stands on both sides, case and blanks aside.

    Rows with the same text form a group, which goes to one side whole. Groups are dealt label by label; with several
    labels a row, by its rarest, so that rare labels reach both sides first.
    """
    counts = label_counts(rows.labels, separator)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(rows.texts):
        groups[" ".join(text.casefold().split())].append(row)
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for members in groups.values():
        names = split_labels(rows.labels[members[0]], separator)
        strata[min(names, key=lambda name: (counts[name], name), default="")].append(members)

    rng = np.random.default_rng(seed)
    dealt = [group for name in sorted(strata) for group in _deal(strata[name], fraction, rng)]
    held_out = _learnable(dealt, rows, separator)
    validation = np.sort(np.array(held_out, np.int64))
    train = np.setdiff1d(np.arange(len(rows)), validation)
    seen = label_counts((rows.labels[row] for row in held_out), separator)
    return Split(train, validation, [name for name in sorted(counts) if name not in seen])


def _deal(groups: list[list[int]], fraction: float, rng: np.random.Generator) -> list[list[int]]:
    """Groups to hold out: as many rows as the fraction asks for, at least one, and never all groups."""
    wanted = max(1, round(fraction * sum(map(len, groups))))
    held_out: list[list[int]] = []
    for index in rng.permutation(len(groups)):
        # a group that is too large is passed over: one text that recurs must not fill the validation rows
        if len(groups[index]) <= wanted and len(held_out) < len(groups) - 1:
            held_out.append(groups[index])
            wanted -= len(groups[index])
    return held_out


def _learnable(groups: list[list[int]], rows: Rows, separator: str | None) -> list[int]:
    """Rows of the groups less those with a label that would be in no other row."""
    counts = label_counts(rows.labels, separator)
    held_out = label_counts((rows.labels[row] for group in groups for row in group), separator)
    lost = {name for name in counts if held_out[name] == counts[name]}
    return [
        row for group in groups
        if not any(lost.intersection(split_labels(rows.labels[row], separator)) for row in group)
        for row in group
    ]  # fmt: skip
