"""Kill `textclf score` at random moments, resume it, and compare with a scoring that was not killed: `make kills`.

Two processes score four files, two of compressed CSV and two of parquet. What is killed (SIGKILL) is all of them, the
command alone, which leaves its processes to go on beside those of the resumed one, or one of its processes. Each
scoring is resumed until it is complete: then its folder must have the same bytes, and so each row once.
"""

import argparse
import csv
import gzip
import io
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "benchmarks"), str(HERE.parent), str(HERE.parent.parent)]

from faults import contents  # noqa: E402
from measuring import ROOT, TEXTCLF, report, say  # noqa: E402
from processes import finish, require, start  # noqa: E402

MODEL = ROOT / "tests" / "frozen" / "format_4" / "reviews"
FILES = 4
ROWS_PER_FILE = 5_000
VICTIMS = ("all processes", "the command alone", "one of its processes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng, kills, complete = random.Random(arguments.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs, whole = write_inputs(folder / "in", arguments.rows), folder / "whole"
        begin = time.perf_counter()
        code, _, stderr = finish(start(command(inputs, whole), stdout=-1, stderr=-1))
        require(code == 0, stderr)
        seconds = time.perf_counter() - begin
        check_rows(whole, arguments.rows)
        expected = contents(whole)
        say(f"not killed: {seconds:.1f} s, {len(expected)} files")
        while kills.total() < arguments.kills:
            output = folder / f"out-{complete}"
            kills += kill_until_complete(inputs, output, seconds, rng)
            complete += 1
            require(contents(output) == expected, output, "differs from", whole)
            say(f"{kills.total()} kills, {complete} scorings complete and equal")
    results = {"rows": arguments.rows, "kills": dict(kills.most_common()), "complete": complete}
    report(HERE / "score_kills.json", {"seed": arguments.seed, "results": results}, table(results))


def command(inputs: Path, output: Path, *options: str) -> list[str | Path]:
    """Return the command that scores with two processes."""
    words = [*TEXTCLF, "score", inputs, "--run", MODEL, "--output", output, "--keep", "id", "--jobs", "2"]
    return [*words, "--rows-per-file", str(ROWS_PER_FILE), *options]


def write_inputs(folder: Path, count: int) -> Path:
    """Write the rows of a sample again and again, each with an id of its own, into four files."""
    folder.mkdir()
    with (ROOT / "data" / "sample" / "reviews.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    for number in range(FILES):
        ids = range(number * count // FILES, (number + 1) * count // FILES)
        columns = {"id": [f"id-{n}" for n in ids], "text": [f"{n} {texts[n % len(texts)]}" for n in ids]}
        if number % 2:
            pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"rows-{number}.parquet")
        else:
            text = io.StringIO(newline="")
            csv.writer(text).writerows([[*columns], *zip(*columns.values(), strict=True)])
            (folder / f"rows-{number}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), 1))
    return folder


def check_rows(output: Path, count: int) -> None:
    """End with an error unless each row is there once, in its order."""
    ids: list[str] = []
    for folder in sorted(path for path in output.iterdir() if path.is_dir()):
        first = len(ids)
        for part in sorted(folder.glob("part-*.csv")):
            with part.open(encoding="utf-8", newline="") as file:
                for row, identity, *_ in islice(csv.reader(file), 1, None):
                    require(int(row) == len(ids) - first, part, row)
                    ids.append(identity)
    require(ids == [f"id-{number}" for number in range(count)], output, "has other rows")


def kill_until_complete(inputs: Path, output: Path, seconds: float, rng: random.Random) -> Counter[str]:
    """Kill a scoring and resume it until it is complete; return the kills by victim and moment."""
    kills: Counter[str] = Counter()
    groups = []
    while True:
        options = ["--resume"] if (output / "begun.json").exists() else []
        process = start(command(inputs, output, *options), stderr=-1, stdout=-1, start_new_session=True)
        groups.append(process.pid)
        time.sleep(rng.uniform(0, seconds))
        victim = rng.choice(VICTIMS)
        killed = process.poll() is None and kill(victim, process.pid)
        code, _, stderr = finish(process)
        if killed:
            kills[f"{victim}, {moment(output)}"] += 1
        require(killed or code == 0, code, stderr)
        if code == 0:
            break
    for group in groups:
        while is_running(group):  # processes that were left by a command that was killed
            time.sleep(0.1)
    return kills


def kill(victim: str, group: int) -> bool:
    """Kill processes of a command; return False if there is none left to kill."""
    if victim == "all processes":
        os.killpg(group, signal.SIGKILL)
    elif victim == "the command alone":
        os.kill(group, signal.SIGKILL)
    else:
        children = Path(f"/proc/{group}/task/{group}/children").read_text().split()
        if not children:
            return False
        os.kill(int(children[-1]), signal.SIGKILL)
    return True


def is_running(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def moment(output: Path) -> str:
    """Return what was going on when processes were killed, judging by the files they left."""
    if not (output / "begun.json").exists():
        return "before it began"
    if any(output.rglob(".*.new/*")):
        return "writing a file"
    return "after the last file" if (output / "manifest.json").exists() else "scoring"


def table(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a row for each kind of kill, and for what came out."""
    return [
        ("scorings killed and resumed", "times"),
        *((f"killed: {kind}", f"{count}") for kind, count in results["kills"].items()),
        ("killed in total", f"{sum(results['kills'].values())}"),
        (f"scorings of {results['rows']:,} rows completed, each with the same bytes", f"{results['complete']}"),
    ]


if __name__ == "__main__":
    main()
