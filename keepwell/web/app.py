"""What the application of every HTTP service begins with: health pages, problems, and requests counted and timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepwell.metrics import HTTP_REQUESTS, HTTP_SECONDS
from keepwell.streams.worker.process import Check
from keepwell.web.health import answer, metrics_page
from keepwell.web.problems import answer_with_problems

BODY_SECONDS: Final = 30.0
"""A body that takes longer is given up (408): 4 MiB in 30 s is 1.1 Mbit/s, less than any clinic's line."""

_log = structlog.get_logger(__name__)


def make_app(
    service: str, title: str, live: Callable[[], Check], ready: Callable[[], Check], *, told: Mapping[str, str]
) -> FastAPI:
    """An application without routes of its own yet. `service` is its label in metrics.

    `told` names the line that the log gets for each request to a path; paths with a pseudonym in them do not belong there. A
    route names the clinic of the line as `request.state.clinic`.
    """
    app = FastAPI(title=title, version="1", docs_url=None, redoc_url=None)
    app.get("/livez", openapi_extra=_health("live", "Does the process work? If not, start it anew."))(_page(live))
    app.get("/readyz", openapi_extra=_health("ready", "Does the service do its share? If not, send no requests here."))(
        _page(ready)
    )
    app.get("/metrics", openapi_extra=_METRICS)(_metrics)
    answer_with_problems(app)
    app.add_middleware(_Watched, service, told)
    return app


async def body_of(request: Request, most: int) -> bytes:
    """The body of a request, of at most so many bytes. Raises `HTTPException` 413 or 408."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise HTTPException(413, f"The body is larger than {most} bytes; send less at a time.")
    except TimeoutError as error:
        raise HTTPException(408, f"The body did not arrive within {BODY_SECONDS:g} s.") from error
    return bytes(body)


class _Watched:
    """Counts and times every request, and writes one line for each to a told path: never its body, nor a pseudonym."""

    def __init__(self, app: ASGIApp, service: str, told: Mapping[str, str]) -> None:
        self._app = app
        self._service = service
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        answered: float | None = None  # a stream's answer begins soon and ends hours later

        async def watched(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], time.perf_counter()
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            seconds = (answered or time.perf_counter()) - began
            HTTP_REQUESTS.labels(self._service, str(status)).inc()
            HTTP_SECONDS.labels(self._service).observe(seconds)
            if line := self._told.get(scope["path"]):
                clinic = scope.get("state", {}).get("clinic")
                _log.info(line, status=status, clinic=clinic, milliseconds=round(1000 * seconds, 1))


def _page(check: Callable[[], Check]) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:  # it only looks: a thread of its own would outlive the server by a moment
        status, body = answer(check())
        return Response(body, status, media_type="application/json")

    return page


def _metrics() -> Response:
    kind, body = metrics_page()
    return Response(body, media_type=kind)


def _health(operation: str, question: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "why": {"type": "string"}},
        "required": ["ok", "why"],
    }
    content = {"application/json": {"schema": schema, "example": {"ok": True, "why": "12 partitions"}}}
    said = {"200": {"description": "Yes.", "content": content}, "503": {"description": "No.", "content": content}}
    return {"operationId": operation, "summary": question, "responses": said}


_METRICS: Final = {
    "operationId": "metrics",
    "summary": "Metrics in the text format of Prometheus",
    "responses": {"200": {"content": {"text/plain": {"schema": {"type": "string"}}}}},
}
