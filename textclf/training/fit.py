"""A network built, seeded and trained from a config and its dataset, and the decision fitted to it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.evaluation.calibration import choose_threshold, fit_temperature, needs_threshold
from textclf.models.architecture import Floats, InitialData
from textclf.models.ensemble import divide_logits
from textclf.models.registry import MODELS, logits_model
from textclf.training.augmentation import make_augmentation
from textclf.training.checkpoint import Checkpoint
from textclf.training.dataset import Dataset
from textclf.training.loop import FitResult, TrainingCallback, fit, forward_function, padded_rows
from textclf.training.model_io import shape_of
from textclf.training.tensorflow_setup import seed_tensorflow

logger = logging.getLogger(__name__)

DECISION_ROWS = 10_000  # more make no difference to one number


@dataclass(frozen=True)
class Decision:
    """The rule that turns logits into labels."""

    temperature: float
    """Number that the logits were divided by."""
    threshold: float
    reached: bool
    """True if the threshold reaches the objective on the validation rows."""


def fit_decision(config: Config, dataset: Dataset, network: Any) -> Decision:
    """Divide the network's logits by the temperature that fits the validation rows, and choose a threshold there."""
    options, validation = config.decision, dataset.validation
    objective = options.aim
    if not (options.calibrate or objective):
        return Decision(1.0, options.threshold, True)
    rows = np.sort(np.random.default_rng(config.training.seed).permutation(len(validation))[:DECISION_ROWS])
    targets = validation.targets[rows]
    logits = forward_function(logits_model(network))(validation.token_ids.take(rows)).astype(np.float64)
    temperature = fit_temperature(logits, targets) if options.calibrate else 1.0
    divide_logits(network, temperature)
    if objective is None:
        return Decision(temperature, options.threshold, True)
    scores = 1 / (1 + np.exp(-logits / temperature))  # (rows, outputs)
    threshold, reached = choose_threshold(objective, targets.reshape(scores.shape), scores)
    if not reached:
        of = "" if config.data.label_separator is not None else f" of {dataset.splits.labels[1]}"
        logger.warning("no threshold reaches %s%s on the validation rows; %.4f comes nearest", objective, of, threshold)
    return Decision(temperature, threshold, reached)


def check_objective(config: Config, dataset: Dataset) -> None:
    """Refuse an objective where no threshold decides.

    Raises:
        UserError: there are more than two labels, of which a row has one.
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
    """Train a new network; return it with the history of its training.

    On a CPU it has faster LSTM layers than Keras's own: see `stock_network`.

    Args:
        device: "cpu" or "gpu", as `start_tensorflow` returned it.
        checkpoint: file to resume from, and to save the progress to.
        weights: initial weights in the order of `Architecture.weights`; None: random, and pretrained vectors if any.
    """
    seed_tensorflow(config.training.seed)
    embeddings = dataset.vectors.table if dataset.vectors else None
    initial = InitialData(embeddings, padded_rows(dataset.train.token_ids))
    build = MODELS[config.model.type].build
    network = build(config.model, shape_of(config, dataset), initial=initial, fast=device == "cpu")
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
    """Return a network of `fit_network` in stock Keras layers, with the same weights."""
    if device != "cpu":
        return network
    stock = MODELS[config.model.type].build(config.model, shape_of(config, dataset))
    stock.set_weights(network.get_weights())
    return stock
