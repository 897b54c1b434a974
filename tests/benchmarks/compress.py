"""What each way of `textclf compress` leaves of a network's bytes, costs in accuracy and gains in speed, on real data.

    python tests/benchmarks/compress.py [NAME...] [--data FOLDER]

Trains each recipe unless it is there, makes every smaller run of it, and then labels the same lines with all of them,
whole processes in turn. The table goes to stdout, and with all numbers to compress.json beside this file, from which
docs/generate.py makes a table. FOLDER is that of accuracy.py.
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
WAYS = {
    "int8": ["--method", "int8"],
    "float16": ["--method", "float16"],
    "prune": ["--method", "prune"],
    "distill, bag": ["--method", "distill", "--student", "bag"],
    "distill, small": ["--method", "distill", "--student", "small"],
    "1 MB": ["--budget", "1MB"],
}
LINES = {"imdb": 20_000}  # to label, of long texts; of short ones 100,000
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--data", type=Path, default=SHARED)
    asked = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text())["results"] if RESULTS.is_file() else {}
    for name in asked.names or NAMES:
        paths = data_paths(name, asked.data)
        if paths:
            results[name] = measure(name, paths, LINES.get(name, 100_000))
            document = {"machine": machine(), "results": {known: results[known] for known in NAMES if known in results}}
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(markdown(table(results)))


def measure(name: str, paths: dict[str, Path], lines: int) -> dict[str, Any]:
    """By way of compressing its size, accuracy and speed; the first is the network as it was trained."""
    folder = CACHE / "compressed"
    original = folder / name
    if not (original / "metrics.json").is_file():
        settings = [*(f"{key}={path}" for key, path in paths.items()), *NAMES[name]]
        run(
            "train", f"configs/{name}.yaml", "--run", original, *(part for each in settings for part in ("--set", each))
        )
    found = {"original": facts(original)}
    runs = {"original": original}
    for way, options in WAYS.items():
        target = folder / f"{name}-{way.replace(', ', '-').replace(' ', '-')}"
        begin = time.perf_counter()
        run("compress", "--run", original, *options, "--output", target, "--max-loss", "1", "--overwrite")
        found[way] = facts(target) | {"seconds_to_make": round(time.perf_counter() - begin, 1)}
        runs[way] = target
        say(f"{name}, {way}: {found[way]}")
    texts = CACHE / f"{name}.txt"
    texts.write_text("".join(f"{text}\n" for text, _ in varied(plain(paths["data.train"]), lines)), encoding="utf-8")
    commands = {f"{name} {way}": [*TEXTCLF, "predict", texts, "--run", path] for way, path in runs.items()}
    speeds = alternating(commands, REPEATS)
    for way in runs:
        found[way]["seconds"] = speeds[f"{name} {way}"]["seconds"]
        found[way]["lines_a_second"] = round(lines / found[way]["seconds"])
    return found


def run(*arguments: str | Path) -> None:
    subprocess.run([*TEXTCLF, *map(str, arguments)], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def plain(path: Path) -> Path:
    """The table, unpacked if it is not."""
    if path.suffix != ".gz":
        return path
    unpacked = CACHE / f"{path.parent.name}-{path.stem}"
    if not unpacked.is_file():
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
    return unpacked


def facts(folder: Path) -> dict[str, Any]:
    """What the files of a run say of it."""
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
    """A row for each run."""
    rows = [
        [
            "data",
            "run",
            "bytes of model/",
            "of the original's",
            "accuracy (95 % interval)",
            "points against the original",
            "lines a second",
            "of the original's",
        ]
    ]
    for name, found in results.items():
        original = found["original"]
        for way, each in found.items():
            low, high = each["interval"]
            row = [name, way, f"{each['bytes']:,}", f"{each['bytes'] / original['bytes']:.1%}"]
            row.append(f"{each['accuracy']:.4f} ({low:.3f} to {high:.3f})")
            if change := each["change"]:
                lower, upper = change["interval"]
                row.append(f"{100 * change['difference']:+.1f} ({100 * lower:+.1f} to {100 * upper:+.1f})")
            else:
                row.append("")
            speed = each["lines_a_second"]
            rows.append([*row, f"{speed:,}", f"{speed / original['lines_a_second']:.1f}x"])
    return rows


if __name__ == "__main__":
    main()
