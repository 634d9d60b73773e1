"""What lists tell of each episode, summed up before somebody looks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "summaries",
        sa.Column("episode", sa.Text, nullable=False),
        sa.Column("marks", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("episode", name="pk_summaries"),
        sa.ForeignKeyConstraint(["episode"], ["episodes.key"], name="fk_summaries_episode", ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("summaries")
