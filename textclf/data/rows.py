"""Rows of text and label from .csv, .tsv, .jsonl and .parquet files: all of them, in order, as they stand."""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.readers import column_index, file_format, find_files, read_columns
from textclf.errors import UserError
from textclf.io.streams import OpenData
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


PARTS = ("train", "validation", "test")


class Rows(NamedTuple):
    """Texts and labels of n rows as their file has them, and the values of further columns."""

    texts: list[str]
    labels: list[str]
    columns: list[list[str]]


ROWS_AT_ONCE, CHARACTERS_AT_ONCE = 8192, 1 << 22


def read_rows(
    path: Path, options: DataOptions, *, columns: Sequence[str] = (), sha256: "hashlib._Hash | None" = None
) -> Iterator[Rows]:
    """Yield all rows of a file in their order, some thousands at a time.

    Args:
        columns: names of further columns.
        sha256: is updated with the bytes of the file, all of them once its last row has been read.

    Raises:
        UserError: the file cannot be read, has no rows, or a row has no label where each needs one.
    """
    wanted = {"data.text": options.text, "data.label": options.label}
    wanted |= {f"report.slices[{index}]": name for index, name in enumerate(columns)}
    row = -1
    rows, size = Rows([], [], [[] for _ in columns]), 0
    for row, (text, label, *others) in enumerate(read_columns(path, wanted, sha256=sha256)):
        if not label.strip() and options.label_separator is None:
            raise UserError(f"{path}: row {row} has no label (rows count from 0). Add it or drop the row.")
        rows.texts.append(text)
        rows.labels.append(label)
        for values, value in zip(rows.columns, others, strict=True):
            values.append(value)
        size += len(text)
        if len(rows.texts) == ROWS_AT_ONCE or size > CHARACTERS_AT_ONCE:
            yield rows
            rows, size = Rows([], [], [[] for _ in columns]), 0
    if row < 0:
        raise UserError(f"{path} has no rows. Add some, or name another file.")
    if rows.texts:
        yield rows


def data_problems(options: DataOptions, slices: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What is wrong with the files and columns that a config names, as (dotted key, message) pairs.

    Args:
        slices: columns that the rows to measure on must have too.
    """
    measured = "test" if options.test else "validation" if options.validation else "train"
    wanted = {part: [("data.text", options.text), ("data.label", options.label)] for part in PARTS}
    wanted[measured] += [("report.slices", name) for name in slices]
    problems: list[tuple[str, str]] = []
    for part in PARTS:
        patterns = getattr(options, part)
        if patterns is None:
            continue
        try:
            for path in find_files(patterns, key=f"data.{part}"):
                with OpenData(path) as stream:
                    columns = file_format(path).columns(stream, str(path))
                problems += _column_problems(path, columns, wanted[part])
        except UserError as error:
            problems.append((f"data.{part}", str(error).removeprefix(f"data.{part}: ")))
    return problems


def _column_problems(path: Path, columns: list[str], wanted: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for key, name in wanted:
        try:
            column_index(str(path), columns, name, key=key)
        except UserError as error:
            yield key, str(error)


# Labels


@dataclass(frozen=True)
class Labels:
    """The label fields of n rows; each different one is kept once."""

    fields: list[str]
    codes: npt.NDArray[np.int32]
    """Index of each row's field, shape (n,)."""

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: npt.NDArray[np.int64]) -> "Labels":
        """Those of the rows with these numbers, in this order."""
        return Labels(self.fields, self.codes[rows])

    def counts(self, separator: str | None) -> Counter[str]:
        """How many rows each label has."""
        counts: Counter[str] = Counter()
        for field, rows in zip(self.fields, np.bincount(self.codes, minlength=len(self.fields)).tolist(), strict=True):
            for name in split_labels(field, separator):
                counts[name] += rows
        return +counts

    def names(self, separator: str | None) -> list[str]:
        """Every label that occurs, sorted, so that their order never depends on that of the rows."""
        return sorted(self.counts(separator))

    def targets(self, names: list[str], separator: str | None) -> npt.NDArray[Any]:
        """What the network is to give: index of the label, (n,), or, with a separator, 0 and 1, (n, labels)."""
        index = {name: position for position, name in enumerate(names)}
        found = [[index[name] for name in split_labels(field, separator) if name in index] for field in self.fields]
        if separator is None:
            return np.array([each[0] if each else -1 for each in found], np.int64)[self.codes]
        targets = np.zeros((len(self.fields), len(names)), np.int8)
        for field, each in enumerate(found):
            targets[field, each] = 1
        return targets[self.codes]


MAX_LABELS = 2000


def check_labels(labels: Labels, separator: str | None, paths: Sequence[Path]) -> None:
    """Refuses labels so many that no table of them could be kept in memory, or looked at.

    Raises:
        UserError: there are more than MOST_LABELS.
    """
    names = labels.counts(separator)
    if len(names) > MAX_LABELS:
        raise UserError(
            f"{', '.join(map(str, paths))}: {len(names):,} different labels in {len(labels):,} rows; at most "
            f"{MAX_LABELS:,} can be told apart. If data.label names a column of ids or texts, name another."
        )


class LabelBuilder:
    """Collects label fields as they are read."""

    def __init__(self) -> None:
        self._fields: dict[str, int] = {}
        self._codes = array("i")

    def add(self, labels: Iterable[str]) -> None:
        fields = self._fields
        self._codes.extend([fields.setdefault(label, len(fields)) for label in labels])

    def labels(self) -> Labels:
        """All that were added."""
        return Labels(list(self._fields), np.array(self._codes, np.int32))


def split_labels(label: str, separator: str | None) -> list[str]:
    """The labels that a field holds: itself, or, with a separator, each part once."""
    if separator is None:
        return [label]
    parts = (part.strip() for part in label.split(separator))
    return list(dict.fromkeys(part for part in parts if part))


# Texts


class TextKeys(NamedTuple):
    """A number for each of n texts, shape (n,); equal texts have equal ones."""

    exact: npt.NDArray[np.uint64]
    near: npt.NDArray[np.uint64]
    """Equal too for texts that differ in case, blanks and punctuation only."""

    def take(self, rows: npt.NDArray[np.int64]) -> "TextKeys":
        return TextKeys(self.exact[rows], self.near[rows])


_NOT_WORDS = re.compile(r"[\W_]+")

_NOT_WORDS_ASCII = bytes(code for code in range(128) if not chr(code).isalnum())


def text_keys(texts: list[str]) -> TextKeys:
    """The keys of the texts; one without a letter or a digit is near to its like only."""
    encoded = [text.encode() for text in texts]
    near = [_only_words(text) or exact for text, exact in zip(texts, encoded, strict=True)]
    return TextKeys(_digests(encoded), _digests(near))


def _only_words(text: str) -> bytes:
    """The letters and digits of the text, case aside; by a table where that does, a quarter of the pattern's time."""
    if text.isascii():
        return text.lower().encode().translate(None, _NOT_WORDS_ASCII)
    return _NOT_WORDS.sub("", text.casefold()).encode()


def _digests(texts: list[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join([blake2b(text, digest_size=8).digest() for text in texts]), np.uint64)
