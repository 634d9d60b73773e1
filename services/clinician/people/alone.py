"""One transaction at a time for what has to be read and written as one, on either database."""

from __future__ import annotations

import sqlalchemy as sa


def alone(connection: sa.Connection, name: str) -> None:
    """Waits until no other transaction holds `name`, and holds it until this one ends.

    On PostgreSQL an advisory lock; a statement after it sees what the former holder committed (READ COMMITTED). On SQLite
    a transaction that may write is alone from its beginning (`BEGIN IMMEDIATE`), so there is nothing to do.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"keepwell/{name}", 0))))
