"""The two files of a model/ folder, checked before anything is done with them: one from a stranger can only be refused.

model.json is data whose every field is checked. model.onnx is run only if it is, to the byte, what textclf writes today
for the weights in it; so neither a graph of our own operators that asks for endless memory nor anything that ONNX
Runtime reads in another way than we do gets that far. Both carry a sha256, which tells damage; it proves no origin.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from textclf import __version__
from textclf.errors import UserError
from textclf.inference.json_fields import (
    Unfit,
    check_names,
    check_options,
    digest,
    labels,
    need,
    object_,
    share,
    text,
    text_or_null,
    words,
)
from textclf.io.contract import ProbeDocument
from textclf.io.files import replacing, write_json
from textclf.models.architecture import Shape
from textclf.models.ensemble import model_again
from textclf.models.onnx.graph import ForeignGraph, read_graph, read_model
from textclf.models.onnx.protobuf import first_difference
from textclf.text.encoding import PADDING, RESERVED
from textclf.text.tokenizer import TextOptions

FORMAT = 2

FORMATS = (1, FORMAT)  # 1 has no checksum

GRAPH_BYTES = (1 << 31) - 1  # Protocol Buffers, and with them ONNX Runtime, read no more

JSON_BYTES = 1 << 29  # ten million words, the most that text.vocab_size allows, of 45 bytes

# A list takes 60 bytes of memory for 2 in the file, any other value 60 for 4: without limits of their own a file of
# JSON_BYTES could take 16 GB. A vocabulary holds a bracket or a comma in few words only.
JSON_LISTS, JSON_VALUES = 1 << 20, 1 << 24

PROBE_ROWS = 1000  # `check` scores them all


@dataclass(frozen=True)
class Description:
    """What model.json says, besides the digests and the probe."""

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


@dataclass(frozen=True)
class ModelFiles:
    """What a model/ folder holds, checked."""

    description: Description
    probe: ProbeDocument
    """Token ids of some rows, and the probabilities that they had when the model was saved."""
    graph_path: Path
    graph: bytes
    constants: Mapping[str, npt.NDArray[Any]]
    """Those of the graph by their names, as views of its bytes."""
    metadata: Mapping[str, str]


def write_model_files(folder: Path, graph: bytes, description: Description, probe: ProbeDocument) -> None:
    with replacing(folder / "model.onnx") as temporary:
        temporary.write_bytes(graph)
    document = {
        "format": FORMAT,
        "textclf": __version__,
        "sha256": hashlib.sha256(graph).hexdigest(),
        **asdict(description),
        "probe": probe,
    }
    write_json(folder / "model.json", document | {"checksum": checksum(document)})


def checksum(document: Mapping[str, Any]) -> str:
    """The sha256 of a document less its `checksum`, written with sorted keys, no blanks and in ASCII."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def model_folder(folder: Path) -> Path:
    """The `model/` folder of a run, or the folder itself where it is one."""
    inside = folder / "model"
    return inside if not os.path.lexists(folder / "model.json") and os.path.lexists(inside / "model.json") else folder


def read_model_files(folder: Path) -> ModelFiles:
    """What the `model/` folder holds, of a run or by itself.

    Raises:
        UserError: there is none, it is damaged, it is not what textclf writes, or a newer textclf wrote it.
    """
    folder = model_folder(folder)
    path, graph_path = folder / "model.json", folder / "model.onnx"
    if not os.path.lexists(path):
        raise UserError(f"{folder} holds no model: {path} is missing. Name a run or a model/ folder with --run.")
    document = _document(path)
    try:
        description = _description(document)
    except Unfit as problem:
        raise UserError(f"{path} is damaged: {problem}. Copy the folder again.") from None
    graph = read_member(graph_path, most=GRAPH_BYTES)
    if hashlib.sha256(graph).hexdigest() != document["sha256"]:
        raise UserError(f"{graph_path} is not the file that {path} describes: another sha256. Copy the folder again.")
    try:
        constants, metadata = _checked_graph(graph, description)
    except ForeignGraph as problem:
        raise UserError(f"{graph_path} is no graph that this textclf writes: {problem}. Train the run again.") from None
    return ModelFiles(description, document["probe"], graph_path, graph, constants, metadata)


