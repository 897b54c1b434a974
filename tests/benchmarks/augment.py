"""Measure what each change of training rows gains in test accuracy, by data set and share of the training rows.

    python tests/benchmarks/augment.py [NAME...] [--shares 0.1 0.3 1] [--seeds 2] [--data FOLDER] [--json FILE]

The configs in configs/ are trained with their word vectors, with nothing changed and with each change alone, on the
same rows and from the same initial weights; a seed chooses both. What FILE holds is not measured again, so the program
can be stopped and started again. FOLDER is that of accuracy.py.
"""

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from accuracy import data_paths
from corpora import SHARED
from measuring import CACHE, ROOT, TEXTCLF, machine, markdown, say

NAMES = ("mr", "trec6", "sms_spam")
CHANGES = {
    "nothing": [],
    "synonyms": ["synonyms=0.3"],  # of the words, of which a third have any
    "word dropout": ["word_dropout=0.1"],
    "swap": ["swap=0.1"],
    "deletion": ["deletion=0.1"],
    "all": ["synonyms=0.15", "word_dropout=0.05", "swap=0.05", "deletion=0.05"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1, 0.3, 1.0], help="of the training rows")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    known: list[dict[str, Any]] = json.loads(arguments.json.read_text())["results"] if arguments.json.is_file() else []
    cells = [
        {"data": name, "share": share, "seed": seed, "change": change}
        for seed in range(1, arguments.seeds + 1) for share in arguments.shares for name in arguments.names or NAMES
        for change in CHANGES
    ]  # fmt: skip
    for cell in cells:
        if any(cell.items() <= result.items() for result in known):
            continue
        known.append({**cell, **measure(**cell, paths=data_paths(cell["data"], arguments.data))})
        say(str(known[-1]))
        arguments.json.write_text(json.dumps({"machine": machine(), "results": known}, indent=1) + "\n")
    sys.stdout.write(markdown(table(known)))


def measure(*, data: str, share: float, seed: int, change: str, paths: dict[str, Path]) -> dict[str, Any]:
    """Train on a share of the rows, and return the test accuracy and the seconds that the epochs took."""
    run = CACHE / "augmented"
    settings = {**paths, "data.train": sampled_file(paths["data.train"], share, seed), "training.seed": seed}
    sets = [f"{key}={value}" for key, value in settings.items()] + ["report.baseline=false", "report.texts=false"]
    sets += [f"augment.{setting}" for setting in CHANGES[change]]
    command = [*TEXTCLF, "train", f"configs/{data}.yaml", "--run", str(run), "--overwrite", "--json"]
    command += [part for setting in sets for part in ("--set", setting)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    seconds = json.loads((run / "environment.json").read_text())["seconds"]["train"]
    return {"accuracy": json.loads(process.stdout)["metrics"]["accuracy"], "seconds": seconds}


def sampled_file(path: Path, share: float, seed: int) -> Path:
    """Write a file with a share of the rows, drawn by the seed, and return its path."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    sample = random.Random(seed).sample(rows, round(share * len(rows)))
    part = CACHE / f"part-{path.parent.name}.csv"
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *sample])
    return part


def table(results: list[dict[str, Any]]) -> list[list[str]]:
    """Return rows with the accuracy when nothing is changed, and the points that each change adds (mean and range)."""
    rows = [["data, share of the rows", "seeds", "nothing", *[change for change in CHANGES if change != "nothing"]]]
    for data, share in dict.fromkeys((result["data"], result["share"]) for result in results):
        accuracy = {
            (result["change"], result["seed"]): result["accuracy"]
            for result in results
            if (result["data"], result["share"]) == (data, share)
        }
        complete = {seed for _, seed in accuracy if all((change, seed) in accuracy for change in CHANGES)}
        seeds = sorted(complete)
        if not seeds:
            continue
        row = [
            f"{data}, {share:.0%}",
            str(len(seeds)),
            f"{statistics.mean(accuracy['nothing', seed] for seed in seeds):.4f}",
        ]
        for change in rows[0][3:]:
            gains = [100 * (accuracy[change, seed] - accuracy["nothing", seed]) for seed in seeds]
            row.append(f"{statistics.mean(gains):+.1f} ({min(gains):+.1f} to {max(gains):+.1f})")
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
