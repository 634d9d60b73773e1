"""The port's contract, continued: members of groups, and what they commit."""

from __future__ import annotations

import threading
import time

import pytest

from keepwell.streams.log import Doubt, Log, LogError, Member, Message, OffsetGone, Partition
from keepwell.testing.conformance.log import PARTITIONS, Backend, Contract, Reader, everything, messages, until


class GroupContract(Contract):
    def test_the_only_member_gains_every_partition(self, log: Log, topic: str, group: str, patience: float) -> None:
        reader = Reader(log.join(group, topic, "a"))
        until(lambda: len(reader.owned) == PARTITIONS, patience, reader)
        reader.member.close()
        assert reader.owned == {Partition(topic, n) for n in range(PARTITIONS)}

    def test_the_members_of_a_group_are_seen_from_outside(
        self, backend: Backend, log: Log, topic: str, group: str, patience: float
    ) -> None:
        assert log.members(group, topic) == []
        first, second = Reader(log.join(group, topic, "b")), Reader(log.join(group, topic, "a"))
        until(lambda: len(first.owned) == len(second.owned) == PARTITIONS // 2, patience, first, second)
        elsewhere = backend.open()
        both = elsewhere.members(group, topic)
        first.member.close()
        until(lambda: len(second.owned) == PARTITIONS, patience, second)
        one = elsewhere.members(group, topic)
        second.member.close()
        elsewhere.close()
        assert (both, one, log.members(group, topic)) == (["a", "b"], ["a"], [])

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
