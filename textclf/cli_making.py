"""The commands that look at data and make runs."""

import json
import os
from pathlib import Path

import click

from textclf.cli_parts import as_json_option, config_argument, print_json, raw_option, set_option, show
from textclf.console import print_pieces, say

DEFAULT_TRIALS = 20

# What a command needs is imported inside it, so that `--help` starts at once and only training loads TensorFlow.


@click.command()
@click.argument("data")
@click.option("--text", help="Column with the texts [default: the one that looks like it].")
@click.option("--label", help="Column with the labels [default: the one that looks like it].")
@click.option("--output", "-o", help="Config to write, or - for stdout [default: NAME.yaml of the data].")
@click.option("--overwrite", is_flag=True, help="Replace an existing config.")
@as_json_option
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
        print_json(init.document(draft, path))
    say(f"wrote {path}; next: {init.next_command(path)}")


@click.command()
@click.argument("config", metavar="CONFIG|RUN", type=click.Path(path_type=Path))
@set_option
@click.option(
    "--suspects", type=click.Path(path_type=Path), help="CSV to write: training rows that are probably labelled wrong."
)
@raw_option
@as_json_option
def check(config: Path, overrides: tuple[str, ...], suspects: Path | None, raw: bool, as_json: bool) -> None:
    """Validate a config and its data, or a run's saved model; trains nothing."""
    from textclf import check, tables
    from textclf.run import Run
    from textclf.space import load_space
    from textclf.stage import recover

    run = recover(Run(config))
    if os.path.isdir(config):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        if overrides or suspects:
            raise click.UsageError("--set and --suspects are for a config, not for a run.")
        show(check.check_run(run), as_json, tables.run_check_table)
    else:
        document = check.check_config(load_space(config, overrides)[0], suspects=suspects, raw=raw)
        show(document, as_json, tables.check_table)


@click.command()
@config_argument
@set_option
@click.option("--run", type=click.Path(path_type=Path), help="Folder to write [default: runs/NAME of the config].")
@click.option("--resume", is_flag=True, help="Go on with a training that was stopped: the run is the same.")
@click.option("--overwrite", is_flag=True, help="Replace an existing run once the new one is complete.")
@click.option("--verify", is_flag=True, help="Train twice for one epoch and compare; write no run.")
@click.option("--seeds", metavar="N", help="Train N networks and keep the best on validation rows [training.seeds].")
@click.option("--ensemble", is_flag=True, help="Keep all of them as one model [training.ensemble].")
@as_json_option
def train(
    config: Path, overrides: tuple[str, ...], run: Path | None, resume: bool, overwrite: bool, verify: bool,
    seeds: str | None, ensemble: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train on a config, evaluate, and write the run."""
    from textclf import tables, train
    from textclf.config import load_config
    from textclf.progress import watching
    from textclf.run import Run, run_for_config

    if resume + overwrite + verify > 1:
        raise click.UsageError("--resume goes on, --overwrite begins anew, --verify writes no run; choose one.")
    overrides += (f"training.seeds={seeds}",) if seeds else ()
    overrides += ("training.ensemble=true",) if ensemble else ()
    if verify:
        from textclf.verify import verify as train_twice

        show(train_twice(load_config(config, overrides)), as_json, tables.verify_table)
        return
    target = Run(run) if run else run_for_config(config)
    with watching() as watch:
        document = train.train(load_config(config, overrides), target, watch, overwrite=overwrite, resume=resume)
    show(document, as_json, tables.metric_tables)


@click.command()
@config_argument
@set_option
@click.option("--run", type=click.Path(path_type=Path), help="Folder to write [default: runs/NAME-tune].")
@click.option("--trials", type=click.IntRange(1), help="Trials in all [default: 20, without --minutes].")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Minutes to search in all.")
@click.option(
    "--folds", type=click.IntRange(1, 100), default=1, show_default=True,
    help="Score each trial by so many parts of the training rows in turn.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 100), default=1, show_default=True, help="Trials at the same time.")
@click.option("--resume", is_flag=True, help="Go on with a search that was stopped, or with more of it.")
@click.option("--overwrite", is_flag=True, help="Remove an earlier search and begin anew.")
@as_json_option
def tune(
    config: Path, overrides: tuple[str, ...], run: Path | None, trials: int | None, minutes: float | None, folds: int,
    jobs: int, resume: bool, overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Search for better settings on validation rows, and train with the best."""
    from textclf import tables
    from textclf.progress import watching
    from textclf.search import Budget
    from textclf.space import load_space
    from textclf.tune import tune as search
    from textclf.tuning import Tuning, tuning_for_config
    from textclf.tuning_progress import watching_trials

    if resume and overwrite:
        raise click.UsageError("--resume goes on, --overwrite begins anew; choose one.")
    loaded, space = load_space(config, overrides)
    budget = Budget(DEFAULT_TRIALS if trials is None and minutes is None else trials, minutes)
    with watching_trials(loaded.training.monitor) as trial_watch, watching() as watch:
        document = search(
            loaded, space, Tuning(run) if run else tuning_for_config(config), budget, trial_watch=trial_watch,
            watch=watch, folds=folds, jobs=jobs, resume=resume, overwrite=overwrite,
        )  # fmt: skip
    show(document, as_json, tables.tuning_tables)


@click.command()
def schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from textclf.space import json_schema

    print_pieces([json.dumps(json_schema(), indent=1), "\n"])
