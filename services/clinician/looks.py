"""Writes down who looked at which episodes: after they were looked up, before they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from services.clinician.people.alone import alone
from services.clinician.people.audit import Action, AuditEntry, append
from services.clinician.people.who import User
from services.clinician.tables import episodes


def looked(connection: sa.Connection, now: int, user: User, action: Action, keys: Sequence[str]) -> list[str]:
    """Adds an entry to the audit for each episode that is still there, and returns these; `now` in µs.

    Of a client who was erased since the look-up nothing may be written any more. An erasure takes its turn at the audit too,
    so it comes before this, and the episode is gone, or after, and empties the entry.
    """
    alone(connection, f"audit/{user.clinic}")
    there = set(connection.execute(sa.select(episodes.c.key).where(episodes.c.key.in_(keys))).scalars())
    found = [key for key in keys if key in there]
    append(
        connection, now, *(AuditEntry(clinic=user.clinic, by=user.actor, action=action, episode=key) for key in found)
    )
    return found
