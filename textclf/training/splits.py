"""The rows of a config's data files: read once, and split into those to train, to validate and to evaluate on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.config.schema import Config
from textclf.data.readers import find_files
from textclf.data.rows import ROWS_AT_ONCE, Labels, TextKeys, text_keys
from textclf.data.source import RowIds, SourceReader, SourceRows
from textclf.data.spelling import check_known_labels, quoted, spelling_advice
from textclf.data.split import SplitRows, folds, split
from textclf.errors import UserError
from textclf.io.contract import SplitDocument
from textclf.io.files import array_on_disk
from textclf.io.sanitize import join_names
from textclf.text.encoding import Tokens
from textclf.text.vocabulary import WordCounts


@dataclass(frozen=True)
class Split:
    """Rows for one purpose, with all their words."""

    words: Tokens
    """Word numbers, in the order in which words were first read, of all rows of the files."""
    all_keys: TextKeys
    """Keys of all rows of the files."""
    rows: SourceRows
    """The rows of the split."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def row_ids(self) -> RowIds:
        """Numbers of the rows in their files, ascending, shape (n,)."""
        return self.rows.row_ids

    @property
    def labels(self) -> Labels:
        return self.rows.labels

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Words of each row, shape (n,)."""
        return self.words.counts[self.row_ids]

    @property
    def keys(self) -> TextKeys:
        return self.all_keys.take(self.row_ids)

    def take(self, indices: RowIds) -> "Split":
        """Return the rows at these indices, which are ascending."""
        return replace(self, rows=self.rows.take(indices))

    def chunks(self) -> Iterator[Tokens]:
        """Yield the words of the rows, some thousands of rows at a time."""
        for begin in range(0, len(self), ROWS_AT_ONCE):
            yield self.words.take(self.row_ids[begin : begin + ROWS_AT_ONCE])


@dataclass(frozen=True)
class Splits:
    """The rows to train on, to validate on and to evaluate on."""

    labels: list[str]
    """Names of the labels, sorted; of two labels the positive one is the last."""
    train: Split
    validation: Split
    evaluation: Split
    """The rows of the test files; without any, the validation rows."""
    document: SplitDocument
    """Contents of split.json."""

    def parts(self) -> dict[str, Split]:
        """Return each split by its name: train, validation and, where there are test files, test."""
        test = {} if self.evaluation is self.validation else {"test": self.evaluation}
        return {"train": self.train, "validation": self.validation, **test}

    def without_keys(self, *, keep_words: bool) -> "Splits":
        """Return the splits without text keys, and without words unless these are kept, to free memory."""
        none = np.empty(0, np.uint64)

        def reduce(split: Split) -> Split:
            words = split.words if keep_words else Tokens(split.words.flat[:0].copy(), split.words.counts)
            return replace(split, words=words, all_keys=TextKeys(none, none))

        validation = reduce(self.validation)
        evaluation = validation if self.evaluation is self.validation else reduce(self.evaluation)
        return replace(self, train=reduce(self.train), validation=validation, evaluation=evaluation)


class Fold(NamedTuple):
    """One of the splits of a cross-validation."""

    number: int
    """Counted from 0."""
    folds: int
    """Number of splits."""


def read_splits(config: Config, words: WordCounts, folder: Path | None, fold: Fold | None) -> Splits:
    """Read all files, and hold rows out where no validation files are named."""
    data = config.data
    evaluated = "test" if data.test else "validation" if data.validation else "train"

    def read(part: str) -> Split:
        return _read(config, part, words, folder, columns=config.report.slices if part == evaluated else ())

    train = read("train")
    files = train.rows.files
    document: SplitDocument = {
        "validation": [], "rows": len(train), "sha256": [file.sha256 for file in files]
    }  # fmt: skip
    if data.validation:
        validation = read("validation")
    else:
        indices = _split_rows(config, train, fold)
        document["validation"] = indices.validation.tolist()
        held_out = replace(train, rows=replace(train.rows, part="validation"))
        train, validation = train.take(indices.train), held_out.take(indices.validation)
    labels = _check_labels(train.labels, validation.labels, data.label_separator, [file.path for file in files])
    labels = _positive_last(labels, config)
    evaluation = read("test") if data.test else validation
    check_known_labels("data.test", evaluation.labels.counts(data.label_separator), labels)
    return Splits(labels, train, validation, evaluation, document)


def _read(config: Config, part: str, words: WordCounts, folder: Path | None, *, columns: Sequence[str]) -> Split:
    """Read all rows of the files for a part.

    Raises:
        UserError: a file is at fault, or changed while it was read.
    """
    paths = find_files(getattr(config.data, part), key=f"data.{part}")
    reader = SourceReader(paths, config.data, columns=columns, folder=folder)
    counts, keys = [], []

    def word_ids() -> Iterator[npt.NDArray[np.int32]]:
        for texts in reader.texts():
            tokens = words.tokenize(texts)
            counts.append(tokens.counts)
            keys.append(text_keys(texts))
            yield tokens.flat

    flat = array_on_disk(word_ids(), np.int32, folder=folder)
    all_keys = TextKeys(*map(np.concatenate, zip(*keys, strict=True)))
    return Split(Tokens(flat, np.concatenate(counts)), all_keys, reader.rows(part))


def _split_rows(config: Config, rows: Split, fold: Fold | None) -> SplitRows:
    labels, keys, separator = rows.labels, rows.all_keys.near, config.data.label_separator
    seed = config.training.seed
    if fold is None:
        return split(labels, keys, fraction=config.data.validation_split, seed=seed, separator=separator)
    return folds(labels, keys, count=fold.folds, seed=seed, separator=separator)[fold.number]


def _check_labels(train: Labels, validation: Labels, separator: str | None, paths: list[Path]) -> list[str]:
    """Return the labels of the training rows.

    Raises:
        UserError: there are too few of them, no rows to validate on, or validation rows of other labels.
    """
    files = ", ".join(map(str, paths))
    labels = train.names(separator)
    if len(labels) < 2:
        only = f"only the label '{labels[0]}'" if labels else "no label"
        advice = "There must be something to tell apart."
        if labels and separator is not None:
            advice = "There must be two or more: give rows without it a label of their own, and drop label_separator."
        raise UserError(f"{files}: {only} in {len(train)} training rows. {advice}")
    if not len(validation):
        raise UserError(
            f"{files}: no label has two different texts, one to learn from and one to validate on. Add rows, name "
            "data.validation, or set data.text to another column."
        )
    unseen = sorted(set(validation.names(separator)) - set(labels))
    if unseen:
        advice = spelling_advice(unseen, labels) or "Add training rows of them, or drop theirs."
        raise UserError(f"data.validation has labels that data.train lacks: {join_names(unseen)}. {advice}")
    return labels


def _positive_last(labels: list[str], config: Config) -> list[str]:
    """Return the labels with the positive one of two at the end, where metrics, threshold and slices look for it.

    Raises:
        UserError: `decision.positive` names no label, there are not two labels, or a row may have several.
    """
    positive = config.decision.positive
    if positive is None:
        return labels
    if len(labels) != 2 or config.data.label_separator is not None:
        reason = "a row may have several labels" if config.data.label_separator else f"there are {len(labels)} labels"
        raise UserError(f"decision.positive: {reason}, of which none is the positive one. Leave the key out.")
    if positive not in labels:
        known = " or ".join(map(quoted, labels))
        raise UserError(f"decision.positive: no training row has the label {quoted(positive)}. Set {known}.")
    return sorted(labels, key=lambda label: label == positive)
