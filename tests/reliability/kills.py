"""Trainings killed at random moments and resumed, each compared at its end with one that nothing disturbed.

`make kills`. Every training has an earlier run in its place, which must be whole until the new one is. A chain of
trainings runs on each core; each process is killed (SIGKILL) or, once in four times, left to end.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "benchmarks"), str(HERE.parent)]

from faults import contents  # noqa: E402
from measuring import ROOT, TEXTCLF, report, say  # noqa: E402

SMALL = """
text: {max_length: 40}
model: {embedding_dim: 16, units: 8, dropout: 0.5, embedding_dropout: 0.2, pooling: POOLING}
training: {epochs: 5, learning_rate: 1e-2, checkpoint_minutes: 0.002, early_stopping: 2, class_weight: WEIGHT}
report: {baseline: false, texts: TEXTS}
"""
CONFIGS = {
    "two labels": ("reviews", "label", "null", "last", "null", "true"),
    "four labels": ("questions", "label", "null", "max_mean", "balanced", "false"),
    "several labels a row": ("topics", "labels", "'|'", "max", "null", "true"),
}
SAME = ["history.csv", "metrics.json", "split.json", "predictions.csv", "model/model.onnx", "model/model.json"]
"""What must be the same to the bit. The other files hold times, or are drawn from these."""


@dataclass
class Tally:
    """What came of all kills; several threads add to it."""

    kills: Counter[str] = field(default_factory=Counter)
    """By the moment at which the process died."""
    complete: int = 0
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def write_config(folder: Path, name: str) -> Path:
    sample, label, separator, pooling, weight, texts = CONFIGS[name]
    rest = SMALL.replace("POOLING", pooling).replace("WEIGHT", weight).replace("TEXTS", texts)
    data = f"data: {{train: data/sample/{sample}.csv, label: {label}, label_separator: {separator}}}"
    path = folder / f"{sample}.yaml"
    path.write_text(data + rest, encoding="utf-8")
    return path


def begin(config: Path, run: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [*TEXTCLF, "train", str(config), "--run", str(run), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_moment(process: subprocess.Popen[bytes], stage: Path, seconds: float, rng: random.Random) -> None:
    """Returns at a random moment: anywhere, in an epoch, while a file is written, or while the run is saved."""
    kind = rng.choice(["anywhere", "training", "writing", "saving"])
    if kind == "anywhere":
        time.sleep(rng.uniform(0, seconds))
        return
    sights = rng.randint(1, 12)
    while process.poll() is None:
        if kind == "training" and (stage / "checkpoint" / "state.npz").exists():
            time.sleep(rng.uniform(0, 1))
            return
        if kind == "writing" and any(stage.rglob(".*")):
            sights -= 1
            if not sights:
                return
        if kind == "saving" and (stage / "model.keras").exists():
            time.sleep(rng.uniform(0, 1.2))
            return
        time.sleep(0.0005)


def moment_of_death(stage: Path) -> str:
    """Where the process was, seen from what it left."""
    if not stage.exists():
        return "before the first file, or after the last"
    names = [path.name for path in stage.rglob(".*")]
    if any(name.endswith("state.npz") for name in names):
        return "writing a checkpoint"
    if names:
        return "writing another file"
    if (stage / "model.keras").exists():
        return "saving the run"
    return "training" if (stage / "checkpoint" / "state.npz").exists() else "before the first checkpoint"


def chain(folder: Path, name: str, reference: dict[str, bytes], earlier: Path, seconds: float, tally: Tally,
          rng: random.Random) -> None:  # fmt: skip
    """One training, killed again and again until it is complete; then compared."""
    config, run = write_config(folder, name), folder / "run"
    shutil.copytree(earlier, run)
    before = contents(run)
    stage, retired = folder / "run.partial", folder / "run.old"
    while True:
        resumable = (stage / "checkpoint" / "state.npz").exists()
        process = begin(config, run, "--resume" if resumable else "--overwrite")
        if rng.random() < 0.75:
            wait_for_moment(process, stage, seconds, rng)
            process.kill()
        talk = process.communicate()[1].decode()
        if process.returncode == 0:
            break
        if process.returncode > 0:
            return note(tally, f"{name}: exit {process.returncode}: {talk}")
        found = contents(run if run.exists() else retired)
        with tally.lock:
            tally.kills[moment_of_death(stage)] += 1
        if found != before and not same(found, reference):
            return note(tally, f"{name}: the earlier run is damaged")
        if same(found, reference):  # killed after its last act: complete
            break
    with tally.lock:
        tally.complete += 1
    subprocess.run([*TEXTCLF, "train", str(config), "--run", str(run), "--resume"], cwd=ROOT, capture_output=True)
    if not same(contents(run), reference):
        return note(tally, f"{name}: another result")
    left = sorted(path.name for path in folder.iterdir() if path not in (config, run))
    return note(tally, f"{name}: left behind: {left}") if left else None


def same(found: dict[str, bytes], reference: dict[str, bytes]) -> bool:
    return all(found.get(name) == reference[name] for name in SAME)


def note(tally: Tally, fault: str) -> None:
    say(f"FAULT {fault}")
    with tally.lock:
        tally.faults.append(fault)


def prepare(folder: Path, name: str) -> tuple[dict[str, bytes], Path, float]:
    """The undisturbed run, an earlier run of other settings, and the seconds that a training takes."""
    config = write_config(folder, name)
    start = time.perf_counter()
    assert begin(config, folder / "reference").wait() == 0
    seconds = time.perf_counter() - start
    assert begin(config, folder / "earlier", "--set", "training.seed=1", "--set", "training.epochs=1").wait() == 0
    return contents(folder / "reference"), folder / "earlier", seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200, help="at least so many")
    options.add_argument("--seed", type=int, default=time.time_ns())
    asked = options.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="textclf-kills-") as place:
        ready: dict[str, Any] = {}
        for name in CONFIGS:
            (folder := Path(place) / name).mkdir()
            ready[name] = prepare(folder, name)

        def work(worker: int) -> None:
            rng = random.Random(f"{asked.seed} {worker}")
            for number in range(10**6):
                if tally.kills.total() >= asked.kills or tally.faults:
                    return
                name = rng.choice(list(CONFIGS))
                (folder := Path(place) / f"{worker}-{number}").mkdir()
                chain(folder, name, *ready[name], tally, rng)
                shutil.rmtree(folder)
                say(f"{tally.kills.total()} kills, {tally.complete} trainings complete, {len(tally.faults)} faults")

        with ThreadPoolExecutor(2) as workers:
            list(workers.map(work, range(2)))
    results = {"kills": dict(tally.kills.most_common()), "complete": tally.complete, "faults": tally.faults}
    report(HERE / "kills.json", {"seed": asked.seed, "results": results}, table(results))
    sys.exit(bool(tally.faults))


def table(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Kills by the moment of death, and what became of the trainings."""
    kills = sum(results["kills"].values())
    rows = [(f"killed {moment}", f"{count}") for moment, count in results["kills"].items()]
    return [
        ("trainings killed and resumed", "times"),
        *rows,
        ("killed in all", f"{kills}"),
        ("trainings complete in the end", f"{results['complete']}"),
        ("earlier run damaged, other result, or anything left behind", f"{len(results['faults'])}"),
    ]


if __name__ == "__main__":
    main()
