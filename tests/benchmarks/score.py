"""Score many rows in 8 files, beside `predict`, and check that both give the same labels and probabilities.

    python tests/benchmarks/score.py [--rows 2000000] [--run RUN] [--source TABLE]

Four files are compressed CSV and four are parquet. The seconds are of whole processes, the memory is that of the
largest one. Two `predict` at once, each on half of the rows, are what two processes can do here; half of the rows
shows that memory does not grow with them. The rows are printed, and go to score.json beside this file.
"""

import argparse
import csv
import gzip
import io
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from corpora import SHARED, short_texts, varied
from measuring import CACHE, TEXTCLF, Measured, measure, report, say

RESULTS = Path(__file__).with_suffix(".json")
FOLDER = CACHE / "score"
FILES = 8
ONE, TWO, RAY = "--jobs 1", "--jobs 2", "--engine ray --jobs 2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--run", type=Path, help="a run or model/ folder [default: one trained on short texts]")
    parser.add_argument("--data", type=Path, default=SHARED)
    arguments = parser.parse_args()
    train, _ = short_texts(arguments.data)
    run = arguments.run or trained_run(train)
    # in another process: the peak that Linux tells of a measured one begins with the memory of whoever started it
    with ProcessPoolExecutor(1, get_context("spawn")) as writer:
        whole, halves, inputs = writer.submit(write_inputs, train, arguments.rows).result()
        _, _, fewer = writer.submit(write_inputs, train, arguments.rows // 2).result()
    predict = [*TEXTCLF, "predict", "--run", run, "--format", "csv", "--overwrite"]
    score = [*TEXTCLF, "score", "--run", run, "--keep", "id", "--overwrite"]
    one = measure([*predict, whole, "--output", FOLDER / "whole.out.csv"])
    say(f"one predict: {one}")
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        commands = [[*predict, half, "--output", half.with_suffix(".out.csv")] for half in halves]
        both = [*pool.map(measure, commands)]
    two = time.perf_counter() - start
    say(f"two predict at once: {two:.1f} s: {both}")
    kinds = [
        kind("`predict`", arguments.rows, one),
        kind("two `predict` at once, half each", arguments.rows, together(two, both)),
    ]
    for options, folder, half in ((ONE, inputs, False), (TWO, inputs, False), (TWO, fewer, True), (RAY, inputs, False)):
        if options == RAY and not find_spec("ray"):
            say("without Ray: pip install ray")
            continue
        output = FOLDER / options.replace(" ", "")
        shutil.rmtree(output, ignore_errors=True)
        took = measure([*score, folder, "--output", output, *options.split()])
        say(f"score {options} {folder}: {took}")
        name = f"`score {options}`{', half of the rows' if half else ''}"
        if options == RAY:
            took = replace(took, peak_mb=0)  # actors are no children of the command
        kinds.append(kind(name, arguments.rows // 2 if half else arguments.rows, took))
        if options == ONE:
            compare(FOLDER / "whole.out.csv", output)
        elif not half:
            compare_bytes(FOLDER / ONE.replace(" ", ""), output)
    results = {"kinds": kinds}
    report(RESULTS, {"results": results}, table(results))


def together(seconds: float, processes: list[Measured]) -> Measured:
    """Return what several processes took that ran at the same time."""
    cpu_seconds = sum(each.cpu_seconds for each in processes)
    return Measured(seconds, cpu_seconds, max(each.peak_mb for each in processes))


def kind(name: str, rows: int, took: Measured) -> dict[str, Any]:
    seconds = {"seconds": round(took.seconds, 1), "cpu_seconds": round(took.cpu_seconds, 1)}
    return {"name": name, "rows": rows, **seconds, "peak_mb": took.peak_mb}


def trained_run(train: Path) -> Path:
    """Train the network that `init` suggests, unless its run is there."""
    run = CACHE / "score-run"
    if not (run / "metrics.json").is_file():
        config = CACHE / "score.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        measure([*TEXTCLF, "init", train, "-o", config, "--overwrite"])
        measure([*TEXTCLF, "train", config, "--run", run, "--overwrite"])
    return run


def write_inputs(source: Path, count: int) -> tuple[Path, list[Path], Path]:
    """Write the rows as one table, as two, and as 8 files in a folder; return their paths."""
    folder = FOLDER / f"inputs-{count}"
    whole, halves = FOLDER / f"whole-{count}.csv", [FOLDER / f"half-{count}-{part}.csv" for part in (1, 2)]
    if whole.is_file():
        return whole, halves, folder
    folder.mkdir(parents=True, exist_ok=True)
    rows = ((f"id-{number}", text) for number, (text, _) in enumerate(varied(source, count)))
    with whole.with_suffix(".partial").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *rows])
    with whole.with_suffix(".partial").open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    for half, part in zip(halves, (lines[: count // 2], lines[count // 2 :]), strict=True):
        with half.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *part])
    size = -(-count // FILES)
    for number in range(FILES):
        part = lines[number * size : (number + 1) * size]
        if number % 2:
            columns = {"id": [row[0] for row in part], "text": [row[1] for row in part]}
            pyarrow.parquet.write_table(
                pyarrow.table(columns), folder / f"rows-{number}.parquet", row_group_size=50_000
            )
        else:
            text = io.StringIO(newline="")
            csv.writer(text).writerows([header, *part])
            (folder / f"rows-{number}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), 1))
    whole.with_suffix(".partial").replace(whole)
    return whole, halves, folder


def compare(predicted: Path, output: Path) -> None:
    """End with an error unless the shards have the labels and probabilities of `predict`, to one in the last digit."""
    with predicted.open(encoding="utf-8", newline="") as file:
        expected = islice(csv.reader(file), 1, None)
        differing = rows = 0
        for number, (row, (_, identity, *scored)) in enumerate(zip(expected, shards(output), strict=True)):
            rows += 1
            if identity != f"id-{number}" or row[0] != scored[0]:
                sys.exit(f"row {number}: predict has {row}, score {identity} {scored}")
            gaps = [abs(float(a) - float(b)) for a, b in zip(row[1:], scored[1:], strict=True)]
            if max(gaps) > 1.5e-6:
                sys.exit(f"row {number}: predict has {row}, score {scored}")
            differing += max(gaps) > 0
    say(f"{rows:,} rows are equal, {differing:,} of them but for one in the sixth digit")


def compare_bytes(one: Path, other: Path) -> None:
    """End with an error unless both folders have the same shards."""
    parts = sorted(path.relative_to(one) for path in one.glob("*/part-*"))
    if parts != sorted(path.relative_to(other) for path in other.glob("*/part-*")):
        sys.exit(f"{other} has other files than {one}")
    for part in parts:
        if (one / part).read_bytes() != (other / part).read_bytes():
            sys.exit(f"{other / part} differs from {one / part}")
    say(f"{len(parts)} files have the same bytes")


def shards(output: Path) -> Iterator[list[str]]:
    """Yield the rows of all shards in order."""
    for folder in sorted(path for path in output.iterdir() if path.is_dir()):
        for part in sorted(folder.glob("part-*.csv")):
            with part.open(encoding="utf-8", newline="") as file:
                yield from islice(csv.reader(file), 1, None)


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return the table of docs/scale.md."""
    first = results["kinds"][0]
    return [
        ["process", "rows", "seconds", "rows a second", "times `predict`", "MB of a process"],
        *(
            [
                each["name"],
                f"{each['rows']:,}",
                f"{each['seconds']:.1f}",
                f"{each['rows'] / each['seconds']:,.0f}",
                f"{first['seconds'] / each['seconds']:.2f}" if each["rows"] == first["rows"] else "",
                f"{each['peak_mb']:.0f}" if each["peak_mb"] else "",
            ]
            for each in results["kinds"]
        ),
    ]


if __name__ == "__main__":
    main()
