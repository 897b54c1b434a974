"""The folder that `textclf score` writes: its files, what was begun in it, and what is done.

begun.json                 model, inputs and options, so that another process goes on with the same
reviews.csv/               a folder for each input
    part-00000.csv         the rows of a shard, in their order
    part-00000.json        the marker behind it: its rows and bytes; a shard without marker is scored again
    input.json             rows, shards and sha256 of the input, once it was read to its end
manifest.json              written last: every input with its rows, and the model
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

from textclf import __version__
from textclf.errors import UserError
from textclf.inference.model_folder import model_folder
from textclf.io.files import json_text, sha256_of, write_errors, write_json, write_pieces
from textclf.io.objects import REQUESTS, Location, ObjectPath
from textclf.io.run_folder import Run
from textclf.scoring.inputs import InputDocument

FORMAT = 1


class ScoringOptions(TypedDict):
    """The options of the command that the bytes of the shards depend on."""

    columns: list[str]
    """Columns of the texts in tables; none: the model's."""
    keep: list[str]
    """Columns of the inputs that are carried along."""
    output_format: str
    rows: int
    """Most rows of a shard."""
    min_confidence: float
    raw: bool


class OptionsDocument(ScoringOptions):
    """All that the bytes of the shards depend on besides the inputs."""

    format: int
    model: str
    """sha256 of model.json, which holds that of the graph."""


class BegunDocument(TypedDict):
    """begun.json."""

    textclf: str
    options: OptionsDocument
    inputs: list[InputDocument]
    """In the order of their paths."""


class ShardDocument(TypedDict):
    """The marker behind a shard."""

    rows: int
    bytes: int
    of: str
    """The `fingerprint` of the options and the input; with others, the shard is scored again."""


class InputTotals(TypedDict):
    """input.json: an input that was read to its end."""

    rows: int
    shards: int
    sha256: str
    of: str
    """As of a shard."""


class ScoredInput(TypedDict):
    """An input in manifest.json."""

    path: str
    folder: str
    rows: int
    shards: int
    sha256: str


class ManifestDocument(TypedDict):
    """manifest.json: a folder in which every row of every input is there once."""

    format: int
    textclf: str
    model: str
    rows: int
    inputs: list[ScoredInput]


OPTION_OF = {
    "format": "the version of textclf", "model": "the model", "columns": "--column", "keep": "--keep",
    "output_format": "--format", "rows": "--rows-per-file", "min_confidence": "--min-confidence", "raw": "--raw",
}  # fmt: skip
"""What a user knows an option by."""


class Shard(NamedTuple):
    """The files of a shard."""

    rows: Location
    marker: Location

    def done_rows(self, of: str) -> int | None:
        """Return the rows of a shard that is done with these options and this input; None: it is not.

        Args:
            of: their `fingerprint`.
        """
        document = read_document(self.marker)
        if document.get("of") != of or _size(self.rows) != document.get("bytes"):
            return None
        return int(document["rows"])


def _size(path: Location) -> int | None:
    """Return the bytes of a file; None if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None


class ScoringFolder(NamedTuple):
    """A folder that `textclf score` writes."""

    path: Location

    @property
    def begun(self) -> Location:
        return self.path / "begun.json"

    @property
    def manifest(self) -> Location:
        return self.path / "manifest.json"

    def of(self, source: InputDocument) -> Location:
        """Return the folder of an input's shards."""
        return self.path / source["folder"]

    def totals(self, source: InputDocument) -> Location:
        """Return the file that says how many rows and shards an input has."""
        return self.of(source) / "input.json"

    def shard(self, source: InputDocument, number: int, suffix: str) -> Shard:
        """Return the files of a shard, counted from 0."""
        name = f"part-{number:05}"
        return Shard(self.of(source) / f"{name}.{suffix}", self.of(source) / f"{name}.json")


