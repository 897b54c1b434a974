"""The routes of the server: predictions, the open inference protocol, counts, and the page."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from textclf.inference.json_fields import InvalidField
from textclf.io.processors import usable_processors
from textclf.serving.answers import answer_infer, answer_predict, describe_model, describe_server
from textclf.serving.bodies import TooMuch, parse_infer, parse_predict
from textclf.serving.counters import CONTENT_TYPE, Counters
from textclf.serving.guard import Guard, Settings, error, unexpected
from textclf.serving.models import Models, ServedModel

T = TypeVar("T")

FILES = Path(__file__).parent / "page"

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"
"""A report is one file with its styles in it. It runs no script, whoever wrote it."""

DRAINED = 4  # bodies of the largest size: so much of a larger one is read, so that its sender sees the answer


def create_app(models: Models, settings: Settings, counters: Counters) -> ASGIApp:
    """Return the application that serves the models."""
    endpoints = Endpoints(models, settings, counters)
    app = Starlette(routes=endpoints.routes(), exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    guarded = Guard(app, settings, counters)
    if not settings.origins:
        return guarded
    return CORSMiddleware(
        guarded, allow_origins=[*settings.origins], allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type"],
    )  # fmt: skip


class Endpoints:
    """The functions behind the routes."""

    def __init__(self, models: Models, settings: Settings, counters: Counters):
        self._models = models
        self._settings = settings
        self._limits = settings.limits
        self._counters = counters
        self._predicting = ThreadPoolExecutor(usable_processors(), "predict")
        self._explaining = ThreadPoolExecutor(1, "explain")  # slow, and must not keep predictions waiting

    def routes(self) -> list[Route]:
        """Return all routes, those that are used most first."""
        files = {
            "/": ("page.html", "text/html; charset=utf-8"),
            "/page.js": ("page.js", "text/javascript; charset=utf-8"),
            "/page.css": ("page.css", "text/css; charset=utf-8"),
            "/icon.svg": ("icon.svg", "image/svg+xml"),
            "/openapi.json": ("openapi.json", "application/json"),
        }
        return [
            Route("/predict", self.predict, methods=["POST"]),
            Route("/v2/models/{name}/infer", self.infer, methods=["POST"]),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/models/{name}", self.model),
            Route("/v2/models/{name}/ready", self.model_ready),
            Route("/v2", self.server),
            Route("/models", self.models),
            Route("/metrics", self.metrics),
            Route("/report", self.report),
            *(Route(path, _file(name, content_type)) for path, (name, content_type) in files.items()),
        ]

    async def predict(self, request: Request) -> Response:
        """Answer POST /predict."""
        model = self._find(request.query_params.get("model"))
        async with self._at_once():
            parsed = parse_predict(await self._read_body(request), self._limits)
            pool = self._explaining if parsed.explain else self._predicting
            body = await self._run(pool, lambda: _dump(answer_predict(model.classifier, model.name, parsed)))
        self._counters.count_texts(model.name, len(parsed.texts), explained=parsed.explain)
        return Response(body, media_type="application/json")

    async def infer(self, request: Request) -> Response:
        """Answer POST /v2/models/NAME/infer."""
        model = self._find(request.path_params["name"])
        async with self._at_once():
            parsed = parse_infer(await self._read_body(request), self._limits)
            body = await self._run(
                self._predicting, lambda: _dump(answer_infer(model.classifier, model.name, parsed, model.version))
            )
        self._counters.count_texts(model.name, len(parsed.texts), explained=False)
        return Response(body, media_type="application/json")

    async def live(self, _request: Request) -> Response:
        """Say that the server answers."""
        return JSONResponse({"live": True})

    async def ready(self, _request: Request) -> Response:
        """Say whether the server takes requests."""
        return JSONResponse({"ready": self._settings.ready}, 200 if self._settings.ready else 503)

    async def model(self, request: Request) -> Response:
        """Describe a model by the open inference protocol."""
        model = self._find(request.path_params["name"])
        return JSONResponse(describe_model(model.classifier, model.name, model.version))

    async def model_ready(self, request: Request) -> Response:
        """Say whether a model takes requests."""
        name = self._find(request.path_params["name"]).name
        return JSONResponse({"name": name, "ready": self._settings.ready}, 200 if self._settings.ready else 503)

    async def server(self, _request: Request) -> Response:
        """Describe the server by the open inference protocol."""
        return JSONResponse(describe_server())

    async def models(self, _request: Request) -> Response:
        """List the models and the limits, as the page needs them."""
        limits = self._limits
        return JSONResponse(
            {
                "models": [_summary(self._find(name)) for name in self._models.names],
                "limits": {"body": limits.body, "texts": limits.texts, "characters": limits.characters},
            }
        )

    async def metrics(self, _request: Request) -> Response:
        """Give the counts to Prometheus."""
        found = [self._find(name) for name in self._models.names]
        loaded = [(model.name, model.version, model.loaded) for model in found]
        text = self._counters.text(loaded, ready=self._settings.ready)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def report(self, request: Request) -> Response:
        """Give the report of a run."""
        model = self._find(request.query_params.get("model"))
        if model.report is None:
            raise HTTPException(404, f"model {model.name} has no report: it is a bare model/ folder, not a run.")
        headers = {"content-security-policy": REPORT_POLICY, "cache-control": "no-cache"}
        return Response(model.report, headers=headers, media_type="text/html")

    def _find(self, name: str | None) -> ServedModel:
        """Return a model; without a name the first.

        Raises:
            HTTPException: there is none of this name.
        """
        names = self._models.names
        model = self._models.get(names[0] if name is None else name)
        if model is None:
            raise HTTPException(404, f"no model {name!r:.80}; there are: {', '.join(names)}.")
        return model

    @asynccontextmanager
    async def _at_once(self) -> AsyncIterator[None]:
        """Count a request while it is answered.

        Raises:
            HTTPException: too many are under way.
        """
        if self._counters.under_way >= self._limits.at_once:
            message = f"{self._limits.at_once} requests are under way, the most at once. Try again."
            raise HTTPException(429, message, {"retry-after": "1"})
        self._counters.under_way += 1
        try:
            yield
        finally:
            self._counters.under_way -= 1

    async def _run(self, pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        """Return what a function returns that runs in a thread."""
        future = pool.submit(function)
        self._counters.computing.add(future)
        future.add_done_callback(self._counters.computing.discard)
        return await asyncio.wrap_future(future)

    async def _read_body(self, request: Request) -> bytes:
        """Return the body of a request for predictions.

        Raises:
            HTTPException: it is no JSON, or too large.
        """
        _check_head(request)
        chunks: list[bytes] = []
        size, limit = 0, self._limits.body
        declared = int(request.headers.get("content-length", 0))
        if declared > limit and (declared > DRAINED * limit or "expect" in request.headers):
            raise _too_large(limit)
        async for chunk in request.stream():  # a slow one is ended by the protocol
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            elif size > DRAINED * limit:
                break
        if size > limit:
            raise _too_large(limit)
        return b"".join(chunks)


def _too_large(limit: int) -> HTTPException:
    # the connection is closed, or the rest of the body would be read first
    message = f"the body has more than {limit:,} bytes, the most that are read."
    return HTTPException(413, message, {"connection": "close"})


def _check_head(request: Request) -> None:
    """Refuse a request whose body is no plain JSON.

    A page of another site may send other kinds without asking; for JSON a browser asks first.

    Raises:
        HTTPException: it is another kind.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"content-type is {kind!r:.80}, need application/json.")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HTTPException(415, f"content-encoding is {encoding!r:.80}; send the JSON as it is.")


