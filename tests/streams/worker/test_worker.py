"""The worker, rule by rule; `test_worker_machine.py` tries them all at once under faults."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import structlog.testing

from keepwell import metrics
from keepwell.streams.log import Doubt, LogError, Message, OffsetGone, Partition, Polled, Record, Topic
from keepwell.streams.memory import MemoryLog, MemoryMember
from keepwell.streams.worker import dead_letters, state
from keepwell.streams.worker.assignment import first_offset
from keepwell.streams.worker.loop import MAX_REBUILDS, BrokenFeed, Limits, Pace, Worker
from keepwell.streams.worker.step import Outdated, Step
from tests.streams.worker.toy import CHANGELOG, LETTERS, SCORES, SOURCE, Toy, event

GROUP = "group"
BAD = b"not an event"
QUICK = Pace(poll=0.0)


@pytest.fixture(autouse=True)
def entries() -> Iterator[Sequence[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def make_log(partitions: int = 1, kind: type[MemoryLog] = MemoryLog) -> MemoryLog:
    log = kind()
    log.create_topics([Topic(SOURCE, partitions), Topic(CHANGELOG, partitions, "compact")])
    log.create_topics([Topic(SCORES, partitions), Topic(LETTERS, partitions)])
    return log


def worker(log: MemoryLog, make: Callable[[], Toy] = Toy, instance: str = "w0", **options: Any) -> Worker:
    options = {"changelog_topic": CHANGELOG, "pace": QUICK, "source_topic": SOURCE} | options
    return Worker(log, make, group=GROUP, instance=instance, **options)


def turns(one: Worker, count: int = 4) -> None:
    for _ in range(count):
        one.turn(0.0)


def read(log: MemoryLog, topic: str, number: int = 0) -> list[Record]:
    return list(log.read(Partition(topic, number)))


def values(log: MemoryLog, topic: str, number: int = 0) -> list[bytes | None]:
    return [record.value for record in read(log, topic, number)]


def committed(log: MemoryLog) -> dict[int, int]:
    return {partition.number: offset for partition, offset in log.committed(GROUP, SOURCE).items()}


def move_offset_back(log: MemoryLog, number: int, offset: int) -> None:
    log._groups[GROUP, SOURCE].offsets[number] = offset


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sizes(Toy):
    """Remembers how many records came at once, and how many entries were restored."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, int]] = []
        self.restored = 0
        self.forgot: list[int] = []

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        self.restored += 1
        super().restore(partition, key, payload)

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        self.steps.append((partition, len(records)))
        return super().step(partition, records)

    def forget(self, partition: int) -> None:
        self.forgot.append(partition)
        super().forget(partition)


def test_state_outputs_letters_and_offsets_of_a_batch_are_one_commit() -> None:
    log = make_log()
    log.append([event(b"a", "n1", 3), Message(SOURCE, b"a", BAD), event(b"a", "n2", 4)])
    commits: list[str] = []
    log.faults = commits.append
    worker(log).drain()
    assert commits.count("commit.before") == 1
    log.faults = None
    assert values(log, SCORES) == [b"n1 [3]", b"n2 [3, 7]"]
    assert [record.value for record in read(log, LETTERS)] == [BAD]
    [entry] = read(log, CHANGELOG)
    assert state.decode(entry.value or b"") == state.StateRecord(2, b"n1 0 3\nn2 0 4")
    assert committed(log) == {0: 3}


@pytest.mark.parametrize("last", [event(b"a", "n9", 1), event(b"a", "n9", 0), Message(SOURCE, b"a", BAD)])
@pytest.mark.parametrize("back", [0, 1, 2])
def test_with_offsets_moved_back_nothing_is_emitted_twice(last: Message, back: int) -> None:
    """`last`: a score, an erasure, a refusal; the last two leave no live state behind."""
    log = make_log()
    log.append([event(b"a", "n1", 3)])
    worker(log).drain()
    log.append([last])
    worker(log).drain()
    log.compact(CHANGELOG, tombstone_age=-1.0)
    before = {topic: read(log, topic) for topic in (SCORES, LETTERS, CHANGELOG)}
    move_offset_back(log, 0, back)
    again = Sizes()
    worker(log, lambda: again).drain()
    assert {topic: read(log, topic) for topic in before} == before
    assert again.steps == []


