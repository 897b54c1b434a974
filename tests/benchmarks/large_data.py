"""Measure the memory of training and the speed of reading as the data grow.

    python tests/benchmarks/large_data.py [--rows 2000000] [--fewer 200000] [--data FOLDER] [--json FILE]

One epoch of configs/quick.yaml in batches of 256, without a linear model; beside it the memory of `import tensorflow`.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from corpora import SHARED, short_texts, table_file
from measuring import CACHE, ROOT, TEXTCLF, alternating, measure, report, set_options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--fewer", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    source, _ = short_texts(arguments.data)
    results = alternating({"import tensorflow": [sys.executable, "-c", "import tensorflow"]}, 1)
    results["trainings"] = {
        str(arguments.fewer): [train(source, arguments.fewer) for _ in range(arguments.repeats)],
        str(arguments.rows): [train(source, arguments.rows)],
    }
    report(arguments.json, {"results": results}, table(results))


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each number of training rows."""
    base = results["import tensorflow"]["peak_mb"]
    rows = [["rows trained on", "read, tokenized and stored per second", "peak MB", "above `import tensorflow`"]]
    for count, trainings in results["trainings"].items():
        speed = int(count) / statistics.median(training["read_seconds"] for training in trainings)
        peak = max(training["peak_mb"] for training in trainings)
        rows.append([f"{int(count):,}", f"{speed:,.0f}", f"{peak:.0f}", f"{peak - base:.0f}"])
    return rows


def train(source: Path, count: int) -> dict[str, Any]:
    """Train one epoch on `count` rows; return time, memory, the seconds of reading, and the accuracy."""
    run = CACHE / f"rows-{count}"
    settings = [f"data.train={table_file(source, count)}", "data.test=null", "report.baseline=false"]
    settings += ["model.blend=null", "training.epochs=1", "training.batch_size=256"]
    sets = set_options(settings)
    measured = measure([*TEXTCLF, "train", ROOT / "configs" / "quick.yaml", "--run", run, "--overwrite", *sets])
    phases = json.loads((run / "environment.json").read_text())["seconds"]
    accuracy = json.loads((run / "metrics.json").read_text())["metrics"]["accuracy"]
    return {**vars(measured), "read_seconds": phases["read"], "phases": phases, "accuracy": accuracy}


if __name__ == "__main__":
    main()
