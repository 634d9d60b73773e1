"""The servers of the tests are two majors of PostgreSQL, and one that was killed comes back with what it had committed."""

from __future__ import annotations

import sqlalchemy as sa

from tests.postgres import Postgres, from_pypi, from_the_machine, major


def test_they_are_of_two_majors() -> None:
    assert major(from_pypi()) != major(from_the_machine())


def test_a_server_that_was_killed_comes_back_with_what_it_had_committed() -> None:
    with Postgres(from_pypi()) as server, server.database() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE kept AS SELECT 7 AS seven"))
        server.kill()
        server.start()
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT seven FROM kept")).scalar() == 7
