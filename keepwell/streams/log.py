"""The log as the rest of Keepwell sees it: one port, three backends (memory, SQLite, Kafka).

The port is as small as the worker needs. There is no `begin`, `send` and `abort`: a worker polls, computes a pure step and
hands over everything it has to say in one call, `Member.commit`, which happens whole or not at all. A backend that cannot
tell whether it happened raises `Doubt`; the worker then forgets everything it holds and starts again from the log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

Header = tuple[str, bytes]
Cleanup = Literal["delete", "compact", "compact,delete"]


class Partition(NamedTuple):
    """A partition of a topic. `topic` is the full name, prefix included."""

    topic: str
    number: int


class Record(NamedTuple):
    """A record as read: immutable, committed, at a place that never changes. `timestamp` is in ms since 1970 UTC."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    timestamp: int = 0


class Message(NamedTuple):
    """A record to be written. `partition` None: chosen by `partition_for(key)`; it must be given where `key` is None."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    partition: int | None = None


class Topic(NamedTuple):
    """A topic to be created. A compacted topic keeps at least the newest record of each key; `value` None deletes the key."""

    name: str
    partitions: int
    cleanup: Cleanup = "delete"


class Polled(NamedTuple):
    """What one `Member.poll` brought.

    `gained` and `lost` are the changes of ownership since the poll before, to be applied (lost first) before `records` are
    looked at. A gained partition yields no records until `Member.start` has been called for it. `records` holds, for each
    started partition, records in offset order without a hole in what is committed.
    """

    records: Mapping[Partition, Sequence[Record]]
    gained: frozenset[Partition] = frozenset()
    lost: frozenset[Partition] = frozenset()


class LogError(Exception):
    """Something is wrong that a restart of the process may not mend; the message says what to change."""


class Doubt(LogError):
    """It is not known, or not certain, that a commit happened. Everything held in memory must be dropped and restored."""


class Fenced(Doubt):
    """Another member took over: this one's commit did not happen and never will."""


class OffsetGone(LogError):
    """The committed offset of a partition lies below what the log still holds: records were deleted unread."""


class Member(Protocol):
    """One live consumer of a group, and the only writer of what it derives. Used by one thread."""

    def poll(self, timeout: float, limit: int = 500) -> Polled:
        """Waits up to `timeout` seconds for records (at most `limit`) or a change of ownership. May return nothing.

        Raises `Doubt` when membership can no longer be trusted, `LogError` where the log cannot be read at all.
        """

    def committed(self, partition: Partition) -> int | None:
        """The next offset the group will read of an owned partition; None where it never committed.

        Waits until no transaction of a former owner is undecided. Blocks at most as long as the backend's time limit, then
        raises `Doubt`.
        """

    def start(self, partition: Partition, offset: int | None = None) -> None:
        """Lets records of a gained partition flow, from `offset`, or from the committed one, or from the log's beginning.

        Raises `OffsetGone` where that offset is no longer held.
        """

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Stops the flow of these partitions without giving them up (backpressure). Idempotent."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Ends `pause`. Idempotent."""

    def commit(self, messages: Sequence[Message], offsets: Mapping[Partition, int]) -> None:
        """Writes all `messages` and moves the group to `offsets` (the next to read): whole, durable, or not at all.

        Only if this member still owns every partition of `offsets` as of the poll that delivered them. Returns after it is
        durable and visible to read-committed readers. Raises `Fenced` when it certainly did not happen because another
        member took over, `Doubt` for everything else. After either, the member must be closed and not used again.
        """

    def close(self) -> None:
        """Leaves the group. Idempotent; never raises; returns within a few seconds whatever the state of the log."""


class Log(Protocol):
    """A place where topics live. Safe to use from several threads; what it hands out is not."""

    def create_topics(self, topics: Sequence[Topic]) -> None:
        """Creates those that are missing. Raises `LogError` where one exists with another number of partitions or cleanup."""

    def partitions(self, topic: str) -> int:
        """Number of partitions. Raises `LogError` naming the topic where it does not exist."""

    def join(self, group: str, topic: str, instance: str) -> Member:
        """A member of `group` reading `topic`. `instance` is unique among live members, the same after a restart: a member
        that joins under the name of one that is still thought alive takes its place at once and fences it."""

    def append(self, messages: Sequence[Message]) -> list[tuple[Partition, int]]:
        """Writes all messages, whole or not at all, and returns their places after they are durable.

        For writers outside a group (HTTP intake, clock, commands). Raises `Doubt` when it may have happened: a retry can
        then duplicate, which `source` + `id` makes harmless.
        """

    def read(self, partition: Partition, start: int = 0, end: int | None = None) -> Iterator[Record]:
        """Committed records from the first held at or after `start` up to `end` (exclusive; default: `bounds().end` as it
        was at the call). Ends there; never waits for new ones. Offsets increase, with holes."""

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """The first offset held and the next to be written (high watermark: undecided transactions included)."""

    def committed(self, group: str, topic: str) -> dict[Partition, int]:
        """What `group` has committed, for a look from outside (lag, doctor, replay)."""

    def members(self, group: str, topic: str) -> list[str]:
        """The instances of `group` that are thought alive, sorted, for a look from outside. One that was killed stays among
        them until its session or lease ends, one that closed does not."""

    def purge(self, partitions: Sequence[Partition]) -> None:
        """Removes for good, as soon as the backend can, what deletions in compacted topics took back, and the deletions.

        A log on a file does so before this returns and leaves no byte; whoever is reading such a partition then has `Doubt`.
        Kafka does so with its next compaction, which passes over what was written last: call this again a day later.
        """

    def drop(self, partition: Partition, offsets: Collection[int], *, with_earlier: bool = False) -> None:
        """Removes these records for good, from a topic of any cleanup.

        A backend that lets go of a record only with all that came before it (Kafka, of topics that are not compacted) removes
        that too `with_earlier`; without it raises `LogError`. The others remove these records alone, either way.
        """

    def close(self) -> None:
        """Frees what is held. Idempotent."""


@lru_cache(maxsize=65_536)
def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key: murmur2 as Kafka's default partitioner (Java, kafka-python), so that all writers agree.

    Remembered for the keys used last: computing costs 4 microseconds, a third of writing a record to the embedded log.

    >>> partition_for(b"north/ep-17", 12)
    5
    """
    length = len(key)
    seed, m, mask = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
    h = seed ^ length
    whole = length - length % 4
    for i in range(0, whole, 4):
        k = (int.from_bytes(key[i : i + 4], "little") * m) & mask
        k = ((k ^ (k >> 24)) * m) & mask
        h = ((h * m) & mask) ^ k
    rest = key[whole:]
    if rest:
        h = ((h ^ int.from_bytes(rest, "little")) * m) & mask
    h = ((h ^ (h >> 13)) * m) & mask
    h ^= h >> 15
    return (h & 0x7FFFFFFF) % partitions
