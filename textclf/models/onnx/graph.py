"""A few words to write an ONNX graph with, nodes by operator, constants by name, loops over steps, and to read it by.

Of ONNX's format only what stands in MESSAGES is written, and nothing else is read: no functions, no data outside the
file, no operators of other domains, no branches, no loops in loops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import copy
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.models.onnx.protobuf import Document, Field, WireError, read, write
from textclf.models.onnx.quantization import SCALE, scale_shape

OPSET = 18  # reductions take their axes as an input from here on; read by ONNX Runtime since 1.14

IR_VERSION = 8

FLOAT, INT8, INT32, INT64, BOOL, FLOAT16 = 1, 3, 6, 7, 9, 10  # ONNX's numbers

KINDS: dict[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"), INT8: np.dtype("<i1"), INT32: np.dtype("<i4"), INT64: np.dtype("<i8"),
    FLOAT16: np.dtype("<f2"),
}  # fmt: skip

NUMBERS = {kind: number for number, kind in KINDS.items()}

INT_ATTRIBUTE, GRAPH_ATTRIBUTE, INTS_ATTRIBUTE = 2, 5, 7


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


_NUMBERS_ATTRIBUTE = {
    1: Field("name", "text"), 3: Field("i", "int"), 8: Field("ints", "int", many=True), 20: Field("type", "int")
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
    "attribute": dict(sorted({**_NUMBERS_ATTRIBUTE, 6: Field("g", "body")}.items())),
    "body": _graph_message("body_node"),
    "body_node": _node_message("body_attribute"),
    "body_attribute": _NUMBERS_ATTRIBUTE,
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


class Graph:
    """An ONNX graph in the making; values go by their names. Weights enter when a node asks for them.

    Args:
        prefix: what stands before the names of weights and of loops.
    """

    FLOAT, INT32, INT64, BOOL = FLOAT, INT32, INT64, BOOL

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], *, name: str = "textclf", prefix: str = ""):
        self.name = name
        self._prefix = prefix
        self._weights = weights
        self._constants: dict[str, Document] = {}
        self._computed: dict[str, str] = {}  # what stands for a weight that is kept in fewer bytes
        self._nodes: list[Document] = []

    def part(self, prefix: str, weights: Mapping[str, npt.NDArray[Any]]) -> Graph:
        """The same graph for a part of it that has weights of its own."""
        part = copy(self)
        part._prefix, part._weights = prefix, weights
        return part

    def constant(self, array: npt.NDArray[Any], *, name: str | None = None) -> str:
        name = self._prefix + name if name else f"{self.name}.constant_{len(self._constants)}"
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))  # a single number gets shape (1,)
        self._constants[name] = {
            "dims": list(data.shape),
            "data_type": NUMBERS[data.dtype],
            "name": name,
            "raw_data": data.reshape(-1).view(np.uint8).data,
        }
        return name

    def weight(self, name: str) -> str:
        """The weight as nodes compute with it, float32, however it is kept; see `storage`."""
        array, own = self._weights[name], self._prefix + name
        if array.dtype == np.float32:
            return self.constant(array, name=name)
        if own not in self._computed:
            [value] = self._add("Cast", [self.constant(array, name=name)], 1, {"to": FLOAT})
            if array.dtype == np.int8:
                scale = self.constant(self._weights[name + SCALE], name=name + SCALE)
                [value] = self._add("Mul", [value, scale], 1, {})
            self._computed[own] = value
        return self._computed[own]

    def ints(self, *values: int) -> str:
        """A list of whole numbers, as shapes and axes are given."""
        return self.constant(np.array(values, np.int64))

    def ids(self, *values: int) -> str:
        """The same of the type of token ids."""
        return self.constant(np.array(values, np.int32))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; its output's name."""
        return self.nodes(operator, *inputs, outputs=1, **attributes)[0]

    def nodes(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Adds a node of several outputs; their names."""
        read = [self.weight(name) if name in self._weights else name for name in inputs]
        return self._add(operator, read, outputs, attributes)

    def _add(self, operator: str, inputs: list[str], outputs: int, attributes: Mapping[str, Any]) -> list[str]:
        names = [f"{self.name}.{operator.lower()}_{len(self._nodes)}_{i}" for i in range(outputs)]
        written = [_attribute(name, value) for name, value in sorted(attributes.items())]
        self._nodes.append({"input": inputs, "output": names, "op_type": operator, "attribute": written})
        return names

    def scan(self, name: str, step: Step, *, carried: list[str], read: list[str]) -> list[str]:
        """Adds a loop over the rows of what is read; the names of what it keeps of every step.

        Args:
            step: writes the body, given the names of what is carried, shape (batch, n), and of the rows read, shape
                (batch,); gives the names of what is carried on and of what is kept, all different.
            carried: what the first step finds.
        """
        name = self._prefix + name
        body = Graph(self._weights, name=name, prefix=self._prefix)
        states = {f"{name}.state_{i}": FLOAT for i in range(len(carried))}
        rows = {f"{name}.row_{i}": INT32 for i in range(len(read))}
        after, kept = step(body, list(states), list(rows))
        assert len({*after, *kept}) == len([*after, *kept])  # else ONNX Runtime mixes them up without a word
        inputs = [_value(value, kind) for value, kind in (states | rows).items()]
        graph = body._document(inputs, [_value(value, FLOAT) for value in (*after, *kept)])
        results = len(after) + len(kept)
        return self.nodes("Scan", *carried, *read, outputs=results, body=graph, num_scan_inputs=len(read))[len(after) :]

    def finish(self, logits: str, *, activation: str, outputs: int, metadata: Mapping[str, str]) -> bytes:
        """The bytes of the model from token_ids and lengths to probabilities, shape (batch, labels).

        A single sigmoid becomes two columns: of the first label and of the second.

        Args:
            metadata: what cannot be seen from the graph; `read_graph` gives it back.
        """
        probabilities = (
            self.node("Sigmoid", logits) if activation == "sigmoid" else self.node("Softmax", logits, axis=1)
        )
        if outputs == 1:
            other = self.node("Sub", self.constant(np.array(1, np.float32)), probabilities)
            probabilities = self.node("Concat", other, probabilities, axis=1)
        self._nodes.append({"input": [probabilities], "output": ["probabilities"], "op_type": "Identity"})
        model = {
            "ir_version": IR_VERSION,
            "producer_name": "textclf",
            "graph": self._document(
                [_value("token_ids", INT32, "batch", "width"), _value("lengths", INT32, "batch")],
                [_value("probabilities", FLOAT, "batch", max(2, outputs))],
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
    if isinstance(value, dict):
        return {"name": name, "g": value, "type": GRAPH_ATTRIBUTE}
    return {"name": name, "ints": value, "type": INTS_ATTRIBUTE}


def _value(name: str, kind: int, *dimensions: int | str) -> Document:
    """What is said of an input or output; without dimensions nothing of its shape."""
    written: Document = {"elem_type": kind}
    if dimensions:
        dims = [{"dim_param" if isinstance(each, str) else "dim_value": each} for each in dimensions]
        written["shape"] = {"dim": dims}
    return {"name": name, "type": {"tensor_type": written}}


class ForeignGraph(Exception):  # noqa: N818 - not every one is an error
    """A graph that was not written here; the text says by what that was seen."""


def read_graph(data: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """The constants of a graph, those in its loops included, by their names, as views of the bytes; and its metadata.

    Raises:
        ForeignGraph: it has what no graph has that is written here.
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
    """All of a graph's file as a document; see `read_graph`."""
    try:
        return read(memoryview(data), "model", MESSAGES)
    except WireError as error:
        raise ForeignGraph(str(error)) from None


def _array(tensor: Document) -> npt.NDArray[Any]:
    name, shape, number = tensor.get("name", ""), tuple(tensor["dims"]), tensor.get("data_type")
    if number not in KINDS:
        raise ForeignGraph(f"{name!r:.60} holds numbers of ONNX's type {number}")
    data, kind = tensor.get("raw_data", b""), KINDS[number]
    if not len(data) or prod(shape) * kind.itemsize != len(data):
        raise ForeignGraph(f"{name!r:.60} has {len(data)} bytes for shape {shape!s:.60}")
    return np.frombuffer(data, kind).reshape(shape)


def choice(metadata: Mapping[str, str], name: str, known: Collection[str]) -> str:
    """The entry of that name in a graph's metadata, one of those known.

    Raises:
        ForeignGraph: it is none of them.
    """
    found = metadata.get(name, "")
    if found not in known:
        raise ForeignGraph(f"its {name} is {found!r:.60}, none of {', '.join(known)}")
    return found


def check_constants(
    constants: Mapping[str, npt.NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, npt.NDArray[Any]]:
    """Those of the constants that have a shape here, all finite numbers of it, as `storage` keeps them.

    Raises:
        ForeignGraph: which is not, and how.
    """
    kept = {}
    for name, shape in shapes.items():
        kept[name] = _checked(constants, name, shape, (FLOAT, FLOAT16, INT8))
        if kept[name].dtype == KINDS[INT8]:
            kept[name + SCALE] = _checked(constants, name + SCALE, scale_shape(name, shape), (FLOAT,))
    return kept


def _checked(
    constants: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...], kinds: tuple[int, ...]
) -> npt.NDArray[Any]:
    array = constants.get(name)
    if array is None:
        raise ForeignGraph(f"its constant '{name}' is missing")
    wanted = [KINDS[kind] for kind in kinds]
    if array.shape != shape or array.dtype not in wanted:
        names = ", ".join(map(str, wanted))
        raise ForeignGraph(f"its constant '{name}' has {array.dtype} of shape {array.shape}, not {names} of {shape}")
    if not np.isfinite(array).all():
        raise ForeignGraph(f"its constant '{name}' holds NaN or infinity")
    return array
