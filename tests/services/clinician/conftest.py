"""The databases of the clinician's side: SQLite in a file, and PostgreSQL servers that the run starts itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.clinician.database import open_engine
from tests.postgres import Postgres, from_pypi, from_the_machine
from tests.services.clinician.living import Whole, living


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres(from_pypi()) as server:
        yield server


@pytest.fixture(scope="session")
def other_postgres() -> Iterator[Postgres]:
    """A server of another major."""
    with Postgres(from_the_machine()) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; `every_database` adds one of the other major of PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'clinician.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres" if request.param == "postgresql" else "other_postgres")
    with server.database() as url:
        yield url


@pytest.fixture
def opened(database: str) -> Iterator[sa.Engine]:
    """An empty database, open."""
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def whole(opened: sa.Engine) -> Whole:
    """A clinic that lives on, on every page."""
    return living(opened)
