"""The run to compress, and the smaller networks that can be made of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.compression.linear_part import RankedNGrams, find_ngrams, smaller_linear, smaller_shapes
from textclf.config.load import load_saved_config
from textclf.config.schema import AugmentOptions, Config
from textclf.errors import UserError
from textclf.inference.classifier import Classifier, load_classifier
from textclf.io.contract import CompressionSettings, MetricsDocument, SplitDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.models.architecture import Architecture, Blend, Shrinking
from textclf.models.ensemble import further_parts, members
from textclf.models.onnx.quantization import Storage, quantized_bytes
from textclf.models.registry import MODELS, PARTS
from textclf.models.shrinking import Sizes
from textclf.text.encoding import RESERVED, UNKNOWN, TokenIds, cut_texts
from textclf.training.baselines import linear_training_words
from textclf.training.dataset import Dataset, Vocabularies, prepare
from textclf.training.fit import Decision, FittedPart, fit_decision, fit_network, stock_network
from textclf.training.loop import Examples, FitResult, TrainingCallback, forward_function
from textclf.training.model_io import ModelThresholds, keras_file, load_network, save_model, shape_of
from textclf.training.tensorflow_setup import start_tensorflow

logger = logging.getLogger(__name__)

Weights = Mapping[str, npt.NDArray[Any]]

ENTRY_BYTES = 6  # per word in model.json, beside the word: indentation, quotes, comma and line end

OTHER_BYTES = 8192  # about, in model/ beside weights and words

PART_BYTES = 8192  # about, of the nodes of a further part of a blend

BUDGET_KEEPS = tuple(round(1 - step / 20, 2) for step in range(1, 20))  # fractions to try for a budget: 0.95 to 0.05

PRUNE_KEEP = 0.7

PRUNE_EPOCHS = 3


@dataclass(frozen=True)
class CompressionRequest:
    """The options of the command; at least `method` or `budget` is given."""

    method: str | None = None
    """A key of METHODS; None: all are tried."""
    budget: int | None = None
    """Bytes that model/ may take."""
    keep: float | None = None
    """Fraction of words, dimensions, units and n-grams to keep; None: the default, or the largest for the budget."""
    student: str | None = None
    """A key of STUDENTS; None: the first, or with a budget all."""
    alone: bool = False
    """True for a student without a linear part, even if its teacher has one."""
    max_loss: float = 0.01
    """Accuracy that may be lost on the rows that the run is evaluated on, 0 to 1."""
    unlabelled: Path | None = None
    """File of further texts for a student to learn from, read like those of `predict`."""

    def keeps(self, default: float) -> tuple[float, ...]:
        """Return the fractions to keep, one for each candidate."""
        if self.keep is not None:
            return (self.keep,)
        return BUDGET_KEEPS if self.budget else (default,)

    def blends(self, teacher: Blend | None) -> list[Blend | None]:
        """Return what joins a student: what joins its teacher, or for a smaller or faster one nothing."""
        return [None] if self.alone else list(dict.fromkeys((teacher, None)))


@dataclass(frozen=True)
class Original:
    """The run to compress, with its network and its dataset."""

    run: Run
    config: Config
    metrics: MetricsDocument
    classifier: Classifier
    network: Any
    """The Keras model."""
    dataset: Dataset
    """Its rows, as token ids of its vocabulary."""
    train_ids: TokenIds
    """Token ids of the training rows, as the model takes them."""
    device: str

    @property
    def architecture(self) -> Architecture:
        return MODELS[self.config.model.type]

    @property
    def members(self) -> list[Any]:
        """The networks of an ensemble, or the only network."""
        return members(self.network)

    def weights(self) -> Weights:
        """Return the weights of its first network."""
        return self.architecture.weights(self.members[0])

    @cached_property
    def _ngrams(self) -> RankedNGrams:
        """The n-grams of its linear part."""
        [network] = further_parts(self.network).values()
        return find_ngrams(network, linear_training_words(self.config, self.dataset))

    def further(self, vocabulary: int, keep: float) -> dict[str, FittedPart]:
        """Return the parts besides its network by name, if it is a blend, with fewer words and n-grams.

        Args:
            vocabulary: number of token ids that the model is to know; there may be more than it knows now.
            keep: fraction of the n-grams to keep.
        """
        parts, token_ids = further_parts(self.network), self.dataset.validation_ids
        if self.dataset.piece_encoder:
            token_ids = token_ids.words(self.dataset.model_input.first_piece)
        if keep < 1 or vocabulary != self.dataset.model_input.first_piece:
            shape = shape_of(self.config, self.dataset)._replace(vocabulary=vocabulary)
            parts = {name: smaller_linear(part, self._ngrams, shape, keep=keep) for name, part in parts.items()}
            token_ids = token_ids.limit_vocabulary(vocabulary)
        return {name: FittedPart(part, forward_function(part)(token_ids)) for name, part in parts.items()}

    def further_bytes(self, storage: Storage, *, vocabulary: int | None = None, keep: float = 1.0) -> int:
        """Estimate the bytes that the further parts of a blend take in its graph.

        Args:
            vocabulary, keep: as for `further`; None: the vocabulary as it is.
        """
        parts = [PARTS[name].graph_constants(part)[0] for name, part in further_parts(self.network).items()]
        shapes = [smaller_shapes(constants, vocabulary=vocabulary, keep=keep) for constants in parts]
        sizes = [quantized_bytes(name, shape, storage) for part in shapes for name, shape in part.items()]
        return sum(sizes) + PART_BYTES * len(parts)

    @cached_property
    def token_counts(self) -> npt.NDArray[np.int64]:
        """Occurrences of each token id in the training rows, shape (vocabulary,)."""
        vocabulary = len(self.dataset.word_encoder.vocabulary) + RESERVED
        return np.bincount(self.dataset.train.token_ids.flat, minlength=vocabulary)

    def sizes(self, keep: float) -> Sizes:
        """Return the sizes to which this fraction reduces the network."""
        return Sizes(keep, self.token_counts, UNKNOWN)


def estimate_bytes(shapes: Mapping[str, tuple[int, ...]], words: Sequence[str], storage: Storage) -> int:
    """Estimate the bytes of model/ from the vocabulary and the shapes of the weights."""
    of_weights = sum(quantized_bytes(name, weight_shape, storage) for name, weight_shape in shapes.items())
    return of_weights + sum(len(word.encode()) + ENTRY_BYTES for word in words) + OTHER_BYTES


@dataclass(frozen=True)
class Compressed:
    """A smaller network, not yet saved."""

    config: Config
    dataset: Dataset
    network: Any
    thresholds: ModelThresholds
    storage: Storage
    settings: CompressionSettings
    fit_result: FitResult | None = None
    """None: it was not trained."""
    decision: Decision | None = None
    """None: the original's."""

    def save(self, staging: Run) -> tuple[Classifier, float]:
        """Save the network; return the classifier, and its largest difference from Keras's probabilities."""
        return save_model(staging, self.config, self.dataset, self.network, self.thresholds, storage=self.storage)


