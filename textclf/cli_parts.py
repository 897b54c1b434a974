"""What the commands share: options, the run that is meant, and how results are printed."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from textclf.console import print_pieces, say
from textclf.visible import visible, visible_json, visible_lines

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
config_argument = click.argument("config", type=click.Path(path_type=Path))
run_option = click.option(
    "--run", type=click.Path(path_type=Path), help="A run or a model/ folder [default: the newest run]."
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the config; repeatable."
)
raw_option = click.option("--raw", is_flag=True, help="Write as they stand the texts that a spreadsheet would compute.")


def chosen_run(path: Path | None) -> Any:
    """The run that was named, or the newest, which is said."""
    from textclf.run import Run
    from textclf.stage import newest_run, recover

    if path is not None:
        return recover(Run(path))
    run = newest_run()
    say(f"using {run.path}, the newest run")
    return run


def show(document: dict[str, Any], as_json: bool, table: Callable[[dict[str, Any]], list[str]]) -> None:
    """Prints a result: as a table made safe to look at, or as JSON."""
    if as_json:
        print_json(document)
    else:
        print_pieces(f"{visible(line)}\n" for line in table(document))


def print_json(document: dict[str, Any]) -> None:
    """Prints a result as one JSON document."""
    print_pieces([visible_json(json.dumps(document, indent=1, ensure_ascii=False)), "\n"])


def write(pieces: Iterable[str], output: Path | None, *, shown: Callable[[str], str] = visible_lines) -> None:
    """To a file, or to stdout as they come; on a terminal as `shown` makes them safe to look at."""
    if output is None:
        print_pieces(pieces, shown=shown)
        return
    from textclf.run import write_pieces

    write_pieces(output, pieces)
