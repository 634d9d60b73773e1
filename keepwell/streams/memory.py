"""The log in memory: for tests with faults on demand, for replay and for training. Nothing outlives the process."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count

from keepwell.streams.log import Doubt, Fenced, LogError, Message, Partition, Polled, Record, Topic
from keepwell.streams.rules import TOMBSTONE_AGE, assign, check_start, place

Faults = Callable[[str], None]
"""Called with the name of an I/O call and the moment, such as `commit.before`. What it raises, the call raises."""


class MemoryLog:
    """A whole log in memory, with the semantics of the port; safe to share between threads.

    `faults` is called before and after every call that would be I/O on another log: `create_topics`, `join`, `append`,
    `read`, `bounds`, `purge`, `drop`, and a member's `poll`, `committed`, `start` and `commit`, each as `<call>.before` and
    `<call>.after`; besides `read.record` before each record read. It may raise, act on the log (join a rival, say), or
    both. `Doubt` raised at `commit.before` is a commit that did not happen, at `commit.after` one that did.

    >>> log = MemoryLog()
    >>> log.create_topics([Topic("t", 1)])
    >>> log.append([Message("t", b"k", b"v")])
    [(Partition(topic='t', number=0), 0)]
    >>> [record.value for record in log.read(Partition("t", 0))]
    [b'v']
    """

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults
        self._topics: dict[str, _Topic] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._ids = count(1)
        self._changed = threading.Condition(threading.RLock())

    def create_topics(self, topics: Sequence[Topic]) -> None:
        """As the port. Nothing is created where one of them cannot be."""
        self._fault("create_topics.before")
        with self._changed:
            for topic in topics:
                if topic.partitions < 1:
                    raise LogError(f"topic {topic.name!r} needs at least one partition")
                held = self._topics.get(topic.name)
                if held is not None and held.topic != topic:
                    raise LogError(f"topic {topic.name!r} exists as {held.topic}, not as {topic}")
            for topic in topics:
                self._topics.setdefault(topic.name, _Topic(topic))
        self._fault("create_topics.after")

    def partitions(self, topic: str) -> int:
        """As the port."""
        return self._topic(topic).topic.partitions

    def join(self, group: str, topic: str, instance: str) -> MemoryMember:
        """As the port."""
        self._fault("join.before")
        with self._changed:
            partitions = self.partitions(topic)
            joined = self._groups.setdefault((group, topic), _Group(partitions))
            member = MemoryMember(self, joined, topic, next(self._ids))
            joined.admit(member.id, instance)
            self._changed.notify_all()
        self._fault("join.after")
        return member

    def append(self, messages: Sequence[Message]) -> list[tuple[Partition, int]]:
        """As the port."""
        self._fault("append.before")
        with self._changed:
            places = self._write(self._resolve(messages))
        self._fault("append.after")
        return places

    def read(self, partition: Partition, start: int = 0, end: int | None = None) -> Iterator[Record]:
        """As the port. Without `faults` the records are handed out as they lie, at the cost of a list's slice."""
        self._fault("read.before")
        with self._changed:
            shelf = self._shelf(partition)
            records = shelf.records[shelf.index(start) : shelf.index(shelf.next if end is None else end)]
        return iter(records) if self.faults is None else self._read_with_faults(records)

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """As the port."""
        self._fault("bounds.before")
        with self._changed:
            shelf = self._shelf(partition)
            bounds = shelf.first, shelf.next
        self._fault("bounds.after")
        return bounds

    def committed(self, group: str, topic: str) -> dict[Partition, int]:
        """As the port."""
        with self._changed:
            self._topic(topic)
            known = self._groups.get((group, topic))
            offsets = {} if known is None else known.offsets
            return {Partition(topic, number): offset for number, offset in sorted(offsets.items())}

    def members(self, group: str, topic: str) -> list[str]:
        """As the port."""
        with self._changed:
            known = self._groups.get((group, topic))
            return [] if known is None else sorted(known.members.values())

    def purge(self, partitions: Sequence[Partition]) -> None:
        """As the port, at once; who reads already has what was there."""
        for partition in partitions:
            self._fault("purge.before")
            with self._changed:
                shelf = self._shelf(partition)
                deleted = {record.key: record.offset for record in shelf.records if record.value is None}
                shelf.records = [record for record in shelf.records if record.offset > deleted.get(record.key, -1)]
            self._fault("purge.after")

    def drop(self, partition: Partition, offsets: Collection[int], *, with_earlier: bool = False) -> None:
        """As the port, at once."""
        self._fault("drop.before")
        with self._changed:
            shelf = self._shelf(partition)
            shelf.records = [record for record in shelf.records if record.offset not in offsets]
        self._fault("drop.after")

    def close(self) -> None:
        """As the port: there is nothing to free, and whoever still holds the log may go on."""

    def compact(self, topic: str, tombstone_age: float = TOMBSTONE_AGE) -> None:
        """Removes all but the newest record of each key, and deletions older than `tombstone_age` seconds altogether.

        Raises `LogError` where the topic is not compacted.
        """
        oldest = time.time_ns() // 1_000_000 - int(tombstone_age * 1000)
        with self._changed:
            compacted = self._topic(topic)
            if not compacted.compacted:
                raise LogError(f"topic {topic!r} is not compacted")
            for shelf in compacted.shelves:
                newest = {record.key: record for record in shelf.records}
                kept = (r for r in newest.values() if r.value is not None or r.timestamp > oldest)
                shelf.records = sorted(kept, key=_offset)

    def trim(self, partition: Partition, before: int) -> None:
        """Removes the records below the offset `before`, as retention does; readers below it then meet `OffsetGone`."""
        with self._changed:
            shelf = self._shelf(partition)
            shelf.first = max(shelf.first, min(before, shelf.next))
            del shelf.records[: bisect_left(shelf.records, shelf.first, key=_offset)]

    def rebalance(self, group: str, topic: str) -> None:
        """Takes every partition of a group from its member, to be noticed at the member's next poll.

        Each goes to the next member, or comes back where there is only one.
        """
        with self._changed:
            self._group(group, topic).rotate()
            self._changed.notify_all()

    def evict(self, group: str, topic: str, instance: str) -> None:
        """Ends a membership as the passing of its lease would: the others take over, and the member is a zombie."""
        with self._changed:
            joined = self._group(group, topic)
            for member in [m for m, name in joined.members.items() if name == instance]:
                joined.dismiss(member)
            self._changed.notify_all()

    def _read_with_faults(self, records: Sequence[Record]) -> Iterator[Record]:
        for record in records:
            self._fault("read.record")
            yield record
        self._fault("read.after")

    def _fault(self, name: str) -> None:
        if self.faults is not None:
            self.faults(name)

    def _topic(self, name: str) -> _Topic:
        try:
            return self._topics[name]
        except KeyError:
            raise LogError(f"topic {name!r} does not exist") from None

    def _shelf(self, partition: Partition) -> _Shelf:
        shelves = self._topic(partition.topic).shelves
        if not 0 <= partition.number < len(shelves):
            raise LogError(f"topic {partition.topic!r} has {len(shelves)} partitions, not number {partition.number}")
        return shelves[partition.number]

    def _group(self, group: str, topic: str) -> _Group:
        try:
            return self._groups[group, topic]
        except KeyError:
            raise LogError(f"nobody ever joined group {group!r} on topic {topic!r}") from None

    def _resolve(self, messages: Sequence[Message]) -> list[tuple[_Shelf, Message]]:
        """Finds every place before anything is written, so that a bad message leaves nothing behind."""
        resolved = []
        for message in messages:
            topic = self._topic(message.topic)
            resolved.append((topic.shelves[place(message, topic.topic.partitions, topic.compacted)], message))
        return resolved

    def _write(self, resolved: Sequence[tuple[_Shelf, Message]]) -> list[tuple[Partition, int]]:
        now = time.time_ns() // 1_000_000
        places = []
        for shelf, message in resolved:
            offset = shelf.next
            shelf.records.append(Record(shelf.partition, offset, message.key, message.value, message.headers, now))
            shelf.next = offset + 1
            places.append((shelf.partition, offset))
        self._changed.notify_all()
        return places


