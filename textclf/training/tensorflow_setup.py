"""TensorFlow, started quietly on the device that was asked for."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from textclf.errors import UserError
from textclf.io.files import temporary_file_errors


def start_tensorflow(*, device: str, threads: int | None = None) -> str:
    """Imports TensorFlow, and gives the device that training takes, "cpu" or "gpu".

    Args:
        threads: for one operation; None: as many as TensorFlow likes.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr(), _without("sklearn"):
        import keras  # noqa: F401 - quietly here, it is quiet everywhere
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
    tf.get_logger().setLevel("ERROR")  # else it calls it a mistake that each of several networks is compiled
    if device == "gpu" and not found:
        raise UserError(
            "training.device is 'gpu', and TensorFlow finds none. On Linux with an NVIDIA driver: "
            "pip install 'textclf[cuda]'. Else set training.device to auto or cpu."
        )
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    return "gpu" if found and device != "cpu" else "cpu"


def seed_tensorflow(seed: int) -> None:
    """Has what TensorFlow and Keras draw from now on depend on the seed alone."""
    import keras

    keras.utils.set_random_seed(seed)


def forget_networks() -> None:
    """Frees what TensorFlow and Keras keep of networks that nothing uses any more."""
    import keras

    keras.utils.clear_session()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps back what is written to descriptor 2, unless the block fails.

    TensorFlow's libraries write there before their own log level is in force.
    """
    sys.stderr.flush()
    before = os.dup(2)
    with temporary_file_errors():
        kept = tempfile.TemporaryFile()  # noqa: SIM115 - what the block raises is no fault of the file
    with kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(before, kept.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Has `import` say that there is no such module, unless it is there already.

    Keras imports scikit-learn for wrappers that nothing here uses. That is a quarter of its start, and scikit-learn is
    as well imported while the network trains.
    """
    modules: dict[str, Any] = sys.modules
    if module in modules:
        yield
        return
    modules[module] = None  # which Python documents as: not to be found
    try:
        yield
    finally:
        del modules[module]
