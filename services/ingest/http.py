"""The HTTP intake: `POST /v1/events` into `session-events`, and the health pages. Answers; decides nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from keepwell.contract.decode import KnownScales
from keepwell.metrics import HTTP_EVENTS
from keepwell.streams.log import Doubt, Log, LogError
from keepwell.streams.worker.process import Check
from keepwell.web import app as web
from keepwell.web.keys import Key, Keyring
from keepwell.web.limits import RateLimit
from keepwell.web.problems import Problem, problem
from services.ingest import openapi
from services.ingest.intake import Judged, RequestItem, Result, Unreadable, Unsupported, judge, split
from services.ingest.settings import IngestSettings
from services.ingest.writer import Writer

EVENTS: Final = "/v1/events"
RETRY_SECONDS: Final = 5
"""`Retry-After` while the log does not accept: a broker is back in seconds (KAFKA.md F11)."""

_FOREIGN: Final = "foreign_source"
_log = structlog.get_logger(__name__)


class NothingAccepted(Problem, frozen=True, kw_only=True):
    """A problem of a request each of whose events was refused for itself."""

    results: Sequence[Result]


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
    app = web.make_app("ingest", "Keepwell intake", intake.live, intake.ready, told={EVENTS: "intake.request"})
    app.post(EVENTS, status_code=202, openapi_extra=openapi.EVENTS)(_Door(intake).events)
    whole = openapi.document(app, (Answer, Problem, NothingAccepted))
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

    async def _items(self, request: Request) -> list[RequestItem]:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "Send the body without a content encoding.")
        body = await web.body_of(request, self._intake.settings.max_body_bytes)
        try:
            items = split(request.headers.get("content-type"), request.headers.raw, body)
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


def _answer(results: Sequence[Result]) -> Response:
    refused = sum(result.status == "refused" for result in results)
    if refused < len(results):
        status = HTTPStatus.MULTI_STATUS if refused else HTTPStatus.ACCEPTED
        return Response(msgspec.json.encode(Answer(results)), status, media_type="application/json")
    foreign = all(result.code == _FOREIGN for result in results)
    status = HTTPStatus.FORBIDDEN if foreign else HTTPStatus.UNPROCESSABLE_ENTITY
    detail = "No event of this request was accepted; `results` says of each what to change."
    return problem(NothingAccepted(status.phrase, status, detail, results=results))
