"""The tables of people: accounts, tokens, sessions, log-in limits, cover, one-time links, log-ins by a provider, the audit.

Every time is a whole number of microseconds since 1970 UTC. Of a secret only its SHA-256 stands here, in hex, and of a
password its argon2 hash.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from services.clinician.database import METADATA

users: Final = sa.Table(
    "users",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("clinic", sa.Text, nullable=False, index=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("clinician_id", sa.Text),
    sa.Column("password", sa.Text),
    sa.Column("password_at", sa.BigInteger),
    sa.Column("must_change", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("removed_at", sa.BigInteger),
)
"""Accounts; those that were removed stay, as the audit names them. A name is that of one account in use at most, of any
clinic, as people log in by name. `password` is null where somebody else vouches for the user."""

sa.Index(
    "uq_users_name",
    users.c.name,
    unique=True,
    sqlite_where=users.c.removed_at.is_(None),
    postgresql_where=users.c.removed_at.is_(None),
)

tokens: Final = sa.Table(
    "tokens",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("last_used_at", sa.BigInteger),
)
"""Bearer tokens of programs."""

browser_sessions: Final = sa.Table(
    "browser_sessions",
    METADATA,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("seen_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
)
"""Log-ins of browsers. Those that are over stay for a while: from an address where somebody logged in before, strangers
cannot lock them out (`services.clinician.people.limits`). `address` is a digest."""

login_failures: Final = sa.Table(
    "login_failures",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False, index=True),
    sa.Column("address", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
)
"""Attempts to log in that were not successful, or are not decided yet. `account` and `address` are digests."""

covers: Final = sa.Table(
    "covers",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("clinician_id", sa.Text, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("granted_by", sa.Text, nullable=False),
    sa.Column("granted_at", sa.BigInteger, nullable=False),
)
"""Who covers for which clinician of the same clinic, until when."""

one_time_links: Final = sa.Table(
    "one_time_links",
    METADATA,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("clinic", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
)
"""Links that open one door once."""

provider_accounts: Final = sa.Table(
    "provider_accounts",
    METADATA,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, sa.ForeignKey("users.id"), nullable=False, index=True),
)
"""Whom an OpenID provider vouches for, by its issuer and its name for them. Those of removed accounts stay, so that nobody
who was removed comes back by logging in."""

provider_logins: Final = sa.Table(
    "provider_logins",
    METADATA,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False, index=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)
"""Log-ins through a provider that were begun and not finished: of each the digest of the cookie that began it."""

audit: Final = sa.Table(
    "audit",
    METADATA,
    sa.Column("clinic", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
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
    sa.Index("ix_audit_episode", "clinic", "episode"),
)
"""Who saw and did what, one chain a clinic; `services.clinician.people.audit` says how it is hashed. Triggers let rows only
be added, and of an erased client the three columns that `about` is a digest of be emptied."""

PEOPLE: Final = (
    users, tokens, browser_sessions, login_failures, covers, one_time_links, provider_accounts, provider_logins, audit,
)  # fmt: skip
"""All of them."""

_KEPT: Final = ("clinic", "seq", "at", "user", "role", "action", "about", "previous", "hash")
_EMPTIED: Final = ("episode", "object", "salt")
_CHANGED: Final = " OR ".join(
    [f'NEW."{name}" IS DISTINCT FROM OLD."{name}"' for name in _KEPT]
    + [f'NEW."{name}" IS NOT NULL' for name in _EMPTIED]
)

AUDIT_TRIGGERS: Final = {
    "sqlite": (
        "CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows stay'); END",
        "CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit "
        f"WHEN {_CHANGED.replace('IS DISTINCT FROM', 'IS NOT')} "
        "BEGIN SELECT RAISE(ABORT, 'audit rows are only emptied'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit rows stay as they are'; END $$",
        "CREATE TRIGGER audit_stays BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuses()",
        f"CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit FOR EACH ROW WHEN ({_CHANGED}) "
        "EXECUTE FUNCTION audit_refuses()",
    ),
}
"""What keeps the audit insert-only, by dialect. It stops mistakes; who may alter tables can drop it, and the chain tells."""

for _dialect, _statements in AUDIT_TRIGGERS.items():
    for _statement in _statements:
        _ddl = sa.DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]  # SQLAlchemy's own omission
        sa.event.listen(audit, "after_create", _ddl)
