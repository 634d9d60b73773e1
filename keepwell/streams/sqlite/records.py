"""Records in a SQLite file: writing, reading, compacting and deleting them inside a transaction of the caller.

Compaction is paid by writers, in the transaction that writes: once the records of a partition that were never cleaned
outnumber those that were, each write cleans the next slice. A partition is thus read at a cost of at most twice its live
keys plus `SLICE` records, and nobody ever waits for a long cleaning. A cleaned record is removed only by a newer one of
its key, which the table `heads` finds; a deletion is removed when it is old enough for every reader to have seen it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
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


def find_key(db: sqlite3.Connection, topic: StoredTopic, key: bytes, ends: Sequence[int] | None = None) -> list[int]:
    """The places of a key's records in all partitions of a topic, from the offsets `ends` on where they are given."""
    found = []
    for number in range(topic.partitions):
        low = _place(topic.base + number, 0 if ends is None else ends[number])
        rows = db.execute(
            "SELECT place FROM records WHERE place >= ? AND place < ? AND key = ?",
            (low, _place(topic.base + number + 1, 0), key),
        )
        found += [place for (place,) in rows]
    return found


def remove(db: sqlite3.Connection, topic: StoredTopic, key: bytes, places: Iterable[int]) -> None:
    """Removes the records of a key, found by `find_key`, and its heads."""
    db.executemany("DELETE FROM records WHERE place = ?", [(place,) for place in places])
    for identity in range(topic.base, topic.base + topic.partitions):
        gone = db.execute("DELETE FROM heads WHERE partition = ? AND key = ?", (identity, key)).rowcount
        db.execute("UPDATE partitions SET live = live - ? WHERE id = ?", (gone, identity))


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
