"""What students learn from: a teacher's targets, texts of a file, and new texts made of the training rows' n-grams."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.inference.classifier import Classifier
from textclf.inference.inputs import read_texts
from textclf.models.architecture import Shape

Array = npt.NDArray[Any]

TEACHER_WEIGHT = 0.7  # a labelled row's target is 0.7 * teacher's probabilities + 0.3 * label

MOST_JOINTS = 3  # changes of the source within a recombined text

REPLACED = 0.1  # share of the words of a recombined text that are replaced by words drawn from all texts


def unlabelled_texts(classifier: Classifier, path: Path) -> Iterator[list[str]]:
    """Yield the texts of a file in chunks; it is read like those of `predict`."""
    return read_texts(path, default_columns=classifier.description.columns)


def teacher_targets(probabilities: Array, shape: Shape) -> Array:
    """Return a teacher's probabilities, shape (n, labels), as targets: (n, outputs), or (n,) for one output."""
    return probabilities[:, 1] if shape.outputs == 1 else probabilities


def labelled_targets(targets: Array, y_true: Array, shape: Shape) -> Array:
    """Return the mean of a teacher's targets and of the labels of the same rows, weighted by TEACHER_WEIGHT.

    Args:
        targets: as `teacher_targets` returns them.
        y_true: as in `Examples`.
    """
    labels = np.eye(shape.outputs)[y_true] if shape.activation == "softmax" else y_true
    return TEACHER_WEIGHT * targets + (1 - TEACHER_WEIGHT) * labels


def recombine(texts: Sequence[Sequence[str]], count: int, rng: np.random.Generator) -> list[list[str]]:
    """Return new texts of the n-grams of given ones: each goes on in another text where both have the same word.

    So most neighbouring words have been neighbours before, and a teacher's probabilities of them mean something. After
    Tang et al. 2019, who sample n-grams and replace words.

    Args:
        texts: the words of each text.
        count: how many to make.
    """
    occurrences: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for index, words in enumerate(texts):
        for position, word in enumerate(words):
            occurrences[word].append((index, position))
    flat = [word for words in texts for word in words]
    if not flat:
        return []
    return [_replace_words(_splice(texts, occurrences, rng), flat, rng) for _ in range(count)]


def _splice(
    texts: Sequence[Sequence[str]], occurrences: dict[str, list[tuple[int, int]]], rng: np.random.Generator
) -> list[str]:
    """Return a text that begins as one of the texts, and goes on in others at words that they share."""
    words = list(texts[int(rng.integers(len(texts)))])
    for _ in range(rng.integers(1, MOST_JOINTS + 1)):
        if not words:
            break
        position = int(rng.integers(len(words)))
        candidates = occurrences[words[position]]
        index, other = candidates[rng.integers(len(candidates))]
        words = [*words[: position + 1], *texts[index][other + 1 :]]
    return words


def _replace_words(words: list[str], flat: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return the words with a share of them replaced by words that are drawn by their frequency."""
    drawn = rng.integers(len(flat), size=len(words))
    replaced = rng.random(len(words)) < REPLACED
    return [flat[int(index)] if new else word for word, index, new in zip(words, drawn, replaced, strict=True)]
