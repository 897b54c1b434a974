"""`textclf score`: many files into as many folders of shards, by one process or several."""

import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from textclf import __version__
from textclf.data.table_format import check_distinct, column_index, each_of
from textclf.errors import UserError
from textclf.inference.classifier import load_classifier
from textclf.inference.model_folder import read_model_files, run_files
from textclf.io.objects import Location, StoreError, location, url_or_path
from textclf.io.outputs import check_not_read, check_steps_back
from textclf.io.processors import usable_processors
from textclf.io.run_folder import Run
from textclf.scoring.folder import (
    FORMAT,
    BegunDocument,
    ManifestDocument,
    ScoringFolder,
    ScoringOptions,
    begin,
    finish,
    model_digest,
    read_document,
)
from textclf.scoring.inputs import estimate_rows, find_inputs, open_input, table_format
from textclf.scoring.ray_engine import load_ray, score_on_ray
from textclf.scoring.share import Share, score_share

logger = logging.getLogger(__name__)


POLL_SECONDS = 0.5  # at least, between looks at the shards that other processes have done

WARNING = "warning: "  # begins a line that is not the reason of an end


class Progress(Protocol):
    """A listener to the progress of a scoring."""

    def begin(self, rows: int | None, /) -> None:
        """Take the estimated number of rows; None: it is not known."""

    def add(self, rows: int, /) -> None:
        """Count further rows that are done."""