class Candidate(NamedTuple):
    """A smaller network that has not been made yet."""

    bytes: int
    """Estimated size of its model/."""
    make: Callable[[TrainingCallback], Compressed]


def read_original(run: Run, *, folder: Path) -> Original:
    """Read a run and its rows, whose token ids are stored in the folder.

    Raises:
        UserError: the run is not complete, or its data have changed or are gone.
    """
    classifier = load_classifier(run.path)
    if not run.complete:
        raise UserError(
            f"{run.path} is no complete run; a smaller network is measured beside it, on its own rows. Name a run, not "
            "its model/ folder."
        )
    config, metrics = load_saved_config(run.config), read_json(run.metrics)
    path = keras_file(run)
    dataset = prepare(config, folder=folder, vocabularies=_vocabularies(classifier))
    limits = classifier.description.network_limits
    splits = dataset.splits
    split: SplitDocument = read_json(run.split)
    changed = splits.document["sha256"] != split["sha256"]
    if changed or splits.evaluation.rows.describe()["sha256"] != metrics["data"]["sha256"]:
        raise UserError(f"{run.path}: the data have changed since it was trained. Train it again, and compress that.")
    if splits.document["validation"] != split["validation"] or splits.labels != classifier.labels:
        raise UserError(
            f"{run.path}: this textclf splits its rows, or reads its labels, differently from the one that trained "
            "it. Train it again, and compress that."
        )
    train_ids = dataset.train.token_ids
    if limits and not dataset.piece_encoder:
        options = dataset.model_input.options
        words_of_rows = dataset.linear_words(splits.train)
        train_ids = cut_texts(words_of_rows, max_length=options.max_length, cut=options.truncate)
    dataset = replace(dataset, splits=splits.without_keys(keep_words=bool(config.model.blend)))
    device = start_tensorflow(device=config.training.device)
    return Original(run, config, metrics, classifier, load_network(path), dataset, train_ids, device)


