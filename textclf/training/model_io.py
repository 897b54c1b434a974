"""A trained model as a classifier, and saved as model.keras and model/, which are compared."""

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.inference.classifier import NO_PROBE, PARITY_LIMIT, Classifier, load_scorer, save_classifier
from textclf.inference.model_folder import Description
from textclf.io.contract import Threshold
from textclf.io.files import replacing
from textclf.io.run_folder import Run
from textclf.models.architecture import InputLimits, Shape
from textclf.models.ensemble import further_parts, onnx_model, parts
from textclf.models.onnx.quantization import Storage, dequantize, quantize
from textclf.models.registry import MODELS, PARTS
from textclf.text.encoding import RESERVED, TokenIds
from textclf.text.piece_tokenizer import PieceTokenizer
from textclf.training.dataset import Dataset
from textclf.training.loop import forward_function, forward_tokens

PARITY_ROWS = 256

# Of probabilities, between a model that computes with integers and the Keras model of the same weights, which does not:
# the encoders that were tried come to .04. Whether the labels are as good is measured on all rows by `compress`.
INTEGER_LIMIT = 0.2


def shape_of(config: Config, dataset: Dataset) -> Shape:
    """Return the sizes of a network for the dataset."""
    return Shape.of(
        vocabulary=dataset.network_size,
        labels=len(dataset.splits.labels),
        multilabel=config.data.label_separator is not None,
    )


def network_limits(dataset: Dataset) -> InputLimits:
    """Return which token ids of a whole text the network of the dataset reads."""
    options = dataset.word_encoder.options
    first_piece = dataset.model_input.first_piece if dataset.piece_encoder else None
    return InputLimits(dataset.network_size, options.max_length, options.truncate, first_piece)


class ModelThresholds(NamedTuple):
    """The threshold of a model, and in a blend that of each part where it decides alone."""

    model: Threshold
    parts: Mapping[str, Threshold] = {}
    """By the name of the part."""


def make_classifier(
    run: Run, config: Config, dataset: Dataset, network: Any, thresholds: ModelThresholds
) -> tuple[Classifier, int]:
    """Return the network as a classifier, and the size of its graph in bytes; write nothing."""
    limits = _blend_limits(dataset, network)
    graph = onnx_model(config.model, shape_of(config, dataset), network, limits=limits)
    description = _description(config, dataset, thresholds, limits)
    score = load_scorer(graph, run.graph, len(description.labels))
    return Classifier(description, score, NO_PROBE, tokenizer=_tokenizer(dataset)), len(graph)


def save_model(
    staging: Run, config: Config, dataset: Dataset, network: Any, thresholds: ModelThresholds, *,
    storage: Storage = "float32",
) -> tuple[Classifier, float]:  # fmt: skip
    """Write model.keras and model/; return the classifier, and its largest difference from Keras's probabilities.

    Args:
        storage: data type of the weights in model/, to which those of the network are rounded first.

    Raises:
        UserError: the difference is over PARITY_LIMIT, or over INTEGER_LIMIT where model/ computes with integers.
    """
    _round_weights(config, network, storage)
    with replacing(staging.keras_model) as temporary:
        network.save(temporary)
    limits = _blend_limits(dataset, network)
    description = _description(config, dataset, thresholds, limits)
    graph = onnx_model(config.model, shape_of(config, dataset), network, limits=limits, storage=storage)
    probe = dataset.validation_ids.head(PARITY_ROWS)
    stored_probe = probe if config.report.texts else _scramble(probe, description, config.training.seed)
    classifier = save_classifier(staging.model, graph, description, stored_probe, tokenizer=_tokenizer(dataset))
    forward = forward_function(network, tokens=forward_tokens(config.model))
    of_keras = forward(probe).astype(np.float64)  # (rows, outputs)
    if of_keras.shape[1] == 1:
        of_keras = np.hstack([1 - of_keras, of_keras])  # (rows, labels)
    parity = float(np.abs(of_keras - classifier.probabilities(probe)).max())
    in_integers = storage == "int8" and MODELS[config.model.type].integer_products
    if in_integers and not parity <= INTEGER_LIMIT:
        raise UserError(
            f"model/ in int8 gives other probabilities than in float32, by up to {parity:.2f}: too far for this "
            "encoder. Use --method float16."
        )
    if not in_integers and not parity <= PARITY_LIMIT:
        raise UserError(
            f"model/ differs from the Keras model by {parity:.1e} (at most {PARITY_LIMIT:.0e} is right). "
            "Training probably diverged: try a smaller training.learning_rate."
        )
    return classifier, parity


def _blend_limits(dataset: Dataset, network: Any) -> InputLimits | None:
    """Return what the network of a blend reads; None: it is no blend."""
    return network_limits(dataset) if further_parts(network) else None


def _round_weights(config: Config, network: Any, storage: Storage) -> None:
    for part in parts(network, config.model.type):
        weights = (MODELS | PARTS)[part.kind].weights(part.network)
        part.network.set_weights(list(dequantize(quantize(weights, storage)).values()))


def _description(
    config: Config, dataset: Dataset, thresholds: ModelThresholds, limits: InputLimits | None
) -> Description:
    return Description(
        text=dataset.model_input.options,
        vocabulary=dataset.model_input.vocabulary,
        labels=dataset.splits.labels,
        label_separator=config.data.label_separator,
        column=config.data.text,
        label_column=config.data.label,
        threshold=thresholds.model,
        network_limits=limits,
        part_thresholds=thresholds.parts,
        piece_count=dataset.piece_encoder.size if dataset.piece_encoder else None,
    )


def _tokenizer(dataset: Dataset) -> PieceTokenizer | None:
    return dataset.piece_encoder.tokenizer if dataset.piece_encoder else None


def _scramble(rows: TokenIds, description: Description, seed: int) -> TokenIds:
    """Return rows of the same lengths with random words and pieces, so that no text can be read from them."""
    rng, first = np.random.default_rng(seed), description.first_piece
    drawn = rng.integers(min(RESERVED, first - 1), first, len(rows.flat))
    if description.piece_count:
        is_piece = rows.flat >= first
        drawn[is_piece] = rng.integers(first, first + description.piece_count, int(is_piece.sum()))
    return replace(rows, flat=drawn)


def keras_file(run: Run) -> Path:
    """Return the path of the run's model.keras.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = run.keras_model
    if not path.is_file():
        raise UserError(
            f"{path} is missing, which this is made from. Name a whole run with --run; a model/ folder alone can be "
            "exported to onnx and python."
        )
    if not zipfile.is_zipfile(path) or _damaged_part(path):
        raise UserError(f"{path} is damaged. Copy it again, or train the run again.")
    return path


def _damaged_part(archive: Path) -> str | None:
    with zipfile.ZipFile(archive) as opened:
        return opened.testzip()


def load_network(path: Path) -> Any:
    """Load a Keras model; TensorFlow has been started."""
    import keras

    return keras.saving.load_model(path, compile=False)
