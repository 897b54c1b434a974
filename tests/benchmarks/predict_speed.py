"""Measure whole processes of prediction: many short lines, one line, and `--help`.

    python tests/benchmarks/predict_speed.py [--lines 100000] [--repeats 3] [--data FOLDER] [--json FILE]

textclf and the plain Keras script have the same network: 10,000 words, 100 tokens, 64 units, pooling last.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from contenders import SCRIPTS, model_folder, peer
from corpora import SHARED, lines_file, short_texts
from measuring import CACHE, ROOT, TEXTCLF, alternating, measure, report, set_options

HERE = Path(__file__)
RUN = CACHE / "plain"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=HERE.with_suffix(".json"))
    arguments = parser.parse_args()
    train_models(*short_texts(arguments.data))
    source, _ = short_texts(arguments.data)
    results = {str(count): predictions(source, count, arguments.repeats) for count in (arguments.lines, 1)}
    importing = [sys.executable, "-c", "import tensorflow"]
    start = alternating({"textclf --help": [*TEXTCLF, "--help"], "import tensorflow": importing}, arguments.repeats)
    results["start"] = start
    report(arguments.json, {"lines": arguments.lines, "results": results}, table(results))


def train_models(train: Path, test: Path) -> None:
    """Train the models that are missing, for one epoch, which is enough to measure prediction."""
    if not (RUN / "metrics.json").is_file():
        settings = [f"data.train={train}", f"data.test={test}", "training.epochs=1", "report.baseline=false"]
        sets = set_options(settings)
        measure([*TEXTCLF, "train", ROOT / "configs" / "plain.yaml", "--run", RUN, "--overwrite", *sets])
    for name in SCRIPTS:
        if not model_folder(name).is_dir():
            epochs = ["--epochs", "1"] if name == "plain Keras script" else []
            measure(peer(name, "train", train, test, model_folder(name), *epochs))


def predictions(source: Path, count: int, repeats: int) -> dict[str, Any]:
    """Return what each program takes to predict `count` lines, and how many lines it wrote."""
    lines = lines_file(source, count)
    outputs = {name: CACHE / f"{model_folder(name).name}.tsv" for name in ("textclf", *SCRIPTS)}
    commands = {"textclf": [*TEXTCLF, "predict", lines, "--run", RUN, "--output", outputs["textclf"], "--overwrite"]}
    commands |= {name: peer(name, "predict", model_folder(name), lines, outputs[name]) for name in SCRIPTS}
    results = alternating(commands, repeats)
    for name in results:
        results[name]["lines"] = outputs[name].read_bytes().count(b"\n")
    return results


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each program: seconds, lines per second, memory, and speed relative to the plain script's."""
    rows = [["", "seconds", "lines per second", "peak MB", "times the speed of the plain script", "lines out"]]
    for count in (int(key) for key in results if key != "start"):
        by_program = results[str(count)]
        plain = by_program["plain Keras script"]["seconds"]
        for name, result in by_program.items():
            speed = f"{count / result['seconds']:,.0f}" if count > 1 else ""
            lines = f"{count:,} lines" if count > 1 else "1 line"
            rows.append([f"{name}, {lines}", *_cells(result, speed, plain), f"{result['lines']:,}"])
    importing = results["start"]["import tensorflow"]["seconds"]
    return rows + [[name, *_cells(result, "", importing), ""] for name, result in results["start"].items()]


def _cells(result: dict[str, Any], speed: str, other: float) -> list[str]:
    return [f"{result['seconds']:.2f}", speed, f"{result['peak_mb']:.0f}", f"{other / result['seconds']:.1f}"]


if __name__ == "__main__":
    main()
