"""Distillation of a pretrained encoder into a small network that reads words and needs no encoder.

The student has a vocabulary of its own: the words of the training rows, and further words of the encoder's tokenizer.
The vector of a word is that of the encoder for the word alone, projected on the principal axes of all words' vectors;
since it stays as it is, the student knows words that it never saw. It learns the teacher's probabilities of the
training rows, of further texts, and of new texts that recombine the rows' n-grams.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.compression.candidates import Candidate, CompressionRequest, Joined, Original, trained
from textclf.compression.teaching import labelled_targets, recombine, teacher_targets, unlabelled_texts
from textclf.io.contract import CompressionSettings
from textclf.models.architecture import Blend, Floats
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.mlp.network import MlpOptions
from textclf.text.encoding import RESERVED, TokenIds, concatenate
from textclf.text.tokenizer import join_tokens, tokenize
from textclf.text.vectors import WordVectors
from textclf.training.dataset import Dataset
from textclf.training.loop import Examples, forward_function
from textclf.training.model_io import shape_of

logger = logging.getLogger(__name__)

COPIES, MOST_TEXTS = 20, 60_000  # recombined texts for each training row, and at most

DEVIATION = 0.3  # standard deviation of the word vectors' components, about that of GloVe's

WORDS, DIMENSIONS, UNITS = 12_000, 96, 128  # of a student with keep = 1: less than 2 MB in int8

BUCKETS, HIDDEN = 1 << 14, 64  # of a bag with keep = 1

TRAINING = {
    "epochs": 10, "batch_size": 64, "optimizer": "adam", "schedule": "cosine", "warmup": 0.0,
    "accumulate": 1, "class_weight": None,
}  # fmt: skip

CHUNK = 8192  # texts that are encoded together


class Teacher:
    """A classifier with a pretrained encoder, and what it has to teach; each thing is computed once."""

    def __init__(self, original: Original, request: CompressionRequest):
        self.original = original
        self._unlabelled = request.unlabelled

    @cached_property
    def unlabelled(self) -> list[str]:
        """The texts of the file with further texts; none without a file."""
        if self._unlabelled is None:
            return []
        return [*chain.from_iterable(unlabelled_texts(self.original.classifier, self._unlabelled))]

    @cached_property
    def training_texts(self) -> list[str]:
        """The texts of the training rows."""
        return [*chain.from_iterable(self.original.dataset.splits.train.rows.text_chunks())]

    @cached_property
    def vocabulary(self) -> list[str]:
        """The words for a student: those that a linear model knows, the other ones of the training rows, and more."""
        dataset = self.original.dataset
        assert dataset.piece_encoder
        options = dataset.word_encoder.options
        counts = Counter(word for text in self.training_texts for word in tokenize(text, options))
        own = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
        whole = (word for word in dataset.piece_encoder.tokenizer.whole_words() if tokenize(word, options) == [word])
        return list(dict.fromkeys([*dataset.linear_vocabulary, *own, *whole]))[:WORDS]

    @cached_property
    def texts(self) -> list[str]:
        """The texts of the training rows, then further ones and recombined ones."""
        original = self.original
        options = original.dataset.model_input.options
        words = [tokenize(text, replace(options, lowercase=False)) for text in self.training_texts]
        rng = np.random.default_rng(original.config.training.seed)
        count = min(MOST_TEXTS, COPIES * len(words))
        made = [join_tokens(text, options) for text in recombine(words, count, rng)]
        return [*self.training_texts, *self.unlabelled, *made]

    @cached_property
    def targets(self) -> npt.NDArray[np.float32]:
        """The targets for the `texts`: of training rows the teacher's probabilities and the label, else the former."""
        train, shape = self.original.dataset.train, shape_of(self.original.config, self.original.dataset)
        logger.info("the teacher labels %d texts, most made of the n-grams of the training rows", len(self.texts))
        targets = teacher_targets(self.original.classifier.predict_proba(self.texts), shape)
        targets[: len(train)] = labelled_targets(targets[: len(train)], train.targets, shape)
        return targets.astype(np.float32)

    def examples(self, dataset: Dataset) -> Examples:
        """Return the `texts` in the words of a student's dataset."""
        chunks = (self.texts[start : start + CHUNK] for start in range(0, len(self.texts), CHUNK))
        encoded: list[TokenIds] = [dataset.word_encoder.encode(chunk) for chunk in chunks]
        return Examples(concatenate(encoded), self.targets)

    @cached_property
    def word_vectors(self) -> Floats:
        """The encoder's vector of each word of the vocabulary alone, shape (words, hidden)."""
        import keras

        dataset, network = self.original.dataset, self.original.members[0]
        assert dataset.piece_encoder
        forward = forward_function(keras.Model(network.inputs, network.get_layer("pooled").output))
        return forward(dataset.piece_encoder.encode(self.vocabulary))

    def dataset(self, words: list[str], dimensions: int) -> Dataset:
        """Return the rows for a student that knows these words, the first of the vocabulary, with their vectors."""
        table = np.zeros((RESERVED + len(words), dimensions), np.float32)
        table[RESERVED:] = project(self.word_vectors[: len(words)], dimensions)
        return self.original.dataset.in_words(words, WordVectors(table, np.arange(len(table)) >= RESERVED))

    def joined(self, words: list[str], keep: float) -> Joined:
        """Return the linear part for a student that knows these words, with a fraction of its own words and n-grams."""
        original = self.original
        linear = original.dataset.linear_vocabulary
        linear = linear[: _part(keep, len(linear))]
        vocabulary = words if len(words) > len(linear) else linear
        size = RESERVED + len(vocabulary)
        return Joined(
            vocabulary, original.further_bytes("int8", vocabulary=size, keep=keep),
            lambda: original.dataset.in_words(vocabulary, None, whole=True), lambda: original.further(size, keep),
        )  # fmt: skip


