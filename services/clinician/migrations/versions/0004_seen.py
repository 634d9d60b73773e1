"""What a user saw when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "seen",
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("episode", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user", "episode", name="pk_seen"),
    )
    op.create_index("ix_seen_episode", "seen", ["episode"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("seen")
