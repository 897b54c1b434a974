"""Servers of the tests: `textclf serve` in a thread or in a process of its own, and requests to it."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from conftest import ROOT, obey_signals

from textclf.io.run_folder import Run
from textclf.serving.counters import Counters
from textclf.serving.guard import Settings
from textclf.serving.models import Models
from textclf.serving.server import Server, open_socket, serve

FROZEN = ROOT / "tests" / "frozen" / "format_4"
REVIEWS, TOPICS = FROZEN / "reviews", FROZEN / "topics"
JSON = {"content-type": "application/json"}


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """The status and the message; there is nothing else in the body."""
        (message,) = self.json.values()
        assert self.json == {"error": message}
        return self.status, message


class Client:
    """A client of a server on this machine."""

    def __init__(self, port: int):
        self.port = port

    def get(self, path: str, headers: Mapping[str, str] = {}, *, method: str = "GET") -> Answer:
        return self._request(method, path, None, headers)

    def post(self, path: str, document: Any, headers: Mapping[str, str] = {}) -> Answer:
        """Send a document, or bytes as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self._request("POST", path, body, {**JSON, **headers})

    def predict(self, texts: Sequence[str], query: str = "", **more: Any) -> Any:
        """Return the predictions of texts."""
        answer = self.post(f"/predict{query}", {"texts": texts, **more})
        assert answer.status == 200, answer.body
        return answer.json["predictions"]

    def _request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())


@contextlib.contextmanager
def serving(*runs: Path, **settings: Any) -> Iterator[Client]:
    """Serve runs in a thread."""
    counters = Counters()
    models = Models([*map(Run, runs)], reloaded=counters.count_reload)
    opened, begun, stops = open_socket("127.0.0.1", 0), threading.Event(), []

    def started(server: Server) -> None:
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(server.stop))
        begun.set()

    port = opened.getsockname()[1]
    arguments = (models, Settings(**settings), counters, opened)
    thread = threading.Thread(target=serve, args=arguments, kwargs={"started": started})
    thread.start()
    try:
        assert begun.wait(30)
        yield Client(port)
    finally:
        stops[0]()
        thread.join(30)
        assert not thread.is_alive()


class Process(Client):
    """A server in a process of its own."""

    def __init__(self, *arguments: str | Path, environment: Mapping[str, str] = {}):
        command = [sys.executable, "-W", "error", "-m", "textclf", "serve", "--port", "0", *map(str, arguments)]
        obey = {} if os.name == "nt" else {"preexec_fn": obey_signals}
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, **obey,
        )  # fmt: skip
        self.first_line = self.process.stderr.readline()
        match = re.search(r":(\d+) \(", self.first_line)
        assert match, self.first_line
        super().__init__(int(match[1]))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, list[str]]:
        """End it by a signal; return its exit code and the further lines on stderr."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stderr.splitlines()
