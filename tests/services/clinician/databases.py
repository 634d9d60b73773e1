"""What tests run on that hold on every database: SQLite, and PostgreSQL in two majors; and two transactions at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy import event

PATIENCE = 60.0

every_database = pytest.mark.parametrize("database", ["sqlite", "postgresql", "other-postgresql"], indirect=True)


@contextmanager
def just_before(engine: sa.Engine, statement: str, work: Callable[[], object]) -> Iterator[None]:
    """Does work in a thread of its own before the first statement that begins so goes on: until it is done, or waits for the
    transaction of the statement. At the end it is done."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)

    def begin(_: object, __: object, text: str, *___: object) -> None:
        if text.startswith(statement) and thread.ident is None:
            thread.start()
            deadline = time.monotonic() + PATIENCE
            while thread.is_alive() and not _waits(engine):
                assert time.monotonic() < deadline
                thread.join(0.01)

    event.listen(engine, "before_cursor_execute", begin)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", begin)
    assert thread.ident is not None, "there was no such statement"
    thread.join(PATIENCE)
    assert not thread.is_alive() and not errors, errors


def _waits(engine: sa.Engine) -> bool:
    """Whether somebody waits for a lock; on SQLite whoever begins to write while somebody writes."""
    if engine.dialect.name == "sqlite":
        return True
    with engine.connect() as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(connection.execute(sa.text(asked)).scalar())
