"""Rows of text and label: reading them, the labels of all rows, and keys that find equal texts."""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.readers import file_format, find_files, read_columns
from textclf.data.spelling import LIST_ADVICE, is_list_as_text
from textclf.data.table_format import check_distinct, column_index, join_texts
from textclf.errors import UserError
from textclf.io.sanitize import excerpt
from textclf.io.streams import open_data
from textclf.options import option, options


@options
class DataOptions:
    """Options of the data: files, columns and split."""

    train: str | list[str] = option(
        help="a .csv, .tsv, .jsonl (.ndjson, .json) or .parquet file, each also .gz; a list or a glob too"
    )
    validation: str | None = option(
        default=None, help="a file of validation rows; null: a part of the training rows is held out"
    )
    test: str | None = option(default=None, help="a file that training never sees; scored at the end")
    text: str | list[str] = option(
        default="text",
        help="name of the column with the texts; a list of columns, such as [title, body], is joined by blanks",
        min_length=1,
    )
    label: str = option(default="label", help="name of the column with the labels", min_length=1)
    validation_split: float = option(
        default=0.1, help="share of the training rows held out, stratified by label", gt=0, lt=1
    )
    label_separator: str | None = option(
        default=None,
        help='separator of several labels in one field, such as "|"; null: one label per row',
        min_length=1,
    )

    @property
    def text_columns(self) -> list[str]:
        """The names of the columns that the text of a row is joined from."""
        return [self.text] if isinstance(self.text, str) else self.text


PARTS = ("train", "validation", "test")


class Rows(NamedTuple):
    """Texts, label fields and further columns of n rows, unchanged from the file but for blanks around labels."""

    texts: list[str]
    labels: list[str]
    columns: list[list[str]]


ROWS_AT_ONCE, CHARACTERS_AT_ONCE = 8192, 1 << 22


COLUMN_KEYS = ("data.text", "data.label")


def read_rows(
    path: Path, options: DataOptions, *, columns: Sequence[str] = (), sha256: "hashlib._Hash | None" = None,
    keys: tuple[str, str] = COLUMN_KEYS,
) -> Iterator[Rows]:  # fmt: skip
    """Yield all rows of a file in order, some thousands at a time.

    Args:
        columns: names of further columns.
        sha256: updated with the bytes of the file; complete once the last row has been read.
        keys: settings that chose the columns of texts and labels, for messages.

    Raises:
        UserError: the file cannot be read or has no rows, or a row has no label and `label_separator` is not set.
    """
    text_names = options.text_columns
    names = [*((keys[0], name) for name in text_names), (keys[1], options.label)]
    names += [("report.slices", name) for name in columns]
    row = -1
    rows, size = Rows([], [], [[] for _ in columns]), 0
    records = read_columns(path, names, lists={keys[1]: options.label_separator}, sha256=sha256)
    for row, (text, label, *others) in enumerate(join_texts(records, len(text_names))):
        label = label.strip()
        if not label and options.label_separator is None:
            raise UserError(f"{path}: row {row} has no label (rows count from 0). Add it or drop the row.")
        rows.texts.append(text)
        rows.labels.append(label)
        if others:  # zip takes as long as the rest of the loop
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


def data_problems(
    options: DataOptions, slices: Sequence[str] = (), *, config_folder: Path | None = None
) -> list[tuple[str, str]]:
    """Return the problems of the files and columns that a config names, as pairs of dotted key and message.

    Args:
        slices: columns that the file to evaluate on must have too.
        config_folder: folder of the config, for messages.
    """
    evaluated = "test" if options.test else "validation" if options.validation else "train"
    text_key, label_key = COLUMN_KEYS
    texts_and_label = [*((text_key, name) for name in options.text_columns), (label_key, options.label)]
    required = {part: [*texts_and_label] for part in PARTS}
    required[evaluated] += [("report.slices", name) for name in slices]
    problems: list[tuple[str, str]] = []
    try:
        check_distinct(texts_and_label)
    except UserError as error:
        key, _, message = str(error).partition(": ")
        problems.append((key, message))
    for part in PARTS:
        patterns = getattr(options, part)
        if patterns is None:
            continue
        try:
            for path in find_files(patterns, key=f"data.{part}", config_folder=config_folder):
                with open_data(path) as stream:
                    columns = file_format(path).columns(stream, str(path))
                problems += _column_problems(path, columns, required[part])
        except UserError as error:
            problems.append((f"data.{part}", str(error).removeprefix(f"data.{part}: ")))
    return problems


