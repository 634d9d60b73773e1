"""An id that tells this database from others which follow the same log."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BYTES = 6
"""Enough that no two of an installation are ever the same; ours."""


def upgrade() -> None:
    """Makes the table with its row."""
    made = op.create_table(
        "identity", sa.Column("id", sa.Text, nullable=False), sa.PrimaryKeyConstraint("id", name="pk_identity")
    )
    op.bulk_insert(made, [{"id": secrets.token_hex(_BYTES)}])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("identity")
