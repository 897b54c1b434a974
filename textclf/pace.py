"""How many rows a second classifiers label, in turn on the same rows."""

import time
from collections.abc import Sequence

import numpy as np

from textclf.classifier import Classifier, Probabilities
from textclf.labelled import Labelled
from textclf.seen import unchanged

WARM_UP = ["", "one text"] * 64  # some memory is taken, and some threads begin, with the first batches alone


def label_rows(classifiers: Sequence[Classifier], labelled: Labelled) -> tuple[list[Probabilities], list[float]]:
    """Of each classifier the probabilities of all rows, shape (rows, labels), and rows a second, reading left out.

    Raises:
        UserError: a file of the rows has changed.
    """
    found: list[list[Probabilities]] = [[] for _ in classifiers]
    for classifier in classifiers:
        classifier.predict_proba(WARM_UP)
    seconds = [0.0] * len(classifiers)
    with unchanged(labelled.files):
        for rows in labelled.chunks():
            for place, classifier in enumerate(classifiers):
                begin = time.perf_counter()
                found[place].append(classifier.predict_proba(rows.texts))
                seconds[place] += time.perf_counter() - begin
    probabilities = [np.concatenate(chunks) for chunks in found]
    return probabilities, [round(len(probabilities[0]) / each, 1) for each in seconds]
