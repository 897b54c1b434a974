"""Measure whole processes of training, and the scores they reach, beside other programs on the same rows.

    python tests/benchmarks/train_speed.py [mr] [imdb] [--repeats 3] [--data FOLDER] [--json FILE]

The plain script runs 10 epochs and validates on the test file after each, as tutorials do; its best epoch counts.
configs/quick.yaml is trained on the same train and validation files, as it is and without its linear part, and for
short texts configs/plain.yaml too, which is the plain script's network with its batch size and number of epochs. All
are trained without the baseline, which the plain script lacks too.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from contenders import SCRIPTS, model_folder, peer
from corpora import SHARED, long_texts, short_texts
from measuring import CACHE, ROOT, TEXTCLF, alternating, report, set_options

EPOCHS = 10
ALONE = "quick, network alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mr, imdb")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-repeats", type=int, default=1, help="of the plain script, which takes many minutes")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the plain script, fewer for a trial")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    files = {"mr": short_texts(arguments.data), "imdb": long_texts(arguments.data)}
    known = json.loads(arguments.json.read_text())["results"] if arguments.json.is_file() else {}
    for name in arguments.names or files:
        if paths := files[name]:
            repeats = {"repeats": arguments.repeats, "plain_repeats": arguments.plain_repeats}
            known[name] = compare(name, *paths, **repeats, epochs=arguments.epochs)
    report(arguments.json, {"results": known}, table(known))


def compare(name: str, train: Path, test: Path, *, repeats: int, plain_repeats: int, epochs: int) -> dict[str, Any]:
    """Return what each program takes to train, and the accuracy that it reaches on the test file."""
    folders = {peer_name: CACHE / f"{name}-{model_folder(peer_name).name}" for peer_name in SCRIPTS}
    commands = {
        peer_name: peer(
            peer_name, "train", train, test, folder, *(["--epochs", str(epochs)] if "Keras" in peer_name else [])
        )
        for peer_name, folder in folders.items()
    }
    configs = ["quick", ALONE, *(["plain"] if name != "imdb" else [])]
    runs = {config: CACHE / f"{name}-{config.replace(', ', '-').replace(' ', '-')}" for config in configs}
    for config, run in runs.items():
        settings = [f"data.train={train}", f"data.validation={test}", "data.test=null", "report.baseline=false"]
        settings += [f"training.epochs={epochs}", "training.early_stopping=null"] if config == "plain" else []
        settings += ["model.blend=null"] if config == ALONE else []
        sets = set_options(settings)
        path = ROOT / "configs" / f"{config.partition(',')[0]}.yaml"
        commands[f"textclf {config}"] = [*TEXTCLF, "train", path, "--run", run, "--overwrite", *sets]
    runs_of_each = {label: plain_repeats if label == "plain Keras script" else repeats for label in commands}
    results = alternating(commands, runs_of_each)
    for config, run in runs.items():
        document = json.loads((run / "metrics.json").read_text())
        results[f"textclf {config}"] |= {
            "accuracy": document["metrics"]["accuracy"],
            "epochs": document["validation"]["epochs"],
            "best_epoch": document["validation"]["best_epoch"],
        }
    for label, folder in folders.items():
        results[label] |= peer_accuracy(folder)
    return results


def peer_accuracy(folder: Path) -> dict[str, Any]:
    """Return the test accuracy of a peer; of the plain script that of its best epoch, and of the last."""
    if (folder / "score.json").is_file():
        return json.loads((folder / "score.json").read_text())
    by_epoch = json.loads((folder / "history.json").read_text())["val_accuracy"]
    best = max(by_epoch)
    return {"accuracy": best, "best_epoch": by_epoch.index(best) + 1, "epochs": len(by_epoch), "last": by_epoch[-1]}


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return a row for each data set and program."""
    rows = [["", "seconds", "times the plain script's speed", "accuracy", "peak MB"]]
    for name, by_program in results.items():
        plain = by_program["plain Keras script"]["seconds"]
        for label, result in by_program.items():
            accuracy = f"{result['accuracy']:.4f}"
            if "best_epoch" in result:
                accuracy += f" (epoch {result['best_epoch']} of {result['epochs']})"
            ratio = f"{plain / result['seconds']:.1f}"
            rows.append([f"{name}: {label}", f"{result['seconds']:.1f}", ratio, accuracy, f"{result['peak_mb']:.0f}"])
    return rows


if __name__ == "__main__":
    main()
