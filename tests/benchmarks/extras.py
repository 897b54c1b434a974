"""Install textclf in an empty environment, then each extra alone, and measure what each adds and that it works.

    python tests/benchmarks/extras.py

For each extra: packages and megabytes (without compiled bytecode) that it adds, and the seconds of `textclf --help`
with it. Then a command that needs the extra is run. The numbers go to extras.json beside this file, from which
docs/generate.py makes a table.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from measuring import ROOT, machine, say

RESULTS = Path(__file__).with_suffix(".json")
SAMPLE = ROOT / "data" / "sample" / "reviews.csv"
TINY = ["--set", "model.embedding_dim=8", "--set", "model.units=4", "--set", "training.epochs=1"]
ELSEWHERE = {"test", "dev", "cuda"}  # for development, and for a machine with a GPU
STARTS = 10  # of which the quickest counts, since other work only slows

USES: dict[str, list[list[str]]] = {
    "encoder": [
        ["init", "{sample}", "--encoder", "{root}/data/encoders/all-MiniLM-L6-v2", "-o", "encoder.yaml"],
        ["check", "encoder.yaml"],
    ],
    "labels": [["check", "{config}", "--suspects", "suspects.csv"]],
    "onnx": [["export", "--run", "{run}", "--format", "onnx", "--output", "out.onnx"]],
    "tflite": [["export", "--run", "{run}", "--format", "tflite", "--output", "out.tflite"]],
    "tensorboard": [["train", "{config}", "--run", "logged", "--overwrite", "--log", "tensorboard", *TINY]],
    "mlflow": [["train", "{config}", "--run", "logged", "--overwrite", "--log", "mlflow", *TINY]],
    "wandb": [["train", "{config}", "--run", "logged", "--overwrite", "--log", "wandb", *TINY]],
    "ray": [["score", "{sample}", "--run", "{run}", "--output", "scored", "--engine", "ray"]],
    "serve": [["serve", "--run", "{run}", "--port", "0"]],
    "tune": [["tune", "{config}", "--trials", "2", "--run", "tuning", *TINY]],
}
"""Commands that fail without an extra, by its name."""


def main() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        rows = {"none": measure_extra(scratch / "none", None)}
        config, run = scratch / "reviews.yaml", scratch / "run"
        textclf(scratch / "none", "init", SAMPLE, "-o", config)
        textclf(scratch / "none", "train", config, "--run", run, "--set", "report.suspects=false", *TINY)
        for name in extras.keys() - ELSEWHERE:
            environment = scratch / name
            rows[name] = measure_extra(environment, name)
            for use in USES[name]:
                textclf(environment, *[part.format(root=ROOT, sample=SAMPLE, config=config, run=run) for part in use])
            say(f"{name}: {rows[name]}")
    RESULTS.write_text(json.dumps({"machine": machine(), "extras": dict(sorted(rows.items()))}, indent=1) + "\n")


def measure_extra(environment: Path, extra: str | None) -> dict[str, Any]:
    """Install textclf with an extra; return what the environment holds, and the seconds in which `--help` ends."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    wanted = f"{ROOT}[{extra}]" if extra else str(ROOT)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", environment, wanted], check=True)
    (packages,) = environment.glob("lib/*/site-packages")
    files = [path for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    size = sum(path.stat().st_size for path in files)
    starts = []
    for _ in range(STARTS):
        start = time.perf_counter()
        textclf(environment, "--help")
        starts.append(time.perf_counter() - start)
    return {
        "packages": len([*packages.glob("*.dist-info")]), "mb": round(size / 1e6),
        "start_seconds": round(min(starts), 2),
    }  # fmt: skip


def textclf(environment: Path, *arguments: str | Path) -> None:
    """Run textclf in an environment, in the folder that holds it.

    Raises:
        SystemExit: it failed.
    """
    command = [environment / "bin" / "textclf", *arguments]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        command, cwd=environment.parent, text=True, env={**variables, "WANDB_MODE": "offline"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr
    talk = ""
    if "serve" in arguments:
        talk = process.stderr.readline()  # it says where it listens, and goes on
        process.terminate()
    talk += process.communicate()[1]
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nfailed:\n{talk}")


def extras_table(results: dict[str, Any]) -> list[list[str]]:
    """Return what each extra adds to the environment of textclf alone."""
    alone = results["none"]
    rows = [["extra", "packages", "MB"]]
    rows.append(["none", f"{alone['packages']}", f"{alone['mb']:,}"])
    for name, numbers in results.items():
        if name != "none":
            packages, size = numbers["packages"] - alone["packages"], numbers["mb"] - alone["mb"]
            rows.append([f"`{name}`", f"+{packages}", f"+{size:,}"])
    return rows


if __name__ == "__main__":
    main()
