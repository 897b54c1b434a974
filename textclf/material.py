"""The rows of a config as training and measuring take them: read, split, and turned into token ids."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.config import Config
from textclf.data import DataOptions, Rows, label_names, label_targets, read_rows, split
from textclf.errors import UserError
from textclf.files import file_digest, find_files
from textclf.text import Encoder, build_vocabulary, fill_vocabulary
from textclf.training import Examples
from textclf.vectors import WordVectors, read_vectors, vector_words

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labelled:
    """Rows to measure on, and where they come from."""

    rows: Rows
    numbers: Sequence[int]
    """The number that each row has in its files, counted from 0."""
    data: dict[str, Any]
    """What metrics.json says of them: file, part, rows, sha256."""


@dataclass(frozen=True)
class Material:
    """The rows of both sides, as they are and as the network takes them."""

    train_rows: Rows
    validation_rows: Rows
    measured: Labelled
    """The rows that the run is measured on: the test file's, else the validation rows."""
    labels: list[str]
    encoder: Encoder
    trained_words: int
    """Words of the vocabulary that the training rows hold; those behind them come with pretrained vectors."""
    vectors: WordVectors | None
    train: Examples
    validation: Examples
    split: dict[str, Any]
    """The document of split.json."""


def prepare(config: Config) -> Material:
    """All rows read, split and turned into token ids.

    Raises:
        UserError: a file is at fault, or there is too little to learn from.
    """
    data = config.data
    paths = find_files(data.train, key="data.train")
    rows = read_rows(paths, data)
    if data.validation:
        train_rows = rows
        measured = labelled_rows(find_files(data.validation, key="data.validation"), data, part="validation")
        numbers: list[int] = []
    else:
        parts = split(rows, fraction=data.validation_split, seed=config.training.seed, separator=data.label_separator)
        if parts.rare:
            logger.warning(
                "labels with too few distinct texts to be validated, all rows in train: %s", ", ".join(parts.rare)
            )
        numbers = parts.validation.tolist()
        train_rows = rows.take(parts.train.tolist())
        measured = held_out_rows(rows, paths, numbers)
    validation_rows = measured.rows
    labels = _labels(train_rows, validation_rows, data.label_separator, paths)
    if data.test:
        measured = labelled_rows(find_files(data.test, key="data.test"), data, part="test")
    vocabulary = build_vocabulary(train_rows.texts, config.text)
    trained_words = len(vocabulary)
    if not vocabulary:
        raise UserError(f"{data.train}: no words in the training rows to learn from. Set text.min_count or text.clean.")
    vectors = None
    if config.model.pretrained:
        path = Path(config.model.pretrained)
        vocabulary = fill_vocabulary(vocabulary, vector_words(path), config.text)
        vectors = read_vectors(path, vocabulary, dimensions=config.model.embedding_dim, seed=config.training.seed)
    encoder = Encoder(vocabulary, config.text)
    document = {"validation": numbers, "rows": len(rows), "sha256": [file_digest(path) for path in paths]}
    return Material(
        train_rows,
        validation_rows,
        measured,
        labels,
        encoder,
        trained_words,
        vectors,
        _examples(train_rows, encoder, labels, data.label_separator),
        _examples(validation_rows, encoder, labels, data.label_separator),
        document,
    )


def _examples(rows: Rows, encoder: Encoder, labels: list[str], separator: str | None) -> Examples:
    return Examples(encoder.encode(rows.texts), label_targets(rows.labels, labels, separator))


def _labels(train_rows: Rows, validation_rows: Rows, separator: str | None, paths: list[Path]) -> list[str]:
    """The labels of the training rows.

    Raises:
        UserError: there are too few of them, no rows to validate on, or validation rows of other labels.
    """
    files = ", ".join(map(str, paths))
    labels = label_names(train_rows.labels, separator)
    if len(labels) < 2:
        found = f"only the label '{labels[0]}'" if labels else "no label"
        raise UserError(f"{files}: {found} in {len(train_rows)} training rows. There must be something to tell apart.")
    if not len(validation_rows):
        raise UserError(f"{files}: too few rows to hold any out for validation. Add rows, or name data.validation.")
    unseen = sorted(set(label_names(validation_rows.labels, separator)) - set(labels))
    if unseen:
        raise UserError(f"data.validation has labels that data.train lacks: {', '.join(unseen)}.")
    return labels


def labelled_rows(paths: list[Path], options: DataOptions, *, part: str) -> Labelled:
    """All rows of the files."""
    rows = read_rows(paths, options)
    return Labelled(rows, range(len(rows)), describe_data(paths, len(rows), part=part))


def describe_data(paths: list[Path], rows: int, *, part: str) -> dict[str, Any]:
    """What metrics.json says of the rows that were measured on."""
    files, digests = [path.as_posix() for path in paths], [file_digest(path) for path in paths]
    one = len(files) == 1
    return {"file": files[0] if one else files, "part": part, "rows": rows, "sha256": digests[0] if one else digests}


def held_out_rows(rows: Rows, paths: list[Path], numbers: Sequence[int]) -> Labelled:
    """The validation rows among the training rows."""
    return Labelled(rows.take(numbers), numbers, describe_data(paths, len(numbers), part="validation"))
