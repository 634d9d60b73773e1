"""Records in a SQLite file: writing, reading, compacting and deleting them inside a transaction of the caller.

Compaction is paid by writers, in the transaction that writes: once the records of a partition that were never cleaned
outnumber those that were, each write cleans the next slice. A partition is thus read at a cost of at most twice its live
keys plus `SLICE` records, and nobody ever waits for a long cleaning. A cleaned record is removed only by a newer one of
its key, which the table `heads` finds; a deletion is removed when it is old enough for every reader to have seen it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from keepwell.streams.log import Header, Message, Partition, Record

SLICE = 1000
"""Records cleaned at a time, some 5 ms; fewer than that are never worth cleaning."""

FETCH_BYTES = 16 * 1024 * 1024
"""Where one fetch stops, after the record that passes it, so that large records do not fill the memory."""

_SHIFT = 40
_OFFSET = (1 << _SHIFT) - 1
_write_headers = msgspec.msgpack.Encoder().encode
_read_headers = msgspec.msgpack.Decoder(tuple[Header, ...]).decode


class StoredTopic(NamedTuple):
    """A topic in the file. Partition `n` has the id `base + n`."""

    name: str
    base: int
    partitions: int
    cleanup: str
    compacted: bool


Target = tuple[StoredTopic, int, Message]
"""A message and the partition of the topic it goes to."""


class StoredRecord(NamedTuple):
    """A record that is to be removed."""

    place: int
    key: bytes | None


def insert(db: sqlite3.Connection, targets: Sequence[Target], now: int, forgotten: int) -> list[tuple[Partition, int]]:
    """Writes messages at the ends of their partitions and returns their places; cleans where it is due.

    `now` is the timestamp, and deletions before `forgotten` may go, both in ms since 1970.
    """
    ends: dict[int, int] = {}
    written: dict[int, tuple[StoredTopic, Partition, int]] = {}
    rows, places = [], []
    for topic, number, message in targets:
        identity = topic.base + number
        if identity not in ends:
            ends[identity] = bounds(db, identity)[1]
            written[identity] = topic, Partition(topic.name, number), ends[identity]
        offset = ends[identity]
        ends[identity] = offset + 1
        _, key, value, headers, _ = message
        rows.append((identity << _SHIFT | offset, key, now, _write_headers(headers) if headers else None, value))
        places.append((written[identity][1], offset))
    db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
    db.executemany("UPDATE partitions SET next = ? WHERE id = ?", [(end, identity) for identity, end in ends.items()])
    for identity, (topic, _, start) in written.items():
        if topic.compacted:
            _clean_if_due(db, identity, ends[identity] - start, forgotten)
    return places


def fetch(db: sqlite3.Connection, partition: Partition, identity: int, offsets: range, limit: int) -> list[Record]:
    """The first records among `offsets`, at most `limit`, and not many more than `FETCH_BYTES`."""
    cursor = db.execute(
        f"SELECT place & {_OFFSET}, key, value, headers, timestamp FROM records WHERE place >= ? AND place < ? LIMIT ?",
        (_place(identity, offsets.start), _place(identity, offsets.stop), limit),
    )
    records = []
    size = 0
    for offset, key, value, headers, timestamp in cursor:
        records.append(Record(partition, offset, key, value, _read_headers(headers) if headers else (), timestamp))
        if value is not None:
            size += len(value)
            if size > FETCH_BYTES:
                break
    # A cursor left half way would keep its snapshot, and with it the write-ahead log from starting over.
    cursor.close()
    return records


def bounds(db: sqlite3.Connection, identity: int) -> tuple[int, int]:
    """The first offset held (a hole where compaction made one) and the next to be written."""
    first, end = db.execute("SELECT first, next FROM partitions WHERE id = ?", (identity,)).fetchone()
    return first, end


def clean(db: sqlite3.Connection, identity: int, count: int, forgotten: int) -> bool:
    """Cleans the next `count` offsets of a partition; returns whether some are left."""
    end, cleaned, live = _state(db, identity)
    reach = min(end, cleaned + count)
    low, high = _place(identity, cleaned), _place(identity, reach)
    newest: dict[bytes, int] = {}
    outdated = []
    for key, place in db.execute("SELECT key, place FROM records WHERE place >= ? AND place < ?", (low, high)):
        if key in newest:
            outdated.append((newest[key],))
        newest[key] = place
    db.executemany("DELETE FROM records WHERE place = ?", outdated)
    heads = db.executemany(
        "DELETE FROM records WHERE place = (SELECT place FROM heads WHERE partition = ? AND key = ?)",
        [(identity, key) for key in newest],
    )
    live += len(newest) - max(heads.rowcount, 0)
    db.executemany("INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", [(identity, *head) for head in newest.items()])
    live -= _forget(db, identity, high, forgotten)
    db.execute("UPDATE partitions SET cleaned = ?, live = ? WHERE id = ?", (reach, live, identity))
    return reach < end


def purges(db: sqlite3.Connection, identity: int) -> int:
    """How often records of a partition were removed for good: a reader that sees it change has seen too much."""
    (count,) = db.execute("SELECT purges FROM partitions WHERE id = ?", (identity,)).fetchone()
    return int(count)


def all_purges(db: sqlite3.Connection) -> tuple[int, int]:
    """How often records were removed for good in all partitions, and how often when the file was last written anew."""
    found: tuple[int, int] = db.execute(
        "SELECT (SELECT coalesce(sum(purges), 0) FROM partitions), (SELECT purges FROM rewritten)"
    ).fetchone()
    return found


def note_rewritten(db: sqlite3.Connection, removed: int) -> None:
    """Notes that the file was written anew after so many removals."""
    db.execute("UPDATE rewritten SET purges = max(purges, ?)", (removed,))


def taken_back(db: sqlite3.Connection, identity: int) -> list[StoredRecord]:
    """The records of a partition that deletions took back, and the deletions. Reads it up to the last deletion."""
    low, high = _place(identity, 0), _place(identity + 1, 0)
    deleted: dict[bytes, int] = dict(
        db.execute(
            "SELECT key, max(place) FROM records WHERE value IS NULL AND place >= ? AND place < ? GROUP BY key",
            (low, high),
        )
    )
    if not deleted:
        return []
    rows = db.execute("SELECT place, key FROM records WHERE place >= ? AND place <= ?", (low, max(deleted.values())))
    return [StoredRecord(place, key) for place, key in rows if place <= deleted.get(key, -1)]


def at(db: sqlite3.Connection, identity: int, offsets: Collection[int]) -> list[StoredRecord]:
    """The records of a partition at these offsets."""
    asked = (db.execute("SELECT place, key FROM records WHERE place = ?", (_place(identity, n),)) for n in offsets)
    return [StoredRecord(*row) for rows in asked for row in rows]


def remove(db: sqlite3.Connection, identity: int, found: Sequence[StoredRecord]) -> None:
    """Removes records of a partition, and their heads."""
    db.executemany("DELETE FROM records WHERE place = ?", [(place,) for place, _ in found])
    heads = db.executemany(
        "DELETE FROM heads WHERE partition = ? AND key = ? AND place = ?",
        [(identity, key, place) for place, key in found],
    )
    db.execute(
        "UPDATE partitions SET live = live - ?, purges = purges + 1 WHERE id = ?", (max(heads.rowcount, 0), identity)
    )


def trim(db: sqlite3.Connection, identity: int, before: int, count: int) -> bool:
    """Removes the records below an offset, of the first `count` offsets; returns whether some are left."""
    first, end = bounds(db, identity)
    before = min(before, end)
    reach = min(before, first + count)
    if reach > first:
        low, high = _place(identity, first), _place(identity, reach)
        db.execute("DELETE FROM records WHERE place >= ? AND place < ?", (low, high))
        gone = db.execute("DELETE FROM heads WHERE partition = ? AND place < ?", (identity, high)).rowcount
        db.execute(
            "UPDATE partitions SET first = ?, cleaned = max(cleaned, ?), live = live - ? WHERE id = ?",
            (reach, reach, gone, identity),
        )
    return reach < before


def _clean_if_due(db: sqlite3.Connection, identity: int, added: int, forgotten: int) -> None:
    end, cleaned, live = _state(db, identity)
    if end - cleaned >= max(SLICE, live):
        # Twice what came in, so that cleaning keeps up with any writer.
        clean(db, identity, max(SLICE, 2 * added), forgotten)


def _forget(db: sqlite3.Connection, identity: int, high: int, forgotten: int) -> int:
    """Removes cleaned deletions older than `forgotten`: each is the only record of its key. Returns how many."""
    old = db.execute(
        "SELECT place, key FROM records WHERE value IS NULL AND place >= ? AND place < ? AND timestamp < ?",
        (_place(identity, 0), high, forgotten),
    ).fetchall()
    db.executemany("DELETE FROM records WHERE place = ?", [(place,) for place, _ in old])
    db.executemany("DELETE FROM heads WHERE partition = ? AND key = ?", [(identity, key) for _, key in old])
    return len(old)


def _state(db: sqlite3.Connection, identity: int) -> tuple[int, int, int]:
    end, cleaned, live = db.execute("SELECT next, cleaned, live FROM partitions WHERE id = ?", (identity,)).fetchone()
    return end, cleaned, live


def _place(identity: int, offset: int) -> int:
    return identity << _SHIFT | min(max(offset, 0), _OFFSET)
