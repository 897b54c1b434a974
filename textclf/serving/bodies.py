"""The bodies of requests: JSON from strangers, checked before it is used; each message names the place."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from textclf.inference.json_fields import InvalidField, require
from textclf.io.sanitize import is_encodable

OUTPUTS = ("label", "probability", "probabilities")
"""The outputs of the open inference protocol, by name."""


@dataclass(frozen=True)
class Limits:
    """The most that a request may ask for."""

    body: int = 4_000_000
    """Bytes of a body."""
    texts: int = 1000
    """Texts of a request."""
    characters: int = 100_000
    """Characters of a text."""
    explained_texts: int = 32
    """Texts of a request that are explained."""
    explained_characters: int = 20_000
    """Characters of all texts of a request that are explained: each is predicted some 1,500 times."""
    at_once: int = 64
    """Requests for predictions that are under way."""
    seconds: float = 15
    """For a request to arrive."""


class TooMuch(Exception):  # noqa: N818 - its text is the whole message
    """A request for more than the limits allow; the text says for what."""


class PredictRequest(NamedTuple):
    """The body of POST /predict."""

    texts: list[str]
    explain: bool


class InferRequest(NamedTuple):
    """The body of POST /v2/models/NAME/infer."""

    texts: list[str]
    id: str | None
    outputs: list[str]
    """Names in OUTPUTS."""


def parse_predict(body: bytes, limits: Limits) -> PredictRequest:
    """Return what the body of POST /predict asks for.

    Raises:
        InvalidField: it is not what the protocol asks for.
        TooMuch: it goes beyond a limit.
    """
    document = _parse_object(body)
    _check_names(document, needed=("texts",), optional=("explain",), of="the body")
    explain = document.get("explain", False)
    require(isinstance(explain, bool), explain, "explain", "true or false")
    texts = _texts(document["texts"], "texts", limits)
    if explain:
        _check_size(len(texts), limits.explained_texts, "texts", "texts are explained at once")
        characters = sum(map(len, texts))
        _check_size(characters, limits.explained_characters, "texts", "characters are explained at once")
    return PredictRequest(texts, explain)


def parse_infer(body: bytes, limits: Limits) -> InferRequest:
    """Return what a body of the open inference protocol asks for.

    Raises:
        InvalidField: it is not what the protocol asks for.
        TooMuch: it goes beyond a limit.
    """
    document = _parse_object(body)
    _check_names(document, needed=("inputs",), optional=("id", "outputs", "parameters"), of="the body")
    identity = document.get("id")
    require(identity is None or (isinstance(identity, str) and is_encodable(identity)), identity, "id", "text")
    _check_parameters(document, "parameters")
    inputs = document["inputs"]
    require(isinstance(inputs, list) and len(inputs) == 1, inputs, "inputs", "a list of one input")
    return InferRequest(_input_texts(inputs[0], limits), identity, _output_names(document.get("outputs")))


def _input_texts(tensor: Any, limits: Limits) -> list[str]:
    """Return the texts of a tensor of the protocol, of the shape [n] or [n, 1].

    Raises:
        InvalidField: it is not what the protocol asks for.
        TooMuch: it goes beyond a limit.
    """
    require(isinstance(tensor, dict), tensor, "inputs[0]", "an object")
    _check_names(tensor, needed=("name", "shape", "datatype", "data"), optional=("parameters",), of="inputs[0]")
    require(tensor["name"] == "text", tensor["name"], "inputs[0].name", "text, the model's one input")
    require(tensor["datatype"] == "BYTES", tensor["datatype"], "inputs[0].datatype", "BYTES")
    _check_parameters(tensor, "inputs[0].parameters")
    data = tensor["data"]
    if isinstance(data, list) and data and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    texts = _texts(data, "inputs[0].data", limits)
    shape = tensor["shape"]
    fits = isinstance(shape, list) and all(type(size) is int for size in shape) and shape[1:] in ([], [1])
    require(fits and shape[:1] == [len(texts)], shape, "inputs[0].shape", f"[{len(texts)}], as data has")
    return texts


def _output_names(outputs: Any) -> list[str]:
    """Return the names of the outputs that are asked for; all where none is.

    Raises:
        InvalidField: one is unknown.
    """
    if outputs is None or outputs == []:
        return [*OUTPUTS]
    require(isinstance(outputs, list) and len(outputs) <= len(OUTPUTS), outputs, "outputs", "a list of outputs")
    names = []
    for index, output in enumerate(outputs):
        place = f"outputs[{index}]"
        require(isinstance(output, dict), output, place, "an object")
        _check_names(output, needed=("name",), optional=("parameters",), of=place)
        _check_parameters(output, f"{place}.parameters")
        name = output["name"]
        require(isinstance(name, str) and name in OUTPUTS and name not in names, name, f"{place}.name", _choices())
        names.append(name)
    return names


def _choices() -> str:
    return f"one of {', '.join(OUTPUTS)}, each once"


def _check_parameters(document: dict[str, Any], name: str) -> None:
    """Refuse parameters that are not an object, and those of the protocol's extension for binary tensors."""
    parameters = document.get("parameters", {})
    require(isinstance(parameters, dict), parameters, name, "an object")
    if "binary_data_size" in parameters or parameters.get("binary_data"):
        raise InvalidField(f"{name}: binary tensors are not read; send the texts as JSON")


