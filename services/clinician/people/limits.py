"""Limits on wrong passwords, an account and an address, counted in the database so that every process knows of each one.

An attempt is written down before its password is looked at, and taken out again when it was right: a hundred attempts at
the same moment count as a hundred. A refused attempt is not counted, so a limit is over 15 minutes after the attempts that
reached it, whoever goes on trying. Where somebody logged in within 30 days only wrong passwords for this account from this
address count: neither strangers elsewhere nor the typing errors of a whole clinic behind one address lock anybody out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import secrets
from typing import Final, NamedTuple

import sqlalchemy as sa

from services.clinician.people.alone import alone
from services.clinician.people.tables import browser_sessions, login_failures, users
from services.clinician.people.who import digest

WINDOW_US: Final = 15 * 60_000_000
"""What is counted together: the last 15 minutes. Ours."""
HERE: Final = 5
"""Wrong passwords for one account from one address. OWASP Authentication Cheat Sheet asks for a threshold; ours is that of
most systems."""
ANYWHERE: Final = 20
"""Wrong passwords for one account from all addresses: 80 an hour, where OWASP ASVS 4.0.3, 2.2.1 allows 100."""
AN_ADDRESS: Final = 50
"""Wrong passwords from one address for all accounts that are new there. Ours."""


class Attempt(NamedTuple):
    """An attempt that may be made. `address` is a digest."""

    id: str
    account: str
    address: str


class TooMany(NamedTuple):
    """It may not be made before so many seconds."""

    seconds: int


def begin(connection: sa.Connection, name: str | None, address: str, now: int) -> Attempt | TooMany:
    """Writes an attempt down as wrong until `right` takes it out, or says how long to wait.

    `name` is what was typed, in its normal form, whether there is such an account or not; None where only the provider knows,
    so that the address alone counts. `address` is `address_key`'s.
    """
    account = secrets.token_hex(32) if name is None else digest(name)
    alone(connection, "login")
    connection.execute(sa.delete(login_failures).where(login_failures.c.at <= now - WINDOW_US))
    mine, here = login_failures.c.account == account, login_failures.c.address == address
    limits = [(sa.and_(mine, here), HERE)]
    if name is None or not _known(connection, name, address, now):
        limits += [(mine, ANYWHERE), (here, AN_ADDRESS)]
    waits = [wait for which, most in limits if (wait := _wait(connection, which, most, now))]
    if waits:
        return TooMany(math.ceil(max(waits) / 1_000_000))
    attempt = Attempt(secrets.token_hex(8), account, address)
    row = {"id": attempt.id, "account": account, "address": address, "at": now}
    connection.execute(sa.insert(login_failures), row)
    return attempt


def right(connection: sa.Connection, attempt: Attempt) -> None:
    """The password was right: forgets this attempt, and wrong ones for the same account from the same address."""
    connection.execute(
        sa.delete(login_failures).where(
            login_failures.c.account == attempt.account, login_failures.c.address == attempt.address
        )
    )


def address_key(host: str) -> str:
    """What an address is counted as: a digest of it, of IPv6 of its /64, which one household or attacker has whole.

    >>> address_key("2001:db8::1") == address_key("2001:db8::ffff"), address_key("::ffff:10.0.0.1") == address_key("10.0.0.1")
    (True, True)
    """
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return _short(host)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return _short(str(found.ipv4_mapped))
        return _short(str(ipaddress.ip_network((int(found), 64), strict=False)))
    return _short(str(found))


def _wait(connection: sa.Connection, which: sa.ColumnElement[bool], most: int, now: int) -> int:
    """µs until fewer than `most` attempts are counted; 0 where that is so."""
    newest = connection.execute(
        sa.select(login_failures.c.at).where(which).order_by(login_failures.c.at.desc()).offset(most - 1).limit(1)
    ).scalar_one_or_none()
    return 0 if newest is None else int(newest) + WINDOW_US - now


def _known(connection: sa.Connection, name: str, address: str, now: int) -> bool:
    """Whether the account of this name has logged in from this address within 30 days."""
    found = connection.execute(
        sa.select(sa.literal(1))
        .select_from(browser_sessions.join(users, users.c.id == browser_sessions.c.user))
        .where(
            users.c.name == name,
            users.c.removed_at.is_(None),
            browser_sessions.c.address == address,
            browser_sessions.c.created_at > now - 30 * 86_400_000_000,
        )
        .limit(1)
    ).scalar_one_or_none()
    return found is not None


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
