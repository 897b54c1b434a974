"""Check the path on a GPU against that on the CPU, on real data: `make gpu-check`.

    python tests/benchmarks/gpu_check.py [mr] [imdb] [encoder] [--trial] [--data FOLDER]

Each config is trained on the GPU and on the CPU. Asked is whether the accuracies agree, whether the recurrence runs in
cuDNN, whether the exported model and `predict` say what Keras said, and whether a training that was killed goes on.
Data that are missing are left out. The rows are printed, and go to gpu_check.json beside this file; a check that fails
ends the program with 1. `--trial` takes the CPU for both, to try this script on a machine without a GPU.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora import MINILM, SHARED, long_texts, short_texts
from measuring import CACHE, ROOT, TEXTCLF, measure, report, say, set_options

RESULTS = Path(__file__).with_suffix(".json")
FOLDER = CACHE / "gpu"
VECTORS = Path("glove/glove.6B.100d.top50k.txt.gz")
PARITY = 1e-4  # between Keras and the exported model
WAIT_SECONDS = 600.0  # for the first checkpoint of a training


@dataclass(frozen=True)
class Case:
    """A config and what is set in it."""

    name: str
    config: Path
    settings: list[str]
    test: Path
    recurrent: bool
    """True if cuDNN should run it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mr, imdb, encoder")
    parser.add_argument("--trial", action="store_true", help="train on the CPU where a GPU is meant")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--operators", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.operators:
        sys.stdout.write(json.dumps(sorted(operators(arguments.operators))))
        return
    device = "cpu" if arguments.trial else "gpu"
    found = {case.name: case for case in cases(arguments.data)}
    results: dict[str, Any] = json.loads(RESULTS.read_text())["results"] if RESULTS.is_file() else {}
    for name in arguments.names or found:
        if name not in found:
            sys.exit(f"{name}: its data are not there; there are: {', '.join(found)}")
        results[name] = check(found[name], device)
        say(f"{name}: {results[name]}")
    if arguments.trial:
        say("a trial on the CPU: gpu_check.json is left as it is")
    else:
        results["gpu"] = gpu_name()
        report(RESULTS, {"results": results}, table(results))
    tried = {name: results[name] for name in arguments.names or found}
    failed = [f"{name}: {what}" for name, result in tried.items() for what in result["failed"]]
    if failed:
        sys.exit("failed: " + "; ".join(failed))


def cases(data: Path) -> Iterator[Case]:
    """Yield the cases whose data are there."""
    train, test = short_texts(data)
    vectors = f"model.pretrained={data / VECTORS if (data / VECTORS).is_file() else 'null'}"
    yield Case("mr", ROOT / "configs" / "mr.yaml", [*_files(train, test), vectors], test, recurrent=True)
    if long := long_texts(data):
        yield Case("imdb", ROOT / "configs" / "imdb.yaml", [*_files(*long), vectors], long[1], recurrent=True)
    if MINILM.is_dir():
        config = ROOT / "configs" / "encoder.yaml"
        yield Case("encoder", config, [*_files(train, test), f"model.encoder={MINILM}"], test, recurrent=False)


def _files(train: Path, test: Path) -> list[str]:
    return [f"data.train={train}", f"data.test={test}"]


def command(case: Case, run: Path, device: str, option: str) -> list[str | Path]:
    """Return the command that trains a case."""
    sets = set_options([*case.settings, f"training.device={device}"])
    return [*TEXTCLF, "train", case.config, "--run", run, option, *sets]


def check(case: Case, device: str) -> dict[str, Any]:
    """Train a case on both devices; return the figures and the names of the checks that failed."""
    runs = {"gpu": FOLDER / f"{case.name}-gpu", "cpu": FOLDER / f"{case.name}-cpu"}
    seconds = {}
    for name, run in runs.items():
        seconds[name] = measure(command(case, run, device if name == "gpu" else "cpu", "--overwrite")).seconds
        say(f"{case.name} on the {name}: {seconds[name]} s")
    metrics = {name: read(run / "metrics.json") for name, run in runs.items()}
    accuracy = {name: document["metrics"]["accuracy"] for name, document in metrics.items()}
    low, high = metrics["gpu"]["intervals"]["accuracy"]
    resumed = resume(case, device)
    checks = {
        "trained on the GPU": read(runs["gpu"] / "environment.json")["device"] == device,
        "the CPU's accuracy is in the GPU's interval": low <= accuracy["cpu"] <= high,
        "the exported model agrees with Keras": metrics["gpu"]["parity"] <= PARITY and probe_holds(runs["gpu"]),
        "predict gives the labels of predictions.csv": predicts_the_same(case, runs["gpu"]),
        "a killed training goes on": low <= resumed["accuracy"] <= high,
    }
    if case.recurrent:
        checks["the recurrence runs in cuDNN"] = device == "cpu" or "CudnnRNNV3" in operators_of(runs["gpu"])
    return {
        "accuracy": accuracy, "interval": [low, high], "parity": metrics["gpu"]["parity"], "seconds": seconds,
        "rows_a_second": {name: rows_a_second(run) for name, run in runs.items()},
        "resumed": resumed,
        "checks": list(checks), "failed": [what for what, holds in checks.items() if not holds],
    }  # fmt: skip


