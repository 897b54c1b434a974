"""Trainings killed at random moments and resumed, each compared at its end with one that nothing disturbed.

`make kills`. Every training has an earlier run in its place, which must be whole until the new one is. Two chains of
trainings run side by side; each process is killed (SIGKILL) or, once in four times, left to end.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "benchmarks"), str(HERE.parent), str(HERE.parent.parent)]

from faults import contents  # noqa: E402
from measuring import ROOT, TEXTCLF, report, say  # noqa: E402

from textclf.training.tensorflow_setup import start_tensorflow  # noqa: E402

KILLED = 0.75  # share of the processes
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


class Ready(NamedTuple):
    """What chains are compared with."""

    reference: dict[str, bytes]
    """The files of a run that nothing disturbed."""
    earlier: Path
    """A run of other settings, which is in the place of the new one."""
    seconds: float
    """What a training takes, about."""


class Chain(NamedTuple):
    """What came of one training that was killed again and again."""

    kills: Counter[str]
    """By the moment at which the process died."""
    fault: str | None


class Process:
    """`textclf train`, forked from a process that has imported TensorFlow: a third of the time of a new one."""

    def __init__(self, config: Path, run: Path, *options: str):
        self._log = run.with_name("log")
        self.code: int | None = None
        self._id = os.fork()
        if not self._id:
            _be_textclf(["train", str(config), "--run", str(run), *options], self._log)

    def poll(self) -> int | None:
        """The exit code, -9 where it was killed; None while it runs."""
        if self.code is None:
            ended, status = os.waitpid(self._id, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self) -> str:
        """Waits for its end; what it said."""
        while self.poll() is None:
            time.sleep(0.002)
        talk = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        self._log.unlink(missing_ok=True)
        return talk

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._id, signal.SIGKILL)


def _be_textclf(arguments: list[str], log: Path) -> NoReturn:
    """Turns this process into the command, its talk in the log."""
    from textclf.cli.main import main

    code: Any = 70
    try:
        for descriptor, path in ((1, os.devnull), (2, str(log))):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        main(arguments)
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # a bug: its traceback goes to the log
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code or 0)


def write_config(folder: Path, name: str) -> Path:
    sample, label, separator, pooling, weight, texts = CONFIGS[name]
    rest = SMALL.replace("POOLING", pooling).replace("WEIGHT", weight).replace("TEXTS", texts)
    data = f"data: {{train: data/sample/{sample}.csv, label: {label}, label_separator: {separator}}}"
    path = folder / f"{sample}.yaml"
    path.write_text(data + rest, encoding="utf-8")
    return path


def wait_for_moment(process: Process, stage: Path, seconds: float, rng: random.Random) -> None:
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


def chain(folder: Path, name: str, ready: Ready, rng: random.Random) -> Chain:
    """One training, killed again and again until it is complete; then compared."""
    config, run = write_config(folder, name), folder / "run"
    shutil.copytree(ready.earlier, run)
    before = contents(run)
    stage, retired = folder / "run.partial", folder / "run.old"
    kills: Counter[str] = Counter()
    while not same(contents(run), ready.reference):
        resumable = (stage / "checkpoint" / "state.npz").exists()
        process = Process(config, run, "--resume" if resumable else "--overwrite")
        if rng.random() < KILLED:
            wait_for_moment(process, stage, ready.seconds, rng)
            process.kill()
        talk = process.wait()
        if process.code == -signal.SIGKILL:
            kills[moment_of_death(stage)] += 1
        elif process.code:
            return Chain(kills, f"{name}: exit {process.code}: {talk}")
        found = contents(run if run.exists() else retired)
        if found != before and not same(found, ready.reference):
            return Chain(kills, f"{name}: the run in its place is damaged, or another result")
    Process(config, run, "--resume").wait()  # puts away what a kill after the last rename may have left
    left = sorted(path.name for path in folder.iterdir() if path not in (config, run))
    return Chain(kills, f"{name}: left behind: {left}" if left else None)


def same(found: dict[str, bytes], reference: dict[str, bytes]) -> bool:
    return all(found.get(name) == reference[name] for name in SAME)


def prepare(folder: Path, name: str) -> Ready:
    """Trains undisturbed, in new processes, what the chains are compared with and what they find in their place."""
    config = write_config(folder, name)
    start = time.perf_counter()
    _train(config, folder / "reference")
    seconds = time.perf_counter() - start
    _train(config, folder / "earlier", "--set", "training.seed=1", "--set", "training.epochs=1")
    return Ready(contents(folder / "reference"), folder / "earlier", seconds / 2)


def _train(config: Path, run: Path, *options: str) -> None:
    subprocess.run([*TEXTCLF, "train", config, "--run", run, *options], cwd=ROOT, check=True, capture_output=True)


def work(task: tuple[Path, str, Ready, str]) -> Chain:
    """A chain in a folder of its own."""
    place, name, ready, seed = task
    start_tensorflow(device="cpu")
    folder = place / seed.replace(" ", "-")
    folder.mkdir()
    found = chain(folder, name, ready, random.Random(seed))
    shutil.rmtree(folder)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200, help="at least so many")
    options.add_argument("--seed", type=int, default=time.time_ns())
    asked = options.parse_args()
    kills: Counter[str] = Counter()
    complete, faults = 0, []
    with tempfile.TemporaryDirectory(prefix="textclf-kills-") as name:
        place = Path(name)
        ready = {}
        for each in CONFIGS:
            (place / each).mkdir()
            ready[each] = prepare(place / each, each)
        names = random.Random(asked.seed).choices(list(CONFIGS), k=10**5)
        tasks = ((place, each, ready[each], f"{asked.seed} {number}") for number, each in enumerate(names))
        with multiprocessing.get_context("spawn").Pool(2) as workers:
            for found in workers.imap_unordered(work, tasks):
                kills += found.kills
                complete += found.fault is None
                faults += [found.fault] if found.fault else []
                say(f"{kills.total()} kills, {complete} trainings complete, {len(faults)} faults {found.fault or ''}")
                if kills.total() >= asked.kills or faults:
                    workers.terminate()
                    break
    results = {"kills": dict(kills.most_common()), "complete": complete, "faults": faults}
    report(HERE / "kills.json", {"seed": asked.seed, "results": results}, table(results))
    sys.exit(bool(faults))


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
