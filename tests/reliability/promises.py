"""The promises of textclf, how each is tried, and the figures that it held for: a table for docs/reliability.md.

`make promises` counts the tests' cases anew; the other figures are those that `make kills`, `make load` and `make fuzz`
left in their JSON files. A promise without a figure has not been tried, and is left out.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path[:0] = [str(TESTS / "benchmarks"), str(TESTS)]

from measuring import ROOT, report  # noqa: E402
from scripts import SAMPLES, expected_tokens, tokens_of  # noqa: E402

BAD_INPUT = ("bad_input", "bad_tables", "bad_training_files", "damaged_files")
COUNTED = (
    *BAD_INPUT, "hostile_models", "faults", "resume", "safe_output", "properties", "seen", "outputs", "replaced_runs",
)  # fmt: skip


def main() -> None:
    results = {"cases": count_cases()}
    report(HERE / "promises.json", {"results": results}, table(results))


def count_cases() -> dict[str, int]:
    """Return the number of cases in each of the test files, as pytest counts them."""
    files = [str(TESTS / f"test_{name}.py") for name in COUNTED]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name: int(count) for name, count in re.findall(r"test_(\w+)\.py: (\d+)", listed)}


def table(results: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each promise: how it is tried, its figure and the command."""
    rows = [*_kills(), *_score_kills(), *_tested(results["cases"]), *_fuzz(), *_load()]
    return [("promise", "how it is tried", "figure", "command"), *rows]


def _results(path: Path) -> Any:
    """Return the last results of a program; None if it never ran."""
    return json.loads(path.read_text(encoding="utf-8"))["results"] if path.is_file() else None


def _kills() -> list[tuple[str, ...]]:
    results = _results(HERE / "kills.json")
    if not results:
        return []
    kills, moments = sum(results["kills"].values()), ", ".join(f"{n} {name}" for name, n in results["kills"].items())
    return [
        (
            "A training that is killed at any moment goes on with `--resume` to the same weights, history and metrics, "
            "to the bit. The earlier run stays until the new one is complete.",
            f"SIGKILL at random moments, with dropout, two labels, four labels and several labels in a row: {moments}",
            f"{kills - len(results['faults'])} of {kills} kills survived, "
            f"{results['complete']} trainings completed and equal",
            "`make kills`",
        )
    ]


def _score_kills() -> list[tuple[str, ...]]:
    results = _results(HERE / "score_kills.json")
    if not results:
        return []
    kills, kinds = sum(results["kills"].values()), ", ".join(f"{n} {kind}" for kind, n in results["kills"].items())
    return [
        (
            "A `score` that is killed at any moment goes on with `--resume` to the same bytes: no row is lost, none is "
            "there twice.",
            f"SIGKILL at random moments of two processes on {results['rows']:,} rows of csv.gz and parquet: {kinds}",
            f"{kills} of {kills} kills survived, {results['complete']} scorings completed and equal",
            "`make kills`",
        )
    ]


def _tested(cases: dict[str, int]) -> list[tuple[str, ...]]:
    bad = sum(cases[name] for name in BAD_INPUT)
    faults = cases["faults"] + cases["resume"]
    complete_samples = sum(tokens_of(sample) == expected_tokens(sample) for sample in SAMPLES)
    return [
        (
            "No file is half written: a full disk, Ctrl-C, SIGTERM or a closed pipe leaves earlier files as they were.",
            "Each write of each command fails in turn; file size limits; signals; two trainings of one run.",
            f"{faults} tests",
            "`make check`",
        ),
        (
            "Nothing of yours is overwritten: no file that a command reads, none that exists without `--overwrite`, "
            "and of a run only what textclf wrote.",
            "Each output of each command over each file that it reads, by path, link and descriptor; files that "
            "appear meanwhile; runs that are links, mount points or read-only, with files of others in them.",
            f"{cases['outputs'] + cases['replaced_runs']} cases",
            "`make check`",
        ),
        (
            "Bad input ends with exit code 1 and one message with place, cause and remedy.",
            "Configs, tables, word vectors and texts that are damaged, endless or hostile.",
            f"{bad} cases, each with its exact message",
            "`make check`",
        ),
        (
            "A `model/` folder is data: one from a stranger can at worst be refused. Older formats are read.",
            "Damaged and hostile folders; frozen folders of formats 1 to 6.",
            f"{cases['hostile_models']} cases",
            "`make test`",
        ),
        (
            "Output is safe to open in a spreadsheet, on a terminal and in a browser.",
            "Labels, columns, texts and names that are formulas, escape sequences or scripts.",
            f"{cases['safe_output']} cases",
            "`make check`",
        ),
        (
            "Any text has valid token ids, any line has one prediction, and what is written is read back.",
            "Random Unicode (hypothesis).",
            f"{cases['properties']} properties, 60 examples each",
            "`make test`",
        ),
        (
            "Words are found in every script, and text that only looks like HTML stays.",
            f"[Samples](scripts.md) in {len({sample.script for sample in SAMPLES})} scripts; every combining mark and "
            "every invisible character of Unicode; tags of all kinds.",
            f"{complete_samples} of {len(SAMPLES)} samples have all words",
            "`make test`",
        ),
        (
            "The same config on the same machine gives the same run (on a CPU).",
            "Trained twice, in two processes, and compared.",
            "the same to the bit",
            "`textclf train CONFIG --verify`",
        ),
        (
            "It installs and runs in an empty environment, and with the lowest versions allowed.",
            "The wheel is used in an empty environment; the tests run with the lowest versions.",
            "in every CI run",
            "`make wheel lowest`",
        ),
    ]


def _fuzz() -> list[tuple[str, ...]]:
    results = _results(TESTS / "fuzz" / "fuzz.json")
    if not results:
        return []
    seconds = max(result["seconds"] for result in results.values())
    executions = ", ".join(f"{name} {result['executions']:,}" for name, result in results.items())
    findings = sum(len(result["findings"]) for result in results.values())
    return [
        (
            "Readers of files answer any bytes with a result or with their own message.",
            f"Mutations guided by coverage, {seconds:.0f} s for each reader: configs, rows, word vectors, model.json.",
            f"{executions} executions, {findings} findings",
            "`make fuzz`",
        )
    ]


def _load() -> list[tuple[str, ...]]:
    if not (HERE / "load.json").is_file():
        return []
    from load import table as load_table

    return [(*row, "`make load`") for row in load_table(_results(HERE / "load.json"))[1:]]


if __name__ == "__main__":
    main()
