"""Work in threads: order, errors, stopping, and that nothing waits for what has not come."""

import threading
from collections.abc import Iterator

import pytest

from textclf.inference.prefetch import prefetch, run_in_thread


def test_values_come_in_order() -> None:
    assert list(prefetch(range(100), limit=2)) == list(range(100))


def test_a_value_does_not_wait_for_the_next() -> None:
    go_on = threading.Event()

    def values() -> Iterator[int]:
        yield 1
        go_on.wait()
        yield 2

    found = prefetch(values(), limit=2)
    assert next(found) == 1
    go_on.set()
    assert list(found) == [2]


def test_an_error_comes_where_the_value_would() -> None:
    def values() -> Iterator[int]:
        yield 1
        raise ValueError("2")

    found = prefetch(values(), limit=2)
    assert next(found) == 1
    with pytest.raises(ValueError, match="2"):
        next(found)


def test_what_nobody_asks_for_any_more_is_not_computed() -> None:
    computed: list[int] = []
    found = prefetch((computed.append(n) for n in range(1000)), limit=2)
    next(found)
    found.close()
    assert len(computed) < 10


def test_a_function_is_begun_and_waited_for() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert run_in_thread(lambda: 7)() == 7
    with pytest.raises(ValueError, match="no"):
        run_in_thread(fail)()
