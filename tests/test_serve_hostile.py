"""Hostile requests to a real server: each has its status and its message, and the next request is answered."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
from hostile_requests import REQUESTS, Expected, Sent
from serving import REVIEWS, Process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    limits = ["--max-body", "100kB", "--max-texts", "100", "--max-characters", "1000", "--timeout", "1"]
    server = Process("--run", REVIEWS, *limits)
    yield server
    assert server.stop() == (0, ["stopped"])


def answer_to(port: int, sent: Sent) -> bytes:
    """Send bytes and pauses; return what came back until the connection was closed, or a whole answer was there."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(ConnectionError):  # the answer may come before all is sent
            for part in [sent] if isinstance(sent, bytes) else sent:
                if isinstance(part, bytes):
                    connection.sendall(part)
                elif part < 0:
                    connection.shutdown(socket.SHUT_WR)
                else:
                    time.sleep(part)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while not is_whole(received) and (data := connection.recv(1 << 16)):
                received += data
        return received


def is_whole(received: bytes) -> bool:
    head, blank, body = received.partition(b"\r\n\r\n")
    if not blank:
        return False
    return len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


@pytest.mark.parametrize(("sent", "expected"), REQUESTS.values(), ids=REQUESTS)
def test_a_hostile_request_is_answered_and_so_is_the_next(server: Process, sent: Sent, expected: Expected) -> None:
    received = answer_to(server.port, sent)
    head, _, body = received.partition(b"\r\n\r\n")
    if expected is None:
        assert received == b""
    else:
        status, message = expected
        assert head.split()[:2] == [b"HTTP/1.1", str(status).encode()]
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        document = json.loads(body[:length])
        assert message is None or document == {"error": message}
    assert len(server.predict(["a fine film"])) == 1


def test_there_are_a_hundred_of_them() -> None:
    assert len(REQUESTS) >= 100


def test_many_connections_that_say_nothing_do_not_keep_others_out(server: Process) -> None:
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20)) for _ in range(520)
        ]
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if server.get("/v2/health/live").status == 200:
                    break
        assert len(server.predict(["a fine film"])) == 1
        assert connections[-1].recv(1000).startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 408 "))
