"""Baselines beside the model on the same rows: the majority class, and the linear model that may also join it."""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.schema import Config
from textclf.evaluation.evaluate import add_comparisons
from textclf.evaluation.metrics import MULTILABEL
from textclf.evaluation.predictions import Predictions
from textclf.io.contract import LINEAR_BASELINE, MetricsDocument
from textclf.text.encoding import RESERVED, Tokens
from textclf.training.dataset import Dataset
from textclf.training.fit import FittedPart
from textclf.training.linear import LabelledWords, LinearModel, fit_linear, linear_network, sample_rows
from textclf.training.model_io import shape_of

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]


def fit_linear_model(config: Config, dataset: Dataset) -> LinearModel:
    """Return the linear model of the training rows."""
    splits = dataset.splits
    rows = _linear_rows(config, dataset)
    if len(rows) < len(splits.train):
        logger.info("the linear model learns from %d rows, drawn at random", len(rows))
    return fit_linear(
        LabelledWords(dataset.linear_words(splits.train.take(rows)), dataset.train.targets[rows]),
        LabelledWords(dataset.linear_words(splits.validation), dataset.validation.targets),
        labels=len(splits.labels),
        vocabulary=dataset.linear_vocabulary,
    )


def linear_training_words(config: Config, dataset: Dataset) -> Tokens:
    """Return the words of the training rows that the linear model learns from."""
    return dataset.linear_words(dataset.splits.train.take(_linear_rows(config, dataset)))


def _linear_rows(config: Config, dataset: Dataset) -> Array:
    """Return the indices of the training rows that the linear model learns from, shape (rows,)."""
    return sample_rows(dataset.splits.train.counts, seed=config.training.seed)


def linear_part(config: Config, dataset: Dataset, model: LinearModel) -> FittedPart:
    """Return the linear model as a part that can join the network."""
    shape = shape_of(config, dataset)._replace(vocabulary=len(dataset.linear_vocabulary) + RESERVED)
    assert model.validation_logits is not None
    return FittedPart(linear_network(model, shape), model.validation_logits)


def add_baselines(
    document: MetricsDocument, predictions: Predictions, dataset: Dataset, linear: LinearModel | None
) -> None:
    """Add the metrics of the baselines on the same rows, and how far the predictions are from theirs.

    Args:
        linear: the linear model; None: it is a part of the model, and `evaluate_rows` has added the parts.
    """
    rows, labels = len(predictions), len(dataset.splits.labels)
    baselines = {"majority": majority_probabilities(dataset.train.targets, rows=rows, labels=labels)}
    if linear:
        chunks = dataset.splits.evaluation.chunks()
        of_chunks = [linear.predict_proba(Tokens(dataset.linear_ids[chunk.flat], chunk.counts)) for chunk in chunks]
        baselines[LINEAR_BASELINE] = np.concatenate(of_chunks)
    add_comparisons(
        document, predictions, {name: predictions.with_probabilities(each) for name, each in baselines.items()}
    )


def majority_probabilities(targets: Array, *, rows: int, labels: int) -> Array:
    """Return the share of each label in the training targets as its probability in every row, shape (rows, labels)."""
    shares = (
        targets.mean(axis=0) if targets.ndim == MULTILABEL else np.bincount(targets, minlength=labels) / len(targets)
    )
    return np.tile(shares, (rows, 1))