def test_a_stop_finishes_the_batch_in_hand_and_leaves_the_group() -> None:
    log = make_log()
    log.append([event(b"a", "n1", 3)])
    stop = threading.Event()

    class Stopping(Toy):
        def step(self, partition: int, records: Sequence[Record]) -> Step:
            stop.set()
            return super().step(partition, records)

    worker(log, Stopping).run(stop)
    assert values(log, SCORES) == [b"n1 [3]"]
    assert committed(log) == {0: 1}
    assert log.join(GROUP, SOURCE, "other").poll(0.0).gained == {Partition(SOURCE, 0)}


@pytest.mark.parametrize("moment", ["commit.before", "commit.after"])
def test_after_doubt_about_a_commit_memory_is_made_anew_and_the_output_is_there_once(moment: str) -> None:
    log = make_log()
    log.append([event(b"a", "n1", 3)])
    made: list[Toy] = []
    doubts = iter([Doubt("time-out")])

    def fail(point: str) -> None:
        if point == moment:
            for doubt in doubts:
                raise doubt

    def make() -> Toy:
        made.append(Toy())
        return made[-1]

    log.faults = fail
    before = sample("keepwell_rebuilds_total", cause="Doubt")
    worker(log, make).drain()
    assert len(made) == 2
    assert values(log, SCORES) == [b"n1 [3]"]
    assert sample("keepwell_rebuilds_total", cause="Doubt") == before + 1


def test_a_worker_that_only_meets_doubt_gives_up_so_that_its_process_is_restarted() -> None:
    log = make_log()
    joins: list[str] = []

    def fail(point: str) -> None:
        if point == "join.before":
            joins.append(point)
            raise Doubt("no broker")

    log.faults = fail
    one = worker(log)
    with pytest.raises(Doubt, match="no broker"):
        turns(one, 100)
    assert len(joins) == MAX_REBUILDS + 1


def test_each_commit_gives_a_worker_its_patience_back() -> None:
    log = make_log()
    failing = False

    def fail(point: str) -> None:
        nonlocal failing
        if failing and point == "poll.before":
            failing = False
            raise Doubt("lost touch")

    log.faults = fail
    one = worker(log)
    for number in range(3 * MAX_REBUILDS):
        log.append([event(b"a", f"n{number}", 1)])
        turns(one)
        failing = True
        turns(one, 1)
    assert len(read(log, SCORES)) == 3 * MAX_REBUILDS


def test_a_log_error_ends_the_worker_and_leaves_the_group() -> None:
    log = make_log()
    one = worker(log, source_topic="missing")
    with pytest.raises(LogError, match="missing"):
        one.run(threading.Event())
    assert one.ready().ok is False


def test_another_number_of_partitions_in_the_changelog_is_refused() -> None:
    log = make_log(2)
    log.create_topics([Topic("other", 3, "compact")])
    with pytest.raises(LogError, match="other must have as many partitions as events, which has 2"):
        worker(log, changelog_topic="other").drain()


def test_a_broken_feed_stops_the_worker_and_commits_nothing_of_that_batch() -> None:
    log = make_log()
    log.append([event(b"a", "n1", 1), *[Message(SOURCE, b"a", BAD)] * 3])
    one = worker(log, limits=Limits(run=4), pace=Pace(poll=0.0, records=2))
    with pytest.raises(BrokenFeed, match="keepwell dead-letters list"):
        log.append([Message(SOURCE, b"a", BAD)] * 9)
        turns(one, 20)
    one.close()
    assert committed(log) == {0: 6}
    assert len(read(log, LETTERS)) == 5
    after = worker(log, limits=Limits(run=100))
    after.drain()
    assert len(read(log, LETTERS)) == 12


