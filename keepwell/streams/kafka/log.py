"""The log on Apache Kafka: for production, with many workers over many machines."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    GroupIdNotFoundError,
    RetriableError,
    TopicAlreadyExistsError,
    for_code,
)

from keepwell.streams.kafka.client import FRAMING, MESSAGE_LIMIT, build, connection, explain
from keepwell.streams.kafka.member import KafkaMember
from keepwell.streams.kafka.reader import KafkaReader
from keepwell.streams.kafka.writer import KafkaWriter, Place, SingleWriter
from keepwell.streams.log import Doubt, LogError, Message, Partition, Record, Topic
from keepwell.streams.rules import place

T = TypeVar("T")

PURGE_KEY: Final = b"_purge"
"""Key of the deletion of nothing that `purge` writes: Kafka closes a segment only when something is written to it."""

ADMIN_SECONDS: Final = 20.0
"""Limit of a question to the cluster, repeats included: one was seen never to return (KAFKA.md, F23)."""


class KafkaLog:
    """The port on a Kafka cluster, by the rules of KAFKA.md. Safe to share between threads.

    `bootstrap` holds `host:port` of some brokers. `security` None is plain TCP; otherwise SASL over TLS with `username`,
    `password`, `mechanism` (SCRAM-SHA-512 unless told) and `cafile`. `group_prefix` goes before the names of groups and
    transactional ids, so that several installations share a cluster. A worker needs READ on topics and groups, WRITE on
    topics and transactional ids, all prefixed; whoever creates topics needs CREATE besides.

    Raises `LogError` that says what to check where no broker lets it in.
    """

    def __init__(
        self, bootstrap: Sequence[str], *, security: Mapping[str, str] | None = None, group_prefix: str = ""
    ) -> None:
        self._settings = connection(bootstrap, security)
        self._prefix = group_prefix
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._single: SingleWriter | None = None
        self._several: KafkaWriter | None = None
        self._append_id = f"{group_prefix}append.{uuid.uuid4().hex}"
        self._append_lock = threading.Lock()
        self._admin: Any = self._new_admin()
        self._reader = KafkaReader(self._settings)

    def create_topics(self, topics: Sequence[Topic]) -> None:
        """As the port. Nothing is created where one of them cannot be.

        Records are kept for ever unless compacted: how long a clinic may hold them is for its operator to set, and so is
        replication, which is the cluster's default (in production 3, with min.insync.replicas 2). Where the ACLs do not let
        us see the settings of a topic that exists, only its partitions are compared.
        """
        for topic in topics:
            if topic.partitions < 1:
                raise LogError(f"topic {topic.name!r} needs at least one partition")
        missing = self._missing(topics)
        if not missing:
            return
        wanted = {topic.name: {"num_partitions": topic.partitions, "configs": _configs(topic)} for topic in missing}
        try:
            self._ask(lambda admin: admin.create_topics(wanted, wait_for_metadata=True), "creating topics")
        except LogError as error:
            if not isinstance(error.__cause__, TopicAlreadyExistsError):
                raise
            # Another process was a moment faster with one of them: look again, once the broker shows it.
            self._ask(lambda admin: admin.wait_for_topics(list(wanted)), "waiting for topics")
            self.create_topics(topics)

    def partitions(self, topic: str) -> int:
        """As the port."""
        count = self._describe([topic])[topic]
        if count is None:
            raise LogError(f"topic {topic!r} does not exist")
        self._counts[topic] = count
        return count

    def join(self, group: str, topic: str, instance: str) -> KafkaMember:
        """As the port. The transactional id is `<group>.<instance>`."""
        self.partitions(topic)
        group = self._prefix + group
        writer = KafkaWriter(self._settings, f"{group}.{instance}", self._count, list(self._counts))
        try:
            return KafkaMember(self._settings, group, topic, instance, writer)
        except LogError:
            writer.close()
            raise

    def append(self, messages: Sequence[Message]) -> list[Place]:
        """As the port. More than one message is a transaction, of which one at a time goes through this object."""
        self._open()
        if not messages:
            return []
        if len(messages) == 1:
            return [self._append_one(messages[0])]
        with self._append_lock:
            if self._several is None:
                self._several = KafkaWriter(self._settings, self._append_id, self._count, [])
            try:
                return self._several.write(messages)
            except LogError as error:
                self._several.close()
                self._several = None
                raise error

    def read(self, partition: Partition, start: int = 0, end: int | None = None) -> Iterator[Record]:
        """As the port. Waits while a transaction below `end` is undecided; raises `LogError` where one stays so."""
        first, high = self.bounds(partition)
        return self._reader.read(partition, max(start, first), high if end is None else min(end, high))

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """As the port."""
        count = self._count(partition.topic)
        if not 0 <= partition.number < count:
            raise LogError(f"topic {partition.topic!r} has {count} partitions, none with the number {partition.number}")
        return self._reader.bounds(partition)

    def committed(self, group: str, topic: str) -> dict[Partition, int]:
        """As the port. Waits while a transaction on these offsets is undecided."""
        return self._reader.committed(self._prefix + group, topic, self._count(topic))

    def members(self, group: str, topic: str) -> list[str]:
        """As the port. It needs DESCRIBE on the group, which READ brings along."""
        name = self._prefix + group
        found = self._ask(lambda admin: _members(admin, name), f"looking up the members of group {name!r}")
        return sorted({member["group_instance_id"] or member["client_id"] for member in found})

    def purge(self, partitions: Sequence[Partition]) -> None:
        """As the port. Writes records that say nothing, so that the broker closes segments that are old enough."""
        self.append([Message(partition.topic, PURGE_KEY, None, (), partition.number) for partition in partitions])

    def drop(self, partition: Partition, offsets: Collection[int], *, with_earlier: bool = False) -> None:
        """As the port. The bytes leave the disk once the broker has closed the segment that they are in."""
        if not with_earlier:
            raise LogError(f"Kafka lets go of a record of {partition.topic} only with all that came before it")
        if offsets:
            before = {TopicPartition(*partition): max(offsets) + 1}
            self._ask(lambda admin: admin.delete_records(before), f"deleting records of {partition.topic!r}")

    def close(self) -> None:
        """As the port."""
        self._reader.close()
        with self._append_lock, self._lock:
            for held in (self._single, self._several, self._admin):
                if held is not None:
                    held.close()
            self._single = self._several = self._admin = None

    def _open(self) -> Any:
        with self._lock:
            if self._admin is None:
                raise LogError("this log is closed")
            return self._admin

    def _append_one(self, message: Message) -> Place:
        number = place(message, self._count(message.topic), compacted=False)
        with self._lock:
            if self._single is None:
                self._single = SingleWriter(self._settings)
            writer = self._single
        try:
            return writer.write(message, number)
        except Doubt:
            # Its sequence of records may have a hole now: the next call begins with a new one.
            with self._lock:
                if self._single is writer:
                    self._single = None
            writer.close()
            raise

    def _count(self, topic: str) -> int:
        """`partitions`, from memory where asked before: the number of a topic in use must not change (keys would move)."""
        return self._counts.get(topic) or self.partitions(topic)

    def _missing(self, topics: Sequence[Topic]) -> list[Topic]:
        """Those that do not exist. Raises `LogError` where one exists otherwise than asked."""
        counts = self._describe([topic.name for topic in topics])
        there = [topic for topic in topics if counts[topic.name] is not None]
        for topic in there:
            if counts[topic.name] != topic.partitions:
                raise LogError(
                    f"topic {topic.name!r} exists with {counts[topic.name]} partitions, not {topic.partitions}"
                )
        for topic, cleanup in self._cleanups(there):
            if set(cleanup.split(",")) != set(topic.cleanup.split(",")):
                raise LogError(f"topic {topic.name!r} exists with cleanup.policy={cleanup}, not {topic.cleanup}")
        return [topic for topic in topics if counts[topic.name] is None]

    def _describe(self, topics: Sequence[str]) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for told in self._ask(lambda admin: admin.describe_topics(list(topics)), "looking up topics") if topics else ():
            error = for_code(told["error_code"])
            if issubclass(error, AuthorizationError):
                raise explain(error(), f"looking up topic {told['name']!r}")
            found[told["name"]] = len(told["partitions"]) or None
        return found

    def _cleanups(self, topics: Sequence[Topic]) -> list[tuple[Topic, str]]:
        if not topics:
            return []
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name, {"cleanup.policy": None}) for topic in topics]
        told = self._ask(lambda admin: admin.describe_configs(asked, config_filter="all"), "looking up settings")
        # Of what the ACLs hide, kafka-python tells nothing.
        seen = [(topic, told["topic"].get(topic.name, {}).get("cleanup.policy")) for topic in topics]
        return [(topic, setting["value"]) for topic, setting in seen if setting]

    def _ask(self, question: Callable[[Any], T], doing: str) -> T:
        """The answer of the cluster, asked again while it is starting up or moving things, within the limit."""
        deadline = time.monotonic() + ADMIN_SECONDS
        while True:
            try:
                return self._within(deadline, question)
            except RetriableError as error:
                if time.monotonic() > deadline:
                    raise explain(error, doing) from error
                time.sleep(0.1)
            except LogError:
                raise
            except Exception as error:
                raise explain(error, doing) from error

    def _within(self, deadline: float, question: Callable[[Any], T]) -> T:
        admin = self._open()
        answers: list[T] = []
        failures: list[Exception] = []

        def ask() -> None:
            try:
                answers.append(question(admin))
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=ask, name="kafka-admin", daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
        if failures:
            raise failures[0]
        if not answers:
            raise Doubt("the cluster did not answer within the limit")
        return answers[0]

    def _new_admin(self) -> Any:
        return build(KafkaAdminClient, self._settings)


def _members(admin: Any, group: str) -> Sequence[Mapping[str, Any]]:
    """What the coordinator tells of each member. Raises `RetriableError` where it cannot tell now."""
    told = admin.describe_groups([group])[group]
    error = told["error"] or GroupIdNotFoundError.__name__  # words, of which the class is one
    if GroupAuthorizationFailedError.__name__ in error:
        raise GroupAuthorizationFailedError
    if GroupIdNotFoundError.__name__ not in error:
        raise CoordinatorNotAvailableError
    found: Sequence[Mapping[str, Any]] = told["members"]
    return found


def _configs(topic: Topic) -> dict[str, str]:
    configs = {"cleanup.policy": topic.cleanup, "max.message.bytes": str(MESSAGE_LIMIT + FRAMING), "retention.ms": "-1"}
    if "compact" in topic.cleanup:
        # Only closed segments are compacted: small ones keep restoring fast, and a deleted key is gone within a day.
        configs |= {
            "segment.bytes": str(32 * 1024 * 1024),
            "segment.ms": str(3_600_000),
            "min.cleanable.dirty.ratio": "0.1",
            "max.compaction.lag.ms": str(86_400_000),
        }
    return configs
