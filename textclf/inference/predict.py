"""Predictions for a stream of texts: row n out is row n in, and the first are out before the last are read."""

import io
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.data.readers import FORMATS, TableFormat, file_format, is_table
from textclf.inference.classifier import Classifier, Probabilities
from textclf.io.sanitize import csv_lines, escape_formulas
from textclf.io.streams import SIZE_LIMIT, decode_line, open_data, too_long_error
from textclf.text.encoding import ConsecutiveIds

READ_AT_ONCE = 1 << 20

CHUNK = 8192  # texts predicted together: enough rows of each length, little memory


class Writer(NamedTuple):
    """A format of predictions: what stands above all rows, and the rows of a chunk."""

    header: Callable[[list[str]], str]
    """From the classifier's labels."""
    rows: Callable[["Predicted"], str]
    spreadsheet: bool
    """Whether people open it in one, so that labels must be harmless there."""


@dataclass(frozen=True)
class Predicted:
    """What was found for a chunk of n texts."""

    names: list[str]
    """The classifier's labels."""
    first: int
    """Number of the chunk's first row, counted from 0."""
    labels: list[str]
    confidence: npt.NDArray[np.float64]
    """Probability of each row's label, shape (n,)."""
    probabilities: Probabilities


def predict_stream(
    classifier: Classifier, chunks: Iterable[list[str]], *, format: str, min_confidence: float = 0.0, raw: bool = False
) -> Iterator[str]:
    """The output, in pieces: what stands above, then the lines of each chunk of texts.

    Args:
        format: a key of WRITERS, or `json`: one document, a list of what `jsonl` has a line each.
        min_confidence: a label less probable than this is left empty.
        raw: whether labels stay as they are even where a spreadsheet would compute them.
    """
    if format == "json":
        yield from _json_document(predict_stream(classifier, chunks, format="jsonl", min_confidence=min_confidence))
        return
    writer = WRITERS[format]
    written = escape_formulas if writer.spreadsheet and not raw else str
    header = writer.header(list(map(written, classifier.labels)))
    first = 0
    for probabilities in _each_text_once(classifier, chunks):
        labels, confidence = classifier.decide(probabilities)
        if min_confidence:
            labels = [label if sure else "" for label, sure in zip(labels, confidence >= min_confidence, strict=True)]
        # with the rows, so that a file that cannot be read gives no output at all
        yield header + writer.rows(
            Predicted(classifier.labels, first, list(map(written, labels)), confidence, probabilities)
        )
        header = ""
        first += len(labels)
    yield header


class _Memory:
    """Texts met so far, and the probabilities of those that are predicted."""

    def __init__(self, rows: int, labels: int):
        self.places = ConsecutiveIds()
        self.characters = 0
        self.probabilities = np.empty((rows, labels))


REMEMBERED_ROWS, REMEMBERED_NUMBERS, REMEMBERED_CHARACTERS = 1 << 16, 1 << 22, 1 << 24