def test_records_deleted_unread_are_a_refusal_to_start_unless_the_gap_is_accepted(entries: Sequence[Any]) -> None:
    log = make_log()
    log.append([event(b"a", f"n{number}", 1) for number in range(2)])
    worker(log).drain()
    log.append([event(b"a", f"n{number}", 1) for number in range(2, 9)])
    log.trim(Partition(SOURCE, 0), 5)
    with pytest.raises(OffsetGone, match=r"from offset 2, but the log holds records from 5 on: 3 .* --accept-gap"):
        worker(log).drain()
    before = sample("keepwell_gaps_accepted_total")
    worker(log, accept_gap=True).drain()
    assert values(log, SCORES)[2:] == [
        b"n5 [1, 2, 3]",
        b"n6 [1, 2, 3, 4]",
        b"n7 [1, 2, 3, 4, 5]",
        b"n8 [1, 2, 3, 4, 5, 6]",
    ]
    assert sample("keepwell_gaps_accepted_total") == before + 1
    assert "gap.accepted" in {entry["event"] for entry in entries}


def test_where_a_worker_begins() -> None:
    partition = Partition(SOURCE, 0)
    assert first_offset(partition, None, None, (3, 9)) == 3
    assert first_offset(partition, 5, None, (3, 9)) == 5
    assert first_offset(partition, 5, 7, (3, 9)) == 8
    assert first_offset(partition, None, 7, (3, 9)) == 8
    assert first_offset(partition, 2, 7, (3, 9)) == 8
    assert first_offset(partition, 3, None, (3, 3)) == 3
    with pytest.raises(OffsetGone):
        first_offset(partition, None, 1, (3, 9))
    with pytest.raises(LogError, match="not the log that the state was made from"):
        first_offset(partition, 2, 9, (0, 9))


def test_a_batch_is_bounded_in_bytes_and_nothing_more_is_fetched_meanwhile() -> None:
    log = make_log(2)
    toy = Sizes()
    log.append([event(b"k", f"n{number}", 1) for number in range(7)])  # 7 bytes each, with the key
    one = worker(log, lambda: toy, pace=Pace(poll=0.0, batch_bytes=15))
    turns(one, 2)
    log.append([event(b"k", f"n{number}", 1) for number in range(7, 9)])
    turns(one, 1)
    assert [size for _, size in toy.steps] == [2, 2]
    turns(one, 9)
    assert [size for _, size in toy.steps] == [2, 2, 2, 1, 2]
    assert len(log.committed(GROUP, SOURCE)) == 1


def test_a_record_above_the_bound_still_gets_through() -> None:
    log = make_log()
    log.append([Message(SOURCE, b"k", b"x" * 100), event(b"k", "n1", 1)])
    worker(log, pace=Pace(poll=0.0, batch_bytes=10)).drain()
    assert (len(read(log, LETTERS)), len(read(log, SCORES))) == (1, 1)


def test_a_partition_is_restored_in_chunks_while_others_go_on() -> None:
    log = make_log(2)
    other = log.join(GROUP, SOURCE, "other")
    toy = Sizes()
    one = worker(log, lambda: toy, pace=Pace(poll=0.0, restore=0.0, restore_chunk=10))
    one.turn(0.0)
    [theirs] = other.poll(0.0).gained
    mine = 1 - theirs.number
    turns(one, 3)
    assert one.ready() == (True, "1 partitions")
    entry = state.encode(state.StateRecord(0, b"n1 0 1"))
    log.append([Message(CHANGELOG, f"k{number}".encode(), entry, partition=theirs.number) for number in range(45)])
    log.append([Message(SOURCE, b"k0", b"n1 0 1", partition=theirs.number)])
    other.close()
    seen = []
    for number in range(7):
        log.append([Message(SOURCE, b"z", f"n{number} 0 1".encode(), partition=mine)])
        before = toy.restored
        one.turn(0.0)
        scores = [record for side in (0, 1) for record in read(log, SCORES, side)]
        seen.append((toy.restored - before, len(scores)))
    assert seen == [(10, 1), (10, 2), (10, 3), (10, 4), (5, 5), (0, 6), (0, 7)]


