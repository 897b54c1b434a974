"""One network from a config and its rows: built, seeded and trained."""

from collections.abc import Mapping
from typing import Any

from textclf.architecture import Floats, Start
from textclf.augment import augmentation
from textclf.checkpoint import Checkpoint
from textclf.config import Config
from textclf.device import seed_tensorflow
from textclf.material import Material
from textclf.models import MODELS
from textclf.saving import shape_of
from textclf.training import Fit, Watch, fit, padded_rows


def fit_network(
    config: Config,
    material: Material,
    device: str,
    watch: Watch,
    *,
    checkpoint: Checkpoint | None = None,
    weights: Mapping[str, Floats] | None = None,
) -> tuple[Any, Fit]:
    """A network with the trained weights, and how training went; nothing that was trained before has a part in them.

    On a CPU its LSTM layers are twins of the stock ones: see `stock_network`.

    Args:
        device: what `start_tensorflow` gave.
        checkpoint: where to go on, and where to keep how far training has come.
        weights: what the network begins with, in the order of `Architecture.weights`; None: drawn at random, but for
            pretrained vectors.
    """
    seed_tensorflow(config.training.seed)
    embeddings = material.vectors.table if material.vectors else None
    start = Start(embeddings, padded_rows(material.train.token_ids))
    build = MODELS[config.model.type].build
    network = build(config.model, shape_of(config, material), start=start, exact_twin=device == "cpu")
    if weights is not None:
        network.set_weights(list(weights.values()))
    changes = augmentation(config.augment, material.vectors, material.encoder.vocabulary, words=material.trained_words)
    fitted = fit(
        network, material.train, material.validation, config.training, watch,
        checkpoint=checkpoint, augmentation=changes,
    )  # fmt: skip
    return network, fitted


def stock_network(config: Config, material: Material, device: str, network: Any) -> Any:
    """The network in stock Keras layers, with the weights of one that `fit_network` trained on the device."""
    if device != "cpu":
        return network
    stock = MODELS[config.model.type].build(config.model, shape_of(config, material))
    stock.set_weights(network.get_weights())
    return stock
