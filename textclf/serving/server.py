"""The server's process: the socket, the signals, and the end."""

import asyncio
import contextlib
import ipaddress
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from textclf.errors import UserError
from textclf.serving.app import create_app
from textclf.serving.counters import Counters
from textclf.serving.guard import Settings, host_name
from textclf.serving.models import Models
from textclf.serving.protocol import IDLE_SECONDS, MAX_HEAD_BYTES, Protocol

LAST_CALL = 0.5  # seconds in which a server that was told to stop still takes requests, while it says it is not ready

GRACE = 6  # seconds for what is under way; with all else the process ends within 10

BACKLOG = 512  # connections that are not accepted yet

MIN_TOKEN = 16  # characters


def is_loopback(host: str) -> bool:
    """Return True for a host that only this machine can reach."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host_name(name: str) -> str:
    """Return the name of a further host as requests name it.

    Raises:
        UserError: it holds more than a name, so that no request would match it.
    """
    if host_name(f"[{name}]" if name.count(":") > 1 else name) != name.lower() or set(name) & set("/ *"):
        raise UserError(
            f"--allow-host {name}: write the name alone, such as models.example.com, without scheme or port."
        )
    return name.lower()


def check_origin(origin: str) -> str:
    """Return the origin of a site, or `*`.

    Raises:
        UserError: it is not as browsers write it, so that no request would match it.
    """
    if origin != "*" and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", origin):
        raise UserError(
            f"--allow-origin {origin}: write it as browsers do, such as https://example.com, in small letters and "
            "without a path or slash at the end."
        )
    return origin


def check_token(token: str | None) -> str | None:
    """Return the token.

    Raises:
        UserError: it is too short to be secret, or cannot be sent in a header.
    """
    if token is None:
        return None
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"TEXTCLF_TOKEN needs {MIN_TOKEN} characters at least, of ASCII and without blanks; "
            "`openssl rand -hex 16` gives such a one."
        )
    return token


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host and port.

    Raises:
        UserError: it cannot be.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"--host {host}: {error.strerror}. Name an address of this machine; 0.0.0.0 is all.") from None
    opened = socket.socket(family, kind, protocol)
    if sys.platform != "win32":  # there it would let two servers have the port
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(address)
        opened.listen(BACKLOG)  # who connects before the server has begun waits
    except OSError as error:
        opened.close()
        raise UserError(
            f"port {port} of {host} cannot be used: {error.strerror}. Choose another with --port; 0 is any free one."
        ) from None
    return opened


def url_of(opened: socket.socket) -> str:
    """Return the URL of a socket."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server, which says that it is not ready before it stops, and ends with 0 where a signal stops it."""

    def __init__(
        self, config: uvicorn.Config, settings: Settings, reload_all: asyncio.Event,
        started: "Callable[[Server], None]",
    ):  # fmt: skip
        super().__init__(config)
        self._settings = settings
        self._reload_all = reload_all
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests; signals are handled already."""
        await super().startup(sockets)
        self._started(self)

    def stop(self) -> None:
        """Begin to stop; the second time at once."""
        if not self._settings.ready:
            self.force_exit = self.should_exit = True
            return
        self._settings.ready = False
        asyncio.get_running_loop().call_later(LAST_CALL, setattr, self, "should_exit", True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the block, where this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        actions: dict[str, Callable[[], None]] = {
            "SIGINT": self.stop, "SIGTERM": self.stop, "SIGBREAK": self.stop, "SIGHUP": self._reload_all.set
        }  # fmt: skip
        before = {}
        for name, action in actions.items():
            if hasattr(signal, name):  # Windows has no SIGHUP, others no SIGBREAK

                def handle(_number: int, _frame: FrameType | None, action: Callable[[], None] = action) -> None:
                    loop.call_soon_threadsafe(action)

                before[getattr(signal, name)] = signal.signal(getattr(signal, name), handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(
    models: Models, settings: Settings, counters: Counters, opened: socket.socket, *,
    started: Callable[[Server], None] = lambda _server: None,
) -> bool:  # fmt: skip
    """Serve until a signal comes; return False if a thread still computes, which nothing can stop.

    Args:
        started: called with the server once it takes requests.
    """

    async def run() -> bool:
        reload_all = asyncio.Event()
        server = Server(_config(models, settings, counters), settings, reload_all, started)
        watching = asyncio.create_task(models.watch(reload_all))
        try:
            await server.serve([opened])
        finally:
            watching.cancel()
        return not counters.computing

    return asyncio.run(run())


def _config(models: Models, settings: Settings, counters: Counters) -> uvicorn.Config:
    protocol = type("Protocol", (Protocol,), {"seconds": settings.limits.seconds})
    return uvicorn.Config(
        create_app(models, settings, counters),
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE,
    )