def test_a_lost_partition_is_forgotten_and_restored_when_it_comes_back() -> None:
    log = make_log()
    toy = Sizes()
    one = worker(log, lambda: toy)
    log.append([event(b"a", "n1", 3)])
    turns(one)
    log.rebalance(GROUP, SOURCE)
    log.append([event(b"a", "n2", 4)])
    turns(one)
    assert toy.forgot == [0]
    assert toy.restored == 1
    assert values(log, SCORES) == [b"n1 [3]", b"n2 [3, 7]"]


def test_drain_ends_when_all_partitions_are_worked_off_whoever_owns_them() -> None:
    log = make_log(4)
    stop = threading.Event()
    other = worker(log, instance="other", pace=Pace(poll=0.01))
    thread = threading.Thread(target=other.run, args=(stop,))
    thread.start()
    try:
        log.append([event(f"k{number}".encode(), "n1", 1) for number in range(200)])
        worker(log).drain()
        assert sum(committed(log).values()) == 200
    finally:
        stop.set()
        thread.join()


def test_drain_of_an_empty_source_ends_at_once() -> None:
    worker(make_log(3)).drain()


def log_with_a_hole_at_its_end() -> MemoryLog:
    """As Kafka's transaction markers leave it: offsets without a record."""
    log = MemoryLog()
    log.create_topics(
        [Topic(SOURCE, 1, "compact"), Topic(CHANGELOG, 1, "compact"), Topic(SCORES, 1), Topic(LETTERS, 1)]
    )
    log.append([Message(SOURCE, b"k", b"n1 0 1"), Message(SOURCE, b"k", None)])
    log.compact(SOURCE, tombstone_age=-1.0)
    assert (read(log, SOURCE), log.bounds(Partition(SOURCE, 0))) == ([], (0, 2))
    return log


def test_drain_ends_although_the_source_ends_in_offsets_without_a_record() -> None:
    worker(log_with_a_hole_at_its_end()).drain()


def test_offsets_without_a_record_are_passed_after_a_while_so_that_rest_shows_no_lag() -> None:
    log, clock = log_with_a_hole_at_its_end(), Clock()
    one = worker(log, clock=clock)
    turns(one)
    clock.now = QUICK.look
    turns(one)
    assert committed(log) == {}
    assert sample("keepwell_lag", partition="0") == 2
    clock.now = QUICK.quiet + QUICK.look
    turns(one)
    assert committed(log) == {0: 2}
    clock.now += QUICK.look
    turns(one)
    assert sample("keepwell_lag", partition="0") == 0
    one.close()


def test_readiness_follows_joining_restoring_and_working() -> None:
    log = make_log()
    log.append([Message(CHANGELOG, b"k", state.encode(state.StateRecord(0, b"n1 0 1")), partition=0)] * 3)
    log.append([event(b"k", "n1", 1)])
    one = worker(log, pace=Pace(poll=0.0, restore=0.0, restore_chunk=2))
    assert one.ready() == (False, "not in the group")
    one.turn(0.0)
    assert one.ready() == (False, "restoring 1 partitions")
    turns(one, 3)
    assert one.ready() == (True, "1 partitions")
    one.close()
    assert one.ready() == (False, "not in the group")


class DeafLog(MemoryLog):
    """Its members own partitions, but records never come (KAFKA.md F25)."""

    def join(self, group: str, topic: str, instance: str) -> MemoryMember:
        member = super().join(group, topic, instance)
        poll = member.poll

        def deaf(timeout: float, limit: int = 500) -> Polled:
            return poll(timeout, 0)

        member.poll = deaf  # type: ignore[method-assign] # the real member, but for this
        return member


