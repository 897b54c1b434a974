"""The files of a `model/` folder, checked before use, since they may come from a stranger.

model.json is data, and every field is checked. model.onnx is run only if it is, to the byte, what textclf writes today
for the weights in it; so no graph with other operators or with endless memory use is run, and nothing
that ONNX Runtime reads in another way than textclf. A model with a pretrained encoder also has tokenizer.json, of which
only known kinds of steps are read. All have a sha256, which detects damage; it does not prove origin.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from textclf import __version__
from textclf.errors import UserError
from textclf.inference.json_fields import (
    InvalidField,
    check_columns,
    check_digest,
    check_keys,
    check_labels,
    check_object,
    check_object_or_null,
    check_options,
    check_text,
    check_text_or_null,
    check_threshold,
    check_whole_number,
    check_words,
    require,
)
from textclf.io.contract import ModelDocument, ProbeDocument, Threshold, TokenizerDocument
from textclf.io.files import replacing, write_json
from textclf.io.run_folder import TOKENIZER, Run
from textclf.models.architecture import InputLimits, Shape
from textclf.models.ensemble import NETWORK, rewrite_onnx_model
from textclf.models.onnx.graph import ForeignGraph, read_graph, read_model
from textclf.models.onnx.protobuf import first_difference
from textclf.models.registry import PARTS
from textclf.text.encoding import PADDING, RESERVED
from textclf.text.piece_tokenizer import PieceTokenizer
from textclf.text.tokenizer import WHOLE_TEXT, TextOptions, TruncatedEnd
from textclf.text.tokenizer_json import MAX_BYTES as MAX_TOKENIZER_BYTES

FORMAT = 6
"""Earlier ones are read too: 5 pools states behind the loop over the words, 4 has no encoders, 3 no parts of a blend,
2 no `text.rules`, 1 no checksum."""

MODEL_FILES = ("model.json", "model.onnx", TOKENIZER)
"""The files that a `model/` folder may have; the last only with an encoder."""

MAX_GRAPH_BYTES = (1 << 31) - 1  # limit of Protocol Buffers, and so of ONNX Runtime

MAX_JSON_BYTES = 1 << 29  # ten million words, the most that text.vocab_size allows, of 45 bytes

# A list takes 60 bytes of memory for 2 in the file, any other value 60 for 4: without limits of their own a file of
# MAX_JSON_BYTES could take 16 GB. Few words of a vocabulary hold a bracket or a comma.
MAX_JSON_LISTS, MAX_JSON_VALUES = 1 << 20, 1 << 24

MAX_PIECES = 1_000_000  # the largest known tokenizer has a quarter of that

MAX_PROBE_ROWS = 1000  # `textclf check` predicts them all


@dataclass(frozen=True)
class Description:
    """Text options, vocabulary, labels and decision threshold of a classifier."""

    text: TextOptions
    vocabulary: list[str]
    labels: list[str]
    label_separator: str | None
    column: str | list[str]
    """Default column of the texts in a table, or several whose values are joined."""
    label_column: str
    """Default column of a table that the labels are in."""
    threshold: Threshold = 0.5
    network_limits: InputLimits | None = None
    """What the network of a blend reads of a text; None: all, and it is the whole model."""
    part_thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    """The threshold of each part of a blend where it decides alone."""
    piece_count: int | None = None
    """Number of pieces of an encoder's tokenizer, whose ids follow those of the vocabulary; None: it has no encoder."""

    @property
    def first_piece(self) -> int:
        """The token id behind those of the vocabulary, of an encoder's first piece."""
        return len(self.vocabulary) + RESERVED

    @property
    def network_length(self) -> int:
        """The most tokens that the network reads of a text."""
        return (self.network_limits or self.text).max_length

    @property
    def columns(self) -> list[str]:
        """The default columns of the texts."""
        return [self.column] if isinstance(self.column, str) else self.column

    @property
    def shape(self) -> Shape:
        """The sizes of the model's input and output."""
        return Shape.of(
            vocabulary=self.first_piece + (self.piece_count or 0),
            labels=len(self.labels),
            multilabel=self.label_separator is not None,
        )


class ModelFiles(NamedTuple):
    """The checked content of a `model/` folder."""

    description: Description
    probe: ProbeDocument
    graph_path: Path
    graph: bytes
    tokenizer: PieceTokenizer | None
    """The tokenizer of its encoder; None: it has no encoder."""


