"""The rows of a config as training and measuring take them: read once, split, and turned into token ids on disk."""

import logging
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
from textclf.data.split import SplitRows, folds, split
from textclf.errors import UserError
from textclf.io.contract import SplitDocument
from textclf.io.files import array_on_disk, smallest_dtype
from textclf.io.sanitize import join_names
from textclf.text.encoding import RESERVED, UNKNOWN, Encoder, TokenIds, Tokens, Truncation, truncate
from textclf.text.tokenizer import TextOptions
from textclf.text.vectors import WordVectors, read_vectors, vector_words
from textclf.text.vocabulary import WordCounts, fill_vocabulary
from textclf.training.loop import Examples

logger = logging.getLogger(__name__)


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
    """The rows by what they are for."""

    labels: list[str]
    train: Split
    validation: Split
    evaluation: Split
    """The rows that the run is measured on: the test file's, else the validation rows."""
    document: SplitDocument
    """Of split.json."""

    def parts(self) -> dict[str, Split]:
        """Each side once, by what it is for."""
        test = {} if self.evaluation is self.validation else {"test": self.evaluation}
        return {"train": self.train, "validation": self.validation, **test}

    def without_keys(self, *, keep_words: bool) -> "Splits":
        """Return the splits without text keys, and without words unless they are kept: training needs the memory."""
        none = np.empty(0, np.uint64)

        def reduce(split: Split) -> Split:
            words = split.words if keep_words else Tokens(split.words.flat[:0].copy(), split.words.counts)
            return replace(split, words=words, all_keys=TextKeys(none, none))

        validation = reduce(self.validation)
        evaluation = validation if self.evaluation is self.validation else reduce(self.evaluation)
        return replace(self, train=reduce(self.train), validation=validation, evaluation=evaluation)


@dataclass(frozen=True)
class Dataset:
    """What there is to train on."""

    splits: Splits
    encoder: Encoder
    trained_words: int
    """Words of the vocabulary that the training rows hold; those behind them come with pretrained vectors."""
    vectors: WordVectors | None
    train: Examples
    validation: Examples
    evaluation_ids: TokenIds
    """Token ids of the rows that the run is evaluated on."""
    train_truncation: Truncation
    validation_truncation: Truncation
    unknown: dict[str, float]
    """Share of the words that the vocabulary lacks, 0 to 1, by what the rows are for."""

    def with_words(self, count: int) -> "Dataset":
        """The same with the first words of the vocabulary alone; the others are unknown."""
        encoder = Encoder(self.encoder.vocabulary[:count], replace(self.encoder.options, vocab_size=count + RESERVED))
        train, validation = (
            replace(examples, token_ids=examples.token_ids.limit_vocabulary(count + RESERVED))
            for examples in (self.train, self.validation)
        )
        extents = [Truncation().add(examples.token_ids) for examples in (train, validation)]
        return replace(
            self, encoder=encoder, train=train, validation=validation,
            evaluation_ids=self.evaluation_ids.limit_vocabulary(count + RESERVED),
            train_truncation=extents[0], validation_truncation=extents[1],
        )  # fmt: skip

    def evaluation_chunks(self) -> Iterator[TokenIds]:
        """Yield the token ids of the rows to evaluate on, those that were read together at a time."""
        return map(self.evaluation_ids.take, self.splits.evaluation.rows.chunks())


class Fold(NamedTuple):
    """Which of the splits of a cross-validation is meant."""

    number: int
    """Counted from 0."""
    of: int


def prepare(
    config: Config, *, folder: Path | None = None, fold: Fold | None = None, known: list[str] | None = None
) -> Dataset:
    """All rows read, split and turned into token ids, which are stored in the folder.

    Args:
        fold: holds out these rows, instead of the share that the config says.
        known: a vocabulary, in whose place none is made, and no word vectors are read.

    Raises:
        UserError: a file is at fault, or there is too little to learn from.
    """
    words = WordCounts(config.text)
    splits = _splits(config, words, folder, fold)
    vocabulary, trained_words, vectors = (
        (known, len(known), None) if known else _vocabulary(config, words, splits.train)
    )
    ids, separator = words.token_ids(vocabulary), config.data.label_separator
    train_ids, train_truncation = _token_ids(splits.train, ids, config.text, folder)
    validation_ids, validation_truncation = _token_ids(splits.validation, ids, config.text, folder)
    evaluation_ids = validation_ids
    if splits.evaluation is not splits.validation:
        evaluation_ids, _ = _token_ids(splits.evaluation, ids, config.text, folder)
    return Dataset(
        splits=splits,
        encoder=Encoder(vocabulary, config.text),
        trained_words=trained_words,
        vectors=vectors,
        train=Examples(train_ids, splits.train.labels.targets(splits.labels, separator)),
        validation=Examples(validation_ids, splits.validation.labels.targets(splits.labels, separator)),
        evaluation_ids=evaluation_ids,
        train_truncation=train_truncation,
        validation_truncation=validation_truncation,
        unknown={part: _unknown_share(side, ids) for part, side in splits.parts().items()},
    )


