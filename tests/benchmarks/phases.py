"""Where the time goes: the phases of whole processes that train, of `predict`, and of one request to `serve`.

    python tests/benchmarks/phases.py [NAME...] [--data FOLDER] [--lines 1,1000,100000]

NAME is a training of TRAININGS or a model of MODELS; without one all are measured. A training tells its phases itself,
in environment.json and by the line of each epoch; what is left is Python's start, the imports and the report. The parts
of `predict` are done one after the other by one thread, in predict_parts.py; the whole process does them at the same
time, so that they add up to more than it takes. The rows are printed, and go to phases.json beside this file.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accuracy import data_paths
from corpora import MINILM, SHARED, lines_file, short_texts
from measuring import CACHE, ROOT, TEXTCLF, measure, report, say
from serve import Served, request_of, send_all

RESULTS = Path(__file__).with_suffix(".json")
PARTS = Path(__file__).with_name("predict_parts.py")
FOLDER = CACHE / "phases"
TRAININGS = {"demo": "movies", "mr": "mr", "imdb": "imdb", "banking77": "banking77", "sample": "sample"}
"""The config in configs/ of each training."""
MODELS = ("bilstm", "mlp", "student", "encoder int8")
REQUESTS = 2000
TURNS = 3  # of a whole process that predicts; the fastest counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(TRAININGS)}; {', '.join(MODELS)}; serve")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--lines", default="1,1000,100000")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text())["results"] if RESULTS.is_file() else {}
    for name in arguments.names or [*TRAININGS, *MODELS, "serve"]:
        if name in TRAININGS:
            found = training(TRAININGS[name], arguments.data)
        elif name == "serve":
            found = serving(model_of("bilstm", arguments.data), arguments.data)
        else:
            found = predictions(name, arguments.data, [int(count) for count in arguments.lines.split(",")])
        if found:
            results[name] = found
            say(f"{name}: {found}")
    report(RESULTS, {"results": results}, table(results))


def training(config: str, data: Path) -> dict[str, Any] | None:
    """Return the seconds of each phase of a training; None where its data are missing."""
    paths = {} if config in ("movies", "sample") else data_paths(config, data)
    if not paths and config not in ("movies", "sample"):
        return None
    run = FOLDER / config
    sets = [part for key, path in paths.items() for part in ("--set", f"{key}={path}")]
    log = CACHE / "stderr.txt"
    took = measure([*TEXTCLF, "train", ROOT / "configs" / f"{config}.yaml", "--run", run, "--overwrite", *sets])
    phases: dict[str, float] = json.loads((run / "environment.json").read_text())["seconds"]
    epochs = [float(seconds) for seconds in re.findall(r"^epoch +\d+ +([\d.]+) s ", log.read_text(), re.MULTILINE)]
    parts = {"imports, report": took.seconds - sum(phases.values()), **phases}
    parts["network built and compiled"] = parts.pop("train") - sum(epochs)
    parts["epochs"] = sum(epochs)
    parts["start of TensorFlow"] = parts.pop("tensorflow")
    return {"seconds": took.seconds, "cpu_seconds": took.cpu_seconds, "parts": parts}


def model_of(name: str, data: Path) -> Path | None:
    """Return a model of MODELS, trained where it is missing; None where its data are missing."""
    train, test = short_texts(data)
    run = FOLDER / name.replace(" ", "-")
    files: list[str | Path] = ["--set", f"data.train={train}", "--set", f"data.test={test}"]
    if (run / "metrics.json").is_file():
        return run
    if name == "student":
        original = model_of("bilstm", data)
        assert original
        distil: list[str | Path] = ["--method", "distill", "--student", "bag", "--max-loss", "1", "--output", run]
        measure([*TEXTCLF, "compress", "--run", original, *distil])
    elif name == "encoder int8":
        whole = FOLDER / "encoder"
        if not MINILM.is_dir():
            return None
        settings = ["--set", f"model.encoder={MINILM}", "--set", "model.trainable=head"]
        measure(
            [*TEXTCLF, "train", ROOT / "configs" / "encoder.yaml", "--run", whole, "--overwrite", *files, *settings]
        )
        measure([*TEXTCLF, "compress", "--run", whole, "--method", "int8", "--max-loss", "1", "--output", run])
    else:
        config = ROOT / "configs" / f"{'movies' if name == 'bilstm' else name}.yaml"
        measure([*TEXTCLF, "train", config, "--run", run, *files, "--set", "training.epochs=1"])
    return run


def predictions(name: str, data: Path, counts: list[int]) -> dict[str, Any] | None:
    """Return the seconds of `predict` and of its parts, by the number of lines."""
    run = model_of(name, data)
    if run is None:
        return None
    source, _ = short_texts(data)
    found = {}
    for count in counts if name != "encoder int8" else [count for count in counts if count <= 1000]:
        lines = lines_file(source, count)
        whole = min(measure([*TEXTCLF, "predict", lines, "--run", run]).seconds for _ in range(TURNS))
        measure([sys.executable, PARTS, run, lines], output=FOLDER / "parts.json")
        found[str(count)] = {"seconds": whole, "parts": json.loads((FOLDER / "parts.json").read_text())}
    return found


def serving(run: Path | None, data: Path) -> dict[str, Any]:
    """Return the seconds of one request with one text, by one connection, and of what is done for it."""
    from textclf.inference.classifier import load_classifier

    assert run
    source, _ = short_texts(data)
    texts = lines_file(source, REQUESTS).read_text(encoding="utf-8").split("\n")[:-1]
    requests = [request_of([text]) for text in texts]
    served = Served(run)
    seconds, _ = asyncio.run(
        send_all(served.port, requests, REQUESTS, connections=1, check=lambda _number, _body: None)
    )
    served.stop()
    classifier = load_classifier(run, threads=1)
    classifier.predict_proba(texts[:1])

    def each(function: Callable[[str], object]) -> float:
        start = time.perf_counter()
        for text in texts:
            function(text)
        return (time.perf_counter() - start) / REQUESTS

    encoding = each(lambda text: classifier.encode([text]))
    computing = each(lambda text: classifier.predict_proba([text])) - encoding
    whole = seconds / REQUESTS
    rest = whole - encoding - computing
    return {
        "seconds": whole, "parts": {"texts to token ids": encoding, "network": computing, "HTTP, JSON, threads": rest}
    }  # fmt: skip


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each process: its seconds, and its phases with their shares, the longest first."""
    rows = [["process", "seconds", "phases"]]
    for name, found in results.items():
        if "parts" in found:
            rows.append(_row({"serve": "`serve`, one request"}.get(name, f"`train`, {name}"), found))
        else:
            rows += [
                _row(f"`predict`, {name}, {int(count):,} line{'s' if count != '1' else ''}", each)
                for count, each in found.items()
            ]
    return rows


def _row(name: str, found: dict[str, Any]) -> list[str]:
    total = sum(found["parts"].values())
    parts = sorted(found["parts"].items(), key=lambda part: -part[1])
    shares = [f"{what} {100 * seconds / total:.0f} %" for what, seconds in parts if seconds > 0.02 * total]
    return [name, f"{found['seconds']:.4f}" if found["seconds"] < 0.1 else f"{found['seconds']:.2f}", ", ".join(shares)]


if __name__ == "__main__":
    main()
