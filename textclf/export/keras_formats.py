"""Exports from model.keras: the Keras file, TensorFlow's SavedModel, and LiteRT's .tflite."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.export.common import PredictProba, description_files, on_texts
from textclf.inference.classifier import Classifier
from textclf.io.contract import MetricsDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.training.model_io import keras_file, load_network
from textclf.training.tensorflow_setup import quiet_stderr, start_tensorflow


def write_keras(run: Run, classifier: Classifier, path: Path) -> None:
    """Copy the trained file and add the description to it; Keras ignores further members of its zip archive."""
    shutil.copyfile(keras_file(run), path)
    _pack(path, classifier)


def load_keras(path: Path, _run: Run, classifier: Classifier) -> PredictProba:
    network = _network(path)
    return on_texts(classifier, lambda token_ids: _two_columns(network(token_ids, training=False)).numpy())


def trained_difference(_path: Path, run: Run) -> float:
    """Return the difference measured after training, since measuring it again needs TensorFlow."""
    document: MetricsDocument = read_json(run.metrics)
    return document["parity"]


def write_savedmodel(run: Run, classifier: Classifier, path: Path) -> None:
    """Write a folder for TensorFlow and TF Serving: token_ids, shape (n, width), to probabilities, (n, labels)."""
    network = _network(keras_file(run))
    import tensorflow as tf

    def forward(token_ids: Any) -> dict[str, Any]:
        return {"probabilities": _two_columns(network(token_ids, training=False))}

    # Keras's own export stores every weight twice
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    signature = [tf.TensorSpec((None, None), tf.int32, name="token_ids")]
    module.forward = tf.function(forward, input_signature=signature, autograph=False)
    tf.saved_model.save(module, str(path), signatures=module.forward)
    extra = path / "assets.extra"  # TensorFlow leaves this folder to its users
    extra.mkdir()
    for name, content in description_files(classifier).items():
        (extra / name).write_text(content, encoding="utf-8", newline="\n")


def load_savedmodel(path: Path, _run: Run, classifier: Classifier) -> PredictProba:
    import tensorflow as tf

    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    return on_texts(classifier, lambda token_ids: signature(token_ids=tf.constant(token_ids))["probabilities"].numpy())


def write_tflite(run: Run, classifier: Classifier, path: Path) -> None:
    """Write a file for LiteRT, built-in operators only: token_ids, shape (1, width), to probabilities, (1, labels)."""
    _interpreter()  # fail before the conversion, not after it
    network = _network(keras_file(run))
    import tensorflow as tf

    # as constants: LiteRT does not find variables in the body of a loop
    weights = [
        [variable.numpy() for variable in variables]
        for variables in (network.trainable_variables, network.non_trainable_variables)
    ]

    def forward(token_ids: Any) -> dict[str, Any]:
        outputs, _ = network.stateless_call(*weights, token_ids, training=False)
        return {"probabilities": _two_columns(outputs)}

    module = tf.Module()
    # one row of any width: the states of a loop must have a known shape
    signature = [tf.TensorSpec((1, None), tf.int32, name="token_ids")]
    module.forward = tf.function(forward, input_signature=signature, autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.forward.get_concrete_function()], module)
    with quiet_stderr():
        path.write_bytes(converter.convert())
    _pack(path, classifier)


def load_tflite(path: Path, _run: Run, classifier: Classifier) -> PredictProba:
    with quiet_stderr():
        interpreter = _interpreter()(model_content=path.read_bytes())
        interpreter.allocate_tensors()
    run = interpreter.get_signature_runner("serving_default")

    def forward(token_ids: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
        rows = [row[row > 0][None] for row in token_ids]  # each (1, length), without padding
        return np.concatenate([run(token_ids=row)["probabilities"] for row in rows])

    return on_texts(classifier, forward)


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError("--format tflite needs LiteRT, to test the file: pip install 'ai-edge-litert>=2.3'.") from None
    return Interpreter


def _network(path: Path) -> Any:
    start_tensorflow(device="cpu")
    return load_network(path)


def _pack(path: Path, classifier: Classifier) -> None:
    """Add the description files to a zip archive, or append them as one to another file, where unzip finds it."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in description_files(classifier).items():
            archive.writestr(name, content)


def _two_columns(probabilities: Any) -> Any:
    """Return a tensor of shape (n, labels); the network of two labels has one output, of the second label."""
    import tensorflow as tf

    return tf.concat([1 - probabilities, probabilities], axis=1) if probabilities.shape[1] == 1 else probabilities