def write_model_files(
    folder: Path, graph: bytes, description: Description, probe: ProbeDocument, *, tokenizer: bytes | None = None
) -> None:
    """Write model.onnx, model.json and, where the model has an encoder, its tokenizer.json."""
    with replacing(folder / "model.onnx") as temporary:
        temporary.write_bytes(graph)
    if tokenizer is None:
        (folder / TOKENIZER).unlink(missing_ok=True)  # of an earlier model, where several are tried
    else:
        with replacing(folder / TOKENIZER) as temporary:
            temporary.write_bytes(tokenizer)
    document: ModelDocument = {
        "format": FORMAT,
        "textclf": __version__,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "text": asdict(description.text),
        "vocabulary": description.vocabulary,
        "labels": description.labels,
        "label_separator": description.label_separator,
        "column": description.column,
        "label_column": description.label_column,
        "threshold": description.threshold,
        "network_limits": description.network_limits and description.network_limits._asdict(),
        "part_thresholds": {**description.part_thresholds},
        "tokenizer": _tokenizer_document(description, tokenizer),
        "probe": probe,
    }
    write_json(folder / "model.json", {**document, "checksum": checksum(document)})


def _tokenizer_document(description: Description, tokenizer: bytes | None) -> TokenizerDocument | None:
    if tokenizer is None or description.piece_count is None:
        return None
    return {"sha256": hashlib.sha256(tokenizer).hexdigest(), "pieces": description.piece_count}