class MemoryMember:
    """A member of a group on a `MemoryLog`. After an error of `poll`, `committed` or `commit` it can only be closed."""

    def __init__(self, log: MemoryLog, group: _Group, topic: str, number: int) -> None:
        self.id = number
        self._log = log
        self._group = group
        self._topic = topic
        self._owned: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._usable = True
        self._turn = 0

    def poll(self, timeout: float, limit: int = 500) -> Polled:
        """As the port."""
        with _EndsOnError(self):
            self._log._fault("poll.before")
            polled = self._poll(time.monotonic() + timeout, limit)
            self._log._fault("poll.after")
        return polled

    def committed(self, partition: Partition) -> int | None:
        """As the port. Raises `LogError` where the partition is not owned."""
        with _EndsOnError(self):
            self._log._fault("committed.before")
            with self._log._changed:
                offset = self._group.offsets.get(self._own(partition))
            self._log._fault("committed.after")
        return offset

    def start(self, partition: Partition, offset: int | None = None) -> None:
        """As the port. Raises `LogError` where the partition is not owned or `offset` lies beyond its end."""
        self._log._fault("start.before")
        with self._log._changed:
            number = self._own(partition)
            first, end = (shelf := self._log._shelf(partition)).first, shelf.next
            if offset is None:
                offset = self._group.offsets.get(number, first)
            check_start(partition, offset, first, end)
            self._positions[number] = offset
        self._log._fault("start.after")

    def pause(self, partitions: Iterable[Partition]) -> None:
        """As the port."""
        self._paused.update(self._own(partition) for partition in partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """As the port."""
        self._paused.difference_update(partition.number for partition in partitions)

    def commit(self, messages: Sequence[Message], offsets: Mapping[Partition, int]) -> None:
        """As the port."""
        with _EndsOnError(self):
            self._log._fault("commit.before")
            with self._log._changed:
                if self.id not in self._group.members:
                    raise Fenced(f"another member took over on {self._topic!r}: nothing was written")
                for partition in offsets:
                    if partition.topic != self._topic or partition.number not in self._owned:
                        raise Fenced(f"{partition} went to another member: nothing was written")
                self._log._write(self._log._resolve(messages))
                self._group.offsets.update((partition.number, offset) for partition, offset in offsets.items())
            self._log._fault("commit.after")

    def close(self) -> None:
        """As the port."""
        self._usable = False
        with self._log._changed:
            if self.id in self._group.members:
                self._group.dismiss(self.id)
                self._log._changed.notify_all()

    def _poll(self, deadline: float, limit: int) -> Polled:
        changed = self._log._changed
        with changed:
            while True:
                before = self._owned
                lost, gained = self._group.settle(self.id, before)
                for number in lost:
                    self._positions.pop(number, None)
                    self._paused.discard(number)
                self._owned = (before - lost) | gained
                if lost:
                    changed.notify_all()
                records = self._take(limit)
                remaining = deadline - time.monotonic()
                if records or lost or gained or remaining <= 0:
                    return Polled(records, self._named(gained), self._named(lost))
                changed.wait(remaining)

    def _take(self, limit: int) -> dict[Partition, Sequence[Record]]:
        taken: dict[Partition, Sequence[Record]] = {}
        numbers = sorted(self._positions.keys() - self._paused)
        # Another partition goes first each time, so that a busy one does not starve the others.
        self._turn += 1
        turn = self._turn % len(numbers) if numbers else 0
        for number in numbers[turn:] + numbers[:turn]:
            shelf = self._log._topics[self._topic].shelves[number]
            index = shelf.index(self._positions[number])
            if limit > 0 and index < len(shelf.records):
                taken[shelf.partition] = records = shelf.records[index : index + limit]
                self._positions[number] = records[-1].offset + 1
                limit -= len(records)
        return taken

    def _own(self, partition: Partition) -> int:
        if partition.topic != self._topic or partition.number not in self._owned:
            raise LogError(f"{partition} is not owned by this member")
        return partition.number

    def _named(self, numbers: Iterable[int]) -> frozenset[Partition]:
        return frozenset(Partition(self._topic, number) for number in numbers)


class _Topic:
    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.compacted = "compact" in topic.cleanup
        self.shelves = [_Shelf(Partition(topic.name, number)) for number in range(topic.partitions)]


class _Shelf:
    """The records of one partition, in offset order, with holes where some were removed."""

    __slots__ = ("first", "next", "partition", "records")

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.records: list[Record] = []
        self.first = 0
        self.next = 0

    def index(self, offset: int) -> int:
        """Where the first record at or after `offset` lies."""
        if len(self.records) == self.next - self.first:
            return min(max(offset - self.first, 0), len(self.records))
        return bisect_left(self.records, offset, key=_offset)


class _Group:
    """Who is in a group, who owns which partition and who shall own it. A partition moves when its owner polls."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.members: dict[int, str] = {}
        self.owners: dict[int, int] = {}
        self.wanted: dict[int, int] = {}
        self.recalled: set[int] = set()
        self.offsets: dict[int, int] = {}

    def admit(self, member: int, instance: str) -> None:
        former = next((m for m, name in self.members.items() if name == instance), None)
        self.members[member] = instance
        if former is None:
            self.wanted = assign(list(self.members), self.partitions, self.wanted)
            return
        del self.members[former]
        for table in (self.owners, self.wanted):
            table.update({number: member for number, owner in table.items() if owner == former})

    def dismiss(self, member: int) -> None:
        del self.members[member]
        self.owners = {number: owner for number, owner in self.owners.items() if owner != member}
        self.recalled &= self.owners.keys()
        self.wanted = assign(list(self.members), self.partitions, self.wanted)

    def rotate(self) -> None:
        members = list(self.members)
        following = dict(zip(members, members[1:] + members[:1], strict=True))
        self.wanted = {number: following[member] for number, member in self.wanted.items()}
        self.recalled.update(self.owners)

    def settle(self, member: int, before: frozenset[int]) -> tuple[frozenset[int], frozenset[int]]:
        """Gives up and takes over what `member` shall; returns what it lost and gained since it owned `before`."""
        if member not in self.members:
            raise Fenced("another member took over")
        due = {n for n, owner in self.owners.items() if owner == member and not self._keeps(n, member)}
        for number in due:
            del self.owners[number]
        self.recalled -= due
        lost = before & due
        mine = {n for n, wanted in self.wanted.items() if wanted == member and self.owners.get(n, member) == member}
        self.owners.update(dict.fromkeys(mine, member))
        return lost, frozenset(mine - (before - lost))

    def _keeps(self, number: int, member: int) -> bool:
        return self.wanted[number] == member and number not in self.recalled


class _EndsOnError:
    """A member that met an error, even one raised by a fault, answers nothing but `Doubt` from then on."""

    __slots__ = ("member",)

    def __init__(self, member: MemoryMember) -> None:
        self.member = member

    def __enter__(self) -> None:
        if not self.member._usable:
            raise Doubt("this member was closed or met an error before: join again")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.member._usable = False


def _offset(record: Record) -> int:
    return record.offset
