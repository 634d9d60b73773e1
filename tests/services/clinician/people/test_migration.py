"""The migrations of people make what the tables say, and take it away again."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.exc import DatabaseError

from services.clinician.database import open_engine
from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.tables import PEOPLE, audit
from services.clinician.people.who import OPERATOR

people = import_module("services.clinician.migrations.versions.0002_people")
by_provider = import_module("services.clinician.migrations.versions.0007_oidc")


def test_they_make_what_the_tables_say_and_take_it_away_again(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'people.db'}")
    wanted = sa.MetaData(naming_convention=audit.metadata.naming_convention)
    for table in PEOPLE:
        table.to_metadata(wanted)
    for _ in range(2):
        with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
            people.upgrade()
            by_provider.upgrade()
        with engine.begin() as connection:
            assert compare_metadata(MigrationContext.configure(connection), wanted) == []
            append(connection, 0, AuditEntry(clinic="north", by=OPERATOR, action="signed.in"))
        with pytest.raises(DatabaseError, match="audit rows stay"), engine.begin() as connection:
            connection.execute(sa.delete(audit))
        with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
            by_provider.downgrade()
            people.downgrade()
            assert sa.inspect(connection).get_table_names() == []
    engine.dispose()
