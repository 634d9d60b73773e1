"""A Hypothesis state machine for a worker over a log with a fault at any I/O call. The processor is a parameter.

Subclass `WorkerMachine` with a `kit` of your own and expose `YourMachine.TestCase`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import structlog.testing
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keepwell.streams.log import Doubt, Header, Message, Partition, Record, Topic, partition_for
from keepwell.streams.memory import MemoryLog
from keepwell.streams.worker import dead_letters, state
from keepwell.streams.worker.loop import Pace, Worker
from keepwell.streams.worker.step import Processor, Step

PARTITIONS = 3
GROUP = "group"
# Everything small, so that each rule crosses many seams: half-worked polls, restores over several turns, looks every turn.
PACE = Pace(poll=0.0, records=10, batch_bytes=16, restore=0.0, restore_chunk=2, look=0.0, quiet=0.0, stuck=1e9)
POINTS = [
    f"{call}.{moment}"
    for call in ("join", "poll", "committed", "start", "commit", "bounds", "read")
    for moment in ("before", "after")
] + ["read.record"]

INSTANCES = st.sampled_from(["w0", "w1", "w2"])

Line = tuple[bytes | None, bytes | None, tuple[Header, ...]]


class Kit(NamedTuple):
    """What the machine needs to know of a processor. `memory` tells what the changelog should hold of a partition."""

    processor: Callable[[], Processor]
    memory: Callable[[Processor, int], Mapping[bytes, bytes]]
    messages: st.SearchStrategy[Message]
    source: str
    changelog: str
    letters: str
    outputs: tuple[str, ...]


class Crash(Exception):
    """The process died: nothing is closed, nobody is told."""


class Plain(NamedTuple):
    """What a run without any fault, one record at a time, makes of the records that the group has worked off."""

    outputs: list[Message]
    state: dict[int, dict[bytes, bytes]]
    refused: set[tuple[int, int]]
    records: dict[int, list[Record]]


class WorkerMachine(RuleBasedStateMachine):
    """Produces, duplicates, crashes, doubts, rebalances, restarts; the invariants are those of DESIGN section 3, 1 to 3."""

    kit: ClassVar[Kit]

    @initialize()
    def begin(self) -> None:
        self.quiet = structlog.testing.capture_logs()
        self.quiet.__enter__()
        self.log = MemoryLog()
        kit = self.kit
        self.log.create_topics([Topic(kit.source, PARTITIONS), Topic(kit.changelog, PARTITIONS, "compact")])
        self.log.create_topics([Topic(name, PARTITIONS) for name in (kit.letters, *kit.outputs)])
        self.sent: list[Message] = []
        self.workers: dict[str, Worker] = {"w0": self.worker("w0")}
        self.armed: tuple[str, int, Exception] | None = None
        self.log.faults = self.fault

    def worker(self, instance: str) -> Worker:
        kit = self.kit
        return Worker(
            self.log,
            lambda: _Checked(kit, self),
            group=GROUP,
            source_topic=kit.source,
            instance=instance,
            changelog_topic=kit.changelog,
            pace=PACE,
        )

    def fault(self, point: str) -> None:
        if self.armed is not None and self.armed[0] == point:
            name, wait, error = self.armed
            self.armed = (name, wait - 1, error) if wait else None
            if not wait:
                raise error

    @contextmanager
    def looking(self) -> Iterator[MemoryLog]:
        """The log as the test reads it: without faults, and without using the armed one up."""
        self.log.faults = None
        try:
            yield self.log
        finally:
            self.log.faults = self.fault

    @rule(data=st.data(), count=st.integers(1, 9))
    def produce(self, data: st.DataObject, count: int) -> None:
        messages = [data.draw(self.kit.messages) for _ in range(count)]
        self.sent += messages
        with self.looking() as log:
            log.append(messages)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        with self.looking() as log:
            log.append([data.draw(st.sampled_from(self.sent))])

    @rule(point=st.sampled_from(POINTS), wait=st.integers(0, 3), crash=st.booleans())
    def arm(self, point: str, wait: int, crash: bool) -> None:
        self.armed = (point, wait, Crash() if crash else Doubt("armed"))

    @rule(
        data=st.data(),
        instance=INSTANCES,
        point=st.sampled_from(["commit.before", "commit.after"]),
        crash=st.booleans(),
    )
    def fail_at_commit(self, data: st.DataObject, instance: str, point: str, crash: bool) -> None:
        self.workers.setdefault(instance, self.worker(instance))
        self.turns(instance, 12)
        self.produce(data, 4)
        self.armed = (point, 0, Crash() if crash else Doubt("armed"))
        self.turns(instance, 20)

    @rule(count=st.integers(1, 12))
    def all_get_on(self, count: int) -> None:
        for _ in range(count):
            for instance in sorted(self.workers):
                self.turn(instance)

    @rule(instance=INSTANCES, count=st.integers(1, 20))
    def turns(self, instance: str, count: int) -> None:
        for _ in range(count):
            self.turn(instance)

    def turn(self, instance: str) -> None:
        if instance not in self.workers:
            return
        try:
            self.workers[instance].turn(0.0)
        except (Crash, Doubt):  # Doubt: it gave up after too many rebuilds, and the process ends
            del self.workers[instance]

    @rule(instance=INSTANCES)
    def start_or_restart(self, instance: str) -> None:
        """A worker that was there before was killed, not closed: its membership is still thought alive."""
        self.workers[instance] = self.worker(instance)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        with self.looking():
            self.workers.pop(data.draw(st.sampled_from(sorted(self.workers)))).close()

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def twin_under_the_same_name(self, data: st.DataObject) -> None:
        """Two processes with one name: the later fences the earlier, which does not know yet and goes on."""
        label = data.draw(st.sampled_from(sorted(self.workers)))
        instance = label.rstrip("'")
        self.workers[f"{instance}'"] = self.workers[label]
        self.workers[instance] = self.worker(instance)

    @rule(instance=INSTANCES)
    def evict(self, instance: str) -> None:
        if any(self.log._groups):
            self.log.evict(GROUP, self.kit.source, instance)

    @rule()
    def rebalance(self) -> None:
        if any(self.log._groups):
            self.log.rebalance(GROUP, self.kit.source)

    @rule()
    def compact(self) -> None:
        self.log.compact(self.kit.changelog, tombstone_age=-1.0)

    @rule(number=st.integers(0, PARTITIONS - 1), back=st.integers(1, 9))
    def move_offset_back(self, number: int, back: int) -> None:
        """The group's offsets are lost or put back, as by an operator or by Kafka's retention of offsets."""
        for group in self.log._groups.values():
            if number in group.offsets:
                group.offsets[number] = max(0, group.offsets[number] - back)

    @invariant()
    def what_is_committed_is_what_a_plain_run_gives(self) -> None:
        with self.looking():
            plain = self.plain()
            self.invariant_1_accepted_and_dead_lettered_are_disjoint_and_all_that_was_received(plain)
            self.invariant_2_memory_is_the_fold_of_the_changelog_is_the_fold_of_the_source(plain)
            self.invariants_3_and_5_each_output_once_and_as_a_replay_gives_it(plain)

    def invariant_1_accepted_and_dead_lettered_are_disjoint_and_all_that_was_received(self, plain: Plain) -> None:
        waiting = list(dead_letters.letters(self.log, self.kit.letters))
        places = [(found.source.number, found.source_offset) for found in waiting]
        assert len(places) == len(set(places)), "no dead letter twice"
        assert set(places) == plain.refused, "what was not accepted, and nothing else, is a dead letter"
        for found in waiting:
            source = next(r for r in plain.records[found.source.number] if r.offset == found.source_offset)
            assert (found.record.key, found.record.value) == (source.key, source.value), "a dead letter is untouched"

    def invariant_2_memory_is_the_fold_of_the_changelog_is_the_fold_of_the_source(self, plain: Plain) -> None:
        """What a worker holds in memory is compared with the changelog after each of its steps, by `_Checked`."""
        for number in range(PARTITIONS):
            assert self.changelog(number) == plain.state[number], "state = fold of the accepted source records"

    def invariants_3_and_5_each_output_once_and_as_a_replay_gives_it(self, plain: Plain) -> None:
        for topic in (self.kit.letters, *self.kit.outputs):
            expected = [message for message in plain.outputs if message.topic == topic]
            assert _by_key(self.read(topic)) == _by_key(expected), f"{topic}: each output once, byte for byte"

    def teardown(self) -> None:
        """Whatever happened before: one healthy worker finishes the job."""
        if not hasattr(self, "log"):
            return
        try:
            self.finish()
        finally:
            self.quiet.__exit__(None, None, None)

    def finish(self) -> None:
        self.armed = None
        self.log.faults = None
        for worker in self.workers.values():
            worker.close()
        for left in ("w0", "w1", "w2"):
            if any(self.log._groups):
                self.log.evict(GROUP, self.kit.source, left)
        last = self.worker("w0")
        last.drain(_Patience(500))
        self.what_is_committed_is_what_a_plain_run_gives()
        for number in range(PARTITIONS):
            source = Partition(self.kit.source, number)
            assert self.worked_off(number) == self.log.bounds(source)[1], "everything was worked off"

    def plain(self) -> Plain:
        processor = self.kit.processor()
        plain = Plain([], {}, set(), {})
        for number in range(PARTITIONS):
            held = plain.state.setdefault(number, {})
            records = list(self.log.read(Partition(self.kit.source, number), 0, self.worked_off(number)))
            plain.records[number] = records
            for record in records:
                step = processor.step(number, [record])
                plain.outputs.extend(step.messages)
                held.update({key: payload for key, payload in step.state.items() if payload is not None})
                for key in [key for key, payload in step.state.items() if payload is None]:
                    held.pop(key, None)
                if step.refused:
                    plain.refused.add((number, record.offset))
        return plain

    def worked_off(self, number: int) -> int:
        """Below which offset everything was worked in; the changelog knows even where the group's offset was moved."""
        offset = self.log.committed(GROUP, self.kit.source).get(Partition(self.kit.source, number), 0)
        return max([offset, *(entry.offset + 1 for entry in self.entries(number) if entry is not None)])

    def changelog(self, number: int) -> dict[bytes, bytes]:
        """The fold of the committed changelog of a partition."""
        held: dict[bytes, bytes] = {}
        for record in self.log.read(Partition(self.kit.changelog, number)):
            entry = state.read(record)
            assert record.key is not None
            if entry is None:
                held.pop(record.key, None)
            elif record.key != state.POSITION:
                held[record.key] = entry.payload
        return held

    def entries(self, number: int) -> list[state.StateRecord | None]:
        return [state.read(record) for record in self.log.read(Partition(self.kit.changelog, number))]

    def read(self, topic: str) -> list[Message]:
        return [
            Message(topic, record.key, record.value, record.headers, number)
            for number in range(PARTITIONS)
            for record in self.log.read(Partition(topic, number))
        ]