def encoder_students(original: Original, request: CompressionRequest) -> dict[str, Iterator[Candidate]]:
    """Return the candidates of each kind of student, or of the one that was chosen."""
    teacher = Teacher(original, request)
    names = [request.student] if request.student else STUDENTS
    return {f"distill, {name}": _students(name, teacher, request) for name in names}


def _students(name: str, teacher: Teacher, request: CompressionRequest) -> Iterator[Candidate]:
    """Yield the students of a kind, the largest first, each with the linear part of their teacher and without."""
    original, student = teacher.original, STUDENTS[name]
    blends = request.blends(original.config.model.blend)
    keeps = request.keeps(1.0)
    for keep, blend in product(keeps if 1.0 in keeps or request.keep else (1.0, *keeps), blends):
        options = student.options(keep, blend)
        words = teacher.vocabulary[: _part(keep, len(teacher.vocabulary))]
        settings: CompressionSettings = {"method": "distill", "student": name, "keep": keep}
        if request.unlabelled:
            settings["unlabelled texts"] = len(teacher.unlabelled)
        yield trained(
            original, partial(teacher.dataset, words, options.embedding_dim), options, words, teacher.examples,
            joined=teacher.joined(words, keep) if blend else None,
            training=TRAINING | {"learning_rate": student.learning_rate}, settings=settings,
        )  # fmt: skip


def project(vectors: Floats, dimensions: int) -> Floats:
    """Return vectors, less their mean, on their first principal axes, with DEVIATION as their standard deviation.

    Args:
        vectors: shape (n, dimensions before).

    Returns:
        Shape (n, dimensions), with zeros where there were fewer dimensions before.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)  # (n, dimensions before)
    _, axes = np.linalg.eigh(centred.T @ centred)  # eigenvalues ascending
    projected = centred @ axes[:, ::-1][:, :dimensions]  # (n, dimensions or fewer)
    projected *= DEVIATION / max(float(projected.std()), 1e-12)
    return np.pad(projected, ((0, 0), (0, dimensions - projected.shape[1]))).astype(np.float32)


class Student(NamedTuple):
    """A kind of student."""

    options: Callable[[float, Blend | None], Any]
    """(keep, blend) -> options of its network."""
    learning_rate: float


def _bilstm_options(keep: float, blend: Blend | None) -> BilstmOptions:
    """Return the options of a BiLSTM."""
    return BilstmOptions(
        type="bilstm", blend=blend, embedding_dim=_part(keep, DIMENSIONS), trainable_embedding=False,
        units=_part(keep, UNITS), pooling="max_mean", embedding_dropout=0.1, dropout=0.2,
    )  # fmt: skip


def _bag_options(keep: float, blend: Blend | None) -> MlpOptions:
    """Return the options of a bag of words and word pairs, whose vectors are trained: pairs have none at first."""
    return MlpOptions(
        type="mlp", blend=blend, features="embedding", ngrams=2, buckets=_part(keep, BUCKETS), hidden=[HIDDEN],
        embedding_dim=_part(keep, DIMENSIONS // 2), input_dropout=0.2, dropout=0.2,
    )  # fmt: skip


def _part(keep: float, size: int) -> int:
    return max(1, round(keep * size))


STUDENTS = {"bag": Student(_bag_options, learning_rate=3e-3), "small": Student(_bilstm_options, learning_rate=2e-3)}
"""Named as those of `distill`."""
