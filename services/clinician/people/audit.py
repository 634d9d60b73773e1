"""The audit: who saw and did what, insert-only, one hash chain a clinic, which outlives that a client is erased.

Each entry's hash is SHA-256 over the entry and the hash before it, so that an entry that was changed, left out or put in
between breaks the chain. What can tell of a client (the episode and what was acted on) is not hashed itself: `about` is
SHA-256 over it and a random salt of this entry, and the hash covers `about`. Erasing a client empties episode, object and
salt, and leaves `about`: without the salt nobody can find out by trying whom it was about, and the chain still holds. Each
erasure is an entry that says how many entries it emptied; more emptied ones than these say are tampering.

A chain cannot tell that its newest entries were cut off, nor stand against somebody who computes all of it anew: note its
head (`Verdict.seq`, `Verdict.hash`) elsewhere from time to time, and verify against it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from keepwell.contract.events import rfc3339
from services.clinician.people.alone import alone
from services.clinician.people.tables import audit, users
from services.clinician.people.who import Actor

Action = Literal[
    "caseload.seen",
    "episode.seen",
    "together.seen",
    "alert.seen",
    "answer.given",
    "answer.retracted",
    "repair.recorded",
    "team.seen",
    "audit.seen",
    "audit.exported",
    "looks.asked",
    "signed.in",
    "signed.out",
    "sessions.ended",
    "user.added",
    "user.changed",
    "user.removed",
    "password.set",
    "token.made",
    "token.revoked",
    "cover.granted",
    "cover.ended",
    "link.made",
    "link.used",
    "client.erased",
]
"""Everything that is recorded."""

FIRST: Final = "0" * 64
"""What stands before the first entry of a chain."""
_ERASED: Final = "client.erased"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing seen or done. `episode` is `<clinic>/<subject>`, `object` what was acted on (an alert, a user)."""

    clinic: str
    by: Actor
    action: Action
    episode: str | None = None
    object: str | None = None


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it stands in the chain, and as a line of the export. `at` is RFC 3339 there and in `at_us` µs."""

    clinic: str
    seq: int
    at: str
    at_us: int
    user: str
    role: str
    action: str
    episode: str | None
    object: str | None
    erased: bool
    """It told of a client who is erased now."""
    about: str | None
    salt: str | None
    previous: str
    hash: str


class Verdict(NamedTuple):
    """What a look at a chain found: how many entries hold, how many are of erased clients, and the head of what holds.

    `broken_at` is the number of the first entry that does not hold, None where all do; `why` says what is wrong with it.
    """

    entries: int
    emptied: int
    seq: int
    hash: str
    broken_at: int | None = None
    why: str | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken_at is None


class Head(NamedTuple):
    """The end of a chain at some moment, noted elsewhere."""

    seq: int
    hash: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody saw or did something about a client. `name` is the account's; None of somebody who has none."""

    at: str
    user: str
    name: str | None
    role: str
    action: str


def append(connection: sa.Connection, now: int, *entries: AuditEntry) -> None:
    """Adds entries, in this transaction: they are there exactly if what they tell of is. `now` in µs.

    Waits for other transactions that add to the same clinics, so a chain has no forks. Call it late in the transaction.
    """
    for clinic in sorted({entry.clinic for entry in entries}):
        alone(connection, f"audit/{clinic}")
        seq, previous = _head(connection, clinic)
        rows = []
        for entry in entries:
            if entry.clinic == clinic:
                seq += 1
                row = _row(entry, seq, now, previous)
                previous = str(row["hash"])
                rows.append(row)
        connection.execute(sa.insert(audit), rows)


def forget(connection: sa.Connection, now: int, clinic: str, episode: str, by: Actor) -> int:
    """Empties what tells of an erased client in every entry, and records that it happened, not to whom. Returns how many.

    Done again it finds nothing, and records nothing.
    """
    alone(connection, f"audit/{clinic}")
    emptied = connection.execute(
        sa.update(audit)
        .where(audit.c.clinic == clinic, audit.c.episode == episode)
        .values(episode=None, object=None, salt=None)
    ).rowcount
    if emptied:
        append(connection, now, AuditEntry(clinic=clinic, by=by, action=_ERASED, object=str(emptied)))
    return emptied


def rows(connection: sa.Connection, clinic: str, after: int = 0) -> Iterator[AuditRow]:
    """The chain of a clinic behind the entry `after`, in order, read in pieces."""
    found = connection.execution_options(yield_per=1000).execute(
        sa.select(audit).where(audit.c.clinic == clinic, audit.c.seq > after).order_by(audit.c.seq)
    )
    for row in found.mappings():
        told = {name: row[name] for name in AuditRow.__struct_fields__ if name in row}
        told |= {"at": rfc3339(row["at"]), "at_us": row["at"], "erased": _is_emptied(row["about"], row["salt"])}
        yield AuditRow(**told)


