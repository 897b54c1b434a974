"""Feeds what reads files with mutated bytes, each target for some minutes, and saves what breaks it.

    python tests/fuzz/fuzz.py [--seconds 300] [--target NAME]... [--json FILE]

Mutations are guided by coverage where atheris is installed, else blind. Exit code 1: there are findings; each is a file
in runs/fuzz/, which `python tests/fuzz/fuzz.py --replay FILE --target NAME` runs again.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOUND = ROOT / "runs" / "fuzz"
NAMES = ("config", "rows", "vectors", "model")
GUIDED = importlib.util.find_spec("atheris") is not None
SLOW = 10.0  # seconds; more for a few kilobytes is a finding

sys.path[:0] = [str(ROOT), str(HERE), str(HERE.parent / "benchmarks")]


@dataclass
class Tried:
    """What came of the executions of a target so far."""

    target: Any
    executions: int = 0
    findings: dict[str, bytes] = field(default_factory=dict)
    """Input by what it raised and where, the first of each."""

    def run(self, data: bytes) -> None:
        """One execution."""
        begin = time.monotonic()
        self.executions += 1
        try:
            self.target.run(data)
        except Exception as error:  # whatever comes is what is looked for
            frames = traceback.extract_tb(error.__traceback__)
            last = next((frame for frame in reversed(frames) if "textclf" in Path(frame.filename).parts), frames[-1])
            self.findings.setdefault(f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}", data)
        if time.monotonic() - begin > SLOW:
            self.findings.setdefault("slow", data)


def mutated(seeds: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> bytes:
    """A seed, changed in a few places: bytes, words, pieces of it and of others."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        begin = rng.randrange(len(data) + 1)
        end = min(len(data), begin + rng.choice((0, 1, 2, 8, 64)))
        change = rng.randrange(5)
        if change == 0:
            data[begin:end] = rng.randbytes(end - begin or 1)
        elif change == 1:
            data[begin:end] = rng.choice(words)
        elif change == 2:
            data[begin:begin] = data[begin:end] * rng.choice((1, 2, 50))
        elif change == 3:
            other = rng.choice(seeds)
            cut = rng.randrange(len(other) + 1)
            data[begin:end] = other[cut : cut + 64]
        else:
            del data[begin:end]
    return bytes(data)


def try_blind(
    tried: Tried, rng: random.Random, *, executions: int = sys.maxsize, seconds: float = float("inf")
) -> None:
    """Runs mutations of the seeds, so many or so long."""
    end = time.monotonic() + seconds
    while tried.executions < executions and time.monotonic() < end:
        tried.run(mutated(tried.target.seeds, tried.target.words, rng))


def try_guided(tried: Tried, seconds: float, done: Any) -> None:
    """Runs what libFuzzer makes of the seeds, guided by the code that each reaches; calls `done`, which must exit."""
    import atheris

    end = time.monotonic() + seconds

    def one(data: bytes) -> None:
        tried.run(data)
        if time.monotonic() > end:
            done()

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, len(data))
        return mutated([data, *tried.target.seeds], tried.target.words, rng)[:most]

    corpus = Path("corpus")
    corpus.mkdir()
    for number, seed in enumerate(tried.target.seeds):
        (corpus / str(number)).write_bytes(seed)
    arguments = [sys.argv[0], str(corpus), "-max_len=8192", "-timeout=60", "-rss_limit_mb=4096", "-verbosity=0"]
    atheris.Setup(arguments, one, custom_mutator=mutate)
    atheris.Fuzz()


def loaded_target(name: str) -> Any:
    """The target, its files in the working directory; the code that it reaches is watched where atheris can."""
    if GUIDED:
        import atheris

        with atheris.instrument_imports(include=["textclf", "yaml", "zipfile", "gzip"]):
            import targets
    else:
        import targets
    return targets.targets()[name]


def fuzz_one(name: str, seconds: float, output: Path) -> None:
    """Fuzzes a target in a folder of its own, and writes what came of it; ends the process."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        tried = Tried(loaded_target(name))
        begin = time.monotonic()

        def done() -> None:
            saved = [save_finding(name, what, data) for what, data in tried.findings.items()]
            figures = {
                "executions": tried.executions,
                "seconds": round(time.monotonic() - begin),
                "findings": saved,
                "guided": GUIDED,
            }
            output.write_text(json.dumps(figures), encoding="utf-8")
            os._exit(0)  # libFuzzer has no other end but a crash

        if GUIDED:
            try_guided(tried, seconds, done)
        try_blind(tried, random.Random(), seconds=seconds)
        done()


def save_finding(name: str, what: str, data: bytes) -> str:
    path = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"{what}: {path.relative_to(ROOT).as_posix()}"


def fuzz(names: Sequence[str], seconds: float) -> dict[str, Any]:
    """The figures of each target, each fuzzed in a process of its own, all at the same time."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {name: Path(folder) / f"{name}.json" for name in names}
        command = [sys.executable, __file__, "--seconds", str(seconds)]
        processes = {
            name: subprocess.Popen([*command, "--target", name, "--figures", str(output)])
            for name, output in outputs.items()
        }
        for name, process in processes.items():
            crash = {"executions": 0, "seconds": 0, "findings": [f"the process ended with {process.wait()}"]}
            output = outputs[name]
            results[name] = json.loads(output.read_text(encoding="utf-8")) if output.is_file() else crash
            sys.stderr.writelines(f"{name}: {finding}\n" for finding in results[name]["findings"])
    return results


def table(results: dict[str, Any]) -> list[list[str]]:
    rows = [["what reads", "seconds", "executions", "a second", "findings"]]
    for name, found in results.items():
        speed = found["executions"] / max(1, found["seconds"])
        rows.append(
            [name, f"{found['seconds']}", f"{found['executions']:,}", f"{speed:,.0f}", str(len(found["findings"]))]
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--target", action="append", choices=NAMES, dest="names")
    parser.add_argument("--json", type=Path, default=HERE / "fuzz.json")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--figures", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.names or NAMES
    if arguments.figures:
        fuzz_one(names[0], arguments.seconds, arguments.figures)
    if arguments.replay:
        data = arguments.replay.read_bytes()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            loaded_target(names[0]).run(data)
        return 0
    from measuring import report

    results = fuzz(names, arguments.seconds)
    report(arguments.json, {"results": results}, table(results))
    return 1 if any(found["findings"] for found in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
