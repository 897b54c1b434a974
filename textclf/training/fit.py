"""A network built, seeded and trained from a config and its dataset, and the decision fitted to it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.evaluation.calibration import (
    choose_threshold,
    choose_thresholds,
    fit_blend,
    fit_temperature,
    needs_threshold,
)
from textclf.inference.classifier import probabilities_of
from textclf.io.contract import Threshold
from textclf.models.architecture import Floats, InitialData
from textclf.models.encoder.network import EncoderOptions, encoder_sizes
from textclf.models.encoder.sizes import EncoderWeights
from textclf.models.ensemble import NETWORK, blend, divide_logits
from textclf.models.registry import MODELS, logits_model
from textclf.training.augmentation import make_augmentation
from textclf.training.checkpoint import Checkpoint
from textclf.training.dataset import Dataset
from textclf.training.devices import ONE, Devices
from textclf.training.loop import FitResult, TrainingCallback, fit, forward_function, forward_tokens, padded_rows
from textclf.training.model_io import ModelThresholds, network_limits, shape_of
from textclf.training.pretrained import head_training, pretrained_encoder
from textclf.training.tensorflow_setup import seed_tensorflow

logger = logging.getLogger(__name__)

DECISION_ROWS = 10_000  # more make no difference to one number


@dataclass(frozen=True)
class Decision:
    """The rule that turns logits into labels."""

    temperature: float
    """Number that the network's logits were divided by, before a linear model joined."""
    thresholds: ModelThresholds
    reached: bool
    """True if the threshold of the model reaches the objective on the validation rows."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of each part's logits in a blend, by the name of the part."""


class FittedPart(NamedTuple):
    """A fitted model that can join a network."""

    model: Any
    """A Keras model from the token ids of whole texts to logits."""
    logits: npt.NDArray[Any]
    """Of the validation rows, shape (n, outputs)."""


def fit_decision(
    config: Config, dataset: Dataset, network: Any, further: Mapping[str, FittedPart]
) -> tuple[Any, Decision]:
    """Fit temperature, weights of the parts and thresholds to the validation rows.

    The network's logits are divided by the temperature, in place.

    Args:
        further: parts that join the network, by name; none: the network is the whole model.

    Returns:
        The model, which is the network or its blend with the further parts, and how it decides.
    """
    options, validation = config.decision, dataset.validation
    if not (options.calibrate or options.aim or further):
        return network, Decision(1.0, ModelThresholds(options.threshold), True)
    rows = np.sort(np.random.default_rng(config.training.seed).permutation(len(validation))[:DECISION_ROWS])
    targets = validation.targets[rows]
    forward = forward_function(logits_model(network), tokens=forward_tokens(config.model))
    logits = forward(validation.token_ids.take(rows)).astype(np.float64)  # (rows, outputs)
    temperature = fit_temperature(logits, targets) if options.calibrate else 1.0
    if further:  # few rows may all be right: a network that they made surer would outvote the other parts
        temperature = max(1.0, temperature)
    divide_logits(network, temperature)
    logits /= temperature
    if not further:
        threshold, reached = _fit_threshold(config, dataset, logits, targets)
        return network, Decision(temperature, ModelThresholds(threshold), reached)
    parts = {NETWORK: logits} | {name: part.logits[rows] for name, part in further.items()}  # (rows, outputs) each
    weights = dict(zip(parts, fit_blend(list(parts.values()), targets), strict=True))
    model = blend(
        network, {name: part.model for name, part in further.items()}, list(weights.values()),
        limits=network_limits(dataset), activation=shape_of(config, dataset).activation,
    )  # fmt: skip
    part_thresholds = {name: _threshold(config, part, targets)[0] for name, part in parts.items()}
    total = np.sum([weights[name] * part for name, part in parts.items()], axis=0)  # (rows, outputs)
    threshold, reached = _fit_threshold(config, dataset, total, targets)
    return model, Decision(temperature, ModelThresholds(threshold, part_thresholds), reached, weights)


def _fit_threshold(
    config: Config, dataset: Dataset, logits: npt.NDArray[Any], targets: npt.NDArray[Any]
) -> tuple[Threshold, bool]:
    """Return the threshold of the model, and whether it reaches the objective; log if it does not."""
    threshold, reached = _threshold(config, logits, targets)
    if not reached:
        of = f" of {dataset.splits.labels[1]}" if isinstance(threshold, float) else " of some labels"
        nearest = f"{threshold:.4f} comes" if isinstance(threshold, float) else "theirs come"
        logger.warning("no threshold reaches %s%s on the validation rows; %s nearest", config.decision.aim, of, nearest)
    return threshold, reached


