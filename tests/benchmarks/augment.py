"""What each change of training rows gains in test accuracy, by data set and by how many of the rows there are.

    python tests/benchmarks/augment.py [NAME...] [--shares 0.1 0.3 1] [--seeds 2] [--data FOLDER] [--json FILE]

Whole trainings by the recipes in configs/, with their word vectors: with nothing changed and with each change alone, on
the same rows from the same first weights; a seed chooses both. What was measured before is not measured again, so that
the program can be stopped and goes on where it was. FOLDER is that of accuracy.py.
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
    asked = parser.parse_args()
    known: list[dict[str, Any]] = json.loads(asked.json.read_text())["results"] if asked.json.is_file() else []
    cells = [
        {"data": name, "share": share, "seed": seed, "change": change}
        for seed in range(1, asked.seeds + 1) for share in asked.shares for name in asked.names or NAMES
        for change in CHANGES
    ]  # fmt: skip
    for cell in cells:
        if any(cell.items() <= each.items() for each in known):
            continue
        known.append({**cell, **measure(**cell, paths=data_paths(cell["data"], asked.data))})
        say(str(known[-1]))
        asked.json.write_text(json.dumps({"machine": machine(), "results": known}, indent=1) + "\n")
    sys.stdout.write(markdown(table(known)))


def measure(*, data: str, share: float, seed: int, change: str, paths: dict[str, Path]) -> dict[str, Any]:
    """Test accuracy of a training on this share of the rows, and the seconds that its epochs took."""
    run = CACHE / "augmented"
    settings = {**paths, "data.train": some_rows(paths["data.train"], share, seed), "training.seed": seed}
    sets = [f"{key}={value}" for key, value in settings.items()] + ["report.baseline=false", "report.texts=false"]
    sets += [f"augment.{each}" for each in CHANGES[change]]
    command = [*TEXTCLF, "train", f"configs/{data}.yaml", "--run", str(run), "--overwrite", "--json"]
    command += [part for each in sets for part in ("--set", each)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    seconds = json.loads((run / "environment.json").read_text())["seconds"]["train"]
    return {"accuracy": json.loads(done.stdout)["metrics"]["accuracy"], "seconds": seconds}


def some_rows(path: Path, share: float, seed: int) -> Path:
    """A file with this share of the rows, drawn by the seed."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    chosen = random.Random(seed).sample(rows, round(share * len(rows)))
    part = CACHE / f"part-{path.parent.name}.csv"
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *chosen])
    return part


def table(results: list[dict[str, Any]]) -> list[list[str]]:
    """Mean accuracy with nothing changed, and how many points each change adds on the same seeds, least to most."""
    rows = [["data, share of the rows", "seeds", "nothing", *[change for change in CHANGES if change != "nothing"]]]
    for data, share in dict.fromkeys((each["data"], each["share"]) for each in results):
        found = {(e["change"], e["seed"]): e["accuracy"] for e in results if (e["data"], e["share"]) == (data, share)}
        seeds = [seed for change, seed in found if change == "nothing" and all((c, seed) in found for c in CHANGES)]
        if not seeds:
            continue
        row = [f"{data}, {share:.0%}", str(len(seeds)), f"{statistics.mean(found['nothing', s] for s in seeds):.4f}"]
        for change in rows[0][3:]:
            gains = [100 * (found[change, seed] - found["nothing", seed]) for seed in seeds]
            row.append(f"{statistics.mean(gains):+.1f} ({min(gains):+.1f} to {max(gains):+.1f})")
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