def _column_problems(path: Path, columns: list[str], required: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for key, name in required:
        try:
            column_index(str(path), columns, name, key=key)
        except UserError as error:
            yield key, str(error)


# Labels


@dataclass(frozen=True)
class Labels:
    """The label fields of n rows, like a categorical column of pandas."""

    fields: list[str]
    """The distinct fields; with a separator, a field may hold several labels."""
    codes: npt.NDArray[np.int32]
    """Index of each row's field, shape (n,)."""

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, row_ids: npt.NDArray[np.int64]) -> "Labels":
        """Return the label fields of some rows, in this order."""
        return Labels(self.fields, self.codes[row_ids])

    def counts(self, separator: str | None) -> Counter[str]:
        """Return the number of rows of each label."""
        counts: Counter[str] = Counter()
        for field, rows in zip(self.fields, np.bincount(self.codes, minlength=len(self.fields)).tolist(), strict=True):
            for name in split_labels(field, separator):
                counts[name] += rows
        return +counts

    def first_rows(self, separator: str | None) -> dict[str, int]:
        """Return the index of the first row of each label."""
        codes, rows = np.unique(self.codes, return_index=True)  # (fields,) each
        first: dict[str, int] = {}
        for row, code in sorted(zip(rows.tolist(), codes.tolist(), strict=True)):
            for name in split_labels(self.fields[code], separator):
                first.setdefault(name, row)
        return first

    def names(self, separator: str | None) -> list[str]:
        """Return the labels that occur, sorted, so that their order does not depend on the order of the rows."""
        return sorted(self.counts(separator))

    def targets(self, names: list[str], separator: str | None) -> npt.NDArray[np.int64] | npt.NDArray[np.int8]:
        """Return the labels as integers: y_true of the network.

        Args:
            names: the labels in the order of the network's outputs; other labels have no target.

        Returns:
            Index of the label or -1, shape (n,); with a separator, 0 or 1 for each label, shape (n, labels).
        """
        index = {name: position for position, name in enumerate(names)}
        indices = [[index[name] for name in split_labels(field, separator) if name in index] for field in self.fields]
        if separator is None:
            return np.array([labels[0] if labels else -1 for labels in indices], np.int64)[self.codes]
        targets = np.zeros((len(self.fields), len(names)), np.int8)  # (fields, labels)
        for code, labels in enumerate(indices):
            targets[code, labels] = 1
        return targets[self.codes]  # (n, labels)


MAX_LABELS = 2000


def check_labels(
    labels: Labels, separator: str | None, paths: Sequence[Path], *, key: str = COLUMN_KEYS[1]
) -> None:  # fmt: skip
    """Check that there are few enough labels for a confusion matrix.

    Args:
        key: setting that chose the column of labels, for messages.

    Raises:
        UserError: there are more than MAX_LABELS.
    """
    names = labels.counts(separator)
    if len(names) > MAX_LABELS:
        written = next(filter(is_list_as_text, labels.fields), None)
        advice = (
            f"If {key} names a column of ids or texts, name another."
            if written is None
            else f"{excerpt(written)} is a list as text. {LIST_ADVICE}"
        )
        raise UserError(
            f"{', '.join(map(str, paths))}: {len(names):,} different labels in {len(labels):,} rows; at most "
            f"{MAX_LABELS:,} can be told apart. {advice}"
        )


class LabelBuilder:
    """A builder of Labels from chunks of rows."""

    def __init__(self) -> None:
        self._fields: dict[str, int] = {}
        self._codes = array("i")

    def add(self, labels: Iterable[str]) -> None:
        fields = self._fields
        self._codes.extend([fields.setdefault(label, len(fields)) for label in labels])

    def labels(self) -> Labels:
        """Return the label fields of all rows added."""
        return Labels(list(self._fields), np.array(self._codes, np.int32))


def split_labels(label: str, separator: str | None) -> list[str]:
    """Return the labels of a field: the field itself, or with a separator its distinct parts."""
    if separator is None:
        return [label]
    parts = (part.strip() for part in label.split(separator))
    return list(dict.fromkeys(part for part in parts if part))


# Texts


class TextKeys(NamedTuple):
    """Hashes of n texts, to find equal and nearly equal texts."""

    exact: npt.NDArray[np.uint64]
    """Of the unchanged text, shape (n,)."""
    near: npt.NDArray[np.uint64]
    """Of its letters and digits in lower case, shape (n,)."""

    def take(self, row_ids: npt.NDArray[np.int64]) -> "TextKeys":
        return TextKeys(self.exact[row_ids], self.near[row_ids])


_NOT_LETTERS = re.compile(r"[\W_]+")

_NOT_LETTERS_ASCII = bytes(code for code in range(128) if not chr(code).isalnum())


def text_keys(texts: list[str]) -> TextKeys:
    """Return the keys of texts; for a text without letters and digits, `near` is `exact`."""
    encoded = [text.encode() for text in texts]
    near = [_letters_and_digits(text) or exact for text, exact in zip(texts, encoded, strict=True)]
    return TextKeys(_hashes(encoded), _hashes(near))


def _letters_and_digits(text: str) -> bytes:
    """Return the letters and digits of a text in lower case."""
    if text.isascii():  # takes a quarter of the time of the regular expression
        return text.lower().encode().translate(None, _NOT_LETTERS_ASCII)
    return _NOT_LETTERS.sub("", text.casefold()).encode()


def _hashes(texts: list[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join([blake2b(text, digest_size=8).digest() for text in texts]), np.uint64)
