"""The HTTP intake: `POST /v1/events` into `session-events`, and the health pages. Answers; decides nothing."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepwell.contract.decode import KnownScales
from keepwell.metrics import HTTP_EVENTS, HTTP_REQUESTS, HTTP_SECONDS
from keepwell.streams.log import Doubt, Log, LogError
from keepwell.streams.worker.process import Check
from keepwell.web.health import answer, metrics_page
from keepwell.web.keys import Key, Keyring
from keepwell.web.limits import RateLimit
from services.ingest import openapi
from services.ingest.intake import Item, Judged, Result, Unreadable, Unsupported, judge, split
from services.ingest.settings import IngestSettings
from services.ingest.writer import Writer

EVENTS: Final = "/v1/events"
SERVICE: Final = "ingest"
BODY_SECONDS: Final = 30.0
"""A body that takes longer is given up (408): 4 MiB in 30 s is 1.1 Mbit/s, less than any clinic's line."""

RETRY_SECONDS: Final = 5
"""`Retry-After` while the log does not accept: a broker is back in seconds (KAFKA.md F11)."""

_FOREIGN: Final = "foreign_source"
_log = structlog.get_logger(__name__)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as RFC 9457 has it (`application/problem+json`); `results` where each event was refused for itself."""

    title: str
    status: int
    detail: str
    results: Sequence[Result] | None = None


class Answer(msgspec.Struct, frozen=True):
    """What became of the events of a request, in its order."""

    results: Sequence[Result]


class Intake(NamedTuple):
    """What the intake needs from outside. `topic` is the full name of `session-events`; `now` the wall clock; `live` and
    `ready` are asked by the health pages."""

    log: Log
    topic: str
    keyring: Keyring
    instruments: KnownScales
    settings: IngestSettings
    now: Callable[[], datetime]
    live: Callable[[], Check]
    ready: Callable[[], Check]


def make_app(intake: Intake) -> FastAPI:
    """The ASGI application. Serves from one event loop, which no append to the log ever blocks."""
    app = FastAPI(title="Keepwell intake", version="1", docs_url=None, redoc_url=None)
    app.post(EVENTS, status_code=202, openapi_extra=openapi.EVENTS)(_Door(intake).events)
    app.get("/livez", openapi_extra=openapi.LIVE)(_health(intake.live))
    app.get("/readyz", openapi_extra=openapi.READY)(_health(intake.ready))
    app.get("/metrics", openapi_extra=openapi.METRICS)(_metrics)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(_Watched)
    whole = openapi.document(app, (Answer, Problem))
    app.openapi = lambda: whole  # type: ignore[method-assign]  # the documented way to replace the generated one
    return app


class _Door:
    """`POST /v1/events`."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._writer = Writer(intake.log)
        self._limit = RateLimit(intake.settings.rate, intake.settings.burst)

    async def events(self, request: Request) -> Response:
        key = self._key(request)
        request.state.clinic = key.clinic
        items = await self._items(request)
        wait = self._limit.take(key.id, len(items), time.monotonic())
        if wait:
            detail = f"This key may send {self._intake.settings.rate:g} events a second; send this again later."
            raise HTTPException(429, detail, {"Retry-After": str(math.ceil(wait))})
        now, instruments = self._intake.now(), self._intake.instruments
        judged = judge(items, self._intake.topic, key.clinic, now, instruments)
        await self._write(judged)
        for result in judged.results:
            HTTP_EVENTS.labels(result.code or "accepted").inc()
        return _answer(judged.results)

    def _key(self, request: Request) -> Key:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = self._intake.keyring.find(token.strip(), self._intake.now()) if scheme.lower() == "bearer" else None
        if key is None:
            detail = "Send a valid API key as `Authorization: Bearer KEY`; `keepwell keys issue` makes one."
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
        return key

    async def _items(self, request: Request) -> list[Item]:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "Send the body without a content encoding.")
        body = await _body(request, self._intake.settings.max_body_bytes)
        try:
            items = split(request.headers.get("content-type"), request.headers.items(), body)
        except Unsupported as error:
            raise HTTPException(415, str(error)) from error
        except Unreadable as error:
            raise HTTPException(400, str(error)) from error
        most = self._intake.settings.max_batch
        if len(items) > most:
            raise HTTPException(413, f"The request holds {len(items)} events; send at most {most} at a time.")
        return items

    async def _write(self, judged: Judged) -> None:
        if not judged.messages:
            return
        try:
            await self._writer.write(judged.messages)
        except LogError as error:
            _log.error("intake.not_written", cause=type(error).__name__, why=str(error))
            known = "It may have been written or not" if isinstance(error, Doubt) else "Nothing was written"
            detail = (
                f"The log does not accept now. {known}: send the whole request again; what comes twice counts once."
            )
            raise HTTPException(503, detail, {"Retry-After": str(RETRY_SECONDS)}) from error


class _Watched:
    """Counts and times every request, and writes one line for each to `/v1/events`: never its body, nor a pseudonym."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - began
            HTTP_REQUESTS.labels(SERVICE, str(status)).inc()
            HTTP_SECONDS.labels(SERVICE).observe(seconds)
            if scope["path"] == EVENTS:
                clinic = scope.get("state", {}).get("clinic")
                _log.info("intake.request", status=status, clinic=clinic, milliseconds=round(1000 * seconds, 1))


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise HTTPException(413, f"The body is larger than {most} bytes; send fewer events at a time.")
    except TimeoutError as error:
        raise HTTPException(408, f"The body did not arrive within {BODY_SECONDS:g} s.") from error
    return bytes(body)


def _answer(results: Sequence[Result]) -> Response:
    refused = sum(result.status == "refused" for result in results)
    if refused < len(results):
        return _json(HTTPStatus.MULTI_STATUS if refused else HTTPStatus.ACCEPTED, Answer(results))
    foreign = all(result.code == _FOREIGN for result in results)
    status = HTTPStatus.FORBIDDEN if foreign else HTTPStatus.UNPROCESSABLE_ENTITY
    detail = "No event of this request was accepted; `results` says of each what to change."
    return _json(status, Problem(status.phrase, status, detail, results))


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = Problem(HTTPStatus(error.status_code).phrase, error.status_code, error.detail)
    return _json(HTTPStatus(error.status_code), problem, error.headers)


async def _broken(_request: Request, _error: Exception) -> Response:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _json(status, Problem(status.phrase, status, "A fault of the intake: send the request again later."))


def _json(status: HTTPStatus, content: Answer | Problem, headers: Mapping[str, str] | None = None) -> Response:
    media = "application/problem+json" if isinstance(content, Problem) else "application/json"
    return Response(msgspec.json.encode(content), int(status), headers, media)


def _health(check: Callable[[], Check]) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:  # it only looks: a thread of its own would outlive the server by a moment
        status, body = answer(check())
        return Response(body, status, media_type="application/json")

    return page


def _metrics() -> Response:
    kind, body = metrics_page()
    return Response(body, media_type=kind)
