"""Sessions of browsers, kept on the server: opened at each log-in, found at each request, ended by time or by hand.

The cookie holds 256 random bits and means nothing by itself; the table has their SHA-256. A session ends by itself after
30 minutes without a request, and 12 hours after the log-in however busy. Times are µs since 1970 UTC.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final, NamedTuple

import sqlalchemy as sa
from pydantic import SecretStr

from services.clinician.people.tables import browser_sessions, users
from services.clinician.people.who import User, digest, user_of

IDLE_US: Final = 30 * 60_000_000
"""OWASP Session Management Cheat Sheet: 15 to 30 minutes for applications of low risk; ours the longer one, as a session of
therapy fills most of an hour anyway and the next look begins with a log-in."""
LONGEST_US: Final = 12 * 3_600_000_000
"""The same page: as long as an office worker's day (4 to 8 hours), and ours with an evening's practice. NIST SP 800-63B-4,
section 2.2.3 advises at most 24."""
SEEN_EVERY_US: Final = 60_000_000
"""How exactly it is known when a session was last used: a minute, as each time is a write. Ours."""
KEPT_US: Final = 30 * 86_400_000_000
"""How long a session that is over stays on record (`services.clinician.people.limits`). Ours."""


class Opened(NamedTuple):
    """A new session: what the cookie holds, and the token that forms and scripts send along."""

    cookie: SecretStr
    csrf: SecretStr


class BrowserSession(NamedTuple):
    """A session that is open: whose it is, the token that forms and scripts send along, and its key in the table."""

    user: User
    csrf: SecretStr
    key: str


def open_session(connection: sa.Connection, user: User, address: str, now: int) -> Opened:
    """A session after a log-in, with an id that nobody could have known before. `address` is a digest.

    Forgets sessions of this user that are long over.
    """
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    connection.execute(
        sa.delete(browser_sessions).where(
            browser_sessions.c.user == user.id, browser_sessions.c.expires_at < now - KEPT_US
        )
    )
    connection.execute(
        sa.insert(browser_sessions),
        {
            "sha256": digest(cookie),
            "user": user.id,
            "csrf": csrf,
            "address": address,
            "created_at": now,
            "seen_at": now,
            "expires_at": now + LONGEST_US,
        },
    )
    return Opened(SecretStr(cookie), SecretStr(csrf))


def find(engine: sa.Engine, cookie: str, now: int, *, wakes: bool = True) -> BrowserSession | None:
    """The open session of a cookie; None where there is none. `wakes`: the request counts as use."""
    return find_by_key(engine, digest(cookie), now, wakes=wakes)


def find_by_key(engine: sa.Engine, key: str, now: int, *, wakes: bool = False) -> BrowserSession | None:
    """As `find`, by `BrowserSession.key`: what long answers ask from time to time."""
    with engine.connect().execution_options(reads=True) as connection:
        row = connection.execute(
            sa.select(users, browser_sessions.c.csrf, browser_sessions.c.seen_at)
            .join(browser_sessions, browser_sessions.c.user == users.c.id)
            .where(
                browser_sessions.c.sha256 == key,
                browser_sessions.c.ended_at.is_(None),
                browser_sessions.c.seen_at > now - IDLE_US,
                browser_sessions.c.expires_at > now,
                users.c.removed_at.is_(None),
            )
        ).one_or_none()
    if row is None:
        return None
    if wakes and now - row.seen_at >= SEEN_EVERY_US:
        with engine.begin() as connection:
            connection.execute(
                sa.update(browser_sessions)
                .where(browser_sessions.c.sha256 == key, browser_sessions.c.seen_at < now)
                .values(seen_at=now)
            )
    return BrowserSession(user_of(row), SecretStr(row.csrf), key)


def end(connection: sa.Connection, key: str, now: int) -> None:
    """Ends one session: signs out here."""
    _end(connection, browser_sessions.c.sha256 == key, now)


def end_all(connection: sa.Connection, user_id: str, now: int) -> None:
    """Ends every session of a user: signs out everywhere."""
    _end(connection, browser_sessions.c.user == user_id, now)


def is_the_same(csrf: SecretStr, sent: str) -> bool:
    """Whether what a form or script sent along is the session's token. Takes the same time either way."""
    return hmac.compare_digest(csrf.get_secret_value().encode(), sent.encode())


def _end(connection: sa.Connection, which: sa.ColumnElement[bool], now: int) -> None:
    connection.execute(
        sa.update(browser_sessions).where(which, browser_sessions.c.ended_at.is_(None)).values(ended_at=now)
    )