def checksum(document: Mapping[str, Any]) -> str:
    """Return the sha256 of a document without its `checksum`, written with sorted keys, no blanks and in ASCII."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def model_folder(folder: Path) -> Path:
    """Return the `model/` folder of a run, or the folder itself if it is one."""
    inside = folder / "model"
    return inside if not os.path.lexists(folder / "model.json") and os.path.lexists(inside / "model.json") else folder


def run_files(run: Run) -> list[Path]:
    """Return the files that a run, or a bare `model/` folder, may have."""
    return [*run.files, *(model_folder(run.path) / name for name in MODEL_FILES)]


def read_model_files(folder: Path) -> ModelFiles:
    """Read and check the `model/` folder of a run, or a bare one.

    Raises:
        UserError: there is none, it is damaged, it is not what textclf writes, or a newer textclf wrote it.
    """
    folder = model_folder(folder)
    path, graph_path = folder / "model.json", folder / "model.onnx"
    if not os.path.lexists(path):
        raise UserError(f"{folder} holds no model: {path} is missing. Name a run or a model/ folder.")
    raw = _read_json(path)
    try:
        document = _check_document(raw)
        description = _description(document)
        _check_probe(document["probe"], description)
    except InvalidField as problem:
        raise UserError(f"{path} is damaged: {problem}. Copy the folder again.") from None
    graph = read_regular_file(graph_path, limit=MAX_GRAPH_BYTES)
    if hashlib.sha256(graph).hexdigest() != document["sha256"]:
        raise UserError(f"{graph_path} is not the file that {path} describes: another sha256. Copy the folder again.")
    try:
        _check_graph(graph, description)
    except ForeignGraph as problem:
        raise UserError(f"{graph_path} is no graph that this textclf writes: {problem}. Train the run again.") from None
    pieces = _read_tokenizer(folder / TOKENIZER, path, document["tokenizer"])
    return ModelFiles(description, document["probe"], graph_path, graph, pieces)


def _read_tokenizer(path: Path, description: Path, document: TokenizerDocument | None) -> PieceTokenizer | None:
    """Read the tokenizer of an encoder; None: the model has no encoder.

    Args:
        description: path of model.json.

    Raises:
        UserError: it is damaged, not the one that was saved, or the package that reads it is missing.
    """
    if document is None:
        return None
    data = read_regular_file(path, limit=MAX_TOKENIZER_BYTES)
    if hashlib.sha256(data).hexdigest() != document["sha256"]:
        raise UserError(f"{path} is not the file that {description} describes: another sha256. Copy the folder again.")
    pieces = PieceTokenizer(data, source=path)
    if pieces.size != document["pieces"]:
        raise UserError(
            f"{description} is damaged: tokenizer.pieces: found {document['pieces']}, need {pieces.size}, as "
            f"{path} has. Copy the folder again."
        )
    return pieces


def read_regular_file(path: Path, *, limit: int) -> bytes:
    """Read a file of a run from a stranger.

    Raises:
        UserError: it cannot be read, has more than `limit` bytes, or is no regular file: a link could lead to any
            other, and a pipe keeps its reader waiting.
    """
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode):
            raise UserError(f"{path} is no regular file. Copy the folder again.")
        if state.st_size > limit:
            raise UserError(f"{path} has {state.st_size} bytes, more than any model: at most {limit} are read.")
        with path.open("rb") as file:
            return file.read(state.st_size)  # not `limit`: Python allocates as much as is requested
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def _read_json(path: Path) -> dict[str, Any]:
    """Read model.json and check its format, but no other field.

    Raises:
        UserError: it is no JSON object, too large, or of a format that is not read here.
    """
    data = read_regular_file(path, limit=MAX_JSON_BYTES)
    if data.count(b"[") + data.count(b"{") > MAX_JSON_LISTS or data.count(b",") > MAX_JSON_VALUES:
        raise UserError(f"{path} is damaged: more values than any model has. Copy the folder again.")
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}. Copy the folder again.") from None
    except RecursionError:
        raise UserError(f"{path} is damaged: nested too deeply. Copy the folder again.") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} is damaged: found {document!r:.60}, need an object. Copy the folder again.")
    version = document.get("format")
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise UserError(f"{path} has format {version!r:.60}; this textclf ({__version__}) reads 1 to {FORMAT}.")
    return document


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


# A field of model.json is added here and to ModelDocument, and to Description if predicting needs it.
CHECKS: dict[str, Callable[[Any, str], None]] = {
    "textclf": check_text,
    "sha256": check_digest,
    "text": lambda value, name: check_options(TextOptions, value, name),
    "vocabulary": check_words,
    "labels": check_labels,
    "label_separator": check_text_or_null,
    "column": check_columns,
    "label_column": check_text,
    "threshold": check_threshold,
    "network_limits": check_object_or_null,
    "part_thresholds": check_object,
    "tokenizer": check_object_or_null,
    "probe": check_object,
}

SINCE = {"checksum": 2, "network_limits": 4, "part_thresholds": 4, "tokenizer": 5}
"""The format from which on model.json has a field."""


def _check_document(document: dict[str, Any]) -> ModelDocument:
    """Check every field of model.json except the content of the probe; return it in the newest format.

    Raises:
        InvalidField: a field is missing or invalid.
    """
    every = CHECKS | {"checksum": check_digest}
    checks = {name: check for name, check in every.items() if document["format"] >= SINCE.get(name, 1)}
    check_keys(document.keys() - {"format"}, checks.keys())
    current = {"network_limits": None, "part_thresholds": {}, "tokenizer": None, **document}
    if document["format"] == 4 and isinstance(document["network_limits"], dict):
        current["network_limits"] = {"first_piece": None, **document["network_limits"]}
    if document["format"] < 3:
        check_object(document["text"], "text")
        current["text"] = document["text"] | {"rules": 1}
    for name, check in checks.items():
        check(current[name], name)
    if document["format"] > 1 and document["checksum"] != checksum(document):
        raise InvalidField("its checksum is that of another content")
    return cast(ModelDocument, current)


def _description(document: ModelDocument) -> Description:
    """Return the fields that predicting needs, after checks of those that depend on each other.

    Raises:
        InvalidField: a field is missing or invalid.
    """
    pieces = _pieces(document)
    _check_thresholds(document)
    return Description(
        text=TextOptions(**document["text"]),
        vocabulary=document["vocabulary"],
        labels=document["labels"],
        label_separator=document["label_separator"],
        column=document["column"],
        label_column=document["label_column"],
        threshold=document["threshold"],
        network_limits=_network_limits(document),
        part_thresholds=document["part_thresholds"],
        piece_count=pieces,
    )


def _check_thresholds(document: ModelDocument) -> None:
    """Refuse thresholds of other parts than a blend has, and lists that are not one threshold for each label.

    Raises:
        InvalidField: a threshold is missing or invalid.
    """
    of_parts, labels = document["part_thresholds"], document["labels"]
    check_keys(
        of_parts.keys(), {NETWORK, *PARTS} if document["network_limits"] is not None else (), of="part_thresholds"
    )
    multilabel = document["label_separator"] is not None
    needed = f"a number, or one for each of {len(labels)} labels" if multilabel else "a number"
    thresholds = {"threshold": document["threshold"]}
    thresholds |= {f"part_thresholds.{name}": threshold for name, threshold in of_parts.items()}
    for name, threshold in thresholds.items():
        check_threshold(threshold, name)
        complete = not isinstance(threshold, list) or (multilabel and len(threshold) == len(labels))
        require(complete, threshold, name, needed)


def _pieces(document: ModelDocument) -> int | None:
    """Return the number of pieces of the encoder's tokenizer.

    Raises:
        InvalidField: a field is missing or invalid.
    """
    tokenizer = document["tokenizer"]
    if tokenizer is None:
        return None
    check_keys(tokenizer.keys(), ("sha256", "pieces"), of="tokenizer")
    check_digest(tokenizer["sha256"], "tokenizer.sha256")
    check_whole_number(tokenizer["pieces"], "tokenizer.pieces", 1, MAX_PIECES)
    return tokenizer["pieces"]


def _network_limits(document: ModelDocument) -> InputLimits | None:
    """Return what the network of a blend reads.

    Raises:
        InvalidField: a field is missing or invalid.
    """
    limits = document["network_limits"]
    if limits is None:
        return None
    check_keys(limits.keys(), InputLimits._fields, of="network_limits")
    ids, tokenizer = len(document["vocabulary"]) + RESERVED, document["tokenizer"]
    first = ids if tokenizer else None
    require(limits["first_piece"] == first, limits["first_piece"], "network_limits.first_piece", json.dumps(first))
    known = RESERVED + tokenizer["pieces"] if tokenizer else ids
    check_whole_number(limits["vocabulary"], "network_limits.vocabulary", known if tokenizer else RESERVED, known)
    check_whole_number(limits["max_length"], "network_limits.max_length", 1, WHOLE_TEXT)
    require(limits["truncate"] in get_args(TruncatedEnd), limits["truncate"], "network_limits.truncate", "start or end")
    return InputLimits(**limits)


def _check_probe(probe: Mapping[str, Any], description: Description) -> None:
    """Refuse probe rows that no text gives, and probabilities that no model gives.

    Raises:
        InvalidField: a row or a probability is invalid, or a field is missing.
    """
    check_keys(probe.keys(), {"token_ids", "probabilities"})
    rows, probabilities = probe["token_ids"], probe["probabilities"]
    require(
        isinstance(rows, list) and 0 < len(rows) <= MAX_PROBE_ROWS, rows, "probe.token_ids",
        f"1 to {MAX_PROBE_ROWS} rows",
    )  # fmt: skip
    require(
        isinstance(probabilities, list) and len(probabilities) == len(rows),
        probabilities, "probe.probabilities", f"{len(rows)} rows, as many as probe.token_ids",
    )  # fmt: skip
    width, ids, labels = description.text.max_length, description.shape.vocabulary, len(description.labels)
    pieces = description.network_length
    if description.piece_count is not None and description.network_limits:
        width += pieces  # behind the words of the other parts
    for index, (row, values) in enumerate(zip(rows, probabilities, strict=True)):
        require(
            isinstance(row, list) and 0 < len(row) <= width
            and all(type(token_id) is int and PADDING < token_id < ids for token_id in row),
            row, f"probe.token_ids[{index}]", f"1 to {width} whole numbers from {PADDING + 1} to {ids - 1}",
        )  # fmt: skip
        if description.piece_count is not None:
            is_piece = [token_id >= description.first_piece for token_id in row]
            require(  # attention takes memory of the square of the pieces
                is_piece[-1] and is_piece == sorted(is_piece) and sum(is_piece) <= pieces,
                row, f"probe.token_ids[{index}]", f"words and, behind them, 1 to {pieces} pieces",
            )  # fmt: skip
        require(
            isinstance(values, list) and len(values) == labels
            and all(isinstance(value, float) and 0 <= value <= 1 for value in values),
            values, f"probe.probabilities[{index}]", f"{labels} numbers from 0 to 1",
        )  # fmt: skip


def _check_graph(graph: bytes, description: Description) -> None:
    """Refuse a graph that differs from the one that textclf writes for its weights, in any byte.

    Raises:
        ForeignGraph: it does, or its encoder reads fewer pieces than a text may have.
    """
    constants, metadata = read_graph(graph)
    rewritten = rewrite_onnx_model(description.shape, constants, metadata, limits=description.network_limits)
    if rewritten != graph:
        difference = first_difference(read_model(graph), read_model(rewritten))
        raise ForeignGraph(difference or "the same content is written in another way")
    for name, array in constants.items():
        if name.split(".")[-1] == "positions" and len(array) < description.network_length:
            raise ForeignGraph(
                f"its encoder has {len(array)} positions, and model.json lets it read {description.network_length} "
                "pieces of a text"
            )
