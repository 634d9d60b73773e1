"""Accounts and the bearer tokens of programs: made, found, changed and ended, each change in the audit.

Functions take a connection and change things in its transaction. Times are µs since 1970 UTC. A new secret is a `SecretStr`,
which shows itself in no repr: `get_secret_value()` is called where it is shown once.
"""

from __future__ import annotations

import hmac
import re
import secrets
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from pydantic import SecretStr

from keepwell.contract.events import CLINIC_PATTERN
from keepwell.contract.say import render
from services.clinician.people import browser
from services.clinician.people.alone import alone
from services.clinician.people.audit import Action, AuditEntry, append
from services.clinician.people.passwords import Passwords, objection, one_time
from services.clinician.people.tables import tokens, users
from services.clinician.people.who import ROLES, Actor, Role, User, digest, user_of

SCHEME: Final = "kwu"
"""How a bearer token of a user begins (CONTRACT section 5); `kw_…` is a clinic's key of the intake."""
ONE_TIME_US: Final = 7 * 86_400_000_000
"""A one-time password opens the door for seven days. Ours: over a weekend and a sick day."""
USED_EVERY_US: Final = 300_000_000
"""How exactly it is known when a token was last used: five minutes, as each time is a write. Ours."""
_NOBODY: Final = "0" * 64
_NAME: Final = re.compile(r"[^\s/?#]{1,128}")


class Account(NamedTuple):
    """What a new account is to be. `clinician_id` is of a clinician, and of nobody else."""

    name: str
    clinic: str
    role: Role
    clinician_id: str | None = None


class Added(NamedTuple):
    """A new account, and its one-time password where none was given."""

    user: User
    password: SecretStr | None


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token: never its secret."""

    id: str
    user: str
    name: str
    clinic: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None

    def valid(self, now: int) -> bool:
        """Whether it still opens the door."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class NewToken(NamedTuple):
    """A token and its text, `kwu_<id>_<secret>`: shown once, stored nowhere."""

    row: TokenRow
    text: SecretStr


class Bearer(NamedTuple):
    """Whose token a request carries."""

    user: User
    token_id: str


def normal_name(name: str) -> str:
    """The form of a name by which accounts are told apart: as people type it, whatever the case.

    >>> normal_name("A.Müller")
    'a.müller'
    """
    return unicodedata.normalize("NFC", name.strip()).casefold()


def is_name(name: str) -> bool:
    """Whether an account may have a name, which is in its normal form."""
    return _NAME.fullmatch(name) is not None and name.isprintable()


def add(
    connection: sa.Connection,
    account: Account,
    by: Actor,
    now: int,
    *,
    passwords: Passwords,
    password: str | None = None,
) -> Added:
    """A new account. Without a password it gets a one-time one, to be changed at the first log-in.

    Raises `ValueError` that says what to change: a name that is taken or none, a role that is none, a password too easy.
    """
    name = normal_name(account.name)
    _check(account, name)
    alone(connection, "users")
    if _row_named(connection, name) is not None:
        raise ValueError(f"there is a user {name!r} already; names are of one user each, in all clinics")
    given = one_time() if password is None else _chosen(password, name)
    row = {
        "id": f"u-{secrets.token_hex(6)}",
        "name": name,
        "clinic": account.clinic,
        "role": account.role,
        "clinician_id": account.clinician_id,
        "password": passwords.hashed(given.get_secret_value()),
        "password_at": now,
        "must_change": password is None,
        "created_at": now,
        "removed_at": None,
    }
    connection.execute(sa.insert(users), row)
    user = find_user(connection, str(row["id"]))
    assert user is not None
    _note(connection, user, "user.added", by, now)
    return Added(user, given if password is None else None)


def everyone(connection: sa.Connection, clinic: str | None = None) -> Sequence[User]:
    """The accounts in use, of one clinic or all, by clinic and name."""
    query = sa.select(users).where(users.c.removed_at.is_(None)).order_by(users.c.clinic, users.c.name)
    found = connection.execute(query if clinic is None else query.where(users.c.clinic == clinic))
    return [user_of(row) for row in found]


def named(connection: sa.Connection, name: str) -> User:
    """The account in use of this name. Raises `ValueError` where there is none."""
    row = _row_named(connection, normal_name(name))
    if row is None:
        raise ValueError(f"there is no user {name!r}; `keepwell users list` shows them")
    return user_of(row)


def find_user(connection: sa.Connection, user_id: str) -> User | None:
    """The account in use of this pseudonym."""
    row = connection.execute(sa.select(users).where(users.c.id == user_id, users.c.removed_at.is_(None))).one_or_none()
    return None if row is None else user_of(row)


