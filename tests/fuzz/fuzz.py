"""Feed the readers of files with mutated bytes, each target for some minutes, and save the bytes that break one.

    python tests/fuzz/fuzz.py [--seconds 300] [--target NAME]... [--json FILE]

Mutations are guided by coverage if atheris is installed, else they are random. Exit code 1: there are findings; each
is a file in runs/fuzz/, which `python tests/fuzz/fuzz.py --replay FILE --target NAME` runs again.
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
FINDINGS = ROOT / "runs" / "fuzz"
NAMES = ("config", "rows", "vectors", "model", "encoder")
GUIDED = importlib.util.find_spec("atheris") is not None
SLOW = 10.0  # seconds; to take longer for a few kilobytes is a finding

sys.path[:0] = [str(ROOT), str(HERE), str(HERE.parent), str(HERE.parent / "benchmarks")]


@dataclass
class Executions:
    """The executions of a target, and their findings."""

    target: Any
    count: int = 0
    findings: dict[str, bytes] = field(default_factory=dict)
    """The first input of each kind of error, by error and place."""

    def run(self, data: bytes) -> None:
        """Execute the target once."""
        start = time.monotonic()
        self.count += 1
        try:
            self.target.run(data)
        except Exception as error:  # any error but UserError is a finding
            frames = traceback.extract_tb(error.__traceback__)
            last = next((frame for frame in reversed(frames) if "textclf" in Path(frame.filename).parts), frames[-1])
            self.findings.setdefault(f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}", data)
        if time.monotonic() - start > SLOW:
            self.findings.setdefault("slow", data)


def mutate(seeds: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a seed changed in a few places: by bytes, words, and pieces of it and of other seeds."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 2, 8, 64)))
        change = rng.randrange(5)
        if change == 0:
            data[start:end] = rng.randbytes(end - start or 1)
        elif change == 1:
            data[start:end] = rng.choice(words)
        elif change == 2:
            data[start:start] = data[start:end] * rng.choice((1, 2, 50))
        elif change == 3:
            other = rng.choice(seeds)
            cut = rng.randrange(len(other) + 1)
            data[start:end] = other[cut : cut + 64]
        else:
            del data[start:end]
    return bytes(data)


def run_random(
    executions: Executions, rng: random.Random, *, most: int = sys.maxsize, seconds: float = float("inf")
) -> None:
    """Run random mutations of the seeds, at most so many and so long."""
    end = time.monotonic() + seconds
    target = executions.target
    while executions.count < most and time.monotonic() < end:
        executions.run(mutate(target.seeds, target.words, rng))


def run_guided(executions: Executions, seconds: float, done: Any) -> None:
    """Run libFuzzer's mutations of the seeds, guided by the code that they reach, then call `done`, which must exit."""
    import atheris

    end = time.monotonic() + seconds

    def one(data: bytes) -> None:
        executions.run(data)
        if time.monotonic() > end:
            done()

    def mutate_input(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, len(data))
        return mutate([data, *executions.target.seeds], executions.target.words, rng)[:most]

    corpus = Path("corpus")
    corpus.mkdir()
    for number, seed in enumerate(executions.target.seeds):
        (corpus / str(number)).write_bytes(seed)
    arguments = [sys.argv[0], str(corpus), "-max_len=8192", "-timeout=60", "-rss_limit_mb=4096", "-verbosity=0"]
    atheris.Setup(arguments, one, custom_mutator=mutate_input)
    atheris.Fuzz()


def load_target(name: str) -> Any:
    """Load a target, which writes its files into the working directory; atheris records the code that it reaches."""
    if GUIDED:
        import atheris

        with atheris.instrument_imports(include=["textclf", "yaml", "zipfile", "gzip"]):
            import targets
    else:
        import targets
    return targets.targets()[name]


def fuzz_one(name: str, seconds: float, output: Path) -> None:
    """Fuzz a target in a folder of its own, write the figures, and end the process."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        executions = Executions(load_target(name))
        start = time.monotonic()

        def done() -> None:
            saved = [save_finding(name, error, data) for error, data in executions.findings.items()]
            figures = {
                "executions": executions.count,
                "seconds": round(time.monotonic() - start),
                "findings": saved,
                "guided": GUIDED,
            }
            output.write_text(json.dumps(figures), encoding="utf-8")
            os._exit(0)  # libFuzzer ends in no other way but a crash

        if GUIDED:
            run_guided(executions, seconds, done)
        run_random(executions, random.Random(), seconds=seconds)
        done()


def save_finding(name: str, error: str, data: bytes) -> str:
    """Save the input of a finding, and return error and path."""
    path = FINDINGS / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"{error}: {path.relative_to(ROOT).as_posix()}"


def fuzz(names: Sequence[str], seconds: float) -> dict[str, Any]:
    """Fuzz the targets at the same time, each in a process of its own, and return their figures."""
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
    """Return a row for each target."""
    rows = [["reader", "seconds", "executions", "per second", "findings"]]
    for name, result in results.items():
        executions, seconds = result["executions"], result["seconds"]
        speed = f"{executions / max(1, seconds):,.0f}"
        rows.append([name, f"{seconds}", f"{executions:,}", speed, str(len(result["findings"]))])
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
            load_target(names[0]).run(data)
        return 0
    from measuring import report

    results = fuzz(names, arguments.seconds)
    report(arguments.json, {"results": results}, table(results))
    return 1 if any(result["findings"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