class _Patience:
    """A stop signal that comes after so many turns: a worker that would go on for ever fails instead of hanging."""

    def __init__(self, turns: int) -> None:
        self.left = turns

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, timeout: float | None = None) -> bool:
        return False


class _Checked:
    """The processor under test; before each step it proves that memory is the fold of the committed changelog."""

    def __init__(self, kit: Kit, machine: WorkerMachine) -> None:
        self._inner = kit.processor()
        self._kit = kit
        self._machine = machine

    def restore(self, partition: int, key: bytes, payload: bytes | None) -> None:
        self._inner.restore(partition, key, payload)

    def step(self, partition: int, records: Sequence[Record]) -> Step:
        with self._machine.looking():
            assert dict(self._kit.memory(self._inner, partition)) == self._machine.changelog(partition)
            assert records[0].offset >= self._machine.worked_off(partition), "no record is worked in twice"
        return self._inner.step(partition, records)

    def forget(self, partition: int) -> None:
        self._inner.forget(partition)


def _by_key(messages: Sequence[Message]) -> tuple[dict[tuple[bytes, int], list[Line]], Counter[Line]]:
    """Messages in their order by key and partition; those without a key may come from any partition in any order."""
    keyed: dict[tuple[bytes, int], list[Line]] = defaultdict(list)
    keyless: Counter[Line] = Counter()
    for _, key, value, headers, number in messages:
        if key is None:
            keyless[key, value, headers] += 1
        else:
            place = partition_for(key, PARTITIONS) if number is None else number
            keyed[key, place].append((key, value, headers))
    return keyed, keyless
