"""The rules by which the Kafka log uses kafka-python, and the faults of 3.0.12 that made them necessary.

`TestClient` holds that kafka-python still behaves as KAFKA.md found (F2, F4, F5, F6): where one of its tests fails, the
client changed, and the rule beside it is to be thought through again. The other classes hold the rules, R1 to R10.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any

import pytest
from kafka import ConsumerGroupMetadata, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    MemberToRemove,
    ResourcePattern,
    ResourceType,
)
from kafka.cluster import ClusterMetadata
from kafka.errors import CommitFailedError
from kafka.structs import OffsetAndMetadata

from keepwell.streams.kafka import client as _kafka_client
from keepwell.streams.kafka import reader as _kafka_reader
from keepwell.streams.kafka import writer as _kafka_writer
from keepwell.streams.kafka.log import KafkaLog
from keepwell.streams.kafka.member import KafkaMember
from keepwell.streams.log import Doubt, Fenced, Header, LogError, Message, OffsetGone, Partition, Topic
from tests.broker.broker import PATIENCE, Broker
from tests.waiting import until

pytestmark = pytest.mark.kafka


Producers = Callable[..., Any]


class While(tuple[Header, ...]):
    """Headers that let something happen while their message is being sent, in the midst of a transaction."""

    happens: Callable[[], object]
    looks: int

    @classmethod
    def sending(cls, happens: Callable[[], object]) -> While:
        """Empty headers with an effect."""
        headers = cls()
        headers.happens = happens
        headers.looks = 0
        return headers

    def __iter__(self) -> Iterator[Header]:
        self.looks += 1
        if self.looks == 2:  # The first look is for the size.
            self.happens()
        return super().__iter__()


@pytest.fixture
def log(kafka_bootstrap: str, prefix: str) -> Iterator[KafkaLog]:
    log = KafkaLog([kafka_bootstrap], group_prefix=prefix)
    yield log
    log.close()


@pytest.fixture
def source(log: KafkaLog, prefix: str) -> Partition:
    """The only partition of a topic with ten records."""
    return filled(log, f"{prefix}in")


@pytest.fixture
def target(log: KafkaLog, prefix: str) -> Partition:
    """The only partition of an empty topic."""
    log.create_topics([Topic(f"{prefix}out", 1)])
    return Partition(f"{prefix}out", 0)


@pytest.fixture
def member(log: KafkaLog, source: Partition) -> Iterator[KafkaMember]:
    """A member that owns `source`, has started it and read it."""
    member = reading(log, source)
    yield member
    member.close()


@pytest.fixture
def producers(kafka_bootstrap: str) -> Iterator[Producers]:
    """Bare producers of kafka-python: each call makes one for a transactional id."""
    made: list[Any] = []

    def make(name: str, **settings: object) -> Any:
        producer = KafkaProducer(
            bootstrap_servers=kafka_bootstrap, transactional_id=name, retry_backoff_ms=5, **settings
        )
        made.append(producer)
        producer.init_transactions()
        return producer

    yield make
    for producer in made:
        _kafka_writer.end(producer)


@pytest.fixture
def admin(kafka_bootstrap: str) -> Iterator[Any]:
    client = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    yield client
    client.close()


def filled(log: KafkaLog, topic: str) -> Partition:
    log.create_topics([Topic(topic, 1)])
    log.append([Message(topic, b"k", b"%d" % n) for n in range(10)])
    return Partition(topic, 0)


def reading(log: KafkaLog, source: Partition, instance: str = "a") -> KafkaMember:
    member = log.join("g", source.topic, instance)
    until(lambda: source in member.poll(0.1).gained)
    member.start(source)
    until(lambda: source in member.poll(0.1).records)
    return member


def message(target: Partition, value: bytes = b"v", headers: tuple[Header, ...] = ()) -> Message:
    return Message(target.topic, b"k", value, headers, target.number)


def values(log: KafkaLog, partition: Partition) -> list[bytes | None]:
    return [record.value for record in log.read(partition)]


def offset(number: int) -> OffsetAndMetadata:
    return OffsetAndMetadata(number, "", -1)


class TestClient:
    def test_f2_a_commit_returns_although_its_records_are_gone(
        self, log: KafkaLog, target: Partition, prefix: str, producers: Producers
    ) -> None:
        producer = producers(f"{prefix}f2", transaction_timeout_ms=1000)
        producer.begin_transaction()
        producer.send(target.topic, b"1").get(10)
        assert values(log, target) == []  # Waits until the broker has ended the transaction.
        refused = producer.send(target.topic, b"2")
        producer.commit_transaction()
        assert refused.failed()
        assert values(log, target) == []

    def test_f4_refused_offsets_are_committed_by_the_next_transaction(
        self, kafka_bootstrap: str, log: KafkaLog, prefix: str, producers: Producers
    ) -> None:
        log.create_topics([Topic(f"{prefix}two", 2)])
        first, second = TopicPartition(f"{prefix}two", 0), TopicPartition(f"{prefix}two", 1)
        consumer = self.joined(kafka_bootstrap, f"{prefix}g", first.topic)
        now = consumer.group_metadata()
        stale = ConsumerGroupMetadata(now.group_id, now.generation_id + 1, now.member_id)
        producer = producers(f"{prefix}f4")
        producer.begin_transaction()
        with pytest.raises(CommitFailedError):
            producer.send_offsets_to_transaction({first: offset(111)}, stale)
        producer.abort_transaction()
        producer.begin_transaction()
        producer.send_offsets_to_transaction({second: offset(3)}, now)
        producer.commit_transaction()
        consumer.close()
        assert log.committed("g", first.topic) == {Partition(*first): 111, Partition(*second): 3}

    def test_f5_a_failed_send_does_not_fail_the_transaction(self, secure_broker: Broker, prefix: str) -> None:
        with_rights = KafkaLog([secure_broker.bootstrap], security=secure_broker.security("admin"))
        with_rights.create_topics([Topic(f"{prefix}a", 1), Topic(f"{prefix}b", 1)])
        allow_writing(secure_broker, f"{prefix}a")
        settings = _kafka_client.connection([secure_broker.bootstrap], secure_broker.security("worker"))
        producer = KafkaProducer(**settings, transactional_id=f"{prefix}a.f5", max_block_ms=2000)
        producer.init_transactions()
        producer.begin_transaction()
        done, refused = producer.send(f"{prefix}a", b"1"), producer.send(f"{prefix}b", b"2")
        producer.commit_transaction()
        _kafka_writer.end(producer)
        assert done.succeeded()
        assert refused.failed()
        assert values(with_rights, Partition(f"{prefix}a", 0)) == [b"1"]
        with_rights.close()

    def test_f6_group_metadata_read_too_late_lets_a_removed_member_commit(
        self, kafka_bootstrap: str, log: KafkaLog, source: Partition, prefix: str, producers: Producers, admin: Any
    ) -> None:
        consumer = self.joined(kafka_bootstrap, f"{prefix}g", source.topic)
        in_time = consumer.group_metadata()
        admin.remove_group_members(f"{prefix}g", [MemberToRemove(member_id=in_time.member_id)])
        until(lambda: bool(consumer.group_metadata().generation_id < 0))
        producer = producers(f"{prefix}f6")
        producer.begin_transaction()
        producer.send_offsets_to_transaction({TopicPartition(*source): offset(7)}, consumer.group_metadata())
        producer.commit_transaction()
        assert log.committed("g", source.topic) == {source: 7}
        producer.begin_transaction()
        with pytest.raises(CommitFailedError):
            producer.send_offsets_to_transaction({TopicPartition(*source): offset(8)}, in_time)
        consumer.close()

    @staticmethod
    def joined(bootstrap: str, group: str, topic: str) -> Any:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, heartbeat_interval_ms=200
        )
        consumer.subscribe([topic])
        until(lambda: bool(consumer.poll(100) or consumer.assignment()))
        return consumer


class TestR1EverySendIsCheckedBeforeTheCommit:
    def test_a_transaction_that_the_broker_ended_meanwhile_is_in_doubt(
        self, monkeypatch: pytest.MonkeyPatch, log: KafkaLog, source: Partition, target: Partition
    ) -> None:
        monkeypatch.setitem(_kafka_writer._PRODUCER, "transaction_timeout_ms", 1000)
        member = reading(log, source)

        def overstay() -> None:
            until(lambda: log.bounds(target)[1] > 0)
            assert values(log, target) == []

        late = While.sending(overstay)
        with pytest.raises(Doubt):
            member.commit([message(target, b"1"), message(target, b"2", late)], {})  # Offsets would be refused first.
        assert member._writer._manager.has_fatal_error(), "the bare client would go on with a new epoch"
        member.close()
        assert values(log, target) == []
        assert log.committed("g", source.topic) == {}

    def test_a_send_that_fails_commits_nothing(
        self, monkeypatch: pytest.MonkeyPatch, secure_broker: Broker, prefix: str
    ) -> None:
        monkeypatch.setitem(_kafka_writer._PRODUCER, "max_block_ms", 2000)
        with_rights = KafkaLog([secure_broker.bootstrap], security=secure_broker.security("admin"))
        with_rights.create_topics([Topic(f"{prefix}a", 1), Topic(f"{prefix}b", 1)])
        allow_writing(secure_broker, f"{prefix}a")
        settings = _kafka_client.connection([secure_broker.bootstrap], secure_broker.security("worker"))
        writer = _kafka_writer.KafkaWriter(settings, f"{prefix}a.r1", with_rights.partitions, [f"{prefix}a"])
        writer._topics[f"{prefix}b"] = 1  # Otherwise the look-up before the transaction would find it out.
        with pytest.raises(LogError, match=r"needs .*WRITE"):
            writer.write([Message(f"{prefix}a", b"k", b"1"), Message(f"{prefix}b", b"k", b"2")])
        writer.close()
        assert values(with_rights, Partition(f"{prefix}a", 0)) == []
        with_rights.close()

    def test_a_producer_that_changed_its_identity_commits_nothing(
        self, log: KafkaLog, source: Partition, target: Partition, member: KafkaMember
    ) -> None:
        member._writer._identity = (0, 0)
        with pytest.raises(Doubt, match="identity"):
            member.commit([message(target)], {source: 5})
        member.close()
        reading(log, source).close()
        assert values(log, target) == []


class TestR2AnErrorEndsTheLife:
    def test_after_an_error_nothing_more_is_written(
        self, log: KafkaLog, source: Partition, target: Partition, member: KafkaMember
    ) -> None:
        rival: list[KafkaMember] = []
        taken = While.sending(lambda: rival.append(log.join("g", source.topic, "a")))
        with pytest.raises(Doubt):
            member.commit([message(target, b"1"), message(target, b"2", taken)], {source: 5})
        for act in (
            lambda: member.commit([message(target, b"3")], {source: 6}),
            lambda: member.poll(0),
            lambda: member.committed(source),
        ):
            with pytest.raises(Doubt, match="join again"):
                act()
        with pytest.raises(Doubt, match="met an error before"):
            member._writer.write([message(target, b"3")])
        rival[0].close()
        assert values(log, target) == []
        assert log.committed("g", source.topic) == {}

    def test_a_zombie_leaves_its_successors_transaction_alone(
        self, log: KafkaLog, source: Partition, target: Partition, member: KafkaMember
    ) -> None:
        """F3: the bare client can take a new epoch when refused, and abort by it what the successor has open."""
        successors: list[KafkaMember] = []
        open_now, zombie_done = threading.Event(), threading.Event()

        def stay() -> None:
            open_now.set()
            zombie_done.wait(PATIENCE)

        def takeover() -> None:
            successors.append(reading(log, source))
            midst = While.sending(stay)
            batch = [message(target, b"successor 1"), message(target, b"successor 2", midst)]
            pool.submit(successors[0].commit, batch, {source: 5}).add_done_callback(
                lambda f: outcome.append(f.exception())
            )
            assert open_now.wait(PATIENCE)

        outcome: list[BaseException | None] = []
        with ThreadPoolExecutor() as pool:
            with pytest.raises(Doubt):
                batch = [message(target, b"zombie 1"), message(target, b"zombie 2", While.sending(takeover))]
                member.commit(batch, {source: 9})
            zombie_done.set()
        assert outcome == [None]
        successors[0].close()
        assert values(log, target) == [b"successor 1", b"successor 2"]
        assert log.committed("g", source.topic) == {source: 5}


class TestR3EveryCallIsBounded:
    def test_a_silent_broker_is_a_doubt_within_the_limit_and_its_answer_stands(
        self, monkeypatch: pytest.MonkeyPatch, fragile_broker: Broker, prefix: str
    ) -> None:
        log = KafkaLog([fragile_broker.bootstrap], group_prefix=prefix)
        source = filled(log, f"{prefix}in")
        log.create_topics([Topic(f"{prefix}out", 1)])
        target = Partition(f"{prefix}out", 0)
        member = reading(log, source)
        monkeypatch.setattr(_kafka_writer, "WRITE_SECONDS", 1.0)
        began = time.monotonic()
        with pytest.raises(Doubt):
            member.commit([message(target, b"1", While.sending(fragile_broker.pause))], {source: 5})
        took = time.monotonic() - began
        member.close()
        fragile_broker.resume()
        assert took < 5
        monkeypatch.undo()
        member = reading(log, source)
        whole = (values(log, target), log.committed("g", source.topic))
        member.close()
        log.close()
        assert whole in (([], {}), ([b"1"], {source: 5}))

    def test_a_question_to_the_cluster_is_bounded(self, monkeypatch: pytest.MonkeyPatch, log: KafkaLog) -> None:
        released = threading.Event()
        monkeypatch.setattr("keepwell.streams.kafka.log.ADMIN_SECONDS", 0.2)
        with pytest.raises(Doubt, match="limit"):
            log._ask(lambda _admin: released.wait(PATIENCE), "waiting")
        released.set()


class TestR4MembershipIsThatOfThePoll:
    def test_a_member_removed_since_its_poll_commits_nothing(
        self, log: KafkaLog, source: Partition, target: Partition, prefix: str, member: KafkaMember, admin: Any
    ) -> None:
        admin.remove_group_members(f"{prefix}g", [MemberToRemove(group_instance_id="a")])
        until(lambda: bool(member._consumer.group_metadata().generation_id < 0))
        with pytest.raises(Fenced):
            member.commit([message(target)], {source: 5})
        member.close()
        reading(log, source, "b").close()
        assert log.committed("g", source.topic) == {}

    def test_metadata_of_no_member_is_never_passed_on(
        self, log: KafkaLog, source: Partition, target: Partition, member: KafkaMember
    ) -> None:
        member._group = ConsumerGroupMetadata(member._group.group_id)
        with pytest.raises(Fenced, match="removed"):
            member.commit([message(target)], {source: 5})
        assert values(log, target) == []
        assert log.committed("g", source.topic) == {}


class TestR5OnlyWhatIsCommittedIsSeen:
    def test_the_committed_offset_waits_for_an_open_transaction(
        self, log: KafkaLog, source: Partition, prefix: str, member: KafkaMember, producers: Producers
    ) -> None:
        former = producers(f"{prefix}former")
        former.begin_transaction()
        former.send_offsets_to_transaction({TopicPartition(*source): offset(4)}, member._group)
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(member.committed, source)
            outside = pool.submit(log.committed, "g", source.topic)
            for asked in (answer, outside):
                with pytest.raises(NotYet):
                    asked.result(0.3)
            former.commit_transaction()
            assert answer.result(PATIENCE) == 4
            assert outside.result(PATIENCE) == {source: 4}

    def test_an_offset_that_stays_undecided_is_a_doubt(
        self,
        monkeypatch: pytest.MonkeyPatch,
        source: Partition,
        prefix: str,
        member: KafkaMember,
        producers: Producers,
    ) -> None:
        monkeypatch.setattr("keepwell.streams.kafka.member.UNDECIDED_SECONDS", 0.3)
        former = producers(f"{prefix}former")
        former.begin_transaction()
        former.send_offsets_to_transaction({TopicPartition(*source): offset(4)}, member._group)
        with pytest.raises(Doubt):
            member.committed(source)

    def test_records_deleted_before_they_were_read_are_told(
        self, log: KafkaLog, source: Partition, member: KafkaMember, admin: Any
    ) -> None:
        member.pause([source])
        log.append([message(source, b"%d" % n) for n in range(10)])
        admin.delete_records({TopicPartition(*source): 18})
        until(lambda: log.bounds(source)[0] == 18)
        member.start(source, 18)
        member._consumer.seek(TopicPartition(*source), 3)
        member.resume([source])
        with pytest.raises(OffsetGone):
            until(lambda: bool(member.poll(0.1).records))


class TestR6RestoringReadsToTheHighWatermark:
    def test_reading_waits_for_a_transaction_that_is_open_at_the_call(
        self, log: KafkaLog, source: Partition, prefix: str, producers: Producers
    ) -> None:
        former = producers(f"{prefix}former")
        former.begin_transaction()
        former.send(source.topic, b"late").get(10)
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(values, log, source)
            with pytest.raises(NotYet):
                answer.result(0.3)
            former.commit_transaction()
            assert answer.result(PATIENCE)[-1] == b"late"

    def test_aborted_records_are_passed_over(
        self, log: KafkaLog, source: Partition, prefix: str, producers: Producers
    ) -> None:
        former = producers(f"{prefix}former")
        former.begin_transaction()
        former.send(source.topic, b"never").get(10)
        former.abort_transaction()
        log.append([message(source, b"after")])
        assert values(log, source) == [*[b"%d" % n for n in range(10)], b"after"]

    def test_a_transaction_that_stays_undecided_raises_the_alarm(
        self,
        monkeypatch: pytest.MonkeyPatch,
        log: KafkaLog,
        source: Partition,
        prefix: str,
        producers: Producers,
    ) -> None:
        monkeypatch.setattr(_kafka_reader, "UNDECIDED_SECONDS", 0.5)
        former = producers(f"{prefix}former")
        former.begin_transaction()
        former.send(source.topic, b"stuck").get(10)
        with pytest.raises(LogError, match=r"undecided at \d+ .*Do not start a worker") as alarm:
            values(log, source)
        assert not isinstance(alarm.value, Doubt)

    def test_ownership_is_noted_and_nothing_flows_until_started(self, log: KafkaLog, source: Partition) -> None:
        member = log.join("g", source.topic, "a")
        until(lambda: member.poll(0.1).gained == {source})
        assert member.poll(0.5) == ({}, frozenset(), frozenset())
        assert member._consumer.paused() == {TopicPartition(*source)}
        member.close()

    def test_a_join_that_ends_between_two_polls_is_not_forgotten(self, log: KafkaLog, prefix: str) -> None:
        """Cause of F25: the bare client would join again in each poll, and the group might never settle."""
        log.create_topics([Topic(f"{prefix}two", 2)])
        first = log.join("g", f"{prefix}two", "a")
        until(lambda: len(first.poll(0.1).gained) == 2)
        second = log.join("g", f"{prefix}two", "b")
        until(lambda: second.poll(0) is not None and self.joining(second))

        lost: set[Partition] = set()

        def joined_while_first_is_busy() -> bool:
            while not self.joining(first):
                lost.update(first.poll(0).lost)
            for _ in range(10):
                second.poll(0.1)
                if not self.joining(second):
                    return True
            lost.update(first.poll(0.1).lost)  # Its join came too early to be that of both.
            return False

        until(joined_while_first_is_busy)
        lost.update(first.poll(1.0).lost)
        assert len(lost) == 1
        until(lambda: first.poll(0.1) is not None and len(second.poll(0.1).gained) == 1)
        first.close()
        second.close()

    @staticmethod
    def joining(member: KafkaMember) -> bool:
        return member._consumer._coordinator._join_task is not None


class TestR8ATransactionIsShort:
    def test_no_batch_outlives_its_transaction(self) -> None:
        told = _kafka_writer._PRODUCER
        delivery, transaction = (int(str(told[name])) for name in ("delivery_timeout_ms", "transaction_timeout_ms"))
        assert delivery < transaction < _kafka_writer.WRITE_SECONDS * 1000


class TestR10OneLiveWorkerAName:
    def test_a_fenced_member_is_told_at_its_next_poll(
        self, log: KafkaLog, source: Partition, member: KafkaMember
    ) -> None:
        """F16: the bare client would go on reading the same records as its successor."""
        successor = reading(log, source)
        with pytest.raises(Fenced, match="instance"):
            until(lambda: member.poll(0.1) is None)
        member.close()
        successor.commit([], {source: 5})
        assert log.committed("g", source.topic) == {source: 5}
        successor.close()

    def test_a_fenced_member_that_closes_leaves_its_successor_in_the_group(
        self, log: KafkaLog, source: Partition, member: KafkaMember
    ) -> None:
        successor = reading(log, source)
        member.close()
        assert successor.poll(1.5).lost == frozenset()
        successor.commit([], {source: 5})
        successor.close()

    def test_a_fenced_member_commits_nothing_even_when_no_poll_told_it(
        self, log: KafkaLog, source: Partition, target: Partition, member: KafkaMember
    ) -> None:
        successor = log.join("g", source.topic, "a")
        with pytest.raises(Fenced):
            member.commit([message(target)], {source: 5})
        successor.close()
        assert values(log, target) == []
        assert log.committed("g", source.topic) == {}


def allow_writing(broker: Broker, prefix: str) -> None:
    """Lets the worker write to topics and transactional ids of this prefix, and nothing else."""
    client = KafkaAdminClient(**_kafka_client.connection([broker.bootstrap], broker.security("admin")))
    for kind in (ResourceType.TOPIC, ResourceType.TRANSACTIONAL_ID):
        pattern = ResourcePattern(kind, prefix, ACLResourcePatternType.PREFIXED)
        client.create_acls([ACL("User:worker", "*", ACLOperation.WRITE, ACLPermissionType.ALLOW, pattern)])
    client.close()


def test_the_topics_that_a_writer_begins_with_are_looked_up_together(
    monkeypatch: pytest.MonkeyPatch, log: KafkaLog, kafka_bootstrap: str, prefix: str
) -> None:
    """kafka-python waits a tenth of a second between two look-ups, so that eight of them held up every start."""
    topics = [f"{prefix}{name}" for name in "abcdefgh"]
    log.create_topics([Topic(name, 2) for name in topics])
    told = list[object]()
    update = ClusterMetadata.update_metadata

    def counting(self: ClusterMetadata, metadata: object) -> object:
        told.append(self)
        return update(self, metadata)

    monkeypatch.setattr(ClusterMetadata, "update_metadata", counting)
    settings = _kafka_client.connection([kafka_bootstrap], None)
    writer = _kafka_writer.KafkaWriter(settings, f"{prefix}together", log.partitions, topics)
    try:
        assert 0 < told.count(writer._producer._metadata) <= len(topics) / 2
        monkeypatch.undo()
        assert len(writer.write([Message(name, b"k", b"1") for name in topics])) == len(topics)
    finally:
        writer.close()
