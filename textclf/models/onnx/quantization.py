"""Storing the weights of a trained network as they are, or in fewer bytes.

Only storage differs: ONNX Runtime converts the constants to float32 once, when it loads the model, and computes with
that. So a row never depends on its batch, as it can where activations are quantized (onnxruntime #8625).
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Storage = Literal["float32", "float16", "int8"]

STORAGES: tuple[Storage, ...] = get_args(Storage)

SCALE = ".scale"  # suffix of the constant that an int8 constant is multiplied by

TABLE = "embedding"  # scaled by row, each a word's vector; other matrices by column, each the inputs of a unit

NARROWEST = 8  # rows or columns; a smaller matrix saves little, and its numbers matter more

LEVELS = 127  # int8 reaches it on both sides

HIGHEST = float(np.finfo(np.float16).max)


def stored(constants: Mapping[str, Array], storage: Storage) -> dict[str, Array]:
    """Return the constants as they are stored: matrices in fewer bytes, others as they are.

    An int8 constant comes with NAME.scale, float32, of the rows of a table, shape (rows, 1), or of the columns of
    another matrix, shape (1, columns): the largest absolute number over 127 (symmetric, rounded to the nearest).
    """
    kept: dict[str, Array] = {}
    for name, array in constants.items():
        if array.ndim != 2 or min(array.shape) < NARROWEST:
            kept[name] = array
        elif storage == "int8":
            scale = np.abs(array).max(axis=1 if name == TABLE else 0, keepdims=True) / np.float32(LEVELS)
            kept[name] = np.rint(array / np.where(scale > 0, scale, 1)).astype(np.int8)
            kept[name + SCALE] = scale.astype(np.float32)
        else:
            kept[name] = array.clip(-HIGHEST, HIGHEST).astype(np.float16) if storage == "float16" else array
    return kept


def plain(constants: Mapping[str, Array]) -> dict[str, Array]:
    """Return stored constants as float32."""
    converted = {}
    for name, array in constants.items():
        if array.dtype == np.int8:
            converted[name] = array.astype(np.float32) * constants[name + SCALE]
        elif not name.endswith(SCALE):
            converted[name] = array.astype(np.float32, copy=False)
    return converted


def scale_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the scale of an int8 constant."""
    return (shape[0], 1) if name == TABLE else (1, shape[-1])


def stored_bytes(name: str, shape: tuple[int, ...], storage: Storage) -> int:
    """Return the bytes that `stored` makes of a constant of this shape, with its scale."""
    count = math.prod(shape)
    if storage == "float32" or len(shape) != 2 or min(shape) < NARROWEST:
        return 4 * count
    return 2 * count if storage == "float16" else count + 4 * math.prod(scale_shape(name, shape))
