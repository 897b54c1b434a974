"""The dataset of a config: its rows encoded into token ids in temporary files, as a network and a model take them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.io.files import smallest_dtype
from textclf.io.run_folder import TOKENIZER
from textclf.io.streams import expand_home
from textclf.models.encoder.folder import read_encoder
from textclf.models.encoder.network import EncoderOptions
from textclf.text.encoding import (
    RESERVED,
    UNKNOWN,
    TokenIds,
    Tokens,
    Truncation,
    WordEncoder,
    concatenate,
    cut_texts,
    token_ids_on_disk,
)
from textclf.text.model_input import ModelInput, PieceEncoder, join_pieces
from textclf.text.piece_tokenizer import PieceTokenizer, read_tokenizer
from textclf.text.tokenizer import WHOLE_TEXT, TextOptions
from textclf.text.vectors import WordVectors, read_vectors, vector_words
from textclf.text.vocabulary import WordCounts, fill_vocabulary
from textclf.training.loop import Examples
from textclf.training.splits import Fold, Split, Splits, read_splits

MANY_ROWS = 1000  # with more rows than this, a linear model leaves out what one row only has

LINEAR_WORDS = 100_000  # the most frequent, which a linear model knows even if the network does not


@dataclass(frozen=True)
class Dataset:
    """The rows of a config as a network takes them, and as the whole model does."""

    splits: Splits
    word_encoder: WordEncoder
    """The words that the network knows; none for a pretrained encoder, which reads pieces."""
    piece_encoder: PieceEncoder | None
    """The tokenizer of a pretrained encoder; None: the network reads words."""
    model_input: ModelInput
    """What the model reads: with a linear part all words of whole texts, else the words of the network; and pieces."""
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
    """Token ids of the validation rows, by `model_input`."""
    evaluation_ids: TokenIds
    """Token ids of the rows to evaluate on, by `model_input`."""
    train_truncation: Truncation
    validation_truncation: Truncation
    unknown: dict[str, float]
    """Fraction of words, or of pieces, that the network does not know by the name of the split."""

    @property
    def network_size(self) -> int:
        """Number of token ids that the network knows, padding and unknown included."""
        return RESERVED + (self.piece_encoder.size if self.piece_encoder else len(self.word_encoder.vocabulary))

    def with_words(self, count: int) -> "Dataset":
        """Return the dataset of a network that knows the first words of the vocabulary only, without a linear part."""
        encoder = self.word_encoder.first_words(count)
        train, validation, evaluation = (
            encoder.limit(token_ids) for token_ids in (self.train.token_ids, self.validation_ids, self.evaluation_ids)
        )
        return replace(
            self,
            word_encoder=encoder,
            train=replace(self.train, token_ids=train),
            validation=replace(self.validation, token_ids=validation),
            model_input=ModelInput(encoder, None),
            validation_ids=validation,
            evaluation_ids=evaluation,
            train_truncation=Truncation().add(train),
            validation_truncation=Truncation().add(validation),
        )

    def with_input_words(self, count: int) -> "Dataset":
        """Return the dataset of a model that reads the first words of its vocabulary only; its network is the same."""
        assert self.model_input.word_encoder
        encoder = self.model_input.word_encoder.first_words(count)
        return replace(
            self,
            model_input=ModelInput(encoder, None),
            validation_ids=encoder.limit(self.validation_ids),
            evaluation_ids=encoder.limit(self.evaluation_ids),
        )

    def with_input_of(self, other: "Dataset") -> "Dataset":
        """Return the dataset with the rows as another one's model takes them, which has the same rows."""
        return replace(
            self,
            model_input=other.model_input,
            validation_ids=other.validation_ids,
            evaluation_ids=other.evaluation_ids,
        )

    def in_words(
        self,
        vocabulary: list[str],
        vectors: WordVectors | None,
        *,
        trained_words: int | None = None,
        whole: bool = False,
    ) -> "Dataset":
        """Return the dataset of an encoder for a network that reads words, without a linear part.

        Args:
            vocabulary: the words that it knows.
            vectors: those of the words.
            trained_words: number of the words that occur in the training rows, which come first; None: all.
            whole: True for whole texts, as a linear part reads them.
        """
        length = WHOLE_TEXT if whole else self.word_encoder.options.max_length
        options = replace(self.word_encoder.options, vocab_size=len(vocabulary) + RESERVED, max_length=length)
        encoder = WordEncoder(vocabulary, options)

        def encode(split: Split) -> TokenIds:
            return concatenate(map(encoder.encode, split.rows.text_chunks()))

        splits = self.splits
        train, validation = encode(splits.train), encode(splits.validation)
        evaluation = validation if splits.evaluation is splits.validation else encode(splits.evaluation)
        return replace(
            self,
            word_encoder=encoder,
            piece_encoder=None,
            model_input=ModelInput(encoder, None),
            trained_words=len(vocabulary) if trained_words is None else trained_words,
            vectors=vectors,
            train=replace(self.train, token_ids=train),
            validation=replace(self.validation, token_ids=validation),
            validation_ids=validation,
            evaluation_ids=evaluation,
            train_truncation=Truncation().add(train),
            validation_truncation=Truncation().add(validation),
        )

    def linear_words(self, split: Split) -> Tokens:
        """Return the words of the rows of a split, as the linear model knows them."""
        words = split.words.take(split.row_ids)
        return Tokens(self.linear_ids[words.flat], words.counts)

    def evaluation_chunks(self) -> Iterator[TokenIds]:
        """Yield the token ids of the rows to evaluate on, those that were read together at a time."""
        return map(self.evaluation_ids.take, self.splits.evaluation.rows.chunks())