def resume(case: Case, device: str) -> dict[str, Any]:
    """Kill a training after its first checkpoint and resume it; return its accuracy, and whether it is the same."""
    run, whole = FOLDER / f"{case.name}-resumed", FOLDER / f"{case.name}-gpu"
    state = run.with_name(f"{run.name}.partial") / "checkpoint" / "state.npz"
    shutil.rmtree(run, ignore_errors=True)
    shutil.rmtree(state.parent.parent, ignore_errors=True)
    process = subprocess.Popen(
        [str(part) for part in command(case, run, device, "--overwrite")], cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + WAIT_SECONDS
    while not state.is_file() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    if process.poll() is not None or not state.is_file():
        sys.exit(f"{case.name}: the training ended, or had no checkpoint, before it could be killed")
    process.kill()
    process.wait()
    measure(command(case, run, device, "--resume"))
    same = (run / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    return {"accuracy": read(run / "metrics.json")["metrics"]["accuracy"], "same_history": same}


def probe_holds(run: Path) -> bool:
    """Return True if `check` finds that the saved model computes what it computed when it was saved."""
    checked = subprocess.run([*TEXTCLF, "check", run], cwd=ROOT, capture_output=True, check=False)
    return checked.returncode == 0


def predicts_the_same(case: Case, run: Path) -> bool:
    """Return True if `predict` gives each test row the label that predictions.csv has."""
    output = FOLDER / "predicted.csv"
    measure(
        [*TEXTCLF, "predict", case.test, "--run", run, "--format", "csv", "--raw", "--overwrite", "--output", output]
    )
    return column(output, "label") == column(run / "predictions.csv", "prediction")


def column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def rows_a_second(run: Path) -> int:
    """Return the training rows of a second, epochs, validation and the compilation of the network included."""
    epochs = len((run / "history.csv").read_text(encoding="utf-8").splitlines()) - 1
    split = read(run / "split.json")
    rows = split["rows"] - len(split["validation"])
    return round(rows * epochs / read(run / "environment.json")["seconds"]["train"])


def operators_of(run: Path) -> set[str]:
    """Return the TensorFlow operators of a run's network, found in a process that leaves the GPU when it ends."""
    found = subprocess.run(
        [sys.executable, __file__, "--operators", run], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    return set(json.loads(found))


def operators(run: Path) -> set[str]:
    """Return the names of all operators that TensorFlow runs for the Keras model of a run on this machine."""
    from textclf.training.tensorflow_setup import start_tensorflow

    start_tensorflow(device="auto")
    import keras
    import tensorflow as tf

    network = keras.saving.load_model(run / "model.keras")
    traced = tf.function(network).get_concrete_function(tf.TensorSpec((None, None), tf.int32))
    graph = traced.graph.as_graph_def()
    functions = [node for function in graph.library.function for node in function.node_def]
    return {node.op for node in [*graph.node, *functions]}


def gpu_name() -> str:
    """Return the name of the GPU, as its driver tells it."""
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each config."""
    rows = [["", "accuracy", "on the CPU", "interval", "rows a second", "on the CPU", "checks that hold", "resumed"]]
    for name, result in results.items():
        if name == "gpu":
            continue
        accuracy, speed, (low, high) = result["accuracy"], result["rows_a_second"], result["interval"]
        held = len(result["checks"]) - len(result["failed"])
        resumed = "to the same digits" if result["resumed"]["same_history"] else f"{result['resumed']['accuracy']:.4f}"
        scores = [f"{accuracy['gpu']:.4f}", f"{accuracy['cpu']:.4f}", f"{low:.3f} to {high:.3f}"]
        speeds = [f"{speed['gpu']:,}", f"{speed['cpu']:,}"]
        rows.append([f"{name}, {results['gpu']}", *scores, *speeds, f"{held} of {len(result['checks'])}", resumed])
    return rows


if __name__ == "__main__":
    main()
