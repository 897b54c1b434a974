"""The inputs of `textclf score`: files and objects that names, globs and folders stand for."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypedDict

from textclf.data.readers import FORMATS, file_format, find_files, is_table
from textclf.data.table_format import TableFormat
from textclf.errors import UserError
from textclf.io.objects import REQUESTS, Location, ObjectPath, ObjectState, is_url, location, url_or_path
from textclf.io.run_folder import numbered_names
from textclf.io.streams import decompressed, expand_home, open_data

States = dict[Location, os.stat_result | ObjectState]
"""Size and time of the last change of each file."""

SAMPLED_BYTES = 1 << 20  # of a file, from which its rows are estimated

SAMPLED_OBJECTS = 100  # most objects from which rows are estimated: each takes a request or two


class InputDocument(TypedDict):
    """An input as it was when scoring began."""

    path: str
    """Absolute, or a URL."""
    bytes: int
    modified: int
    """In nanoseconds."""
    folder: str
    """Name of the folder of its shards."""


def find_inputs(names: Sequence[str], *, output: Location) -> list[InputDocument]:
    """Return the files that names, globs and folders stand for, and the folder of each one's shards, by their paths.

    Args:
        output: the folder that is written, which is no input.

    Raises:
        UserError: a name stands for no file, or a file is named twice.
    """
    urls = [name for name in names if is_url(name)]
    paths = [name for name in names if not is_url(name)]
    files = _local_files(paths, output) if paths else {}
    states = {**files, **_objects(urls, output)}
    inputs: list[InputDocument] = []
    taken = {"begun.json", "manifest.json"}
    for path, state in states.items():
        folder = next(name for name in numbered_names(path.name) if name.casefold() not in taken)
        taken.add(folder.casefold())
        inputs.append({
            "path": url_or_path(path), "bytes": state.st_size, "modified": state.st_mtime_ns, "folder": folder
        })  # fmt: skip
    return inputs


def _local_files(names: Sequence[str], output: Location) -> States:
    """Return files in the order of their absolute paths."""
    patterns = [pattern for name in names for pattern in _files_in(expand_home(name), output)]
    states: States = {}
    for path in sorted(map(_absolute, find_files(patterns, key="INPUT"))):
        if path.is_dir():
            raise UserError(
                f"INPUT: {path} is a folder that a glob stands for. Name it without the glob, or its files."
            )
        states[path] = path.stat()
    return states


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - takes `..` out, and leaves links


def _files_in(name: str, output: Location) -> list[str]:
    """Return a name or glob as it is, and for a folder the tables in it and below it, hidden ones left out."""
    if not os.path.isdir(name):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        return [name]
    written = os.path.realpath(output) if isinstance(output, Path) else None
    files = []
    for folder, folders, names in os.walk(name, onerror=_raise):
        own = [each for each in folders if os.path.realpath(Path(folder) / each) == written]
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in own)
        files += [
            str(Path(folder) / each) for each in sorted(names) if not each.startswith(".") and is_table(Path(each))
        ]
    if not files:
        raise _no_table(name)
    return files


def _raise(error: OSError) -> None:
    raise error


def _no_table(name: str) -> UserError:
    return UserError(f"{name} holds no table. Name files, or a glob; tables end in {', '.join(FORMATS)}, or .gz.")


def _objects(urls: Sequence[str], output: Location) -> States:
    """Return objects in the order of their keys."""
    states: dict[ObjectPath, ObjectState] = {}
    with ThreadPoolExecutor(REQUESTS) as pool:
        found = [*pool.map(partial(_objects_of, output=output), map(ObjectPath.parse, urls))]
    for objects in found:
        for path, state in objects.items():
            if path in states:
                raise UserError(f"INPUT: {path} is named twice. Name it once.")
            if "?" in path.key:
                raise UserError(f"INPUT: the key {path} holds a '?', which begins the options of a URL. Rename it.")
            states[path] = state
    return {path: states[path] for path in sorted(states, key=lambda path: (path.scheme, path.parts))}


def _objects_of(path: ObjectPath, output: Location) -> dict[ObjectPath, ObjectState]:
    """Return the object of this key, or the tables in the folder, or the objects that match a glob."""
    with contextlib.suppress(FileNotFoundError):
        return {path: path.stat()}
    if below := path.files(recursive=True):
        depth = len(path.parts)
        tables = {
            each: state for each, state in below.items()
            if is_table(Path(each.name)) and not any(part.startswith(".") for part in each.parts[depth:])
            and not (isinstance(output, ObjectPath) and str(each).startswith(f"{output}/"))
        }  # fmt: skip
        if not tables:
            raise _no_table(str(path))
        return tables
    matches = _matching(path)
    if not matches:
        bucket = ObjectPath(path.scheme, path.parts[0], path.query)
        missing = f"object '{path}'" if bucket.exists() else f"bucket '{bucket}'"
        raise UserError(f"INPUT: no {missing}. Check the URL; a glob has * and [...], since ? begins options.")
    return matches


def _matching(path: ObjectPath) -> dict[ObjectPath, ObjectState]:
    """Return the objects that a glob matches."""
    fixed = next((n for n, part in enumerate(path.parts) if {"*", "["} & {*part}), None)
    if not fixed:  # no glob, or one of buckets
        return {}
    folder, pattern = ObjectPath(path.scheme, "/".join(path.parts[:fixed]), path.query), path.parts[fixed:]
    files = folder.files(recursive=len(pattern) > 1 or "**" in pattern)
    return {each: state for each, state in files.items() if _matches(each.parts[fixed:], pattern)}


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return True if the parts of a key match those of a glob, by the rules of `glob.glob`."""
    if not pattern:
        return not parts
    if pattern[0] == "**" and _matches(parts, pattern[1:]):
        return True
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    if pattern[0] == "**":
        return len(pattern) == len(parts) == 1 or _matches(parts[1:], pattern)
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


