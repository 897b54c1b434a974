"""Results computed ahead of time in a thread."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import Empty, Queue
from threading import Event, Thread
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class _End(NamedTuple):
    error: BaseException | None


def prefetch(values: Iterable[T], *, limit: int) -> Iterator[T]:
    """Yield the values in order while a thread computes up to `limit` of the next ones.

    A value is yielded as soon as it is computed, without waiting for the next. An error in the thread is raised
    here. Once the iterator is closed, no further values are computed.
    """
    queue: Queue[T | _End] = Queue(limit)
    closed = Event()

    def compute() -> None:
        error: BaseException | None = None
        try:
            for value in values:
                queue.put(value)
                if closed.is_set():
                    return
        except BaseException as raised:
            error = raised
        queue.put(_End(error))

    Thread(target=compute, daemon=True).start()  # it may wait forever for input
    try:
        while not isinstance(value := queue.get(), _End):
            yield value
        if value.error is not None:
            raise value.error
    finally:
        closed.set()
        _empty(queue)


def _empty(queue: Queue[T]) -> None:
    """Empty the queue, so that a thread that waits for room in it can end."""
    while True:
        try:
            queue.get_nowait()
        except Empty:
            return


def run_in_thread(function: Callable[[], T]) -> Callable[[], T]:
    """Start a function in a thread; return a function that waits and returns what it returned, or raises its error."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result