def read_member(path: Path, *, most: int) -> bytes:
    """The bytes of a file of the folder.

    Raises:
        UserError: it cannot be read, has more than `most` bytes, or is no file itself: a link could lead to any other,
            and a pipe keeps its reader waiting.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is no regular file. Copy the folder again.")
        if found.st_size > most:
            raise UserError(f"{path} has {found.st_size} bytes, more than any model: at most {most} are read.")
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def _document(path: Path) -> dict[str, Any]:
    """model.json, of a format that is read here.

    Raises:
        UserError: it is not.
    """
    data = read_member(path, most=JSON_BYTES)
    if data.count(b"[") + data.count(b"{") > JSON_LISTS or data.count(b",") > JSON_VALUES:
        raise UserError(f"{path} is damaged: more values than any model has. Copy the folder again.")
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}. Copy the folder again.") from None
    except RecursionError:
        raise UserError(f"{path} is damaged: nested too deeply. Copy the folder again.") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} is damaged: found {document!r:.60}, need an object. Copy the folder again.")
    found = document.get("format")
    if type(found) is not int or found not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise UserError(f"{path} has format {found!r:.60}; this textclf ({__version__}) reads {known}.")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _text_options(value: Any, name: str) -> None:
    check_options(TextOptions, value, name)


# A field of model.json is added here, and to Description if predicting needs it.
FIELDS: dict[str, Callable[[Any, str], None]] = {
    "textclf": text,
    "sha256": digest,
    "text": _text_options,
    "vocabulary": words,
    "labels": labels,
    "label_separator": text_or_null,
    "column": text,
    "label_column": text,
    "threshold": share,
    "probe": object_,
}


def _description(document: dict[str, Any]) -> Description:
    """What the document says, every field of it checked.

    Raises:
        Unfit: something is missing or is not what it should be.
    """
    fields = FIELDS if document["format"] == 1 else FIELDS | {"checksum": digest}
    check_names(document.keys() - {"format"}, fields.keys())
    for name, check in fields.items():
        check(document[name], name)
    if document["format"] > 1 and document["checksum"] != checksum(document):
        raise Unfit("its checksum is that of another content")
    values = {name: document[name] for name in Description.__dataclass_fields__}
    description = Description(**{**values, "text": TextOptions(**document["text"])})
    _check_probe(document["probe"], description)
    return description


def _check_probe(probe: dict[str, Any], description: Description) -> None:
    """Refuses rows that the model could not have been asked, and probabilities that it could not have given."""
    check_names(probe.keys(), {"token_ids", "probabilities"})
    rows, probabilities = probe["token_ids"], probe["probabilities"]
    need(isinstance(rows, list) and 0 < len(rows) <= PROBE_ROWS, rows, "probe.token_ids", f"1 to {PROBE_ROWS} rows")
    need(
        isinstance(probabilities, list) and len(probabilities) == len(rows),
        probabilities, "probe.probabilities", f"{len(rows)} rows, as many as probe.token_ids",
    )  # fmt: skip
    most, words, labels = description.text.max_length, len(description.vocabulary) + RESERVED, len(description.labels)
    for place, (ids, shares) in enumerate(zip(rows, probabilities, strict=True)):
        need(
            isinstance(ids, list) and 0 < len(ids) <= most and all(type(i) is int and PADDING < i < words for i in ids),
            ids, f"probe.token_ids[{place}]", f"1 to {most} whole numbers from {PADDING + 1} to {words - 1}",
        )  # fmt: skip
        need(
            isinstance(shares, list) and len(shares) == labels
            and all(isinstance(share, float) and 0 <= share <= 1 for share in shares),
            shares, f"probe.probabilities[{place}]", f"{labels} numbers from 0 to 1",
        )  # fmt: skip


def _checked_graph(graph: bytes, description: Description) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Constants and metadata of the graph.

    Raises:
        ForeignGraph: it is not what is written for these constants and this description.
    """
    constants, metadata = read_graph(graph)
    shape = Shape.of(
        vocabulary=len(description.vocabulary) + RESERVED,
        labels=len(description.labels),
        multilabel=description.label_separator is not None,
    )
    again = model_again(shape, constants, metadata)
    if again != graph:
        difference = first_difference(read_model(graph), read_model(again))
        raise ForeignGraph(difference or "the same content is written in another way")
    return constants, metadata
