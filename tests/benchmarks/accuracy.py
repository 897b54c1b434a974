"""Train every config of configs/ on real data, and record its time and test score, with those of its parts alone.

    python tests/benchmarks/accuracy.py [--data FOLDER] [NAME...]

Each training is a process of its own. The rows are printed, and all numbers go to accuracy.json beside this file, from
which docs/generate.py makes a table. FOLDER holds a folder for each data set, as ../shared/data does; where it is
missing, only the data that `make data` fetches are trained on.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from corpora import SHARED
from measuring import ROOT, machine

RESULTS = Path(__file__).with_suffix(".json")
VECTORS = "glove/glove.6B.100d.top50k.txt.gz"
RECIPES = {
    "movies": "movies", "plain": "mr", "mr": "mr", "sms_spam": "sms_spam", "trec6": "trec6", "banking77": "banking77",
    "ag_news": "ag_news_sub", "imdb": "imdb", "mlp": "imdb", "chnsenticorp": "chnsenticorp_htl",
    "goemotions": "goemotions",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--data", type=Path, default=SHARED)
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"recipes": {}}
    for name in arguments.names or RECIPES:
        paths = data_paths(name, arguments.data)
        if paths:
            results["recipes"][name] = measure(name, paths)
            results["recipes"] = {known: results["recipes"][known] for known in RECIPES if known in results["recipes"]}
            results["machine"] = machine()
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            sys.stdout.write(row(name, results["recipes"][name]) + "\n")
            sys.stdout.flush()


def data_paths(name: str, data: Path) -> dict[str, Path]:
    """Return the paths to override in a config, by dotted key; empty where its data are missing."""
    if name == "movies":
        return {"data.train": ROOT / "data/movies/train.csv"} if (ROOT / "data/movies/train.csv").is_file() else {}
    folder = data / RECIPES[name]
    files = {f"data.{path.name.split('.')[0]}": path for path in folder.glob("*.csv*")}
    paths = {key.replace("dev", "validation"): path for key, path in files.items()}
    if paths and "pretrained: null" not in (text := (ROOT / f"configs/{name}.yaml").read_text()) and "glove" in text:
        paths["model.pretrained"] = data / VECTORS
    return paths


def measure(name: str, paths: dict[str, Path]) -> dict[str, Any]:
    """Train a config in a process, and return its scores and the seconds that the process took."""
    command = [sys.executable, "-m", "textclf", "train", f"configs/{name}.yaml", "--overwrite", "--json"]
    command += [part for key, path in paths.items() for part in ("--set", f"{key}={path}")]
    start = time.perf_counter()
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - start
    document = json.loads(process.stdout)
    environment = json.loads((ROOT / "runs" / name / "environment.json").read_text())
    baselines = document["baselines"]
    models = {"model": document["metrics"], "linear": baselines["tfidf_logistic_regression"]}
    models["network"] = baselines.get("network_alone")  # None where the model is a network alone
    keys = ("accuracy", "f1_micro", "f1_macro")
    return {
        "rows": document["data"]["rows"],
        **{name: scores and {key: scores[key] for key in keys} for name, scores in models.items()},
        "interval": document["intervals"]["accuracy"],
        "against_linear": {
            "difference": document["comparisons"]["tfidf_logistic_regression"]["difference"]["accuracy"],
            "interval": document["comparisons"]["tfidf_logistic_regression"]["intervals"]["accuracy"],
            "p_value": document["comparisons"]["tfidf_logistic_regression"]["mcnemar"]["p_value"],
        },
        "calibration": {
            "temperature": document["decision"]["temperature"],
            "before": document["decision"]["expected_calibration_error_before"],
            "after": document["metrics"]["expected_calibration_error"],
        },
        "without_seen": _without_seen(document),
        "report_bytes": (ROOT / "runs" / name / "report.html").stat().st_size,
        "parity": document["parity"],
        "seconds": round(seconds, 1),
        "phases": environment["seconds"],
    }


def _without_seen(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the accuracy on the test rows whose text is not among the training texts."""
    scores = document.get("without_seen")
    return scores and {"rows": scores["rows"], "accuracy": scores["metrics"]["accuracy"]}


def row(name: str, result: dict[str, Any]) -> str:
    """Return a line of the Markdown table."""
    low, high = result["interval"]
    scores = [
        f"{result[model][key]:.4f}" for key in ("accuracy", "f1_micro", "f1_macro") for model in ("model", "linear")
    ]
    seconds = f"{result['seconds']} | {result['phases']['linear']}"
    return f"| {name} | {result['rows']} | {low:.3f}-{high:.3f} | {' | '.join(scores)} | {seconds} |"


if __name__ == "__main__":
    main()
