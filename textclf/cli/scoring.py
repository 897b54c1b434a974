"""`textclf score`: options of the command, and its progress on stderr."""

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textclf.cli.console import print_result, print_stderr
from textclf.cli.options import Number, json_option, raw_option, run_option, selected_run

if TYPE_CHECKING:
    from textclf.scoring.folder import ManifestDocument, ScoringOptions
    from textclf.scoring.share import Share

ROWS_PER_FILE = 100_000

LINE_SECONDS = 10.0  # between lines of progress in a log


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--output", "-o", required=True, metavar="DIR", help="Folder or URL to write, a folder in it for each input."
)
@run_option
@click.option("--column", "columns", multiple=True, help="Column of the texts in tables; several are joined by blanks.")
@click.option("--keep", multiple=True, metavar="NAME,NAME", help="Columns of the inputs to carry along.")
@click.option(
    "--format", "-f", "output_format", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True,
    help="Format of the files written.",
)  # fmt: skip
@click.option(
    "--rows-per-file", type=click.IntRange(1, 10_000_000), default=ROWS_PER_FILE, show_default=True,
    help="Most rows of a shard: of a file written, and of what is lost where a process is killed.",
)  # fmt: skip
@click.option("--jobs", "-j", type=click.IntRange(1, 1000), default=1, show_default=True, help="Processes to start.")
@click.option(
    "--share", metavar="I/N", callback=lambda _context, _option, value: _share(value),
    help="Score the I-th of N shares only, such as 3/16 in an array job of a cluster; the others are begun likewise.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1000), help="Threads of the process [default: all processors].")
@click.option(
    "--engine", type=click.Choice(["processes", "ray"]), default="processes", show_default=True,
    help="What runs the jobs: processes of this machine, or actors of Ray, which are replaced where they die.",
)  # fmt: skip
@click.option(
    "--address", help="Cluster of Ray to join, auto or HOST:PORT; it must see DIR, model and inputs under these paths "
    "[default: Ray is started on this machine].",
)  # fmt: skip
@click.option("--min-confidence", type=Number(0, 1), default=0, help="Leave the label empty below this probability.")
@raw_option
@click.option("--quiet", is_flag=True, hidden=True, help="No progress, which the process that started this one shows.")
@click.option("--resume", is_flag=True, help="Go on with what was begun in the folder.")
@click.option("--overwrite", is_flag=True, help="Begin anew in a folder that textclf wrote; your own files in it stay.")
@json_option
def score(
    inputs: tuple[str, ...], output: str, run: Path | None, columns: tuple[str, ...], keep: tuple[str, ...],
    output_format: str, rows_per_file: int, jobs: int, share: "Share | None", threads: int | None,
    engine: str, address: str | None, min_confidence: float, raw: bool, quiet: bool, resume: bool, overwrite: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Label many files, in shards that can be resumed. INPUT: files, globs, or folders of tables.

    All of them, and DIR, may be in an object store: s3://BUCKET/KEY or gs://BUCKET/KEY.

    Row n of an input is row n of its folder in DIR. A job that was killed goes on with --resume: each row is there
    once in the end, and the bytes are those of a job that was not. DIR/manifest.json says that all is done.
    """
    from textclf.io.objects import location
    from textclf.io.streams import expand_home
    from textclf.scoring.score import score as score_files

    if resume and overwrite:
        raise click.UsageError("--resume goes on, --overwrite begins anew; choose one.")
    if share and (jobs > 1 or overwrite):
        raise click.UsageError("--share is one of several processes: without --jobs, and without --overwrite.")
    if engine == "ray" and share:
        raise click.UsageError("--share is one of several processes; --engine ray starts its own.")
    if address and engine != "ray":
        raise click.UsageError("--address is that of a cluster of Ray; add --engine ray.")
    names = [name for value in keep for name in value.split(",")]
    if not all(names):
        raise click.UsageError("--keep names columns: write --keep id,date, without blanks around the comma.")
    options: ScoringOptions = {
        "columns": [*columns], "keep": names, "output_format": output_format, "rows": rows_per_file,
        "min_confidence": min_confidence, "raw": raw,
    }  # fmt: skip
    with ScoringProgress(quiet=quiet) as progress:
        manifest = score_files(
            selected_run(run), location(expand_home(output)), inputs, options, jobs=jobs, share=share, threads=threads,
            resume=resume, overwrite=overwrite, ray=engine == "ray", address=address, progress=progress,
        )  # fmt: skip
    if manifest is None and not quiet:
        print_stderr(f"this share of {output} is done, others are not yet: the last one writes manifest.json")
    if manifest:
        print_result(manifest, manifest_lines, as_json=as_json)


def _share(value: str | None) -> "Share | None":
    """Parse a share such as 3/16.

    Raises:
        click.BadParameter: it is none.
    """
    from textclf.scoring.share import Share

    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", value)
    if not match or int(match[1]) > int(match[2]):
        raise click.BadParameter(f"{value!r} is no share; write one such as 3/16, the third of sixteen.")
    return Share(int(match[1]), int(match[2]))


def manifest_lines(manifest: "ManifestDocument") -> list[str]:
    """Return the lines that say what was scored."""
    inputs = [
        f"{source['rows']:>13,} rows  {source['shards']:>6,} files  {source['folder']}/  of {source['path']}"
        for source in manifest["inputs"]
    ]
    return [*inputs, f"{manifest['rows']:>13,} rows in all"]


class ScoringProgress:
    """Rows, rows a second and the time left: live on a terminal, a line now and then in a log."""

    def __init__(self, *, quiet: bool):
        self._quiet = quiet
        self._bar: Any = None
        self._rows = 0
        self._total: int | None = None
        self._start = self._told = time.monotonic()

    def __enter__(self) -> "ScoringProgress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, rows: int | None) -> None:
        """Take the estimated number of rows; None: it is not known."""
        self._total = rows
        self._start = self._told = time.monotonic()
        if sys.stderr.isatty() and not self._quiet:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                BarColumn(bar_width=20), TextColumn("{task.completed:,} rows, {task.fields[speed]:,} a second"),
                TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._bar.add_task("", total=rows, speed=0)
            self._bar.start()

    def add(self, rows: int) -> None:
        """Count further rows that are done."""
        self._rows += rows
        now = time.monotonic()
        speed = round(self._rows / max(now - self._start, 1e-3))
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self._rows, speed=speed)
        elif rows and not self._quiet and now - self._told >= LINE_SECONDS:
            self._told = now
            left = "" if not self._total else f", about {_duration((self._total - self._rows) / max(speed, 1))} left"
            print_stderr(f"{self._rows:,} rows, {speed:,} a second{left}")


def _duration(seconds: float) -> str:
    """Return a time in one unit, such as 40 s or 5 min."""
    if seconds < 100:
        return f"{max(0, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
