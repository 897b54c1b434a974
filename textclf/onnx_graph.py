"""A few words to write an ONNX graph with: nodes by operator, constants by name, loops over steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18  # reductions take their axes as an input from here on; read by ONNX Runtime since 1.14
IR_VERSION = 8

Step = Callable[["Graph", list[str], list[str]], tuple[list[str], list[str]]]


class Graph:
    """An ONNX graph in the making; values go by their names. Weights enter when a node asks for them."""

    FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], *, name: str = "textclf"):
        self.name = name
        self._weights = weights
        self._constants: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []

    def constant(self, array: npt.NDArray[Any], *, name: str | None = None) -> str:
        name = name or f"{self.name}.constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

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
        for name in inputs:
            if name in self._weights and name not in self._constants:
                self.constant(self._weights[name], name=name)
        names = [f"{self.name}.{operator.lower()}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def scan(self, name: str, step: Step, *, carried: list[str], read: list[str]) -> list[str]:
        """Adds a loop over the rows of what is read; the names of what it keeps of every step.

        Args:
            step: writes the body, given the names of what is carried, shape (batch, n), and of the rows read, shape
                (batch,); gives the names of what is carried on and of what is kept, all different.
            carried: what the first step finds.
        """
        body = Graph({}, name=name)
        states = {f"{name}.state_{i}": TensorProto.FLOAT for i in range(len(carried))}
        rows = {f"{name}.row_{i}": TensorProto.INT32 for i in range(len(read))}
        after, kept = step(body, list(states), list(rows))
        assert len({*after, *kept}) == len([*after, *kept])  # else ONNX Runtime mixes them up without a word
        graph = helper.make_graph(
            body._nodes,
            name,
            [helper.make_tensor_value_info(value, kind, None) for value, kind in (states | rows).items()],
            [helper.make_tensor_value_info(value, TensorProto.FLOAT, None) for value in (*after, *kept)],
            list(body._constants.values()),
        )
        results = len(after) + len(kept)
        return self.nodes("Scan", *carried, *read, outputs=results, body=graph, num_scan_inputs=len(read))[len(after) :]

    def finish(self, logits: str, *, activation: str, outputs: int, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The model from token_ids and lengths to probabilities, shape (batch, labels).

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
        self._nodes.append(helper.make_node("Identity", [probabilities], ["probabilities"]))
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [
                helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["batch", "width"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
            ],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", max(2, outputs)])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="textclf")
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        return model


def read_graph(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """The constants of a graph that was written here, those in its loops included, by their names; and its metadata."""
    model = onnx.load(path, load_external_data=False)
    graphs = [model.graph]
    graphs += [a.g for node in model.graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    constants = {tensor.name: numpy_helper.to_array(tensor) for graph in graphs for tensor in graph.initializer}
    return constants, {entry.key: entry.value for entry in model.metadata_props}
