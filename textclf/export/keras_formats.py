"""The exports that are made from model.keras: the Keras file, TensorFlow's SavedModel, and LiteRT's .tflite."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.errors import UserError
from textclf.export.common import DESCRIPTION, PredictProba, description_text, on_texts
from textclf.inference.classifier import Classifier
from textclf.io.contract import MetricsDocument
from textclf.io.files import read_json
from textclf.io.run_folder import Run
from textclf.training.model_io import keras_file, load_network
from textclf.training.tensorflow_setup import quiet_stderr, start_tensorflow


def write_keras(run: Run, classifier: Classifier, path: Path) -> None:
    """The file as it was trained, with the description in it: a zip archive, of which Keras reads what it knows."""
    shutil.copyfile(keras_file(run), path)
    _pack(path, classifier)


def load_keras(path: Path, _run: Run, classifier: Classifier) -> PredictProba:
    network = _network(path)
    return on_texts(classifier, lambda token_ids: _two_columns(network(token_ids, training=False)).numpy())


def trained_difference(_path: Path, run: Run) -> float:
    """How far the network was from the classifier when it was trained; to run it again takes TensorFlow."""
    document: MetricsDocument = read_json(run.metrics)
    return document["parity"]


def write_savedmodel(run: Run, classifier: Classifier, path: Path) -> None:
    """A folder for TensorFlow and TF Serving: token_ids, shape (n, width), to probabilities, shape (n, labels)."""
    network = _network(keras_file(run))
    import tensorflow as tf

    def forward(token_ids: Any) -> dict[str, Any]:
        return {"probabilities": _two_columns(network(token_ids, training=False))}

    # Keras's own export keeps every weight twice
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    signature = [tf.TensorSpec((None, None), tf.int32, name="token_ids")]
    module.forward = tf.function(forward, input_signature=signature, autograph=False)
    tf.saved_model.save(module, str(path), signatures=module.forward)
    extra = path / "assets.extra"  # where TensorFlow lets anyone put what it is not to read
    extra.mkdir()
    (extra / DESCRIPTION).write_text(description_text(classifier.description), encoding="utf-8", newline="\n")


def load_savedmodel(path: Path, _run: Run, classifier: Classifier) -> PredictProba:
    import tensorflow as tf

    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    return on_texts(classifier, lambda token_ids: signature(token_ids=tf.constant(token_ids))["probabilities"].numpy())


def write_tflite(run: Run, classifier: Classifier, path: Path) -> None:
    """A file for LiteRT, its own operators only: token_ids, shape (1, width), to probabilities, shape (1, labels)."""
    _interpreter()  # missing it is better said before the conversion than after
    network = _network(keras_file(run))
    import tensorflow as tf

    # As constants: LiteRT does not find variables in the body of a loop.
    weights = [
        [variable.numpy() for variable in variables]
        for variables in (network.trainable_variables, network.non_trainable_variables)
    ]

    def forward(token_ids: Any) -> dict[str, Any]:
        outputs, _ = network.stateless_call(*weights, token_ids, training=False)
        return {"probabilities": _two_columns(outputs)}

    module = tf.Module()
    # one row of any width: the states of a loop must have a shape that is known
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
        rows = [row[row > 0][None] for row in token_ids]
        return np.concatenate([run(token_ids=row)["probabilities"] for row in rows])

    return on_texts(classifier, forward)


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError(
            "A .tflite file is tried out in LiteRT before it is given: pip install 'textclf[tflite]'."
        ) from None
    return Interpreter


def _network(path: Path) -> Any:
    start_tensorflow(device="cpu")
    return load_network(path)


def _pack(path: Path, classifier: Classifier) -> None:
    """Adds the description to a zip archive, or behind a file of another kind, where unzip finds it."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(DESCRIPTION, description_text(classifier.description))


def _two_columns(probabilities: Any) -> Any:
    """A tensor of shape (n, labels): a single sigmoid is that of the second of two labels."""
    import tensorflow as tf

    return tf.concat([1 - probabilities, probabilities], axis=1) if probabilities.shape[1] == 1 else probabilities