class Vocabularies(NamedTuple):
    """The words of a model, and the pieces of its encoder."""

    network: list[str]
    """Those that the network knows."""
    linear: list[str]
    """Those that a linear model knows: those of the network and, behind them, further ones."""
    trained_words: int
    """Number of words of the network that occur in the training rows; they come first."""
    vectors: WordVectors | None = None
    """Of the network's words."""
    tokenizer: PieceTokenizer | None = None
    """The tokenizer of a pretrained encoder."""


class EncodedRows(NamedTuple):
    """The rows of a split as a network takes them."""

    token_ids: TokenIds
    truncation: Truncation
    """What was cut off, and what is unknown."""


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
    tokenizer = vocabularies.tokenizer if vocabularies else _read_tokenizer(config)
    word_counts = WordCounts(config.text)
    splits = read_splits(config, word_counts, folder, fold)
    known = vocabularies or _make_vocabularies(config, word_counts, splits.train)
    token_id_of, linear_ids = map(word_counts.token_ids, (known.network, known.linear))  # (word ids,) each
    word_encoder, whole_texts = WordEncoder(known.network, config.text), replace(config.text, max_length=WHOLE_TEXT)
    words = WordEncoder(known.linear, whole_texts) if config.model.blend else None if tokenizer else word_encoder
    pieces = None
    if tokenizer:
        options = config.text
        pieces = PieceEncoder(tokenizer, options, max_length=options.max_length, truncate=options.truncate)
    model_input = ModelInput(words, pieces)

    def encode(split: Split) -> EncodedRows:
        if pieces:
            return _encode_pieces(split, pieces, folder)
        return _encode(split, token_id_of, config.text, folder)

    parts = splits.parts()
    # a blend of words reads whole test rows, so that its network's own ids of them are not needed
    rows = {part: encode(parts[part]) for part in parts if part != "test" or pieces or not config.model.blend}

    def input_ids(part: str) -> TokenIds:
        if not config.model.blend:
            return rows[part].token_ids
        whole = _encode(parts[part], linear_ids, whole_texts, folder).token_ids
        return _join_on_disk(whole, rows[part].token_ids, parts[part], model_input, folder) if pieces else whole

    def examples(part: str) -> Examples:
        targets = parts[part].labels.targets(splits.labels, config.data.label_separator)
        return Examples(rows[part].token_ids, targets)

    validation_ids = input_ids("validation")
    if word_counts.words.next_id > len(word_counts.words):
        # rare words were forgotten, which the model may know from word vectors: tokenize anew
        chunks = map(model_input.encode, splits.evaluation.rows.text_chunks())
        evaluation_ids = token_ids_on_disk(chunks, smallest_dtype(model_input.size), folder=folder)
    else:
        evaluation_ids = input_ids("test") if "test" in parts else validation_ids
    unknown = {
        part: rows[part].truncation.unknown_fraction() if pieces else _unknown_fraction(split, token_id_of)
        for part, split in parts.items()
    }
    return Dataset(
        splits=splits,
        word_encoder=word_encoder,
        piece_encoder=pieces,
        model_input=model_input,
        linear_vocabulary=known.linear,
        linear_ids=linear_ids,
        trained_words=known.trained_words,
        vectors=known.vectors,
        train=examples("train"),
        validation=examples("validation"),
        validation_ids=validation_ids,
        evaluation_ids=evaluation_ids,
        train_truncation=rows["train"].truncation,
        validation_truncation=rows["validation"].truncation,
        unknown=unknown,
    )