def _threshold(config: Config, logits: npt.NDArray[Any], targets: npt.NDArray[Any]) -> tuple[Threshold, bool]:
    """Return the threshold, of several labels per row one for each, and whether it reaches the objective.

    Args:
        logits: shape (rows, outputs).
    """
    if config.decision.aim is None:
        return config.decision.threshold, True
    scores = probabilities_of(logits, multilabel=True)  # (rows, outputs): a sigmoid for each
    if config.data.label_separator is not None:
        return choose_thresholds(config.decision.aim, targets, scores)
    return choose_threshold(config.decision.aim, targets.reshape(scores.shape), scores)


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
    vectors_file: Path | None = None,
    weights: Mapping[str, Floats] | None = None,
    devices: Devices = ONE,
) -> tuple[Any, FitResult]:
    """Train a new network; return it with the history of its training.

    On a CPU it has faster LSTM layers than Keras's own: see `stock_network`.

    Args:
        device: "cpu" or "gpu", as `start_tensorflow` returned it.
        checkpoint: file to resume from, and to save the progress to.
        vectors_file: see `head_training`.
        weights: initial weights in the order of `Architecture.weights`; None: random, and pretrained vectors if any.
            A pretrained encoder has its own.
        devices: those to train on, in whose scope this is called.
    """
    seed_tensorflow(config.training.seed)
    options, shape = config.model, shape_of(config, dataset)
    build = MODELS[options.type].build
    if isinstance(options, EncoderOptions):
        assert weights is None
        network = build(options, shape, initial=InitialData(encoder=pretrained_encoder(options)), fast=True)
        return network, _fit_encoder(config, options, dataset, network, callback, checkpoint, vectors_file, devices)
    embeddings = dataset.vectors.table if dataset.vectors else None
    initial = InitialData(embeddings, padded_rows(dataset.train.token_ids))
    network = build(options, shape, initial=initial, fast=device == "cpu")
    if weights is not None:
        network.set_weights(list(weights.values()))
    changes = make_augmentation(
        config.augment, dataset.vectors, dataset.word_encoder.vocabulary, words=dataset.trained_words
    )
    fit_result = fit(
        network, dataset.train, dataset.validation, config.training, callback,
        checkpoint=checkpoint, augmentation=changes, devices=devices,
    )  # fmt: skip
    return network, fit_result


def _fit_encoder(
    config: Config,
    options: EncoderOptions,
    dataset: Dataset,
    network: Any,
    callback: TrainingCallback,
    checkpoint: Checkpoint | None,
    vectors_file: Path | None,
    devices: Devices,
) -> FitResult:
    """Train what the options of an encoder say; of the last layer alone, on vectors that are computed once."""
    train, validation, rate = dataset.train, dataset.validation, options.encoder_learning_rate
    if options.trainable != "head":
        return fit(
            network, train, validation, config.training, callback,
            checkpoint=checkpoint, encoder_rate=rate, devices=devices,
        )  # fmt: skip
    head = head_training(options, shape_of(config, dataset), network, train, validation, file=vectors_file)
    fit_result = fit(
        head.network, head.train, head.validation, config.training, callback,
        checkpoint=checkpoint, encoder_rate=rate, devices=devices,
    )  # fmt: skip
    network.get_layer("logits").set_weights(head.network.get_layer("logits").get_weights())
    return fit_result


def stock_network(config: Config, dataset: Dataset, device: str, network: Any, *, devices: Devices = ONE) -> Any:
    """Return a network of `fit_network` in stock Keras layers that compute in float32, with the same weights.

    Args:
        devices: those that it was trained on; the result is on one of them.
    """
    options, initial = config.model, None
    if isinstance(options, EncoderOptions):
        if options.precision == "float32" and devices.count == 1:
            return network
        initial = InitialData(encoder=EncoderWeights(encoder_sizes(network), None))
    elif device != "cpu" and devices.count == 1:
        return network
    stock = MODELS[options.type].build(options, shape_of(config, dataset), initial=initial)
    stock.set_weights(network.get_weights())
    return stock
