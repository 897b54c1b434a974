"""Ways to damage a model/ folder: files, fields of model.json, bytes and parts of the graph, with digests that fit."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from textclf.inference.model_folder import checksum
from textclf.models.onnx.graph import MESSAGES, read_model
from textclf.models.onnx.protobuf import write

Damage = Callable[[Path], object]


def write_document(folder: Path, document: dict[str, Any]) -> None:
    """model.json, with the checksum that it should have: who makes a folder to harm can compute it too."""
    text = json.dumps(document | {"checksum": checksum(document)})
    (folder / "model.json").write_text(text, encoding="utf-8")


def read_document(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def field(*keys: str | int, value: Any) -> Damage:
    """Gives a field of model.json, of several levels if need be, another value."""

    def damage(folder: Path) -> None:
        held = document = read_document(folder)
        for key in keys[:-1]:
            held = held[key]
        held[keys[-1]] = value
        write_document(folder, document)

    return damage


def without(key: str) -> Damage:
    return lambda folder: write_document(folder, {k: v for k, v in read_document(folder).items() if k != key})


def content(data: bytes) -> Damage:
    return lambda folder: (folder / "model.json").write_bytes(data)


def graph_bytes(change: Callable[[bytes], bytes]) -> Damage:
    """Changes the bytes of model.onnx, and the sha256 with them."""

    def damage(folder: Path) -> None:
        path = folder / "model.onnx"
        path.write_bytes(change(path.read_bytes()))
        field("sha256", value=hashlib.sha256(path.read_bytes()).hexdigest())(folder)

    return damage


def graph(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Changes the graph as a document."""

    def changed(data: bytes) -> bytes:
        document = read_model(data)
        change(document)
        return b"".join(write(document, "model", MESSAGES))

    return graph_bytes(changed)


def appended(number: int, data: bytes) -> Damage:
    """Adds a field to the outermost message of model.onnx."""
    return graph_bytes(lambda before: before + tagged(number, data))


def tagged(number: int, data: bytes) -> bytes:
    """A field of bytes, fewer than 128, as Protocol Buffers writes it."""
    assert len(data) < 128
    key = number << 3 | 2
    return bytes([key] if key < 128 else [key & 127 | 128, key >> 7]) + bytes([len(data)]) + data


def alone(number: int, data: bytes) -> Damage:
    """A graph of nothing but one field."""
    return graph_bytes(lambda _: tagged(7, tagged(number, data)))


def constant(name: str, **changes: Any) -> Damage:
    def change(document: dict[str, Any]) -> None:
        next(each for each in document["graph"]["initializer"] if each["name"] == name).update(changes)

    return graph(change)


def weights(name: str, value: float) -> Damage:
    """Sets the first number of a constant."""

    def change(document: dict[str, Any]) -> None:
        tensor = next(each for each in document["graph"]["initializer"] if each["name"] == name)
        numbers = np.frombuffer(tensor["raw_data"], np.float32).copy()
        numbers[0] = value
        tensor["raw_data"] = numbers.tobytes()

    return graph(change)


def node(place: int, **changes: Any) -> Damage:
    return graph(lambda document: document["graph"]["node"][place].update(changes))


def replaced(name: str, put: Callable[[Path], object]) -> Damage:
    """Puts something else in the place of a file."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return damage


def sparse(name: str, size: int) -> Damage:
    """Makes a file so long, without taking room on the disk."""
    return lambda folder: os.truncate(folder / name, size)


def swapped(data: bytes) -> bytes:
    """The same fields of the outermost message, the last first: the same graph to any reader."""
    return data[2:] + data[:2]
