"""What a row costs as rows grow: training one epoch, evaluate, predict and score on 10,000 rows and ten times as many.

    python tests/benchmarks/scaling.py [train] [evaluate] [predict] [score] [--most 1000000] [--data FOLDER]

Whole processes, on rows made from short texts. Training is one epoch of configs/quick.yaml, in batches of 256 without a
linear model; score uses two processes. What the fewest rows take is taken off the others' seconds and rows; the
exponent is the slope of the logarithm of these seconds over that of these rows: 1 is a cost a row that stays the same.
The rows are printed, and go to scaling.json beside this file.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from corpora import SHARED, lines_file, short_texts, table_file
from measuring import CACHE, ROOT, TEXTCLF, measure, report, say, set_options
from score import trained_run

RESULTS = Path(__file__).with_suffix(".json")
FOLDER = CACHE / "scaling"
FEWEST = 10_000
COMMANDS = ("train", "evaluate", "predict", "score")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMMANDS))
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=SHARED)
    arguments = parser.parse_args()
    train, _ = short_texts(arguments.data)
    run = trained_run(train)
    counts = [FEWEST * 10**power for power in range(10) if FEWEST * 10**power <= arguments.most]
    results: dict[str, Any] = json.loads(RESULTS.read_text())["results"] if RESULTS.is_file() else {}
    for name in arguments.names or COMMANDS:
        found = {}
        for count in counts:
            took = measure(command(name, train, count, run))
            found[str(count)] = {"seconds": took.seconds, "peak_mb": took.peak_mb}
            say(f"{name}, {count:,} rows: {took}")
        results[name] = found
        report(RESULTS, {"results": results}, table({name: found}))  # kept, if a later command fails


def command(name: str, source: Path, count: int, run: Path) -> list[str | Path]:
    """Return the command that does something with so many rows."""
    output = FOLDER / name
    shutil.rmtree(output, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if name == "predict":
        return [*TEXTCLF, "predict", lines_file(source, count), "--run", run]
    rows = table_file(source, count)
    if name == "evaluate":
        return [*TEXTCLF, "evaluate", rows, "--run", run]
    if name == "score":
        return [*TEXTCLF, "score", rows, "--run", run, "--output", output, "--jobs", "2"]
    settings = [f"data.train={rows}", "data.test=null", "report.baseline=false", "model.blend=null"]
    settings += ["training.epochs=1", "training.batch_size=256"]
    sets = set_options(settings)
    return [*TEXTCLF, "train", ROOT / "configs" / "quick.yaml", "--run", output, *sets]


def exponent(by_count: dict[str, Any]) -> float:
    """Return the power of the rows by which the seconds grow, what the fewest rows took taken off."""
    counts = np.array([int(count) for count in by_count])
    seconds = np.array([found["seconds"] for found in by_count.values()])
    more_rows, more_seconds = counts[1:] - counts[0], np.maximum(seconds[1:] - seconds[0], 1e-3)
    return float(np.polyfit(np.log(more_rows), np.log(more_seconds), 1)[0])


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each command and number of rows."""
    rows = [["command", "rows", "seconds", "µs a row", "peak MB", "exponent"]]
    for name, by_count in results.items():
        for count, found in by_count.items():
            each = f"{1e6 * found['seconds'] / int(count):,.0f}"
            last = f"{exponent(by_count):.2f}" if count == [*by_count][-1] and len(by_count) > 2 else ""
            rows.append(
                [f"`{name}`", f"{int(count):,}", f"{found['seconds']:.1f}", each, f"{found['peak_mb']:.0f}", last]
            )
    return rows


if __name__ == "__main__":
    main()
