"""One life of a worker: a membership and everything held in memory because of it, all of it forgotten on any doubt."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

import structlog

from keepwell import metrics
from keepwell.streams.log import Log, LogError, Partition, Record
from keepwell.streams.standing import standing
from keepwell.streams.worker import dead_letters, state
from keepwell.streams.worker.assignment import Assignment, Source, Standing, first_offset
from keepwell.streams.worker.guard import Guard
from keepwell.streams.worker.step import Outdated, Processor, Step

_log = structlog.get_logger(__name__)


class Job(NamedTuple):
    """What a worker works on. `changelog_topic` None: the processor keeps no state.

    `floor` tells, of a partition without a committed offset, the highest source offset that was worked in all the same;
    `set_aside` of any partition the offsets that were refused: a version that would take them now must not in a state made
    anew, as their outputs come only when they are put back.
    """

    source: Source
    changelog_topic: str | None
    after_commit: Callable[[Sequence[Step]], None]
    floor: Callable[[Partition], int | None] = lambda _: None
    set_aside: Callable[[Partition], Collection[int]] = lambda _: ()


class Life:
    """Joins the group; then each `turn` polls, restores a little, and works off one batch in one commit.

    Every method can raise `Doubt` (this life is over, nothing it holds is to be trusted), `LogError`, and `turn` also
    `BrokenFeed`. Used by one thread, but for `standing`.
    """

    def __init__(self, log: Log, job: Job, processor: Processor, guard: Guard) -> None:
        partitions = log.partitions(job.source.topic)
        if job.changelog_topic is not None and log.partitions(job.changelog_topic) != partitions:
            raise LogError(
                f"{job.changelog_topic} must have as many partitions as {job.source.topic}, which has {partitions}"
            )
        self._log = log
        self._job = job
        self._processor = processor
        self._guard = guard
        self._restoring: dict[Partition, _Restore] = {}
        self.committed = False
        self._assignment = Assignment(log, job.source)

    @property
    def standing(self) -> Standing:
        """Where this life stands, for any thread."""
        return self._assignment.standing

    def turn(self, timeout: float) -> bool:
        """One turn of the loop; waits up to `timeout` seconds where there is nothing to do. True where there was."""
        assignment, clock = self._assignment, self._job.source.clock
        polled = assignment.poll(0.0 if self._restoring or assignment.waiting else timeout)
        for partition in sorted(polled.lost):
            self._restoring.pop(partition, None)
            self._processor.forget(partition.number)
        for partition in sorted(polled.gained):
            self._restoring[partition] = _Restore(partition, clock())
        batch = self._batch()
        if batch:
            self._work_off(batch)
        self._restore()
        # Back pressure: while something fetched waits to be worked off, nothing more is fetched.
        assignment.hold(assignment.positions if assignment.waiting else ())
        assignment.look(len(self._restoring))
        return bool(batch or self._restoring or polled.gained)

    def worked_off(self, targets: Mapping[Partition, int]) -> bool:
        """Whether the group has worked off every record of the source below these offsets."""
        return self._assignment.worked_off(targets)

    def close(self) -> None:
        """Leaves the group. Idempotent; never raises."""
        self._assignment.close()

    def _batch(self) -> dict[Partition, Sequence[Record]]:
        """What of the waiting records is worked off now: at most `batch_bytes`, but at least one record."""
        waiting = self._assignment.waiting
        room = self._job.source.pace.batch_bytes
        batch: dict[Partition, Sequence[Record]] = {}
        for partition in list(waiting):
            records = waiting.pop(partition)
            fit, room = _fitting(records, room, at_least=0 if batch else 1)
            if fit:
                batch[partition] = records[:fit]
            if fit < len(records):
                waiting[partition] = records[fit:]
        return batch

    def _work_off(self, batch: Mapping[Partition, Sequence[Record]]) -> None:
        began = time.perf_counter()
        steps = {partition: self._step(partition, records) for partition, records in batch.items()}
        offsets = {partition: records[-1].offset + 1 for partition, records in batch.items()}
        received = sum(step.received for step in steps.values())
        refused = sum(step.refused for step in steps.values())
        self._guard.check(received, refused)
        messages = list(chain.from_iterable(step.messages for step in steps.values()))
        if self._job.changelog_topic is not None:
            for partition, step in steps.items():
                last = offsets[partition] - 1
                messages += state.entries(self._job.changelog_topic, partition.number, last, step.state)
        committing = time.perf_counter()
        self._assignment.commit(messages, offsets)
        ended = time.perf_counter()
        self._guard.count(received, refused)
        self.committed = True
        self._tell(list(steps.values()), ended - began, ended - committing)

    def _step(self, partition: Partition, records: Sequence[Record]) -> Step:
        step = self._processor.step(partition.number, records)
        if not step.accepted + step.refused == step.received == len(records):
            raise RuntimeError(
                f"of {len(records)} records the processor reports {step.received} received, "
                f"{step.accepted} accepted and {step.refused} refused: none may be lost or counted twice"
            )
        if step.state and self._job.changelog_topic is None:
            raise RuntimeError("the processor has state to keep, but the worker was given no changelog topic")
        return step

    def _tell(self, steps: Sequence[Step], batch_seconds: float, commit_seconds: float) -> None:
        group = self._job.source.group
        metrics.BATCH_SECONDS.labels(group).observe(batch_seconds)
        metrics.COMMIT_SECONDS.labels(group).observe(commit_seconds)
        metrics.RECEIVED.labels(group).inc(sum(step.received for step in steps))
        metrics.ACCEPTED.labels(group).inc(sum(step.accepted for step in steps))
        for step in steps:
            if step.refused:
                for reason in filter(None, map(dead_letters.reason_of, step.messages)):
                    metrics.REFUSED.labels(group, reason).inc()
        self._job.after_commit(steps)

    def _restore(self) -> None:
        """Goes on with the oldest restores until the time for it is used up; started partitions flow in between."""
        clock = self._job.source.clock
        until = clock() + self._job.source.pace.restore
        for partition, restore in list(self._restoring.items()):
            while not restore.advance(self._log, self._assignment, self._job, self._processor):
                if clock() >= until:
                    return
            del self._restoring[partition]
            self._start(partition, restore)
            if clock() >= until:
                return

    def _start(self, partition: Partition, restore: _Restore) -> None:
        self._assignment.start(partition, restore.committed, restore.floor)
        seconds = self._job.source.clock() - restore.gained
        metrics.RESTORE_SECONDS.labels(self._job.source.group).observe(seconds)
        metrics.RESTORED.labels(self._job.source.group).inc(restore.records)
        _log.info("partition.started", partition=partition.number, restored=restore.records, seconds=round(seconds, 3))


class _Restore:
    """The restore of one gained partition, in steps. `floor` is the highest source offset its state includes."""

    def __init__(self, partition: Partition, gained: float) -> None:
        self.gained = gained
        self.committed: int | None = None
        self.floor: int | None = None
        self.records = 0
        self._partition = partition
        self._changelog: Iterator[Record] | None = None
        self._keys: set[bytes] = set()
        self._outdated: set[bytes] = set()
        self._rebuild: _Rebuild | None = None

    def advance(self, log: Log, assignment: Assignment, job: Job, processor: Processor) -> bool:
        """Takes one chunk in; True where that was the last."""
        if self._rebuild is not None:
            return self._rebuild.advance(assignment, job, processor)
        if self._changelog is None:
            # First the offset: it waits until no former owner's transaction is open, whose state would be missed below.
            self.committed = assignment.committed(self._partition)
            self.floor = job.floor(self._partition) if self.committed is None else None
            self._changelog = self._open(log, job.changelog_topic)
        if self._take_chunk(job, processor):
            return False
        if self._outdated:
            offset = first_offset(self._partition, self.committed, self.floor, log.bounds(self._partition))
            keys = [*self._keys - self._outdated, *self._outdated]
            self._rebuild = _Rebuild(log, self._partition, offset, keys, job.set_aside(self._partition))
            _log.warning("state.outdated", partition=self._partition.number, records=len(self._outdated), up_to=offset)
            return False
        return True

    def _take_chunk(self, job: Job, processor: Processor) -> bool:
        """Whether there may be more."""
        assert self._changelog is not None
        count = 0
        for record in islice(self._changelog, job.source.pace.restore_chunk):
            count += 1
            entry = state.read(record)
            if entry is not None:
                self.floor = entry.offset if self.floor is None else max(self.floor, entry.offset)
            if record.key is None or record.key == state.POSITION:
                continue
            self._keys.add(record.key)
            self._outdated.discard(record.key)
            try:
                processor.restore(self._partition.number, record.key, None if entry is None else entry.payload)
            except Outdated:
                self._outdated.add(record.key)
        self.records += count
        return count == job.source.pace.restore_chunk

    def _open(self, log: Log, topic: str | None) -> Iterator[Record]:
        if topic is None:
            return iter(())
        changelog = Partition(topic, self._partition.number)
        begin, end = log.bounds(changelog)
        return iter(log.read(changelog, begin, end))


class _Rebuild:
    """The state of one partition made anew from its source, in steps: what was put out before is not put out again.

    The new state is written at the end, over what is outdated last: a crash before that leaves some, and the next life begins
    over. `keys` are all of the old state, those outdated at their end.
    """

    def __init__(
        self, log: Log, partition: Partition, offset: int, keys: Sequence[bytes], set_aside: Collection[int]
    ) -> None:
        begin, _ = log.bounds(partition)
        if begin > 0:
            raise LogError(
                f"{partition.topic}[{partition.number}]: the state was written by another version and cannot be made anew, "
                f"as the log begins at offset {begin}: bring the records before that back, or run the version that wrote it."
            )
        self._partition = partition
        self._offset = offset
        held = standing(log, partition, begin, offset)
        self._records = (record for record in held if record.offset not in set_aside)
        self._keys = keys
        self._state: dict[bytes, bytes | None] = {}
        self._read = 0
        self._written: Iterator[tuple[bytes, bytes | None]] | None = None

    def advance(self, assignment: Assignment, job: Job, processor: Processor) -> bool:
        """Takes one chunk of the source in, or writes one of the state; True where that was the last."""
        if self._written is None:
            records = list(islice(self._records, job.source.pace.restore_chunk))
            if records:
                self._state.update(processor.step(self._partition.number, records).state)
                self._read += len(records)
                return False
            old: dict[bytes, bytes | None] = {key: self._state.pop(key, None) for key in self._keys}
            self._written = chain(self._state.items(), old.items())
        chunk = dict(islice(self._written, job.source.pace.restore_chunk))
        if not chunk:
            _log.info("state.rebuilt", partition=self._partition.number, records=self._read)
            return True
        assert job.changelog_topic is not None
        messages = state.entries(job.changelog_topic, self._partition.number, self._offset - 1, chunk)
        assignment.commit(messages, {self._partition: self._offset})
        return False


def _fitting(records: Sequence[Record], room: int, at_least: int) -> tuple[int, int]:
    """How many of the first records fit into `room` bytes, and the room that is left."""
    for index, record in enumerate(records):
        size = len(record.key or b"") + len(record.value or b"")
        if size > room and index >= at_least:
            return index, 0
        room -= size
    return len(records), room
