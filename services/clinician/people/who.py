"""A user as the rest of the clinician's side knows one: account, role, and what a request may see by it."""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec
import sqlalchemy as sa

from services.clinician.views import Viewer

Role = Literal["clinician", "supervisor", "administrator", "data"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""CONTRACT section 5: a user has one of them."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account. `id` is a pseudonym, `u-…`: what answers and the audit carry. Times are µs since 1970 UTC."""

    id: str
    name: str
    clinic: str
    role: Role
    clinician_id: str | None
    must_change: bool
    """Whether a password has to be chosen before anything else."""
    created_at: int
    removed_at: int | None
    by_provider: bool = False
    """Whether an OpenID provider vouches for the user, who then has no password here."""

    def viewer(self, covers: frozenset[str] = frozenset()) -> Viewer:
        """What this user may see, with the clinicians that the user covers for now."""
        return Viewer(user=self.id, role=self.role, clinic=self.clinic, clinician_id=self.clinician_id, covers=covers)

    @property
    def actor(self) -> Actor:
        """This user, as the audit names who did something."""
        return Actor(self.id, self.role)


class Actor(NamedTuple):
    """Who does something: the pseudonym of a user, and in which role."""

    user: str
    role: str


OPERATOR: Final = Actor("operator", "operator")
"""Whoever runs the commands on the machine: they are no user of a clinic."""
PROVIDER: Final = Actor("provider", "provider")
"""The clinic's OpenID provider, which says who may enter and in which role."""


def user_of(row: sa.Row[Any]) -> User:
    """The user that a row of `users` is."""
    return User(
        id=row.id,
        name=row.name,
        clinic=row.clinic,
        role=row.role,
        clinician_id=row.clinician_id,
        must_change=row.must_change,
        created_at=row.created_at,
        removed_at=row.removed_at,
        by_provider=row.password is None and row.removed_at is None,
    )


def digest(secret: str) -> str:
    """SHA-256 in hex: what is kept of a random secret of 256 bits, which cannot be guessed at any speed."""
    return hashlib.sha256(secret.encode()).hexdigest()
