"""What the log in memory offers beside the port: faults on demand, forced rebalances, compaction at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keepwell.streams.log import Doubt, Fenced, LogError, Message, Partition, Topic
from keepwell.streams.memory import MemoryLog, MemoryMember

P0 = Partition("in", 0)


class Crash(Exception):
    """The end of a process, as a test has it."""


def new_log(partitions: int = 1) -> MemoryLog:
    log = MemoryLog()
    log.create_topics([Topic("in", partitions), Topic("out", partitions), Topic("state", partitions, "compact")])
    return log


def owner(log: MemoryLog, instance: str = "a") -> MemoryMember:
    member = log.join("group", "in", instance)
    for partition in member.poll(0).gained:
        member.start(partition)
    return member


def raising(error: Exception, name: str) -> Callable[[str], None]:
    def fault(seen: str) -> None:
        if seen == name:
            raise error

    return fault


def values(log: MemoryLog, topic: str = "out") -> list[bytes | None]:
    return [record.value for record in log.read(Partition(topic, 0))]


@pytest.mark.parametrize("error", [Doubt("lost"), Crash()], ids=["doubt", "crash"])
def test_a_fault_before_the_commit_leaves_nothing(error: Exception) -> None:
    log = new_log()
    member = owner(log)
    log.faults = raising(error, "commit.before")
    with pytest.raises(type(error)):
        member.commit([Message("out", b"k", b"v")], {P0: 1})
    log.faults = None
    assert values(log) == []
    assert log.committed("group", "in") == {}


@pytest.mark.parametrize("error", [Doubt("lost"), Crash()], ids=["doubt", "crash"])
def test_a_fault_after_the_commit_leaves_all_of_it(error: Exception) -> None:
    log = new_log()
    member = owner(log)
    log.faults = raising(error, "commit.after")
    with pytest.raises(type(error)):
        member.commit([Message("out", b"k", b"v")], {P0: 1})
    log.faults = None
    assert values(log) == [b"v"]
    assert log.committed("group", "in") == {P0: 1}


def test_a_retry_after_doubt_about_an_append_can_duplicate() -> None:
    log = new_log()
    log.faults = raising(Doubt("lost"), "append.after")
    with pytest.raises(Doubt):
        log.append([Message("out", b"k", b"v")])
    log.faults = None
    log.append([Message("out", b"k", b"v")])
    assert values(log) == [b"v", b"v"]


@pytest.mark.parametrize("call", ["poll", "commit", "committed"])
def test_after_an_error_a_member_can_only_be_closed(call: str) -> None:
    log = new_log()
    member = owner(log)
    calls: dict[str, Callable[[], object]] = {
        "poll": lambda: member.poll(0),
        "commit": lambda: member.commit([], {}),
        "committed": lambda: member.committed(P0),
    }
    log.faults = raising(Crash(), f"{call}.after")
    with pytest.raises(Crash):
        calls[call]()
    log.faults = None
    for again in calls.values():
        with pytest.raises(Doubt):
            again()
    member.close()
    assert owner(log).committed(P0) is None


def test_a_rival_that_joins_at_the_moment_of_the_commit_fences_it() -> None:
    log = new_log()
    member = owner(log)

    def rival(name: str) -> None:
        if name == "commit.before":
            log.faults = None
            log.join("group", "in", "a")

    log.faults = rival
    with pytest.raises(Fenced):
        member.commit([Message("out", b"k", b"v")], {P0: 1})
    assert values(log) == []


def test_every_call_passes_the_faults_before_and_after() -> None:
    log = new_log()
    seen: list[str] = []
    log.faults = seen.append
    log.create_topics([Topic("new", 1)])
    log.append([Message("in", b"k", b"v")])
    member = owner(log)
    member.committed(P0)
    member.commit([], {P0: 1})
    list(log.read(P0))
    log.bounds(P0)
    log.purge([P0])
    log.drop(P0, [0])
    member.close()
    calls = [
        "create_topics",
        "append",
        "join",
        "poll",
        "start",
        "committed",
        "commit",
        "read",
        "bounds",
        "purge",
        "drop",
    ]
    assert [name for name in seen if name != "read.record"] == [f"{c}.{m}" for c in calls for m in ("before", "after")]
    assert seen[seen.index("read.before") + 1] == "read.record"


def test_a_forced_rebalance_takes_and_returns_the_partition_of_the_only_member() -> None:
    log = new_log()
    log.append([Message("in", b"k", b"v")])
    member = owner(log)
    assert member.poll(0).records
    log.rebalance("group", "in")
    polled = member.poll(0)
    assert polled.lost == polled.gained == {P0}
    assert not polled.records
    member.start(P0)
    assert [record.value for record in member.poll(0).records[P0]] == [b"v"]


def test_a_forced_rebalance_passes_every_partition_to_another_member() -> None:
    log = new_log(4)
    first, second = log.join("group", "in", "a"), log.join("group", "in", "b")
    before = first.poll(0).gained, second.poll(0).gained
    log.rebalance("group", "in")
    assert first.poll(0).lost == before[0]
    polled = second.poll(0)
    assert (polled.lost, polled.gained) == (before[1], before[0])
    assert first.poll(0).gained == before[1]
    second.commit([], dict.fromkeys(before[0], 1))
    with pytest.raises(Fenced):
        first.commit([], dict.fromkeys(before[0], 2))


def test_an_evicted_member_is_a_zombie_and_the_others_take_over() -> None:
    log = new_log(4)
    zombie, other = log.join("group", "in", "a"), log.join("group", "in", "b")
    owned = zombie.poll(0).gained
    log.evict("group", "in", "a")
    assert other.poll(0).gained == {Partition("in", number) for number in range(4)}
    with pytest.raises(Fenced):
        zombie.commit([Message("out", b"k", b"v")], dict.fromkeys(owned, 1))
    zombie.close()
    assert log.committed("group", "in") == {}


def test_a_member_fenced_in_the_middle_of_a_rebalance_leaves_nothing_stuck() -> None:
    log = new_log(4)
    first = log.join("group", "in", "a")
    first.poll(0)
    second = log.join("group", "in", "b")
    successor = log.join("group", "in", "a")
    gained = successor.poll(0).gained
    taken = second.poll(0).gained
    assert len(gained) == len(taken) == 2
    assert not gained & taken


def test_compaction_leaves_one_record_a_key_and_forgets_old_deletions() -> None:
    log = new_log()
    log.append([Message("state", key, value) for value in (b"1", b"2") for key in (b"a", b"b")])
    log.append([Message("state", b"a", None)])
    log.compact("state")
    assert values(log, "state") == [b"2", None]
    log.compact("state", tombstone_age=-1)
    assert values(log, "state") == [b"2"]
    assert log.bounds(Partition("state", 0)) == (0, 5)
    log.append([Message("state", b"c", b"3")])
    assert [record.offset for record in log.read(Partition("state", 0), 4)] == [5]


def test_only_a_compacted_topic_can_be_compacted_and_it_needs_keys() -> None:
    log = new_log()
    with pytest.raises(LogError, match="not compacted"):
        log.compact("in")
    with pytest.raises(LogError, match="no key"):
        log.append([Message("state", None, b"v", partition=0)])


def test_an_unknown_partition_or_group_is_named() -> None:
    log = new_log()
    with pytest.raises(LogError, match="not number 7"):
        log.read(Partition("in", 7))
    with pytest.raises(LogError, match="none with the number 7"):
        log.append([Message("in", b"k", b"v", partition=7)])
    with pytest.raises(LogError, match="'nobody'"):
        log.rebalance("nobody", "in")
