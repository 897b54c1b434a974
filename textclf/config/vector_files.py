"""Files of word vectors on this machine, and how many words of the texts each has: `textclf init` sets the best."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from textclf.errors import UserError
from textclf.io.streams import expand_home
from textclf.text.vectors import count_known

FOLDER = "data/vectors"

VARIABLE = "TEXTCLF_VECTORS"
"""The environment variable that names a file of vectors, or a folder of such files."""

SUFFIXES = (".txt", ".vec")

PACKED = (".gz", ".zip")

MAX_LINES = 200_000  # that are read of a file: the most frequent words, which come first, in some seconds

ENOUGH = 0.7  # share of the words that a file must have to be set


class VectorFile(NamedTuple):
    """A file of word vectors."""

    path: str
    dimensions: int = 0
    coverage: float = 0.0
    """Share of the texts' words that it has, 0 to 1."""
    problem: str = ""
    """The reason why it cannot be used."""


def find_vector_files(words: Collection[str]) -> list[VectorFile]:
    """Return the files of word vectors, the one that has most of the words first.

    Args:
        words: of the texts.
    """
    return sorted((_read(path, words) for path in vector_paths()), key=lambda file: (-file.coverage, file.path))


def vector_paths() -> list[Path]:
    """Return the paths of files that may hold word vectors: in data/vectors, and where TEXTCLF_VECTORS points."""
    named = os.environ.get(VARIABLE)
    places = [Path(FOLDER), *([Path(expand_home(named))] if named else [])]
    return list(dict.fromkeys(path for place in places for path in _files(place)))


def _files(place: Path) -> Iterator[Path]:
    for path in sorted(place.iterdir()) if os.path.isdir(place) else [place]:  # noqa: PTH112 - of no permission too
        name = path.name.lower().removesuffix(PACKED[0]).removesuffix(PACKED[1])
        if os.path.isfile(path) and (name.endswith(SUFFIXES) or path == place):  # noqa: PTH113
            yield path


def _read(path: Path, words: Collection[str]) -> VectorFile:
    try:
        dimensions, known = count_known(path, words, lines=MAX_LINES)
    except UserError as problem:
        return VectorFile(path.as_posix(), problem=str(problem))
    return VectorFile(path.as_posix(), dimensions, known / max(1, len(words)))
