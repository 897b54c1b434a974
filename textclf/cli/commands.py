"""The commands: each parses its arguments, calls one function and prints the result.

What a command needs is imported inside it, so that `--help` starts at once and only training loads TensorFlow.
"""

import json
import os
from pathlib import Path

import click

from textclf.cli.console import print_json, print_result, print_stderr, print_stdout, write_output
from textclf.cli.options import (
    PATH,
    Number,
    check_one_format,
    config_argument,
    json_option,
    log_option,
    output_option,
    overwrite_option,
    overwrite_run_option,
    parse_size,
    raw_option,
    run_option,
    selected_run,
    set_option,
)
from textclf.cli.scoring import score
from textclf.cli.serving import serve
from textclf.io.outputs import STDIN, check_output
from textclf.io.sanitize import printable_json, printable_lines

DEFAULT_TRIALS = 20


@click.command()
@click.argument("data")
@click.option("--text", multiple=True, help="Column of the texts, repeatable [default: found by its values].")
@click.option("--label", help="Column of the labels [default: found by its values].")
@click.option("--encoder", help="Folder of a pretrained encoder to train [default: a network from scratch].")
@click.option(
    "--output",
    "-o",
    help="Config to write, or - for stdout [default: NAME.yaml of the data; with --encoder NAME-encoder.yaml].",
)
@overwrite_option
@json_option
def init(
    data: str,
    text: tuple[str, ...],
    label: str | None,
    encoder: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a commented config that trains on DATA as it stands."""
    from textclf.config.init import create_config

    if as_json and output == "-":
        raise click.UsageError("--json and --output - both print to stdout; choose one.")
    created = create_config(data, output, text=text, label=label, encoder=encoder, overwrite=overwrite)
    print_stderr(*created.summary())
    if created.path is None:
        print_stdout([created.yaml])
        return
    if as_json:
        print_json(created.document())
    print_stderr(f"wrote {created.path}; next: {created.next_command()}")


@click.command()
@click.argument("config", metavar="CONFIG|RUN", type=PATH)
@set_option
@click.option(
    "--suspects", type=PATH,
    help="CSV, or .json with tasks for Label Studio, to write: training rows that are probably labelled wrong.",
)  # fmt: skip
@overwrite_option
@raw_option
@json_option
def check(
    config: Path, overrides: tuple[str, ...], suspects: Path | None, overwrite: bool, raw: bool, as_json: bool
) -> None:  # fmt: skip
    """Check a config and its data, or a run's saved model. Trains nothing."""
    from textclf.cli import tables
    from textclf.io.run_folder import Run
    from textclf.io.staging import recover
    from textclf.training.check import check_config, check_run
    from textclf.tuning.search_space import load_space

    run = recover(Run(config))
    if os.path.isdir(config):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        if overrides or suspects:
            raise click.UsageError("--set and --suspects are for a config, not for a run.")
        print_result(check_run(run), tables.run_check_table, as_json=as_json)
    else:
        loaded, _ = load_space(config, overrides)
        result = check_config(loaded, config, suspects=suspects, raw=raw, overwrite=overwrite)
        print_result(result, tables.check_table, as_json=as_json)


@click.command()
@config_argument
@set_option
@click.option("--run", type=PATH, help="Folder to write [default: runs/NAME of the config].")
@click.option("--resume", is_flag=True, help="Continue a training that was stopped; the run is the same.")
@overwrite_run_option
@click.option("--verify", is_flag=True, help="Train twice for one epoch and compare; write no run.")
@click.option("--seeds", metavar="N", help="Train N networks and keep the best on validation rows [training.seeds].")
@click.option("--ensemble", is_flag=True, help="Keep all networks as one model [training.ensemble].")
@log_option
@json_option
def train(
    config: Path, overrides: tuple[str, ...], run: Path | None, resume: bool, overwrite: bool, verify: bool,
    seeds: str | None, ensemble: bool, trackers: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Train on a config, evaluate, and write the run."""
    from textclf.cli import tables
    from textclf.cli.progress import training_callback
    from textclf.cli.tracking import track_training
    from textclf.config.load import load_config
    from textclf.io.run_folder import Run, run_for_config
    from textclf.training import check
    from textclf.training.train import train as train_run

    if resume + overwrite + verify > 1:
        raise click.UsageError("--resume goes on, --overwrite begins anew, --verify writes no run; choose one.")
    overrides += (f"training.seeds={seeds}",) if seeds else ()
    overrides += ("training.ensemble=true",) if ensemble else ()
    if verify:
        print_result(check.verify(load_config(config, overrides)), tables.verify_table, as_json=as_json)
        return
    loaded, target = load_config(config, overrides), Run(run) if run else run_for_config(config)
    with training_callback() as callback, track_training(trackers, config, loaded, target, callback) as tracked:
        result = train_run(loaded, target, tracked, overwrite=overwrite, resume=resume)
    if result is not None:  # only the chief of several workers has one
        print_result(result, tables.metric_tables, as_json=as_json)


@click.command()
@config_argument
@set_option
@click.option("--run", type=PATH, help="Folder to write [default: runs/NAME-tune].")
@click.option(
    "--trials", type=click.IntRange(1), help="Trials, those of earlier calls included [default: 20, without --minutes]."
)
@click.option("--minutes", type=Number(0, min_open=True), help="Minutes to search, those of earlier calls included.")
@click.option(
    "--folds", type=click.IntRange(1, 100), default=1, show_default=True,
    help="Score each trial by cross-validation over N parts of the training rows.", metavar="N",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 100), default=1, show_default=True, help="Trials at the same time.")
@click.option("--resume", is_flag=True, help="Continue a search that was stopped, or extend one.")
@click.option(
    "--overwrite", is_flag=True, help="Remove an earlier search and start anew; your own files in its folder stay."
)
@click.option(
    "--storage", metavar="URL", help="postgresql:// or mysql:// URL of a database, or journal file, by which several "
    "machines share the search.",
)  # fmt: skip
@log_option
@json_option
def tune(
    config: Path, overrides: tuple[str, ...], run: Path | None, trials: int | None, minutes: float | None, folds: int,
    jobs: int, resume: bool, overwrite: bool, storage: str | None, trackers: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Search for better settings, and train with the best. Trials are compared on validation rows."""
    from textclf.cli import tables
    from textclf.cli.progress import training_callback, trial_callback_for
    from textclf.cli.tracking import track_search
    from textclf.tuning.results import Tuning, tuning_for_config
    from textclf.tuning.search_space import load_space
    from textclf.tuning.tune import tune as search

    if resume and overwrite:
        raise click.UsageError("--resume goes on, --overwrite begins anew; choose one.")
    if storage and overwrite:
        raise click.UsageError("--overwrite would take the trials of other machines; name a new search with --run.")
    loaded, space = load_space(config, overrides)
    if trials is None and minutes is None:
        trials = DEFAULT_TRIALS
    tuning = Tuning(run) if run else tuning_for_config(config)
    with (
        trial_callback_for(loaded.training.monitor) as of_trials,
        training_callback() as of_training,
        track_search(trackers, config, loaded, space, tuning, of_trials, of_training) as (trial_callback, callback),
    ):
        result = search(
            loaded, space, tuning, trial_callback=trial_callback, callback=callback, trials=trials, minutes=minutes,
            folds=folds, jobs=jobs, resume=resume, overwrite=overwrite, storage=storage, sources=[config],
        )  # fmt: skip
    if result is not None:
        print_result(result, tables.tuning_tables, as_json=as_json)
    elif as_json:
        print_json(None)


@click.command()
@click.argument("data", required=False)
@run_option
@click.option("--text", multiple=True, help="Column of the texts in DATA, repeatable [default: the run's].")
@click.option("--label", help="Column of the labels in DATA [default: the run's].")
@json_option
def evaluate(data: str | None, run: Path | None, text: tuple[str, ...], label: str | None, as_json: bool) -> None:
    """Evaluate a run on DATA. Without DATA: on its test rows, else its validation rows."""
    from textclf.cli import tables
    from textclf.evaluation.evaluate import evaluate as evaluate_run

    if data is None and (text or label):
        raise click.UsageError("--text and --label name columns of DATA; name a file.")
    result = evaluate_run(selected_run(run), data, text=text, label=label)
    print_result(result, tables.metric_tables, as_json=as_json)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", type=PATH)
@click.option("--changed", type=PATH, help="CSV to write: rows with different predictions.")
@overwrite_option
@raw_option
@json_option
def compare(runs: tuple[Path, ...], changed: Path | None, overwrite: bool, raw: bool, as_json: bool) -> None:
    """Compare runs on the same rows, with a significance test."""
    from textclf.cli import tables
    from textclf.evaluation.compare import compare as compare_runs

    if len(runs) < 2:
        raise click.UsageError("name two runs at least.")
    result = compare_runs(list(runs), changed=changed, raw=raw, overwrite=overwrite)
    print_result(result, tables.compare_tables, as_json=as_json)


@click.command()
@click.argument("file", default="-", type=PATH)
@run_option
@output_option
@overwrite_option
@click.option(
    "--format", "-f", type=click.Choice(["tsv", "csv", "jsonl", "label-studio"]), default="tsv", show_default=True,
    help="Format of the output, whatever its name; label-studio: tasks with predictions, as JSON.",
)  # fmt: skip
@click.option(
    "--column", "columns", multiple=True, help="Column of the texts in a table; several are joined by blanks."
)
@click.option(
    "--input-format", type=click.Choice(["lines", "csv", "tsv", "jsonl"]),
    help="Format of the input [default: by the name of FILE; standard input: lines].",
)  # fmt: skip
@click.option("--bom", is_flag=True, help="Begin csv or tsv with a byte order mark: spreadsheets then read UTF-8.")
@click.option("--min-confidence", type=Number(0, 1), default=0, help="Leave the label empty below this probability.")
@raw_option
@click.option("--json", "as_json", is_flag=True, help="Print all predictions as one JSON document.")
def predict(
    file: Path, run: Path | None, output: Path | None, overwrite: bool, format: str, columns: tuple[str, ...],
    input_format: str | None, bom: bool, min_confidence: float, raw: bool, as_json: bool,
) -> None:  # fmt: skip
    """Predict the label of each line of FILE or standard input. Row n out is row n in."""
    from textclf.inference.classifier import load_classifier
    from textclf.inference.inputs import is_short, read_texts
    from textclf.inference.model_folder import run_files
    from textclf.inference.predict import predict_stream

    if columns and input_format == "lines":
        raise click.UsageError("--column is for tables: --input-format lines has none.")
    check_one_format(as_json=as_json)
    output_format = "json" if as_json else format
    is_json = output_format in ("json", "jsonl", "label-studio")
    if bom and is_json:
        raise click.UsageError("--bom is for csv and tsv: JSON has no byte order mark.")
    selected = selected_run(run)
    check_output(output, [file, *run_files(selected)], overwrite=overwrite)
    suffix = output.suffix.lower()[1:] if output else ""
    if suffix in ("csv", "tsv", "jsonl") and suffix != output_format:
        print_stderr(f"{output} is written as {output_format}, whatever its name; for {suffix}: --format {suffix}")
    classifier = load_classifier(selected.path, few_texts=is_short(file))
    texts = read_texts(file, columns=columns, default_columns=classifier.description.columns, input_format=input_format)
    chunks = predict_stream(
        classifier, texts, format=output_format, min_confidence=min_confidence, raw=raw, bom=bom,
        model_version=selected.path.absolute().name,
    )  # fmt: skip
    write_output(chunks, output, overwrite=overwrite, sanitize=printable_json if is_json else printable_lines)


@click.command()
@click.argument("text", default="-")
@run_option
@click.option("--label", help="Label to explain [default: the predicted one].")
@click.option("--format", "-f", type=click.Choice(["text", "html", "jsonl"]), default="text", show_default=True)
@output_option
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
def explain(
    text: str, run: Path | None, label: str | None, format: str, output: Path | None, overwrite: bool, as_json: bool
) -> None:  # fmt: skip
    """Show which words speak for and against a label. Explains TEXT, or each line of standard input."""
    from textclf.cli.explanations import write_explanations
    from textclf.inference.classifier import load_classifier
    from textclf.inference.explain import explain_lines
    from textclf.inference.inputs import read_texts
    from textclf.inference.model_folder import run_files
    from textclf.io.streams import is_regular_file

    check_one_format(as_json=as_json)
    if is_regular_file(text):
        print_stderr(f"explaining the words of the name {text}; for the lines of the file: textclf explain - < {text}")
    selected = selected_run(run)
    check_output(output, [*([STDIN] if text == "-" else []), *run_files(selected)], overwrite=overwrite)
    texts = read_texts(Path("-")) if text == "-" else iter([[text]])
    rows = explain_lines(load_classifier(selected.path), texts, label)
    write_explanations(rows, "jsonl" if as_json else format, output, overwrite=overwrite)


@click.command()
@click.argument("run", type=PATH)
@json_option
def report(run: Path, as_json: bool) -> None:
    """Draw the report of a run anew from its other files. RUN may be RUN/evaluations/NAME, or a tuning."""
    from textclf.evaluation.run_report import redraw
    from textclf.tuning.results import Tuning, write_tuning_report

    path = write_tuning_report(Tuning(run)) if Tuning(run).document.is_file() else redraw(run)
    print_stderr(f"wrote {path}")
    if as_json:
        print_json({"report": path.as_posix()})


@click.command()
@run_option
@click.option("--format", "-f", type=click.Choice(["keras", "onnx", "python", "savedmodel", "tflite"]), required=True)
@click.option("--output", "-o", type=PATH, required=True, help="File or folder to write.")
@overwrite_option
@json_option
def export(run: Path | None, format: str, output: Path, overwrite: bool, as_json: bool) -> None:
    """Write a run in the format of another tool. The export is compared with the run before it is written.

    \b
    keras       OUTPUT.keras, for keras.saving.load_model
    onnx        OUTPUT.onnx, for ONNX Runtime and others
    python      OUTPUT/ or OUTPUT.zip, a package with predict(texts); needs numpy and onnxruntime only
    savedmodel  OUTPUT/, for TensorFlow and TF Serving
    tflite      OUTPUT.tflite, for LiteRT on phones; one row at a time; needs the package ai-edge-litert

    All but python take token ids, with zeros behind shorter rows, and hold textclf.json: the labels, the vocabulary,
    and how a text becomes ids.
    """
    from textclf.export.export import export as export_run

    result = export_run(selected_run(run), format=format, output=output, overwrite=overwrite)
    print_stderr("wrote {path}, {bytes} bytes; differs from the run by {parity:.1e} at most".format(**result))
    if as_json:
        print_json(result)


@click.command()
@run_option
@click.option(
    "--method", "-m", type=click.Choice(["int8", "float16", "prune", "distill"]), help="How to make it smaller."
)
@click.option(
    "--budget",
    callback=parse_size,
    metavar="SIZE",
    help="Largest size of model/, such as 1MB; keeps the best that fits.",
)
@click.option("--output", "-o", type=PATH, required=True, help="Folder of the new run.")
@click.option(
    "--keep", type=Number(0, 1, min_open=True), metavar="SHARE",
    help="prune, distill: share of the words, n-grams, dimensions and units to keep.",
)  # fmt: skip
@click.option("--student", type=click.Choice(["bag", "small"]), help="distill: the network that learns [default: bag].")
@click.option("--alone", is_flag=True, help="distill: no linear part joins the student: less accurate, faster.")
@click.option("--unlabelled", type=PATH, help="distill: more texts to learn on, as for predict.")
@click.option(
    "--max-loss", type=Number(0, 1), default=0.01, show_default=True,
    help="Largest loss of accuracy, 0 to 1.",
)  # fmt: skip
@overwrite_run_option
@json_option
def compress(
    run: Path | None, method: str | None, budget: int | None, output: Path, keep: float | None, student: str | None,
    alone: bool, unlabelled: Path | None, max_loss: float, overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a run smaller, and compare it with the original.

    \b
    int8       weights in a quarter of the bytes
    float16    weights in half of the bytes
    prune      fewer words, n-grams, dimensions and units, trained on for a few epochs; int8 too
    distill    a student that learns from the run; int8 too:
               bag    mean of word vectors, no recurrence: built for speed
               small  a smaller network of the same kind; of a pretrained encoder a network of words

    With --budget and no --method all are tried, and the most accurate on the validation rows is kept. Nothing is
    written where accuracy falls by more than --max-loss on the rows that the run is evaluated on.
    """
    from textclf.cli import tables
    from textclf.cli.progress import training_callback
    from textclf.compression.candidates import CompressionRequest
    from textclf.compression.compress import METHODS
    from textclf.compression.compress import compress as compress_run
    from textclf.io.run_folder import Run

    if method is None and budget is None:
        raise click.UsageError("say how with --method, or how small with --budget.")
    given = {"keep": keep, "student": student, "alone": alone or None, "unlabelled": unlabelled}
    for name, value in given.items():
        if value is not None and method is not None and name not in METHODS[method].takes:
            raise click.UsageError(f"--method {method} has no use for --{name}.")
    request = CompressionRequest(
        method=method, budget=budget, keep=keep, student=student, alone=alone, max_loss=max_loss, unlabelled=unlabelled
    )
    with training_callback() as callback:
        result = compress_run(selected_run(run), Run(output), request, callback, overwrite=overwrite)
    print_result(result, tables.metric_tables, as_json=as_json)


@click.command()
def schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from textclf.tuning.search_space import json_schema

    print_stdout([json.dumps(json_schema(), indent=1), "\n"])


COMMANDS = (
    init, check, train, tune, evaluate, compare, predict, score, serve, explain, report, export, compress, schema,
)  # fmt: skip
"""In the order of `textclf --help`."""
