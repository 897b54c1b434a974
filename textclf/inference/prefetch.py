"""Work done in a thread before its result is asked for."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import Empty, Queue
from threading import Thread
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class _End(NamedTuple):
    error: BaseException | None


def ahead(values: Iterable[T], *, limit: int) -> Iterator[T]:
    """The values in their order, computed in a thread, at most so many before they are asked for.

    A value is given as soon as it is there, whether or not the next one has come. What it raises is raised here.
    """
    found: Queue[T | _End] = Queue(limit)
    asked = [True]

    def compute() -> None:
        error: BaseException | None = None
        try:
            for value in values:
                found.put(value)
                if not asked:
                    return
        except BaseException as raised:
            error = raised
        found.put(_End(error))

    Thread(target=compute, daemon=True).start()  # it may wait for input that never comes
    try:
        while not isinstance(value := found.get(), _End):
            yield value
        if value.error is not None:
            raise value.error
    finally:
        asked.clear()
        _empty(found)


def _empty(queue: Queue[T]) -> None:
    """Makes room, so that a thread that waits for it comes to its end."""
    while True:
        try:
            queue.get_nowait()
        except Empty:
            return


def begin(function: Callable[[], T]) -> Callable[[], T]:
    """Starts the function in a thread; the one given waits for what it gives, or raises what it raised."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result
