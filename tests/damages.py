"""Changes of a model/ folder that its digests do not show: files, fields of model.json, parts of the graph."""

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
    """Write model.json with the right checksum: an attacker can compute it too."""
    text = json.dumps(document | {"checksum": checksum(document)})
    (folder / "model.json").write_text(text, encoding="utf-8")


def read_document(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def field(*keys: str | int, value: Any) -> Damage:
    """Set a field of model.json, which may be nested, to another value."""

    def damage(folder: Path) -> None:
        container = document = read_document(folder)
        for key in keys[:-1]:
            container = container[key]
        container[keys[-1]] = value
        write_document(folder, document)

    return damage


def without(key: str) -> Damage:
    return lambda folder: write_document(folder, {k: v for k, v in read_document(folder).items() if k != key})


def content(data: bytes) -> Damage:
    return lambda folder: (folder / "model.json").write_bytes(data)


def graph_bytes(change: Callable[[bytes], bytes]) -> Damage:
    """Change the bytes of model.onnx, and its sha256 in model.json."""

    def damage(folder: Path) -> None:
        path = folder / "model.onnx"
        path.write_bytes(change(path.read_bytes()))
        field("sha256", value=hashlib.sha256(path.read_bytes()).hexdigest())(folder)

    return damage


def graph(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the graph as a document."""

    def changed(data: bytes) -> bytes:
        document = read_model(data)
        change(document)
        return b"".join(write(document, "model", MESSAGES))

    return graph_bytes(changed)


def appended(number: int, data: bytes) -> Damage:
    """Add a field to the outermost message of model.onnx."""
    return graph_bytes(lambda before: before + tagged(number, data))


def tagged(number: int, data: bytes) -> bytes:
    """Return a field of fewer than 128 bytes as Protocol Buffers writes it."""
    assert len(data) < 128
    key = number << 3 | 2
    return bytes([key] if key < 128 else [key & 127 | 128, key >> 7]) + bytes([len(data)]) + data


def alone(number: int, data: bytes) -> Damage:
    """Write a graph of one field only."""
    return graph_bytes(lambda _: tagged(7, tagged(number, data)))


def constant(name: str, **changes: Any) -> Damage:
    def change(document: dict[str, Any]) -> None:
        next(tensor for tensor in document["graph"]["initializer"] if tensor["name"] == name).update(changes)

    return graph(change)


def weights(name: str, value: float) -> Damage:
    """Set the first number of a constant."""

    def change(document: dict[str, Any]) -> None:
        tensor = next(tensor for tensor in document["graph"]["initializer"] if tensor["name"] == name)
        numbers = np.frombuffer(tensor["raw_data"], np.float32).copy()
        numbers[0] = value
        tensor["raw_data"] = numbers.tobytes()

    return graph(change)


def node(index: int, **changes: Any) -> Damage:
    return graph(lambda document: document["graph"]["node"][index].update(changes))


def replaced(name: str, put: Callable[[Path], object]) -> Damage:
    """Replace a file by something else."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        put(folder / name)

    return damage


def sparse(name: str, size: int) -> Damage:
    """Extend a file to a size without using space on the disk."""
    return lambda folder: os.truncate(folder / name, size)


def swapped(data: bytes) -> bytes:
    """Move the first field of the outermost message to the end: the same graph to any reader."""
    return data[2:] + data[:2]
