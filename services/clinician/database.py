"""The database: what every table belongs to, and how it is opened. SQLite by default, PostgreSQL in production."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

METADATA: Final = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    },
)
"""Of every table, so that migrations and constraints have one set of names."""


def open_engine(url: str) -> sa.Engine:
    """An engine for `sqlite:///FILE` or `postgresql+psycopg://…`. Raises `ValueError` for anything else.

    SQLite: WAL, foreign keys, `BEGIN IMMEDIATE` and ten seconds of patience, so that a reader never waits for the projector.
    """
    kind = sa.make_url(url).drivername
    if kind == "postgresql+psycopg":
        return sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)
    if kind != "sqlite":
        raise ValueError("KEEPWELL_DATABASE must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
    engine = sa.create_engine(url, connect_args={"timeout": 10}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE")

    return engine


def upsert(connection: sa.Connection, table: sa.Table, moved: Sequence[str]) -> sa.Insert:
    """Writes rows, and of those that are there already these columns."""
    keys = [column.name for column in table.primary_key.columns]
    insert: Any = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    found: sa.Insert = (
        insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in moved})
        if moved
        else insert.on_conflict_do_nothing(index_elements=keys)
    )
    return found
