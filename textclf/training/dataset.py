"""The dataset of a config: data files read once, split, and encoded into token ids in temporary files."""

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
from textclf.data.spelling import check_known_labels, quoted, spelling_advice
from textclf.data.split import SplitRows, folds, split
from textclf.errors import UserError
from textclf.io.contract import SplitDocument
from textclf.io.files import array_on_disk, smallest_dtype
from textclf.io.sanitize import join_names
from textclf.io.streams import expand_home
from textclf.text.encoding import RESERVED, UNKNOWN, Encoder, TokenIds, Tokens, Truncation, cut_texts, token_ids_on_disk
from textclf.text.tokenizer import WHOLE_TEXT, TextOptions
from textclf.text.vectors import WordVectors, read_vectors, vector_words
from textclf.text.vocabulary import WordCounts, fill_vocabulary
from textclf.training.loop import Examples

logger = logging.getLogger(__name__)

MANY_ROWS = 1000  # with more rows than this, a linear model leaves out what one row only has

LINEAR_WORDS = 100_000  # the most frequent, which a linear model knows even if the network does not


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


@dataclass(frozen=True)
class Dataset:
    """The rows of a config as a network takes them, and as the whole model does."""

    splits: Splits
    encoder: Encoder
    """The words that the network knows."""
    input_encoder: Encoder
    """The words that the model takes: with a linear part all words of whole texts, else those of the network."""
    linear_vocabulary: list[str]
    """The words that a linear model knows: those of the network and, behind them, further ones."""
    linear_ids: npt.NDArray[np.int32]
    """Token id in the linear vocabulary of each word id, shape (word ids,)."""
    trained_words: int
    """Number of words of the vocabulary that occur in the training rows; they come before those that only the
    pretrained vectors have."""
    vectors: WordVectors | None
    train: Examples
    validation: Examples
    validation_ids: TokenIds
    """Token ids of the validation rows, by `input_encoder`."""
    evaluation_ids: TokenIds
    """Token ids of the rows to evaluate on, by `input_encoder`."""
    train_truncation: Truncation
    validation_truncation: Truncation
    unknown: dict[str, float]
    """Fraction of words outside the vocabulary by the name of the split."""

    def with_words(self, count: int) -> "Dataset":
        """Return the dataset of a network that knows the first words of the vocabulary only, without a linear part."""
        encoder = Encoder(self.encoder.vocabulary[:count], replace(self.encoder.options, vocab_size=count + RESERVED))
        train, validation, evaluation = (
            encoder.limit(token_ids) for token_ids in (self.train.token_ids, self.validation_ids, self.evaluation_ids)
        )
        return replace(
            self,
            encoder=encoder,
            train=replace(self.train, token_ids=train),
            validation=replace(self.validation, token_ids=validation),
            input_encoder=encoder,
            validation_ids=validation,
            evaluation_ids=evaluation,
            train_truncation=Truncation().add(train),
            validation_truncation=Truncation().add(validation),
        )

    def with_input_of(self, other: "Dataset") -> "Dataset":
        """Return the dataset with the rows as another one's model takes them, which has the same rows."""
        return replace(
            self,
            input_encoder=other.input_encoder,
            validation_ids=other.validation_ids,
            evaluation_ids=other.evaluation_ids,
        )

    def linear_words(self, split: Split) -> Tokens:
        """Return the words of the rows of a split, as the linear model knows them."""
        words = split.words.take(split.row_ids)
        return Tokens(self.linear_ids[words.flat], words.counts)

    def evaluation_chunks(self) -> Iterator[TokenIds]:
        """Yield the token ids of the rows to evaluate on, those that were read together at a time."""
        return map(self.evaluation_ids.take, self.splits.evaluation.rows.chunks())


class Fold(NamedTuple):
    """One of the splits of a cross-validation."""

    number: int
    """Counted from 0."""
    folds: int
    """Number of splits."""


class Vocabularies(NamedTuple):
    """The words of a model."""

    network: list[str]
    """Those that the network knows."""
    linear: list[str]
    """Those that a linear model knows: those of the network and, behind them, further ones."""
    trained_words: int
    """Number of words of the network that occur in the training rows; they come first."""
    vectors: WordVectors | None = None
    """Of the network's words."""


