"""TensorFlow, started without its messages on the device of the config."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

from textclf.errors import UserError
from textclf.io.files import NO_TEMPORARY_FOLDER, has_temporary_folder, temporary_file
from textclf.io.processors import usable_processors

# Variables of TensorFlow and XLA that change the results, or end the process if they hold a mistake
IGNORED = ("TF_ENABLE_ONEDNN_OPTS", "TF_SET_ONEDNN_FPMATH_MODE", "TF_XLA_FLAGS", "XLA_FLAGS")


def start_tensorflow(*, device: str, threads: int | None = None) -> str:
    """Import TensorFlow; return the device to train on, "cpu" or "gpu".

    Args:
        device: "auto", "cpu" or "gpu".
        threads: most that run at the same time; None: one for each processor that the process may use.

    Raises:
        UserError: the device is "gpu" and there is none, or no folder can hold temporary files.
    """
    if not has_temporary_folder():  # TensorFlow asks for one as soon as it is imported
        raise UserError(NO_TEMPORARY_FOLDER)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in IGNORED:
        os.environ.pop(name, None)
    # TensorFlow ignores CPU quotas, and refuses tf.config.threading once it has started
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads or usable_processors())
    with quiet_stderr(), _without("sklearn"), _default_keras(), _kept_from_collector():
        import keras  # noqa: F401 - its first import writes to stderr
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    tf.get_logger().setLevel("ERROR")  # it warns of each network that is compiled anew
    if device == "gpu" and not gpus:
        raise UserError(
            "training.device is 'gpu', and TensorFlow finds none. On Linux with an NVIDIA driver: "
            "pip install 'tensorflow[and-cuda]>=2.21'. Else set training.device to auto or cpu."
        )
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    return "gpu" if gpus and device != "cpu" else "cpu"


def seed_tensorflow(seed: int) -> None:
    """Seed the random numbers of TensorFlow and Keras."""
    import keras

    keras.utils.set_random_seed(seed)


def forget_networks() -> None:
    """Free the memory that TensorFlow and Keras keep of networks no longer in use."""
    import keras

    keras.utils.clear_session()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, unless the block fails.

    TensorFlow's libraries write there before their log level applies.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with temporary_file() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def _kept_from_collector() -> Iterator[None]:
    """Spare Python's garbage collector what TensorFlow's first import makes: a million objects that stay to the end.

    Searching them for garbage takes half a second during the import, as much in a training, and a second at the exit.
    """
    if "tensorflow" in sys.modules or not gc.isenabled():
        yield
        return
    gc.collect()  # or garbage would be kept with the rest
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@contextlib.contextmanager
def _default_keras() -> Iterator[None]:
    """Hide the user's settings of Keras, in variables and ~/.keras/keras.json, while the block imports it."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("KERAS_")}
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = __file__  # no folder, so that Keras neither reads nor writes a keras.json in it
    try:
        yield
    finally:
        del os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"]
        os.environ.update(hidden)


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Make a module impossible to import, unless it is imported already.

    Keras imports scikit-learn for wrappers that textclf does not use, which takes a quarter of Keras's start. The
    metrics import it later.
    """
    modules: dict[str, Any] = sys.modules
    if module in modules:
        yield
        return
    modules[module] = None  # as Python documents: not found
    try:
        yield
    finally:
        del modules[module]
