"""Measure the gain of ten minutes of `textclf tune` over the default settings on trec6, killed half-way and resumed.

    python tests/benchmarks/tune.py [--minutes 10] [--data FOLDER] [--json FILE]

The config names data and word vectors, and leaves the rest at its defaults. After half of the minutes the search gets
SIGKILL, and another process continues it. Then the default config is trained, and both are compared on the test rows,
which no trial sees. Last, a few trials are timed, one and two at a time. What FILE holds is not measured again.
FOLDER is that of accuracy.py.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path
from threading import Timer
from typing import Any

from accuracy import VECTORS
from corpora import SHARED
from measuring import CACHE, ROOT, TEXTCLF, measure, report, say

FOLDER = CACHE / "tune-trec6"
FEW = 8  # trials
CONFIG, TUNING, DEFAULT = FOLDER / "trec6.yaml", FOLDER / "tuning", FOLDER / "default"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.json.read_text())["results"] if arguments.json.is_file() else {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = {part: str(arguments.data / "trec6" / f"{part}.csv") for part in ("train", "test")}
    CONFIG.write_text(json.dumps({"data": rows, "model": {"pretrained": str(arguments.data / VECTORS)}}))
    if "trials" not in results:
        results |= gain(arguments.minutes)
    if "jobs" not in results:
        results["jobs"] = {str(jobs): side_by_side(jobs) for jobs in (1, 2)}
    report(arguments.json, {"results": results}, table(results))


def gain(minutes: float) -> dict[str, Any]:
    """Search, kill the search half-way and resume it; return the best settings, compared with the default ones."""
    command = [*TEXTCLF, "tune", CONFIG, "--run", TUNING, "--minutes", str(minutes)]
    before = run_and_kill([*command, "--overwrite"], after=30 * minutes)
    say(f"killed after {before} trials")
    start = time.perf_counter()
    tuning = document([*command, "--resume"])
    seconds = time.perf_counter() - start
    document([*TEXTCLF, "train", CONFIG, "--run", DEFAULT, "--overwrite"])
    compared = document([*TEXTCLF, "compare", DEFAULT, TUNING / "best"])
    timing = {"minutes": minutes, "before_kill": before, "seconds_after_kill": round(seconds, 1)}
    return timing | summary(tuning, compared)


def side_by_side(jobs: int) -> float:
    """Return the seconds of a whole process that runs FEW trials, `jobs` at a time."""
    command = [*TEXTCLF, "tune", CONFIG, "--run", FOLDER / "jobs", "--overwrite", "--trials", str(FEW)]
    return measure([*command, "--jobs", str(jobs)]).seconds


def run_and_kill(command: list[Any], *, after: float) -> int:
    """Kill a search some seconds after its start, and return the number of trials that had ended."""
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        Timer(after, process.kill).start()
        lines = list(process.stderr)
    say("".join(lines))
    return sum(line.startswith("trial ") for line in lines)


def document(command: list[Any]) -> dict[str, Any]:
    """Return what a command prints with --json."""
    process = subprocess.run([*command, "--json"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(process.stdout)


def summary(tuning: dict[str, Any], compared: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a search, and the best settings compared with the default ones on the test rows."""
    trials = {trial["number"]: trial for trial in tuning["trials"]}
    [against] = compared["against_first"].values()
    return {
        "trials": len(trials),
        "pruned": sum(trial["state"] == "pruned" for trial in trials.values()),
        "best": tuning["best"],
        "validation": {
            name: {key: trials[tuning[name]["trial"]][key] for key in ("loss", "accuracy")} for name in ("own", "best")
        },
        "test": [run["metrics"]["accuracy"] for run in compared["runs"].values()],
        "difference": against["difference"]["accuracy"],
        "interval": against["intervals"]["accuracy"],
        "p_value": against["mcnemar"]["p_value"],
    }


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each score and each number of jobs."""
    own, best = results["validation"]["own"], results["validation"]["best"]
    low, high = (100 * edge for edge in results["interval"])
    rows = [["", "default settings", f"best of {results['trials']} trials in {results['minutes']:g} minutes"]]
    rows += [[f"validation {key}", f"{own[key]:.4f}", f"{best[key]:.4f}"] for key in ("loss", "accuracy")]
    rows.append(["test accuracy", *(f"{accuracy:.4f}" for accuracy in results["test"])])
    gap = f"{100 * results['difference']:+.1f} points ({low:+.1f} to {high:+.1f})"
    rows.append(["difference on test, 95 % interval", "", f"{gap}, McNemar's p = {results['p_value']:.2g}"])
    for jobs, seconds in results["jobs"].items():
        rows.append([f"whole process of {FEW} trials, `--jobs {jobs}`", "", f"{seconds:.0f} s"])
    return rows


if __name__ == "__main__":
    main()
