"""Variables and settings for other programs, which end no command and do not change a run."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from conftest import QUICK, ROOT, CopyRun, overrides, textclf, write_config

NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}

HOSTILE = {
    **NOTEBOOK,
    "MPLCONFIGDIR": f"{os.devnull}/none",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONHASHSEED": "1",
    "LC_ALL": "C",
    "COLUMNS": "none",
    "KERAS_BACKEND": "jax",
    "KERAS_NNX_ENABLED": "1",
    "KERAS_MAX_EPOCHS": "all",
    "TF_USE_LEGACY_KERAS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_XLA_FLAGS": "--nonsense",
    "XLA_FLAGS": "--nonsense",
    "TF_NUM_INTRAOP_THREADS": "none",
    "OMP_NUM_THREADS": "0",
    "OPENBLAS_NUM_THREADS": "-1",
    "CUDA_VISIBLE_DEVICES": "none, 77",
}

KERAS_JSON = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first", "backend": "jax"}


@pytest.mark.slow
def test_a_run_is_the_same_in_a_hostile_environment(copy_run: CopyRun, tmp_path: Path) -> None:
    expected = copy_run("quick")
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(KERAS_JSON))
    run = tmp_path / "run"
    command = ["train", write_config(tmp_path, "reviews"), "--run", run, *overrides(*QUICK)]
    result = subprocess.run(
        [sys.executable, "-m", "textclf", *map(str, command)],
        env={**os.environ, **HOSTILE, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True, check=False,
    )  # fmt: skip
    chatter = [word for word in (b"warning", b"matplotlib") if word in result.stderr.lower()]
    assert (result.returncode, chatter) == (0, []), result.stderr.decode()
    for name in ("model/model.onnx", "model/model.json", "metrics.json", "predictions.csv"):
        assert (run / name).read_bytes() == (expected / name).read_bytes(), name
    assert json.loads((tmp_path / ".keras" / "keras.json").read_text()) == KERAS_JSON


def test_warnings_do_not_end_a_command(copy_run: CopyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copy_run("quick")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setattr(sys, "warnoptions", ["error"])

    def warn(_run: object) -> Path:
        warnings.warn("too old", DeprecationWarning, stacklevel=1)
        return run / "report.html"

    monkeypatch.setattr("textclf.evaluation.run_report.redraw", warn)
    result = textclf("report", run)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {run}/report.html\n")
    assert ("PYTHONWARNINGS" in os.environ, sys.warnoptions) == (False, [])


ENDING = """
import atexit, sys
if {early}:
    atexit.register(print, "early")
from textclf.cli import main as command_line
class Held:
    def __del__(self):
        print("taken apart")
held = Held()
command = command_line.main
def main():
    atexit.register(print, "closed")
    command()
command_line.main = main
sys.argv[1:] = {arguments!r}
command_line.run()
"""


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(("arguments", "exit_code"), [(["--version"], 0), (["--nonsense"], 2), (["report", "none"], 1)])
def test_a_command_ends_at_once_but_for_what_is_registered_to_run_then(
    arguments: list[str], exit_code: int, early: bool
) -> None:
    script = ENDING.format(arguments=arguments, early=early)
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == exit_code
    lines = result.stdout.splitlines()
    assert [line for line in lines if line in ("closed", "early")] == ["closed", "early"][: 1 + early]
    assert early or "taken apart" not in lines
