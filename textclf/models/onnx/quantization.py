"""How the numbers of a trained network are kept: as they are, or in fewer bytes.

Only what is kept differs. Computing is done with float32, into which ONNX Runtime turns the constants once, when it
loads the model: so a row never depends on its batch, as it may where activations are quantized (onnxruntime #8625).
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Storage = Literal["float32", "float16", "int8"]

STORAGES: tuple[Storage, ...] = get_args(Storage)

SCALE = ".scale"  # ends the name of what an int8 constant is multiplied by

TABLE = "embedding"  # the constant of which each row is a vector; of every other matrix each column belongs together

NARROWEST = 8  # rows or columns: of less there is little to save, and what is there, such as a bias, counts for more

LEVELS = 127  # int8 goes to 127 on both sides

HIGHEST = float(np.finfo(np.float16).max)


def stored(constants: Mapping[str, Array], storage: Storage) -> dict[str, Array]:
    """The constants as they are kept: matrices in fewer bytes, what is no matrix as it is.

    An int8 constant comes with NAME.scale, a float32 number for each row of a table, shape (rows, 1), or for each
    column of another matrix, shape (1, columns): the largest of its numbers over 127 (symmetric, to the nearest).
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
    """The constants as they are computed with, float32, however they are kept."""
    found = {}
    for name, array in constants.items():
        if array.dtype == np.int8:
            found[name] = array.astype(np.float32) * constants[name + SCALE]
        elif not name.endswith(SCALE):
            found[name] = array.astype(np.float32, copy=False)
    return found


def scale_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what an int8 constant of this shape is multiplied by."""
    return (shape[0], 1) if name == TABLE else (1, shape[-1])


def stored_bytes(name: str, shape: tuple[int, ...], storage: Storage) -> int:
    """Return the bytes that `stored` makes of a constant of this shape, with its scale."""
    count = math.prod(shape)
    if storage == "float32" or len(shape) != 2 or min(shape) < NARROWEST:
        return 4 * count
    return 2 * count if storage == "float16" else count + 4 * math.prod(scale_shape(name, shape))
