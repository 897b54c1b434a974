"""The command line: parses, calls one function, prints. Data on stdout, talk on stderr."""

import errno
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from textclf import __version__
from textclf.errors import UserError

# What a command needs is imported inside it, so that `--help` starts at once and only training loads TensorFlow.


class _Commands(click.Group):
    """Turns a UserError into its message and exit code 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            message = str(error)
        except OSError as error:
            # a full disk, a folder without permission: the user's to mend, and the system says what and where
            message = f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}."
        click.echo(message, err=True)
        return context.exit(1)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are used


class _Talk(logging.Handler):
    """Log records as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        click.echo(prefix + record.getMessage(), err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="textclf")
def main() -> None:
    """From a CSV of texts and labels to a small text classifier that can be trusted and shipped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # whatever the locale: labels are in any script
    logger = logging.getLogger("textclf")
    logger.handlers = [_Talk()]
    logger.setLevel(logging.INFO)
    logger.propagate = False


_json = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
_config = click.argument("config", type=click.Path(path_type=Path))
_run = click.option(
    "--run", type=click.Path(path_type=Path), help="A run or a model/ folder [default: the newest run]."
)
_set = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the config; repeatable."
)


def _chosen_run(path: Path | None) -> Any:
    from textclf.run import Run, newest_run

    if path is not None:
        return Run(path)
    run = newest_run()
    click.echo(f"using {run.path}, the newest run", err=True)
    return run


def _show(document: dict[str, Any], as_json: bool, table: Callable[[dict[str, Any]], str]) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False) if as_json else table(document))


@main.command()
@click.argument("data")
@click.option("--text", help="Column with the texts [default: the one that looks like it].")
@click.option("--label", help="Column with the labels [default: the one that looks like it].")
@click.option("--output", "-o", help="Config to write, or - for stdout [default: NAME.yaml of the data].")
@click.option("--overwrite", is_flag=True, help="Replace an existing config.")
@_json
def init(data: str, text: str | None, label: str | None, output: str | None, overwrite: bool, as_json: bool) -> None:
    """Look at DATA and write a commented config that trains on it as it stands."""
    from textclf import init

    if as_json and output == "-":
        raise click.UsageError("--json and --output - both print to stdout; choose one.")
    path = None if output == "-" else init.config_path(data, output, overwrite=overwrite)
    draft = init.draft_config(data, text=text, label=label)
    click.echo("\n".join(init.summary(draft)), err=True)
    if path is None:
        click.echo(draft.text, nl=False)
        return
    init.write_config(draft, path)
    if as_json:
        click.echo(json.dumps(init.document(draft, path), indent=1, ensure_ascii=False))
    click.echo(f"wrote {path}; next: {init.next_command(path)}", err=True)


@main.command()
@click.argument("config", metavar="CONFIG|RUN", type=click.Path(path_type=Path))
@_set
@click.option(
    "--suspects", type=click.Path(path_type=Path), help="CSV to write: training rows that are probably labelled wrong."
)
@_json
def check(config: Path, overrides: tuple[str, ...], suspects: Path | None, as_json: bool) -> None:
    """Validate a config and its data, or a run's saved model; trains nothing."""
    from textclf import check, tables
    from textclf.config import load_config
    from textclf.run import Run

    if os.path.isdir(config):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        if overrides or suspects:
            raise click.UsageError("--set and --suspects are for a config, not for a run.")
        _show(check.check_run(Run(config)), as_json, tables.run_check_table)
    else:
        _show(check.check_config(load_config(config, overrides), suspects=suspects), as_json, tables.check_table)


@main.command()
@_config
@_set
@click.option("--run", type=click.Path(path_type=Path), help="Folder to write [default: runs/NAME of the config].")
@click.option("--overwrite", is_flag=True, help="Replace an existing run once the new one is complete.")
@_json
def train(config: Path, overrides: tuple[str, ...], run: Path | None, overwrite: bool, as_json: bool) -> None:
    """Train on a config, evaluate, and write the run."""
    from textclf import tables, train
    from textclf.config import load_config
    from textclf.progress import watching
    from textclf.run import Run, run_for_config

    target = Run(run) if run else run_for_config(config)
    with watching() as watch:
        document = train.train(load_config(config, overrides), target, watch, overwrite=overwrite)
    click.echo(f"wrote {target.path}; open {target.report}", err=True)
    _show(document, as_json, tables.metric_tables)


