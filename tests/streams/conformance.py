"""The port's contract as tests that every log must pass: one class a subject, to be run with a `backend` fixture."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from keepwell.streams.log import Doubt, Log, LogError, Member, Message, OffsetGone, Partition, Record, Topic
from keepwell.streams.log import partition_for as where

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
    """Fixtures of all contracts."""

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

    def test_a_deleted_key_is_told_to_readers_and_other_keys_stay(self, log: Log, prefix: str) -> None:
        topic = f"{prefix}compacted"
        log.create_topics([Topic(topic, 1, "compact")])
        log.append([Message(topic, key, value) for value in (b"1", b"2") for key in (b"a", b"b")])
        log.delete_key(topic, b"a")
        records = everything(log, topic)
        assert [record.value for record in records if record.key == b"a"][-1] is None
        assert [record.value for record in records if record.key == b"b"][-1] == b"2"


class GroupContract(Contract):
    def test_the_only_member_gains_every_partition(self, log: Log, topic: str, group: str, patience: float) -> None:
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.owned) == PARTITIONS, patience, reader)
        reader.member.close()
        assert reader.owned == {Partition(topic, n) for n in range(PARTITIONS)}

    def test_nothing_flows_before_start_and_only_what_was_started(
        self, log: Log, topic: str, group: str, patience: float
    ) -> None:
        log.append(messages(topic, 40))
        member = log.join(group, topic, "a")
        gained: set[Partition] = set()
        deadline = time.monotonic() + patience
        while len(gained) < PARTITIONS:
            assert time.monotonic() < deadline
            polled = member.poll(0.1)
            assert not polled.records
            gained |= polled.gained
        assert not member.poll(0.3).records
        member.start(Partition(topic, 1))
        while not (records := member.poll(0.1).records):
            assert time.monotonic() < deadline
        member.close()
        assert set(records) == {Partition(topic, 1)}

    def test_a_new_group_starts_at_the_beginning(self, log: Log, topic: str, group: str, patience: float) -> None:
        log.append(messages(topic, 40))
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.records) == 40, patience, reader)
        reader.member.close()
        assert reader.values() == sorted(message.value or b"" for message in messages(topic, 40))
        for n in range(PARTITIONS):
            offsets = [record.offset for record in reader.records if record.partition.number == n]
            assert offsets == sorted(offsets)

    def test_start_at_an_offset_reads_from_there(self, log: Log, one: Partition, group: str, patience: float) -> None:
        offsets = self.full(log, one)
        member = log.join(group, one.topic, "a")
        self.gain(member, one, patience)
        member.start(one, offsets[6])
        reader = Reader(member)
        until(lambda: len(reader.records) == 4, patience, reader)
        member.close()
        assert [record.offset for record in reader.records] == offsets[6:]

    def test_a_poll_brings_at_most_its_limit(self, log: Log, topic: str, group: str, patience: float) -> None:
        log.append(messages(topic, 50))
        reader = Reader(log.join(group, topic, "a"))
        sizes: list[int] = []
        deadline = time.monotonic() + patience
        while sum(sizes) < 50:
            assert time.monotonic() < deadline
            sizes.append(len(reader.poll(0.1, limit=7)))
        reader.member.close()
        assert max(sizes) <= 7
        assert len(set(reader.records)) == 50

    def test_a_poll_without_news_ends_at_its_timeout(self, log: Log, topic: str, group: str, patience: float) -> None:
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.owned) == PARTITIONS, patience, reader)
        began = time.monotonic()
        assert reader.poll(0.3) == []
        took = time.monotonic() - began
        reader.member.close()
        assert 0.25 <= took < patience

    def test_a_waiting_poll_wakes_when_a_record_comes(
        self, backend: Backend, log: Log, topic: str, group: str, patience: float
    ) -> None:
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.owned) == PARTITIONS, patience, reader)
        writer = backend.open()
        timer = threading.Timer(0.1, writer.append, [messages(topic, 1)])
        timer.start()
        began = time.monotonic()
        while not reader.poll(patience * 4):
            assert time.monotonic() - began < patience
        took = time.monotonic() - began
        timer.join()
        writer.close()
        reader.member.close()
        assert took < patience

    def test_a_paused_partition_is_silent_and_others_go_on(
        self, log: Log, topic: str, group: str, patience: float
    ) -> None:
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.owned) == PARTITIONS, patience, reader)
        quiet = Partition(topic, 0)
        reader.member.pause([quiet])
        reader.member.pause([quiet])
        log.append([Message(topic, None, b"%d" % n, partition=n) for n in range(PARTITIONS)])
        until(lambda: len(reader.records) == PARTITIONS - 1, patience, reader)
        assert reader.poll(0.3) == []
        assert quiet in reader.owned
        reader.member.resume([quiet])
        reader.member.resume([quiet])
        until(lambda: len(reader.records) == PARTITIONS, patience, reader)
        reader.member.close()
        assert reader.records[-1].partition == quiet

    def test_two_members_share_the_partitions_and_every_record_comes_once(
        self, backend: Backend, log: Log, topic: str, group: str, patience: float
    ) -> None:
        elsewhere = backend.open()
        first = Reader(log.join(group, topic, "a"))
        until(lambda: len(first.owned) == PARTITIONS, patience, first)
        second = Reader(elsewhere.join(group, topic, "b"))
        until(lambda: len(first.owned) == len(second.owned) == PARTITIONS // 2, patience, first, second)
        assert not first.owned & second.owned
        log.append(messages(topic, 40))
        until(lambda: len(first.records) + len(second.records) == 40, patience, first, second)
        first.member.close()
        second.member.close()
        elsewhere.close()
        assert {r.partition for r in first.records} <= first.owned
        assert {r.partition for r in second.records} <= second.owned
        assert len({(r.partition, r.offset) for r in first.records + second.records}) == 40

    def test_a_member_that_leaves_hands_over_where_it_committed(
        self, log: Log, topic: str, group: str, patience: float
    ) -> None:
        log.append(messages(topic, 40))
        first, second = Reader(log.join(group, topic, "a")), Reader(log.join(group, topic, "b"))
        until(lambda: len(first.records) + len(second.records) == 40, patience, first, second)
        until(lambda: len(first.owned) == len(second.owned) == PARTITIONS // 2, patience, first, second)
        second.records = [record for record in second.records if record.partition in second.owned]
        second.commit()
        log.append(messages(topic, 40, start=40))
        second.member.close()
        until(lambda: len(first.owned) == PARTITIONS, patience, first)
        theirs = [record for record in everything(log, topic) if record.partition in second.owned]
        unread = set(theirs) - set(second.records)
        assert unread
        before = len(first.records)
        until(lambda: unread <= set(first.records), patience, first)
        first.member.close()
        assert not set(second.records) & set(first.records[before:])

    def test_groups_do_not_touch_each_other(self, log: Log, topic: str, group: str, patience: float) -> None:
        log.append(messages(topic, 20))
        for name in (group, f"{group}-2"):
            reader = Reader(log.join(name, topic, "a"))
            until(lambda: len(reader.records) == 20, patience, reader)  # noqa: B023
            reader.commit()
            reader.member.close()

    def test_offsets_move_only_with_a_commit(self, log: Log, topic: str, group: str, patience: float) -> None:
        log.append(messages(topic, 20))
        for _ in range(2):
            reader = Reader(log.join(group, topic, "a"))
            until(lambda: len(reader.records) == 20, patience, reader)  # noqa: B023
            reader.member.close()
            assert log.committed(group, topic) == {}

    def test_start_refuses_an_offset_that_is_gone(
        self, backend: Backend, log: Log, one: Partition, group: str, patience: float
    ) -> None:
        offsets = self.full(log, one)
        member = log.join(group, one.topic, "a")
        self.gain(member, one, patience)
        member.commit([], {one: offsets[2]})
        backend.trim(one, offsets[5])
        until(lambda: log.bounds(one)[0] == offsets[5], patience)
        with pytest.raises(OffsetGone):
            member.start(one)
        with pytest.raises(OffsetGone):
            member.start(one, 0)
        member.start(one, offsets[5])
        reader = Reader(member)
        until(lambda: len(reader.records) == 5, patience, reader)
        member.close()

    def test_a_group_that_never_committed_starts_at_the_first_record_held(
        self, backend: Backend, log: Log, one: Partition, group: str, patience: float
    ) -> None:
        offsets = self.full(log, one)
        backend.trim(one, offsets[5])
        until(lambda: log.bounds(one)[0] == offsets[5], patience)
        reader = Reader(log.join(group, one.topic, "a"))
        until(lambda: len(reader.records) == 5, patience, reader)
        reader.member.close()

    def test_closing_twice_is_closing_once(self, log: Log, topic: str, group: str, patience: float) -> None:
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.owned) == PARTITIONS, patience, reader)
        reader.member.close()
        reader.member.close()

    @staticmethod
    def gain(member: Member, partition: Partition, patience: float) -> None:
        deadline = time.monotonic() + patience
        while partition not in member.poll(0.1).gained:
            assert time.monotonic() < deadline


class CommitContract(Contract):
    def test_messages_and_offsets_are_visible_when_it_returns(
        self, backend: Backend, log: Log, topic: str, other: str, group: str
    ) -> None:
        log.append(messages(topic, 20))
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.records) == 20, backend.patience, reader)
        assert [reader.member.committed(partition) for partition in reader.owned] == [None] * PARTITIONS
        reader.commit([*messages(other, 5), Message(topic, b"k", b"back")])
        ends = {record.partition: record.offset + 1 for record in reader.records}
        elsewhere = backend.open()
        for view in (log, elsewhere):
            assert view.committed(group, topic) == ends
            assert len(everything(view, other)) == 5
            assert b"back" in [record.value for record in everything(view, topic)]
        elsewhere.close()
        assert {partition: reader.member.committed(partition) for partition in ends} == ends
        reader.member.close()

    def test_a_successor_goes_on_where_the_group_committed(
        self, log: Log, topic: str, group: str, patience: float
    ) -> None:
        log.append(messages(topic, 20))
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.records) == 20, patience, reader)
        reader.commit()
        reader.member.close()
        log.append(messages(topic, 20, start=20))
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.records) == 20, patience, reader)
        assert reader.poll(0.3) == []
        reader.member.close()
        assert reader.values() == sorted(message.value or b"" for message in messages(topic, 20, start=20))

    def test_an_empty_commit_changes_nothing(self, log: Log, topic: str, group: str, patience: float) -> None:
        reader = self.owner(log, topic, group, patience)
        reader.member.commit([], {})
        assert log.committed(group, topic) == {}
        assert everything(log, topic) == []
        reader.member.close()

    def test_messages_without_offsets_and_offsets_without_messages(
        self, log: Log, topic: str, other: str, group: str, patience: float
    ) -> None:
        reader = self.owner(log, topic, group, patience)
        log.append(messages(topic, 1))
        until(lambda: len(reader.records) == 1, patience, reader)
        reader.member.commit(messages(other, 3), {})
        assert len(everything(log, other)) == 3
        assert log.committed(group, topic) == {}
        reader.commit()
        assert list(log.committed(group, topic).values()) == [reader.records[0].offset + 1]
        reader.member.close()

    def test_many_commits_of_one_member_keep_their_order(
        self, log: Log, one: Partition, group: str, patience: float
    ) -> None:
        reader = Reader(log.join(group, one.topic, "a"))
        until(lambda: len(reader.owned) == 1, patience, reader)
        for n in range(30):
            reader.member.commit([Message(one.topic, b"k", b"%d" % n)], {one: n})
        assert [record.value for record in log.read(one)] == [b"%d" % n for n in range(30)]
        reader.member.close()

    def test_a_commit_with_a_bad_message_leaves_nothing_behind(
        self, log: Log, topic: str, other: str, group: str, patience: float
    ) -> None:
        log.append(messages(topic, 20))
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.records) == 20, patience, reader)
        with pytest.raises(LogError):
            reader.commit([*messages(other, 5), Message(f"{topic}-nowhere", b"k", b"v")])
        reader.member.close()
        assert everything(log, other) == []
        assert log.committed(group, topic) == {}

    def test_a_member_under_the_same_instance_fences_the_former(
        self, backend: Backend, log: Log, topic: str, other: str, group: str
    ) -> None:
        log.append(messages(topic, 20))
        zombie = Reader(log.join(group, topic, "a"))
        until(lambda: len(zombie.records) == 20, backend.patience, zombie)
        elsewhere = backend.open()
        successor = Reader(elsewhere.join(group, topic, "a"))
        until(lambda: len(successor.records) == 20, backend.patience, successor)
        with pytest.raises(Doubt):
            zombie.commit([Message(other, b"k", b"from the zombie")])
        zombie.member.close()
        assert everything(log, other) == []
        assert log.committed(group, topic) == {}
        successor.commit([Message(other, b"k", b"from the successor")])
        successor.member.close()
        elsewhere.close()
        assert [record.value for record in everything(log, other)] == [b"from the successor"]

    def test_a_fenced_member_writes_nothing_even_without_offsets(
        self, log: Log, topic: str, other: str, group: str, patience: float
    ) -> None:
        zombie = self.owner(log, topic, group, patience)
        zombie.member.commit([Message(other, b"k", b"alive")], {})
        successor = self.owner(log, topic, group, patience)
        successor.member.commit([Message(other, b"k", b"successor")], {})
        with pytest.raises(Doubt):
            zombie.member.commit([Message(other, b"k", b"zombie")], {})
        zombie.member.close()
        successor.member.close()
        assert sorted(record.value or b"" for record in everything(log, other)) == [b"alive", b"successor"]

    def test_a_partition_that_was_lost_cannot_be_committed(
        self, log: Log, topic: str, other: str, group: str, patience: float
    ) -> None:
        log.append(messages(topic, 40))
        first = Reader(log.join(group, topic, "a"))
        until(lambda: len(first.records) == 40, patience, first)
        second = Reader(log.join(group, topic, "b"))
        until(lambda: len(first.owned) == len(second.owned) == PARTITIONS // 2, patience, first, second)
        lost = next(record for record in first.records if record.partition in second.owned)
        with pytest.raises(Doubt):
            first.member.commit([Message(other, b"k", b"v")], {lost.partition: lost.offset + 1})
        first.member.close()
        second.member.close()
        assert everything(log, other) == []
        assert log.committed(group, topic) == {}

    @staticmethod
    def owner(log: Log, topic: str, group: str, patience: float) -> Reader:
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.owned) == PARTITIONS, patience, reader)
        return reader
