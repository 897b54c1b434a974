"""Kill trainings at random moments, resume them, and compare each with a training that was not killed: `make kills`.

Every training replaces an earlier run, which must stay complete until the new one is. Two chains of trainings run side
by side; each process is killed (SIGKILL) or, once in four times, left to end.
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
    "several labels per row": ("topics", "labels", "'|'", "max", "null", "true"),
}
SAME = ["history.csv", "metrics.json", "split.json", "predictions.csv", "model/model.onnx", "model/model.json"]
"""Files that must be the same to the bit; the others hold times, or are drawn from these."""


class Reference(NamedTuple):
    """Runs that chains are compared with."""

    files: dict[str, bytes]
    """The files of a run that was not killed."""
    earlier: Path
    """A run with other settings, which the new one replaces."""
    seconds: float
    """About how long a training takes."""


class Chain(NamedTuple):
    """The result of one training that was killed several times."""

    kills: Counter[str]
    """By the moment at which the process died."""
    fault: str | None


class Process:
    """`textclf train`, forked from a process that has imported TensorFlow: a third of the time of a new process."""

    def __init__(self, config: Path, run: Path, *options: str):
        self._log = run.with_name("log")
        self.code: int | None = None
        self._id = os.fork()
        if not self._id:
            _run_textclf(["train", str(config), "--run", str(run), *options], self._log)

    def poll(self) -> int | None:
        """Return the exit code, -9 if the process was killed; None while it runs."""
        if self.code is None:
            ended, status = os.waitpid(self._id, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self) -> str:
        """Wait for the end of the process, and return its standard error."""
        while self.poll() is None:
            time.sleep(0.002)
        stderr = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        self._log.unlink(missing_ok=True)
        return stderr

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._id, signal.SIGKILL)


def _run_textclf(arguments: list[str], log: Path) -> NoReturn:
    """Run the command in this process, its standard error in the log, and exit."""
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
    """Write one of CONFIGS into a folder."""
    sample, label, separator, pooling, weight, texts = CONFIGS[name]
    rest = SMALL.replace("POOLING", pooling).replace("WEIGHT", weight).replace("TEXTS", texts)
    data = f"data: {{train: data/sample/{sample}.csv, label: {label}, label_separator: {separator}}}"
    path = folder / f"{sample}.yaml"
    path.write_text(data + rest, encoding="utf-8")
    return path


def wait_for_moment(process: Process, stage: Path, seconds: float, rng: random.Random) -> None:
    """Wait for a random moment: any, in an epoch, while a file is written, or while the run is saved."""
    moment = rng.choice(["any", "training", "writing", "saving"])
    if moment == "any":
        time.sleep(rng.uniform(0, seconds))
        return
    temporary_files = rng.randint(1, 12)  # seen before the moment has come
    while process.poll() is None:
        if moment == "training" and (stage / "checkpoint" / "state.npz").exists():
            time.sleep(rng.uniform(0, 1))
            return
        if moment == "writing" and any(stage.rglob(".*")):
            temporary_files -= 1
            if not temporary_files:
                return
        if moment == "saving" and (stage / "model.keras").exists():
            time.sleep(rng.uniform(0, 1.2))
            return
        time.sleep(0.0005)


def moment_of_death(stage: Path) -> str:
    """Return what the process was doing when it was killed, judging by the files it left."""
    if not stage.exists():
        return "before the first file, or after the last"
    names = [path.name for path in stage.rglob(".*/*")]
    if "state.npz" in names:
        return "writing a checkpoint"
    if names:
        return "writing another file"
    if (stage / "model.keras").exists():
        return "saving the run"
    return "training" if (stage / "checkpoint" / "state.npz").exists() else "before the first checkpoint"


def run_chain(folder: Path, name: str, reference: Reference, rng: random.Random) -> Chain:
    """Kill and resume one training until it is complete, then compare it."""
    config, run = write_config(folder, name), folder / "run"
    shutil.copytree(reference.earlier, run)
    before = contents(run)
    stage, retired = folder / "run.partial", folder / "run.textclf-replaced"
    kills: Counter[str] = Counter()
    while not same(contents(run), reference.files):
        resumable = (stage / "checkpoint" / "state.npz").exists()
        process = Process(config, run, "--resume" if resumable else "--overwrite")
        if rng.random() < KILLED:
            wait_for_moment(process, stage, reference.seconds, rng)
            process.kill()
        stderr = process.wait()
        if process.code == -signal.SIGKILL:
            kills[moment_of_death(stage)] += 1
        elif process.code:
            return Chain(kills, f"{name}: exit {process.code}: {stderr}")
        files = contents(run if run.exists() else retired)
        if files != before and not same(files, reference.files):
            return Chain(kills, f"{name}: the earlier run is damaged, or the new one is another")
    Process(config, run, "--resume").wait()  # removes what a kill after the last rename may have left
    left = sorted(path.name for path in folder.iterdir() if path not in (config, run))
    return Chain(kills, f"{name}: left behind: {left}" if left else None)


def same(files: dict[str, bytes], expected: dict[str, bytes]) -> bool:
    """Tell if the files of two runs agree as far as they must."""
    return all(files.get(name) == expected[name] for name in SAME)


def prepare(folder: Path, name: str) -> Reference:
    """Train the run that chains are compared with and the run that they replace, in new processes."""
    config = write_config(folder, name)
    start = time.perf_counter()
    _train(config, folder / "reference")
    seconds = time.perf_counter() - start
    _train(config, folder / "earlier", "--set", "training.seed=1", "--set", "training.epochs=1")
    return Reference(contents(folder / "reference"), folder / "earlier", seconds / 2)


def _train(config: Path, run: Path, *options: str) -> None:
    subprocess.run([*TEXTCLF, "train", config, "--run", run, *options], cwd=ROOT, check=True, capture_output=True)


def run_task(task: tuple[Path, str, Reference, str]) -> Chain:
    """Run a chain in a folder of its own."""
    parent, name, reference, seed = task
    start_tensorflow(device="cpu")
    folder = parent / seed.replace(" ", "-")
    folder.mkdir()
    chain = run_chain(folder, name, reference, random.Random(seed))
    shutil.rmtree(folder)
    return chain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="least number of kills")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    arguments = parser.parse_args()
    kills: Counter[str] = Counter()
    complete, faults = 0, []
    with tempfile.TemporaryDirectory(prefix="textclf-kills-") as temporary:
        folder = Path(temporary)
        references = {}
        for name in CONFIGS:
            (folder / name).mkdir()
            references[name] = prepare(folder / name, name)
        names = random.Random(arguments.seed).choices(list(CONFIGS), k=10**5)
        tasks = ((folder, name, references[name], f"{arguments.seed} {n}") for n, name in enumerate(names))
        with multiprocessing.get_context("spawn").Pool(2) as workers:
            for chain in workers.imap_unordered(run_task, tasks):
                kills += chain.kills
                complete += chain.fault is None
                faults += [chain.fault] if chain.fault else []
                say(f"{kills.total()} kills, {complete} trainings complete, {len(faults)} faults {chain.fault or ''}")
                if kills.total() >= arguments.kills or faults:
                    workers.terminate()
                    break
    results = {"kills": dict(kills.most_common()), "complete": complete, "faults": faults}
    report(HERE / "kills.json", {"seed": arguments.seed, "results": results}, table(results))
    sys.exit(bool(faults))


def table(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a row for each moment of a kill, and for the results of the trainings."""
    kills = sum(results["kills"].values())
    rows = [(f"killed {moment}", f"{count}") for moment, count in results["kills"].items()]
    return [
        ("trainings killed and resumed", "times"),
        *rows,
        ("killed in total", f"{kills}"),
        ("trainings completed", f"{results['complete']}"),
        ("earlier run damaged, other result, or anything left behind", f"{len(results['faults'])}"),
    ]


if __name__ == "__main__":
    main()
