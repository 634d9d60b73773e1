"""A member of a consumer group on Kafka: what it owns, records in order, one transaction for all that follows from them."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import MemberState

from keepwell.streams.kafka.client import UNDECIDED_SECONDS, build, explain, explain_poll, ms
from keepwell.streams.kafka.join import JOIN_SECONDS, HeldJoin
from keepwell.streams.kafka.writer import KafkaWriter
from keepwell.streams.log import Doubt, Fenced, LogError, Message, Partition, Polled, Record
from keepwell.streams.rules import check_start

POLL_SLICE: Final = 0.1
"""Seconds of one look for records: as kafka-python wakes up for records only, changes of ownership wait no longer."""

LEAVE_SECONDS: Final = 2.0
"""Time to tell the group of a departure; who cannot be heard is missed after the session."""


class KafkaMember:
    """A static member named `instance`, with a writer of its own. After an error it can only be closed."""

    def __init__(
        self, settings: Mapping[str, object], group: str, topic: str, instance: str, writer: KafkaWriter
    ) -> None:
        self._topic = topic
        self._writer = writer
        self._owned: set[Partition] = set()
        self._started: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._group: Any = None
        self._usable = True
        self._closed = False
        own = {
            "group_id": group,
            "group_instance_id": instance,
            "client_id": f"{group}.{instance}",
            # It remembers its member's assignment, so no two members may share one.
            "partition_assignment_strategy": [CooperativeStickyAssignor()],
        }
        self._consumer = build(KafkaConsumer, {**settings, **_CONSUMER, **own})
        self._join = HeldJoin(self._consumer._coordinator)
        self._changes = _Changes(self._consumer)
        try:
            # A member that joins before it knows the topic can stay without partitions (KAFKA.md, F25).
            self._consumer.partitions_for_topic(topic)
            self._consumer.subscribe([topic], listener=self._changes)
        except Exception as error:
            self.close()
            raise explain(error, f"joining group {group!r}") from error

    def poll(self, timeout: float, limit: int = 500) -> Polled:
        """As the port. `Fenced` where another member took this one's name."""
        with self._only_once("reading"):
            deadline = time.monotonic() + timeout
            while True:
                remaining = max(0.0, deadline - time.monotonic())
                patience = max(min(remaining, POLL_SLICE), JOIN_SECONDS if self._join.under_way() else 0.0)
                try:
                    batches = self._consumer.poll(timeout_ms=ms(patience), max_records=limit)
                except Exception as error:
                    raise explain_poll(self._consumer, error, "reading") from error
                # Right after the poll: read any later, it can be that of a member already removed, which the broker would
                # let commit (KAFKA.md, F6).
                self._group = self._consumer.group_metadata()
                self._check_name()
                gained, lost = self._apply_changes()
                if batches or gained or lost or remaining <= 0:
                    return Polled(self._records(batches), gained, lost)

    def committed(self, partition: Partition) -> int | None:
        """As the port. Raises `LogError` where the partition is not owned."""
        with self._only_once(f"waiting for the committed offset of {partition}"):
            self._own(partition)
            # Asked with read_committed, the broker gives no answer while a transaction on this offset is open.
            found: int | None = self._consumer.committed(TopicPartition(*partition), timeout_ms=ms(UNDECIDED_SECONDS))
            return found

    def start(self, partition: Partition, offset: int | None = None) -> None:
        """As the port. Raises `LogError` where the partition is not owned or `offset` lies beyond its end."""
        self._own(partition)
        if offset is None:
            offset = self.committed(partition)
        there = TopicPartition(*partition)
        with self._only_once(f"starting {partition}"):
            first = self._consumer.beginning_offsets([there])[there]
            end = self._consumer.end_offsets([there])[there]
        offset = first if offset is None else offset
        check_start(partition, offset, first, end)
        self._consumer.seek(there, offset)
        self._started.add(partition)
        if partition not in self._paused:
            self._consumer.resume(there)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """As the port. Raises `LogError` where one is not owned."""
        for partition in partitions:
            self._own(partition)
            self._paused.add(partition)
            self._consumer.pause(TopicPartition(*partition))

    def resume(self, partitions: Iterable[Partition]) -> None:
        """As the port."""
        for partition in self._paused & set(partitions):
            self._paused.discard(partition)
            if partition in self._started:
                self._consumer.resume(TopicPartition(*partition))

    def commit(self, messages: Sequence[Message], offsets: Mapping[Partition, int]) -> None:
        """As the port. Readers that ask for the end wait for it; a poll elsewhere may see it some milliseconds later."""
        with self._only_once("committing"):
            if away := sorted(offsets.keys() - self._owned):
                raise Fenced(f"{away[0]} went to another member: nothing was written")
            group = self._group
            if group is None or group.generation_id < 0 or not group.member_id:
                raise Fenced("this member was removed from the group: nothing was written")
            told = {TopicPartition(*partition): offset for partition, offset in offsets.items()}
            if messages or told:
                self._writer.write(messages, told, group)

    def close(self) -> None:
        """As the port. A member in doubt does not leave: under the same name it is soon back, and keeps its partitions."""
        if self._closed:
            return
        self._closed = True
        leaving, self._usable = self._usable, False
        self._writer.close()
        if leaving:
            # kafka-python never lets a static member leave; the broker checks the member's id, so a successor is safe.
            self._consumer._coordinator.is_dynamic_member = lambda: True
        with contextlib.suppress(Exception):
            self._consumer.close(autocommit=False, timeout_ms=ms(LEAVE_SECONDS))

    def _own(self, partition: Partition) -> None:
        if partition not in self._owned:
            raise LogError(f"{partition} is not owned by this member")

    def _only_once(self, doing: str) -> _EndsOnError:
        return _EndsOnError(self, doing)

    def _check_name(self) -> None:
        """Raises `Fenced` where another took our name: `poll` would go on reading and never tell (KAFKA.md, F16).

        The client learns it from a heartbeat and then merely stops its heartbeats.
        """
        coordinator = self._consumer._coordinator
        idle = not coordinator._heartbeat_enabled and not coordinator.rejoining
        if idle and coordinator.state is MemberState.STABLE:
            raise Fenced("another member took over under the same instance name")

    def _apply_changes(self) -> tuple[frozenset[Partition], frozenset[Partition]]:
        before = set(self._owned)
        lost = set()
        for came, partition in self._changes.take():
            if came:
                self._owned.add(partition)
                continue
            for held in (self._owned, self._started, self._paused):
                held.discard(partition)
            lost.add(partition)
        return frozenset(self._owned - (before - lost)), frozenset(before & lost)

    def _records(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> dict[Partition, Sequence[Record]]:
        found: dict[Partition, Sequence[Record]] = {}
        for there, batch in batches.items():
            partition = Partition(*there)
            if partition in self._started:
                found[partition] = [to_record(partition, record) for record in batch]
        return found


def to_record(partition: Partition, record: Any) -> Record:
    """A record of kafka-python as one of the port."""
    # Other senders may write null headers, which kafka-python reads but will not write again.
    headers = tuple((name, value or b"") for name, value in record.headers) if record.headers else ()
    return Record(partition, record.offset, record.key, record.value, headers, record.timestamp)


class _Changes(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Notes gained and lost partitions, and does no more: it runs on the client's thread, where waiting ends heartbeats (R6).

    A gained partition is given a place, so that the client does not look for one, and paused, so that nothing is read there.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._noted: deque[tuple[bool, Partition]] = deque()

    def take(self) -> list[tuple[bool, Partition]]:
        """What happened since the last call, in order: (True, gained) or (False, lost)."""
        return [self._noted.popleft() for _ in range(len(self._noted))]

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """As kafka-python."""
        for there in assigned:
            self._consumer.pause(there)
            self._consumer.seek(there, 0)
            self._noted.append((True, Partition(*there)))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """As kafka-python."""
        self._noted.extend((False, Partition(*there)) for there in revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """As kafka-python."""
        self.on_partitions_revoked(lost)


class _EndsOnError:
    """Turns errors of kafka-python into those of the port; after any error the member answers nothing but `Doubt`."""

    __slots__ = ("_doing", "_member")

    def __init__(self, member: KafkaMember, doing: str) -> None:
        self._member = member
        self._doing = doing

    def __enter__(self) -> None:
        if not self._member._usable:
            raise Doubt("this member was closed or met an error before: join again")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        self._member._usable = False
        if isinstance(error, Exception) and not isinstance(error, LogError):
            raise explain(error, self._doing) from error


_CONSUMER: Final[dict[str, object]] = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "allow_auto_create_topics": False,
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 1_000,
    # A partition just started waits until the broker has answered for the others.
    "fetch_max_wait_ms": 100,
    "metrics_enabled": False,
}
