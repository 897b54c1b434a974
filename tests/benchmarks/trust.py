"""Measure how often the 95 % intervals are right, and how many wrong labels are found.

    python tests/benchmarks/trust.py [--run RUN] [--data FOLDER] [--json FILE]

Coverage: the share of 200 resamples of a run's test rows whose 95 % interval holds the value of all rows. RUN has many
test rows; by default it is runs/imdb, which tests/benchmarks/accuracy.py trains.

Labels: 5 % of the labels of mr's training rows are flipped, and `textclf check --suspects` looks for them.
"""

import argparse
import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from corpora import SHARED, short_texts
from measuring import CACHE, ROOT, TEXTCLF, report, say

from textclf.config.load import load_saved_config
from textclf.evaluation.bootstrap import intervals
from textclf.evaluation.predictions import Predictions, read_predictions
from textclf.io.run_folder import Run

RESAMPLES, ROWS = 200, 2000
METRICS = ("accuracy", "f1_macro", "roc_auc", "log_loss")
FLIPPED = 0.05
LEAST, MOST = 0.92, 0.98


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "imdb")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = {"labels": flipped_labels(*short_texts(arguments.data))}
    run = Run(arguments.run)
    if run.complete:
        predictions = read_predictions(run.predictions, separator=load_saved_config(run.config).data.label_separator)
        results["coverage"] = {"run": run.path.name, "rows": len(predictions), "held": coverage(predictions)}
    else:
        say(f"{run.path} is no run: coverage is left out")
    report(arguments.json, {"results": results}, table(results))


def coverage(predictions: Predictions) -> dict[str, float]:
    """Return by metric the share of resamples, of ROWS rows each, whose interval holds the value of all rows."""
    true = predictions.metrics
    rng = np.random.default_rng(7)
    held = dict.fromkeys(METRICS, 0)
    for _ in range(RESAMPLES):
        edges = intervals(predictions.take(rng.integers(0, len(predictions), ROWS)).resampled)
        for name in METRICS:
            low, high = edges[name]
            held[name] += low <= (true[name] or 0.0) <= high
    return {name: count / RESAMPLES for name, count in held.items()}


def flipped_labels(train: Path, validation: Path) -> dict[str, Any]:
    """Flip labels, and count the rows that are flipped, that `check --suspects` lists, and that are both."""
    with train.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["label"] for row in rows})
    flipped = set(np.random.default_rng(11).permutation(len(rows))[: round(FLIPPED * len(rows))].tolist())
    CACHE.mkdir(parents=True, exist_ok=True)
    noisy, config, suspects = CACHE / "flipped.csv", CACHE / "flipped.yaml", CACHE / "suspects.csv"
    with noisy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row_id, row in enumerate(rows):
            label = labels[1 - labels.index(row["label"])] if row_id in flipped else row["label"]
            writer.writerow([row["text"], label])
    config.write_text(json.dumps({"data": {"train": str(noisy), "validation": str(validation)}}))
    command = [*TEXTCLF, "check", config, "--suspects", suspects, "--overwrite"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with suspects.open(encoding="utf-8", newline="") as file:
        listed = [int(row["row"]) for row in csv.DictReader(file)]
    hits = len(flipped.intersection(listed))
    first = len(flipped.intersection(listed[:100]))
    return {
        "rows": len(rows),
        "flipped": len(flipped),
        "flagged": len(listed),
        "flipped_among_flagged": hits,
        "flipped_among_first_100": first,
    }


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each question."""
    rows = [["question", "measured", "expected"]]
    if "coverage" in results:
        measured = results["coverage"]
        for name, share in measured["held"].items():
            question = (
                f"{RESAMPLES} resamples of {measured['run']}'s test rows: 95 % interval of {name} holds the value"
            )
            rows.append([question, f"{100 * share:.1f} %", f"{100 * LEAST:.0f} to {100 * MOST:.0f} %"])
    labels = results["labels"]
    hits, listed, flipped = labels["flipped_among_flagged"], labels["flagged"], labels["flipped"]
    question = "mr with 5 % of the labels flipped"
    rows.append([f"{question}: listed rows that were flipped", f"{hits} of {listed} ({100 * hits / listed:.0f} %)", ""])
    first = labels["flipped_among_first_100"]
    rows.append([f"{question}: of the 100 listed first", f"{first} of 100", ""])
    rows.append(
        [f"{question}: flipped rows that are listed", f"{hits} of {flipped} ({100 * hits / flipped:.0f} %)", ""]
    )
    return rows


if __name__ == "__main__":
    main()
