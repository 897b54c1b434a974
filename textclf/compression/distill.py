"""Distillation: a small network, the student, learns from the probabilities of its teacher (Hinton et al. 2015)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from textclf.compression.candidates import Candidate, CompressionRequest, Original, Weights, of_fewer_words, shrunk
from textclf.compression.encoder_students import encoder_students
from textclf.compression.teaching import labelled_targets, teacher_targets, unlabelled_texts
from textclf.io.contract import CompressionSettings
from textclf.models.architecture import InitialData
from textclf.models.mlp.network import MlpOptions, build_mlp, mlp_weights
from textclf.models.shrinking import fewer_words, principal_axes
from textclf.text.encoding import TokenIds, concatenate
from textclf.training.loop import Examples
from textclf.training.model_io import shape_of
from textclf.training.tensorflow_setup import seed_tensorflow

MIXED_FRACTION = 0.2  # fraction of a mixed row's words that are replaced by words drawn from all rows

DIMENSIONS, BUCKETS, HIDDEN = 64, 1 << 15, [64]  # of a bag of words with keep = 1

DISTILLED = {"class_weight": None}  # the teacher's probabilities contain its class weights

BAG_TRAINING = {"epochs": 4, "batch_size": 64, "optimizer": "adam", "learning_rate": 3e-3, "schedule": "cosine"}


def distill(original: Original, request: CompressionRequest) -> dict[str, Iterator[Candidate]]:
    """Return the candidates of each kind of student, or of the one that was chosen."""
    if original.dataset.piece_encoder:
        return encoder_students(original, request)
    unlabelled = _unlabelled_ids(original, request.unlabelled)
    names = [request.student] if request.student else STUDENTS
    return {f"distill, {name}": STUDENTS[name](original, request, unlabelled) for name in names}


def bag_students(original: Original, request: CompressionRequest, unlabelled: TokenIds | None) -> Iterator[Candidate]:
    """Yield bags of words, the fastest students: they have no recurrence, and no pairs if a linear part has these."""
    training_rows = partial(distillation_rows, original, 4, unlabelled)
    teacher_dimensions = original.weights()["embedding"].shape[1]
    for blend, keep in product(request.blends(original.config.model.blend), request.keeps(1.0)):
        sizes = original.sizes(keep)
        bag = MlpOptions(
            type="mlp", blend=blend, features="embedding", ngrams=1 if blend else 2, buckets=sizes.of(BUCKETS),
            hidden=HIDDEN, input_dropout=0.2, dropout=0.3, embedding_dim=min(sizes.of(DIMENSIONS), teacher_dimensions),
        )  # fmt: skip
        yield of_fewer_words(
            original, keep, bag, partial(_bag_weights, original, bag, keep), training_rows,
            training={**BAG_TRAINING, **DISTILLED}, settings=_settings("bag", keep, unlabelled),
        )  # fmt: skip


def small_students(original: Original, request: CompressionRequest, unlabelled: TokenIds | None) -> Iterator[Candidate]:
    """Yield smaller networks of the teacher's architecture."""
    training_rows = partial(distillation_rows, original, 1, unlabelled)
    for blend, keep in product(request.blends(original.config.model.blend), request.keeps(0.7)):
        settings = _settings("small", keep, unlabelled)
        training = {"epochs": 4, **DISTILLED}
        yield shrunk(original, keep, training_rows, training=training, settings=settings, blend=blend)


STUDENTS = {"bag": bag_students, "small": small_students}


def _settings(student: str, keep: float, unlabelled: TokenIds | None) -> CompressionSettings:
    settings: CompressionSettings = {"method": "distill", "student": student, "keep": keep}
    if unlabelled:
        settings["unlabelled texts"] = len(unlabelled)
    return settings


def _unlabelled_ids(original: Original, path: Path | None) -> TokenIds | None:
    """Return the token ids of the texts in a file, or None without a file."""
    if path is None:
        return None
    encoded = [original.classifier.encode(texts) for texts in unlabelled_texts(original.classifier, path)]
    return concatenate(encoded) if encoded else None


def mix_rows(rows: TokenIds, copies: int, rng: np.random.Generator) -> TokenIds:
    """Return copies of each row in which some words are replaced by words drawn from all rows.

    The teacher's probabilities of unseen rows tell more about it than those of the rows that it was trained on (after
    Tang et al. 2019, who mask words, replace them by others of the same part of speech, and take pieces).
    """
    copied = rows.take(np.tile(np.arange(len(rows)), copies))
    drawn = rows.flat[rng.integers(len(rows.flat), size=len(copied.flat))]  # (tokens,)
    return replace(copied, flat=np.where(rng.random(len(copied.flat)) < MIXED_FRACTION, drawn, copied.flat))


def distillation_rows(original: Original, mixtures: int, unlabelled: TokenIds | None) -> Examples:
    """Return the rows to train on: training rows, mixtures of them and further texts, with the teacher's probabilities.

    Args:
        mixtures: number of mixed copies of each training row.
    """
    train, shape = original.dataset.train, shape_of(original.config, original.dataset)
    mixed = mix_rows(original.train_ids, mixtures, np.random.default_rng(original.config.training.seed))
    parts = [original.train_ids, mixed, *([unlabelled] if unlabelled else [])]
    targets = [teacher_targets(original.classifier.probabilities(token_ids), shape) for token_ids in parts]
    targets[0] = labelled_targets(targets[0], train.targets, shape)
    token_ids = original.dataset.word_encoder.limit(concatenate(parts))
    return Examples(token_ids, np.concatenate(targets).astype(np.float32))


def _bag_weights(original: Original, bag: Any, keep: float) -> Weights:
    """Return the initial weights of a bag: the teacher's word vectors, projected on their principal axes."""
    sizes, table = original.sizes(keep), original.weights()["embedding"]
    axes = principal_axes(table, sizes.counts, bag.embedding_dim)
    vectors = (fewer_words(table, sizes) @ axes)[: sizes.vocabulary]
    shape = shape_of(original.config, original.dataset)._replace(vocabulary=sizes.vocabulary)
    seed_tensorflow(original.config.training.seed)
    return mlp_weights(build_mlp(bag, shape, initial=InitialData(vectors)))
