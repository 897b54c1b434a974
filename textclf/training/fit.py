"""One network from a config and its rows: built, seeded and trained."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.evaluation.calibration import choose_threshold, fit_temperature, needs_threshold
from textclf.models.architecture import Floats, Start
from textclf.models.ensemble import divide_logits
from textclf.models.registry import MODELS, logits_model
from textclf.training.augmentation import make_augmentation
from textclf.training.checkpoint import Checkpoint
from textclf.training.dataset import Dataset
from textclf.training.loop import FitResult, TrainingCallback, fit, forward_function, padded_rows
from textclf.training.model_io import shape_of
from textclf.training.tensorflow_setup import seed_tensorflow

logger = logging.getLogger(__name__)

ENOUGH_ROWS = 10_000  # to fit one number on


@dataclass(frozen=True)
class Decision:
    """How logits become labels."""

    temperature: float
    threshold: float
    reached: bool
    """Whether the threshold reaches the aim on validation rows."""


def fit_decision(config: Config, dataset: Dataset, network: Any) -> Decision:
    """Divides the network's logits by the temperature that fits the validation rows, and chooses a threshold there."""
    options, validation = config.decision, dataset.validation
    if not (options.calibrate or options.aim):
        return Decision(1.0, options.threshold, True)
    rows = np.sort(np.random.default_rng(config.training.seed).permutation(len(validation))[:ENOUGH_ROWS])
    targets = validation.targets[rows]
    logits = forward_function(logits_model(network))(validation.token_ids.take(rows)).astype(np.float64)
    temperature = fit_temperature(logits, targets) if options.calibrate else 1.0
    divide_logits(network, temperature)
    if options.aim is None:
        return Decision(temperature, options.threshold, True)
    scores = 1 / (1 + np.exp(-logits / temperature))
    threshold, reached = choose_threshold(options.aim, targets.reshape(scores.shape), scores)
    if not reached:
        logger.warning("no threshold reaches %s on the validation rows; %.4f comes nearest", options.aim, threshold)
    return Decision(temperature, threshold, reached)


def check_objective(config: Config, dataset: Dataset) -> None:
    """Refuses an aim where no threshold decides.

    Raises:
        UserError: the labels are more than two, and a row has one of them.
    """
    labels = len(dataset.splits.labels)
    if config.decision.aim and not needs_threshold(labels, multilabel=config.data.label_separator is not None):
        raise UserError(
            f"decision.aim: there are {labels} labels, of which each row gets the most probable: no threshold decides. "
            "Leave the key out."
        )


def fit_network(
    config: Config,
    dataset: Dataset,
    device: str,
    callback: TrainingCallback,
    *,
    checkpoint: Checkpoint | None = None,
    weights: Mapping[str, Floats] | None = None,
) -> tuple[Any, FitResult]:
    """A network with the trained weights, and how training went; nothing that was trained before has a part in them.

    On a CPU its LSTM layers are twins of the stock ones: see `stock_network`.

    Args:
        device: what `start_tensorflow` gave.
        checkpoint: where to go on, and where to keep how far training has come.
        weights: what the network begins with, in the order of `Architecture.weights`; None: drawn at random, but for
            pretrained vectors.
    """
    seed_tensorflow(config.training.seed)
    embeddings = dataset.vectors.table if dataset.vectors else None
    start = Start(embeddings, padded_rows(dataset.train.token_ids))
    build = MODELS[config.model.type].build
    network = build(config.model, shape_of(config, dataset), start=start, fast=device == "cpu")
    if weights is not None:
        network.set_weights(list(weights.values()))
    changes = make_augmentation(
        config.augment, dataset.vectors, dataset.encoder.vocabulary, words=dataset.trained_words
    )
    fit_result = fit(
        network, dataset.train, dataset.validation, config.training, callback,
        checkpoint=checkpoint, augmentation=changes,
    )  # fmt: skip
    return network, fit_result


def stock_network(config: Config, dataset: Dataset, device: str, network: Any) -> Any:
    """The network in stock Keras layers, with the weights of one that `fit_network` trained on the device."""
    if device != "cpu":
        return network
    stock = MODELS[config.model.type].build(config.model, shape_of(config, dataset))
    stock.set_weights(network.get_weights())
    return stock
