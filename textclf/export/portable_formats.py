"""The exports that are made from `model/` alone: ONNX for other tools, and one file of Python."""

import runpy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from textclf import __version__
from textclf.errors import UserError
from textclf.export.bundle import bundle
from textclf.export.common import DESCRIPTION, PredictProba, description_text, on_texts
from textclf.inference.classifier import Classifier
from textclf.inference.model_folder import model_folder
from textclf.io.run_folder import Run

LICENSE_LINE = f"# Made of parts of textclf {__version__}, under the Apache License 2.0.\n"

NO_TELEMETRY = """\
import os

# ONNX Runtime tells its maker what it runs, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")"""


def write_onnx(run: Run, classifier: Classifier, path: Path) -> None:
    """The graph with token_ids for its one input, checked by ONNX's own rules, the description in its metadata."""
    try:
        import onnx
    except ImportError:
        raise UserError("--format onnx needs the package onnx: pip install 'textclf[onnx]'.") from None
    model = onnx.load(model_folder(run.path) / "model.onnx", load_external_data=False)
    _count_lengths(model.graph)
    entry = model.metadata_props.add()
    entry.key, entry.value = DESCRIPTION, description_text(classifier.description)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _count_lengths(graph: Any) -> None:
    """Has the graph find the lengths of the rows itself, instead of asking for them."""
    from onnx import helper, numpy_helper

    inputs = [value for value in graph.input if value.name != "lengths"]
    # padding is 0 and every other id is above, so that the signs add up to the length
    nodes = [
        helper.make_node("Sign", ["token_ids"], ["lengths.words"]),
        helper.make_node("ReduceSum", ["lengths.words", "lengths.axis"], ["lengths"], keepdims=0),
        *graph.node,
    ]
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "lengths.axis"))
    del graph.input[:], graph.node[:]
    graph.input.extend(inputs)
    graph.node.extend(nodes)


def load_onnx(path: Path, _run: Run, classifier: Classifier) -> PredictProba:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return on_texts(classifier, lambda token_ids: session.run(["probabilities"], {"token_ids": token_ids})[0])


def write_python(_run: Run, _classifier: Classifier, path: Path) -> None:
    """The module `standalone` and all that it needs of textclf, in one file."""
    path.write_text(LICENSE_LINE + bundle("standalone", first=NO_TELEMETRY), encoding="utf-8", newline="\n")


def load_python(path: Path, run: Run, _classifier: Classifier) -> PredictProba:
    names = runpy.run_path(str(path))  # an import would leave a compiled copy beside the file
    return partial(names["predict_proba"], model=model_folder(run.path))
