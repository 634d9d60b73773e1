"""Migrations make the tables of the code, and take them back, on every database."""

from __future__ import annotations

import sqlalchemy as sa

from services.clinician.schema import differences, downgrade, migrate
from tests.services.clinician.databases import every_database


@every_database
def test_migrations_go_up_down_and_up_and_make_the_tables_of_the_code(opened: sa.Engine) -> None:
    migrate(opened)
    assert differences(opened) == []
    downgrade(opened)
    assert set(sa.inspect(opened).get_table_names()) <= {"alembic_version"}
    migrate(opened)
    migrate(opened)
    assert differences(opened) == []
