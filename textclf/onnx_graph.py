"""A few words to write an ONNX graph with: nodes by operator, constants by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18  # reductions take their axes as an input from here on; read by ONNX Runtime since 1.14
IR_VERSION = 8


class Graph:
    """An ONNX graph in the making; values go by their names. Weights enter when a node asks for them."""

    FLOAT = TensorProto.FLOAT

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]):
        self._weights = weights
        self._constants: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def ints(self, name: str, values: list[int]) -> str:
        return self.constant(name, np.array(values, np.int64))

    def ints32(self, name: str, values: list[int]) -> str:
        return self.constant(name, np.array(values, np.int32))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; its output's name."""
        return self.nodes(operator, *inputs, outputs=1, **attributes)[0]

    def nodes(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Adds a node of several outputs; their names."""
        for name in inputs:
            if name in self._weights and name not in self._constants:
                self.constant(name, self._weights[name])
        names = [f"{operator.lower()}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def finish(self, logits: str, *, activation: str, outputs: int) -> onnx.ModelProto:
        """The model from token_ids and lengths to probabilities, shape (batch, labels).

        A single sigmoid becomes two columns: of the first label and of the second.
        """
        probabilities = (
            self.node("Sigmoid", logits) if activation == "sigmoid" else self.node("Softmax", logits, axis=1)
        )
        if outputs == 1:
            other = self.node("Sub", self.constant("one", np.array(1, np.float32)), probabilities)
            probabilities = self.node("Concat", other, probabilities, axis=1)
        self._nodes.append(helper.make_node("Identity", [probabilities], ["probabilities"]))
        graph = helper.make_graph(
            self._nodes,
            "textclf",
            [
                helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["batch", "width"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
            ],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", max(2, outputs)])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="textclf")
        onnx.checker.check_model(model)
        return model
