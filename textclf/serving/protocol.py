"""HTTP on one connection: uvicorn's, with time limits, half-closed connections, and errors in JSON."""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD_BYTES = 1 << 14

MAX_CONNECTIONS = 500  # below the 1024 files that systems allow a process

IDLE_SECONDS = 60  # a connection is kept open for a further request


class Protocol(H11Protocol):
    """A connection, which is closed where a request takes too long to arrive.

    Without that, a client that sends a byte a minute would keep its connection for ever.
    """

    seconds = 15.0
    """For a request to arrive, from its first byte, or from the connection, to its last."""

    _timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin; refuse where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._answer_and_close(503, "Service Unavailable", "too many connections. Try again.")
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        """Go on with the next request of the connection."""
        super().on_response_complete()
        self._watch()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn's returns None
        """Answer a client that has sent its request and closed its side; return False where nothing is to answer."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._cancel()
        self._cancel_reading()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a client that does not read its answers, for a while."""
        super().pause_writing()
        self._reading_timer = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on where the client has read."""
        super().resume_writing()
        self._cancel_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also where its client has not read the last answer."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.seconds, self.transport.abort)

    def _watch(self) -> None:
        """Start the timer when a request has begun to arrive, and stop it when all of it is there."""
        idle = self.cycle is not None and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        arriving = self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not idle
        if not arriving:
            self._cancel()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._too_slow)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel_reading(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None

    def _too_slow(self) -> None:
        self._timer = None
        message = f"the request did not arrive within {self.seconds:g} seconds."
        self._answer_and_close(408, "Request Timeout", message)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's name
        """Answer bytes that are no HTTP."""
        self._answer_and_close(400, "Bad Request", "this is no valid HTTP request.")

    def _answer_and_close(self, status: int, reason: str, message: str) -> None:
        """Answer in the application's place, unless it has begun to."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_whole_answer(status, reason, message))
        self.transport.close()


def _whole_answer(status: int, reason: str, message: str) -> bytes:
    """Return an answer with its head, for a connection that is closed after it."""
    body = json.dumps({"error": message}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
