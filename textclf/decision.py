"""From the network's logits to labels: the temperature and the threshold that the validation rows ask for."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from textclf.calibration import choose_threshold, fit_temperature, needs_threshold
from textclf.config import Config
from textclf.ensemble import divide_logits
from textclf.errors import UserError
from textclf.material import Material
from textclf.models import logits_model
from textclf.training import forward_function

logger = logging.getLogger(__name__)

ENOUGH_ROWS = 10_000  # to fit one number on


@dataclass(frozen=True)
class Decision:
    """How logits become labels."""

    temperature: float
    threshold: float
    reached: bool
    """Whether the threshold reaches the aim on validation rows."""


def decide_on(config: Config, material: Material, network: Any) -> Decision:
    """Divides the network's logits by the temperature that fits the validation rows, and chooses a threshold there."""
    options, validation = config.decision, material.validation
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


def check_aim(config: Config, material: Material) -> None:
    """Refuses an aim where no threshold decides.

    Raises:
        UserError: the labels are more than two, and a row has one of them.
    """
    labels = len(material.sides.labels)
    if config.decision.aim and not needs_threshold(labels, several=config.data.label_separator is not None):
        raise UserError(
            f"decision.aim: there are {labels} labels, of which each row gets the most probable: no threshold decides. "
            "Leave the key out."
        )
