"""The command line: its commands, and how errors and signals become messages and exit codes."""

import atexit
import io
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from textclf import __version__
from textclf.cli.commands import COMMANDS
from textclf.cli.console import StopSignal, open_streams, print_stderr, signals_raise
from textclf.cli.environment import prepare_environment
from textclf.errors import UserError, out_of_memory, says_out_of_memory
from textclf.io.sanitize import printable_lines


@contextmanager
def _sanitized_usage_errors() -> Iterator[None]:
    """Make control characters of an argument visible in click's own messages."""
    try:
        yield
    except click.UsageError as error:
        message = error.format_message()
        if printable_lines(message) == message:
            raise
        raise click.UsageError(printable_lines(message), error.ctx) from None


class CommandGroup(click.Group):
    """The commands, in their order; errors exit with 1, signals with the shell's code, 128 + signal."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _sanitized_usage_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            with signals_raise(), _sanitized_usage_errors():
                return super().invoke(context)
        except UserError as error:
            lines, code = error.lines, 1
        except KeyboardInterrupt:
            lines, code = ("", "stopped by Ctrl-C"), 128 + signal.SIGINT  # a terminal shows ^C on the line above
        except StopSignal as stop:
            lines, code = (str(stop),), 128 + stop.number
        except Exception as error:  # each library has errors of its own for a lack of memory
            if says_out_of_memory(error):
                lines, code = out_of_memory(error).lines, 1
            elif isinstance(error, OSError):
                # such as a folder without permission: the system says what is wrong and where
                lines = (f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}.",)
                code = 1
            else:
                raise
        print_stderr(*lines)
        return context.exit(code)

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)


class StderrHandler(logging.Handler):
    """A handler that prints log records as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        print_stderr(prefix + record.getMessage())


@click.group(
    cls=CommandGroup, commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip
@click.version_option(__version__, prog_name="textclf")
def main() -> None:
    """From a CSV of texts and labels to a small text classifier that can be trusted and shipped."""
    prepare_environment()
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # in any locale: labels may be in any script
    logger = logging.getLogger("textclf")
    logger.handlers = [StderrHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # matplotlib warns of a home without room for its cache, which does not keep it from drawing
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def run() -> None:
    """Run the command of the arguments, and end the process with its exit code."""
    exit_codes: list[int] = []
    # what is registered first runs last; beside logging, which is done by then, a profiler may have been before
    if atexit._ncallbacks() == 1:
        atexit.register(_end_at_once, exit_codes)
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            exit_codes.append(end.code)
        raise


def _end_at_once(exit_codes: list[int]) -> None:
    """End the process without taking its modules apart, which would be a sixth of predicting one line.

    Not where TensorFlow runs, which tells other workers that it leaves, nor after an error that Python shows itself.
    """
    if exit_codes and "tensorflow" not in sys.modules:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                return  # Python tells of it
        os._exit(exit_codes[0])