def _splits(config: Config, words: WordCounts, folder: Path | None, fold: Fold | None) -> Splits:
    """Read all files, and hold rows out where no file of validation rows is named."""
    data = config.data
    measured = "test" if data.test else "validation" if data.validation else "train"

    def read(part: str) -> Split:
        return _read(config, part, words, folder, columns=config.report.slices if part == measured else ())

    train = read("train")
    document: SplitDocument = {
        "validation": [],
        "rows": len(train),
        "sha256": [file.sha256 for file in train.rows.files],
    }
    if data.validation:
        validation = read("validation")
    else:
        parts = _parts(config, train, fold)
        if parts.rare:
            logger.warning(
                "labels with too few distinct texts to be validated, all rows in train: %s", join_names(parts.rare)
            )
        held_out = replace(train, rows=replace(train.rows, part="validation"))
        train, validation = train.take(parts.train), held_out.take(parts.validation)
        document["validation"] = parts.validation.tolist()
    paths = [file.path for file in train.rows.files]
    labels = _labels(train.labels, validation.labels, data.label_separator, paths)
    evaluation = read("test") if data.test else validation
    return Splits(labels, train, validation, evaluation, document)


def _parts(config: Config, read: Split, fold: Fold | None) -> SplitRows:
    """The rows dealt to training and validation."""
    labels, keys, separator = read.labels, read.all_keys.near, config.data.label_separator
    seed = config.training.seed
    if fold is None:
        return split(labels, keys, fraction=config.data.validation_split, seed=seed, separator=separator)
    return folds(labels, keys, count=fold.of, seed=seed, separator=separator)[fold.number]


def _vocabulary(config: Config, words: WordCounts, train: Split) -> tuple[list[str], int, WordVectors | None]:
    """The vocabulary, how many of it training rows hold, and the vectors that it begins with."""
    vocabulary = words.most_frequent(_counts(train, words))
    trained = len(vocabulary)
    if not vocabulary:
        raise UserError(
            f"{config.data.train}: no words in the training rows to learn from. Set text.min_count or text.clean."
        )
    if not config.model.pretrained:
        return vocabulary, trained, None
    path = Path(config.model.pretrained)
    vocabulary = fill_vocabulary(vocabulary, vector_words(path), config.text)
    vectors = read_vectors(path, vocabulary, dimensions=config.model.embedding_dim, seed=config.training.seed)
    return vocabulary, trained, vectors


def _read(config: Config, part: str, words: WordCounts, folder: Path | None, *, columns: Sequence[str]) -> Split:
    """Read all rows of a part's files.

    Raises:
        UserError: a file is at fault, or changed while it was read.
    """
    paths = find_files(getattr(config.data, part), key=f"data.{part}")
    reader = SourceReader(paths, config.data, columns=columns, folder=folder)
    counts, keys = [], []

    def word_numbers() -> Iterator[npt.NDArray[np.int32]]:
        for texts in reader.texts():
            tokens = words.tokenize(texts)
            counts.append(tokens.counts)
            keys.append(text_keys(texts))
            yield tokens.flat

    flat = array_on_disk(word_numbers(), np.int32, folder=folder)
    all_keys = TextKeys(*map(np.concatenate, zip(*keys, strict=True)))
    return Split(Tokens(flat, np.concatenate(counts)), all_keys, reader.rows(part))


def _unknown_share(side: Split, ids: npt.NDArray[np.int32]) -> float:
    """Share of the words that the vocabulary lacks, given the id of each word by its number."""
    unknown = sum(int((ids[chunk.flat] == UNKNOWN).sum()) for chunk in side.chunks())
    return unknown / max(1, int(side.counts.sum()))


def _counts(side: Split, words: WordCounts) -> npt.NDArray[np.int64]:
    """How often each word comes, by its number."""
    total = np.zeros(words.words.next_id, np.int64)
    for chunk in side.chunks():
        found = np.bincount(chunk.flat)
        total[: len(found)] += found
    return total


def _token_ids(
    side: Split, ids: npt.NDArray[np.int32], options: TextOptions, folder: Path | None
) -> tuple[TokenIds, Truncation]:
    """Token ids of the rows, in the folder, given the id of each word by its number; and what was cut."""
    lengths = []
    extent = Truncation()

    def blocks() -> Iterator[npt.NDArray[np.int32]]:
        nonlocal extent
        for chunk in side.chunks():
            found = truncate(Tokens(ids[chunk.flat], chunk.counts), options)
            extent = extent.add(found)
            lengths.append(found.lengths)
            yield found.flat

    flat = array_on_disk(blocks(), smallest_dtype(options.vocab_size), folder=folder)
    return TokenIds(flat, np.concatenate(lengths), side.counts), extent


def _labels(train: Labels, validation: Labels, separator: str | None, paths: list[Path]) -> list[str]:
    """The labels of the training rows.

    Raises:
        UserError: there are too few of them, no rows to validate on, or validation rows of other labels.
    """
    files = ", ".join(map(str, paths))
    labels = train.names(separator)
    if len(labels) < 2:
        found = f"only the label '{labels[0]}'" if labels else "no label"
        raise UserError(f"{files}: {found} in {len(train)} training rows. There must be something to tell apart.")
    if not len(validation):
        raise UserError(f"{files}: too few rows to hold any out for validation. Add rows, or name data.validation.")
    unseen = sorted(set(validation.names(separator)) - set(labels))
    if unseen:
        raise UserError(f"data.validation has labels that data.train lacks: {join_names(unseen)}.")
    return labels
