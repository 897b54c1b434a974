"""Quantization of the weights of a trained network: float16 or int8 in the file, float32 in memory.

Only the file is smaller: ONNX Runtime converts the constants to float32 once, when it loads the model, and computes
with that. So a row never depends on its batch, as it can where activations are quantized (onnxruntime #8625). The
kernels of an encoder are the exception: they stay int8, and their inputs get a scale for each token.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Storage = Literal["float32", "float16", "int8"]
"""The type of the weights in the file."""

SCALE = ".scale"  # suffix of the constant that an int8 constant is multiplied by

ROW_SCALED = {"embedding": 1, "table": 32, "pieces": 1, "positions": 1}
"""Constants with a scale per row (word vector, weights of a feature) from this many columns on; with fewer, the scales
would take too much space. All others have one per column (the input weights of a unit)."""

MIN_SIZE = 8  # rows and columns; a smaller matrix saves little, and its numbers matter more

NARROW = (
    "table",
    "idf",
)  # have a row per feature, so many that they are stored in fewer bytes with any number of columns

MAX_INT8 = 127  # symmetric: -128 is not used

MULTIPLIED_AS_INTEGERS = re.compile(r"layer_[0-9]+\.[a-z]+\.kernel")
"""Names of the kernels of an encoder, whose products ONNX Runtime computes in integers."""

# Processors before VNNI add two products of uint8 and int8 in 16 bits: 2 * 255 * 63 fits, 2 * 255 * 127 is cut off
# without a sign of it.
MAX_MULTIPLIED = 63

MAX_FLOAT16 = float(np.finfo(np.float16).max)


def quantize(constants: Mapping[str, Array], storage: Storage) -> dict[str, Array]:
    """Return the constants with matrices converted to the storage type; vectors and small matrices stay as they are.

    Int8 is symmetric, with round to nearest. The scale of a row or column is its largest absolute value / 127, or / 63
    in the kernels of an encoder, in the constant NAME.scale, float32, shape (rows, 1) for tables of wide rows, else
    (1, columns).
    """
    kept: dict[str, Array] = {}
    for name, array in constants.items():
        if not _is_converted(name, array.shape):
            kept[name] = array
        elif storage == "int8":
            largest = np.abs(array).max(axis=1 if _is_row_scaled(name, array.shape) else 0, keepdims=True)
            scale = largest / np.float32(MAX_MULTIPLIED if MULTIPLIED_AS_INTEGERS.fullmatch(name) else MAX_INT8)
            kept[name] = np.rint(array / np.where(scale > 0, scale, 1)).astype(np.int8)
            kept[name + SCALE] = scale.astype(np.float32)
        else:
            kept[name] = array.clip(-MAX_FLOAT16, MAX_FLOAT16).astype(np.float16) if storage == "float16" else array
    return kept


def dequantize(constants: Mapping[str, Array]) -> dict[str, Array]:
    """Return quantized constants as float32, without their scales, and all others as they are."""
    converted = {}
    for name, array in constants.items():
        if array.dtype == np.int8:
            converted[name] = array.astype(np.float32) * constants[name + SCALE]
        elif not name.endswith(SCALE):
            converted[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return converted


def scale_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the scale of an int8 constant."""
    return (shape[0], 1) if _is_row_scaled(name, shape) else (1, shape[-1])


def quantized_bytes(name: str, shape: tuple[int, ...], storage: Storage) -> int:
    """Return the size of a quantized constant of this shape in bytes, with its scale."""
    count = math.prod(shape)
    if storage == "float32" or not _is_converted(name, shape):
        return 4 * count
    return 2 * count if storage == "float16" else count + 4 * math.prod(scale_shape(name, shape))


def _is_converted(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and (min(shape) >= MIN_SIZE or name in NARROW)


def _is_row_scaled(name: str, shape: tuple[int, ...]) -> bool:
    return name in ROW_SCALED and shape[-1] >= ROW_SCALED[name]
