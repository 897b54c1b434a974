"""Try promises of textclf under load, with real processes, and record the figures that they held for.

    python tests/reliability/load.py [--lines 5000000] [--processes 200] [--at-once 20] [--evaluations 20]
                                     [--pings 100000] [--data FOLDER] [--json FILE]

Needs Linux, since it reads about other processes in /proc. Ends with an error as soon as a promise is broken.
"""

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from corpora import SHARED, lines_file, short_texts
from load_files import full_disk, replaced_file
from measuring import ROOT, TEXTCLF, measure, report, say
from processes import FOLDER, RUN, finish, require, start

MAX_GROWTH = 1.1  # memory may grow by a tenth after the first part of a trial
DISTINCT_LINES = 20_000  # of the conversation; the caches of texts and words are limited, but larger than a few lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--pings", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    train, test = short_texts(arguments.data)
    FOLDER.mkdir(parents=True, exist_ok=True)
    measure(training(train, RUN))
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "conversation": lambda: conversation(arguments.pings),
        "processes": lambda: many_processes(test, arguments.processes, arguments.at_once),
        "replaced": lambda: replaced_file(test, arguments.evaluations),
        "full disk": full_disk,
        "background": lambda: background(train, arguments.lines),
    }
    results = {}
    for name, part in parts.items():
        results[name] = part()
        say(f"{name}: {results[name]}")
    report(arguments.json, {"results": results}, table(results))


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each promise: how it is tried, and the result."""
    background, processes, replaced = results["background"], results["processes"], results["replaced"]
    talk, disk = results["conversation"], results["full disk"]
    refused = sum(counts["refused"] for counts in replaced.values())
    whole = sum(counts["consistent"] for counts in replaced.values())
    return [
        ["under load", "tried", "found"],
        [
            "Predicting works beside training.",
            f"{background['lines']:,} lines while {background['trainings']} trainings run, two at a time.",
            f"all succeed, the same {background['lines']:,} predictions as alone; "
            f"peak {background['peak_mb']:.0f} MB, alone {background['alone']['peak_mb']:.0f}",
        ],
        [
            "A conversation over a pipe can be long.",
            f"{talk['lines']:,} lines, each answered before the next is sent.",
            f"memory {talk['early_mb']:.0f} MB after a quarter, {talk['late_mb']:.0f} at the end; "
            f"{talk['descriptors']} open files throughout",
        ],
        [
            "Many processes can run at once.",
            f"{processes['in_a_row']} predictions in a row, {processes['at_once']} at once.",
            f"no failure, always the same output; {processes['files_left']} files and "
            f"{processes['processes_left']} processes left",
        ],
        [
            "A file that another process replaces is evaluated in one version, or refused.",
            f"{whole + refused} evaluations, while it is renamed over or written in place.",
            f"{whole} of one version of the file, {refused} refused with one message, none of a mixture",
        ],
        ["A full disk is reported.", f"{disk['tried']}.", disk["found"]],
    ]


def training(train: Path, run: Path) -> list[str | Path]:
    """Return the command of a short training."""
    settings = [f"data.train={train}", "data.test=null", "report.baseline=false", "training.epochs=2"]
    sets = [part for setting in settings for part in ("--set", setting)]
    return [*TEXTCLF, "train", ROOT / "configs" / "quick.yaml", "--run", run, "--overwrite", *sets]


def status_mb(pid: int, field: str) -> float:
    """Return a quantity of a running process in MB, such as VmRSS."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0]) / 1024


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Predicting while two trainings run