def remove(connection: sa.Connection, user: User, by: Actor, now: int) -> None:
    """Ends an account, its sessions and tokens at once. The audit goes on naming it."""
    connection.execute(sa.update(users).where(users.c.id == user.id).values(removed_at=now, password=None))
    connection.execute(
        sa.update(tokens).where(tokens.c.user == user.id, tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    browser.end_all(connection, user.id, now)
    _note(connection, user, "user.removed", by, now)


def set_password(
    connection: sa.Connection, user: User, by: Actor, now: int, *, passwords: Passwords, password: str | None = None
) -> SecretStr | None:
    """A new password for somebody, or a one-time one, which is returned; ends the user's sessions everywhere.

    Raises `ValueError` that says what to change.
    """
    if user.by_provider:
        raise ValueError(f"{user.name!r} logs in through your OpenID provider, and has no password here")
    given = one_time() if password is None else _chosen(password, user.name)
    connection.execute(
        sa.update(users)
        .where(users.c.id == user.id)
        .values(password=passwords.hashed(given.get_secret_value()), password_at=now, must_change=password is None)
    )
    browser.end_all(connection, user.id, now)
    _note(connection, user, "password.set", by, now)
    return given if password is None else None


def issue_token(
    connection: sa.Connection, user: User, by: Actor, now: int, *, expires_at: int | None = None
) -> NewToken:
    """A bearer token for a program that acts as this user."""
    number, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = {
        "id": f"kwt-{number}",
        "user": user.id,
        "sha256": digest(secret),
        "created_at": now,
        "expires_at": expires_at,
    }
    connection.execute(sa.insert(tokens), row)
    _note(connection, user, "token.made", by, now, thing=str(row["id"]))
    kept = TokenRow(
        id=str(row["id"]),
        user=user.id,
        name=user.name,
        clinic=user.clinic,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
    )
    return NewToken(kept, SecretStr(f"{SCHEME}_{number}_{secret}"))


def all_tokens(connection: sa.Connection, clinic: str | None = None) -> Sequence[TokenRow]:
    """The tokens that were not revoked, of one clinic or all, by user and age."""
    query = (
        _tokens()
        .where(tokens.c.revoked_at.is_(None))
        .order_by(users.c.clinic, users.c.name, tokens.c.created_at, tokens.c.id)
    )
    found = connection.execute(query if clinic is None else query.where(users.c.clinic == clinic))
    return [TokenRow(**row) for row in found.mappings()]


def revoke(connection: sa.Connection, token_id: str, by: Actor, now: int, *, clinic: str | None = None) -> TokenRow:
    """Ends a token at once. Raises `ValueError` where there is none of this id (in the clinic)."""
    query = _tokens().where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    found = (
        connection.execute(query if clinic is None else query.where(users.c.clinic == clinic)).mappings().one_or_none()
    )
    if found is None:
        raise ValueError(f"there is no token {token_id!r}; `keepwell users tokens` shows them")
    connection.execute(sa.update(tokens).where(tokens.c.id == token_id).values(revoked_at=now))
    row = TokenRow(**found)
    append(connection, now, AuditEntry(clinic=row.clinic, by=by, action="token.revoked", object=token_id))
    return msgspec.structs.replace(row, revoked_at=now)


def find(engine: sa.Engine, token: str, now: int) -> Bearer | None:
    """Whose valid token this is; None for any other text. Notes now and then that it was used."""
    scheme, _, rest = token.partition("_")
    number, _, secret = rest.partition("_")
    with engine.connect().execution_options(reads=True) as connection:
        row = connection.execute(
            sa.select(users, tokens.c.sha256, tokens.c.last_used_at, tokens.c.id.label("token_id"))
            .join(tokens, tokens.c.user == users.c.id)
            .where(
                tokens.c.id == f"kwt-{number}",
                tokens.c.revoked_at.is_(None),
                sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now),
                users.c.removed_at.is_(None),
            )
        ).one_or_none()
    same = hmac.compare_digest(row.sha256 if row else _NOBODY, digest(secret))
    if row is None or not same or scheme != SCHEME:
        return None
    if row.last_used_at is None or now - row.last_used_at >= USED_EVERY_US:
        with engine.begin() as connection:
            connection.execute(sa.update(tokens).where(tokens.c.id == row.token_id).values(last_used_at=now))
    return Bearer(user_of(row), row.token_id)


def _tokens() -> sa.Select[tuple[object, ...]]:
    columns = [tokens.c[name] for name in ("id", "user", "created_at", "expires_at", "revoked_at", "last_used_at")]
    return sa.select(*columns, users.c.name, users.c.clinic).join(users, users.c.id == tokens.c.user)


def _row_named(connection: sa.Connection, name: str) -> sa.Row[tuple[object, ...]] | None:
    return connection.execute(sa.select(users).where(users.c.name == name, users.c.removed_at.is_(None))).one_or_none()


def _check(account: Account, name: str) -> None:
    if not is_name(name):
        raise ValueError("a name is 1 to 128 letters, digits or signs, without blanks, `/`, `?` and `#`")
    if not re.fullmatch(CLINIC_PATTERN, account.clinic):
        raise ValueError(f"{account.clinic!r} is no clinic: lower-case letters, digits and hyphens, as in `source`")
    if account.role not in ROLES:
        raise ValueError(f"{account.role!r} is no role: one of {', '.join(ROLES)}")
    if (account.role == "clinician") != bool(account.clinician_id):
        raise ValueError("a clinician needs the clinician_id of the events (--clinician), and nobody else has one")


def _chosen(password: str, name: str) -> SecretStr:
    against = objection(password, name)
    if against is not None:
        raise ValueError(render(against))
    return SecretStr(password)


def _note(
    connection: sa.Connection, user: User, action: Action, by: Actor, now: int, *, thing: str | None = None
) -> None:
    append(connection, now, AuditEntry(clinic=user.clinic, by=by, action=action, object=thing or user.id))
