"""The API of CONTRACT section 5 under `/api/v1`: what a user may see, and what the user answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from keepwell.contract.events import Actioned, Pseudonym, RepairAttempt, micros, rfc3339
from keepwell.contract.words import Action, AlertKind, DismissReason, Pillar, RepairOutcome, State
from keepwell.web.app import body_of
from services.clinician import queries
from services.clinician.answers import Answers, Asking, Conflict, Given, NotFit, NotThere
from services.clinician.database import snapshot
from services.clinician.items import Fits
from services.clinician.looks import looked
from services.clinician.people.access import API, Caller, caller
from services.clinician.people.audit import Action as Audited
from services.clinician.told import (
    AlertPage,
    CaseloadPage,
    Me,
    Promise,
    told_alert,
    told_alerts,
    told_episode,
    told_item,
)

LARGEST: Final = 16_384
"""Bytes of a body; an answer has no free text. Ours."""
Limit = Annotated[int, Query(ge=1, le=200)]
Key = Annotated[str | None, Header(min_length=1, max_length=200)]
Who = Annotated[Caller, Depends(caller)]


class Asked(NamedTuple):
    """What the API needs from outside."""

    engine: sa.Engine
    answers: Answers
    now: Callable[[], datetime]
    fits: Fits


class AnswerBody(msgspec.Struct, forbid_unknown_fields=True):
    """An answer to an alert."""

    action: Action
    until: datetime | None = None
    helpful: bool | None = None
    reason: DismissReason | None = None


class RepairBody(msgspec.Struct, forbid_unknown_fields=True):
    """An attempt at repair."""

    pillar: Pillar | None = None
    strategy: Pseudonym | None = None
    alert_id: Pseudonym | None = None
    outcome: RepairOutcome = "unknown"


def router(asked: Asked) -> APIRouter:
    """The routes. Every one has a rule in `services.clinician.people.access`."""
    found = APIRouter(prefix=API)
    api = _Api(asked)
    found.get("/me")(api.me)
    found.get("/caseload")(api.caseload)
    found.get("/episodes/{clinic}/{subject}")(api.episode)
    found.post("/episodes/{clinic}/{subject}/repairs", status_code=201)(api.repair)
    found.get("/alerts")(api.alerts)
    found.get("/alerts/{alert_id}")(api.alert)
    found.post("/alerts/{alert_id}/answers", status_code=201)(api.answer)
    found.delete("/answers/{event_id}")(api.take_back)
    return found


class _Api:
    """One method a route; those that ask the database run in a thread, as they are no coroutines."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def me(self, who: Who) -> Response:
        user = who.user
        return _json(Me(user=user.id, role=user.role, clinic=user.clinic, clinician_id=user.clinician_id))

    def caseload(
        self, who: Who, *, limit: Limit = 50, cursor: str | None = None, clinician: str | None = None,
        q: str | None = None, alerts: Literal["open"] | None = None, state: State = "open",
    ) -> Response:  # fmt: skip
        wanted = queries.Asked(clinician, q, alerts is not None, state)
        with self._reading() as connection:
            items, after = _cursor(
                lambda: queries.caseload(
                    connection, who.viewer, self._asked.now(), wanted, limit=limit, cursor=cursor,
                    fits=self._asked.fits,
                )
            )  # fmt: skip
        self._note(who, "caseload.seen", [item.episode for item in items])
        return _json(CaseloadPage(items=tuple(map(told_item, items)), next=after))

    def episode(self, who: Who, clinic: str, subject: str) -> Response:
        key = f"{clinic}/{subject}"
        with self._reading() as connection:
            found = queries.episode(connection, who.viewer, key, self._asked.now(), self._asked.fits)
            if found is None:
                raise HTTPException(404)
        self._note(who, "episode.seen", [key])
        return _json(told_episode(found))

    def alerts(
        self, who: Who, *, limit: Limit = 50, cursor: str | None = None,
        status: Literal["open", "resolved"] | None = None, kind: AlertKind | None = None,
    ) -> Response:  # fmt: skip
        with self._reading() as connection:
            items, after = _cursor(
                lambda: queries.alert_list(connection, who.viewer, status=status, kind=kind, limit=limit, cursor=cursor)
            )
        self._note(who, "alert.seen", sorted({one.alert.episode for one in items}))
        return _json(AlertPage(items=told_alerts(items), next=after))

    def alert(self, who: Who, alert_id: str) -> Response:
        with self._reading() as connection:
            found = queries.alert(connection, who.viewer, alert_id)
            if found is None:
                raise HTTPException(404)
        self._note(who, "alert.seen", [found.alert.episode])
        return _json(told_alert(found))

    async def answer(self, request: Request, who: Who, alert_id: str, idempotency_key: Key = None) -> Response:
        body = _body(AnswerBody, await body_of(request, LARGEST))
        if body.reason is not None and body.action != "dismissed":
            raise HTTPException(422, "`reason` goes with `dismissed` only.")
        if body.until is not None and body.until.tzinfo is None:
            raise HTTPException(422, "`until` needs an offset, such as 2026-03-02T10:00:00Z.")
        data = Actioned(
            alert_id=alert_id, action=body.action, by=who.user.id, until=body.until, helpful=body.helpful,
            reason=body.reason, via="page" if who.session is not None else "api",
        )  # fmt: skip
        return await _given(lambda: self._asked.answers.answer(_asking(who, idempotency_key), alert_id, data))

    async def repair(
        self, request: Request, who: Who, clinic: str, subject: str, idempotency_key: Key = None
    ) -> Response:
        body = _body(RepairBody, await body_of(request, LARGEST))
        data = RepairAttempt(pillar=body.pillar, strategy=body.strategy, alert_id=body.alert_id, outcome=body.outcome)
        asking = _asking(who, idempotency_key)
        return await _given(lambda: self._asked.answers.repair(asking, f"{clinic}/{subject}", data))

    async def take_back(self, who: Who, event_id: str) -> Response:
        return await _given(lambda: self._asked.answers.take_back(_asking(who, None), event_id), status=200)

    def _reading(self) -> sa.Connection:
        """For what is looked up; what it was is written down afterwards, before it is told."""
        return snapshot(self._asked.engine)

    def _note(self, who: Caller, action: Audited, keys: list[str]) -> None:
        with self._asked.engine.begin() as connection:
            looked(connection, micros(self._asked.now()), who.user, action, keys)


def _asking(who: Caller, key: str | None) -> Asking:
    return Asking(who.user, who.viewer, key)


async def _given(give: Callable[[], Given], status: int = 201) -> Response:
    try:
        found = await run_in_threadpool(give)
    except NotThere:
        raise HTTPException(404) from None
    except (Conflict, NotFit) as error:
        raise HTTPException(422, str(error)) from error
    return _json(Promise(event_id=found.event_id, settled=False, undo_until=rfc3339(micros(found.undo_until))), status)


def _cursor(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except queries.WrongCursor as error:
        raise HTTPException(422, str(error)) from error


def _body(kind: type[Any], body: bytes) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HTTPException(422, f"The body is not what this route takes: {error}") from error


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