def export(connection: sa.Connection, clinic: str) -> Iterator[bytes]:
    """The chain as JSON lines, which `verify` can look at anywhere: `verify(parsed(lines))`."""
    for row in rows(connection, clinic):
        yield msgspec.json.encode(row) + b"\n"


def parsed(lines: Iterable[bytes]) -> Iterator[AuditRow]:
    """An export as entries. Raises `msgspec.MsgspecError` for a line that is none."""
    for line in lines:
        yield msgspec.json.decode(line, type=AuditRow)


def verify(chain: Iterable[AuditRow], noted: Head | None = None) -> Verdict:
    """Looks whether a whole chain, in order, is as it was written; with `noted`, whether it goes on from that head."""
    seq, previous, emptied, told_emptied = 0, FIRST, 0, 0
    for row in chain:
        why = _wrong_with(row, seq + 1, previous, noted)
        if why:
            return Verdict(seq, emptied, seq, previous, row.seq, why)
        seq, previous = row.seq, row.hash
        emptied += row.erased
        told_emptied += int(row.object or 0) if row.action == _ERASED else 0
    if noted and seq < noted.seq:
        return Verdict(seq, emptied, seq, previous, seq + 1, "entries are missing at the end")
    if emptied != told_emptied:
        return Verdict(
            seq, emptied, seq, previous, seq + 1, f"{emptied} entries are emptied, and erasures tell of {told_emptied}"
        )
    return Verdict(seq, emptied, seq, previous)


def who_looked_at(connection: sa.Connection, clinic: str, episode: str) -> Sequence[Look]:
    """Everybody who saw or did something about a client, the newest first: for a request of the client."""
    found = connection.execute(
        sa.select(audit.c.at, audit.c.user, users.c.name, audit.c.role, audit.c.action)
        .select_from(audit.outerjoin(users, users.c.id == audit.c.user))
        .where(audit.c.clinic == clinic, audit.c.episode == episode)
        .order_by(audit.c.seq.desc())
    )
    return [
        Look(at=rfc3339(at), user=user, name=name, role=role, action=action) for at, user, name, role, action in found
    ]


def _head(connection: sa.Connection, clinic: str) -> tuple[int, str]:
    newest = connection.execute(
        sa.select(audit.c.seq, audit.c.hash).where(audit.c.clinic == clinic).order_by(audit.c.seq.desc()).limit(1)
    ).one_or_none()
    return (0, FIRST) if newest is None else (newest.seq, newest.hash)


def _row(entry: AuditEntry, seq: int, now: int, previous: str) -> dict[str, object]:
    told = entry.episode is not None or entry.object is not None
    salt = secrets.token_hex(16) if told else None
    about = None if salt is None else _about(salt, entry.episode, entry.object)
    user, role = entry.by
    return {
        "clinic": entry.clinic,
        "seq": seq,
        "at": now,
        "user": user,
        "role": role,
        "action": entry.action,
        "about": about,
        "episode": entry.episode,
        "object": entry.object,
        "salt": salt,
        "previous": previous,
        "hash": _hash(entry.clinic, seq, now, user, role, entry.action, about, previous),
    }


def _wrong_with(row: AuditRow, seq: int, previous: str, noted: Head | None) -> str | None:
    if row.seq != seq:
        return "entries are missing before it"
    if row.previous != previous:
        return "it does not follow the one before it"
    if row.hash != _hash(row.clinic, row.seq, row.at_us, row.user, row.role, row.action, row.about, row.previous):
        return "it was changed"
    if row.at != rfc3339(row.at_us) or row.erased != _is_emptied(row.about, row.salt):
        return "it was changed"
    if row.salt is None and (row.episode, row.object) != (None, None):
        return "what it is about was changed"
    if row.salt is not None and row.about != _about(row.salt, row.episode, row.object):
        return "what it is about was changed"
    if noted and row.seq == noted.seq and row.hash != noted.hash:
        return "it is not the head that was noted"
    if row.action == _ERASED and not (row.object or "").isdecimal():
        return "an erasure that does not say how much it emptied"
    return None


def _is_emptied(about: str | None, salt: str | None) -> bool:
    return about is not None and salt is None


def _about(salt: str, episode: str | None, thing: str | None) -> str:
    return hashlib.sha256(msgspec.json.encode((salt, episode, thing))).hexdigest()


def _hash(*parts: str | int | None) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
