"""The embedded log: one SQLite file, no server, several processes, whole transactions over many topics."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from keepwell.streams.log import Doubt, Fenced, LogError, Message, Partition, Polled, Record, Topic
from keepwell.streams.rules import TOMBSTONE_AGE, check_start, place
from keepwell.streams.sqlite import group as groups
from keepwell.streams.sqlite import records
from keepwell.streams.sqlite.file import LONGEST_LOOK, SHORTEST_LOOK, SqliteFile
from keepwell.streams.sqlite.records import StoredTopic, Target

LEASE = 10.0
"""Seconds without poll or commit after which the other members take over, as Kafka's usual session."""

CLOSE_LIMIT = 2.0
"""Seconds a member spends on leaving its group; its lease runs out all the same."""

READ_AHEAD = 2000
"""Records fetched at a time by `read`."""


class SqliteLog:
    """A log in one file, made where it is missing.

    Commits are forced to the disk before they return (see sqlite_file). What is written in another process is seen
    within 20 ms, in this one at once. Raises `LogError` where the file is not a log or is damaged; any method can raise
    `Doubt` where another process keeps the file locked for 10 s.
    """

    def __init__(self, path: Path | str, lease: float = LEASE) -> None:
        self._file = SqliteFile(Path(path))
        self._lease = lease
        self._topics: dict[str, StoredTopic] = {}

    def create_topics(self, topics: Sequence[Topic]) -> None:
        """As the port. Nothing is created where one of them cannot be."""
        with self._file.write() as db:
            for topic in topics:
                if topic.partitions < 1:
                    raise LogError(f"topic {topic.name!r} needs at least one partition")
                held = _find_topic(db, topic.name)
                if held is None:
                    _create_topic(db, topic)
                    self._file.mark(db)
                elif (held.partitions, held.cleanup) != (topic.partitions, topic.cleanup):
                    raise LogError(
                        f"topic {topic.name!r} exists with {held[2:]}, not {topic[1:]} (partitions, cleanup)"
                    )

    def partitions(self, topic: str) -> int:
        """As the port."""
        return self._topic(topic).partitions

    def join(self, group: str, topic: str, instance: str) -> SqliteMember:
        """As the port."""
        stored = self._topic(topic)
        with self._file.write() as db:
            seat = groups.admit(db, group, stored, instance, int(self._lease * 1000))
        return SqliteMember(self, self._file, stored, seat, self._lease)

    def append(self, messages: Sequence[Message]) -> list[tuple[Partition, int]]:
        """As the port."""
        if not messages:
            return []
        targets = self._resolve(messages)
        with self._file.write() as db:
            return insert_now(db, targets)

    def read(self, partition: Partition, start: int = 0, end: int | None = None) -> Iterator[Record]:
        """As the port."""
        identity = self._identity(partition)
        with self._file.read() as db:
            held, purges = records.bounds(db, identity)[1], records.purges(db, identity)
        return self._read(partition, identity, range(start, held if end is None else min(end, held)), purges)

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """As the port."""
        identity = self._identity(partition)
        with self._file.read() as db:
            return records.bounds(db, identity)

    def committed(self, group: str, topic: str) -> dict[Partition, int]:
        """As the port."""
        self._topic(topic)
        with self._file.read() as db:
            rows = db.execute(
                "SELECT number, next FROM offsets JOIN groups ON id = group_id WHERE name = ? AND topic = ?"
                " ORDER BY number",
                (group, topic),
            ).fetchall()
        return {Partition(topic, number): offset for number, offset in rows}

    def members(self, group: str, topic: str) -> list[str]:
        """As the port."""
        with self._file.read() as db:
            return groups.alive(db, group, topic)

    def purge(self, partitions: Sequence[Partition]) -> None:
        """As the port. Reads partitions that hold deletions; then the file is written anew, for which writers wait.

        Raises `Doubt` where another process does not let that happen: what was removed may still stand in the file.
        """
        for partition in partitions:
            identity = self._identity(partition)
            with self._file.read() as db:
                found = records.taken_back(db, identity)
            self._remove(identity, found)
        self._leave_no_byte()

    def drop(self, partition: Partition, offsets: Collection[int], *, with_earlier: bool = False) -> None:
        """As the port. Raises `Doubt` as `purge` does."""
        identity = self._identity(partition)
        with self._file.read() as db:
            found = records.at(db, identity, offsets)
        self._remove(identity, found)
        self._leave_no_byte()

    def _remove(self, identity: int, found: Sequence[records.StoredRecord]) -> None:
        if found:
            with self._file.write() as db:
                records.remove(db, identity, found)

    def _leave_no_byte(self) -> None:
        """Writes the file anew unless that was done since the last removal; a crash may have come in between."""
        with self._file.read() as db:
            removed, rewritten = records.all_purges(db)
        if removed != rewritten:
            self._file.rewrite()
            with self._file.write() as db:
                records.note_rewritten(db, removed)

    def close(self) -> None:
        """As the port. Members of this log find it closed."""
        self._file.close()

    def compact(self, topic: str, tombstone_age: float = TOMBSTONE_AGE) -> None:
        """Removes all but the newest record of each key, and deletions older than `tombstone_age` seconds altogether.

        Writers do this by and by; this is for those who cannot wait. Raises `LogError` where the topic is not compacted.
        """
        stored = self._topic(topic)
        if not stored.compacted:
            raise LogError(f"topic {topic!r} is not compacted")
        forgotten = _now() - int(tombstone_age * 1000) + 1
        for identity in range(stored.base, stored.base + stored.partitions):
            left = True
            while left:
                with self._file.write() as db:
                    left = records.clean(db, identity, records.SLICE, forgotten)

    def trim(self, partition: Partition, before: int) -> None:
        """Removes the records below the offset `before`; whoever has not read them will meet `OffsetGone`."""
        identity = self._identity(partition)
        left = True
        while left:
            with self._file.write() as db:
                left = records.trim(db, identity, before, 10 * records.SLICE)

    def _read(self, partition: Partition, identity: int, offsets: range, purges: int) -> Iterator[Record]:
        while offsets:
            with self._file.read() as db:
                fetched = records.fetch(db, partition, identity, offsets, READ_AHEAD)
                if records.purges(db, identity) != purges:
                    raise Doubt(f"{partition}: records were erased while they were being read: read them again")
            if not fetched:
                return
            yield from fetched
            offsets = range(fetched[-1].offset + 1, offsets.stop)

    def _topic(self, name: str) -> StoredTopic:
        topic = self._topics.get(name)
        if topic is None:
            with self._file.read() as db:
                topic = _find_topic(db, name)
            if topic is None:
                raise LogError(f"topic {name!r} does not exist")
            self._topics[name] = topic
        return topic

    def _identity(self, partition: Partition) -> int:
        topic = self._topic(partition.topic)
        if not 0 <= partition.number < topic.partitions:
            raise LogError(f"topic {topic.name!r} has {topic.partitions} partitions, not number {partition.number}")
        return topic.base + partition.number

    def _resolve(self, messages: Sequence[Message]) -> list[Target]:
        """Finds every place before anything is written, so that nobody waits for a bad message."""
        targets: list[Target] = []
        for message in messages:
            topic = self._topic(message.topic)
            targets.append((topic, place(message, topic.partitions, topic.compacted), message))
        return targets


