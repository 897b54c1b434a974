"""Train on a pretrained encoder on real data, teach small networks with it, and compare their sizes and speeds.

    python tests/benchmarks/encoder.py [--data FOLDER] [--encoder FOLDER] [--kinds KIND...] [--students STUDENT...]
        [--sizes] [NAME...]

The configs are those of `textclf init --encoder`; only what is trained differs. The encoder that was trained whole is
then compressed by each STUDENT. Runs are kept: `--kinds --students --sizes NAME`, without a kind and a student, times
those of before. The numbers are printed, and all go to encoder.json beside this file, from which docs/generate.py makes
tables. FOLDER holds a folder for each data set, as ../shared/data does; where it is missing, only the film reviews that
`make data` fetches are used.
"""

import argparse
import csv
import gzip
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from corpora import MINILM, SHARED
from measuring import CACHE, ROOT, TEXTCLF, alternating, machine, measure, say

RESULTS = Path(__file__).with_suffix(".json")
RUNS = CACHE / "encoder"
SETS = ("sms_spam", "trec6", "mr", "banking77", "ag_news_sub", "movies")
LONG = {"imdb": ["text.max_length=256"]}  # trained only where it is named: half an hour for each kind
SLICES = {f"{name}, {rows:,} rows": (name, rows) for name in ("mr", "ag_news_sub") for rows in (500, 2000)}
LINEAR, NETWORK = "tfidf_logistic_regression", "network_alone"
KINDS = {
    "head": ["model.trainable=head", "training.epochs=20", "training.batch_size=32"],
    "last_2": ["model.trainable=last_2", "model.encoder_learning_rate=1e-4"],
    "all": ["model.trainable=all", "model.encoder_learning_rate=5e-5"],
}
STUDENTS = {
    "int8": ["--method", "int8"],
    "small": ["--method", "distill", "--student", "small", "--budget", "2MB"],
    "bag": ["--method", "distill", "--student", "bag", "--budget", "2MB"],
}
LINES, FAST_LINES = 2000, 20_000  # that are predicted to time a model: an encoder, and another one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join((*SETS, *SLICES, *LONG)))
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--encoder", type=Path, default=MINILM)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=[*KINDS])
    parser.add_argument("--students", nargs="*", choices=STUDENTS, default=[*STUDENTS])
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all trainings")
    arguments = parser.parse_args()
    for name in arguments.names or (*SETS, *SLICES):
        files = tables(arguments.data, name)
        if files is None:
            continue
        check_runs(name, arguments)
        for kind in arguments.kinds:
            settings = [*KINDS[kind], *LONG.get(name, []), *arguments.set]
            save("trained", name, kind, train(name, kind, files, arguments.encoder, settings))
        for student in arguments.students:
            save("students", name, student, teach(name, student))
        if arguments.sizes:
            save_sizes(name, files)


def check_runs(name: str, arguments: argparse.Namespace) -> None:
    """End with a sentence if a run of an earlier call is missing that this call compresses or times."""
    needed = [] if "all" in arguments.kinds or not (arguments.students or arguments.sizes) else ["all"]
    needed += [student for student in STUDENTS if arguments.sizes and student not in arguments.students]
    missing = [kind for kind in needed if not (run_folder(name, kind) / "metrics.json").is_file()]
    if missing:
        sys.exit(f"{name}: the runs {', '.join(missing)} are missing. Make them first: {name!r} --kinds all")


def save(table: str, name: str, kind: str, numbers: Any) -> None:
    """Add numbers to the results."""
    document = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    document.setdefault(table, {}).setdefault(name, {})[kind] = numbers
    RESULTS.write_text(json.dumps({**document, "machine": machine()}, indent=1) + "\n")
    say(f"{name}, {kind}: {numbers}")


def tables(data: Path, name: str) -> tuple[Path, Path] | None:
    """Return train and test file of a data set, or of a slice with fewer training rows; None where they are missing."""
    whole, rows = SLICES.get(name, (name, None))
    folder = ROOT / "data" / whole if whole == "movies" else data / whole
    files = [next(iter(sorted(folder.glob(f"{part}.csv*"))), None) for part in ("train", "test")]
    train, test = files
    if train is None or test is None:
        return None
    return (train, test) if rows is None else (first_rows(train, rows, RUNS / f"{whole}-{rows}.csv"), test)


def first_rows(table: Path, count: int, path: Path) -> Path:
    """Write `count` rows of a table, drawn at random, to a file; return its path."""
    with open_table(table) as file:
        header, *rows = csv.reader(file)
    random.Random(0).shuffle(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows[:count]])
    return path