def prepare(
    config: Config, *, folder: Path | None = None, fold: Fold | None = None, vocabularies: Vocabularies | None = None
) -> Dataset:
    """Read all data files, split the rows and encode them.

    Args:
        folder: where words, texts and token ids are stored in temporary files.
        fold: the rows to hold out, instead of the fraction that the config asks for.
        vocabularies: of a trained model; None: made from the training rows, with word vectors if the config has any.

    Raises:
        UserError: a file is at fault, or there is too little to learn from.
    """
    word_counts = WordCounts(config.text)
    splits = _read_splits(config, word_counts, folder, fold)
    known = vocabularies or _make_vocabularies(config, word_counts, splits.train)
    token_id_of, linear_ids = map(word_counts.token_ids, (known.network, known.linear))  # (word ids,) each
    encoder = input_encoder = Encoder(known.network, config.text)
    input_id_of = token_id_of
    if config.model.blend:
        input_encoder = Encoder(known.linear, replace(config.text, max_length=WHOLE_TEXT))
        input_id_of = linear_ids

    def examples(split: Split) -> tuple[Examples, Truncation]:
        token_ids, truncation = _encode(split, token_id_of, config.text, folder)
        return Examples(token_ids, split.labels.targets(splits.labels, config.data.label_separator)), truncation

    def input_ids(split: Split) -> TokenIds:
        return _encode(split, input_id_of, input_encoder.options, folder)[0]

    train, train_truncation = examples(splits.train)
    validation, validation_truncation = examples(splits.validation)
    validation_ids = input_ids(splits.validation) if config.model.blend else validation.token_ids
    if word_counts.words.next_id > len(word_counts.words):
        # rare words were forgotten, which the model may know from word vectors: tokenize anew
        chunks = map(input_encoder.encode, splits.evaluation.rows.text_chunks())
        dtype = smallest_dtype(len(input_encoder.vocabulary) + RESERVED)
        evaluation_ids = token_ids_on_disk(chunks, dtype, folder=folder)
    else:
        same = splits.evaluation is splits.validation
        evaluation_ids = validation_ids if same else input_ids(splits.evaluation)
    return Dataset(
        splits=splits,
        encoder=encoder,
        input_encoder=input_encoder,
        linear_vocabulary=known.linear,
        linear_ids=linear_ids,
        trained_words=known.trained_words,
        vectors=known.vectors,
        train=train,
        validation=validation,
        validation_ids=validation_ids,
        evaluation_ids=evaluation_ids,
        train_truncation=train_truncation,
        validation_truncation=validation_truncation,
        unknown={part: _unknown_fraction(split, token_id_of) for part, split in splits.parts().items()},
    )


def _read_splits(config: Config, words: WordCounts, folder: Path | None, fold: Fold | None) -> Splits:
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
        raise UserError(f"{files}: {only} in {len(train)} training rows. There must be something to tell apart.")
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


def _make_vocabularies(config: Config, words: WordCounts, train: Split) -> Vocabularies:
    """Return the words of a new model, and the pretrained vectors of the network's.

    Raises:
        UserError: the training rows have no words, or the vectors cannot be read.
    """
    options, counts = config.text, _word_counts(train, words)
    network = words.most_frequent(counts, min_count=options.min_count, limit=options.vocab_size - RESERVED)
    trained_words, vectors = len(network), None
    if not network:
        raise UserError(
            f"{config.data.train}: no words in the training rows to learn from. Set text.min_count or text.clean."
        )
    if config.model.pretrained:
        path, dimensions = Path(expand_home(config.model.pretrained)), config.model.embedding_dim
        network = fill_vocabulary(network, vector_words(path, dimensions=dimensions), options)
        vectors = read_vectors(path, network, dimensions=dimensions, seed=config.training.seed)
    least = max(options.min_count, 2 if len(train) > MANY_ROWS else 1)
    frequent = words.most_frequent(counts, min_count=least, limit=LINEAR_WORDS)
    known = set(network)
    linear = network + [word for word in frequent if word not in known]
    return Vocabularies(network, linear, trained_words, vectors)


def _word_counts(split: Split, words: WordCounts) -> npt.NDArray[np.int64]:
    """Return the occurrences of each word by its word id, shape (words,)."""
    total = np.zeros(words.words.next_id, np.int64)
    for chunk in split.chunks():
        counts = np.bincount(chunk.flat)
        total[: len(counts)] += counts
    return total


def _encode(
    split: Split, token_id_of: npt.NDArray[np.int32], options: TextOptions, folder: Path | None
) -> tuple[TokenIds, Truncation]:
    """Return the token ids of the rows, in a temporary file, and what was cut off.

    Args:
        token_id_of: token id of each word by its word id, shape (words,).
    """
    truncation = Truncation()

    def chunks() -> Iterator[TokenIds]:
        nonlocal truncation
        for words in split.chunks():
            tokens = Tokens(token_id_of[words.flat], words.counts)
            token_ids = cut_texts(tokens, max_length=options.max_length, cut=options.truncate)
            truncation = truncation.add(token_ids)
            yield token_ids

    dtype = smallest_dtype(int(token_id_of.max(initial=UNKNOWN)) + 1)
    return token_ids_on_disk(chunks(), dtype, folder=folder), truncation


def _unknown_fraction(split: Split, token_id_of: npt.NDArray[np.int32]) -> float:
    """Return the fraction of words outside the vocabulary."""
    unknown = sum(int((token_id_of[words.flat] == UNKNOWN).sum()) for words in split.chunks())
    return unknown / max(1, int(split.counts.sum()))
