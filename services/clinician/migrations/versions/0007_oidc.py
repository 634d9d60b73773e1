"""Log-in through an OpenID provider: whom it vouches for, and log-ins that were begun."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "provider_accounts",
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name="fk_provider_accounts_user"),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_provider_accounts"),
    )
    op.create_index("ix_provider_accounts_user", "provider_accounts", ["user"])
    op.create_table(
        "provider_logins",
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_provider_logins"),
    )
    op.create_index("ix_provider_logins_address", "provider_logins", ["address"])


def downgrade() -> None:
    """Drops the tables, and ends the accounts that nobody could log in to any more, whose names are free then."""
    users = sa.table("users", sa.column("id"), sa.column("removed_at"))
    mine = sa.select(sa.table("provider_accounts", sa.column("user")).c.user)
    now = time.time_ns() // 1000
    op.execute(sa.update(users).where(users.c.id.in_(mine), users.c.removed_at.is_(None)).values(removed_at=now))
    op.drop_table("provider_logins")
    op.drop_table("provider_accounts")
