"""People: accounts, tokens, sessions, log-in limits, cover, one-time links, and the audit with its triggers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "users",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("clinic", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("clinician_id", sa.Text),
        sa.Column("password", sa.Text),
        sa.Column("password_at", sa.BigInteger),
        sa.Column("must_change", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    op.create_index("ix_users_clinic", "users", ["clinic"])
    in_use = sa.text("removed_at IS NULL")
    op.create_index("uq_users_name", "users", ["name"], unique=True, sqlite_where=in_use, postgresql_where=in_use)
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name="fk_tokens_user"),
    )
    op.create_index("ix_tokens_user", "tokens", ["user"])
    op.create_table(
        "browser_sessions",
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("csrf", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("sha256", name="pk_browser_sessions"),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name="fk_browser_sessions_user"),
    )
    op.create_index("ix_browser_sessions_user", "browser_sessions", ["user"])
    op.create_table(
        "login_failures",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_failures"),
    )
    for column in ("account", "address", "at"):
        op.create_index(f"ix_login_failures_{column}", "login_failures", [column])
    op.create_table(
        "covers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("clinician_id", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("granted_by", sa.Text, nullable=False),
        sa.Column("granted_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_covers"),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name="fk_covers_user"),
    )
    op.create_index("ix_covers_user", "covers", ["user"])
    op.create_table(
        "one_time_links",
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("clinic", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("sha256", name="pk_one_time_links"),
    )
    op.create_table(
        "audit",
        sa.Column("clinic", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("about", sa.Text),
        sa.Column("episode", sa.Text),
        sa.Column("object", sa.Text),
        sa.Column("salt", sa.Text),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("clinic", "seq", name="pk_audit"),
    )
    op.create_index("ix_audit_episode", "audit", ["clinic", "episode"])
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Drops the tables, with all that they hold."""
    for table in ("audit", "one_time_links", "covers", "login_failures", "browser_sessions", "tokens", "users"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_refuses()")


_SAME = ("clinic", "seq", "at", "user", "role", "action", "about", "previous", "hash")
_GIVEN = " OR ".join(f'NEW."{name}" IS NOT NULL' for name in ("episode", "object", "salt"))
_OTHER_ON_SQLITE = " OR ".join(f'NEW."{name}" IS NOT OLD."{name}"' for name in _SAME)
_OTHER = " OR ".join(f'NEW."{name}" IS DISTINCT FROM OLD."{name}"' for name in _SAME)
_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows stay'); END",
        f"CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit WHEN {_OTHER_ON_SQLITE} OR {_GIVEN} "
        "BEGIN SELECT RAISE(ABORT, 'audit rows are only emptied'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit rows stay as they are'; END $$",
        "CREATE TRIGGER audit_stays BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuses()",
        f"CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit FOR EACH ROW WHEN ({_OTHER} OR {_GIVEN}) "
        "EXECUTE FUNCTION audit_refuses()",
    ),
}
