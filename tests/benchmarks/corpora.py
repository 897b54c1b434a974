"""The texts of the benchmarks: real data sets, and files of any length made from one of them."""

import csv
import gzip
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from measuring import CACHE, ROOT

SHARED = ROOT.parent / "shared" / "data"
MINILM = ROOT / "data" / "encoders" / "all-MiniLM-L6-v2"  # fetched by `make encoder`
CHANGED = 0.72  # share of the texts that get a random word, so that of 100,000 lines 80 % are distinct


def short_texts(data: Path) -> tuple[Path, Path]:
    """Return train and test file of short texts: mr, or else the film reviews that `make data` fetches."""
    folder = data / "mr" if (data / "mr").is_dir() else ROOT / "data" / "movies"
    return folder / "train.csv", folder / "test.csv"


def long_texts(data: Path) -> tuple[Path, Path] | None:
    """Return train and test file of imdb, unpacked; None where it is missing."""
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
    """Return a file of `count` lines made from the texts of a table."""
    path = CACHE / f"lines-{count}.txt"
    if not path.is_file():
        with _new(path) as file:
            file.writelines(text + "\n" for text, _ in varied(source, count))
    return path


def table_file(source: Path, count: int) -> Path:
    """Return a table of `count` labelled texts made from those of a table."""
    path = CACHE / f"rows-{count}.csv"
    if not path.is_file():
        with _new(path) as file:
            csv.writer(file).writerows([("text", "label")])
            csv.writer(file).writerows(varied(source, count))
    return path


def varied(source: Path, count: int) -> Iterator[tuple[str, str]]:
    """Yield `count` texts with their labels: those of a table repeatedly, shuffled, most with a random word added."""
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
    """Open a file to write, which takes its name when it is complete."""
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", encoding="utf-8", newline="") as file:
        yield file
    partial.replace(path)
