"""Options and arguments that several commands share."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from textclf.cli.console import print_stderr
from textclf.io.streams import expand_home

if TYPE_CHECKING:
    from textclf.io.run_folder import Run


class UserPath(click.Path):
    """A path that may begin with `~`, which shells leave as it is in `--run=~/mine`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(expand_home(value) if isinstance(value, str) else value, param, ctx)


PATH = UserPath(path_type=Path)


class Number(click.FloatRange):
    """A number in a range, which `nan` is not: no comparison would ever find it too small or too large."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")

config_argument = click.argument("config", type=PATH)

run_option = click.option("--run", type=PATH, help="A run or a model/ folder [default: the newest run].")

set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the config; repeatable."
)

raw_option = click.option(
    "--raw", is_flag=True, help="Write texts unchanged, also those that a spreadsheet would run as formulas."
)

log_option = click.option(
    "--log", "trackers", type=click.Choice(["tensorboard", "mlflow", "wandb"]), multiple=True,
    help="Log parameters, epochs, metrics, report and model in a tracker; repeatable.",
)  # fmt: skip

output_option = click.option(
    "--output", "-o", type=PATH, callback=lambda _context, _option, path: None if path == Path("-") else path,
    help="File to write, or - for stdout [default: stdout].",
)  # fmt: skip

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace a file that exists.")

overwrite_run_option = click.option(
    "--overwrite", is_flag=True, help="Replace an existing run once the new one is complete; your own files in it stay."
)

_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def check_one_format(*, as_json: bool) -> None:
    """Refuse `--json` beside a `--format` that was given: one of them would be ignored.

    Raises:
        click.UsageError: both were given.
    """
    source = click.get_current_context().get_parameter_source("format")
    if as_json and source is not ParameterSource.DEFAULT:
        raise click.UsageError("--json is a format too: leave out one of --json and --format.")


def parse_size(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Parse a size such as 300kB, 1MB or 1.5 MiB into bytes; a callback of click options.

    Raises:
        click.BadParameter: the value is not a size.
    """
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-z]*)", value.strip().lower(), re.ASCII)
    if not match or match[2] not in _BYTES or float(match[1]) == 0:
        raise click.BadParameter(f"{value!r} is no size; write one such as 300kB or 1MB.")
    return int(float(match[1]) * _BYTES[match[2]])


def selected_run(path: Path | None) -> "Run":
    """Return the run at `path`, or else the newest run, and print which one that is."""
    from textclf.io.run_folder import Run
    from textclf.io.staging import newest_run, recover

    if path is not None:
        return recover(Run(path))
    run = newest_run()
    print_stderr(f"using {run.path}, the newest run")
    return run