def test_a_worker_to_which_no_record_comes_is_not_ready_and_then_begins_anew() -> None:
    log, clock = make_log(kind=DeafLog), Clock()
    log.append([event(b"k", "n1", 1)])
    one = worker(log, clock=clock)
    turns(one)
    assert one.ready().ok
    for _ in range(10):
        clock.now += QUICK.stuck / 9
        turns(one, 1)
    assert one.ready().why.startswith("records are waiting, but none came for")
    before = sample("keepwell_rebuilds_total", cause="Doubt")
    clock.now += 5 * QUICK.stuck
    turns(one, 1)
    assert sample("keepwell_rebuilds_total", cause="Doubt") == before + 1


def test_a_worker_at_rest_stays_ready() -> None:
    log, clock = make_log(2), Clock()
    one = worker(log, clock=clock)
    turns(one)
    for _ in range(30):
        clock.now += QUICK.stuck / 2
        turns(one, 1)
        assert one.ready().ok


def test_a_member_more_than_there_are_partitions_is_a_spare_and_ready_while_the_group_gets_on() -> None:
    log, clock = make_log(), Clock()
    owner, spare = worker(log, clock=clock), worker(log, instance="w1", clock=clock)
    turns(owner)
    turns(spare)
    assert spare.ready() == (False, "no partitions yet")
    for _ in range(3):
        clock.now += QUICK.look
        turns(spare, 1)
    assert spare.ready() == (True, "spare: every partition has another member")
    log.append([event(b"k", "n1", 1)])
    clock.now += QUICK.stuck
    turns(spare, 1)
    assert spare.ready().ok is False
    turns(owner, 1)
    clock.now += QUICK.look
    turns(spare, 1)
    assert spare.ready().ok


def test_a_loop_that_does_not_turn_is_not_live() -> None:
    clock = Clock()
    one = worker(make_log(), clock=clock)
    turns(one)
    assert one.live().ok
    clock.now += 121
    assert one.silence() == 121
    assert not one.live().ok
    assert not one.ready().ok


def test_what_is_committed_is_counted_and_a_commit_that_failed_is_not() -> None:
    log = make_log()
    log.append([event(b"a", "n1", 3), Message(SOURCE, b"a", BAD)])
    before = counts()
    doubts = iter([Doubt("time-out")])

    def fail(point: str) -> None:
        if point == "commit.before":
            for doubt in doubts:
                raise doubt

    log.faults = fail
    told: list[Step] = []
    worker(log, after_commit=told.extend).drain()
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [2, 1, 1]
    assert [(step.accepted, step.refused) for step in told] == [(1, 1)]


def test_a_processor_that_loses_a_record_is_stopped_before_the_commit() -> None:
    class Losing(Toy):
        def step(self, partition: int, records: Sequence[Record]) -> Step:
            return super().step(partition, records)._replace(accepted=0)

    log = make_log()
    log.append([event(b"a", "n1", 3)])
    with pytest.raises(RuntimeError, match="1 received, 0 accepted and 0 refused"):
        worker(log, Losing).drain()
    assert committed(log) == {}


def test_a_processor_with_state_needs_a_changelog() -> None:
    log = make_log()
    log.append([event(b"a", "n1", 3)])
    with pytest.raises(RuntimeError, match="no changelog topic"):
        worker(log, changelog_topic=None).drain()


def test_a_replayed_letter_is_worked_off_like_any_record() -> None:
    log = make_log()
    log.append([Message(SOURCE, b"a", BAD)])
    worker(log).drain()
    dead_letters.replay(log, dead_letters.letters(log, LETTERS))
    worker(log).drain()
    assert [found.attempts for found in dead_letters.letters(log, LETTERS)] == [2]


def test_no_log_line_holds_a_key_or_a_value(entries: Sequence[Any]) -> None:
    log = make_log()
    log.append([event(b"north/ep-17", "n1", 3), Message(SOURCE, b"north/ep-17", BAD)])
    one = worker(log)
    turns(one)
    log.rebalance(GROUP, SOURCE)
    turns(one)
    one.close()
    assert entries
    assert not any(secret in str(entries) for secret in ("ep-17", "n1", "not an event"))


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, {"group": GROUP} | labels) or 0.0


