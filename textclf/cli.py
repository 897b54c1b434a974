"""The command line: parses, calls one function, prints. Data on stdout, talk on stderr."""

import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from textclf import __version__
from textclf.console import Stopped, open_streams, print_pieces, say, stoppable
from textclf.errors import UserError
from textclf.visible import visible, visible_json, visible_lines

# What a command needs is imported inside it, so that `--help` starts at once and only training loads TensorFlow.


@contextmanager
def _visible_usage() -> Iterator[None]:
    """Has click's own messages show what an argument holds."""
    try:
        yield
    except click.UsageError as error:
        message = error.format_message()
        if visible_lines(message) == message:
            raise
        raise click.UsageError(visible_lines(message), error.ctx) from None


class _Commands(click.Group):
    """Turns what ends a command early into a message and an exit code: 1, or that of a shell for a signal."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _visible_usage():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            with stoppable(), _visible_usage():
                return super().invoke(context)
        except UserError as error:
            lines, code = error.lines, 1
        except OSError as error:
            # a folder without permission: the user's to mend, and the system says what and where
            lines, code = (f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}.",), 1
        except KeyboardInterrupt:
            lines, code = ("", "stopped by Ctrl-C"), 128 + signal.SIGINT  # a terminal shows ^C on the line above
        except Stopped as stopped:
            lines, code = (str(stopped),), 128 + stopped.signal
        say(*lines)
        return context.exit(code)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are used


class _Talk(logging.Handler):
    """Log records as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        say(prefix + record.getMessage())


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="textclf")
def main() -> None:
    """From a CSV of texts and labels to a small text classifier that can be trusted and shipped."""
    open_streams()
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
_raw = click.option("--raw", is_flag=True, help="Write as they stand the texts that a spreadsheet would compute.")


def _chosen_run(path: Path | None) -> Any:
    from textclf.run import Run
    from textclf.stage import newest_run, recover

    if path is not None:
        return recover(Run(path))
    run = newest_run()
    say(f"using {run.path}, the newest run")
    return run


def _show(document: dict[str, Any], as_json: bool, table: Callable[[dict[str, Any]], list[str]]) -> None:
    if as_json:
        _print_json(document)
    else:
        print_pieces(f"{visible(line)}\n" for line in table(document))


def _print_json(document: dict[str, Any]) -> None:
    print_pieces([visible_json(json.dumps(document, indent=1, ensure_ascii=False)), "\n"])


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
    say(*init.summary(draft))
    if path is None:
        print_pieces([draft.text])
        return
    init.write_config(draft, path)
    if as_json:
        _print_json(init.document(draft, path))
    say(f"wrote {path}; next: {init.next_command(path)}")


@main.command()
@click.argument("config", metavar="CONFIG|RUN", type=click.Path(path_type=Path))
@_set
@click.option(
    "--suspects", type=click.Path(path_type=Path), help="CSV to write: training rows that are probably labelled wrong."
)
@_raw
@_json
def check(config: Path, overrides: tuple[str, ...], suspects: Path | None, raw: bool, as_json: bool) -> None:
    """Validate a config and its data, or a run's saved model; trains nothing."""
    from textclf import check, tables
    from textclf.config import load_config
    from textclf.run import Run
    from textclf.stage import recover

    run = recover(Run(config))
    if os.path.isdir(config):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        if overrides or suspects:
            raise click.UsageError("--set and --suspects are for a config, not for a run.")
        _show(check.check_run(run), as_json, tables.run_check_table)
    else:
        document = check.check_config(load_config(config, overrides), suspects=suspects, raw=raw)
        _show(document, as_json, tables.check_table)


@main.command()
@_config
@_set
@click.option("--run", type=click.Path(path_type=Path), help="Folder to write [default: runs/NAME of the config].")
@click.option("--resume", is_flag=True, help="Go on with a training that was stopped: the run is the same.")
@click.option("--overwrite", is_flag=True, help="Replace an existing run once the new one is complete.")
@click.option("--verify", is_flag=True, help="Train twice for one epoch and compare; write no run.")
@_json
def train(
    config: Path, overrides: tuple[str, ...], run: Path | None, resume: bool, overwrite: bool, verify: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Train on a config, evaluate, and write the run."""
    from textclf import tables, train
    from textclf.config import load_config
    from textclf.progress import watching
    from textclf.run import Run, run_for_config

    if resume + overwrite + verify > 1:
        raise click.UsageError("--resume goes on, --overwrite begins anew, --verify writes no run; choose one.")
    if verify:
        from textclf.verify import verify as train_twice

        _show(train_twice(load_config(config, overrides)), as_json, tables.verify_table)
        return
    target = Run(run) if run else run_for_config(config)
    with watching() as watch:
        document = train.train(load_config(config, overrides), target, watch, overwrite=overwrite, resume=resume)
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
@_raw
@_json
def compare(runs: tuple[Path, ...], changed: Path | None, raw: bool, as_json: bool) -> None:
    """Set runs side by side on the same rows, with intervals and a test of their difference."""
    from textclf import compare, tables

    if len(runs) < 2:
        raise click.UsageError("name two runs at least.")
    _show(compare.compare(list(runs), changed=changed, raw=raw), as_json, tables.compare_tables)


@main.command()
@click.argument("file", default="-", type=click.Path(path_type=Path))
@_run
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write [default: stdout].")
@click.option("--format", "-f", type=click.Choice(["tsv", "csv", "jsonl"]), default="tsv", show_default=True)
@click.option("--column", help="Column with the texts, when FILE is a table.")
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1), default=0, help="Leave the label empty under this probability."
)
@_raw
@click.option("--json", "as_json", is_flag=True, help="Print all predictions as one JSON document.")
def predict(
    file: Path, run: Path | None, output: Path | None, format: str, column: str | None, min_confidence: float,
    raw: bool, as_json: bool,
) -> None:  # fmt: skip
    """Predict the label of each line of FILE, or of standard input: row n out is row n in."""
    from textclf.classifier import load_classifier
    from textclf.predict import predict_stream, read_texts

    classifier = load_classifier(_chosen_run(run).path)
    chunks = read_texts(file, column=column, default_column=classifier.description.column)
    chosen = "json" if as_json else format
    pieces = predict_stream(classifier, chunks, format=chosen, min_confidence=min_confidence, raw=raw)
    _write(pieces, output, shown=visible_json if chosen in ("json", "jsonl") else visible_lines)


def _write(pieces: Iterable[str], output: Path | None, *, shown: Callable[[str], str] = visible_lines) -> None:
    """To a file, or to stdout as they come; on a terminal as `shown` makes them safe to look at."""
    if output is None:
        print_pieces(pieces, shown=shown)
        return
    from textclf.run import write_pieces

    write_pieces(output, pieces)


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
    chosen = "jsonl" if as_json else format
    # what is written as text is safe to look at, and its colours are control characters themselves
    shown: dict[str, Callable[[str], str]] = {"text": str, "jsonl": visible_json, "html": visible_lines}
    _write(WRITERS[chosen](explained, colour=colour), output, shown=shown[chosen])


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_json
def report(run: Path, as_json: bool) -> None:
    """Draw the report of RUN, or of RUN/evaluations/NAME, anew from its other files."""
    from textclf.redraw import redraw

    path = redraw(run)
    say(f"wrote {path}")
    if as_json:
        _print_json({"report": path.as_posix()})


@main.command()
def schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from textclf.config import json_schema

    print_pieces([json.dumps(json_schema(), indent=1), "\n"])


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
    say("wrote {path}, {bytes} bytes; differs from the run by {parity:.1e} at most".format(**document))
    if as_json:
        _print_json(document)
