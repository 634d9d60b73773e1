"""The database: what every table belongs to, and how it is opened. SQLite by default, PostgreSQL in production."""

from __future__ import annotations

import re
import sqlite3
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

AWAY: Final = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)
"""What is raised while the database does not answer, or not in time; what was asked may be asked again."""
AGAIN_SECONDS: Final = 2.0
"""Until a database is asked again that did not answer; ours."""
_REFUSALS: Final = (
    (
        "authentication failed|no password supplied|role .* (does not exist|is not permitted)|pg_hba.conf|no such user",
        "its server refuses this user or password",
    ),
    ("database .* does not exist|no such database", "its server has none of this name"),
)
"""How a server refuses a user (SQLSTATE class 28), or says that it lacks a database (3D000), and what that means: the words
of PostgreSQL (auth.c, miscinit.c, postinit.c), libpq and PgBouncer, as libpq tells no SQLSTATE of a connection that failed.
One that refuses in another language than English passes for one that is away."""
_GONE: Final = re.compile("08...|57P..|53300")
"""SQLSTATE of a connection that broke, of a server that ends or begins, and of one that has no connection left."""
CONNECT_SECONDS: Final = 5
"""A server that does not answer for so long is away. Below the session of the log (10 s), so that a projector that waits for
it stays in its group; ours."""
DEAD_MS: Final = 10_000
"""A connection on which nothing was acknowledged for so long is dead (Linux, TCP_USER_TIMEOUT); ours."""


class NoDatabase(OSError):
    """The database cannot be used as the settings name it. Says why, without the address."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the database of the clinician's side cannot be used: {why} (--database, KEEPWELL_DATABASE)")


def open_engine(url: str) -> sa.Engine:
    """An engine for `sqlite:///FILE` or `postgresql+psycopg://…`. Raises `ValueError` for anything else.

    PostgreSQL: a server that is away is noticed within seconds, unless the address says otherwise, and found again once it is
    back. SQLite: WAL, foreign keys, `BEGIN IMMEDIATE` and ten seconds of patience, so that a reader never waits for the
    projector.
    """
    parts = sa.make_url(url)
    kind = parts.drivername
    if kind == "postgresql+psycopg":
        asked = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": DEAD_MS}
        told = {name: value for name, value in asked.items() if name not in parts.query}
        return sa.create_engine(
            url, pool_pre_ping=True, pool_timeout=CONNECT_SECONDS, hide_parameters=True, connect_args=told
        )
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


def snapshot(engine: sa.Engine) -> sa.Connection:
    """A connection on which whatever is read is of one moment, and nothing is written."""
    at_once = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    return engine.connect().execution_options(reads=True, **at_once)


def by_code(connection: sa.Connection, column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Text to order by as Python does, whatever the language of the database."""
    return column.collate("C") if connection.dialect.name == "postgresql" else column


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


def cause(error: Exception) -> str:
    """The kind of an error of the database, for the log: never what was asked of it."""
    return type(getattr(error, "orig", None) or error).__name__


def refusal(error: Exception) -> str | None:
    """Why an error of `AWAY` will not mend itself, in words; None where nobody answers, and to wait may help."""
    orig = getattr(error, "orig", None)
    if orig is None:
        return None  # no connection came free in time
    if isinstance(orig, sqlite3.Error):
        return str(orig)  # a file is there or not
    state = getattr(orig, "sqlstate", None)
    if state is not None:
        return None if _GONE.fullmatch(state) else type(orig).__name__
    return next((means for told, means in _REFUSALS if re.search(told, str(orig))), None)
