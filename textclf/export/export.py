"""`textclf export`: a trained classifier in the format of another tool, compared with the original."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from textclf.errors import UserError
from textclf.export.common import PredictProba
from textclf.export.keras_formats import (
    load_keras,
    load_savedmodel,
    load_tflite,
    trained_difference,
    write_keras,
    write_savedmodel,
    write_tflite,
)
from textclf.export.portable_formats import is_package_name, load_onnx, load_python, write_onnx, write_python
from textclf.inference.classifier import PARITY_LIMIT, Classifier, load_classifier
from textclf.inference.model_folder import run_files
from textclf.io.contract import MetricsDocument
from textclf.io.files import read_json, replacing, replacing_folder, size_in_bytes
from textclf.io.outputs import check_output, check_replaceable, check_steps_back
from textclf.io.run_folder import Run
from textclf.text.encoding import RESERVED

RANDOM_TEXTS, MAX_TOKENS = 32, 256  # number of random texts in the comparison, and tokens of the longest


class Exporter(NamedTuple):
    """An export format."""

    write: Callable[[Run, Classifier, Path], None]
    load: Callable[[Path, Run, Classifier], PredictProba]
    """(path, run, classifier) -> `predict_proba` of the export, as its recipient would use it."""
    suffix: str
    """Suffix of the file's name; empty for a folder."""
    marker: str = ""
    """A file that only folders of this format have."""
    difference: Callable[[Path, Run], float] | None = None
    """(path, run) -> largest difference from the classifier, if it is known without loading the export."""


EXPORTERS: dict[str, Exporter] = {
    "keras": Exporter(write_keras, load_keras, ".keras", difference=trained_difference),
    "onnx": Exporter(write_onnx, load_onnx, ".onnx"),
    "python": Exporter(write_python, load_python, "", marker="_textclf/__init__.py"),
    "savedmodel": Exporter(write_savedmodel, load_savedmodel, "", marker="saved_model.pb"),
    "tflite": Exporter(write_tflite, load_tflite, ".tflite"),
}


class ExportDocument(TypedDict):
    """A file or folder that `textclf export` wrote."""

    format: str
    path: str
    bytes: int
    parity: float
    """Largest difference between a probability of the export and of the run."""


def export(run: Run, *, format: str, output: Path, overwrite: bool = False) -> ExportDocument:
    """Write the classifier of a run in a format of EXPORTERS, and compare its probabilities with the run's.

    Raises:
        UserError: the output path is refused, the run lacks a file that the format needs, or the export gives other
            probabilities, in which case it is deleted.
    """
    exporter = EXPORTERS[format]
    _check_output(run, format, output, overwrite=overwrite)
    classifier = load_classifier(run.path)
    replace = replacing_folder if _is_folder(format, output) else replacing
    with replace(output, overwrite=overwrite) as temporary:
        exporter.write(run, classifier, temporary)
        parity = _difference(exporter, temporary, run, classifier)
        if not parity <= PARITY_LIMIT:
            raise UserError(
                f"--format {format}: the export differs from {run.path} by {parity:.1e} (at most {PARITY_LIMIT:.0e} is "
                f"right), so nothing was written. {_reason(run, classifier)}"
            )
    return {"format": format, "path": output.as_posix(), "bytes": size_in_bytes(output), "parity": parity}


def _reason(run: Run, classifier: Classifier) -> str:
    """Return why an export may differ from the run."""
    metrics: MetricsDocument | None = read_json(run.metrics) if run.metrics.is_file() else None
    if classifier.tokenizer and metrics and metrics.get("compression", {}).get("method") == "int8":
        return "An int8 encoder computes with integers in model/, and not in this format. Export the run before int8."
    return "Another version of its runtime may compute differently."


def _is_folder(format: str, output: Path) -> bool:
    return not EXPORTERS[format].suffix and not (format == "python" and output.suffix == ".zip")


def _check_output(run: Run, format: str, output: Path, *, overwrite: bool) -> None:
    """Refuse a path with the wrong name for the format, or with a file or folder that must not be replaced."""
    exporter = EXPORTERS[format]
    if exporter.suffix and output.suffix != exporter.suffix:
        raise UserError(f"--output {output}: the name of a file of --format {format} must end in {exporter.suffix}.")
    if format == "python" and not is_package_name(output.name.removesuffix(".zip")):
        raise UserError(
            f"--output {output}: the name must be one that Python can import and that nothing else has, such as "
            "my_classifier or my_classifier.zip."
        )
    kind = "folder" if _is_folder(format, output) else "file"
    check_steps_back(output, option="--output", kind=kind)
    if kind == "file":
        check_output(output, run_files(run), overwrite=overwrite)
    replaceable = (output / exporter.marker).is_file() if kind == "folder" else output.is_file()
    if os.path.lexists(output) and not replaceable:
        raise UserError(f"{output} exists and is no export as {format}. Choose another {kind} with --output.")
    if replaceable:
        check_replaceable(output, overwrite=overwrite, option="--output", kind=kind)


def _difference(exporter: Exporter, path: Path, run: Run, classifier: Classifier) -> float:
    """Return the largest difference between a probability of the export and of the classifier."""
    if exporter.difference:
        return exporter.difference(path, run)
    texts = parity_texts(classifier)
    exported = exporter.load(path, run, classifier)(texts)
    return float(np.abs(exported - classifier.predict_proba(texts)).max())


def parity_texts(classifier: Classifier) -> list[str]:
    """Return the texts of the comparison: an empty one, the rows saved with the model, and random words."""
    description, probe = classifier.description, classifier.probe_rows()
    words = ["\N{REPLACEMENT CHARACTER}"] * RESERVED + description.vocabulary
    if classifier.tokenizer:
        words += classifier.tokenizer.texts()
    rows = [probe.row(index) for index in range(len(probe))]
    rng = np.random.default_rng(len(words))
    lengths = np.linspace(1, min(description.text.max_length, MAX_TOKENS), RANDOM_TEXTS, dtype=int)
    rows += [rng.integers(len(words), size=length) for length in lengths]
    return ["", *(" ".join([words[index] for index in row]) for row in rows)]
