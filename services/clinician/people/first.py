"""How a new installation gets its first user: a link that opens once, for each clinic that sends events."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import sqlalchemy as sa
from pydantic import SecretStr

from services.clinician.people import links


class FirstLink(NamedTuple):
    """The end of a link to `/welcome`, and the clinic whose first administrator it makes."""

    clinic: str
    key: SecretStr


def first_links(engine: sa.Engine, clinics: Collection[str], now: int) -> list[FirstLink]:
    """A link for each of these clinics while there is no account at all; links made before are void. `now` in µs."""
    with engine.begin() as connection:
        if not links.nobody_yet(connection):
            return []
        return [
            FirstLink(clinic, links.make(connection, links.FIRST_ADMINISTRATOR, clinic, now))
            for clinic in sorted(clinics)
        ]
