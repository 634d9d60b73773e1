"""Accounts and the audit for programs: `/users` and `/audit` of the API, and the audit as pages show it too."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Query, Response
from starlette.exceptions import HTTPException

from keepwell.contract.events import micros, rfc3339
from keepwell.contract.outputs import Moment
from services.clinician.people import accounts, audit
from services.clinician.people.access import API, Caller, caller
from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.tables import audit as entries
from services.clinician.people.tables import users
from services.clinician.people.who import User
from services.clinician.web import Pages

Who = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Before = Annotated[int | None, Query(ge=1, le=2**62)]


class AuditSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit as it is shown. `name` is the account's; None of somebody who has none."""

    seq: int | None
    at: Moment
    user: str
    name: str | None
    role: str
    action: str
    episode: str | None
    object: str | None
    erased: bool


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the audit."""

    items: tuple[AuditSeen, ...]
    next: str | None


class UserSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it is shown."""

    user: str
    name: str
    role: str
    clinic: str
    clinician_id: str | None
    must_change: bool
    created_at: Moment


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of accounts."""

    items: tuple[UserSeen, ...]
    next: str | None


def add_people_api(app: FastAPI, pages: Pages) -> None:
    """Adds the routes. Every one has a rule in `services.clinician.people.access`."""
    found, told = APIRouter(prefix=API), _PeopleApi(pages)
    found.get("/users")(told.users)
    found.get("/audit")(told.audit)
    app.include_router(found)


class _PeopleApi:
    """One method a route."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def users(self, who: Who, limit: Limit = 50, cursor: str | None = None) -> Response:
        after = "" if cursor is None else _name_of(cursor)
        with self._pages.engine.connect().execution_options(reads=True) as connection:
            found = [one for one in accounts.everyone(connection, who.user.clinic) if one.name > after]
        found.sort(key=lambda one: one.name)
        page = found[:limit]
        more = base64.urlsafe_b64encode(page[-1].name.encode()).decode() if len(found) > limit else None
        return _json(UserPage(items=tuple(map(_told, page)), next=more))

    def audit(self, who: Who, limit: Limit = 50, cursor: Before = None) -> Response:
        entry = AuditEntry(clinic=who.user.clinic, by=who.user.actor, action="audit.seen")
        with self._pages.engine.begin() as connection:
            seen, after = newest(connection, who.user.clinic, cursor, limit)
            append(connection, micros(self._pages.now()), entry)
        return _json(AuditPage(items=tuple(seen), next=after))


def looks(connection: sa.Connection, clinic: str, episode: str) -> Sequence[AuditSeen]:
    """Who looked at a client."""
    return [
        AuditSeen(**msgspec.structs.asdict(look), seq=None, episode=episode, object=None, erased=False)
        for look in audit.who_looked_at(connection, clinic, episode)
    ]


def newest(
    connection: sa.Connection, clinic: str, before: int | None, limit: int
) -> tuple[Sequence[AuditSeen], str | None]:
    """The newest entries before one, and the cursor of the next ones."""
    query = (
        sa.select(entries, users.c.name)
        .select_from(entries.outerjoin(users, users.c.id == entries.c.user))
        .where(entries.c.clinic == clinic)
        .order_by(entries.c.seq.desc())
        .limit(limit + 1)
    )
    rows = connection.execute(query if before is None else query.where(entries.c.seq < before)).all()
    found = [
        AuditSeen(
            seq=row.seq, at=rfc3339(row.at), user=row.user, name=row.name, role=row.role, action=row.action,
            episode=row.episode, object=row.object, erased=row.about is not None and row.salt is None,
        )
        for row in rows[:limit]
    ]  # fmt: skip
    return found, str(found[-1].seq) if len(rows) > limit else None


def _told(user: User) -> UserSeen:
    return UserSeen(
        user=user.id, name=user.name, role=user.role, clinic=user.clinic, clinician_id=user.clinician_id,
        must_change=user.must_change, created_at=rfc3339(user.created_at),
    )  # fmt: skip


def _name_of(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise HTTPException(422, "This cursor is none of ours.") from None


def _json(page: AuditPage | UserPage) -> Response:
    return Response(msgspec.json.encode(page), media_type="application/json")