# Reading an input


def table_format(path: Location) -> TableFormat | None:
    """Return the format of a table by its name; None: the file has a text on each line."""
    name = Path(path.name)
    return file_format(name) if is_table(name) else None


@contextlib.contextmanager
def open_input(path: Location, *, sha256: "hashlib._Hash | None" = None) -> Iterator[BinaryIO]:
    """Open an input as a stream of decompressed bytes; see `open_data`.

    Raises:
        UserError: it cannot be read.
    """
    if isinstance(path, Path):
        with open_data(path, sha256=sha256) as stream:
            yield stream
        return
    try:
        file = path.open()
    except FileNotFoundError:
        raise UserError(f"no object '{path}'.") from None
    with decompressed(file, str(path), sha256=sha256) as stream:
        yield stream


def check_unchanged(source: InputDocument) -> None:
    """Refuse an input that is not as it was when scoring began: its shards would be of two versions.

    Raises:
        UserError: its size or the time of its last change is another.
    """
    path = location(source["path"])
    state = path.stat()
    if (state.st_size, state.st_mtime_ns) != (source["bytes"], source["modified"]):
        raise UserError(f"{path} has changed since scoring began. Go on with --resume, which scores it anew.")


def estimate_rows(inputs: Sequence[InputDocument]) -> int | None:
    """Estimate the rows of the inputs from their first lines; None: they are compressed, or too many objects."""
    total = 0.0
    if sum(is_url(source["path"]) for source in inputs) > SAMPLED_OBJECTS:
        return None
    for source in inputs:
        path = location(source["path"])
        if path.name.lower().endswith(".parquet"):
            import pyarrow.parquet

            # reading it says what is wrong
            with contextlib.suppress(pyarrow.ArrowException, OSError, UserError), path.open("rb") as file:
                total += pyarrow.parquet.ParquetFile(file).metadata.num_rows
        elif path.name.lower().endswith(".gz"):
            return None
        else:
            with contextlib.suppress(OSError, UserError), path.open("rb") as file:
                start = file.read(SAMPLED_BYTES)
                total += source["bytes"] * start.count(b"\n") / max(1, len(start))
    return round(total)
