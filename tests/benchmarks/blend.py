"""Fit the weights of a blend to few rows, and ask on fresh rows how good they are and whether the intervals hold.

    python tests/benchmarks/blend.py [--draws 30]

Models: `textclf init` and `textclf train`, untouched, on the data that `make data` fetches: all rows, and slices of 500
and of 2,000. In each draw the test rows, which no model has seen, are halved at random. Temperature, weights and, where
the table says so, the threshold are fitted anew to n rows of the first half, and measured on the whole second half.

An interval from n rows is for the value of all rows there are. That of m fresh rows varies too, so the interval is made
sqrt(1 + n / m) times as wide before it has to hold it. The last column is no draw: it has each model's own validation
rows, on which its epoch and the settings of its linear part were chosen too, against all test rows.

The table is printed, and all numbers go to blend.json beside this file, from which docs/generate.py makes the table.
"""

import argparse
import csv
import itertools
import json
import math
import random
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measuring import CACHE, ROOT, TEXTCLF, report, say
from newcomer import FETCHED
from scipy.special import logit

from textclf.evaluation.calibration import BLEND_PENALTY, choose_threshold, fit_blend, fit_temperature, log_loss
from textclf.evaluation.predictions import Predictions, read_predictions
from textclf.inference.classifier import load_classifier, probabilities_of
from textclf.io.run_folder import Run

Array = npt.NDArray[Any]
Numbers = dict[str, float]

SLICES = ((500, 0), (500, 1), (500, 2), (2000, 0), (2000, 1), (None, 0))  # number of rows, seed that draws them
FITTING_ROWS = (25, 50, 100, 200, 300)
PENALTIES = {"equal": 1e6, "fitted without a pull": 0.0, "as `train` fits them": BLEND_PENALTY}
VALIDATION = "validation rows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=30)
    draws = parser.parse_args().draws
    results = {}
    for name, (rows, seed) in itertools.product(FETCHED, SLICES):
        train, test = (ROOT / "data" / name / f"{part}.csv" for part in ("train", "test"))
        model = f"{name}-{rows or 'all'}-{seed}"
        run = train_model(cut(train, rows, seed=seed, folder=CACHE / "blend" / model), test)
        results[model] = measure(run, test, draws)
        say(f"{model}: {results[model]}")
    report(Path(__file__).with_suffix(".json"), {"results": results}, table(results))


def cut(path: Path, rows: int | None, *, seed: int, folder: Path) -> Path:
    """Write some rows of a table, drawn at random, or all of them; return the new file."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *table = csv.reader(file)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *random.Random(seed).sample(table, rows or len(table))])
    return folder / "train.csv"


def train_model(train: Path, test: Path) -> Run:
    """Run init, train and evaluate; as init sees no test file, the run's own predictions are of its validation rows."""
    config, run = train.with_name("config.yaml"), train.with_name("run")
    subprocess.run([*TEXTCLF, "init", train, "-o", config, "--overwrite"], check=True, capture_output=True)
    subprocess.run([*TEXTCLF, "train", config, "--run", run, "--overwrite"], check=True, capture_output=True)
    subprocess.run([*TEXTCLF, "evaluate", test, "--run", run], check=True, capture_output=True)
    return Run(run)


def measure(run: Run, test: Path, draws: int) -> dict[str, Numbers]:
    """Return for each number of fitting rows, and for the validation rows, the means of what the table shows."""
    own, fresh = (read_predictions(place.predictions, separator=None) for place in (run, run.evaluation("test")))
    parts = part_logits(run, test)
    results = {VALIDATION: gap(own, fresh)}
    for rows in FITTING_ROWS:
        numbers = [draw(parts, fresh, rows, np.random.default_rng([rows, seed])) for seed in range(draws)]
        results[str(rows)] = {name: statistics.fmean(number[name] for number in numbers) for name in numbers[0]}
    return results


def part_logits(run: Run, test: Path) -> list[Array]:
    """Return the logits of network, before the temperature, and linear model on the test rows, shape (n, 1) each."""
    with test.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    classifier = load_classifier(run.path)
    _, parts = classifier.part_probabilities(classifier.encode(texts))
    temperature = json.loads(run.metrics.read_text())["decision"]["temperature"]
    return [logit(parts["network"][:, 1:]) * temperature, logit(parts["linear"][:, 1:])]


def draw(parts: list[Array], test: Predictions, rows: int, rng: np.random.Generator) -> Numbers:
    """Fit the decision to some rows of one half of the test rows, and measure it on the other half."""
    shuffled = rng.permutation(len(test))
    fitting, fresh = shuffled[:rows], shuffled[len(test) // 2 :]
    network, linear = parts
    network = network / max(1.0, fit_temperature(network[fitting], test.y_true[fitting]))
    numbers: Numbers = {}
    for name, penalty in PENALTIES.items():
        weights = fit_blend([network[fitting], linear[fitting]], test.y_true[fitting], penalty=penalty)
        logits = weights[0] * network + weights[1] * linear  # (n, 1)
        decided = test.with_probabilities(probabilities_of(logits, multilabel=False))
        numbers[f"weights {name}: log loss"] = log_loss(logits[fresh], test.y_true[fresh])
        numbers[f"weights {name}: accuracy"] = float(decided.correct[fresh].mean())
    # the last rule is that of `train`
    best, _ = choose_threshold("accuracy", test.y_true[fitting, None], decided.probabilities[fitting, 1:])
    with_threshold = test.with_probabilities(decided.probabilities, threshold=best)
    numbers |= gap(decided.take(fitting), decided.take(fresh))
    return numbers | gap(with_threshold.take(fitting), with_threshold.take(fresh), "accuracy, with a fitted threshold")


def gap(own: Predictions, fresh: Predictions, name: str = "accuracy") -> Numbers:
    """Compare the accuracy on rows that were fitted to, and its interval, with that on fresh rows."""
    value, fresh_value = own.correct.mean(), fresh.correct.mean()
    wider = math.sqrt(1 + len(own) / len(fresh))
    low, high = (value + wider * (edge - value) for edge in own.intervals["accuracy"])
    return {
        f"{name}: its interval holds that of fresh rows": float(low <= fresh_value <= high),
        f"{name}: how much higher than on fresh rows": float(value - fresh_value),
    }


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each number, its mean over the models, and a column for each number of fitting rows."""
    columns = [*map(str, FITTING_ROWS), VALIDATION]
    models = list(results.values())
    head = [f"mean of {len(models)} models, n =", *columns]
    return [head, *([name, *(cell(name, [m[n] for m in models]) for n in columns)] for name in models[0][columns[0]])]


def cell(name: str, models: Sequence[Numbers]) -> str:
    """Return the mean of a number over the models; of a difference with its sign, in points."""
    if name not in models[0]:
        return ""
    mean = statistics.fmean(numbers[name] for numbers in models)
    return f"{100 * mean:.1f} %" if "holds" in name else f"{100 * mean:+.2f}" if "higher" in name else f"{mean:.4f}"


if __name__ == "__main__":
    main()
