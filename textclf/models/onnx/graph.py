"""Writer and reader of ONNX graphs: nodes by operator, constants by name, loops over steps.

Of ONNX's format only the fields in MESSAGES are written, and no others are read: no functions, no data outside the
file, no operators of other domains, no branches, no loops inside loops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.onnx.protobuf import Document, Field, WireError, read, write
from textclf.models.onnx.quantization import SCALE, scale_shape

PROBABILITIES = "probabilities"  # name of the output

OPSET = 18  # reductions take their axes as an input from here on; read by ONNX Runtime since 1.14

IR_VERSION = 8

FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16 = 1, 2, 3, 6, 7, 9, 10  # ONNX's codes of these types

DTYPES: dict[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"), INT8: np.dtype("<i1"), INT32: np.dtype("<i4"), INT64: np.dtype("<i8"),
    FLOAT16: np.dtype("<f2"),
}  # fmt: skip

TYPE_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}

FLOAT_ATTRIBUTE, INT_ATTRIBUTE, GRAPH_ATTRIBUTE, INTS_ATTRIBUTE = 1, 2, 5, 7


def _graph_message(node: str) -> dict[int, Field]:
    return {
        1: Field("node", node, many=True),
        2: Field("name", "text"),
        5: Field("initializer", "tensor", many=True),
        11: Field("input", "value", many=True),
        12: Field("output", "value", many=True),
    }


def _node_message(attribute: str) -> dict[int, Field]:
    return {
        1: Field("input", "text", many=True),
        2: Field("output", "text", many=True),
        4: Field("op_type", "text"),
        5: Field("attribute", attribute, many=True),
    }


_NUMBER_ATTRIBUTE = {
    1: Field("name", "text"), 2: Field("f", "float"), 3: Field("i", "int"), 8: Field("ints", "int", many=True),
    20: Field("type", "int"),
}  # fmt: skip

MESSAGES = {
    "model": {
        1: Field("ir_version", "int"),
        2: Field("producer_name", "text"),
        7: Field("graph", "graph"),
        8: Field("opset_import", "opset", many=True),
        14: Field("metadata_props", "entry", many=True),
    },
    "opset": {1: Field("domain", "text"), 2: Field("version", "int")},
    "entry": {1: Field("key", "text"), 2: Field("value", "text")},
    "graph": _graph_message("node"),
    "node": _node_message("attribute"),
    "attribute": dict(sorted({**_NUMBER_ATTRIBUTE, 6: Field("g", "body")}.items())),
    "body": _graph_message("body_node"),
    "body_node": _node_message("body_attribute"),
    "body_attribute": _NUMBER_ATTRIBUTE,
    "tensor": {
        1: Field("dims", "int", many=True),
        2: Field("data_type", "int"),
        8: Field("name", "text"),
        9: Field("raw_data", "bytes"),
    },
    "value": {1: Field("name", "text"), 2: Field("type", "type")},
    "type": {1: Field("tensor_type", "tensor_type")},
    "tensor_type": {1: Field("elem_type", "int"), 2: Field("shape", "shape")},
    "shape": {1: Field("dim", "dim", many=True)},
    "dim": {1: Field("dim_value", "int"), 2: Field("dim_param", "text")},
}

Step = Callable[["Graph", list[str], list[str]], tuple[list[str], list[str]]]


class _Stored(str):
    """The name of a weight whose value is used as it is stored."""


class Graph:
    """An ONNX graph that is being written; values are known by their names. Weights are added when a node uses them.

    Args:
        weights: constants by the names that nodes use.
        prefix: put before the names of weights and of loops.
    """

    FLOAT, UINT8, INT32, INT64, BOOL = FLOAT, UINT8, INT32, INT64, BOOL

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], *, name: str = "textclf", prefix: str = ""):
        self.name = name
        self._prefix = prefix
        self._weights = weights
        self._inputs: Mapping[str, str] = {}  # values that stand for the inputs of the graph
        self._constants: dict[str, Document] = {}
        self._computed: dict[str, str] = {}  # the float32 value of a weight that is stored in fewer bytes
        self._nodes: list[Document] = []

    def part(
        self, prefix: str, weights: Mapping[str, npt.NDArray[Any]], *, inputs: Mapping[str, str] | None = None
    ) -> Graph:
        """Return a view of this graph with other weights, for a part of the network.

        Args:
            inputs: values that it reads in the place of `token_ids` and `lengths`.
        """
        part = copy(self)
        part._prefix, part._weights, part._inputs = prefix, weights, inputs or {}
        return part

    def constant(self, array: npt.NDArray[Any], *, name: str | None = None) -> str:
        """Add a constant and return its name."""
        name = self._prefix + name if name else f"{self.name}.constant_{len(self._constants)}"
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))  # a single number gets shape (1,)
        self._constants[name] = {
            "dims": list(data.shape),
            "data_type": TYPE_NUMBERS[data.dtype],
            "name": name,
            "raw_data": data.reshape(-1).view(np.uint8).data,
        }
        return name

    def weight(self, name: str) -> str:
        """Add a weight and return the name of its value: int32, or float32 however it is stored; see `quantization`."""
        array, own = self._weights[name], self._prefix + name
        if array.dtype in (np.float32, np.int32):
            return self.constant(array, name=name)
        if own not in self._computed:
            [value] = self._add("Cast", [self.constant(array, name=name)], 1, {"to": FLOAT})
            if array.dtype == np.int8:
                scale = self.constant(self._weights[name + SCALE], name=name + SCALE)
                [value] = self._add("Mul", [value, scale], 1, {})
            self._computed[own] = value
        return self._computed[own]

    def stored_weight(self, name: str) -> str:
        """Add a weight and return the name of its value as it is stored, such as int8 without its scale."""
        return _Stored(self.constant(self._weights[name], name=name))

    def ints(self, *values: int) -> str:
        """Add a list of integers, for shapes and axes."""
        return self.constant(np.array(values, np.int64))

    def ids(self, *values: int) -> str:
        """Add a list of integers of the token ids' type."""
        return self.constant(np.array(values, np.int32))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        return self.nodes(operator, *inputs, outputs=1, **attributes)[0]

    def nodes(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node of several outputs and return their names."""
        return self._add(operator, [self._resolve(name) for name in inputs], outputs, attributes)

    def _resolve(self, name: str) -> str:
        if name in self._weights and not isinstance(name, _Stored):
            return self.weight(name)
        return self._inputs.get(name, name)

    def _add(self, operator: str, inputs: list[str], outputs: int, attributes: Mapping[str, Any]) -> list[str]:
        names = [f"{self.name}.{operator.lower()}_{len(self._nodes)}_{i}" for i in range(outputs)]
        written = [_attribute(name, value) for name, value in sorted(attributes.items())]
        self._nodes.append({"input": inputs, "output": names, "op_type": operator, "attribute": written})
        return names

    def scan(
        self, name: str, step: Step, *, carried: list[str], read: list[str], masks: Sequence[str] = ()
    ) -> tuple[list[str], list[str]]:  # fmt: skip
        """Add a loop (Scan) over the first axis of values.

        Args:
            step: writes the body. (body, states, rows and masks) -> (next states, values to keep), all names, all
                different. A state has shape (batch, n), a row (batch,), a mask (batch, 1).
            carried: the states before the first step.
            read: the values, int32 of shape (width, batch).
            masks: further values, float32 of shape (width, batch, 1).

        Returns:
            The states after the last step, and what is kept of every step, shape (width, batch, n).
        """
        name = self._prefix + name
        body = Graph(self._weights, name=name, prefix=self._prefix)
        states = {f"{name}.state_{i}": FLOAT for i in range(len(carried))}
        rows = {f"{name}.row_{i}": INT32 for i in range(len(read))}
        rows |= {f"{name}.mask_{i}": FLOAT for i in range(len(masks))}
        after, kept = step(body, list(states), list(rows))
        assert len({*after, *kept}) == len([*after, *kept])  # ONNX Runtime silently mixes up equal names
        inputs = [_value(value, kind) for value, kind in (states | rows).items()]
        graph = body._document(inputs, [_value(value, FLOAT) for value in (*after, *kept)])
        outputs = self.nodes(
            "Scan", *carried, *read, *masks, outputs=len(after) + len(kept), body=graph, num_scan_inputs=len(rows)
        )
        return outputs[: len(after)], outputs[len(after) :]

    def finish(
        self, logits: str, *, activation: str, outputs: int, metadata: Mapping[str, str],
        further: Mapping[str, str] | None = None,
    ) -> bytes:  # fmt: skip
        """Return the file's bytes: a model from token_ids and lengths to probabilities, shape (batch, labels).

        A single sigmoid becomes two columns: of the first label and of the second.

        Args:
            metadata: options that cannot be inferred from the graph; `read_graph` returns them.
            further: values of shape (batch, outputs) that are outputs too, by the name of the output.
        """
        probabilities = (
            self.node("Sigmoid", logits) if activation == "sigmoid" else self.node("Softmax", logits, axis=1)
        )
        if outputs == 1:
            other = self.node("Sub", self.constant(np.array(1, np.float32)), probabilities)
            probabilities = self.node("Concat", other, probabilities, axis=1)
        further = further or {}
        for name, value in {PROBABILITIES: probabilities, **further}.items():
            self._nodes.append({"input": [value], "output": [name], "op_type": "Identity"})
        model = {
            "ir_version": IR_VERSION,
            "producer_name": "textclf",
            "graph": self._document(
                [_value("token_ids", INT32, "batch", "width"), _value("lengths", INT32, "batch")],
                [
                    _value(PROBABILITIES, FLOAT, "batch", max(2, outputs)),
                    *(_value(name, FLOAT, "batch", outputs) for name in further),
                ],
            ),
            "opset_import": [{"domain": "", "version": OPSET}],
            "metadata_props": [{"key": key, "value": value} for key, value in metadata.items()],
        }
        return b"".join(write(model, "model", MESSAGES))

    def _document(self, inputs: list[Document], outputs: list[Document]) -> Document:
        return {
            "node": self._nodes,
            "name": self.name,
            "initializer": list(self._constants.values()),
            "input": inputs,
            "output": outputs,
        }


def _attribute(name: str, value: Any) -> Document:
    if isinstance(value, int):
        return {"name": name, "i": value, "type": INT_ATTRIBUTE}
    if isinstance(value, float):
        return {"name": name, "f": value, "type": FLOAT_ATTRIBUTE}
    if isinstance(value, dict):
        return {"name": name, "g": value, "type": GRAPH_ATTRIBUTE}
    return {"name": name, "ints": value, "type": INTS_ATTRIBUTE}


def _value(name: str, kind: int, *dimensions: int | str) -> Document:
    """Return the declaration of an input or output; without dimensions its shape is left open."""
    tensor_type: Document = {"elem_type": kind}
    if dimensions:
        dims = [{"dim_param" if isinstance(size, str) else "dim_value": size} for size in dimensions]
        tensor_type["shape"] = {"dim": dims}
    return {"name": name, "type": {"tensor_type": tensor_type}}


class ForeignGraph(Exception):  # noqa: N818 - not every one is an error
    """A graph that textclf did not write; the text says what shows it."""


def read_graph(data: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return the constants of a graph by name, as views of the bytes, those in its loops included, and its metadata.

    Raises:
        ForeignGraph: it has a field that textclf never writes.
    """
    model = read_model(data)
    graphs = [model.get("graph", {})]
    graphs += [
        attribute["g"] for node in graphs[0].get("node", []) for attribute in node["attribute"] if "g" in attribute
    ]
    tensors = [tensor for graph in graphs for tensor in graph.get("initializer", [])]
    constants = {tensor.get("name", ""): _array(tensor) for tensor in tensors}
    return constants, {entry.get("key", ""): entry.get("value", "") for entry in model["metadata_props"]}


def read_model(data: bytes) -> Document:
    """Return the content of a model file as a document; raises as `read_graph` does."""
    try:
        return read(memoryview(data), "model", MESSAGES)
    except WireError as error:
        raise ForeignGraph(str(error)) from None


def _array(tensor: Document) -> npt.NDArray[Any]:
    name, shape, number = tensor.get("name", ""), tuple(tensor["dims"]), tensor.get("data_type")
    if number not in DTYPES:
        raise ForeignGraph(f"{name!r:.60} holds numbers of ONNX's type {number}")
    data, dtype = tensor.get("raw_data", b""), DTYPES[number]
    if not len(data) or prod(shape) * dtype.itemsize != len(data):
        raise ForeignGraph(f"{name!r:.60} has {len(data)} bytes for shape {shape!s:.60}")
    return np.frombuffer(data, dtype).reshape(shape)


def choice(metadata: Mapping[str, str], name: str, known: Collection[str]) -> str:
    """Return an entry of a graph's metadata that has one of the known values.

    Raises:
        ForeignGraph: it has none of them.
    """
    value = metadata.get(name, "")
    if value not in known:
        raise ForeignGraph(f"its {name} is {value!r:.60}, none of {', '.join(known)}")
    return value


def check_arrays(
    constants: Mapping[str, npt.NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
    integers: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Check the weights named in `shapes` and the int32 constants named in `integers`.

    Returns:
        These constants, and the scales of those in int8.

    Raises:
        ForeignGraph: one is missing, has another shape or type, or is not finite.
    """
    kept = {}
    for name, shape in shapes.items():
        kept[name] = _checked(constants, name, shape, (FLOAT, FLOAT16, INT8))
        if kept[name].dtype == DTYPES[INT8]:
            kept[name + SCALE] = _checked(constants, name + SCALE, scale_shape(name, shape), (FLOAT,))
    for name, shape in (integers or {}).items():
        kept[name] = _checked(constants, name, shape, (INT32,))
    return kept


def _checked(
    constants: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...], kinds: tuple[int, ...]
) -> npt.NDArray[Any]:
    array = constants.get(name)
    if array is None:
        raise ForeignGraph(f"its constant '{name}' is missing")
    wanted = [DTYPES[kind] for kind in kinds]
    if array.shape != shape or array.dtype not in wanted:
        names = ", ".join(map(str, wanted))
        raise ForeignGraph(f"its constant '{name}' has {array.dtype} of shape {array.shape}, not {names} of {shape}")
    if not np.isfinite(array).all():
        raise ForeignGraph(f"its constant '{name}' holds NaN or infinity")
    return array
