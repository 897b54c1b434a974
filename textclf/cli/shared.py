"""What the commands share: options, the run that is meant, and how results are printed."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from textclf.cli.console import print_pieces, say
from textclf.io.sanitize import visible, visible_json, visible_lines

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")

config_argument = click.argument("config", type=click.Path(path_type=Path))

run_option = click.option(
    "--run", type=click.Path(path_type=Path), help="A run or a model/ folder [default: the newest run]."
)

set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the config; repeatable."
)

raw_option = click.option("--raw", is_flag=True, help="Write as they stand the texts that a spreadsheet would compute.")


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def size_option(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """The number of bytes that an option such as 300kB, 1MB or 1.5 MiB says.

    Raises:
        click.BadParameter: it says none.
    """
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-z]*)", value.strip().lower(), re.ASCII)
    if not found or found[2] not in _UNITS or float(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no size; write one such as 300kB or 1MB.")
    return int(float(found[1]) * _UNITS[found[2]])


def chosen_run(path: Path | None) -> Any:
    """The run that was named, or the newest, which is said."""
    from textclf.io.run_folder import Run
    from textclf.io.staging import newest_run, recover

    if path is not None:
        return recover(Run(path))
    run = newest_run()
    say(f"using {run.path}, the newest run")
    return run


Document = TypeVar("Document", bound=Mapping[str, Any])


def show(document: Document, as_json: bool, table: Callable[[Document], list[str]]) -> None:
    """Prints a result: as a table made safe to look at, or as JSON."""
    if as_json:
        print_json(document)
    else:
        print_pieces(f"{visible(line)}\n" for line in table(document))


def print_json(document: Mapping[str, Any]) -> None:
    """Prints a result as one JSON document."""
    print_pieces([visible_json(json.dumps(document, indent=1, ensure_ascii=False)), "\n"])


def write(pieces: Iterable[str], output: Path | None, *, shown: Callable[[str], str] = visible_lines) -> None:
    """To a file, or to stdout as they come; on a terminal as `shown` makes them safe to look at."""
    if output is None:
        print_pieces(pieces, shown=shown)
        return
    from textclf.io.files import write_pieces

    write_pieces(output, pieces)
