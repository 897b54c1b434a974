"""Standard streams that survive their reader, and signals that end a command as an error would."""

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TextIO

import click

from textclf.errors import UserError
from textclf.io.sanitize import visible, visible_lines


class Stopped(BaseException):
    """A signal asked the process to end; raised where the main thread is, so that every block cleans up."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block with Stopped, unless something else is to become of them."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(number)

    main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    names = [name for name in ("SIGTERM", "SIGHUP") if main and hasattr(signal, name)]  # Windows has no SIGHUP
    # one that is ignored, as nohup does, stays so
    caught = [number for number in map(signal.Signals.__getitem__, names) if signal.getsignal(number) == signal.SIG_DFL]
    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def say(*lines: str) -> None:
    """Lines of talk on stderr, whatever they hold; where nobody reads them any more, the work goes on without."""
    try:
        click.echo("\n".join(map(visible, lines)), err=True)
    except OSError:
        _discard(sys.stderr)


def print_pieces(pieces: Iterable[str], *, shown: Callable[[str], str] = visible_lines) -> None:
    """Each piece on stdout at once; ends quietly when the reader, such as `head`, has enough.

    Args:
        shown: makes a piece safe to look at on a terminal.

    Raises:
        UserError: stdout is a file, and the disk is full.
    """
    for piece in map(shown, pieces) if sys.stdout.isatty() else pieces:
        try:
            sys.stdout.write(piece)
            sys.stdout.flush()
        except OSError as error:
            _discard(sys.stdout)
            if error.errno in (errno.EPIPE, errno.EINVAL):  # Windows says EINVAL
                return
            raise UserError(
                f"stdout cannot be written: {error.strerror}. Free space, or choose another place."
            ) from None


def _discard(stream: TextIO) -> None:
    """Lets go what is written to the stream from now on, and what Python still has of it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_streams() -> None:
    """Has stdin, stdout and stderr open, be it on nothing, so that no file takes the place of one that was closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends
