"""The command line: its commands, how their errors and signals end, and what is said on stderr meanwhile."""

import io
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from textclf import __version__
from textclf.cli import commands
from textclf.cli.console import Stopped, open_streams, say, stoppable
from textclf.errors import UserError
from textclf.io.sanitize import visible_lines


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


COMMANDS = (
    commands.init,
    commands.check,
    commands.train,
    commands.tune,
    commands.evaluate,
    commands.compare,
    commands.predict,
    commands.explain,
    commands.report,
    commands.export,
    commands.compress,
    commands.schema,
)
"""In the order in which they are used."""

for _command in COMMANDS:
    main.add_command(_command)
