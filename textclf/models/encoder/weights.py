"""The weights of a pretrained encoder, read from model.safetensors without a library.

The format is simple (https://huggingface.co/docs/safetensors): 8 bytes with the length of a JSON header, the header,
which has type, shape and place of each tensor, and the values. The header is checked against the encoder's sizes and
the size of the file before any value is read, so a hostile file takes no more memory than its own size.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.io.sanitize import excerpt, join_names
from textclf.io.streams import open_data
from textclf.models.architecture import Floats
from textclf.models.encoder.folder import COPY, WEIGHTS, PretrainedEncoder, damaged
from textclf.models.encoder.sizes import encoder_weight_shapes

MAX_HEADER_BYTES = 1 << 22  # a hundred for each tensor; 48 layers have 800

PIECES = "embeddings.word_embeddings.weight"
"""End of the name of the table of pieces in any family; what precedes it, precedes the other names."""

TOKEN_TYPES = "embeddings.token_type_embeddings.weight"

_EMBEDDINGS = {
    "pieces": PIECES,
    "positions": "embeddings.position_embeddings.weight",
    "norm": "embeddings.LayerNorm",
}

_BERT_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}

_DISTILBERT_LAYER = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "intermediate": "ffn.lin1",
    "output": "ffn.lin2",
    "output_norm": "output_layer_norm",
}

# The parts of a weight in PyTorch. TensorFlow's names of the parts of a normalisation are in files of the first BERTs.
_PARTS = {"kernel": ("weight",), "bias": ("bias",), "gamma": ("weight", "gamma"), "beta": ("bias", "beta")}

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
"""The types that are read; NumPy has no bfloat16, which is the first half of a float32."""


class _Tensor(NamedTuple):
    """A tensor in the file: its type, its shape and the place of its values."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def check_weights(encoder: PretrainedEncoder) -> None:
    """Check that the file has the weights of an encoder of these sizes, without reading them.

    Raises:
        UserError: the file is damaged, or has other weights.
    """
    path = encoder.path / WEIGHTS
    with open_data(path) as file:
        _find_tensors(path, file, encoder)


def read_weights(encoder: PretrainedEncoder) -> dict[str, Floats]:
    """Return the weights of an encoder, with the names and in the order of `encoder_weight_shapes`.

    Raises:
        UserError: the file is damaged, has other weights, or among them NaN or infinity.
    """
    path = encoder.path / WEIGHTS
    weights = {}
    with open_data(path) as file:
        tensors, token_types = _find_tensors(path, file, encoder)
        for name, tensor in tensors.items():
            values = _read_tensor(path, file, tensor)
            if name.endswith(".kernel"):
                values = np.ascontiguousarray(values.T)  # PyTorch's are (outputs, inputs)
            weights[name] = values
        positions = weights["positions"][encoder.first_position :]  # (positions, hidden)
        if token_types:
            positions = positions + _read_tensor(path, file, token_types)[0]  # every piece of a single text has type 0
    weights["positions"] = np.ascontiguousarray(positions)
    return weights


def _find_tensors(
    path: Path, file: BinaryIO, encoder: PretrainedEncoder
) -> tuple[dict[str, _Tensor], _Tensor | None]:  # fmt: skip
    """Return the tensor of each weight of an encoder, and the table of token types.

    Raises:
        UserError: one is missing, of another shape, or of a type that is not read.
    """
    header, data_start = _read_header(path, file)
    size = os.fstat(file.fileno()).st_size
    prefix = _prefix(path, header)
    sizes = encoder.sizes
    shapes = encoder_weight_shapes(sizes)
    shapes["positions"] = (sizes.positions + encoder.first_position, sizes.hidden)
    tensors = {}
    for name, shape in shapes.items():
        key = _first_known(path, header, [prefix + name for name in _file_names(name, encoder.family)])
        tensors[name] = _tensor(path, key, header[key], data_start=data_start, size=size)
        _check_shape(path, tensors[name], shape[::-1] if name.endswith(".kernel") else shape)
    token_types = None
    if encoder.family != "distilbert":
        key = _first_known(path, header, [prefix + TOKEN_TYPES])
        token_types = _tensor(path, key, header[key], data_start=data_start, size=size)
        _check_shape(path, token_types, (max(1, *token_types.shape[:1]), sizes.hidden))
    _check_overlap(path, [*tensors.values(), *([token_types] if token_types else [])])
    return tensors, token_types


