"""Standard streams: results on stdout, messages on stderr, and signals as exceptions."""

import contextlib
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TextIO, TypeVar

import click

from textclf.errors import UserError
from textclf.io.sanitize import printable, printable_json, printable_lines

Document = TypeVar("Document", bound=Mapping[str, object])


class StopSignal(BaseException):
    """A signal to end the process, raised in the main thread so that `finally` blocks run.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Raise StopSignal in the block on SIGTERM and SIGHUP, unless they are ignored or handled already."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise StopSignal(number)

    in_main_thread = threading.current_thread() is threading.main_thread()  # no other may set handlers
    names = [name for name in ("SIGTERM", "SIGHUP") if in_main_thread and hasattr(signal, name)]  # Windows: no SIGHUP
    signals = [signal.Signals[name] for name in names]
    signals = [item for item in signals if signal.getsignal(item) == signal.SIG_DFL]  # nohup ignores SIGHUP
    for stop_signal in signals:
        signal.signal(stop_signal, stop)
    try:
        yield
    finally:
        for stop_signal in signals:
            signal.signal(stop_signal, signal.SIG_DFL)


def print_stderr(*lines: str) -> None:
    """Print messages on stderr, control characters made visible; a closed stderr does not stop the command."""
    try:
        click.echo("\n".join(map(printable, lines)), err=True)
    except OSError:
        _redirect_to_null(sys.stderr)


def print_stdout(chunks: Iterable[str], *, sanitize: Callable[[str], str] = printable_lines) -> None:
    """Print each chunk on stdout at once; stop quietly when the reader, such as `head`, has closed it.

    Args:
        sanitize: makes a chunk safe to show; used where stdout is a terminal.

    Raises:
        UserError: stdout is a file, and the disk is full.
    """
    for chunk in map(sanitize, chunks) if sys.stdout.isatty() else chunks:
        try:
            sys.stdout.write(chunk)
            sys.stdout.flush()
        except OSError as error:
            _redirect_to_null(sys.stdout)
            if error.errno in (errno.EPIPE, errno.EINVAL):  # Windows says EINVAL
                return
            raise UserError(
                f"stdout cannot be written: {error.strerror}. Free space, or choose another place."
            ) from None


def write_output(
    chunks: Iterable[str], path: Path | None, *, overwrite: bool, sanitize: Callable[[str], str] = printable_lines
) -> None:
    """Write the chunks to a file, or print them on stdout where `path` is None.

    Args:
        overwrite: replace a file that exists.
        sanitize: as for `print_stdout`.
    """
    if path is None:
        print_stdout(chunks, sanitize=sanitize)
        return
    from textclf.io.files import write_pieces

    write_pieces(path, chunks, overwrite=overwrite)


def print_json(result: Mapping[str, object] | None) -> None:
    """Print a result as one JSON document."""
    print_stdout([printable_json(json.dumps(result, indent=1, ensure_ascii=False)), "\n"])


def print_result(result: Document, table: Callable[[Document], list[str]], *, as_json: bool) -> None:
    """Print a result as JSON, or as the lines that `table` returns."""
    if as_json:
        print_json(result)
    else:
        print_stdout(f"{printable(line)}\n" for line in table(result))


def open_streams() -> None:
    """Open closed standard streams on the null device, so that no other file gets their descriptor."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends


def _redirect_to_null(stream: TextIO) -> None:
    """Send what is written to a stream, and what Python still buffers of it, to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