class SqliteMember:
    """A member of a group on a `SqliteLog`. After `Doubt` it can only be closed."""

    def __init__(self, log: SqliteLog, file: SqliteFile, topic: StoredTopic, seat: groups.Seat, lease: float) -> None:
        self._log = log
        self._file = file
        self._topic = topic
        self._seat = seat
        self._partitions = [Partition(topic.name, number) for number in range(topic.partitions)]
        self._owned: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._generation = -1
        self._settle_every = lease / 4
        self._settled = 0.0
        self._turn = 0
        self._closed = False

    def poll(self, timeout: float, limit: int = 500) -> Polled:
        """As the port."""
        deadline = time.monotonic() + timeout
        look = SHORTEST_LOOK
        while True:
            news = self._file.news()
            lost, gained = self._settle()
            taken = self._take(limit)
            remaining = deadline - time.monotonic()
            if taken or lost or gained or remaining <= 0:
                return Polled(taken, self._named(gained), self._named(lost))
            self._file.wait(news, min(look, remaining))
            look = min(2 * look, LONGEST_LOOK)

    def committed(self, partition: Partition) -> int | None:
        """As the port. Raises `LogError` where the partition is not owned."""
        number = self._own(partition)
        with self._file.read() as db:
            row = db.execute(
                "SELECT next FROM offsets WHERE group_id = ? AND number = ?", (self._seat.group, number)
            ).fetchone()
        return None if row is None else int(row[0])

    def start(self, partition: Partition, offset: int | None = None) -> None:
        """As the port. Raises `LogError` where the partition is not owned or `offset` lies beyond its end."""
        number = self._own(partition)
        if offset is None:
            offset = self.committed(partition)
        first, end = self._log.bounds(partition)
        if offset is None:
            offset = first
        check_start(partition, offset, first, end)
        self._positions[number] = offset

    def pause(self, partitions: Iterable[Partition]) -> None:
        """As the port."""
        self._paused.update(self._own(partition) for partition in partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """As the port."""
        self._paused.difference_update(partition.number for partition in partitions)

    def commit(self, messages: Sequence[Message], offsets: Mapping[Partition, int]) -> None:
        """As the port."""
        self._check_open()
        for partition in offsets:
            if partition.topic != self._topic.name or partition.number not in self._owned:
                raise Fenced(f"{partition} went to another member: nothing was written")
        targets = self._log._resolve(messages)
        try:
            with self._file.write() as db:
                groups.renew(db, self._seat)
                if targets:
                    insert_now(db, targets)
                db.executemany(
                    "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)",
                    [(self._seat.group, partition.number, offset) for partition, offset in offsets.items()],
                )
        except Doubt:
            raise
        except LogError as error:
            raise Doubt(str(error)) from error

    def close(self) -> None:
        """As the port."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._file.write(CLOSE_LIMIT) as db:
                groups.dismiss(db, self._seat)
        except LogError:
            # Nobody can be told any more; the lease runs out and the others take over.
            return

    def _settle(self) -> tuple[frozenset[int], frozenset[int]]:
        """What was lost and gained since the poll before.

        Writes only for a new generation, and now and then: to renew the lease and to end those of the dead. A commit renews
        the lease too but does not stand in for that, or a group of busy members would never miss anyone.
        """
        self._check_open()
        now = time.monotonic()
        if now - self._settled < self._settle_every:
            with self._file.read() as db:
                if groups.generation(db, self._seat) == self._generation:
                    return frozenset(), frozenset()
        before = self._owned
        with self._file.write() as db:
            owned, self._generation = groups.settle(db, self._seat)
        self._owned = owned
        self._settled = now
        lost = before - self._owned
        for number in lost:
            self._positions.pop(number, None)
            self._paused.discard(number)
        return lost, self._owned - before

    def _take(self, limit: int) -> dict[Partition, Sequence[Record]]:
        taken: dict[Partition, Sequence[Record]] = {}
        numbers = sorted(self._positions.keys() - self._paused)
        # Another partition goes first each time, so that a busy one does not starve the others.
        self._turn += 1
        turn = self._turn % len(numbers) if numbers else 0
        with self._file.read() as db:
            ends = self._ends(db)
            for number in numbers[turn:] + numbers[:turn]:
                start, end = self._positions[number], ends[number]
                if limit <= 0 or start >= end:
                    continue
                partition = self._partitions[number]
                fetched = records.fetch(db, partition, self._topic.base + number, range(start, end), limit)
                # Nothing up to the end means holes up to the end.
                self._positions[number] = fetched[-1].offset + 1 if fetched else end
                if fetched:
                    taken[partition] = fetched
                    limit -= len(fetched)
        return taken

    def _ends(self, db: sqlite3.Connection) -> list[int]:
        base, count = self._topic.base, self._topic.partitions
        rows = db.execute("SELECT next FROM partitions WHERE id >= ? AND id < ? ORDER BY id", (base, base + count))
        return [end for (end,) in rows]

    def _own(self, partition: Partition) -> int:
        self._check_open()
        if partition.topic != self._topic.name or partition.number not in self._owned:
            raise LogError(f"{partition} is not owned by this member")
        return partition.number

    def _check_open(self) -> None:
        if self._closed:
            raise Doubt("this member is closed: join again")

    def _named(self, numbers: Iterable[int]) -> frozenset[Partition]:
        return frozenset(self._partitions[number] for number in numbers)


def insert_now(db: sqlite3.Connection, targets: Sequence[Target]) -> list[tuple[Partition, int]]:
    """Writes messages with the time of now."""
    now = _now()
    return records.insert(db, targets, now, now - int(TOMBSTONE_AGE * 1000))


def _find_topic(db: sqlite3.Connection, name: str) -> StoredTopic | None:
    row = db.execute("SELECT base, partitions, cleanup FROM topics WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    base, partitions, cleanup = row
    return StoredTopic(name, base, partitions, cleanup, "compact" in cleanup)


def _create_topic(db: sqlite3.Connection, topic: Topic) -> None:
    (base,) = db.execute("SELECT coalesce(max(id), 0) + 1 FROM partitions").fetchone()
    db.execute("INSERT INTO topics VALUES (?, ?, ?, ?)", (topic.name, base, topic.partitions, topic.cleanup))
    db.executemany("INSERT INTO partitions (id) VALUES (?)", [(base + n,) for n in range(topic.partitions)])


def _now() -> int:
    return time.time_ns() // 1_000_000