def counts() -> list[float]:
    refused = sample("keepwell_events_refused_total", reason="unreadable")
    return [sample("keepwell_events_received_total"), sample("keepwell_events_accepted_total"), refused]


class Newer(Toy):
    """The toy's next version: its state begins with a mark, and one without is outdated."""

    MARK = b"2\n"

    def __init__(self) -> None:
        super().__init__()
        self.stale: set[tuple[int, bytes]] = set()

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        if payload is not None and not payload.startswith(self.MARK):
            self.stale.add((partition, key))
            raise Outdated
        self.stale.discard((partition, key))
        super().restore(partition, key, None if payload is None else payload.removeprefix(self.MARK))

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        if any(number == partition for number, _ in self.stale):
            self.forget(partition)
        step = super().step(partition, records)
        marked = {key: None if payload is None else self.MARK + payload for key, payload in step.state.items()}
        return step._replace(state=marked)

    def forget(self, partition: int) -> None:
        self.stale = {each for each in self.stale if each[0] != partition}
        super().forget(partition)


def outdated_log() -> MemoryLog:
    """A log whose state the version before wrote: a key that lives, one that was erased, and a refusal."""
    log = make_log()
    log.append([event(b"a", "n1", 3), event(b"b", "n1", 1), event(b"a", "n2", 4)])
    worker(log).drain()
    log.append([event(b"b", "n2", 0), Message(SOURCE, b"a", BAD), event(b"c", "n1", 5)])
    worker(log).drain()
    return log


def changelog(log: MemoryLog) -> dict[bytes, bytes]:
    entries = {record.key or b"": state.read(record) for record in read(log, CHANGELOG) if record.key != state.POSITION}
    return {key: entry.payload for key, entry in entries.items() if entry is not None}


def test_a_state_of_another_version_is_made_anew_without_putting_anything_out_again(entries: Sequence[Any]) -> None:
    log = outdated_log()
    before = {topic: read(log, topic) for topic in (SCORES, LETTERS)}
    worker(log, Newer).drain()
    assert {topic: read(log, topic) for topic in before} == before
    assert changelog(log) == {b"a": b"2\nn1 0 3\nn2 0 4", b"c": b"2\nn1 0 5"}
    assert [entry["event"] for entry in entries if entry["event"].startswith("state.")] == [
        "state.outdated",
        "state.rebuilt",
    ]
    log.append([event(b"a", "n3", 1)])
    worker(log, Newer).drain()
    assert values(log, SCORES)[len(before[SCORES]) :] == [b"n3 [3, 7, 8]"]
    assert [entry["event"] for entry in entries].count("state.outdated") == 1


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
@pytest.mark.parametrize("wait", range(6))
def test_a_crash_while_the_state_is_made_anew_changes_nothing_in_the_end(point: str, wait: int) -> None:
    log = outdated_log()
    log.append([event(b"c", "n2", 2)])
    left = [wait]

    def fault(name: str) -> None:
        if name == point:
            left[0] -= 1
            if left[0] == -1:
                raise Doubt("armed")

    log.faults = fault
    worker(log, Newer, pace=Pace(poll=0.0, restore_chunk=1)).drain()
    log.faults = None
    assert changelog(log) == {b"a": b"2\nn1 0 3\nn2 0 4", b"c": b"2\nn1 0 5\nn2 0 2"}
    assert values(log, SCORES)[-1] == b"n2 [5, 7]"
    assert len(values(log, SCORES)) == 5


def test_a_state_of_another_version_over_a_log_that_was_cut_is_refused() -> None:
    log = outdated_log()
    log.trim(Partition(SOURCE, 0), 1)
    with pytest.raises(LogError, match="written by another version and cannot be made anew"):
        worker(log, Newer).drain()
