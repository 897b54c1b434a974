"""Run `textclf init` and `textclf train`, untouched, on real data: the model beside its network and its linear model.

    python tests/benchmarks/newcomer.py [--data FOLDER] [--seeds 3] [--vectors] [NAME...]

The rows are printed, and all numbers go to newcomer.json beside this file, from which docs/generate.py makes a table.
FOLDER holds a folder for each data set, as ../shared/data does; where it is missing, only the data that `make data`
fetches are trained on. With --vectors each training is repeated with the GloVe vectors in FOLDER.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpora import SHARED
from measuring import CACHE, ROOT, TEXTCLF, machine, say

RESULTS = Path(__file__).with_suffix(".json")
FETCHED = ("movies", "amazon", "tweets")
SETS = ("mr", "sms_spam", "trec6", "banking77", "ag_news_sub", "chnsenticorp_htl", "imdb", "goemotions", *FETCHED)
WITHOUT_VECTORS = ("chnsenticorp_htl",)  # the vectors are English
VECTORS = "glove/glove.6B.100d.top50k.txt.gz"
FIRST_SEED = 42  # that of the config
LINEAR, NETWORK = "tfidf_logistic_regression", "network_alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--vectors", action="store_true")
    arguments = parser.parse_args()
    document = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"results": {}}
    results = document["results"]
    for name in arguments.names or SETS:
        train, test = files(arguments.data / name if name not in FETCHED else ROOT / "data" / name)
        if train is None or test is None:
            continue
        kinds: dict[str, list[str]] = {name: []}
        if arguments.vectors and name not in WITHOUT_VECTORS and (arguments.data / VECTORS).is_file():
            glove = [f"model.pretrained={arguments.data / VECTORS}", "text.vocab_size=30000", "model.embedding_dim=100"]
            kinds[f"{name}, GloVe"] = glove
        for kind, settings in kinds.items():
            seeds = [
                measure(train, test, [*settings, f"training.seed={FIRST_SEED + n}"]) for n in range(arguments.seeds)
            ]
            results[kind] = {"seeds": seeds}
            document["machine"] = machine()
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")
            say(" | ".join(row(kind, results[kind])))


def files(folder: Path) -> list[Path | None]:
    """Return train and test file of a data set; None for one that is missing."""
    return [next(iter(sorted(folder.glob(f"{name}.csv*"))), None) for name in ("train", "test")]


def measure(train: Path, test: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Run init and train in processes; return the scores and the seconds that train took."""
    config, run = CACHE / "newcomer.yaml", CACHE / "newcomer"
    config.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([*TEXTCLF, "init", train, "-o", config, "--overwrite"], cwd=ROOT, check=True, capture_output=True)
    command = [*TEXTCLF, "train", config, "--run", run, "--overwrite", "--json", "--set", f"data.test={test}"]
    start = time.perf_counter()
    process = subprocess.run(
        [*command, *(part for setting in settings for part in ("--set", setting))],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if process.returncode:
        sys.exit(process.stderr.decode(errors="replace"))
    document = json.loads(process.stdout)
    against = document["comparisons"][LINEAR]
    models = {"both": document["metrics"], "linear": document["baselines"][LINEAR]}
    models["network"] = document["baselines"][NETWORK]
    return {
        "rows": document["data"]["rows"],
        "scores": {
            name: {key: metrics[key] for key in ("accuracy", "f1_micro", "f1_macro", "log_loss")}
            for name, metrics in models.items()
        },
        "over_linear": {"difference": against["difference"]["accuracy"], "interval": against["intervals"]["accuracy"]},
        "weights": document["decision"]["blend"],
        "seconds": round(time.perf_counter() - start, 1),
    }


def mean(result: dict[str, Any], model: str, key: str = "accuracy") -> float:
    """Return the mean of a score over the seeds."""
    return statistics.fmean(seed["scores"][model][key] for seed in result["seeds"])


def row(name: str, result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    first = result["seeds"][0]
    gap, (low, high) = first["over_linear"]["difference"], first["over_linear"]["interval"]
    return [
        name,
        f"{first['rows']:,}",
        *(f"{mean(result, model):.4f}" for model in ("network", "linear", "both")),
        f"{100 * (mean(result, 'both') - mean(result, 'linear')):+.2f}",
        f"{100 * gap:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
        *(f"{mean(result, model, key):.3f}" for key in ("f1_micro", "f1_macro") for model in ("linear", "both")),
    ]


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return the table of docs/benchmarks.md."""
    head = ["data", "test rows", "network", "linear", "both", "both less linear, points", "of the first seed, interval"]
    scores = ["micro F1, linear", "both", "macro F1, linear", "both"]
    return [[*head, *scores], *(row(name, results[name]) for name in results)]


if __name__ == "__main__":
    main()
