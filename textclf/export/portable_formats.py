"""Exports that are made from `model/` alone: ONNX for other tools, and a Python package."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.export.common import PredictProba, description_files, on_texts
from textclf.inference.classifier import Classifier
from textclf.inference.model_folder import MODEL_FILES, model_folder
from textclf.inference.standalone import standalone_files, with_relative_imports
from textclf.io.run_folder import Run


def write_onnx(run: Run, classifier: Classifier, path: Path) -> None:
    """Write the graph with token_ids as its one input and the description in its metadata, checked by ONNX's rules."""
    try:
        import onnx
    except ImportError:
        raise UserError("--format onnx needs the package onnx: pip install 'onnx>=1.21'.") from None
    model = onnx.load(model_folder(run.path) / "model.onnx", load_external_data=False)
    _compute_lengths(model.graph)
    for name, content in description_files(classifier).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, content
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _compute_lengths(graph: Any) -> None:
    """Replace the input `lengths` of the graph by nodes that compute it from token_ids."""
    from onnx import helper, numpy_helper

    inputs = [value for value in graph.input if value.name != "lengths"]
    # padding is 0 and every other id is positive, so the signs add up to the length
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


_PREDICT_SCRIPT = """
import json, sys, zipimport
from importlib.util import module_from_spec, spec_from_file_location

path, name = sys.argv[1:]
sys.modules["textclf"] = None  # the package must not use an installed textclf
if path.endswith(".zip"):
    spec = zipimport.zipimporter(path).find_spec(name)
else:
    spec = spec_from_file_location(name, f"{path}/__init__.py")
sys.modules[name] = package = module_from_spec(spec)
spec.loader.exec_module(package)
json.dump(package.predict_proba(json.load(sys.stdin)).tolist(), sys.stdout)
"""


def is_package_name(name: str) -> bool:
    """Return True if Python can import a package of this name, and no needed package has it."""
    used = {"textclf", "numpy", "onnxruntime", "tokenizers", *sys.stdlib_module_names}
    return name.isidentifier() and not iskeyword(name) and name not in used


def write_python(run: Run, _classifier: Classifier, path: Path) -> None:
    """Write a package of the model and the code that it needs: a folder, or a zip file where the path ends in .zip."""
    files = _package_files(model_folder(run.path))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(f"{path.stem}/{name}", content)
        return
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _package_files(model: Path) -> dict[str, bytes]:
    """Return the content of each file of the package, by path."""
    files = {"__init__.py": with_relative_imports(Path(__file__).with_name("python_entry.py"), "._textclf.")}
    files |= {f"_textclf/{path}": content for path, content in standalone_files().items()}
    return files | {f"model/{name}": (model / name).read_bytes() for name in MODEL_FILES if (model / name).exists()}


def load_python(path: Path, _run: Run, _classifier: Classifier) -> PredictProba:
    """Return the package's `predict_proba`, run in a Python process of its own."""

    def predict_proba(texts: Sequence[str]) -> npt.NDArray[Any]:
        # -P: no modules of the working directory; -B: no compiled files in the package
        command = [sys.executable, "-P", "-B", "-c", _PREDICT_SCRIPT, str(path), path.stem]
        process = subprocess.run(command, input=json.dumps(list(texts)), capture_output=True, text=True, check=False)
        if process.returncode:
            raise RuntimeError(f"the exported package cannot be used:\n{process.stderr}")
        return np.array(json.loads(process.stdout))

    return predict_proba
