"""Links that open a door: once for the first administrator of a new installation, and for visitors of the demo."""

from __future__ import annotations

import secrets
from typing import Final, Literal

import sqlalchemy as sa
from pydantic import SecretStr

from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.tables import one_time_links, users
from services.clinician.people.who import OPERATOR, digest

Purpose = Literal["first_administrator", "visit"]
FIRST_ADMINISTRATOR: Final[Purpose] = "first_administrator"
VISIT: Final[Purpose] = "visit"
"""Of a clinic that is made up: whoever has the link looks at it as one of its users."""
LIVES_US: Final = 3_600_000_000
"""An hour. Ours: a new one is a restart away."""


def make(connection: sa.Connection, purpose: Purpose, clinic: str, now: int, lives: int = LIVES_US) -> SecretStr:
    """What a link ends in; only its digest is kept. Former links of the same purpose and clinic are void. `lives` in µs."""
    connection.execute(
        sa.update(one_time_links)
        .where(
            one_time_links.c.purpose == purpose,
            one_time_links.c.clinic == clinic,
            one_time_links.c.used_at.is_(None),
        )
        .values(used_at=now)
    )
    secret = secrets.token_urlsafe(32)
    row = {"sha256": digest(secret), "purpose": purpose, "clinic": clinic, "expires_at": now + lives}
    connection.execute(sa.insert(one_time_links), row)
    append(connection, now, AuditEntry(clinic=clinic, by=OPERATOR, action="link.made", object=purpose))
    return SecretStr(secret)


def clinic_of(connection: sa.Connection, purpose: Purpose, secret: str, now: int) -> str | None:
    """The clinic that a link is for; None where it opens nothing (any more). Does not use it up: a page may be looked at."""
    return connection.execute(
        sa.select(one_time_links.c.clinic).where(*_opens(purpose, secret, now))
    ).scalar_one_or_none()


def use(connection: sa.Connection, purpose: Purpose, secret: str, now: int) -> str | None:
    """The clinic that a link is for, and uses the link up in this transaction; None where it opens nothing (any more)."""
    clinic = clinic_of(connection, purpose, secret, now)
    used = connection.execute(
        sa.update(one_time_links).where(*_opens(purpose, secret, now)).values(used_at=now)
    ).rowcount
    if clinic is None or not used:
        return None
    append(connection, now, AuditEntry(clinic=clinic, by=OPERATOR, action="link.used", object=purpose))
    return clinic


def nobody_yet(connection: sa.Connection) -> bool:
    """Whether there is no account in use at all, so that a link for the first administrator is due."""
    return connection.execute(sa.select(users.c.id).where(users.c.removed_at.is_(None)).limit(1)).first() is None


def _opens(purpose: Purpose, secret: str, now: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        one_time_links.c.sha256 == digest(secret),
        one_time_links.c.purpose == purpose,
        one_time_links.c.used_at.is_(None),
        one_time_links.c.expires_at > now,
    )
