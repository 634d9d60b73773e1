"""Accounts that an OpenID provider vouches for: log-ins that a browser began, and the account that is right afterwards."""

from __future__ import annotations

import hmac
import secrets
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from services.clinician.people import accounts, browser, limits
from services.clinician.people.alone import alone
from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.limits import Attempt, TooMany
from services.clinician.people.oidc import Vouched, proof_of
from services.clinician.people.sign_in import SignedIn
from services.clinician.people.tables import covers, provider_accounts, provider_logins, tokens, users
from services.clinician.people.who import PROVIDER, User, digest, user_of

LIVES_US: Final = 600_000_000
"""How long a browser has for logging in at the provider: ten minutes. Ours."""
WAITING: Final = 200
"""Log-ins from one address that were begun and not finished: a whole clinic's, and no flood. Ours."""


def begin(engine: sa.Engine, cookie: SecretStr, address: str, now: int) -> TooMany | None:
    """Notes that a browser begins a log-in; `cookie` is what it is given, `address` its host."""
    place = limits.address_key(address)
    with engine.begin() as connection:
        connection.execute(sa.delete(provider_logins).where(provider_logins.c.expires_at <= now))
        waiting = connection.execute(
            sa.select(sa.func.count()).select_from(provider_logins).where(provider_logins.c.address == place)
        ).scalar_one()
        if waiting >= WAITING:
            return TooMany(LIVES_US // 1_000_000)
        row = {"sha256": digest(cookie.get_secret_value()), "address": place, "expires_at": now + LIVES_US}
        connection.execute(sa.insert(provider_logins), row)
    return None


def come_back(engine: sa.Engine, cookie: str | None, state: str, address: str, now: int) -> Attempt | TooMany | None:
    """An attempt to finish a log-in; None where this browser began none that `state` is of, or finished it already.

    A state of somebody else leaves the log-in of this browser as it was. What is None counts against the address.
    """
    with engine.begin() as connection:
        attempt = limits.begin(connection, None, limits.address_key(address), now)
        if isinstance(attempt, TooMany):
            return attempt
        if not cookie or not hmac.compare_digest(proof_of(SecretStr(cookie)).state.encode(), state.encode()):
            return None
        mine = provider_logins.c.sha256 == digest(cookie)
        used = connection.execute(sa.delete(provider_logins).where(mine, provider_logins.c.expires_at > now)).rowcount
    return attempt if used else None


def forgive(engine: sa.Engine, attempt: Attempt) -> None:
    """Takes back that an attempt counts: it failed by nobody's fault."""
    with engine.begin() as connection:
        limits.right(connection, attempt)


def enter(engine: sa.Engine, who: Vouched, attempt: Attempt, now: int, *, former: str | None) -> SignedIn | None:
    """Opens a session for whom the provider vouches; None where an administrator removed the account.

    An account is made at the first log-in, and gets clinic and role of this one. Where they changed, all that was given to
    the former one ends: sessions, tokens and covers. `former` is the session cookie that the browser has already.
    """
    with engine.begin() as connection:
        alone(connection, "users")
        mine = sa.and_(provider_accounts.c.issuer == who.issuer, provider_accounts.c.subject == who.subject)
        row = connection.execute(
            sa.select(users).join(provider_accounts, provider_accounts.c.user == users.c.id).where(mine)
        ).one_or_none()
        if row is not None and row.removed_at is not None:
            return None
        user = _new(connection, who, now) if row is None else _brought_up_to_date(connection, user_of(row), who, now)
        limits.right(connection, attempt)
        if former is not None:
            browser.end(connection, digest(former), now)
        opened = browser.open_session(connection, user, attempt.address, now)
        append(connection, now, AuditEntry(clinic=user.clinic, by=user.actor, action="signed.in"))
    return SignedIn(user, opened)


def _new(connection: sa.Connection, who: Vouched, now: int) -> User:
    row = {
        "id": f"u-{secrets.token_hex(6)}",
        "name": _free_name(connection, who),
        "clinic": who.clinic,
        "role": who.role,
        "clinician_id": who.clinician_id,
        "password": None,
        "password_at": None,
        "must_change": False,
        "created_at": now,
        "removed_at": None,
    }
    connection.execute(sa.insert(users), row)
    connection.execute(sa.insert(provider_accounts), {"issuer": who.issuer, "subject": who.subject, "user": row["id"]})
    append(connection, now, AuditEntry(clinic=who.clinic, by=PROVIDER, action="user.added", object=str(row["id"])))
    return _found(connection, str(row["id"]))


def _brought_up_to_date(connection: sa.Connection, user: User, who: Vouched, now: int) -> User:
    told = {"clinic": who.clinic, "role": who.role, "clinician_id": who.clinician_id}
    if told == {name: getattr(user, name) for name in told}:
        return user
    connection.execute(sa.update(users).where(users.c.id == user.id).values(told))
    browser.end_all(connection, user.id, now)
    connection.execute(
        sa.update(tokens).where(tokens.c.user == user.id, tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    connection.execute(sa.update(covers).where(covers.c.user == user.id, covers.c.until > now).values(until=now))
    for clinic in sorted({user.clinic, who.clinic}):
        append(connection, now, AuditEntry(clinic=clinic, by=PROVIDER, action="user.changed", object=user.id))
    return _found(connection, user.id)


def _free_name(connection: sa.Connection, who: Vouched) -> str:
    """The provider's name for somebody, with a number where another account has it: accounts are not told apart by it."""
    name = accounts.normal_name(who.name)
    if not accounts.is_name(name):
        name = "clinic-account"
    taken = {one.name for one in accounts.everyone(connection)}
    number = 1
    while (found := name if number == 1 else f"{name[:120]}-{number}") in taken:
        number += 1
    return found


def _found(connection: sa.Connection, user_id: str) -> User:
    user = accounts.find_user(connection, user_id)
    assert user is not None
    return user
