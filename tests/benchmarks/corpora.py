"""The texts that the benchmarks run on: real data sets, and files of any length made from one of them."""

import csv
import gzip
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from measuring import CACHE, ROOT

SHARED = ROOT.parent / "shared" / "data"
CHANGED = 0.72  # share of the texts into which a random word is put; of 100,000 lines 80 % are then distinct


def short_texts(data: Path) -> tuple[Path, Path]:
    """Train and test file of short texts: mr, or the film reviews that `make data` fetches."""
    folder = data / "mr" if (data / "mr").is_dir() else ROOT / "data" / "movies"
    return folder / "train.csv", folder / "test.csv"


def long_texts(data: Path) -> tuple[Path, Path] | None:
    """Train and test file of imdb as plain CSV, where it is there."""
    if not (data / "imdb").is_dir():
        return None
    paths = CACHE / "imdb-train.csv", CACHE / "imdb-test.csv"
    for path in paths:
        if not path.is_file():
            name = path.stem.removeprefix("imdb-")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.decompress((data / "imdb" / f"{name}.csv.gz").read_bytes()))
    return paths


def lines_file(source: Path, count: int) -> Path:
    """A file of so many lines, from the texts of a table."""
    path = CACHE / f"lines-{count}.txt"
    if not path.is_file():
        with _new(path) as file:
            file.writelines(text + "\n" for text, _ in varied(source, count))
    return path


def table_file(source: Path, count: int) -> Path:
    """A table of so many labelled texts, from those of a table."""
    path = CACHE / f"rows-{count}.csv"
    if not path.is_file():
        with _new(path) as file:
            csv.writer(file).writerows([("text", "label")])
            csv.writer(file).writerows(varied(source, count))
    return path


def varied(source: Path, count: int) -> Iterator[tuple[str, str]]:
    """So many texts with their labels: those of the table over and over, shuffled, most with a random word put in."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = [(" ".join(row["text"].split()), row["label"]) for row in csv.DictReader(file)]
    words = sorted({word for text, _ in rows for word in text.split()})
    draw = random.Random(20140601)
    for number in range(count):
        if number % len(rows) == 0:
            draw.shuffle(rows)
        text, label = rows[number % len(rows)]
        if draw.random() < CHANGED:
            pieces = text.split()
            pieces.insert(draw.randrange(len(pieces) + 1), draw.choice(words))
            text = " ".join(pieces)
        yield text, label


@contextmanager
def _new(path: Path) -> Iterator[TextIO]:
    """A file to write, which takes its name once it is complete."""
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", encoding="utf-8", newline="") as file:
        yield file
    partial.replace(path)
