"""Texts in, probabilities out: the `model/` folder, written once and read without TensorFlow."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from textclf import __version__
from textclf.ahead import ahead
from textclf.errors import UserError
from textclf.run import read_json, replacing, write_json
from textclf.text import Encoder, TokenIds, pad
from textclf.tokens import TextOptions

FORMAT = 1
ROWS_TOGETHER, TOKENS_TOGETHER = 256, 6144  # limits of a batch: more is no faster, and takes memory
CHUNKS_AHEAD = 2  # read and turned into ids while those before them are computed
PROBE_ROWS = 8
PARITY_LIMIT = 1e-4  # a larger difference between two ways to the same probabilities is no rounding

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Description:
    """What model.json says, besides the graph's digest."""

    text: TextOptions
    vocabulary: list[str]
    labels: list[str]
    label_separator: str | None
    column: str
    """The column that the texts of a table are in, unless said otherwise."""
    label_column: str
    """The same of the labels."""
    threshold: float = 0.5
    """Two labels: probability from which a row gets the second; several labels a row: from which it gets a label."""


class Classifier:
    """A trained classifier; the seam that evaluate, predict and everything after them stand on."""

    def __init__(self, description: Description, session: onnxruntime.InferenceSession, probe: dict[str, Any]):
        self.description = description
        self.labels = description.labels
        self._encoder = Encoder(description.vocabulary, description.text)
        self._session = session
        self._threads = ThreadPoolExecutor(_cores())
        self._probe = probe

    def encode(self, texts: Sequence[str]) -> TokenIds:
        return self._encoder.encode(texts)

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
            inputs = {"token_ids": padded, "lengths": lengths.astype(np.int32)}
            found[rows] = self._session.run(["probabilities"], inputs)[0]

        batches = [self._threads.submit(compute, rows) for rows in batches_by_length(token_ids.lengths)]

        def wait() -> Probabilities:
            for batch in batches:
                batch.result()
            if self.description.label_separator is None:
                found[:] /= found.sum(axis=1, keepdims=True)  # float32 rounding; now exact to 1e-16
            return found

        return wait

    def decide(self, probabilities: Probabilities) -> tuple[list[str], npt.NDArray[np.float64]]:
        """The label of each row and its probability, shape (n,).

        Several labels a row are joined by the separator, and the probability is that of exactly these labels, taken
        as independent.
        """
        separator = self.description.label_separator
        chosen = decide(probabilities, separator, self.description.threshold)
        if separator is None:
            return [self.labels[index] for index in chosen], probabilities[np.arange(len(chosen)), chosen]
        names = np.array(self.labels, object)
        labels = [separator.join(names[row == 1]) for row in chosen]
        return labels, np.where(chosen == 1, probabilities, 1 - probabilities).prod(axis=1)

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
    """Index of the label, shape (n,), or for several labels a row 0 and 1, shape (n, labels)."""
    if label_separator is not None:
        return (probabilities >= threshold).astype(np.int64)
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return probabilities.argmax(axis=1)


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
    path = folder / "model.onnx"
    with replacing(path) as temporary:
        temporary.write_bytes(graph)
    session = _session(graph, str(path))
    rows = probe.first(PROBE_ROWS)
    document = {
        "format": FORMAT,
        "textclf": __version__,
        "sha256": hashlib.sha256(graph).hexdigest(),
        **asdict(description),
        "probe": {
            "token_ids": [rows.row(index).tolist() for index in range(len(rows))],
            "probabilities": Classifier(description, session, {}).probabilities(rows).tolist(),
        },
    }
    write_json(folder / "model.json", document)
    return Classifier(description, session, document["probe"])


def model_folder(folder: Path) -> Path:
    """The `model/` folder of a run, or the folder itself where it is one."""
    inside = folder / "model"
    return inside if not (folder / "model.json").is_file() and (inside / "model.json").is_file() else folder


def load_classifier(folder: Path) -> Classifier:
    """The classifier in a run or in a bare `model/` folder.

    Raises:
        UserError: there is none, it is damaged, or a newer textclf wrote it.
    """
    folder = model_folder(folder)
    path = folder / "model.json"
    if not path.is_file():
        raise UserError(f"{folder} holds no model: {path} is missing. Name a run or a model/ folder with --run.")
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else document
        raise UserError(f"{path} has format {found!r}; this textclf ({__version__}) reads {FORMAT}.")
    graph_path = folder / "model.onnx"
    try:
        graph = graph_path.read_bytes()
    except OSError as error:
        raise UserError(f"{graph_path} cannot be read: {error.strerror}.") from None
    if hashlib.sha256(graph).hexdigest() != document.get("sha256"):
        raise UserError(f"{graph_path} is not the file that {path} describes: another sha256. Copy the folder again.")
    return Classifier(_description(document, path), _session(graph, str(graph_path)), document["probe"])


def _description(document: dict[str, Any], path: Path) -> Description:
    """What the document says, as a Description.

    Raises:
        UserError: something is missing or is not what it should be.
    """
    missing = {*Description.__dataclass_fields__, "probe"} - document.keys()
    if missing:
        raise UserError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}. Copy the folder again.")
    fields = {name: document[name] for name in Description.__dataclass_fields__}
    try:
        return Description(**{**fields, "text": TextOptions(**document["text"])})
    except TypeError as error:
        raise UserError(f"{path} is damaged: {error}. Copy the folder again.") from None


def _session(graph: bytes, name: str) -> onnxruntime.InferenceSession:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1  # batches run side by side, which wastes less than sharing each
    settings.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    except (faults.Fail, faults.InvalidProtobuf, faults.InvalidGraph, faults.InvalidArgument) as error:
        raise UserError(f"{name} is no graph that ONNX Runtime can run: {error}") from None


def _cores() -> int:
    """Cores that this process may use; a container often allows fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
