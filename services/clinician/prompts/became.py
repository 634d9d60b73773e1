"""What became of the notices to somebody, so that one that was given up is seen by them and by who looks after accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from services.clinician.people.tables import users
from services.clinician.prompts.tables import notices

TOLD_FOR_US: Final = int(timedelta(days=7).total_seconds()) * 1_000_000
"""So long it is said that a notice was given up; ours."""
LAST: Final = 20
"""Notices that are shown; ours."""


def last_of(connection: sa.Connection, user: str) -> Sequence[sa.Row[str, str, str, int]]:
    """The last notices to a user that were sent, given up or are on their way, the newest first."""
    return connection.execute(
        sa.select(notices.c.kind, notices.c.channel, notices.c.state, notices.c.at)
        .where(notices.c.user == user, notices.c.state.in_(("waiting", "sent", "dead")))
        .order_by(notices.c.at.desc(), notices.c.id)
        .limit(LAST)
    ).all()


def is_undelivered(connection: sa.Connection, user: str, now: int) -> bool:
    """Whether a notice to a user was given up lately."""
    return connection.execute(_given_up(now).where(notices.c.user == user).limit(1)).first() is not None


def undelivered_in(connection: sa.Connection, clinic: str, now: int) -> list[str]:
    """The names of a clinic's accounts to whom a notice was given up lately, in order."""
    given_up = _given_up(now).where(notices.c.clinic == clinic)
    found = sa.select(users.c.name).where(users.c.id.in_(given_up), users.c.removed_at.is_(None)).order_by(users.c.name)
    return list(connection.execute(found).scalars())


def _given_up(now: int) -> sa.Select[tuple[str]]:
    return sa.select(notices.c.user).where(notices.c.state == "dead", notices.c.ended >= now - TOLD_FOR_US)
