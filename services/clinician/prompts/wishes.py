"""What a user wishes to be told of, and where: an address for mail, the digest, pushes by kind. Safety is always told."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
import sqlalchemy as sa

from keepwell.contract.words import AlertKind
from services.clinician.database import upsert
from services.clinician.prompts.tables import notice_wishes

PUSHED: Final[tuple[AlertKind, ...]] = tuple(kind for kind in get_args(AlertKind) if kind != "safety")
"""The kinds of alerts that a user can have or not have pushed."""

WISHED: Final = ("mail", "digest", "pushes")
"""The columns that wishes stand in."""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """A user's. `mail` is None where no mail is wished."""

    mail: str | None = None
    digest: bool = True
    pushes: frozenset[str] = frozenset(PUSHED)


def wishes_of(connection: sa.Connection, user: str) -> Wishes:
    """A user's wishes, or the defaults."""
    row = connection.execute(sa.select(notice_wishes).where(notice_wishes.c.user == user)).first()
    return Wishes() if row is None else read(row)


def keep(connection: sa.Connection, user: str, wishes: Wishes) -> None:
    """Writes a user's wishes down."""
    row = {
        "user": user, "mail": wishes.mail, "digest": wishes.digest, "pushes": " ".join(sorted(wishes.pushes)),
    }  # fmt: skip
    connection.execute(upsert(connection, notice_wishes, WISHED), [row])


def read(row: sa.Row[Any]) -> Wishes:
    """The wishes that a row of the table holds."""
    return Wishes(mail=row.mail, digest=row.digest, pushes=frozenset(row.pushes.split()))
