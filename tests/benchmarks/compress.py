"""Measure the bytes, accuracy and speed of compressed networks on real data, by method of `textclf compress`.

    python tests/benchmarks/compress.py [NAME...] [--data FOLDER]

Each config is trained unless its run is there, compressed by every method, and then the same lines are labelled with
all of its runs, in whole processes that take turns. The table is printed, and all numbers go to compress.json beside
this file, from which docs/generate.py makes a table. FOLDER is that of accuracy.py.
"""

import argparse
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from accuracy import data_paths
from corpora import SHARED, varied
from measuring import CACHE, ROOT, TEXTCLF, alternating, machine, markdown, say

RESULTS = Path(__file__).with_suffix(".json")
NAMES = {"mr": [], "imdb": ["text.max_length=100"], "trec6": [], "banking77": []}
METHODS = {
    "int8": ["--method", "int8"],
    "float16": ["--method", "float16"],
    "prune": ["--method", "prune"],
    "distill, bag": ["--method", "distill", "--student", "bag"],
    "distill, small": ["--method", "distill", "--student", "small"],
    "1 MB": ["--budget", "1MB"],
}
LINES = {"imdb": 20_000}  # long texts; of the others 100,000 are labelled
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--data", type=Path, default=SHARED)
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text())["results"] if RESULTS.is_file() else {}
    for name in arguments.names or NAMES:
        paths = data_paths(name, arguments.data)
        if paths:
            results[name] = measure(name, paths, LINES.get(name, 100_000))
            document = {"machine": machine(), "results": {known: results[known] for known in NAMES if known in results}}
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(markdown(table(results)))


def measure(name: str, paths: dict[str, Path], lines: int) -> dict[str, Any]:
    """Return size, accuracy and speed of a network by the method that compressed it; the first is the original."""
    folder = CACHE / "compressed"
    original = folder / name
    if not (original / "metrics.json").is_file():
        settings = [*(f"{key}={path}" for key, path in paths.items()), *NAMES[name]]
        run_textclf(
            "train",
            f"configs/{name}.yaml",
            "--run",
            original,
            *(part for setting in settings for part in ("--set", setting)),
        )
    results = {"original": read_run(original)}
    runs = {"original": original}
    for method, options in METHODS.items():
        target = folder / f"{name}-{method.replace(', ', '-').replace(' ', '-')}"
        start = time.perf_counter()
        run_textclf("compress", "--run", original, *options, "--output", target, "--max-loss", "1", "--overwrite")
        results[method] = read_run(target) | {"seconds_to_make": round(time.perf_counter() - start, 1)}
        runs[method] = target
        say(f"{name}, {method}: {results[method]}")
    texts = CACHE / f"{name}.txt"
    texts.write_text("".join(f"{text}\n" for text, _ in varied(plain(paths["data.train"]), lines)), encoding="utf-8")
    commands = {f"{name} {method}": [*TEXTCLF, "predict", texts, "--run", path] for method, path in runs.items()}
    speeds = alternating(commands, REPEATS)
    for method in runs:
        results[method]["seconds"] = speeds[f"{name} {method}"]["seconds"]
        results[method]["lines_a_second"] = round(lines / results[method]["seconds"])
    return results


def run_textclf(*arguments: str | Path) -> None:
    subprocess.run([*TEXTCLF, *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def plain(path: Path) -> Path:
    """Return the path of the table, unpacked."""
    if path.suffix != ".gz":
        return path
    unpacked = CACHE / f"{path.parent.name}-{path.stem}"
    if not unpacked.is_file():
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
    return unpacked


def read_run(folder: Path) -> dict[str, Any]:
    """Return bytes of model/, accuracy and comparison with the original from the files of a run."""
    document = json.loads((folder / "metrics.json").read_text())
    against = document["comparisons"].get("original")
    return {
        "bytes": sum(path.stat().st_size for path in (folder / "model").iterdir()),
        "accuracy": document["metrics"]["accuracy"],
        "interval": document["intervals"]["accuracy"],
        "change": against and {
            "difference": against["difference"]["accuracy"], "interval": against["intervals"]["accuracy"]
        },
        "made": document.get("compression"),
    }  # fmt: skip


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each run."""
    rows = [
        [
            "data",
            "run",
            "bytes of model/",
            "of the original's",
            "accuracy (95 % interval)",
            "points against the original",
            "lines per second",
            "of the original's",
        ]
    ]
    for name, by_method in results.items():
        original = by_method["original"]
        for method, result in by_method.items():
            low, high = result["interval"]
            row = [name, method, f"{result['bytes']:,}", f"{result['bytes'] / original['bytes']:.1%}"]
            row.append(f"{result['accuracy']:.4f} ({low:.3f} to {high:.3f})")
            if change := result["change"]:
                lower, upper = change["interval"]
                row.append(f"{100 * change['difference']:+.1f} ({100 * lower:+.1f} to {100 * upper:+.1f})")
            else:
                row.append("")
            speed = result["lines_a_second"]
            rows.append([*row, f"{speed:,}", f"{speed / original['lines_a_second']:.1f}x"])
    return rows


if __name__ == "__main__":
    main()
