"""Whether a client asks for a thought, ready to be ordered by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_FILL = """
UPDATE episodes SET asks = (
    SELECT max(CASE
        WHEN EXISTS (
            SELECT 1 FROM answers
            WHERE answers.clinic = alerts.clinic AND answers.episode = alerts.episode
            AND answers.kind = 'answer' AND answers.alert = alerts.id AND answers.at >= alerts.at
        ) THEN 0
        WHEN alerts.kind = 'safety' THEN 2
        ELSE 1
    END)
    FROM alerts WHERE alerts.episode = episodes.key AND alerts.status IN ('raised', 'escalated')
)
"""


def upgrade() -> None:
    """Makes the column with its index, and fills it."""
    op.add_column("episodes", sa.Column("asks", sa.SmallInteger))
    op.execute(_FILL)
    op.create_index("ix_episodes_asks", "episodes", ["clinic", "state", "asks"])


def downgrade() -> None:
    """Takes them away."""
    op.drop_index("ix_episodes_asks", "episodes")
    op.drop_column("episodes", "asks")