def _dump(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _summary(model: ServedModel) -> dict[str, Any]:
    description = model.classifier.description
    return {
        "name": model.name,
        "version": model.version,
        "labels": model.classifier.labels,
        "label_separator": description.label_separator,
        "columns": description.columns,
        "report": model.report is not None,
    }


def _file(name: str, content_type: str) -> Callable[[Request], Any]:
    content = (FILES / name).read_bytes()
    headers = {"content-type": content_type, "content-security-policy": PAGE_POLICY, "cache-control": "no-cache"}

    async def give(_request: Request) -> Response:
        return Response(content, headers=headers)

    return give


# Errors


async def _http_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    headers, message, path = dict(problem.headers or {}), problem.detail, request.scope["path"]
    if problem.status_code == 405:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))  # from a set
        message = f"{request.method:.20} is not for {path!r:.80}; it takes {headers['Allow']}."
    elif problem.status_code == 404 and message == "Not Found":
        message = f"nothing is at {path!r:.80}; /openapi.json says what there is."
    return error(problem.status_code, message, headers)


async def _invalid(_request: Request, problem: Exception) -> Response:
    return error(400, f"{problem}.")


async def _too_much(_request: Request, problem: Exception) -> Response:
    return error(413, f"{problem}.")


HANDLERS: dict[Any, Any] = {
    HTTPException: _http_error, InvalidField: _invalid, TooMuch: _too_much, Exception: unexpected
}  # fmt: skip
