"""Distillation: a small network, the student, learns what a large one, the teacher, gives (Hinton et al. 2015)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.architecture import Shape, Start
from textclf.compression import Compressed, Original, Plan, Settings, Shrunk, trained
from textclf.device import seed_tensorflow
from textclf.mlp import MlpOptions, build_mlp, mlp_weights
from textclf.models import MODELS
from textclf.saving import shape_of
from textclf.smaller import fewer_words, principal_axes
from textclf.text import RESERVED, TokenIds, joined
from textclf.training import Examples, Watch

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
    for keep in settings.keeps or (STUDENTS[name].keep,):
        size = STUDENTS[name].begin(original, keep).estimated_bytes("int8")
        yield Plan(size, partial(_taught, original, name, keep, settings.unlabelled))


def _taught(original: Original, name: str, keep: float, unlabelled: TokenIds | None, watch: Watch) -> Compressed:
    """The student after it has learnt from the teacher: the training rows, mixtures of them, and the texts."""
    kind = STUDENTS[name]
    begin = kind.begin(original, keep)
    once: dict[str, Any] = dict.fromkeys(("early_stopping", "class_weight", "checkpoint_minutes"))
    training = replace(original.config.training, **kind.training, **once, seeds=1, ensemble=False)
    rng = np.random.default_rng(training.seed)
    further = [mixtures(original.material.train.token_ids, kind.mixtures, rng), *([unlabelled] if unlabelled else [])]
    facts = {"method": "distill", "student": name, "keep": keep}
    facts |= {"unlabelled texts": len(unlabelled)} if unlabelled else {}
    lessons = _lessons(original, begin, further)
    return trained(original, replace(original.config, training=training), begin, lessons, watch, facts=facts)


def mixtures(rows: TokenIds, times: int, rng: np.random.Generator) -> TokenIds:
    """Rows that nobody wrote: each row so many times, some of its words drawn from the words of all.

    What the teacher makes of them tells more of it than the rows do that it has learnt by heart (after Tang et al.
    2019, who mask words, replace them by others of the same part of speech, and take pieces).
    """
    taken = rows.take(np.tile(np.arange(len(rows)), times))
    drawn = rows.flat[rng.integers(len(rows.flat), size=len(taken.flat))]
    return replace(taken, flat=np.where(rng.random(len(taken.flat)) < MIXED_SHARE, drawn, taken.flat))


def _lessons(original: Original, student: Shrunk, further: list[TokenIds]) -> Examples:
    """What the student learns: of each row what the teacher gives it, and of a labelled one its label too."""
    train, shape = original.material.train, shape_of(original.config, original.material)
    shares = [_given(original, shape, token_ids) for token_ids in (train.token_ids, *further)]
    shares[0] = TRUST * shares[0] + (1 - TRUST) * _true(train.targets, shape)
    token_ids = joined([train.token_ids, *further]).within(shape_of(original.config, student.material).vocabulary)
    return Examples(token_ids, np.concatenate(shares).astype(np.float32))


def _given(original: Original, shape: Shape, token_ids: TokenIds) -> npt.NDArray[np.float64]:
    """The shares that the teacher gives rows, as `training.Examples` has them."""
    probabilities = original.classifier.probabilities(token_ids)
    return probabilities[:, 1] if shape.outputs == 1 else probabilities


def _true(targets: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """The same of the labels."""
    return np.eye(shape.outputs)[targets] if shape.activation == "softmax" else targets


def _small(original: Original, keep: float) -> Shrunk:
    return original.shrunk(keep)


def _bag(original: Original, keep: float) -> Shrunk:
    """The mean of word vectors, the teacher's along their principal axes, and of the vectors of hashed pairs."""
    config, sizes = original.config, original.sizes(keep)
    table = MODELS[config.model.type].weights(original.members[0])["embedding"]
    axes = principal_axes(table, sizes.counts, sizes.of(DIMENSIONS))
    options = MlpOptions(
        type="mlp", features="embedding", ngrams=2, buckets=sizes.of(BUCKETS), embedding_dim=axes.shape[1],
        hidden=HIDDEN, input_dropout=0.2, dropout=0.3,
    )  # fmt: skip
    shape = shape_of(config, original.material)._replace(vocabulary=sizes.vocabulary)
    seed_tensorflow(config.training.seed)
    embeddings = (fewer_words(table, sizes) @ axes)[: sizes.vocabulary]
    weights = mlp_weights(build_mlp(options, shape, start=Start(embeddings)))
    return Shrunk(options, weights, original.material.with_words(sizes.vocabulary - RESERVED))


STUDENTS: dict[str, Student] = {
    "bag": Student(
        1.0,
        _bag,
        mixtures=4,
        training={"epochs": 4, "batch_size": 64, "optimizer": "adam", "learning_rate": 3e-3, "schedule": "cosine"},
    ),
    "small": Student(0.7, _small, mixtures=1, training={"epochs": 4}),
}
"""The mean of the vectors of words and of hashed pairs, which has no recurrence, so that reading and tokenizing take
most of its time; and a smaller network of the teacher's kind."""
