"""Accuracy of each tool on short texts, against its seconds of training and its lines a second: two pictures.

    python tests/benchmarks/tools.py [--lines 100000] [--data FOLDER]

Each tool is trained once on mr (or else on the film reviews that `make data` fetches) and then labels the same lines,
in whole processes that take turns. The plain script gets the score of its best epoch on the test file, and the time of
all ten. textclf is trained as `init` writes its config, by configs/quick.yaml, and, where `make encoder` was called,
with a pretrained encoder whose last layer alone is trained; beside the first stand its students of
`compress --method distill`, with its linear part and without. The rows are printed, and go to tools.json beside this
file; `make docs` draws the pictures in docs/ from it.
"""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contenders import SCRIPTS, model_folder, peer
from corpora import MINILM, SHARED, lines_file, short_texts
from measuring import CACHE, ROOT, TEXTCLF, alternating, measure, report, say
from train_speed import peer_accuracy

RESULTS = Path(__file__).with_suffix(".json")
FOLDER = CACHE / "tools"
REPEATS = 3
OFFSETS = {"textclf": (-36, -12), "textclf student": (5, -12)}  # of names in the pictures, where points lie close
SLOW_LINES = 2_000
"""Lines for an encoder, which is slow; its lines a second are those of the computing, the start taken off."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=SHARED)
    arguments = parser.parse_args()
    train, test = short_texts(arguments.data)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    trained = {name: train_peer(name, train, test) for name in SCRIPTS} | train_runs(train, test)
    speeds = label(train, arguments.lines, trained)
    results = {name: {**found, "lines_a_second": speeds[name]} for name, found in trained.items()}
    report(RESULTS, {"lines": arguments.lines, "results": results}, table(results))


def train_peer(name: str, train: Path, test: Path) -> dict[str, Any]:
    """Return the seconds in which a peer is trained, and its accuracy."""
    folder = FOLDER / model_folder(name).name
    took = measure(peer(name, "train", train, test, folder))
    say(f"{name}: {took}")
    return {"seconds": took.seconds, "accuracy": peer_accuracy(folder)["accuracy"]}


def train_runs(train: Path, test: Path) -> dict[str, Any]:
    """Return the seconds in which each model of textclf is trained, and its accuracy."""
    config = FOLDER / "init.yaml"
    measure([*TEXTCLF, "init", train, "--output", config])
    sets = ["--set", f"data.train={train}", "--set", f"data.test={test}"]
    first = FOLDER / "textclf"
    distill: list[str | Path] = ["compress", "--run", first, "--method", "distill", "--max-loss", "1"]
    commands: dict[str, list[str | Path]] = {
        "textclf": ["train", config, "--run", first, "--set", f"data.test={test}"],
        "textclf quick": ["train", ROOT / "configs" / "quick.yaml", "--run", FOLDER / "textclf-quick", *sets],
        "textclf student": [*distill, "--output", FOLDER / "textclf-student"],
        "textclf student alone": [*distill, "--alone", "--output", FOLDER / "textclf-student-alone"],
    }  # fmt: skip
    if MINILM.is_dir():
        encoder = ["--set", f"model.encoder={MINILM}", "--set", "model.trainable=head"]
        run = FOLDER / "textclf-encoder"
        commands["textclf encoder"] = ["train", ROOT / "configs" / "encoder.yaml", "--run", run, *sets, *encoder]
    found: dict[str, Any] = {}
    for name, command in commands.items():
        seconds = measure([*TEXTCLF, *command]).seconds
        say(f"{name}: {seconds} s")
        metrics = json.loads((FOLDER / name.replace(" ", "-") / "metrics.json").read_text())
        found[name] = {"seconds": seconds, "accuracy": metrics["metrics"]["accuracy"]}
    for student in ("textclf student", "textclf student alone"):
        found[student]["seconds"] += found["textclf"]["seconds"]  # which its teacher took
    return found


def label(source: Path, count: int, trained: Mapping[str, Any]) -> dict[str, int]:
    """Return the lines that each tool labels in a second, by whole processes."""
    lines = lines_file(source, count)
    commands = {name: predict_command(name, lines) for name in trained if name != "textclf encoder"}
    took = alternating(commands, {name: 1 if name == "plain Keras script" else REPEATS for name in commands})
    speeds = {name: round(count / result["seconds"]) for name, result in took.items()}
    if "textclf encoder" in trained:
        seconds = [
            measure(predict_command("textclf encoder", lines_file(source, few))).seconds for few in (1, SLOW_LINES + 1)
        ]
        speeds["textclf encoder"] = round(SLOW_LINES / (seconds[1] - seconds[0]))
    return speeds


def predict_command(name: str, lines: Path) -> list[str | Path]:
    """Return the command by which a tool labels the lines."""
    folder = FOLDER / model_folder(name).name
    if name in SCRIPTS:
        return peer(name, "predict", folder, lines, FOLDER / "out.tsv")
    return [*TEXTCLF, "predict", lines, "--run", folder]


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each tool."""
    rows = [["tool", "accuracy", "seconds of training", "lines a second"]]
    return rows + [
        [name, f"{found['accuracy']:.4f}", f"{found['seconds']:.1f}", f"{found['lines_a_second']:,}"]
        for name, found in results.items()
    ]


def draw(results: dict[str, Any], folder: Path) -> None:
    """Draw docs/training.svg and docs/prediction.svg: accuracy against seconds of training, and lines a second."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {"svg.hashsalt": "textclf", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    kinds = {"training": ("seconds", "seconds of training, less is better"),
             "prediction": ("lines_a_second", "lines a second, more is better")}  # fmt: skip
    for name, (key, label) in kinds.items():
        with matplotlib.rc_context(style):
            figure = Figure(figsize=(6, 3.4), layout="constrained")
            axes = figure.subplots()
            for tool, found in results.items():
                ours = tool.startswith("textclf")
                axes.plot(found[key], found["accuracy"], "o" if ours else "s", color="#1f6fb2" if ours else "#777777")
                offset = OFFSETS.get(tool, (5, 4))
                axes.annotate(tool, (found[key], found["accuracy"]), offset, textcoords="offset points")
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.margins(x=0.4, y=0.15)
            axes.set(xlabel=label, ylabel="accuracy on the test rows")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
