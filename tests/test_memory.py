"""A lack of memory ends in one message, and reading a model takes no more memory than its files."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from conftest import ROOT, textclf
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from textclf.inference import classifier

MODEL = ROOT / "tests" / "frozen" / "format_2" / "reviews"

ADVICE = (
    "Allow more memory (a container and `ulimit -v` set limits too), or use less: fewer rows at once; in training "
    "a smaller training.batch_size, text.max_length or text.vocab_size.\n"
)

# Errors of Python, the system and libraries, with the part that is shown
SHORTAGES = {
    "Python": (MemoryError(), "MemoryError"),
    "NumPy": (MemoryError("Unable to allocate 7.45 GiB for an array"), "Unable to allocate 7.45 GiB for an array"),
    "the system": (OSError(errno.ENOMEM, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
    "a thread": (RuntimeError("can't start new thread"), "can't start new thread"),
    "the linker": (
        ImportError("x.so: failed to map segment from shared object"),
        "x.so: failed to map segment from shared object",
    ),
    "TensorFlow": (
        tf.errors.ResourceExhaustedError(None, None, "Graph execution error:\n\nOOM when allocating tensor [9,9]"),
        "OOM when allocating tensor [9,9]",
    ),
    "a GPU": (
        tf.errors.InternalError(None, None, "Failed to call: CUDA_ERROR_OUT_OF_MEMORY"),
        "Failed to call: CUDA_ERROR_OUT_OF_MEMORY",
    ),
    "ONNX Runtime": (RuntimeException("[ONNXRuntimeError] : std::bad_alloc"), "[ONNXRuntimeError] : std::bad_alloc"),
}


@pytest.mark.parametrize(("error", "reason"), SHORTAGES.values(), ids=SHORTAGES.keys())
def test_a_lack_of_memory_is_one_message(error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(classifier, "read_model_files", fail)
    result = textclf("predict", "--run", MODEL, stdin="good\n")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"out of memory ({reason}).\n{ADVICE}")


@pytest.mark.parametrize("method", ["__init__", "run"])
def test_a_model_that_has_no_room_is_not_called_broken(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeException("running Scan node: std::bad_alloc")

    monkeypatch.setattr(classifier.onnxruntime.InferenceSession, method, fail)
    result = textclf("predict", "--run", MODEL, stdin="good\n")
    expected = f"out of memory (running Scan node: std::bad_alloc).\n{ADVICE}"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", expected)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (pa.ArrowMemoryError("malloc of size 64 failed"), f"out of memory (malloc of size 64 failed).\n{ADVICE}"),
        (
            OSError("Unknown error: Failed to launch worker thread"),
            f"out of memory (Unknown error: Failed to launch worker thread).\n{ADVICE}",
        ),
        (OSError("no magic bytes"), "a.parquet is a damaged parquet file: no magic bytes. Write it again.\n"),
    ],
)
def test_a_table_that_has_no_room_is_not_called_damaged(
    error: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_stream: object) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    Path("a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pq, "ParquetFile", fail)
    result = textclf("predict", "a.parquet", "--run", MODEL)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)


def test_another_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "read_model_files", lambda _folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        textclf("predict", "--run", MODEL, stdin="good\n")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")
@pytest.mark.parametrize(
    ("megabytes", "code", "stdout", "stderr"),
    [(1500, 0, b"positive\t0.811026\n", ""), (60, 1, b"", "out of memory (")],
)
def test_predicting_needs_the_memory_of_the_model(megabytes: int, code: int, stdout: bytes, stderr: str) -> None:
    import resource

    def limit_address_space() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    command = [sys.executable, "-m", "textclf", "predict", "--run", str(MODEL)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        command, input=b"good\n", env=environment, capture_output=True, check=False, preexec_fn=limit_address_space
    )
    assert (result.returncode, result.stdout) == (code, stdout)
    assert result.stderr.decode().startswith(stderr)
    assert result.stderr.decode().endswith(ADVICE if code else "")
