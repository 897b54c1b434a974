"""Results from threads: order, errors, stopping, and no waiting for a later value."""

import threading
from collections.abc import Iterator

import pytest

from textclf.inference.prefetch import prefetch, run_in_thread


def test_values_come_in_order() -> None:
    assert list(prefetch(range(100), limit=2)) == list(range(100))


def test_a_value_does_not_wait_for_the_next() -> None:
    second_may_come = threading.Event()

    def values() -> Iterator[int]:
        yield 1
        second_may_come.wait()
        yield 2

    prefetched = prefetch(values(), limit=2)
    assert next(prefetched) == 1
    second_may_come.set()
    assert list(prefetched) == [2]


def test_an_error_comes_where_the_value_would() -> None:
    def values() -> Iterator[int]:
        yield 1
        raise ValueError("2")

    prefetched = prefetch(values(), limit=2)
    assert next(prefetched) == 1
    with pytest.raises(ValueError, match="2"):
        next(prefetched)


def test_no_more_is_computed_once_the_iterator_is_closed() -> None:
    computed: list[int] = []
    prefetched = prefetch((computed.append(number) for number in range(1000)), limit=2)
    next(prefetched)
    prefetched.close()
    assert len(computed) < 10


def test_a_function_in_a_thread_returns_or_raises() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert run_in_thread(lambda: 7)() == 7
    with pytest.raises(ValueError, match="no"):
        run_in_thread(fail)()