def _texts(value: Any, name: str, limits: Limits) -> list[str]:
    """Return a list of texts.

    Raises:
        InvalidField: it is none.
        TooMuch: there are too many, or one is too long.
    """
    require(isinstance(value, list), value, name, "a list of texts")
    _check_size(len(value), limits.texts, name, "texts are predicted at once")
    for index, text in enumerate(value):
        if not isinstance(text, str):
            require(False, text, f"{name}[{index}]", "a text")
        if len(text) > limits.characters:
            _check_size(len(text), limits.characters, f"{name}[{index}]", "characters of a text are read")
        if not is_encodable(text):
            raise InvalidField(f"{name}[{index}]: it has half of a surrogate pair, which is no character")
    return value


def _check_size(size: int, most: int, name: str, what: str) -> None:
    if size > most:
        raise TooMuch(f"{name}: found {size:,}; at most {most:,} {what}")


def _check_names(
    document: dict[str, Any], *, needed: tuple[str, ...], optional: tuple[str, ...], of: str
) -> None:  # fmt: skip
    """Refuse an object that lacks a name or has an unknown one."""
    if missing := [name for name in needed if name not in document]:
        raise InvalidField(f"{of} lacks {', '.join(missing)}")
    known = (*needed, *optional)
    unknown = next((name for name in document if name not in known), None)
    if unknown is not None:
        raise InvalidField(f"{of} has {unknown!r:.60}, which is unknown; it takes {', '.join(known)}")


# JSON


def _parse_object(body: bytes) -> dict[str, Any]:
    """Return the object in a body: strict JSON in UTF-8, each name once.

    Raises:
        InvalidField: it is none.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidField(f"the body is not UTF-8: byte 0x{body[error.start]:02x} at {error.start}") from None
    if not text.strip():
        raise InvalidField("the body is empty, need a JSON object")
    try:
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidField(f"the body is no JSON: {place}: {error.msg.split(' (')[0].lower()}") from None
    except RecursionError:
        raise InvalidField("the body is nested too deeply") from None
    except ValueError:  # a whole number of thousands of digits
        raise InvalidField("the body has a number of too many digits") from None
    require(isinstance(document, dict), document, "the body", "an object")
    return document


def _refuse_constant(constant: str) -> NoReturn:
    raise InvalidField(f"the body is no JSON: {constant} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise InvalidField(f"the body has {twice!r:.60} twice in one object")
    return document
