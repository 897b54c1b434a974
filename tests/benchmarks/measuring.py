"""Whole processes, measured from start to exit: seconds and peak memory, in turn with their peers."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "runs" / "bench"
TEXTCLF: list[str | Path] = [sys.executable, "-m", "textclf"]


@dataclass(frozen=True)
class Measured:
    """One process."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(command: Sequence[str | Path], *, output: Path | None = None) -> Measured:
    """What the command takes from start to exit, its standard output going to a file.

    Raises:
        SystemExit: the command failed; its standard error is shown.
    """
    log = CACHE / "stderr.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    with (output or Path(os.devnull)).open("wb") as out, log.open("wb") as talk:
        process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=out, stderr=talk)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nfailed:\n{log.read_text(errors='replace')}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Measured(round(seconds, 3), round(usage.ru_utime + usage.ru_stime, 3), round(peak, 1))


def alternating(commands: Mapping[str, Sequence[str | Path]], repeats: Mapping[str, int] | int) -> dict[str, Any]:
    """Runs of every command, in turn, and their medians."""
    wanted = repeats if isinstance(repeats, Mapping) else dict.fromkeys(commands, repeats)
    runs: dict[str, list[Measured]] = {name: [] for name in commands}
    for turn in range(max(wanted.values())):
        for name, command in commands.items():
            if turn < wanted[name]:
                runs[name].append(measure(command, output=CACHE / f"{name.replace(' ', '-')}.out"))
                say(f"{name}: {runs[name][-1]}")
    return {name: {"runs": [asdict(run) for run in found], **medians(found)} for name, found in runs.items()}


def medians(runs: Iterable[Measured]) -> dict[str, float]:
    """The median of each quantity, and the largest peak of memory."""
    found = list(runs)
    return {
        "seconds": round(statistics.median(run.seconds for run in found), 3),
        "cpu_seconds": round(statistics.median(run.cpu_seconds for run in found), 3),
        "peak_mb": max(run.peak_mb for run in found),
    }


def machine() -> str:
    """The processor's name where Linux tells it, its cores and the Python."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def report(path: Path, results: dict[str, Any], rows: Iterable[Sequence[str]]) -> None:
    """Writes the results beside the script, with the machine's name, and prints the rows as a Markdown table."""
    path.write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n")
    sys.stdout.write(markdown(rows))


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of the rows, the first of them its header."""
    header, *body = rows
    lines = [header, ["---"] * len(header), *body]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
