"""What the methods of `textclf compress` share: the run that is made smaller, and what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.augment import AugmentOptions
from textclf.classifier import Classifier, load_classifier
from textclf.config import Config, saved_config
from textclf.decision import Decision, decide_on
from textclf.device import start_tensorflow
from textclf.ensemble import members
from textclf.errors import UserError
from textclf.fitting import fit_network, stock_network
from textclf.material import Material, prepare
from textclf.models import MODELS
from textclf.run import Run, read_json
from textclf.saving import keras_file, load_network
from textclf.smaller import Sizes
from textclf.storage import Storage, stored
from textclf.text import RESERVED, UNKNOWN, TokenIds
from textclf.training import Examples, Fit, Watch

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
    document: dict[str, Any]
    """Its metrics.json."""
    classifier: Classifier
    network: Any
    """Its model.keras."""
    material: Material
    """Its rows, in its own words."""
    device: str

    @property
    def members(self) -> list[Any]:
        """Its networks; of most runs there is one."""
        return members(self.network)

    def sizes(self, keep: float) -> Sizes:
        """What is to stay of the network where so large a share is."""
        vocabulary = len(self.material.encoder.vocabulary) + RESERVED
        counts = np.bincount(self.material.train.token_ids.flat, minlength=vocabulary)
        return Sizes(keep, counts, UNKNOWN)

    def shrunk(self, keep: float) -> Shrunk:
        """The first of its networks with so large a share of everything, before it has learnt to do with that."""
        kind, sizes = MODELS[self.config.model.type], self.sizes(keep)
        options, weights = kind.shrink(self.config.model, kind.weights(self.members[0]), sizes)
        return Shrunk(options, weights, self.material.with_words(sizes.vocabulary - RESERVED))


class Shrunk(NamedTuple):
    """A network that is yet to be trained, and its rows."""

    options: Any
    weights: Weights
    material: Material

    def estimated_bytes(self, storage: Storage) -> int:
        """About what its model/ will take."""
        return model_bytes(self.weights, self.material.encoder.vocabulary, storage)


def model_bytes(weights: Weights, vocabulary: list[str], storage: Storage) -> int:
    """About what a model/ with these weights takes."""
    words = sum(len(word.encode()) + ENTRY_BYTES for word in vocabulary)
    return sum(array.nbytes for array in stored(weights, storage).values()) + words + OTHER_BYTES


@dataclass(frozen=True)
class Compressed:
    """What a method made of a run, not yet saved."""

    config: Config
    material: Material
    network: Any
    storage: Storage
    facts: dict[str, Any]
    """What the report says of how it was made."""
    fitted: Fit | None = None
    """How it was trained; None: it was not."""
    decision: Decision | None = None
    """What was decided on for it; None: as for the original."""


class Plan(NamedTuple):
    """A smaller network that could be made."""

    bytes: int
    """About what its model/ would take."""
    make: Callable[[Watch], Compressed]


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
    config, document = saved_config(run.config), read_json(run.metrics)
    path = keras_file(run)
    material = prepare(config, folder=folder, known=classifier.description.vocabulary)
    sides = material.sides
    changed = sides.document["sha256"] != read_json(run.split)["sha256"]
    if changed or sides.measured.labelled().describe(0)["sha256"] != document["data"]["sha256"]:
        raise UserError(f"{run.path}: the data have changed since it was trained. Train it again, and compress that.")
    # scikit-learn's models and the rows' words are not asked for again
    material = replace(material, sides=sides.slim(words=False))
    device = start_tensorflow(device=config.training.device)
    return Original(run, config, document, classifier, load_network(path), material, device)


def kept_as(original: Original, storage: Storage) -> Iterator[Plan]:
    """The network as it is, its weights kept in fewer bytes."""
    kind = MODELS[original.config.model.type]
    sizes = [
        model_bytes(kind.weights(member), original.material.encoder.vocabulary, storage) for member in original.members
    ]

    def make(_watch: Watch) -> Compressed:
        network = load_network(keras_file(original.run))  # one of its own, for saving rounds the weights
        return Compressed(original.config, original.material, network, storage, {"method": storage})

    yield Plan(sum(sizes), make)


def trained(
    original: Original, config: Config, shrunk: Shrunk, train: Examples, watch: Watch, *, facts: dict[str, Any]
) -> Compressed:
    """The small network, trained on the rows from the weights that it has, to be kept as int8.

    Args:
        config: with the training of the small network.
    """
    material, device = shrunk.material, original.device
    config = replace(config, text=material.encoder.options, model=shrunk.options)
    # what the rows are changed by, synonyms, the small network's words need not have
    plain = replace(config, augment=AugmentOptions())
    network, fitted = fit_network(plain, replace(material, train=train), device, watch, weights=shrunk.weights)
    network = stock_network(config, material, device, network)
    return Compressed(config, material, network, "int8", facts, fitted, decide_on(config, material, network))
