"""Cover: a colleague sees a clinician's episodes for a while, always with an end, which the audit tells."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.tables import covers, users
from services.clinician.people.who import Actor, User

LONGEST_US: Final = 92 * 86_400_000_000
"""Three months. Ours: who is away for longer hands the episodes over."""


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """`user` sees the episodes of `clinician_id` until then (µs)."""

    id: str
    user: str
    clinician_id: str
    until: int
    granted_by: str
    granted_at: int


def grant(connection: sa.Connection, user: User, clinician_id: str, *, until: int, by: Actor, now: int) -> Cover:
    """Lets a clinician see a colleague's episodes until then. Raises `ValueError` that says what to change."""
    if user.role != "clinician" or user.clinician_id == clinician_id:
        raise ValueError("a clinician covers for another one")
    if not now < until <= now + LONGEST_US:
        raise ValueError("a cover ends, within three months")
    cover = Cover(
        id=f"c-{secrets.token_hex(6)}",
        user=user.id,
        clinician_id=clinician_id,
        until=until,
        granted_by=by.user,
        granted_at=now,
    )
    connection.execute(sa.insert(covers), msgspec.structs.asdict(cover))
    append(connection, now, AuditEntry(clinic=user.clinic, by=by, action="cover.granted", object=_told(cover)))
    return cover


def end(connection: sa.Connection, clinic: str, cover_id: str, by: Actor, now: int) -> None:
    """Ends a cover of this clinic now; nothing where it is over. Raises `ValueError` where there is none."""
    found = {cover.id: cover for cover in of_clinic(connection, clinic, 0)}
    if cover_id not in found:
        raise ValueError("there is no such cover")
    if found[cover_id].until > now:
        connection.execute(sa.update(covers).where(covers.c.id == cover_id).values(until=now))
        append(connection, now, AuditEntry(clinic=clinic, by=by, action="cover.ended", object=_told(found[cover_id])))


def of_clinic(connection: sa.Connection, clinic: str, now: int) -> Sequence[Cover]:
    """The covers of a clinic that are not over, the one that ends first first."""
    found = connection.execute(
        sa.select(covers)
        .join(users, users.c.id == covers.c.user)
        .where(users.c.clinic == clinic, covers.c.until > now)
        .order_by(covers.c.until, covers.c.id)
    )
    return [Cover(**row) for row in found.mappings()]


def covered(connection: sa.Connection, user: User, now: int) -> frozenset[str]:
    """The clinicians for whom a user covers now."""
    found = connection.execute(
        sa.select(covers.c.clinician_id).where(covers.c.user == user.id, covers.c.until > now)
    ).scalars()
    return frozenset(found) if user.role == "clinician" else frozenset()


def _told(cover: Cover) -> str:
    return f"{cover.id} {cover.user} for {cover.clinician_id}"