def read_document(path: Location) -> Mapping[str, Any]:
    """Return the content of a JSON file that scoring wrote; an empty one if it is missing or damaged.

    Raises:
        UserError: the store that it is in cannot be reached.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def write_document(path: Location, document: object) -> None:
    """Write a JSON file whole.

    Raises:
        UserError: it cannot be written.
    """
    if isinstance(path, Path):
        write_json(path, document)
    else:
        path.write_text(json_text(document))


def model_digest(run: Run) -> str:
    """Return the sha256 of the model.json of a run."""
    return sha256_of(model_folder(run.path) / "model.json")


def fingerprint(options: OptionsDocument, source: InputDocument) -> str:
    """Return a digest of all that the shards of an input depend on."""
    return hashlib.sha256(json.dumps([options, source], sort_keys=True).encode()).hexdigest()


# Beginning and ending


def begin(folder: ScoringFolder, begun: BegunDocument, *, resume: bool, overwrite: bool) -> None:
    """Write begun.json into a new folder, or check that what was begun in it is the same.

    Going on, inputs that have changed or are new are taken as they are now; their shards of before do not count.

    Raises:
        UserError: the folder holds something else or another scoring, or exists and neither option is given.
    """
    if not folder.begun.exists() and _begin_first(folder, begun):
        return
    before = _read_begun(folder)
    if overwrite:
        _remove(folder, before)
    elif not resume:
        state = "is complete" if folder.manifest.exists() else "was begun"
        raise UserError(
            f"{folder.path} {state}. Go on with --resume, begin anew with --overwrite, or choose another folder with "
            "--output."
        )
    else:
        _check_same(folder, before, begun)
    if before["inputs"] != begun["inputs"] or overwrite:
        folder.manifest.unlink(missing_ok=True)
        write_document(folder.begun, begun)


def _begin_first(folder: ScoringFolder, begun: BegunDocument) -> bool:
    """Write begun.json into a folder that has none; return False if another process was quicker."""
    own = {source["folder"] for source in begun["inputs"]}
    if isinstance(folder.path, ObjectPath):
        foreign = {path.name for path in folder.path.iterdir()} - own - {folder.begun.name}
    elif os.path.lexists(folder.path):
        foreign = {
            path.name for path in folder.path.iterdir()
            if path != folder.begun and not _is_temporary(path) and not (path.name in own and path.is_dir())
        }  # fmt: skip
    else:
        foreign = set()
    if foreign:
        raise UserError(f"{folder.path} holds something that textclf did not write. Choose another with --output.")
    if isinstance(folder.begun, ObjectPath):
        # two processes may come here together: with other options, the first one ends before its next shard
        write_document(folder.begun, begun)
        return True
    make_folder(folder.path)
    try:
        write_pieces(folder.begun, [json_text(begun)], overwrite=False)
    except UserError:
        if not folder.begun.exists():
            raise
        return False
    return True


def make_folder(path: Location) -> None:
    """Make a folder and those above it; a store has none.

    Raises:
        UserError: it cannot be made.
    """
    if isinstance(path, Path):
        with write_errors(path, path):
            path.mkdir(parents=True, exist_ok=True)


def _is_temporary(path: Path) -> bool:
    """Return True for a folder in which a file is written before it has its name."""
    return path.name.startswith(".") and path.name.endswith(".new")


def _read_begun(folder: ScoringFolder) -> BegunDocument:
    """Read begun.json, and check that it names nothing outside its folder.

    Raises:
        UserError: it is not what textclf writes.
    """
    document = read_document(folder.begun)
    inputs, options = document.get("inputs"), document.get("options")
    same_options = isinstance(options, dict) and options.keys() == OPTION_OF.keys()
    if not same_options or not isinstance(inputs, list) or not all(map(_is_input, inputs)):
        raise UserError(f"{folder.begun} is damaged, or not textclf's. Choose another folder with --output.")
    return cast(BegunDocument, document)


def _is_input(source: object) -> bool:
    """Return True for an InputDocument whose folder is a plain name."""
    if not isinstance(source, dict) or source.keys() != InputDocument.__annotations__.keys():
        return False
    name = source["folder"]
    return isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\\", "\0"} & {*name}


def _check_same(folder: ScoringFolder, before: BegunDocument, now: BegunDocument) -> None:
    """Refuse to go on with another model or other options, or without an input of before.

    Raises:
        UserError: something has changed.
    """
    changed = [OPTION_OF[key] for key, value in now["options"].items() if before["options"].get(key) != value]
    paths = {source["path"] for source in now["inputs"]}
    changed += [f"without the input {source['path']}" for source in before["inputs"] if source["path"] not in paths]
    if changed:
        raise UserError(
            f"{folder.path} was begun with other settings: {', '.join(changed)}. Go on with those it was begun with, "
            "choose another folder with --output, or begin anew with --overwrite."
        )


def _remove(folder: ScoringFolder, before: BegunDocument) -> None:
    """Remove what an earlier scoring wrote: its shards and their markers, and nothing else."""
    folder.manifest.unlink(missing_ok=True)
    for source in before["inputs"]:
        own = folder.of(source)
        if isinstance(own, Path) and (own.is_symlink() or not own.is_dir()):
            continue
        for path in [*own.glob("part-[0-9]*"), folder.totals(source)]:
            path.unlink(missing_ok=True)
        remove_temporary(own)
        if isinstance(own, Path) and not any(own.iterdir()):
            own.rmdir()


def remove_temporary(folder: Location) -> None:
    """Remove the temporary folders that killed processes left beside the files; none are in a store."""
    if isinstance(folder, Path):
        for path in folder.glob(".*.new"):
            shutil.rmtree(path, ignore_errors=True)


def finish(folder: ScoringFolder, begun: BegunDocument) -> ManifestDocument | None:
    """Write manifest.json if every shard of every input is done; return it, or None."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        inputs = [*pool.map(partial(scored_input, folder, begun["options"]), begun["inputs"])]
    now = read_document(folder.begun)
    if None in inputs or (now.get("options"), now.get("inputs")) != (begun["options"], begun["inputs"]):
        return None
    scored = cast(list[ScoredInput], inputs)
    for source in begun["inputs"]:
        remove_temporary(folder.of(source))
    manifest: ManifestDocument = {
        "format": FORMAT,
        "textclf": __version__,
        "model": begun["options"]["model"],
        "rows": sum(source["rows"] for source in scored),
        "inputs": scored,
    }
    write_document(folder.manifest, manifest)
    return manifest


def scored_input(folder: ScoringFolder, options: OptionsDocument, source: InputDocument) -> ScoredInput | None:
    """Return an input whose rows are all in its shards; None if some are missing."""
    of, totals = fingerprint(options, source), read_document(folder.totals(source))
    if totals.get("of") != of:
        return None
    shards = [folder.shard(source, number, options["output_format"]) for number in range(totals["shards"])]
    rows = [shard.done_rows(of) for shard in shards]
    if None in rows or sum(map(int, filter(None, rows))) != totals["rows"]:
        return None
    return {
        "path": source["path"], "folder": source["folder"], "rows": totals["rows"], "shards": totals["shards"],
        "sha256": totals["sha256"],
    }  # fmt: skip
