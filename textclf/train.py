"""`textclf train`: from a config to a complete run."""

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from importlib.metadata import version
from typing import Any

import numpy as np

from textclf import __version__
from textclf.baseline import Part, majority, tfidf_logistic_regression
from textclf.classifier import PARITY_LIMIT, Classifier, Description, save_classifier
from textclf.config import Config, dump_config
from textclf.data import label_counts
from textclf.device import start_tensorflow
from textclf.errors import UserError
from textclf.evaluate import Outcome, evaluate_rows, write_evaluation
from textclf.material import Material, prepare
from textclf.models import MODELS, Shape
from textclf.run import Run, replacing, staged, write_csv, write_json, write_text
from textclf.text import RESERVED, truncation, unknown_share
from textclf.training import Epoch, Fit, Watch, fit, forward_function
from textclf.vectors import WordVectors

logger = logging.getLogger(__name__)

PARITY_ROWS = 256


class Clock:
    """Seconds that each phase took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begin, 3)


def train(config: Config, run: Run, watch: Watch, *, overwrite: bool = False) -> dict[str, Any]:
    """Trains, evaluates and writes the run; the document of its metrics.json.

    Raises:
        UserError: the run exists, the data cannot be learnt from, or the exported model disagrees with Keras's.
    """
    clock = Clock()
    with staged(run, overwrite=overwrite) as stage:
        with clock.phase("read"):
            material = prepare(config)
        _talk_about(material)
        if material.vectors:
            _talk_about_vectors(config, material, material.vectors)
        with clock.phase("tensorflow"):
            device = start_tensorflow(device=config.training.device, seed=config.training.seed)
        with clock.phase("train"):
            network, fitted = _fit(config, material, device, watch)
        with clock.phase("save"):
            classifier, parity = _save_model(stage, config, material, network)
        with clock.phase("evaluate"):
            found, document = evaluate_rows(classifier, material.measured)
        document |= {"parity": parity, "validation": _validation_facts(config, material, fitted)}
        if config.report.baseline:
            with clock.phase("baseline"):
                document["baselines"] = _baselines(config, material, found)
        write_text(stage.config, dump_config(config))
        epochs = [list(asdict(epoch).values()) for epoch in fitted.history]
        write_csv(stage.history, [field.name for field in fields(Epoch)], epochs)
        write_json(stage.split, material.split)
        write_json(stage.environment, _environment(config, device, material, clock))
        write_evaluation(stage, material.measured, found, document, name=run.path.name)
    return document


def _talk_about(material: Material) -> None:
    """Says what a careful person would ask of the data before training."""
    cut, unknown = truncation(material.train.token_ids), unknown_share(material.validation.token_ids)
    logger.info(
        "%d rows to train on, %d to validate on, %d labels, %d words",
        len(material.train), len(material.validation), len(material.labels), material.trained_words,
    )  # fmt: skip
    logger.info(
        "cut to %d tokens: %d training rows (%.1f %%), %.1f %% of all tokens lost; unknown in validation: %.1f %%",
        material.encoder.options.max_length, cut["rows"], 100 * cut["share_of_rows"], 100 * cut["share_of_tokens"],
        100 * unknown,
    )  # fmt: skip


def _talk_about_vectors(config: Config, material: Material, vectors: WordVectors) -> None:
    words = material.trained_words
    further = len(material.encoder.vocabulary) - words
    found = vectors.found - further
    logger.info(
        "%s has %d of the %d words (%.1f %%), and gives %d that training lacks",
        config.model.pretrained, found, words, 100 * found / words, further,
    )  # fmt: skip


def _fit(config: Config, material: Material, device: str, watch: Watch) -> tuple[Any, Fit]:
    """The stock network with the trained weights."""
    options = config.model
    shape = _shape(config, material)
    embeddings = material.vectors.table if material.vectors else None
    build = MODELS[options.type].build
    network = build(options, shape, embeddings=embeddings, exact_twin=device == "cpu")
    fitted = fit(network, material.train, material.validation, config.training, watch)
    if fitted.interrupted:
        logger.warning(
            "interrupted in epoch %d; keeping epoch %d, the best so far", len(fitted.history), fitted.best.epoch
        )
    if device != "cpu":
        return network, fitted
    stock = build(options, shape)
    stock.set_weights(network.get_weights())
    return stock, fitted


def _shape(config: Config, material: Material) -> Shape:
    vocabulary, labels = len(material.encoder.vocabulary) + RESERVED, len(material.labels)
    if config.data.label_separator is not None:
        return Shape(vocabulary, labels, "sigmoid")
    return Shape(vocabulary, 1, "sigmoid") if labels == 2 else Shape(vocabulary, labels, "softmax")


def _save_model(stage: Run, config: Config, material: Material, network: Any) -> tuple[Classifier, float]:
    """The classifier in `model/`, and its largest difference from Keras's probabilities on validation rows.

    Raises:
        UserError: the difference is over PARITY_LIMIT.
    """
    with replacing(stage.keras_model) as temporary:
        network.save(temporary)
    description = Description(
        text=config.text,
        vocabulary=material.encoder.vocabulary,
        labels=material.labels,
        label_separator=config.data.label_separator,
        column=config.data.text,
        label_column=config.data.label,
    )
    graph = MODELS[config.model.type].onnx(config.model, _shape(config, material), network).SerializeToString()
    probe = material.validation.token_ids.first(PARITY_ROWS)
    classifier = save_classifier(stage.model, graph, description, probe)
    keras_gives = forward_function(network)(probe).astype(np.float64)
    if keras_gives.shape[1] == 1:
        keras_gives = np.hstack([1 - keras_gives, keras_gives])
    parity = float(np.abs(keras_gives - classifier.probabilities(probe)).max())
    if not parity <= PARITY_LIMIT:
        raise UserError(
            f"model/ differs from the Keras model by {parity:.1e} (at most {PARITY_LIMIT:.0e} is right). "
            "Training probably diverged: try a smaller training.learning_rate."
        )
    return classifier, parity


def _validation_facts(config: Config, material: Material, fitted: Fit) -> dict[str, Any]:
    """What metrics.json says of the best epoch and of the rows that it was chosen on."""
    return {
        "rows": len(material.validation),
        "best_epoch": fitted.best.epoch,
        "epochs": len(fitted.history),
        "loss": fitted.best.val_loss,
        "accuracy": fitted.best.val_accuracy,
        "unknown_words": unknown_share(material.validation.token_ids),
        "truncated_train": truncation(material.train.token_ids),
        "train_labels": dict(sorted(label_counts(material.train_rows.labels, config.data.label_separator).items())),
    }


def _baselines(config: Config, material: Material, found: Outcome) -> dict[str, Any]:
    """Metrics of the baselines on the rows that the network was measured on."""
    train = Part(material.train_rows.texts, material.train.targets)
    validation = Part(material.validation_rows.texts, material.validation.targets)
    texts = material.measured.rows.texts
    guesses = {
        "majority": majority(train.targets, rows=len(texts), labels=len(material.labels)),
        "tfidf_logistic_regression": tfidf_logistic_regression(train, validation, texts, config.text),
    }
    return {name: found.with_probabilities(guess).metrics() for name, guess in guesses.items()}


def _environment(config: Config, device: str, material: Material, clock: Clock) -> dict[str, Any]:
    packages = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "scikit-learn")
    return {
        "textclf": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in packages},
        "device": device,
        "seed": config.training.seed,
        "data": {"train": material.split["sha256"], "measured": material.measured.data},
        "seconds": clock.seconds,
    }
