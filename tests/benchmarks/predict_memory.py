"""Measure the peak memory of prediction for few and for many lines.

python tests/benchmarks/predict_memory.py [--lines 500000 5000000] [--data FOLDER] [--json FILE]
"""

import argparse
from pathlib import Path
from typing import Any

from corpora import SHARED, lines_file, short_texts
from measuring import CACHE, TEXTCLF, alternating, report
from predict_speed import RUN, train_models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[500_000, 5_000_000])
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    train_models(*short_texts(arguments.data))
    source, _ = short_texts(arguments.data)
    output = CACHE / "textclf.tsv"
    commands = {
        str(count): [*TEXTCLF, "predict", lines_file(source, count), "--run", RUN, "--output", output, "--overwrite"]
        for count in arguments.lines
    }
    results = alternating(commands, 1)
    report(arguments.json, {"results": results}, table(results))


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each number of lines."""
    rows = [["lines predicted", "peak MB"]]
    return rows + [[f"{int(count):,}", f"{result['peak_mb']:.0f}"] for count, result in results.items()]


if __name__ == "__main__":
    main()