def open_table(path: Path) -> TextIO:
    """Open a table to read, which may be compressed."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def run_folder(name: str, kind: str) -> Path:
    return RUNS / f"{name}-{kind}".replace(", ", "-").replace(" ", "-").replace(",", "")


def train(
    name: str, kind: str, files: tuple[Path, Path], encoder: Path | None, settings: Sequence[str]
) -> dict[str, Any]:
    """Run init and train in processes; return the scores, the seconds, the rows a second and the memory of train."""
    config, run = RUNS / "config.yaml", run_folder(name, kind)
    RUNS.mkdir(parents=True, exist_ok=True)
    pretrained: list[str | Path] = ["--encoder", encoder] if encoder else []
    measure([*TEXTCLF, "init", files[0], *pretrained, "-o", config, "--overwrite"])
    options = [part for setting in (*settings, f"data.test={files[1]}") for part in ("--set", setting)]
    took = measure([*TEXTCLF, "train", config, "--run", run, "--overwrite", *options])
    document = json.loads((run / "metrics.json").read_text())
    baselines = {"both": document["metrics"], **document["baselines"]}
    scores = {key: baselines[key]["accuracy"] for key in ("both", NETWORK, LINEAR)}
    phases = json.loads((run / "environment.json").read_text())["seconds"]
    return {
        **scores, "log_loss": document["metrics"]["log_loss"], "interval": document["intervals"]["accuracy"],
        "seconds": round(took.seconds, 1), "train_seconds": round(phases["train"], 1), "peak_mb": took.peak_mb,
        "rows_a_second": round(trained_rows(files[0], run) / phases["train"], 1),
    }  # fmt: skip


def trained_rows(table: Path, run: Path) -> int:
    """Return the rows that a run trained on, those of each epoch counted again."""
    with open_table(table) as file:
        rows = sum(1 for _ in csv.DictReader(file))
    split = run / "split.json"
    validation = json.loads(split.read_text())["validation"] if split.is_file() else []
    epochs = len((run / "history.csv").read_text().splitlines()) - 1
    return (rows - len(validation)) * epochs


def teach(name: str, student: str) -> dict[str, Any]:
    """Compress the encoder that was trained whole; return the scores, the bytes and the seconds."""
    run = run_folder(name, student)
    options: list[str | Path] = ["--output", run, "--overwrite", "--max-loss", "1"]
    took = measure([*TEXTCLF, "compress", "--run", run_folder(name, "all"), *STUDENTS[student], *options])
    document = json.loads((run / "metrics.json").read_text())
    return {
        "accuracy": document["metrics"]["accuracy"],
        "of_encoder": document["baselines"]["original"]["accuracy"],
        "bytes": document["compression"]["bytes"]["compressed"],
        "seconds": round(took.seconds, 1),
    }


def save_sizes(name: str, files: tuple[Path, Path]) -> None:
    """Time predictions with the encoder that was trained whole, what was made of it, and the network of `init`."""
    if not run_folder(name, "bilstm").is_dir():
        save("trained", name, "bilstm", train(name, "bilstm", files, None, []))
    texts = lines(files[1])
    one = RUNS / "one.txt"
    one.write_text(texts[0] + "\n", encoding="utf-8")
    for kind in ("all", *STUDENTS, "bilstm"):
        count = LINES if kind in ("all", "int8") else FAST_LINES
        path = RUNS / f"lines-{count}.txt"
        path.write_text("".join(f"{number} {texts[number % len(texts)]}\n" for number in range(count)), "utf-8")
        model = run_folder(name, kind) / "model"
        predict = [*TEXTCLF, "predict", "--run", model]
        took = alternating({"lines": [*predict, path], "one": [*predict, one]}, 3)
        size = sum(file.stat().st_size for file in model.iterdir())
        save("sizes", name, kind, {
            "bytes": size, "lines_a_second": round(count / took["lines"]["seconds"]),
            "start_seconds": took["one"]["seconds"], "peak_mb": took["lines"]["peak_mb"],
        })  # fmt: skip


def lines(table: Path) -> list[str]:
    """Return the texts of a table as lines."""
    with open_table(table) as file:
        return [" ".join(row["text"].split()) for row in csv.DictReader(file)]


# The tables of docs/encoder.md


def accuracy_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the accuracy of each kind of training beside the linear model, and what training took."""
    rows = [["data", "trained", "linear", "network alone", "both", "seconds", "rows a second", "MB"]]
    for name, kinds in results.items():
        for kind in KINDS:
            if numbers := kinds.get(kind):
                speed = numbers.get("rows_a_second")
                rows.append([
                    name, f"`{kind}`", f"{numbers[LINEAR]:.4f}", f"{numbers[NETWORK]:.4f}", f"{numbers['both']:.4f}",
                    f"{numbers['seconds']:.0f}", "" if speed is None else f"{speed:,.0f}", f"{numbers['peak_mb']:,.0f}",
                ])  # fmt: skip
    return rows


def student_table(results: dict[str, Any]) -> list[list[str]]:
    """Return the accuracy and the bytes of what was made of each encoder."""
    rows = [["data", "encoder", *(part for student in STUDENTS for part in (student, "bytes"))]]
    for name, students in results.items():
        first = next(iter(students.values()))
        cells = [
            cell
            for student in STUDENTS
            for cell in (
                [f"{students[student]['accuracy']:.4f}", f"{students[student]['bytes']:,}"]
                if student in students else ["", ""]
            )
        ]  # fmt: skip
        rows.append([name, f"{first['of_encoder']:.4f}", *cells])
    return rows


def size_table(results: dict[str, Any]) -> list[list[str]]:
    """Return bytes, speed, start and memory of each model."""
    rows = [["data", "model", "bytes of model/", "lines a second", "seconds for one line", "MB"]]
    for name, kinds in results.items():
        for kind, numbers in kinds.items():
            rows.append([
                name, {"all": "encoder", "bilstm": "BiLSTM of `init`"}.get(kind, kind), f"{numbers['bytes']:,}",
                f"{numbers['lines_a_second']:,}", f"{numbers['start_seconds']:.2f}", f"{numbers['peak_mb']:.0f}",
            ])  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