def _each_text_once(classifier: Classifier, chunks: Iterable[list[str]]) -> Iterator[Probabilities]:
    """The probabilities of each chunk; a text that came before, not too long ago, is looked up."""
    begun: deque[tuple[_Memory, int, npt.NDArray[np.int64]]] = deque()
    labels = len(classifier.labels)
    rows = min(REMEMBERED_ROWS, REMEMBERED_NUMBERS // labels)

    def new_texts() -> Iterator[list[str]]:
        memory = _Memory(0, labels)
        for texts in chunks:
            full = len(memory.places) + len(texts) > len(memory.probabilities)
            if full or memory.characters > REMEMBERED_CHARACTERS:
                memory = _Memory(max(rows, len(texts)), labels)
            known = len(memory.places)
            begun.append((memory, known, np.fromiter(map(memory.places.__getitem__, texts), np.int64, len(texts))))
            new = list(islice(memory.places, known, None))
            memory.characters += sum(map(len, new))
            yield new

    for _, probabilities in classifier.predict_stream(new_texts()):
        memory, known, places = begun.popleft()
        memory.probabilities[known : known + len(probabilities)] = probabilities
        yield memory.probabilities[places]


def _json_document(pieces: Iterable[str]) -> Iterator[str]:
    before = "[\n"
    for lines in pieces:
        if lines.strip():
            yield before + lines.rstrip("\n").replace("\n", ",\n")
            before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


# Reading


def read_lines(stream: BinaryIO, name: str) -> Iterator[list[str]]:
    """Lines in chunks, each as soon as the stream has it; only a line feed ends a line, CR before it dropped.

    Raises:
        UserError: a line is not UTF-8 or longer than SIZE_LIMIT.
    """
    read = getattr(stream, "read1", stream.read)  # what is there, without waiting for more
    begun: list[bytes] = []  # pieces of a line whose end has not come
    number = size = 0
    while data := read(READ_AT_ONCE):
        if b"\n" not in data:
            begun.append(data)
            size += len(data)
            if size > SIZE_LIMIT:
                raise too_long_error(f"{name}:{number + 1}", "line")
            continue
        *lines, rest = b"".join([*begun, data]).split(b"\n")
        begun, size = [rest], len(rest)
        yield _decode(lines, name, number)
        number += len(lines)
    if any(begun):
        yield _decode([b"".join(begun)], name, number)


def _decode(lines: list[bytes], name: str, before: int) -> list[str]:
    if before == 0:
        lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
    if len(lines[0]) > SIZE_LIMIT:  # the others came in one reading, which is shorter
        raise too_long_error(f"{name}:{before + 1}", "line")
    return [decode_line(line.removesuffix(b"\r"), name, number) for number, line in enumerate(lines, start=before + 1)]


def read_texts(path: Path, *, column: str | None, default_column: str) -> Iterator[list[str]]:
    """Texts in chunks: a table's column, or lines; `-` is standard input, a .csv where a column is asked for."""
    if str(path) == "-":
        stdin = _stdin()
        return _columns(stdin, "-", FORMATS[".csv"], column) if column is not None else read_lines(stdin, "-")
    if column is not None or is_table(path):
        return _file_columns(path, column or default_column)
    return _file_lines(path)


def _stdin() -> BinaryIO:
    """Standard input, with a buffer of its own: at exit Python must not wait for a thread that reads Python's."""
    raw = getattr(sys.stdin.buffer, "raw", None)
    return sys.stdin.buffer if raw is None else io.BufferedReader(raw)


def _file_lines(path: Path) -> Iterator[list[str]]:
    with open_data(path, pipes=True) as stream:
        yield from read_lines(stream, str(path))


def _file_columns(path: Path, column: str) -> Iterator[list[str]]:
    kind = file_format(path)
    with open_data(path, pipes=True) as stream:
        yield from _columns(stream, str(path), kind, column)


def _columns(stream: BinaryIO, name: str, kind: TableFormat, column: str) -> Iterator[list[str]]:
    rows = kind.rows(stream, name, {"--column": column})
    size = 1  # the first row goes out at once, then twice as many each time
    while chunk := [text for (text,) in islice(rows, size)]:
        yield chunk
        size = min(2 * size, CHUNK)


# Writing


def _no_header(_names: list[str]) -> str:
    return ""


def _tsv_rows(found: Predicted) -> str:
    pairs = zip(found.labels, found.confidence.tolist(), strict=True)
    return "".join([f"{_one_line(label)}\t{share:.6f}\n" for label, share in pairs])


def _csv_header(names: list[str]) -> str:
    return _csv_text([["label", "probability", *names]])


def _csv_rows(found: Predicted) -> str:
    rows = zip(found.labels, found.confidence.tolist(), found.probabilities.tolist(), strict=True)
    return _csv_text([label, f"{share:.6f}", *[f"{p:.6f}" for p in each]] for label, share, each in rows)


def _csv_text(rows: Iterable[list[str]]) -> str:
    return "".join(csv_lines(rows, raw=True))  # the labels are as they are to be, and the rest are numbers


def _jsonl_rows(found: Predicted) -> str:
    rows = zip(found.labels, found.confidence.round(6).tolist(), found.probabilities.round(6).tolist(), strict=True)
    return "".join(
        [
            json.dumps(
                {
                    "row": row,
                    "label": label,
                    "probability": share,
                    "probabilities": dict(zip(found.names, each, strict=True)),
                },
                ensure_ascii=False,
            )
            + "\n"
            for row, (label, share, each) in enumerate(rows, start=found.first)
        ]
    )


def _one_line(label: str) -> str:
    """The label without what would break a line of the output in two."""
    return " ".join(label.split()) if any(c in label for c in "\t\r\n") else label


WRITERS: dict[str, Writer] = {
    "tsv": Writer(_no_header, _tsv_rows, spreadsheet=True),
    "csv": Writer(_csv_header, _csv_rows, spreadsheet=True),
    "jsonl": Writer(_no_header, _jsonl_rows, spreadsheet=False),
}
