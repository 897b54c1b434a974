"""Measure whole processes from start to exit: seconds and peak memory."""

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
    """The seconds and the memory of one process."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(command: Sequence[str | Path], *, output: Path | None = None) -> Measured:
    """Run a command, its standard output going to a file, and return what it took.

    Raises:
        SystemExit: the command failed; its standard error is shown.
    """
    log = CACHE / "stderr.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process would compile the modules of the checkout again
    with (output or Path(os.devnull)).open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, env=environment, stdout=stdout, stderr=stderr
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nfailed:\n{log.read_text(errors='replace')}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Measured(round(seconds, 3), round(usage.ru_utime + usage.ru_stime, 3), round(peak, 1))


def alternating(commands: Mapping[str, Sequence[str | Path]], repeats: Mapping[str, int] | int) -> dict[str, Any]:
    """Run every command several times, taking turns; return the runs and their medians by name."""
    count = repeats if isinstance(repeats, Mapping) else dict.fromkeys(commands, repeats)
    runs: dict[str, list[Measured]] = {name: [] for name in commands}
    for turn in range(max(count.values())):
        for name, command in commands.items():
            if turn < count[name]:
                runs[name].append(measure(command, output=CACHE / f"{name.replace(' ', '-')}.out"))
                say(f"{name}: {runs[name][-1]}")
    return {name: {"runs": [asdict(run) for run in measured], **medians(measured)} for name, measured in runs.items()}


def medians(runs: Sequence[Measured]) -> dict[str, float]:
    """Return the median of each time, and the largest peak of memory."""
    return {
        "seconds": round(statistics.median(run.seconds for run in runs), 3),
        "cpu_seconds": round(statistics.median(run.cpu_seconds for run in runs), 3),
        "peak_mb": max(run.peak_mb for run in runs),
    }


def set_options(settings: Iterable[str]) -> list[str]:
    """Return the options of a command that set keys of its config."""
    return [part for setting in settings for part in ("--set", setting)]


def machine() -> str:
    """Return the processor's name, as Linux tells it, its cores and the version of Python."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def report(path: Path, results: dict[str, Any], rows: Iterable[Sequence[str]]) -> None:
    """Write results to a JSON file with the machine's name, and print the rows as a Markdown table."""
    path.write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n")
    sys.stdout.write(markdown(rows))


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of rows, the first of which is the header."""
    header, *body = rows
    lines = [header, ["---"] * len(header), *body]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
