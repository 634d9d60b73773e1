"""Logging in with name and password: limits, verification and the new session, with one answer for whatever was wrong."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from keepwell.contract.say import render, said
from services.clinician.people import browser, limits
from services.clinician.people.accounts import ONE_TIME_US, normal_name, set_password
from services.clinician.people.audit import AuditEntry, append
from services.clinician.people.browser import Opened
from services.clinician.people.limits import TooMany
from services.clinician.people.passwords import Passwords
from services.clinician.people.tables import users
from services.clinician.people.who import User, digest, user_of


class WrongLogin(NamedTuple):
    """Name or password are wrong, or the one-time password is too old: nobody is told which."""


class SignedIn(NamedTuple):
    """Who logged in, and the new session."""

    user: User
    opened: Opened


def sign_in(
    engine: sa.Engine,
    name: str,
    password: str,
    now: int,
    *,
    passwords: Passwords,
    address: str,
    former: str | None = None,
) -> SignedIn | WrongLogin | TooMany:
    """Opens a session for who knows the password. `address` is the client's host; `former` is the cookie that the browser
    has already, whose session ends. Blocks for some ten milliseconds: call it in a thread.
    """
    name, place = normal_name(name), limits.address_key(address)
    with engine.begin() as connection:
        attempt = limits.begin(connection, name, place, now)
    if isinstance(attempt, TooMany):
        return attempt
    with engine.connect().execution_options(reads=True) as connection:
        row = connection.execute(
            sa.select(users).where(users.c.name == name, users.c.removed_at.is_(None))
        ).one_or_none()
    kept = row.password if row else None
    if not passwords.right(kept, password) or row is None or kept is None:
        return WrongLogin()
    if row.must_change and row.password_at + ONE_TIME_US <= now:
        return WrongLogin()
    anew = passwords.hashed(password) if passwords.stale(kept) else kept
    with engine.begin() as connection:
        same = connection.execute(
            sa.update(users)
            .where(users.c.id == row.id, users.c.password == kept, users.c.removed_at.is_(None))
            .values(password=anew)
        ).rowcount
        if not same:  # changed or removed meanwhile
            return WrongLogin()
        limits.right(connection, attempt)
        if former is not None:
            browser.end(connection, digest(former), now)
        user = user_of(row)
        opened = browser.open_session(connection, user, place, now)
        append(connection, now, AuditEntry(clinic=user.clinic, by=user.actor, action="signed.in"))
    return SignedIn(user, opened)


def sign_out(engine: sa.Engine, user: User, key: str | None, now: int) -> None:
    """Ends the session of this key (`BrowserSession.key`), or with None every session of the user."""
    with engine.begin() as connection:
        if key is None:
            browser.end_all(connection, user.id, now)
        else:
            browser.end(connection, key, now)
        action = AuditEntry(clinic=user.clinic, by=user.actor, action="signed.out" if key else "sessions.ended")
        append(connection, now, action)


def choose_password(
    engine: sa.Engine,
    user: User,
    former: str,
    password: str,
    now: int,
    *,
    passwords: Passwords,
    address: str,
) -> SignedIn | WrongLogin | TooMany:
    """A password that a user chose, who has to know the former one; ends all sessions, and opens one here.

    Wrong former ones count as wrong log-ins. Raises `ValueError` that says what to change about the new one.
    """
    place = limits.address_key(address)
    with engine.begin() as connection:
        attempt = limits.begin(connection, user.name, place, now)
    if isinstance(attempt, TooMany):
        return attempt
    with engine.connect().execution_options(reads=True) as connection:
        kept = connection.execute(
            sa.select(users.c.password).where(users.c.id == user.id, users.c.removed_at.is_(None))
        ).scalar_one_or_none()
    if not passwords.right(kept, former):
        return WrongLogin()
    with engine.begin() as connection:
        limits.right(connection, attempt)
    if passwords.right(kept, password):
        raise ValueError(render(said("Choose a password that is not the one you have")))
    with engine.begin() as connection:
        set_password(connection, user, user.actor, now, passwords=passwords, password=password)
        opened = browser.open_session(connection, user, place, now)
    return SignedIn(user, opened)
