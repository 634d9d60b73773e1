"""A database with the tables of people, and passwords that cost little to hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from services.clinician.database import METADATA, open_engine
from services.clinician.people.passwords import Passwords
from services.clinician.people.tables import PEOPLE


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'people.db'}")
    METADATA.create_all(made, PEOPLE)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def passwords() -> Passwords:
    return Passwords(PasswordHasher(1, 8, 1))