def _read_tokenizer(config: Config) -> PieceTokenizer | None:
    """Return the tokenizer of the config's pretrained encoder; None: it has none."""
    if not isinstance(config.model, EncoderOptions):
        return None
    encoder = read_encoder(Path(expand_home(config.model.encoder)))
    tokenizer = read_tokenizer(encoder.path / TOKENIZER, pieces=encoder.sizes.pieces)
    if config.text.max_length <= tokenizer.special_count:
        raise UserError(
            f"text.max_length: found {config.text.max_length}, need {tokenizer.special_count + 1} at least: "
            f"{tokenizer.special_count} pieces mark the ends of each text."
        )
    return tokenizer


def _make_vocabularies(config: Config, words: WordCounts, train: Split) -> Vocabularies:
    """Return the words of a new model, and the pretrained vectors of the network's.

    Raises:
        UserError: the training rows have no words, or the vectors cannot be read.
    """
    options, counts = config.text, _word_counts(train, words)
    least = max(options.min_count, 2 if len(train) > MANY_ROWS else 1)
    frequent = words.most_frequent(counts, min_count=least, limit=LINEAR_WORDS)
    if isinstance(config.model, EncoderOptions):
        return Vocabularies([], frequent, 0)
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


def _encode(split: Split, token_id_of: npt.NDArray[np.int32], options: TextOptions, folder: Path | None) -> EncodedRows:
    """Return the token ids of the rows' words, in a temporary file.

    Args:
        token_id_of: token id of each word by its word id, shape (words,).
    """
    tokens = (Tokens(token_id_of[words.flat], words.counts) for words in split.chunks())
    chunks = (cut_texts(chunk, max_length=options.max_length, cut=options.truncate) for chunk in tokens)
    return _on_disk(chunks, int(token_id_of.max(initial=UNKNOWN)) + 1, folder, counted=lambda token_ids: token_ids)


def _encode_pieces(split: Split, pieces: PieceEncoder, folder: Path | None) -> EncodedRows:
    """Return the ids of the rows' pieces, in a temporary file."""
    chunks = map(pieces.encode, split.rows.text_chunks())
    return _on_disk(chunks, pieces.size + RESERVED, folder, counted=pieces.mark_unknown)


def _on_disk(
    chunks: Iterable[TokenIds], ids: int, folder: Path | None, *, counted: Callable[[TokenIds], TokenIds]
) -> EncodedRows:
    """Return the rows of all chunks in a temporary file.

    Args:
        ids: number of token ids.
        counted: returns the rows of a chunk as they are counted, with UNKNOWN for what is unknown.
    """
    truncation = Truncation()

    def count() -> Iterator[TokenIds]:
        nonlocal truncation
        for token_ids in chunks:
            truncation = truncation.add(counted(token_ids))
            yield token_ids

    return EncodedRows(token_ids_on_disk(count(), smallest_dtype(ids), folder=folder), truncation)


def _join_on_disk(
    words: TokenIds, pieces: TokenIds, split: Split, model_input: ModelInput, folder: Path | None
) -> TokenIds:
    """Return the words and pieces of the rows of a split in a temporary file."""
    chunks = (
        join_pieces(words.take(rows), pieces.take(rows), first=model_input.first_piece) for rows in split.rows.chunks()
    )
    return token_ids_on_disk(chunks, smallest_dtype(model_input.size), folder=folder)


def _unknown_fraction(split: Split, token_id_of: npt.NDArray[np.int32]) -> float:
    """Return the fraction of words outside the vocabulary."""
    unknown = sum(int((token_id_of[words.flat] == UNKNOWN).sum()) for words in split.chunks())
    return unknown / max(1, int(split.counts.sum()))
