"""The port's contract, one class a subject: here what needs no group."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import pytest

from keepwell.streams.log import Log, LogError, Member, Message, Partition, Record, Topic
from keepwell.streams.log import partition_for as where
from keepwell.streams.standing import standing

PARTITIONS = 4


class Backend(Protocol):
    """What the suite needs to know of a log beside the port."""

    patience: float
    """Seconds within which a group settles and a record arrives on the slowest machine that runs the tests."""

    def open(self) -> Log:
        """The same log as another process would open it."""

    def trim(self, partition: Partition, before: int) -> None:
        """Deletes the records below an offset, as retention does."""

    def compact(self, topic: str) -> None:
        """Makes compaction happen, as far as the log lets one."""


class Reader:
    """A member that starts what it gains and remembers what it owns and what it read."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.owned: set[Partition] = set()
        self.records: list[Record] = []

    def poll(self, timeout: float = 0.1, limit: int = 500) -> list[Record]:
        polled = self.member.poll(timeout, limit)
        assert polled.lost <= self.owned
        self.owned -= polled.lost
        assert not polled.gained & self.owned
        self.owned |= polled.gained
        for partition in polled.gained:
            self.member.start(partition)
        fresh = [record for records in polled.records.values() for record in records]
        self.records += fresh
        return fresh

    def commit(self, messages: Iterable[Message] = ()) -> None:
        """Commits all it has read."""
        offsets = {record.partition: record.offset + 1 for record in self.records if record.partition in self.owned}
        self.member.commit(list(messages), offsets)

    def values(self) -> list[bytes | None]:
        return sorted((record.value for record in self.records), key=lambda value: value or b"")