def _vocabularies(classifier: Classifier) -> Vocabularies:
    """Return the words that a trained model knows, and the pieces of its encoder."""
    words, limits = classifier.description.vocabulary, classifier.description.network_limits
    if classifier.tokenizer:
        return Vocabularies([], words, 0, tokenizer=classifier.tokenizer)
    vocabulary = words[: limits.vocabulary - RESERVED] if limits else words
    return Vocabularies(vocabulary, words, len(vocabulary))


def quantized(original: Original, storage: Storage) -> Iterator[Candidate]:
    """Yield the same network with its weights in fewer bits."""

    def make(_callback: TrainingCallback) -> Compressed:
        network = load_network(keras_file(original.run))  # a copy, since saving rounds the weights
        description = original.classifier.description
        thresholds = ModelThresholds(description.threshold, description.part_thresholds)
        return Compressed(original.config, original.dataset, network, thresholds, storage, {"method": storage})

    constants = [original.architecture.graph_constants(original.config.model, member)[0] for member in original.members]
    shapes = {name: array.shape for name, array in constants[0].items()}
    of_network = estimate_bytes(shapes, original.dataset.model_input.vocabulary, storage)
    of_others = sum(quantized_bytes(name, shape, storage) for name, shape in shapes.items()) * (len(constants) - 1)
    tokenizer = original.dataset.piece_encoder.tokenizer.data if original.dataset.piece_encoder else b""
    yield Candidate(of_network + of_others + original.further_bytes(storage) + len(tokenizer), make)


class Joined(NamedTuple):
    """The further parts that join a candidate's network in a blend."""

    vocabulary: Sequence[str]
    """The words that the model reads."""
    bytes: int
    """Estimated bytes of the parts in its graph."""
    rows: Callable[[], Dataset]
    """Returns a dataset with the rows as the model takes them."""
    parts: Callable[[], dict[str, FittedPart]]
    """Returns the parts by name."""


def trained(
    original: Original, dataset: Callable[[], Dataset], options: Any, words: Sequence[str],
    training_rows: Callable[[Dataset], Examples], *, joined: Joined | None,
    initial_weights: Callable[[], Weights | None] = lambda: None,
    training: Mapping[str, Any], settings: CompressionSettings,
) -> Candidate:  # fmt: skip
    """Return a candidate that is trained and then quantized to int8.

    Args:
        dataset: returns the original's rows in the words of the candidate's network.
        options: options of its network.
        words: those that its network knows.
        training_rows: returns the rows to train on, given the dataset.
        joined: what joins its network; None: nothing.
        initial_weights: returns those of its network; None: random ones, and the dataset's vectors if it has any.
        training: training options that differ from the original's.
    """

    def make(callback: TrainingCallback) -> Compressed:
        data, device = dataset(), original.device
        once = replace(
            original.config.training, **training, early_stopping=None, checkpoint_minutes=None, seeds=1, ensemble=False
        )
        config = replace(original.config, text=data.word_encoder.options, model=options, training=once)
        unaugmented = replace(config, augment=AugmentOptions())  # synonyms need the vectors of all words
        rows = replace(data, train=training_rows(data))
        network, fit_result = fit_network(unaugmented, rows, device, callback, weights=initial_weights())
        network = stock_network(config, data, device, network)
        if joined:
            data = data.with_input_of(joined.rows())
        model, decision = fit_decision(config, data, network, joined.parts() if joined else {})
        return Compressed(config, data, model, decision.thresholds, "int8", settings, fit_result, decision)

    shape = shape_of(original.config, original.dataset)._replace(vocabulary=RESERVED + len(words))
    shapes = _shrinking(options.type).weight_shapes(options, shape)
    size = estimate_bytes(shapes, joined.vocabulary if joined else words, "int8")
    return Candidate(size + (joined.bytes if joined else 0), make)