def score(
    run: Run, output: Location, inputs: Sequence[str], options: ScoringOptions, *, jobs: int = 1,
    share: Share | None = None, threads: int | None = None, resume: bool = False, overwrite: bool = False,
    ray: bool = False, address: str | None = None, progress: Progress,
) -> ManifestDocument | None:  # fmt: skip
    """Score all inputs, or a share of their shards; return the manifest, or None if other shares are not done yet.

    Args:
        output: folder to write.
        inputs: names, globs, folders and URLs.
        options: what the shards depend on besides the inputs.
        jobs: processes to start, each with a share; 1: none, this process scores.
        share: score this share only, beside other processes, which are begun with the same options.
        resume: go on where an earlier process stopped.
        overwrite: begin anew in a folder of an earlier scoring.
        threads: of this process, or of each actor of Ray; None: one for each processor, on a cluster one.
        ray: score by as many actors of Ray as there are jobs.
        address: of the cluster of Ray to join; None: Ray is started on this machine.
        progress: told of the rows that are done.

    Raises:
        UserError: the folder must not be written, something has changed since it was begun, or an input cannot be
            read, or Ray cannot start or a shard fails again and again; all others are done then.
    """
    package = load_ray(address) if ray else None
    folder = ScoringFolder(output)
    if isinstance(output, Path):
        check_steps_back(output, option="--output", kind="folder")
    begun = _begun(run, output, inputs, options)
    _check_not_read(folder, run, begun)
    _check_columns(run, begun)
    begin(folder, begun, resume=resume or share is not None, overwrite=overwrite)
    if folder.manifest.exists() and (manifest := finish(folder, begun)):
        logger.info("%s was complete already", folder.path)
        return manifest
    progress.begin(estimate_rows(begun["inputs"]))
    on_rows = progress.add
    left = 0
    if package:
        threads = threads or (1 if address else max(1, usable_processors() // jobs))
        poll = _shard_counter(folder, begun, on_rows)
        left = score_on_ray(package, run, folder, begun, jobs=jobs, threads=threads, address=address, poll=poll)
    elif jobs == 1:
        classifier = load_classifier(run.path, threads=threads)
        left = score_share(folder, begun, classifier, share or Share(1, 1), on_rows)
    else:
        _score_in_processes(_command(run, output, options), jobs, folder, begun, on_rows)
    if left:
        inputs = f"{left} of {len(begun['inputs'])} inputs"
        raise UserError(f"{inputs} could not be read to the end. Mend them and go on with --resume.")
    return finish(folder, begun)


def _begun(run: Run, output: Location, inputs: Sequence[str], options: ScoringOptions) -> BegunDocument:
    return {
        "textclf": __version__,
        "options": {"format": FORMAT, "model": model_digest(run), **options},
        "inputs": find_inputs(inputs, output=output),
    }


def _check_not_read(folder: ScoringFolder, run: Run, begun: BegunDocument) -> None:
    """Refuse a folder whose own files are read.

    Raises:
        UserError: they are.
    """
    inputs = [location(source["path"]) for source in begun["inputs"]]
    for file in (folder.begun, folder.manifest):
        if isinstance(file, Path):
            files = [path for path in inputs if isinstance(path, Path)]
            check_not_read(file, [*files, *run_files(run)], option="--output", kind="folder")
        elif file in inputs:
            raise UserError(f"{file} is a file that this command reads. Choose another folder with --output.")


def _check_columns(run: Run, begun: BegunDocument) -> None:
    """Refuse columns that are named twice or that the first table lacks, before anything is written.

    Raises:
        UserError: a column is.
    """
    columns = begun["options"]["columns"] or read_model_files(run.path).description.columns
    keep = [("--keep", name) for name in begun["options"]["keep"]]
    check_distinct(keep)
    paths = (location(source["path"]) for source in begun["inputs"])
    path, table = next(((path, table) for path in paths if (table := table_format(path))), (None, None))
    if path and table:
        with open_input(path) as stream:
            header = table.columns(stream, str(path))
        for key, name in [*((each_of("--column", columns), name) for name in columns), *keep]:
            column_index(str(path), header, name, key=key)


def _command(run: Run, output: Location, options: ScoringOptions) -> list[str]:
    """Return the command that scores with the same options, without the inputs."""
    arguments = [*(part for name in options["columns"] for part in ("--column", name))]
    arguments += [part for name in options["keep"] for part in ("--keep", name)]
    arguments += ["--format", options["output_format"], "--rows-per-file", str(options["rows"])]
    arguments += ["--min-confidence", str(options["min_confidence"]), *(["--raw"] if options["raw"] else [])]
    # -P: no modules of the working directory, which may hold a csv.py beside the data
    command = [sys.executable, "-P", "-m", "textclf", "score", "--run", str(run.path), "--output", url_or_path(output)]
    return [*command, *arguments, "--quiet"]


def _score_in_processes(
    command: list[str], jobs: int, folder: ScoringFolder, begun: BegunDocument, on_rows: Callable[[int], None]
) -> None:
    """Start a process for each share, and wait for all. They share nothing but the folder; stopped, this stops them.

    Raises:
        UserError: one failed; the messages are theirs.
    """
    threads, inputs = max(1, usable_processors() // jobs), [source["path"] for source in begun["inputs"]]
    processes = [
        subprocess.Popen(
            [*command, "--share", f"{number}/{jobs}", "--threads", str(threads), "--", *inputs],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
        )
        for number in range(1, jobs + 1)
    ]  # fmt: skip
    with ThreadPoolExecutor(jobs) as readers:  # a pipe that nobody reads would stop its process
        try:
            outputs = [readers.submit(process.communicate) for process in processes]
            poll, pause = _shard_counter(folder, begun, on_rows), POLL_SECONDS
            while any(process.poll() is None for process in processes):
                time.sleep(pause)
                pause = poll()
            poll()
        finally:
            for process in processes:
                if process.poll() is None:
                    process.terminate()
    lines = dict.fromkeys(line for output in outputs for line in output.result()[1].splitlines())
    for line in lines:
        if line.startswith(WARNING):
            logger.warning("%s", line.removeprefix(WARNING))
    killed = [number for number, process in enumerate(processes, start=1) if process.returncode < 0]
    if killed:
        raise UserError(f"{len(killed)} of {jobs} processes were killed. Go on with --resume.")
    if any(process.returncode for process in processes):
        raise UserError(*(line for line in lines if not line.startswith(WARNING)))


def _shard_counter(folder: ScoringFolder, begun: BegunDocument, on_rows: Callable[[int], None]) -> Callable[[], float]:
    """Return a function that counts the shards that have become done, and returns the seconds until the next call."""
    counted: set[Location] = set()

    def poll() -> float:
        start = time.monotonic()
        on_rows(_new_rows(folder, begun, counted))
        return max(POLL_SECONDS, 10 * (time.monotonic() - start))  # thousands of folders take a while

    return poll


def _new_rows(folder: ScoringFolder, begun: BegunDocument, counted: set[Location]) -> int:
    """Return the rows of shards that have become done, and remember them in `counted`."""
    rows = 0
    with contextlib.suppress(StoreError):  # the processes say what is wrong, or go on
        for source in begun["inputs"]:
            for marker in folder.of(source).glob("part-*.json"):
                if marker not in counted:
                    counted.add(marker)
                    rows += read_document(marker).get("rows", 0)
    return rows
