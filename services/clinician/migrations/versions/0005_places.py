"""Where an alert's newest record stands in the log, and what finds events, scores and alerts by their place.

Alerts are read again from the log, which holds every record of theirs, as their places are known there alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table of alerts anew, and the indexes."""
    _alerts_anew(sa.Column("partition", sa.Integer, nullable=False), sa.Column("offset", sa.BigInteger, nullable=False))
    for table in ("events", "scores", "alerts"):
        op.create_index(f"ix_{table}_place", table, ["partition", "offset"])


def downgrade() -> None:
    """Takes them away."""
    for table in ("events", "scores"):
        op.drop_index(f"ix_{table}_place", table)
    _alerts_anew()


def _alerts_anew(*places: sa.Column[int]) -> None:
    op.drop_table("alerts")
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("episode", sa.Text, nullable=False),
        sa.Column("clinic", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("raised_at", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *places,
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_episode", "alerts", ["episode"])
    op.create_index("ix_alerts_clinic", "alerts", ["clinic"])
    op.execute("DELETE FROM positions WHERE topic LIKE '%risk-alerts'")