def shrunk(
    original: Original, keep: float, training_rows: Callable[[], Examples], *, training: Mapping[str, Any],
    settings: CompressionSettings, blend: Blend | None,
) -> Candidate:  # fmt: skip
    """Return a candidate of the original's architecture that starts from the most important of its weights."""
    sizes, options = original.sizes(keep), original.config.model
    shrinking = _shrinking(options.type)
    return of_fewer_words(
        original, keep, replace(shrinking.smaller(options, sizes), blend=blend),
        lambda: shrinking.shrink(options, original.weights(), sizes),
        training_rows, training=training, settings=settings,
    )  # fmt: skip


def of_fewer_words(
    original: Original, keep: float, options: Any, initial_weights: Callable[[], Weights],
    training_rows: Callable[[], Examples], *, training: Mapping[str, Any], settings: CompressionSettings,
) -> Candidate:  # fmt: skip
    """Return a candidate whose network knows a fraction of the words of the original's.

    Args:
        keep: fraction of the vocabulary to keep.
        training_rows: returns the rows to train on, in token ids of the original's vocabulary.
    """
    vocabulary = original.sizes(keep).vocabulary

    def rows(_: Dataset) -> Examples:
        examples = training_rows()
        return replace(examples, token_ids=examples.token_ids.limit_vocabulary(vocabulary))

    return trained(
        original, lambda: original.dataset.with_words(vocabulary - RESERVED), options,
        original.dataset.word_encoder.vocabulary[: vocabulary - RESERVED], rows,
        joined=_joined(original, keep, vocabulary) if options.blend else None,
        initial_weights=initial_weights, training=training, settings=settings,
    )  # fmt: skip


def _joined(original: Original, keep: float, network_vocabulary: int) -> Joined:
    """Return what joins a network: the further parts of the original, with a fraction of its words and n-grams.

    Args:
        network_vocabulary: number of token ids that the network knows, all of which the model reads.
    """
    words = original.dataset.model_input.vocabulary
    count = max(network_vocabulary - RESERVED, round(keep * len(words)))
    size = RESERVED + count
    return Joined(
        words[:count], original.further_bytes("int8", vocabulary=size, keep=keep),
        lambda: original.dataset.with_input_words(count) if count < len(words) else original.dataset,
        lambda: original.further(size, keep),
    )  # fmt: skip


def _shrinking(architecture: str) -> Shrinking:
    shrinking = MODELS[architecture].shrinking
    assert shrinking
    return shrinking


def prune(original: Original, request: CompressionRequest) -> dict[str, Iterator[Candidate]]:
    """Return networks with fewer words, dimensions and units: smaller matrices, not zeros in them.

    Raises:
        UserError: the run is an ensemble, or has a pretrained encoder.
    """
    if original.architecture.shrinking is None:
        raise UserError(
            "--method prune: a pretrained encoder keeps its size. Use distill, which makes a small network."
        )
    if len(original.members) > 1:
        raise UserError("--method prune: an ensemble has several networks. Use distill, which makes one of them.")
    candidates = (
        shrunk(
            original, keep, lambda: original.dataset.train,
            training={"epochs": PRUNE_EPOCHS}, settings={"method": "prune", "keep": keep},
            blend=original.config.model.blend,
        )
        for keep in request.keeps(PRUNE_KEEP)
    )  # fmt: skip
    return {"prune": candidates}
