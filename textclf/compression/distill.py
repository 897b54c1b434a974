"""Distillation: a small network, the student, learns what a large one, the teacher, gives (Hinton et al. 2015)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.compression.candidates import Original, Plan, Settings, Shrunk, plan
from textclf.io.contract import CompressionSettings
from textclf.models.architecture import Shape, Start
from textclf.models.mlp.network import MlpOptions, build_mlp, mlp_weights
from textclf.models.shrinking import fewer_words, principal_axes
from textclf.text.encoding import TokenIds, concatenate
from textclf.training.loop import Examples
from textclf.training.model_io import shape_of
from textclf.training.tensorflow_setup import seed_tensorflow

TRUST = 0.7  # share of the teacher's probabilities in what a student learns of a labelled row; the rest is the label

MIXED_SHARE = 0.2  # of the words of a mixture that are drawn from all rows

DIMENSIONS, BUCKETS, HIDDEN = 64, 1 << 15, [64]  # of a bag that is kept whole


class Student(NamedTuple):
    """A kind of network that learns from the teacher."""

    keep: float
    """How much of the largest of its kind it is, unless said otherwise."""
    begin: Callable[[Original, float], Shrunk]
    """The student before it has learnt, given how much of the largest it is."""
    mixtures: int
    """Rows that are made for each that there is."""
    training: dict[str, Any]
    """How it learns otherwise than the teacher did."""


def distill(original: Original, settings: Settings) -> dict[str, Iterator[Plan]]:
    """The students of each kind, or of the one that was chosen."""
    kinds = [settings.student] if settings.student else STUDENTS
    return {f"distill, {name}": _plans(original, settings, name) for name in kinds}


def _plans(original: Original, settings: Settings, name: str) -> Iterator[Plan]:
    student, texts = STUDENTS[name], settings.unlabelled
    for keep in settings.keeps or (student.keep,):
        facts: CompressionSettings = {"method": "distill", "student": name, "keep": keep}
        if texts:
            facts["unlabelled texts"] = len(texts)
        training = {**student.training, "class_weight": None}  # the teacher's probabilities have its weights in them
        lessons = partial(_lessons, original, student.mixtures, texts)
        yield plan(original, student.begin(original, keep), lessons, training=training, facts=facts)


def mixtures(rows: TokenIds, times: int, rng: np.random.Generator) -> TokenIds:
    """Rows that nobody wrote: each row so many times, some of its words drawn from the words of all.

    What the teacher makes of them tells more of it than the rows do that it has learnt by heart (after Tang et al.
    2019, who mask words, replace them by others of the same part of speech, and take pieces).
    """
    taken = rows.take(np.tile(np.arange(len(rows)), times))
    drawn = rows.flat[rng.integers(len(rows.flat), size=len(taken.flat))]
    return replace(taken, flat=np.where(rng.random(len(taken.flat)) < MIXED_SHARE, drawn, taken.flat))


def _lessons(original: Original, times: int, unlabelled: TokenIds | None) -> Examples:
    """The rows, so many mixtures of each, and the texts, with what the teacher gives; of rows with the label too."""
    train, shape = original.dataset.train, shape_of(original.config, original.dataset)
    mixed = mixtures(train.token_ids, times, np.random.default_rng(original.config.training.seed))
    every = [train.token_ids, mixed, *([unlabelled] if unlabelled else [])]
    shares = [_given(original, shape, token_ids) for token_ids in every]
    shares[0] = TRUST * shares[0] + (1 - TRUST) * _true(train.targets, shape)
    return Examples(concatenate(every), np.concatenate(shares).astype(np.float32))


def _given(original: Original, shape: Shape, token_ids: TokenIds) -> npt.NDArray[np.float64]:
    """The shares that the teacher gives rows, as `training.Examples` has them."""
    probabilities = original.classifier.probabilities(token_ids)
    return probabilities[:, 1] if shape.outputs == 1 else probabilities


def _true(targets: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """The same of the labels."""
    return np.eye(shape.outputs)[targets] if shape.activation == "softmax" else targets


def _bag(original: Original, keep: float) -> Shrunk:
    """The mean of word vectors, the teacher's along their principal axes, and of the vectors of hashed pairs."""
    config, sizes = original.config, original.sizes(keep)
    table = original.weights()[0]["embedding"]
    axes = principal_axes(table, sizes.counts, sizes.of(DIMENSIONS))
    options = MlpOptions(
        type="mlp", features="embedding", ngrams=2, buckets=sizes.of(BUCKETS), embedding_dim=axes.shape[1],
        hidden=HIDDEN, input_dropout=0.2, dropout=0.3,
    )  # fmt: skip
    shape = shape_of(config, original.dataset)._replace(vocabulary=sizes.vocabulary)
    seed_tensorflow(config.training.seed)
    embeddings = (fewer_words(table, sizes) @ axes)[: sizes.vocabulary]
    weights = mlp_weights(build_mlp(options, shape, start=Start(embeddings)))
    return Shrunk(options, weights, sizes.vocabulary)


STUDENTS: dict[str, Student] = {
    "bag": Student(
        1.0,
        _bag,
        mixtures=4,
        training={"epochs": 4, "batch_size": 64, "optimizer": "adam", "learning_rate": 3e-3, "schedule": "cosine"},
    ),
    "small": Student(0.7, Original.shrunk, mixtures=1, training={"epochs": 4}),
}
"""The mean of the vectors of words and of hashed pairs, which has no recurrence, so that reading and tokenizing take
most of its time; and a smaller network of the teacher's kind."""
