"""Consumer groups in a SQLite file: who is a member, whose lease has run out, who owns which partition.

A member is a row with a heartbeat. A partition moves when its owner polls and finds that another shall have it, or when
the owner's row is gone: it left, its lease ran out, or another joined under its name. A commit is refused without the row,
inside the transaction that would write; so nothing that a member holds can be taken from it and written by it as well.

Every function but `alive` runs inside a write transaction of the caller. Every change moves the group's generation, which is
all that a member looks at between two changes.
"""

from __future__ import annotations

import sqlite3
import time
from typing import NamedTuple

from keepwell.streams.log import Fenced
from keepwell.streams.rules import assign
from keepwell.streams.sqlite.records import StoredTopic


class Seat(NamedTuple):
    """A membership: the row of the group, the row of the member."""

    group: int
    member: int


def admit(db: sqlite3.Connection, name: str, topic: StoredTopic, instance: str, lease: int) -> Seat:
    """A seat for a new member, in the place of whoever sits there under the same instance. `lease` in ms."""
    db.execute("INSERT OR IGNORE INTO groups (name, topic) VALUES (?, ?)", (name, topic.name))
    (group,) = db.execute("SELECT id FROM groups WHERE name = ? AND topic = ?", (name, topic.name)).fetchone()
    db.executemany(
        "INSERT OR IGNORE INTO owners (group_id, number) VALUES (?, ?)", [(group, n) for n in range(topic.partitions)]
    )
    former = db.execute("SELECT id FROM members WHERE group_id = ? AND instance = ?", (group, instance)).fetchone()
    if former is not None:
        db.execute("DELETE FROM members WHERE id = ?", former)
    seat = Seat(group, _add(db, group, instance, lease))
    if former is not None:
        db.execute("UPDATE owners SET owner = ? WHERE group_id = ? AND owner = ?", (seat.member, group, *former))
        db.execute("UPDATE owners SET wanted = ? WHERE group_id = ? AND wanted = ?", (seat.member, group, *former))
    else:
        _reassign(db, group)
    _turn(db, group)
    return seat


def settle(db: sqlite3.Connection, seat: Seat) -> tuple[frozenset[int], int]:
    """Renews the lease, ends those that ran out, gives up and takes what this member shall.

    Returns the numbers of the partitions it owns now and the group's generation. Raises `Fenced` where it has no seat.
    """
    renew(db, seat)
    changed = _end_leases(db, seat)
    changed |= _changes(
        db, "UPDATE owners SET owner = NULL WHERE group_id = ? AND owner = ? AND wanted IS NOT ?", (*seat, seat.member)
    )
    changed |= _changes(
        db,
        "UPDATE owners SET owner = ? WHERE group_id = ? AND wanted = ? AND owner IS NULL",
        (seat.member, seat.group, seat.member),
    )
    if changed:
        _turn(db, seat.group)
    owned = db.execute("SELECT number FROM owners WHERE group_id = ? AND owner = ?", seat).fetchall()
    return frozenset(number for (number,) in owned), generation(db, seat)


def renew(db: sqlite3.Connection, seat: Seat) -> None:
    """A heartbeat. Raises `Fenced` where the seat is taken."""
    if not _changes(db, "UPDATE members SET beat = ? WHERE id = ?", (_now(), seat.member)):
        raise Fenced("another member took over: nothing was written")


def dismiss(db: sqlite3.Connection, seat: Seat) -> None:
    """Frees what a member holds for the others. Does nothing where it has no seat any more."""
    if _changes(db, "DELETE FROM members WHERE id = ?", (seat.member,)):
        db.execute("UPDATE owners SET owner = NULL WHERE group_id = ? AND owner = ?", seat)
        _reassign(db, seat.group)
        _turn(db, seat.group)


def generation(db: sqlite3.Connection, seat: Seat) -> int:
    """A number that changes with every change of members and owners."""
    found: int = db.execute("SELECT generation FROM groups WHERE id = ?", (seat.group,)).fetchone()[0]
    return found


def alive(db: sqlite3.Connection, name: str, topic: str) -> list[str]:
    """The instances in a group whose lease runs, sorted. Needs no transaction."""
    rows = db.execute(
        "SELECT instance FROM members JOIN groups ON groups.id = group_id"
        " WHERE name = ? AND topic = ? AND beat <= ? AND beat + lease > ? ORDER BY instance",
        (name, topic, now := _now(), now),
    )
    return [instance for (instance,) in rows]


def _add(db: sqlite3.Connection, group: int, instance: str, lease: int) -> int:
    row = (group, instance, _now(), lease)
    member = db.execute("INSERT INTO members (group_id, instance, beat, lease) VALUES (?, ?, ?, ?)", row).lastrowid
    assert member is not None
    return member


def _end_leases(db: sqlite3.Connection, seat: Seat) -> bool:
    now = _now()
    ended = db.execute(
        # A heartbeat ahead of now was made before the machine started anew.
        "SELECT group_id, id FROM members WHERE group_id = ? AND id <> ? AND (beat > ? OR beat + lease <= ?)",
        (*seat, now, now),
    ).fetchall()
    for other in ended:
        dismiss(db, Seat(*other))
    return bool(ended)


def _reassign(db: sqlite3.Connection, group: int) -> None:
    members = [row[0] for row in db.execute("SELECT id FROM members WHERE group_id = ? ORDER BY id", (group,))]
    rows = db.execute("SELECT number, wanted FROM owners WHERE group_id = ?", (group,)).fetchall()
    after = assign(members, len(rows), dict(rows))
    db.executemany(
        "UPDATE owners SET wanted = ? WHERE group_id = ? AND number = ?",
        [(after.get(number), group, number) for number, _ in rows],
    )


def _turn(db: sqlite3.Connection, group: int) -> None:
    db.execute("UPDATE groups SET generation = generation + 1 WHERE id = ?", (group,))


def _changes(db: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> bool:
    return db.execute(statement, values).rowcount > 0


def _now() -> int:
    """ms on the machine's monotonic clock, the same for all processes: setting the wall clock ends no lease."""
    return time.monotonic_ns() // 1_000_000
