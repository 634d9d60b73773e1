"""What tests run on that hold on every database: SQLite, and PostgreSQL in two majors."""

from __future__ import annotations

import pytest

every_database = pytest.mark.parametrize("database", ["sqlite", "postgresql", "other-postgresql"], indirect=True)
