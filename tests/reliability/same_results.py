"""Two checkouts give the same results: `python same_results.py OLD [NEW]`; NEW is by default the one that holds this.

Both train on the samples in data/sample, evaluate, compare, compress and predict, each command in a process of its own.
What a change of structure must not alter is compared byte by byte: the files of the runs, and what is printed. Times
and paths are in none of them. Exits with 1 where something differs; it takes about three minutes.

    git worktree add ../before COMMIT
    python tests/reliability/same_results.py ../before
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "data" / "sample"
FILES = (
    "config.yaml", "split.json", "history.csv", "predictions.csv", "metrics.json", "model/model.json",
    "model/model.onnx",
)  # fmt: skip

SMALL = ["model.embedding_dim=16", "model.units=8", "training.epochs=3", "training.learning_rate=0.01"]
BAGS = ["model.type=mlp", "model.ngrams=2", "model.buckets=1000", "model.hidden=[16, 8]", "training.epochs=3"]
TRAININGS = {
    "reviews": ("reviews", SMALL),
    "questions": ("questions", [*SMALL, "model.pooling=max_mean", "training.class_weight=balanced"]),
    "topics": ("topics", [*SMALL, "data.label=labels", 'data.label_separator="|"', "model.pooling=max"]),
    "bags": ("questions", BAGS),
    "seeds": ("reviews", [*SMALL, "training.seeds=2", "training.ensemble=true"]),
}
"""Sample and settings by the name of the run."""


def main() -> None:
    trees = [Path(argument).resolve() for argument in sys.argv[1:]]
    if len(trees) not in (1, 2):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        old, new = (results(tree, Path(folder)) for tree in (trees[0], trees[1] if len(trees) == 2 else ROOT))
    differing = [name for name in old if old[name] != new[name]]
    sys.stdout.writelines(f"{'DIFFERS' if name in differing else 'same   '} {name}\n" for name in old)
    sys.stdout.write(f"{len(old) - len(differing)} of {len(old)} results are the same\n")
    sys.exit(bool(differing))


def results(tree: Path, folder: Path) -> dict[str, bytes]:
    """Return the files and the output of a checkout's commands by name; both checkouts use the same paths."""
    outputs: dict[str, bytes] = {}
    runs = folder / "runs"

    def textclf(name: str, *arguments: str | Path) -> None:
        outputs[name] = output(tree, folder, *arguments)

    for run, (sample, settings) in TRAININGS.items():
        config = folder / f"{sample}.yaml"
        config.write_text(f"data: {{train: {SAMPLES / sample}.csv}}\n", encoding="utf-8")
        overrides = [part for setting in settings for part in ("--set", setting)]
        textclf(f"train {run}", "train", config, "--run", runs / run, "--overwrite", *overrides)
    textclf(
        "compress", "compress", "--run", runs / "reviews", "--method", "int8", "--output", runs / "int8", "--overwrite"
    )
    textclf("evaluate", "evaluate", SAMPLES / "reviews.csv", "--run", runs / "reviews", "--json")
    textclf("compare", "compare", runs / "reviews", runs / "seeds", "--json")
    textclf("predict", "predict", SAMPLES / "lines.txt", "--run", runs / "reviews")
    textclf("check", "check", folder / "questions.yaml", "--json")
    textclf("init", "init", SAMPLES / "reviews.csv", "--output", "-")
    textclf("schema", "schema")
    files = {f"{run}/{file}": (runs / run / file).read_bytes() for run in (*TRAININGS, "int8") for file in FILES}
    return outputs | files


def output(tree: Path, folder: Path, *arguments: str | Path) -> bytes:
    """Return what a command of the checkout prints to stdout."""
    command = [sys.executable, "-m", "textclf", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if process.returncode:
        sys.exit(f"{tree}: {' '.join(command)}\n{process.stderr.decode()}")
    return process.stdout


if __name__ == "__main__":
    main()
