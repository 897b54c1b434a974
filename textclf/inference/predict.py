"""`textclf predict`: output row n is input row n, and the first rows are written before the last are read."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.label_studio import TEXT, prediction_task
from textclf.data.rows import split_labels
from textclf.inference.classifier import Classifier, Probabilities
from textclf.io.contract import PredictionDocument
from textclf.io.files import json_list
from textclf.io.sanitize import csv_lines, escape_formulas, label_columns
from textclf.text.pieces import ConsecutiveIds

# Limits of the cache of predicted texts, which is emptied when one of them is reached.
CACHED_ROWS, CACHED_NUMBERS, CACHED_CHARACTERS = 1 << 16, 1 << 22, 1 << 24

ENCODER_CHUNK = 256  # texts: a pretrained encoder takes about a second for them


class Writer(NamedTuple):
    """An output format."""

    header: Callable[[list[str]], str]
    """(names of the columns of the labels' probabilities) -> lines above all rows."""
    rows: Callable[["PredictedChunk"], str]
    """(chunk) -> its lines."""
    spreadsheet: bool = False
    """True if people open it in a spreadsheet, which would compute a label that looks like a formula."""
    document: bool = False
    """True if the lines, each an object, are written as one JSON list."""


@dataclass(frozen=True)
class PredictedChunk:
    """The predictions for n texts that were read together."""

    names: list[str]
    """The classifier's labels."""
    separator: str | None
    """Between several labels of a row; None: each has one."""
    model_version: str
    texts: list[str]
    first: int
    """Index of the first row, counted from 0."""
    labels: list[str]
    """The predicted label of each row."""
    confidence: npt.NDArray[np.float64]
    """Probability of each row's label, shape (n,)."""
    probabilities: Probabilities
    """Shape (n, labels)."""


def predict_stream(
    classifier: Classifier, chunks: Iterable[list[str]], *, format: str, min_confidence: float = 0.0, raw: bool = False,
    bom: bool = False, model_version: str = "textclf",
) -> Iterator[str]:  # fmt: skip
    """Yield the output in pieces: the header with the first chunk of texts, then the lines of each chunk.

    Args:
        format: a key of WRITERS.
        min_confidence: a label with less confidence is left empty.
        raw: leave labels as they are, even where a spreadsheet would compute them as formulas.
        bom: begin with a byte order mark, without which spreadsheets read UTF-8 as another encoding.
        model_version: name of the model in tasks for Label Studio.
    """
    lines = _lines(
        classifier, chunks, WRITERS[format], min_confidence=min_confidence, raw=raw, bom=bom,
        model_version=model_version,
    )  # fmt: skip
    return json_list(lines) if WRITERS[format].document else lines


def _lines(
    classifier: Classifier, chunks: Iterable[list[str]], writer: Writer, *, min_confidence: float, raw: bool, bom: bool,
    model_version: str,
) -> Iterator[str]:  # fmt: skip
    """Yield the header with the lines of the first chunk, then those of each chunk."""
    if classifier.tokenizer:
        chunks = _rechunk(chunks, ENCODER_CHUNK)
    separator = classifier.description.label_separator
    pending: deque[list[str]] = deque()  # texts that are read and not yet written
    escape = escape_formulas if writer.spreadsheet and not raw else str
    names = [escape(name) for name in label_columns(classifier.labels, CSV_COLUMNS)]
    header = ("\ufeff" if bom else "") + writer.header(names)
    first = 0
    for probabilities in predict_distinct(classifier, _remember(chunks, pending)):
        labels, confidence = classifier.decide(probabilities, min_confidence=min_confidence)
        escaped = {label: escape(label) for label in set(labels)}
        chunk = PredictedChunk(
            classifier.labels, separator, model_version, pending.popleft(), first, [escaped[label] for label in labels],
            confidence, probabilities,
        )  # fmt: skip
        # the header with the first rows, so that a file that cannot be read gives no output at all
        yield header + writer.rows(chunk)
        header = ""
        first += len(labels)
    yield header


def _remember(chunks: Iterable[list[str]], pending: deque[list[str]]) -> Iterator[list[str]]:
    """Yield the chunks, and append each to `pending`."""
    for texts in chunks:
        pending.append(texts)
        yield texts


def _rechunk(chunks: Iterable[list[str]], size: int) -> Iterator[list[str]]:
    """Yield the texts of all chunks, at most so many at a time."""
    for texts in chunks:
        for start in range(0, max(1, len(texts)), size):
            yield texts[start : start + size]


class _Cache:
    """The probabilities of earlier texts."""

    def __init__(self, rows: int, labels: int):
        self.rows = ConsecutiveIds()
        """Row of each text in `probabilities`."""
        self.characters = 0
        self.probabilities = np.empty((rows, labels))


def predict_distinct(classifier: Classifier, chunks: Iterable[list[str]]) -> Iterator[Probabilities]:
    """Yield the probabilities of each chunk, shape (n, labels); repeated texts come from a cache."""
    pending: deque[tuple[_Cache, int, npt.NDArray[np.int64]]] = deque()
    labels = len(classifier.labels)
    cached_rows = min(CACHED_ROWS, CACHED_NUMBERS // labels)

    def new_texts() -> Iterator[list[str]]:
        cache = _Cache(0, labels)
        for texts in chunks:
            full = len(cache.rows) + len(texts) > len(cache.probabilities)
            if full or cache.characters > CACHED_CHARACTERS:
                cache = _Cache(max(cached_rows, len(texts)), labels)
            known = len(cache.rows)
            pending.append((cache, known, np.fromiter(map(cache.rows.__getitem__, texts), np.int64, len(texts))))
            new = list(islice(cache.rows, known, None))
            cache.characters += sum(map(len, new))
            yield new

    for _, probabilities in classifier.predict_stream(new_texts()):
        cache, known, rows = pending.popleft()
        cache.probabilities[known : known + len(probabilities)] = probabilities
        yield cache.probabilities[rows]


# Writing


def _no_header(_names: list[str]) -> str:
    return ""


def _tsv_rows(chunk: PredictedChunk) -> str:
    fields = {label: _one_line(label) for label in set(chunk.labels)}
    pairs = zip(chunk.labels, chunk.confidence.tolist(), strict=True)
    return "".join([f"{fields[label]}\t{confidence:.6f}\n" for label, confidence in pairs])


CSV_COLUMNS = ("label", "probability")  # before those of the labels


def _csv_header(names: list[str]) -> str:
    return _csv_text([[*CSV_COLUMNS, *names]])


def _csv_rows(chunk: PredictedChunk) -> str:
    rows = zip(chunk.labels, chunk.confidence.tolist(), chunk.probabilities.tolist(), strict=True)
    return _csv_text([label, *[f"{p:.6f}" for p in (confidence, *values)]] for label, confidence, values in rows)


def _csv_text(rows: Iterable[list[str]]) -> str:
    return "".join(csv_lines(rows, raw=True))  # labels are escaped already, and the rest are numbers


def _jsonl_rows(chunk: PredictedChunk) -> str:
    documents = prediction_documents(chunk.names, chunk.labels, chunk.confidence, chunk.probabilities)
    return "".join(
        [
            json.dumps({"row": row, **document}, ensure_ascii=False) + "\n"
            for row, document in enumerate(documents, start=chunk.first)
        ]
    )


def _task_rows(chunk: PredictedChunk) -> str:
    """Return a task for Label Studio on each line; one whose label was left empty has a prediction without choices."""
    tasks = (
        prediction_task(
            {TEXT: text}, split_labels(label, chunk.separator) if label else [], model_version=chunk.model_version,
            score=confidence,
        )
        for text, label, confidence in zip(chunk.texts, chunk.labels, chunk.confidence.tolist(), strict=True)
    )  # fmt: skip
    return "".join([json.dumps(task, ensure_ascii=False) + "\n" for task in tasks])


def prediction_documents(
    names: Sequence[str], labels: Sequence[str], confidence: npt.NDArray[np.float64], probabilities: Probabilities
) -> list[PredictionDocument]:  # fmt: skip
    """Return each row's label and probabilities as JSON fields, with six decimals.

    Args:
        names: the classifier's labels.
        labels: the predicted label of each row.
        confidence: the probability of each row's label, shape (n,).
        probabilities: shape (n, labels).
    """
    rows = zip(labels, confidence.round(6).tolist(), probabilities.round(6).tolist(), strict=True)
    return [
        {"label": label, "probability": probability, "probabilities": dict(zip(names, values, strict=True))}
        for label, probability, values in rows
    ]


def _one_line(label: str) -> str:
    """Return the label without characters that would break a line of the output in two."""
    return " ".join(label.split()) if any(c in label for c in "\t\r\n") else label


WRITERS: dict[str, Writer] = {
    "tsv": Writer(_no_header, _tsv_rows, spreadsheet=True),
    "csv": Writer(_csv_header, _csv_rows, spreadsheet=True),
    "jsonl": Writer(_no_header, _jsonl_rows),
    "json": Writer(_no_header, _jsonl_rows, document=True),
    "label-studio": Writer(_no_header, _task_rows, document=True),
}
