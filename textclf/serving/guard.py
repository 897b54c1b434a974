"""The middleware around all routes: it checks host and token, adds headers, counts requests and answers errors."""

import asyncio
import base64
import binascii
import hmac
import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textclf.errors import UserError, says_out_of_memory
from textclf.serving.bodies import Limits
from textclf.serving.counters import Counters

logger = logging.getLogger(__name__)

OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
"""Paths that need no token: probes of orchestrators have none, and learn nothing here."""

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

UNKNOWN_PATH = "other"  # in the counts: what strangers ask for must not become a label each

FRAMES = 6  # the last ones, of a bug

CLOSED = 499  # counted for a client that went before its answer; nginx's number


@dataclass
class Settings:
    """The settings of the server."""

    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    hosts: Sequence[str] = ()
    """Names in the Host header that are answered to; empty: all."""
    origins: Sequence[str] = ()
    """Other sites whose scripts may read the answers."""
    ready: bool = True
    """False once the server was told to stop."""


def error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer that says what is wrong with a request."""
    return JSONResponse({"error": message}, status, headers)


class Guard:
    """The middleware around all routes."""

    def __init__(self, app: ASGIApp, settings: Settings, counters: Counters):
        self._app = app
        self._settings = settings
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
                if not self._settings.ready:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            app = self._refusal(scope) or self._app
            await app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = CLOSED
        except asyncio.CancelledError:  # the server has waited long enough
            if not status:
                await error(503, "the server stops, and the answer took too long.")(scope, receive, send_with_headers)
        except Exception as problem:  # whatever it is, the server must go on; the answer was `unexpected`
            _log(problem)
        finally:
            path = getattr(scope.get("route"), "path", UNKNOWN_PATH)
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else UNKNOWN_PATH
            self._counters.count_request(path, method, status or CLOSED, time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that no route may see; None: it may pass."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"content-length" in headers and b"transfer-encoding" in headers:
            # two programs could differ on where such a request ends
            message = "the request has content-length and transfer-encoding; send one of them."
            return error(400, message, {"connection": "close"})
        if scope["http_version"] not in ("1.0", "1.1"):
            return error(400, "this server speaks HTTP/1.1.", {"connection": "close"})
        host = host_name(headers.get(b"host", b"").decode("latin-1"))
        hosts = self._settings.hosts
        if hosts and host and host not in hosts:  # without a name it is no browser
            return error(421, f"host {host!r:.80}: this server answers to {', '.join(hosts)}. Others: --allow-host.")
        if self._settings.token is None or scope["path"] in OPEN_PATHS:
            return None
        credentials = headers.get(b"authorization")
        if credentials is None:
            return _unauthorized("this server needs a token: 'Authorization: Bearer TOKEN'.")
        if not hmac.compare_digest(given_token(credentials), self._settings.token.encode()):
            return _unauthorized("the token is not this server's.")
        return None


def host_name(header: str) -> str:
    """Return the name in a Host header, without its port."""
    name = header.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0].removeprefix("[")
    return name.partition(":")[0].removesuffix(".")


def given_token(credentials: bytes) -> bytes:
    """Return the token of an Authorization header; empty where it holds none.

    It is that of Bearer, or the password of Basic, for which browsers ask; the user's name may be any.
    """
    scheme, _, value = credentials.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _unauthorized(message: str) -> Response:
    answer = error(401, message)
    answer.headers.append("www-authenticate", "Bearer")
    answer.headers.append("www-authenticate", 'Basic realm="textclf", charset="UTF-8"')
    return answer


async def unexpected(_request: Request, problem: Exception) -> Response:
    """Return the answer to a request that failed."""
    if says_out_of_memory(problem):
        return error(503, "the server is out of memory; send less at once.", {"retry-after": "1"})
    if isinstance(problem, UserError):
        return error(500, "the model computes no probabilities; the server's stderr says more.")
    return error(500, "a bug of textclf; the server's stderr says where.")


def _log(problem: Exception) -> None:
    """Say on stderr why a request failed; never what was in it."""
    if says_out_of_memory(problem):
        logger.error("out of memory while a request was answered")
    elif isinstance(problem, UserError):
        logger.error("%s", problem)
    else:  # without its message, which may hold a part of a text
        frames = traceback.extract_tb(problem.__traceback__)[-FRAMES:]
        where = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        logger.error("a request failed with %s, a bug of textclf, at %s", type(problem).__name__, where)