def background(train: Path, count: int) -> dict[str, Any]:
    """Predict `count` lines alone and beside trainings, and compare."""
    lines = lines_file(train, count)
    outputs = {name: FOLDER / f"{name}.tsv" for name in ("alone", "loaded")}
    commands = {
        name: [*TEXTCLF, "predict", lines, "--run", RUN, "--output", path, "--overwrite"]
        for name, path in outputs.items()
    }
    alone = measure(commands["alone"])
    start_time = time.perf_counter()
    predicting = start(commands["loaded"])
    trainings, memory = train_meanwhile(train, predicting)
    seconds = time.perf_counter() - start_time
    require(predicting.returncode == 0, "predict ended with", predicting.returncode)
    with outputs["loaded"].open("rb") as file:
        require(sum(1 for _ in file) == count, "not one prediction for each line")
    require(digest(outputs["loaded"]) == digest(outputs["alone"]), "other predictions under load")
    early = max(memory[: len(memory) // 10 + 1])
    require(max(memory) <= MAX_GROWTH * early, "memory grew from", early, "to", max(memory), "MB")
    for path in outputs.values():
        path.unlink()
    return {
        "lines": count, "trainings": trainings, "seconds": round(seconds, 1), "early_mb": round(early, 1),
        "peak_mb": round(max(memory), 1), "alone": vars(alone),
    }  # fmt: skip


def train_meanwhile(train: Path, predicting: subprocess.Popen[bytes]) -> tuple[int, list[float]]:
    """Train two models at a time while the prediction runs.

    Returns:
        The number of trainings, and the memory of the prediction in MB, second by second.
    """
    running: dict[int, subprocess.Popen[bytes]] = {}
    finished, memory = 0, []
    with (FOLDER / "trainings.log").open("wb") as log:
        while predicting.poll() is None or running:
            for slot in range(2):
                process = running.get(slot)
                if process is not None and process.poll() is not None:
                    require(process.returncode == 0, "a training failed, see", log.name)
                    finished += 1
                    del running[slot]
                if slot not in running and predicting.poll() is None:
                    running[slot] = start(training(train, FOLDER / f"run-{slot}"), stdout=log, stderr=log)
            if predicting.poll() is None:
                with contextlib.suppress(OSError, IndexError):  # it may have ended between the two lines
                    memory.append(status_mb(predicting.pid, "VmRSS"))
            time.sleep(1)
    return finished, memory


# One process for many lines


def conversation(count: int) -> dict[str, Any]:
    """Send `count` lines to one process, each after the answer to the line before."""
    process = start([*TEXTCLF, "predict", "-", "--run", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    memory, descriptors = [], []
    for number in range(count):
        process.stdin.write(b"a film number %d that nobody has seen\n" % (number % DISTINCT_LINES))
        process.stdin.flush()
        require(process.stdout.readline().endswith(b"\n"), "no answer to line", number)
        if number % (count // 100) == 0:
            memory.append(status_mb(process.pid, "VmRSS"))
            descriptors.append(len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
    process.stdin.close()
    require(process.wait() == 0 and process.stdout.read() == b"", "the conversation ended with", process.returncode)
    early, late = memory[len(memory) // 4], memory[-1]
    require(late <= MAX_GROWTH * early, "memory grew from", early, "to", late, "MB")
    require(len(set(descriptors[1:])) == 1, "open files came and went:", descriptors)
    return {"lines": count, "early_mb": round(early, 1), "late_mb": round(late, 1), "descriptors": descriptors[-1]}


# Many processes


def many_processes(test: Path, in_a_row: int, at_once: int) -> dict[str, Any]:
    """Predict in many processes, one after the other and at once; all must print the same and leave nothing behind."""
    lines, temporary = lines_file(test, 100), FOLDER / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [*TEXTCLF, "predict", lines, "--run", RUN]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "TMPDIR": str(temporary)}}
    before, free = left_behind(temporary), free_mb()
    answers: Counter[tuple[int, bytes, bytes]] = Counter()
    start_time = time.perf_counter()
    for _ in range(in_a_row):
        answers[finish(start(command, **options))] += 1
    seconds = time.perf_counter() - start_time
    together = [start(command, **options) for _ in range(at_once)]
    answers.update(finish(process) for process in together)
    require(len(answers) == 1, "answers differ:", [(code, stderr, n) for (code, _, stderr), n in answers.items()])
    ((code, stdout, stderr),) = answers
    require((code, stderr) == (0, b"") and stdout.count(b"\n") == 100, code, stderr)
    after = left_behind(temporary)
    require(after == before, "left behind:", after - before)
    return {
        "in_a_row": in_a_row, "at_once": at_once, "seconds_each": round(seconds / in_a_row, 3), "files_left": 0,
        "processes_left": 0, "free_mb_before": free, "free_mb_after": free_mb(),
    }  # fmt: skip


def left_behind(temporary: Path) -> set[str]:
    """Return the files of the temporary folder and of the run, and the processes that predict with the run."""
    files = {str(path) for folder in (temporary, RUN) for path in folder.rglob("*")}
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return files | {str(process) for process in processes if predicts(process)}


def predicts(process: Path) -> bool:
    """Tell if a folder in /proc is of a process that predicts with the run."""
    try:
        return str(RUN).encode() in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended
        return False


def free_mb() -> int:
    """Return the memory of the machine that is free or can be freed, in MB."""
    text = Path("/proc/meminfo").read_text()
    return int(text.partition("MemAvailable:")[2].split()[0]) // 1024


if __name__ == "__main__":
    main()
