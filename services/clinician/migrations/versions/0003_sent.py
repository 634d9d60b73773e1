"""What users send through the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "sent",
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("clinic", sa.Text, nullable=False),
        sa.Column("episode", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("idempotency", sa.Text),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("handed_at", sa.BigInteger),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_sent"),
        sa.UniqueConstraint("user", "idempotency", name="uq_sent_user"),
    )
    op.create_index("ix_sent_episode", "sent", ["episode"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("sent")
