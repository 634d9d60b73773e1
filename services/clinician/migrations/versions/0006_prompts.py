"""What users wish to be told of, and the notices on their way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "notice_wishes",
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("mail", sa.Text),
        sa.Column("digest", sa.Boolean, nullable=False),
        sa.Column("pushes", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("user", name="pk_notice_wishes"),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name="fk_notice_wishes_user"),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("clinic", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("episode", sa.Text),
        sa.Column("alert", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name="fk_notices_user"),
    )
    op.create_index("ix_notices_episode", "notices", ["episode"])
    op.create_index("ix_notices_due", "notices", ["state", "due"])
    op.create_index("ix_notices_user", "notices", ["user", "state"])


def downgrade() -> None:
    """Drops them."""
    op.drop_table("notices")
    op.drop_table("notice_wishes")
