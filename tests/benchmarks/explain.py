"""Compare the weights of `explain` with those of ten times as many orders of the words, for several numbers of orders.

python tests/benchmarks/explain.py [--run RUN] [--data FILE] [--texts 100] [--json FILE]

Prints Spearman's rank correlation of a text's weights (mean and quartiles over the texts), how often the word with the
largest weight is the same, and milliseconds per text.
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
from corpora import SHARED, short_texts
from measuring import report
from predict_speed import RUN, train_models
from scipy.stats import spearmanr

from textclf.inference.classifier import Classifier, load_classifier
from textclf.inference.explain import COALITIONS, explain

NUMBERS = [0, 100, 200, 400, 800, COALITIONS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run [default: one that is trained on short texts]")
    parser.add_argument("--data", type=Path, help="a CSV with a column text [default: the test file of short texts]")
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    train, test = short_texts(SHARED)
    if arguments.run is None:
        train_models(train, test)
    classifier = load_classifier(arguments.run or RUN)
    with (arguments.data or test).open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    drawn = np.random.default_rng(0).permutation(len(texts))[: arguments.texts]
    texts = [texts[index] for index in drawn]
    expected, _ = weights(classifier, texts, 10 * COALITIONS, seed=1)
    results: dict[str, Any] = {}
    for number in NUMBERS:
        actual, seconds = weights(classifier, texts, number)
        results[str(number)] = agreement(actual, expected) | {"milliseconds": round(1000 * seconds / len(texts), 2)}
    report(arguments.json, {"results": results}, table(results))


def weights(classifier: Classifier, texts: list[str], coalitions: int, seed: int = 0) -> tuple[list[Any], float]:
    """Return the weights of each text's words, and the seconds that it took."""
    start = time.perf_counter()
    explained = [found[0] for found in explain(classifier, texts, coalitions=coalitions, seed=seed)]
    seconds = time.perf_counter() - start
    return [np.array([word.weight for word in explanation.words]) for explanation in explained], seconds


def agreement(actual: list[Any], expected: list[Any]) -> dict[str, Any]:
    """Return rank correlations over the texts of three words or more, and how often the largest weights agree."""
    pairs = [pair for pair in zip(actual, expected, strict=True) if min(map(np.ptp, pair)) > 0 and len(pair[0]) > 2]
    correlations = [spearmanr(*pair).statistic for pair in pairs]
    return {
        "rank_correlation": round(float(np.mean(correlations)), 3),
        "quartiles": [round(float(value), 3) for value in np.percentile(correlations, [25, 50, 75])],
        "same_largest": round(float(np.mean([np.abs(a).argmax() == np.abs(b).argmax() for a, b in pairs])), 3),
    }


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each number of coalitions."""
    rows = [["coalitions", "rank correlation", "quartiles", "same largest", "ms per text"]]
    return rows + [
        [
            number,
            f"{result['rank_correlation']:.3f}",
            " ".join(f"{value:.3f}" for value in result["quartiles"]),
            f"{result['same_largest']:.2f}",
            f"{result['milliseconds']:.1f}",
        ]
        for number, result in results.items()
    ]


if __name__ == "__main__":
    main()