@main.command()
@click.argument("data", required=False)
@_run
@_json
def evaluate(data: str | None, run: Path | None, as_json: bool) -> None:
    """Measure a run on DATA, or on the rows that its training was measured on."""
    from textclf import evaluate, tables

    _show(evaluate.evaluate(_chosen_run(run), data), as_json, tables.metric_tables)


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option("--changed", type=click.Path(path_type=Path), help="CSV to write: the rows that they label differently.")
@_json
def compare(runs: tuple[Path, ...], changed: Path | None, as_json: bool) -> None:
    """Set runs side by side on the same rows, with intervals and a test of their difference."""
    from textclf import compare, tables

    if len(runs) < 2:
        raise click.UsageError("name two runs at least.")
    _show(compare.compare(list(runs), changed=changed), as_json, tables.compare_tables)


@main.command()
@click.argument("file", default="-", type=click.Path(path_type=Path))
@_run
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write [default: stdout].")
@click.option("--format", "-f", type=click.Choice(["tsv", "csv", "jsonl"]), default="tsv", show_default=True)
@click.option("--column", help="Column with the texts, when FILE is a table.")
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1), default=0, help="Leave the label empty under this probability."
)
@click.option("--json", "as_json", is_flag=True, help="Print all predictions as one JSON document.")
def predict(
    file: Path, run: Path | None, output: Path | None, format: str, column: str | None, min_confidence: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Predict the label of each line of FILE, or of standard input: row n out is row n in."""
    from textclf.classifier import load_classifier
    from textclf.predict import predict_stream, read_texts

    classifier = load_classifier(_chosen_run(run).path)
    chunks = read_texts(file, column=column, default_column=classifier.description.column)
    pieces = predict_stream(classifier, chunks, format="json" if as_json else format, min_confidence=min_confidence)
    _write(pieces, output)


def _write(pieces: Iterable[str], output: Path | None) -> None:
    """To a file, or to stdout as they come."""
    if output is None:
        _print_pieces(pieces)
        return
    from textclf.run import write_pieces

    write_pieces(output, pieces)


def _print_pieces(pieces: Iterable[str]) -> None:
    """Each piece on stdout at once; ends quietly when the reader, such as `head`, has enough."""
    for piece in pieces:
        try:
            sys.stdout.write(piece)
            sys.stdout.flush()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EINVAL):  # Windows says EINVAL
                raise
            # what Python flushes at exit must not complain either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return


@main.command()
@click.argument("text", default="-")
@_run
@click.option("--label", help="Explain this label instead of the one that the text is given.")
@click.option("--format", "-f", type=click.Choice(["text", "html", "jsonl"]), default="text", show_default=True)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write [default: stdout].")
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
def explain(
    text: str, run: Path | None, label: str | None, format: str, output: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Show which words spoke for and against the label of TEXT, or of each line of standard input."""
    from textclf.classifier import load_classifier
    from textclf.explain import Explainer, explain_lines
    from textclf.explained import WRITERS
    from textclf.predict import read_texts

    folder = _chosen_run(run).path
    explainer = Explainer(load_classifier(folder), folder)
    chunks = read_texts(Path("-"), column=None, default_column="") if text == "-" else iter([[text]])
    explained = explain_lines(explainer, chunks, label)
    colour = output is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    _write(WRITERS["jsonl" if as_json else format](explained, colour=colour), output)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_json
def report(run: Path, as_json: bool) -> None:
    """Draw the report of RUN, or of RUN/evaluations/NAME, anew from its other files."""
    from textclf.redraw import redraw

    path = redraw(run)
    click.echo(f"wrote {path}", err=True)
    if as_json:
        click.echo(json.dumps({"report": path.as_posix()}))


@main.command()
def schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from textclf.config import json_schema

    click.echo(json.dumps(json_schema(), indent=1))


@main.command()
@_run
@click.option("--format", "-f", type=click.Choice(["keras", "onnx", "python", "savedmodel", "tflite"]), required=True)
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="File or folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
@_json
def export(run: Path | None, format: str, output: Path, overwrite: bool, as_json: bool) -> None:
    """Write a run in the format of another tool, and compare the two before it is given.

    \b
    keras       OUTPUT.keras, for keras.saving.load_model
    onnx        OUTPUT.onnx, for ONNX Runtime and others
    python      OUTPUT.py, with predict(texts); needs numpy, onnxruntime, and model/ beside it
    savedmodel  OUTPUT/, for TensorFlow and TF Serving
    tflite      OUTPUT.tflite, for LiteRT on phones; a row at a time; needs textclf[tflite]

    All but python take token ids, with zeros behind shorter rows, and hold textclf.json: the labels, the vocabulary,
    and how a text becomes ids.
    """
    from textclf.export import export as write_export

    document = write_export(_chosen_run(run), format=format, output=output, overwrite=overwrite)
    click.echo("wrote {path}, {bytes} bytes; differs from the run by {parity:.1e} at most".format(**document), err=True)
    if as_json:
        click.echo(json.dumps(document))