def until(condition: Callable[[], bool], patience: float, *readers: Reader) -> None:
    """Polls the readers in turn until the condition holds; fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        for reader in readers:
            reader.poll(0.05)


def messages(topic: str, count: int, start: int = 0) -> list[Message]:
    """Messages with keys of their own, so that they spread over the partitions."""
    return [Message(topic, b"key-%d" % n, b"value-%d" % n) for n in range(start, start + count)]


def everything(log: Log, topic: str) -> list[Record]:
    """All that a reader sees of a topic, partition by partition."""
    return [record for n in range(log.partitions(topic)) for record in log.read(Partition(topic, n))]


class Contract:
    """Fixtures of all contracts. The one that is missing is `backend`, which says what log is tested."""

    @pytest.fixture
    def log(self, backend: Backend) -> Iterator[Log]:
        log = backend.open()
        yield log
        log.close()

    @pytest.fixture
    def prefix(self) -> str:
        """Of topics and groups that no other test uses."""
        return f"t{uuid.uuid4().hex[:10]}."

    @pytest.fixture
    def patience(self, backend: Backend) -> float:
        return backend.patience

    @pytest.fixture
    def topic(self, log: Log, prefix: str) -> str:
        return self.new_topic(log, prefix)

    @pytest.fixture
    def other(self, log: Log, prefix: str) -> str:
        return self.new_topic(log, prefix)

    @pytest.fixture
    def one(self, log: Log, prefix: str) -> Partition:
        """The only partition of a topic."""
        return Partition(self.new_topic(log, prefix, partitions=1), 0)

    @pytest.fixture
    def group(self, prefix: str) -> str:
        return f"{prefix}group"

    @staticmethod
    def new_topic(log: Log, prefix: str, partitions: int = PARTITIONS) -> str:
        name = f"{prefix}{uuid.uuid4().hex[:8]}"
        log.create_topics([Topic(name, partitions)])
        return name

    @staticmethod
    def full(log: Log, one: Partition, count: int = 10) -> list[int]:
        """The offsets of so many records in the only partition of a topic."""
        return [offset for _, offset in log.append(messages(one.topic, count))]


class TopicsContract(Contract):
    def test_creating_a_topic_again_changes_nothing(self, log: Log, one: Partition) -> None:
        self.full(log, one)
        log.create_topics([Topic(one.topic, 1), Topic(one.topic, 1)])
        assert log.partitions(one.topic) == 1
        assert len(list(log.read(one))) == 10

    def test_a_topic_that_exists_with_other_partitions_is_refused_by_name(self, log: Log, topic: str) -> None:
        with pytest.raises(LogError, match=topic):
            log.create_topics([Topic(topic, PARTITIONS + 1)])
        assert log.partitions(topic) == PARTITIONS

    def test_a_topic_that_exists_with_another_cleanup_is_refused_by_name(self, log: Log, topic: str) -> None:
        with pytest.raises(LogError, match=topic):
            log.create_topics([Topic(topic, PARTITIONS, "compact")])

    def test_every_cleanup_is_kept(self, log: Log, prefix: str) -> None:
        topics = [Topic(f"{prefix}a", 2, "compact"), Topic(f"{prefix}b", 3, "compact,delete"), Topic(f"{prefix}c", 1)]
        log.create_topics(topics)
        log.create_topics(topics)
        assert [log.partitions(topic.name) for topic in topics] == [2, 3, 1]

    def test_a_missing_topic_is_named(self, log: Log, prefix: str) -> None:
        with pytest.raises(LogError, match=f"{prefix}nowhere"):
            log.partitions(f"{prefix}nowhere")

    def test_another_process_sees_the_topic(self, backend: Backend, topic: str) -> None:
        other = backend.open()
        try:
            assert other.partitions(topic) == PARTITIONS
        finally:
            other.close()

    def test_closing_twice_is_closing_once(self, backend: Backend, topic: str) -> None:
        other = backend.open()
        assert other.partitions(topic) == PARTITIONS
        other.close()
        other.close()


class AppendContract(Contract):
    def test_places_come_back_in_the_order_of_the_messages(self, log: Log, topic: str) -> None:
        sent = messages(topic, 20)
        places = log.append(sent)
        held = {(record.partition, record.offset): record.value for record in everything(log, topic)}
        assert [held[place] for place in places] == [message.value for message in sent]

    def test_a_key_decides_the_partition(self, log: Log, topic: str) -> None:
        sent = messages(topic, 20)
        assert [p.number for p, _ in log.append(sent)] == [where(m.key or b"", PARTITIONS) for m in sent]

    def test_a_given_partition_beats_the_key(self, log: Log, topic: str) -> None:
        sent = [Message(topic, b"same", b"v", partition=n) for n in range(PARTITIONS)]
        assert [p.number for p, _ in log.append(sent)] == list(range(PARTITIONS))

    @pytest.mark.parametrize(
        "sent",
        [
            Message("", b"k", b"v"),
            Message("", b"k", None),
            Message("", b"k", b""),
            Message("", b"", b"v"),
            Message("", None, b"v", partition=0),
            Message("", b"\x00\xff", b"\xfe\x00", (("a", b"1"), ("b", b""), ("a", b"\xff"))),
        ],
        ids=["plain", "null value", "empty value", "empty key", "null key", "repeated headers"],
    )
    def test_a_record_comes_back_as_it_was_sent(self, log: Log, one: Partition, sent: Message) -> None:
        log.append([sent._replace(topic=one.topic)])
        (record,) = log.read(one)
        assert (record.key, record.value, record.headers) == (sent.key, sent.value, sent.headers)
        assert (type(record.value), type(record.headers)) == (type(sent.value), tuple)
        assert record.partition == one

    def test_the_timestamp_is_the_time_of_writing_in_milliseconds(self, log: Log, one: Partition) -> None:
        before = int(time.time() * 1000)
        self.full(log, one, 1)
        (record,) = log.read(one)
        assert before - 1 <= record.timestamp <= time.time() * 1000 + 1

    def test_five_megabytes_come_back_whole(self, log: Log, one: Partition, group: str, patience: float) -> None:
        large = bytes(range(256)) * 20_000
        log.append([Message(one.topic, b"k", large), Message(one.topic, b"l", b"after")])
        assert [record.value for record in log.read(one)] == [large, b"after"]
        reader = Reader(log.join(group, one.topic, "a"))
        until(lambda: len(reader.records) == 2, patience, reader)
        reader.member.close()
        assert reader.records[0].value == large

    def test_a_message_without_key_and_partition_is_refused_and_nothing_written(self, log: Log, topic: str) -> None:
        with pytest.raises(LogError):
            log.append([Message(topic, b"k", b"v"), Message(topic, None, b"v")])
        assert everything(log, topic) == []

    def test_a_message_to_a_missing_topic_is_refused_and_nothing_written(self, log: Log, topic: str) -> None:
        with pytest.raises(LogError):
            log.append([Message(topic, b"k", b"v"), Message(f"{topic}-nowhere", b"k", b"v")])
        assert everything(log, topic) == []

    def test_nothing_is_written_by_nothing(self, log: Log) -> None:
        assert log.append([]) == []

    def test_several_threads_share_a_log(self, log: Log, topic: str) -> None:
        def write(writer: int) -> None:
            for n in range(10):
                log.append([Message(topic, b"%d" % n, b"%d/%d" % (writer, n)), Message(topic, b"x", b"x")])

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        values = sorted(record.value or b"" for record in everything(log, topic) if record.value != b"x")
        assert values == sorted(b"%d/%d" % (writer, n) for writer in range(4) for n in range(10))


class ReadContract(Contract):
    def test_an_empty_partition_has_nothing(self, log: Log, one: Partition) -> None:
        assert log.bounds(one) == (0, 0)
        assert list(log.read(one)) == []

    def test_offsets_increase_and_records_keep_their_order(self, log: Log, one: Partition) -> None:
        offsets = self.full(log, one)
        records = list(log.read(one))
        assert [record.offset for record in records] == offsets == sorted(set(offsets))
        assert [record.value for record in records] == [b"value-%d" % n for n in range(10)]

    def test_the_end_is_the_next_offset_to_be_written(self, log: Log, one: Partition) -> None:
        offsets = self.full(log, one)
        first, end = log.bounds(one)
        assert first == offsets[0]
        assert end > offsets[-1]
        assert self.full(log, one, 1)[0] >= end

    def test_the_start_is_read_and_the_end_is_not(self, log: Log, one: Partition) -> None:
        offsets = self.full(log, one)
        assert [r.offset for r in log.read(one, offsets[3], offsets[7])] == offsets[3:7]
        assert list(log.read(one, offsets[3], offsets[3])) == []
        assert list(log.read(one, offsets[7], offsets[3])) == []

    def test_a_start_at_the_end_reads_nothing(self, log: Log, one: Partition) -> None:
        self.full(log, one)
        assert list(log.read(one, log.bounds(one)[1])) == []

    def test_reading_ends_where_the_log_ended_at_the_call(self, log: Log, one: Partition) -> None:
        self.full(log, one, 3)
        records = log.read(one)
        self.full(log, one, 3)
        assert len(list(records)) == 3

    def test_many_records_are_read_whole(self, log: Log, one: Partition) -> None:
        sent = [b"%d" % n for n in range(10_000)]
        log.append([Message(one.topic, b"k", value) for value in sent])
        assert [record.value for record in log.read(one)] == sent

    def test_reading_starts_at_the_first_record_still_held(
        self, backend: Backend, log: Log, one: Partition, patience: float
    ) -> None:
        offsets = self.full(log, one)
        backend.trim(one, offsets[4])
        until(lambda: log.bounds(one)[0] == offsets[4], patience)
        assert [record.offset for record in log.read(one)] == offsets[4:]

    def test_compaction_keeps_the_newest_record_of_each_key(self, backend: Backend, log: Log, prefix: str) -> None:
        topic = f"{prefix}compacted"
        log.create_topics([Topic(topic, PARTITIONS, "compact")])
        keys = [b"key-%d" % n for n in range(8)]
        sent = [Message(topic, key, b"%d" % version) for version in range(3) for key in keys]
        places = log.append(sent)
        log.append([Message(topic, keys[0], None)])
        backend.compact(topic)
        records = everything(log, topic)
        newest = {record.key: record.value for record in records}
        assert newest.pop(keys[0], None) is None
        assert newest == dict.fromkeys(keys[1:], b"2")
        untouched = {place: message.value for place, message in zip(places, sent, strict=True)}
        for record in records:
            assert untouched.get((record.partition, record.offset)) == record.value

    def test_a_purge_takes_away_nothing_but_what_deletions_took_back(self, log: Log, prefix: str) -> None:
        topic = f"{prefix}compacted"
        log.create_topics([Topic(topic, 1, "compact")])
        log.append([Message(topic, key, value) for value in (b"1", b"2") for key in (b"a", b"b", b"c")])
        log.append([Message(topic, b"a", None), Message(topic, b"b", None), Message(topic, b"b", b"3")])
        for _ in range(2):
            log.purge([Partition(topic, 0)])
            held = [(record.key, record.value) for record in standing(log, Partition(topic, 0))]
            assert held == [(b"c", b"1"), (b"c", b"2"), (b"b", b"3")]
