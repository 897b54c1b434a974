"""What textclf stands under load: real processes, each promise with the figure that it held for.

    python tests/reliability/load.py [--lines 5000000] [--processes 200] [--at-once 20] [--evaluations 20]
                                     [--pings 100000] [--data FOLDER] [--json FILE]

Needs Linux, for what it reads of other processes in /proc. Ends with an error as soon as a promise does not hold.
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
from processes import FOLDER, RUN, answer, hold, start

FLAT = 1.1  # the most by which memory may grow after its begin
FILMS = 20_000  # different lines of the conversation: what is remembered of texts and words is limited, but not so soon


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
    """Promise, how it is tried, and what was found, as rows."""
    background, processes, replaced = results["background"], results["processes"], results["replaced"]
    talk, disk = results["conversation"], results["full disk"]
    refused = sum(found["refused"] for found in replaced.values())
    whole = sum(found["consistent"] for found in replaced.values())
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
    """The command of a short training."""
    settings = [f"data.train={train}", "data.test=null", "report.baseline=false", "training.epochs=2"]
    sets = [part for setting in settings for part in ("--set", setting)]
    return [*TEXTCLF, "train", ROOT / "configs" / "quick.yaml", "--run", run, "--overwrite", *sets]


def status_mb(pid: int, field: str) -> float:
    """A quantity of a running process in MB, such as VmRSS."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0]) / 1024


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Predicting while two trainings run


def background(train: Path, count: int) -> dict[str, Any]:
    lines = lines_file(train, count)
    outputs = {name: FOLDER / f"{name}.tsv" for name in ("alone", "loaded")}
    commands = {name: [*TEXTCLF, "predict", lines, "--run", RUN, "--output", path] for name, path in outputs.items()}
    alone = measure(commands["alone"])
    begin = time.perf_counter()
    predicting = start(commands["loaded"])
    trainings, memory = train_meanwhile(train, predicting)
    seconds = time.perf_counter() - begin
    hold(predicting.returncode == 0, "predict ended with", predicting.returncode)
    with outputs["loaded"].open("rb") as file:
        hold(sum(1 for _ in file) == count, "not one prediction a line")
    hold(digest(outputs["loaded"]) == digest(outputs["alone"]), "other predictions under load")
    early = max(memory[: len(memory) // 10 + 1])
    hold(max(memory) <= FLAT * early, "memory grew from", early, "to", max(memory), "MB")
    for path in outputs.values():
        path.unlink()
    return {
        "lines": count, "trainings": trainings, "seconds": round(seconds, 1), "early_mb": round(early, 1),
        "peak_mb": round(max(memory), 1), "alone": vars(alone),
    }  # fmt: skip


def train_meanwhile(train: Path, predicting: subprocess.Popen[bytes]) -> tuple[int, list[float]]:
    """How many trainings ended well, two at a time while the prediction runs; its memory in MB, second by second."""
    running: dict[int, subprocess.Popen[bytes]] = {}
    finished, memory = 0, []
    with (FOLDER / "trainings.log").open("wb") as log:
        while predicting.poll() is None or running:
            for place in range(2):
                process = running.get(place)
                if process is not None and process.poll() is not None:
                    hold(process.returncode == 0, "a training failed, see", log.name)
                    finished += 1
                    del running[place]
                if place not in running and predicting.poll() is None:
                    running[place] = start(training(train, FOLDER / f"run-{place}"), stdout=log, stderr=log)
            if predicting.poll() is None:
                with contextlib.suppress(OSError, IndexError):  # it may have ended between the two lines
                    memory.append(status_mb(predicting.pid, "VmRSS"))
            time.sleep(1)
    return finished, memory


# A process that lives long


def conversation(count: int) -> dict[str, Any]:
    process = start([*TEXTCLF, "predict", "-", "--run", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    memory, descriptors = [], []
    for number in range(count):
        process.stdin.write(b"a film number %d that nobody has seen\n" % (number % FILMS))
        process.stdin.flush()
        hold(process.stdout.readline().endswith(b"\n"), "no answer to line", number)
        if number % (count // 100) == 0:
            memory.append(status_mb(process.pid, "VmRSS"))
            descriptors.append(len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
    process.stdin.close()
    hold(process.wait() == 0 and process.stdout.read() == b"", "the conversation ended with", process.returncode)
    early, late = memory[len(memory) // 4], memory[-1]
    hold(late <= FLAT * early, "memory grew from", early, "to", late, "MB")
    hold(len(set(descriptors[1:])) == 1, "open files came and went:", descriptors)
    return {"lines": count, "early_mb": round(early, 1), "late_mb": round(late, 1), "descriptors": descriptors[-1]}


# Many processes


def many_processes(test: Path, in_a_row: int, at_once: int) -> dict[str, Any]:
    lines, temporary = lines_file(test, 100), FOLDER / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [*TEXTCLF, "predict", lines, "--run", RUN]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "TMPDIR": str(temporary)}}
    before, free = left_behind(temporary), free_mb()
    found: Counter[tuple[int, bytes, bytes]] = Counter()
    begin = time.perf_counter()
    for _ in range(in_a_row):
        found[answer(start(command, **options))] += 1
    seconds = time.perf_counter() - begin
    together = [start(command, **options) for _ in range(at_once)]
    found.update(answer(process) for process in together)
    hold(len(found) == 1, "answers differ:", [(code, talk, count) for (code, _, talk), count in found.items()])
    ((code, output, talk),) = found
    hold((code, talk) == (0, b"") and output.count(b"\n") == 100, code, talk)
    after = left_behind(temporary)
    hold(after == before, "left behind:", after - before)
    return {
        "in_a_row": in_a_row, "at_once": at_once, "seconds_each": round(seconds / in_a_row, 3), "files_left": 0,
        "processes_left": 0, "free_mb_before": free, "free_mb_after": free_mb(),
    }  # fmt: skip


def left_behind(temporary: Path) -> set[str]:
    """Files of the temporary folder and of the run, and processes that predict with it."""
    files = {str(path) for folder in (temporary, RUN) for path in folder.rglob("*")}
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return files | {str(process) for process in processes if predicts(process)}


def predicts(process: Path) -> bool:
    try:
        return str(RUN).encode() in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended
        return False


def free_mb() -> int:
    """Memory that is free or could be, of the machine."""
    text = Path("/proc/meminfo").read_text()
    return int(text.partition("MemAvailable:")[2].split()[0]) // 1024


if __name__ == "__main__":
    main()