def _read_header(path: Path, file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return the header of a file, and the place where the values begin.

    Raises:
        UserError: the file has no header.
    """
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(MAX_HEADER_BYTES, os.fstat(file.fileno()).st_size - 8):
        raise damaged(path, f"its header has {length} bytes, more than the file or than {MAX_HEADER_BYTES}, or none")
    try:
        header = json.loads(file.read(length).decode("utf-8"))
    except ValueError as error:
        raise damaged(path, f"its header is no JSON: {error}") from None
    except RecursionError:
        raise damaged(path, "its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise damaged(path, f"its header is {header!r:.60}, no object")
    header.pop("__metadata__", None)
    return header, 8 + length


def _prefix(path: Path, header: Mapping[str, Any]) -> str:
    """Return what precedes the names of an encoder's weights, such as `bert.`.

    Raises:
        UserError: there is no encoder, or several.
    """
    tables = [name for name in header if name == PIECES or name.endswith("." + PIECES)]
    if len(tables) != 1:
        found = f"it has {len(tables)} of them" if tables else f"it has: {join_names([*header], most=3)}"
        raise UserError(f"{path} needs one tensor whose name ends in {PIECES}; {found}. Take another encoder.")
    return tables[0].removesuffix(PIECES)


def _file_names(name: str, family: str) -> Iterator[str]:
    """Yield the names, without a prefix, that a weight may have in a family's files."""
    if name in ("pieces", "positions"):
        yield _EMBEDDINGS[name]
        return
    *place, part, kind = name.split(".")  # "norm.gamma" or "layer_1.query.kernel"
    module = _EMBEDDINGS.get(part, "")
    if place:
        number = int(place[0].removeprefix("layer_")) - 1
        layers, names = (
            ("transformer.layer", _DISTILBERT_LAYER) if family == "distilbert" else ("encoder.layer", _BERT_LAYER)
        )
        module = f"{layers}.{number}.{names[part]}"
    for ending in _PARTS[kind]:
        yield f"{module}.{ending}"


def _first_known(path: Path, header: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        if name in header:
            return name
    raise UserError(f"{path} lacks {names[0]}, which config.json promises. {COPY}")


def _tensor(path: Path, name: str, entry: Any, *, data_start: int, size: int) -> _Tensor:
    """Return a checked entry of the header.

    Raises:
        UserError: it is none, of a type that is not read, or leads out of the file.
    """
    if not isinstance(entry, dict):
        raise damaged(path, f"{excerpt(name)}: found {entry!r:.60}, need an object")
    fields: dict[str, Any] = {"dtype": None, "shape": None, "data_offsets": None, **entry}
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise UserError(
            f"{path}: {excerpt(name)} has values of type {dtype!r:.60}; textclf reads {', '.join(_DTYPES)}. "
            "Save the encoder in one of these."
        )
    if not _is_counts(shape) or len(shape) > 4:
        raise damaged(path, f"{excerpt(name)}: shape is {shape!r:.60}, no list of whole numbers")
    bytes_needed = math.prod(shape) * _DTYPES[dtype].itemsize
    if not _is_counts(offsets) or len(offsets) != 2 or offsets[1] - offsets[0] != bytes_needed:
        raise damaged(path, f"{excerpt(name)}: data_offsets are {offsets!r:.60}, no {bytes_needed} bytes")
    if data_start + offsets[1] > size:
        raise damaged(path, f"{excerpt(name)} ends at byte {data_start + offsets[1]}, and the file has {size}")
    return _Tensor(name, dtype, tuple(shape), data_start + offsets[0], data_start + offsets[1])


def _is_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 1 << 40 for number in value)


def _check_shape(path: Path, tensor: _Tensor, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise UserError(
            f"{path}: {excerpt(tensor.name)} has shape {tensor.shape}, and by config.json it needs {shape}. {COPY}"
        )


def _check_overlap(path: Path, tensors: Sequence[_Tensor]) -> None:
    """Refuse tensors that share bytes: a small file could take any amount of memory by them.

    Raises:
        UserError: two tensors share bytes.
    """
    ordered = sorted(tensors, key=lambda tensor: (tensor.start, tensor.end))
    for before, after in pairwise(ordered):
        if after.start < before.end:
            raise damaged(path, f"{excerpt(before.name)} and {excerpt(after.name)} share bytes")


def _read_tensor(path: Path, file: BinaryIO, tensor: _Tensor) -> Floats:
    """Return the values of a tensor.

    Raises:
        UserError: the file has become shorter, or there is NaN or infinity among them.
    """
    file.seek(tensor.start)
    values: npt.NDArray[Any] = np.fromfile(file, _DTYPES[tensor.dtype], math.prod(tensor.shape))
    if len(values) != math.prod(tensor.shape):
        raise damaged(path, f"{excerpt(tensor.name)} is cut short")
    if tensor.dtype == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    floats: Floats = values.astype(np.float32, copy=False).reshape(tensor.shape)
    if not np.isfinite(floats).all():
        raise UserError(f"{path}: {excerpt(tensor.name)} holds NaN or infinity. Take another encoder.")
    return floats
