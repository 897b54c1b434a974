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

from textclf.config.load import load_saved_config
from textclf.config.schema import AugmentOptions, Config
from textclf.errors import UserError
from textclf.inference.classifier import Classifier, load_classifier
from textclf.io.contract import CompressionSettings, MetricsDocument, SplitDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.models.architecture import Architecture, Shape
from textclf.models.ensemble import members
from textclf.models.onnx.quantization import Storage, quantized_bytes
from textclf.models.registry import MODELS
from textclf.models.shrinking import Sizes
from textclf.text.encoding import RESERVED, UNKNOWN
from textclf.training.dataset import Dataset, prepare
from textclf.training.fit import Decision, fit_decision, fit_network, stock_network
from textclf.training.loop import Examples, FitResult, TrainingCallback
from textclf.training.model_io import keras_file, load_network, save_model, shape_of
from textclf.training.tensorflow_setup import start_tensorflow

logger = logging.getLogger(__name__)

Weights = Mapping[str, npt.NDArray[Any]]

ENTRY_BYTES = 6  # per word in model.json, beside the word: indentation, quotes, comma and line end

OTHER_BYTES = 8192  # about, in model/ beside weights and words

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
    """Fraction of the words, dimensions and units to keep; None: the default, or the largest for the budget."""
    student: str | None = None
    """A key of STUDENTS; None: the first, or with a budget all."""
    max_loss: float = 0.01
    """Accuracy that may be lost on the rows that the run is evaluated on, 0 to 1."""
    unlabelled: Path | None = None
    """File of further texts for a student to learn from, read like those of `predict`."""

    def keeps(self, default: float) -> tuple[float, ...]:
        """Return the fractions to keep, one for each candidate."""
        if self.keep is not None:
            return (self.keep,)
        return BUDGET_KEEPS if self.budget else (default,)


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
    def token_counts(self) -> npt.NDArray[np.int64]:
        """Occurrences of each token id in the training rows, shape (vocabulary,)."""
        vocabulary = len(self.dataset.encoder.vocabulary) + RESERVED
        return np.bincount(self.dataset.train.token_ids.flat, minlength=vocabulary)

    def sizes(self, keep: float) -> Sizes:
        """Return the sizes to which this fraction reduces the network."""
        return Sizes(keep, self.token_counts, UNKNOWN)


def estimate_bytes(options: Any, shape: Shape, words: Sequence[str], storage: Storage, *, networks: int = 1) -> int:
    """Estimate the bytes of model/ from the vocabulary and the shapes of the weights."""
    shapes = MODELS[options.type].weight_shapes(options, shape)
    of_weights = sum(quantized_bytes(name, weight_shape, storage) for name, weight_shape in shapes.items())
    return networks * of_weights + sum(len(word.encode()) + ENTRY_BYTES for word in words) + OTHER_BYTES


@dataclass(frozen=True)
class Compressed:
    """A smaller network, not yet saved."""

    config: Config
    dataset: Dataset
    network: Any
    threshold: float
    storage: Storage
    settings: CompressionSettings
    fit_result: FitResult | None = None
    """None: it was not trained."""
    decision: Decision | None = None
    """None: the original's."""

    def save(self, staging: Run) -> tuple[Classifier, float]:
        """Save the network; return the classifier, and its largest difference from Keras's probabilities."""
        return save_model(staging, self.config, self.dataset, self.network, self.threshold, storage=self.storage)


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
    dataset = prepare(config, folder=folder, vocabulary=classifier.description.vocabulary)
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
    dataset = replace(dataset, splits=splits.without_keys(keep_words=False))  # words are for baselines
    device = start_tensorflow(device=config.training.device)
    return Original(run, config, metrics, classifier, load_network(path), dataset, device)


def quantized(original: Original, storage: Storage) -> Iterator[Candidate]:
    """Yield the same network with its weights in fewer bits."""

    def make(_callback: TrainingCallback) -> Compressed:
        network = load_network(keras_file(original.run))  # a copy, since saving rounds the weights
        threshold = original.classifier.description.threshold
        return Compressed(original.config, original.dataset, network, threshold, storage, {"method": storage})

    words, networks = original.dataset.encoder.vocabulary, len(original.members)
    shape = shape_of(original.config, original.dataset)
    yield Candidate(estimate_bytes(original.config.model, shape, words, storage, networks=networks), make)


def trained(
    original: Original, keep: float, options: Any, initial_weights: Callable[[], Weights],
    training_rows: Callable[[], Examples], *, training: Mapping[str, Any], settings: CompressionSettings,
) -> Candidate:  # fmt: skip
    """Return a candidate that is trained and then quantized to int8.

    Args:
        keep: fraction of the vocabulary to keep.
        options: options of its network.
        training_rows: returns the rows to train on, in token ids of the original's vocabulary.
        training: training options that differ from the original's.
    """
    vocabulary = original.sizes(keep).vocabulary

    def make(callback: TrainingCallback) -> Compressed:
        dataset, device = original.dataset.with_words(vocabulary - RESERVED), original.device
        once = replace(
            original.config.training, **training, early_stopping=None, checkpoint_minutes=None, seeds=1, ensemble=False
        )
        config = replace(original.config, text=dataset.encoder.options, model=options, training=once)
        rows = training_rows()
        rows = replace(rows, token_ids=rows.token_ids.limit_vocabulary(vocabulary))
        unaugmented = replace(config, augment=AugmentOptions())  # synonyms need the vectors of all words
        network, fit_result = fit_network(
            unaugmented, replace(dataset, train=rows), device, callback, weights=initial_weights()
        )
        network = stock_network(config, dataset, device, network)
        decision = fit_decision(config, dataset, network)
        return Compressed(config, dataset, network, decision.threshold, "int8", settings, fit_result, decision)

    words = original.dataset.encoder.vocabulary[: vocabulary - RESERVED]
    shape = shape_of(original.config, original.dataset)._replace(vocabulary=vocabulary)
    return Candidate(estimate_bytes(options, shape, words, "int8"), make)


def shrunk(
    original: Original, keep: float, training_rows: Callable[[], Examples], *, training: Mapping[str, Any],
    settings: CompressionSettings,
) -> Candidate:  # fmt: skip
    """Return a candidate of the original's architecture that starts from the most important of its weights."""
    architecture, sizes, options = original.architecture, original.sizes(keep), original.config.model
    return trained(
        original, keep, architecture.smaller(options, sizes),
        lambda: architecture.shrink(options, original.weights(), sizes),
        training_rows, training=training, settings=settings,
    )  # fmt: skip


def prune(original: Original, request: CompressionRequest) -> dict[str, Iterator[Candidate]]:
    """Return networks with fewer words, dimensions and units: smaller matrices, not zeros in them.

    Raises:
        UserError: the run is an ensemble.
    """
    if len(original.members) > 1:
        raise UserError("--method prune: an ensemble has several networks. Use distill, which makes one of them.")
    candidates = (
        shrunk(
            original, keep, lambda: original.dataset.train,
            training={"epochs": PRUNE_EPOCHS}, settings={"method": "prune", "keep": keep},
        )
        for keep in request.keeps(PRUNE_KEEP)
    )  # fmt: skip
    return {"prune": candidates}
