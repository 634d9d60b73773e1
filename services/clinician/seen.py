"""What a user saw when: so that a card says what is new since then. It follows from no log, and is of the user alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import sqlalchemy as sa

from services.clinician.database import METADATA, upsert

seen: Final = sa.Table(
    "seen",
    METADATA,
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("episode", sa.Text, primary_key=True, index=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)
"""When a user last opened an episode's page or answered something of it (µs since 1970 UTC)."""


def saw(connection: sa.Connection, user: str, episode: str, at: int) -> None:
    """Notes that a user looks at an episode now."""
    connection.execute(upsert(connection, seen, ("at",)), [{"user": user, "episode": episode, "at": at}])


def last_seen(connection: sa.Connection, user: str, keys: Collection[str]) -> Mapping[str, int]:
    """When a user last looked at each of these episodes; those never looked at are not there."""
    rows = connection.execute(sa.select(seen.c.episode, seen.c.at).where(seen.c.user == user, seen.c.episode.in_(keys)))
    return {row.episode: row.at for row in rows}
