"""What the methods of `textclf compress` share: the run that is made smaller, and what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from textclf.io.contract import CompressionSettings, MetricsDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.models.ensemble import members
from textclf.models.onnx.quantization import Storage, stored
from textclf.models.registry import MODELS
from textclf.models.shrinking import Sizes
from textclf.text.encoding import RESERVED, UNKNOWN, TokenIds
from textclf.training.dataset import Dataset, prepare
from textclf.training.fit import Decision, decide_on, fit_network, stock_network
from textclf.training.loop import Examples, FitResult, TrainingCallback
from textclf.training.model_io import keras_file, load_network
from textclf.training.tensorflow_setup import start_tensorflow

logger = logging.getLogger(__name__)

Weights = Mapping[str, npt.NDArray[Any]]

ENTRY_BYTES = 6  # of a word in model.json, beside itself: its line, quotes and comma

OTHER_BYTES = 8192  # of what else is in model/, about

KEEPS = tuple(round(1 - step / 20, 2) for step in range(1, 20))  # shares that a budget tries, the largest first


@dataclass(frozen=True)
class Original:
    """A run with all that it is made smaller from."""

    run: Run
    config: Config
    document: MetricsDocument
    """Its metrics.json."""
    classifier: Classifier
    network: Any
    """Its model.keras."""
    dataset: Dataset
    """Its rows, in its own words."""
    device: str

    @property
    def members(self) -> list[Any]:
        """Its networks; of most runs there is one."""
        return members(self.network)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How often each token id comes in the training rows, shape (vocabulary,)."""
        vocabulary = len(self.dataset.encoder.vocabulary) + RESERVED
        return np.bincount(self.dataset.train.token_ids.flat, minlength=vocabulary)

    def sizes(self, keep: float) -> Sizes:
        """What is to stay of the network where so large a share is."""
        return Sizes(keep, self.counts, UNKNOWN)

    def weights(self) -> list[Weights]:
        """Those of each of its networks."""
        return [MODELS[self.config.model.type].weights(member) for member in self.members]

    def shrunk(self, keep: float) -> Shrunk:
        """The first of its networks with so large a share of everything, before it has learnt to do with that."""
        sizes = self.sizes(keep)
        options, weights = MODELS[self.config.model.type].shrink(self.config.model, self.weights()[0], sizes)
        return Shrunk(options, weights, sizes.vocabulary)

    def bytes(self, weights: Iterable[Weights], storage: Storage, *, vocabulary: int | None = None) -> int:
        """About what a model/ with these weights takes, and with so many token ids; None: all."""
        words = self.dataset.encoder.vocabulary[: None if vocabulary is None else vocabulary - RESERVED]
        arrays = [array.nbytes for each in weights for array in stored(each, storage).values()]
        return sum(arrays) + sum(len(word.encode()) + ENTRY_BYTES for word in words) + OTHER_BYTES


class Shrunk(NamedTuple):
    """A small network that is yet to be trained."""

    options: Any
    weights: Weights
    vocabulary: int
    """Token ids that it knows, the first of the original's."""


@dataclass(frozen=True)
class Compressed:
    """What a method made of a run, not yet saved."""

    config: Config
    dataset: Dataset
    network: Any
    storage: Storage
    facts: CompressionSettings
    """What the report says of how it was made."""
    fit_result: FitResult | None = None
    """How it was trained; None: it was not."""
    decision: Decision | None = None
    """What was decided on for it; None: as for the original."""


class Plan(NamedTuple):
    """A smaller network that could be made."""

    bytes: int
    """About what its model/ would take."""
    make: Callable[[TrainingCallback], Compressed]


class Settings(NamedTuple):
    """What a person may choose."""

    keeps: tuple[float, ...] = ()
    """Shares of the network to keep, each of which is a plan; empty: the method's own."""
    student: str | None = None
    """Of STUDENTS; None: each."""
    unlabelled: TokenIds | None = None
    """Further texts for a student, in the original's words."""


def read_original(run: Run, *, folder: Path) -> Original:
    """The run, its rows read again, their token ids stored in the folder.

    Raises:
        UserError: it is no complete run, or its data have changed or are gone.
    """
    classifier = load_classifier(run.path)
    if not run.complete:
        raise UserError(
            f"{run.path} is no complete run; a smaller network is measured beside it, on its own rows. Name a run, not "
            "its model/ folder."
        )
    config, document = load_saved_config(run.config), read_json(run.metrics)
    path = keras_file(run)
    dataset = prepare(config, folder=folder, known=classifier.description.vocabulary)
    splits = dataset.splits
    changed = splits.document["sha256"] != read_json(run.split)["sha256"]
    if changed or splits.evaluation.rows.describe()["sha256"] != document["data"]["sha256"]:
        raise UserError(f"{run.path}: the data have changed since it was trained. Train it again, and compress that.")
    # no baseline asks for the words again
    dataset = replace(dataset, splits=splits.slim(words=False))
    device = start_tensorflow(device=config.training.device)
    return Original(run, config, document, classifier, load_network(path), dataset, device)


def kept_as(original: Original, storage: Storage) -> Iterator[Plan]:
    """The network as it is, its weights kept in fewer bytes."""

    def make(_watch: TrainingCallback) -> Compressed:
        network = load_network(keras_file(original.run))  # one of its own, for saving rounds the weights
        return Compressed(original.config, original.dataset, network, storage, {"method": storage})

    yield Plan(original.bytes(original.weights(), storage), make)


def plan(
    original: Original,
    shrunk: Shrunk,
    lessons: Callable[[], Examples],
    *,
    training: Mapping[str, Any],
    facts: CompressionSettings,
) -> Plan:
    """A small network, to be trained from the weights that it has and kept as int8.

    Args:
        lessons: gives the rows that it learns from, in the original's words.
        training: how it learns otherwise than the original did.
    """

    def make(callback: TrainingCallback) -> Compressed:
        dataset, device = original.dataset.with_words(shrunk.vocabulary - RESERVED), original.device
        once = replace(
            original.config.training, **training, early_stopping=None, checkpoint_minutes=None, seeds=1, ensemble=False
        )
        config = replace(original.config, text=dataset.encoder.options, model=shrunk.options, training=once)
        learnt = lessons()
        rows = replace(dataset, train=replace(learnt, token_ids=learnt.token_ids.limit_vocabulary(shrunk.vocabulary)))
        # the synonyms that the rows may be changed by need vectors of all words
        plain = replace(config, augment=AugmentOptions())
        network, fit_result = fit_network(plain, rows, device, callback, weights=shrunk.weights)
        network = stock_network(config, dataset, device, network)
        return Compressed(config, dataset, network, "int8", facts, fit_result, decide_on(config, dataset, network))

    return Plan(original.bytes([shrunk.weights], "int8", vocabulary=shrunk.vocabulary), make)


KEEP = 0.7

EPOCHS = 3  # of fine-tuning


def prune(original: Original, settings: Settings) -> dict[str, Iterator[Plan]]:
    """Networks with fewer words, dimensions and units, small in truth and not by zeros.

    Raises:
        UserError: the run is an ensemble.
    """
    if len(original.members) > 1:
        raise UserError("--method prune: an ensemble has several networks. Use distill, which makes one of them.")
    return {"prune": _plans(original, settings)}


def _plans(original: Original, settings: Settings) -> Iterator[Plan]:
    for keep in settings.keeps or (KEEP,):
        facts: CompressionSettings = {"method": "prune", "keep": keep}
        training = {"epochs": EPOCHS}
        yield plan(original, original.shrunk(keep), lambda: original.dataset.train, training=training, facts=facts)
