"""Texts in, probabilities out: the `model/` folder, written once and read without TensorFlow."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from textclf.errors import UserError
from textclf.inference.model_folder import Description, read_model_files, write_model_files
from textclf.inference.prefetch import ahead
from textclf.io.contract import ProbeDocument
from textclf.text.encoding import UNKNOWN, Encoder, TokenIds, pad
from textclf.text.tokenizer import join_tokens, tokenize

# ONNX Runtime has a class for each kind of fault, and no base class of its own for them
FAULTS = tuple(each for each in vars(faults).values() if isinstance(each, type) and issubclass(each, Exception))

ROWS_TOGETHER, TOKENS_TOGETHER = 256, 6144  # limits of a batch: more is no faster, and takes memory

CHUNKS_AHEAD = 2  # read and turned into ids while those before them are computed

PROBE_ROWS = 8

NO_PROBE: ProbeDocument = {"token_ids": [], "probabilities": []}

PARITY_LIMIT = 1e-4  # a larger difference between two ways to the same probabilities is no rounding


Probabilities = npt.NDArray[np.float64]

Score = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int32]], npt.NDArray[np.float32]]
"""From padded token ids, shape (batch, width), and lengths, shape (batch,), to probabilities, shape (batch, labels)."""


class Words(NamedTuple):
    """The words that a model reads of a text: the tokens that are left after cleaning and cutting."""

    words: list[str]
    """At least one; that of a text without words is empty."""
    known: list[bool]
    """Whether the vocabulary has each word."""
    cut: int
    """Tokens that were cut off."""


class Classifier:
    """A trained classifier; the seam that evaluate, predict and everything after them stand on."""

    def __init__(self, description: Description, score: Score, probe: ProbeDocument):
        self.description = description
        self.labels = description.labels
        self._encoder = Encoder(description.vocabulary, description.text)
        self._score = score
        self._threads = ThreadPoolExecutor(_cores())
        self._probe = probe

    def encode(self, texts: Sequence[str]) -> TokenIds:
        return self._encoder.encode(texts)

    def words(self, text: str) -> Words:
        """Return the words of a text as the model reads them."""
        options, ids = self.description.text, self.encode([text]).flat
        tokens = tokenize(text, options)
        kept = tokens[-len(ids) :] if options.truncate == "start" else tokens[: len(ids)]
        return Words(kept or [""], (ids != UNKNOWN).tolist(), len(tokens) - len(kept))

    def join(self, words: Iterable[str]) -> str:
        """Return a text that consists of these words."""
        return join_tokens(words, self.description.text)

    def predict_proba(self, texts: Sequence[str]) -> Probabilities:
        """Probabilities, shape (n, labels), for n texts; those of a row add up to 1 unless a row has several labels."""
        return self.probabilities(self.encode(texts))

    def predict_stream(self, chunks: Iterable[Sequence[str]]) -> Iterator[tuple[TokenIds, Probabilities]]:
        """Token ids and probabilities of each chunk of texts, while the next ones are read."""
        encoded = map(self.encode, chunks)
        for token_ids, wait in ahead(((ids, self._begin(ids)) for ids in encoded), limit=CHUNKS_AHEAD):
            yield token_ids, wait()

    def probabilities(self, token_ids: TokenIds) -> Probabilities:
        """Probabilities, shape (n, labels), for n rows of token ids."""
        return self._begin(token_ids)()

    def _begin(self, token_ids: TokenIds) -> Callable[[], Probabilities]:
        """Begins on the rows, on all cores; the function given waits for their probabilities."""
        found = np.empty((len(token_ids), len(self.labels)))

        def compute(rows: npt.NDArray[np.int64]) -> None:
            lengths = token_ids.lengths[rows]
            padded = pad(token_ids.flat, token_ids.starts[rows], lengths)
            found[rows] = self._score(padded, lengths.astype(np.int32))

        batches = [self._threads.submit(compute, rows) for rows in batches_by_length(token_ids.lengths)]

        def wait() -> Probabilities:
            for batch in batches:
                batch.result()
            if self.description.label_separator is None:
                found[:] /= found.sum(axis=1, keepdims=True)  # float32 rounding; now exact to 1e-16
            return found

        return wait

    def decide(self, probabilities: Probabilities) -> tuple[list[str], npt.NDArray[np.float64]]:
        """Return the label of each row, several joined by the separator, and its probability, shape (n,)."""
        separator = self.description.label_separator
        y_pred = decide(probabilities, separator, self.description.threshold)
        return label_fields(y_pred, self.labels, separator), confidence_in(y_pred, probabilities)

    def probe_difference(self) -> float:
        """Largest difference between the probabilities of the stored rows now and when the model was saved."""
        now = self.probabilities(self.probe_rows())
        return float(np.abs(now - np.array(self._probe["probabilities"])).max())

    def probe_rows(self) -> TokenIds:
        """The rows that are stored with the model."""
        rows = [np.array(row, np.int32) for row in self._probe["token_ids"]]
        lengths = np.array([len(row) for row in rows])
        return TokenIds(np.concatenate(rows), lengths, lengths)


def decide(probabilities: Probabilities, label_separator: str | None, threshold: float) -> npt.NDArray[np.int64]:
    """Return y_pred: index of the label, shape (n,), or for several labels a row 0 and 1, shape (n, labels)."""
    if label_separator is not None:
        return (probabilities >= threshold).astype(np.int64)
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return probabilities.argmax(axis=1)


def confidence_in(y_pred: npt.NDArray[np.int64], probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """Return the probability of each row's y_pred, shape (n,).

    With several labels a row it is that of exactly these labels, taken as independent.
    """
    if y_pred.ndim == 1:
        return probabilities[np.arange(len(y_pred)), y_pred]
    return np.where(y_pred == 1, probabilities, 1 - probabilities).prod(axis=1)


def label_fields(y_pred: npt.NDArray[np.int64], labels: Sequence[str], label_separator: str | None) -> list[str]:
    """Return the label of each row, several joined by the separator."""
    names = np.array(labels, object)
    if label_separator is None:
        return list(names[y_pred])
    return [label_separator.join(names[row == 1]) for row in y_pred]


def batches_by_length(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers of each batch, rows of similar length together, within ROWS_TOGETHER and padded TOKENS_TOGETHER."""
    order = np.argsort(lengths, kind="stable")
    end = len(order)
    while end > 0:
        most = max(1, TOKENS_TOGETHER // int(lengths[order[end - 1]]))
        start = max(0, end - min(ROWS_TOGETHER, most))
        yield order[start:end]
        end = start


def save_classifier(folder: Path, graph: bytes, description: Description, probe: TokenIds) -> Classifier:
    """Writes the folder and gives the classifier that it holds, the first rows of `probe` kept in it as a check."""
    score = scorer(graph, folder / "model.onnx", len(description.labels))
    rows = probe.head(PROBE_ROWS)
    kept: ProbeDocument = {
        "token_ids": [rows.row(index).tolist() for index in range(len(rows))],
        "probabilities": Classifier(description, score, NO_PROBE).probabilities(rows).tolist(),
    }
    write_model_files(folder, graph, description, kept)
    return Classifier(description, score, kept)


def load_classifier(folder: Path) -> Classifier:
    """The classifier in a run or in a bare `model/` folder.

    Raises:
        UserError: there is none, it is damaged or not what textclf writes, or a newer textclf wrote it.
    """
    files = read_model_files(folder)
    score = scorer(files.graph, files.graph_path, len(files.description.labels))
    return Classifier(files.description, score, files.probe)


def scorer(graph: bytes, path: Path, labels: int) -> Score:
    """What the graph computes.

    Raises:
        UserError: ONNX Runtime cannot run it; also when it is called, then too if what comes out are no probabilities.
    """
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1  # batches run side by side, which wastes less than sharing each
    settings.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    except FAULTS as error:
        raise UserError(f"{path} is no graph that ONNX Runtime can run: {error}") from None

    def score(token_ids: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        try:
            [found] = session.run(["probabilities"], {"token_ids": token_ids, "lengths": lengths})
        except FAULTS as error:
            raise UserError(f"{path}: ONNX Runtime cannot compute it: {error}") from None
        if found.shape != (len(lengths), labels) or not np.isfinite(found).all():
            raise UserError(f"{path} gives no probabilities: NaN, infinity or another number of labels. Train again.")
        return found

    return score


def _cores() -> int:
    """Cores that this process may use; a container often allows fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
