"""One life of a worker: a membership and everything held in memory because of it, all of it forgotten on any doubt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

import structlog

from keepwell import metrics
from keepwell.streams.log import Doubt, Log, LogError, OffsetGone, Partition, Record
from keepwell.streams.worker import dead_letters, state
from keepwell.streams.worker.guard import Guard
from keepwell.streams.worker.step import Processor, Step

_log = structlog.get_logger(__name__)


class Pace(NamedTuple):
    """How a worker spends its time and memory; all times in seconds.

    A poll waits at most `poll` and brings at most `records`; a batch is cut at `batch_bytes` of keys and values, the rest
    waits while nothing more is fetched. Restoring takes at most about `restore` of a turn, `restore_chunk` records at
    least. Every `look` the worker compares its positions with the ends of the log; after `quiet` without a record it makes
    sure that nothing is there; after `stuck` with something there it is not ready, after five times that it begins anew.
    """

    poll: float = 0.5
    records: int = 1000
    batch_bytes: int = 8 * 1024 * 1024
    restore: float = 0.25
    restore_chunk: int = 1000
    look: float = 5.0
    quiet: float = 30.0
    stuck: float = 60.0


class Job(NamedTuple):
    """What a worker works on. Names are full, prefix included; `changelog_topic` None: the processor keeps no state."""

    group: str
    source_topic: str
    instance: str
    changelog_topic: str | None
    accept_gap: bool
    pace: Pace
    after_commit: Callable[[Sequence[Step]], None]
    clock: Callable[[], float]


class Standing(NamedTuple):
    """Where a life stands, as other threads may see it. `moved` is the time of the stuckest partition's last progress."""

    partitions: int
    restoring: int
    moved: float | None


class Life:
    """Joins the group; then each `turn` polls, restores a little, and works off one batch in one commit.

    Every method can raise `Doubt` (this life is over, nothing it holds is to be trusted), `LogError`, and `turn` also
    `BrokenFeed`. Used by one thread, but for `standing`.
    """

    def __init__(self, log: Log, job: Job, processor: Processor, guard: Guard) -> None:
        self._source = [Partition(job.source_topic, number) for number in range(log.partitions(job.source_topic))]
        if job.changelog_topic is not None and log.partitions(job.changelog_topic) != len(self._source):
            raise LogError(
                f"{job.changelog_topic} must have as many partitions as {job.source_topic}, which has {len(self._source)}"
            )
        self._log = log
        self._job = job
        self._processor = processor
        self._guard = guard
        self._next: dict[Partition, int] = {}
        self._moved: dict[Partition, float] = {}
        self._restoring: dict[Partition, _Restore] = {}
        self._backlog: dict[Partition, Sequence[Record]] = {}
        self._looked = job.clock()
        self._spare = _Spare(job.clock())
        self.standing = Standing(0, 0, None)
        self.committed = False
        self._member = log.join(job.group, job.source_topic, job.instance)

    def turn(self, timeout: float) -> bool:
        """One turn of the loop; waits up to `timeout` seconds where there is nothing to do. True where there was."""
        polled = self._member.poll(0.0 if self._restoring or self._backlog else timeout, self._job.pace.records)
        for partition in sorted(polled.lost):
            self._lose(partition)
        for partition in sorted(polled.gained):
            self._restoring[partition] = _Restore(partition, self._job.clock())
        self._take_in(polled.records)
        batch = self._batch()
        if batch:
            self._work_off(batch)
        self._restore()
        self._press()
        self._look()
        self._stand()
        return bool(batch or self._restoring or polled.gained)

    def worked_off(self, targets: Mapping[Partition, int]) -> bool:
        """Whether the group has worked off every record of the source below these offsets."""
        known = self._log.committed(self._job.group, self._job.source_topic) | self._next
        return all(self._nothing_between(partition, known.get(partition, 0), end) for partition, end in targets.items())

    def close(self) -> None:
        """Leaves the group. Idempotent; never raises."""
        self._member.close()
        for partition in list(self._next):
            self._forget_lag(partition)
        metrics.PARTITIONS.labels(self._job.group).set(0)

    def _lose(self, partition: Partition) -> None:
        self._restoring.pop(partition, None)
        self._backlog.pop(partition, None)
        self._moved.pop(partition, None)
        if self._next.pop(partition, None) is not None:
            self._forget_lag(partition)
        self._processor.forget(partition.number)
        if not self._next and not self._restoring:
            self._spare = _Spare(self._job.clock())
        _log.info("partition.lost", partition=partition.number)

    def _take_in(self, records: Mapping[Partition, Sequence[Record]]) -> None:
        for partition, brought in records.items():
            unseen = _from(self._next[partition], brought)
            if unseen:
                self._backlog[partition] = [*self._backlog.get(partition, ()), *unseen]

    def _batch(self) -> dict[Partition, Sequence[Record]]:
        """What of the backlog is worked off now: at most `batch_bytes`, but at least one record."""
        room = self._job.pace.batch_bytes
        batch: dict[Partition, Sequence[Record]] = {}
        for partition in list(self._backlog):
            records = self._backlog.pop(partition)
            fit, room = _fitting(records, room, at_least=0 if batch else 1)
            if fit:
                batch[partition] = records[:fit]
            if fit < len(records):
                self._backlog[partition] = records[fit:]
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
        self._member.commit(messages, offsets)
        ended = time.perf_counter()
        self._guard.count(received, refused)
        self._next |= offsets
        self._moved |= dict.fromkeys(offsets, self._job.clock())
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
        group = self._job.group
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
        until = self._job.clock() + self._job.pace.restore
        for partition, restore in list(self._restoring.items()):
            while not restore.advance(self._log, self._member.committed, self._job, self._processor):
                if self._job.clock() >= until:
                    return
            del self._restoring[partition]
            self._start(partition, restore)
            if self._job.clock() >= until:
                return

    def _start(self, partition: Partition, restore: _Restore) -> None:
        held = self._log.bounds(partition)
        try:
            offset = first_offset(partition, restore.committed, restore.floor, held)
        except OffsetGone as gone:
            if not self._job.accept_gap:
                raise
            offset = held[0]
            metrics.GAPS_ACCEPTED.labels(self._job.group).inc()
            _log.warning("gap.accepted", partition=partition.number, why=str(gone))
        self._member.start(partition, offset)
        self._next[partition] = offset
        self._moved[partition] = self._job.clock()
        seconds = self._job.clock() - restore.gained
        metrics.RESTORE_SECONDS.labels(self._job.group).observe(seconds)
        metrics.RESTORED.labels(self._job.group).inc(restore.records)
        _log.info("partition.started", partition=partition.number, restored=restore.records, seconds=round(seconds, 3))

    def _press(self) -> None:
        """Back pressure: while something fetched waits to be worked off, nothing more is fetched."""
        if self._backlog:
            self._member.pause(self._next)
        else:
            self._member.resume(self._next)

    def _look(self) -> None:
        """Compares, now and then, where the worker stands with where the log ends."""
        now = self._job.clock()
        if now - self._looked < self._job.pace.look:
            return
        self._looked = now
        if not self._next and not self._restoring:
            self._spare.look(self._log, self._job, self._source, now)
        for partition, position in self._next.items():
            end = self._log.bounds(partition)[1]
            metrics.LAG.labels(self._job.group, partition.number).set(max(0, end - position))
            if position >= end:
                self._moved[partition] = now
            elif now - self._moved[partition] >= self._job.pace.quiet and partition not in self._backlog:
                self._settle(partition, position, end)
                if self._job.clock() - now > self._job.pace.poll:
                    break  # a transaction was undecided; the others wait for the next look, the loop does not
        moved = self._last_move()
        waited = now - (self._spare.since if moved is None else moved)
        if waited >= 5 * self._job.pace.stuck and not self._restoring:
            raise Doubt(f"{self._job.source_topic}: there are records, but none came for {waited:.0f} s")

    def _settle(self, partition: Partition, position: int, end: int) -> None:
        """Moves past offsets that hold no record, such as Kafka's transaction markers.

        Otherwise a partition at rest would show a lag for ever, and once retention removed the markers the committed offset
        would look like records deleted unread.
        """
        if self._nothing_between(partition, position, end):
            self._member.commit([], {partition: end})
            self._next[partition] = end
            self._moved[partition] = self._job.clock()

    def _nothing_between(self, partition: Partition, position: int, end: int) -> bool:
        return position >= end or next(iter(self._log.read(partition, position, end)), None) is None

    def _stand(self) -> None:
        metrics.PARTITIONS.labels(self._job.group).set(len(self._next))
        self.standing = Standing(len(self._next), len(self._restoring), self._last_move())

    def _last_move(self) -> float | None:
        """When the partition that waits longest got on, or where there is none, when the group was last seen to."""
        return min(self._moved.values(), default=self._spare.moved)

    def _forget_lag(self, partition: Partition) -> None:
        metrics.LAG.remove(self._job.group, str(partition.number))


def first_offset(partition: Partition, committed: int | None, floor: int | None, held: tuple[int, int]) -> int:
    """Where to begin reading: after all that the group committed and all that the changelog includes, whichever is more.

    `floor` is the highest source offset found in the changelog, `held` the bounds of the partition. Without either the
    log's beginning. Raises `OffsetGone` where records below what is held were never read, `LogError` where the changelog
    includes what the log never held.
    """
    begin, end = held
    known = [offset for offset in (committed, None if floor is None else floor + 1) if offset is not None]
    if not known:
        return begin
    offset = max(known)
    name = f"{partition.topic}[{partition.number}]"
    if offset < begin:
        raise OffsetGone(
            f"{name}: the group comes from offset {offset}, but the log holds records from {begin} on: {begin - offset} "
            f"were deleted unread. Bring them back, or start once with --accept-gap to go on from {begin}."
        )
    if offset > end:
        raise LogError(
            f"{name}: the group comes from offset {offset}, but the log ends at {end}. It is not the log that the state was "
            "made from: bring that one back, or delete the changelog and the group's offsets to build the state anew."
        )
    return offset


class _Restore:
    """The restore of one gained partition, in steps. `floor` is the highest source offset its state includes."""

    def __init__(self, partition: Partition, gained: float) -> None:
        self.gained = gained
        self.committed: int | None = None
        self.floor: int | None = None
        self.records = 0
        self._partition = partition
        self._changelog: Iterator[Record] | None = None

    def advance(self, log: Log, committed: Callable[[Partition], int | None], job: Job, processor: Processor) -> bool:
        """Takes one chunk in; True where that was the last."""
        if self._changelog is None:
            # First the offset: it waits until no former owner's transaction is open, whose state would be missed below.
            self.committed = committed(self._partition)
            self._changelog = self._open(log, job.changelog_topic)
        count = 0
        for record in islice(self._changelog, job.pace.restore_chunk):
            count += 1
            entry = state.read(record)
            if entry is not None:
                self.floor = entry.offset if self.floor is None else max(self.floor, entry.offset)
            if record.key is not None and record.key != state.POSITION:
                processor.restore(self._partition.number, record.key, None if entry is None else entry.payload)
        self.records += count
        return count < job.pace.restore_chunk

    def _open(self, log: Log, topic: str | None) -> Iterator[Record]:
        if topic is None:
            return iter(())
        changelog = Partition(topic, self._partition.number)
        begin, end = log.bounds(changelog)
        return iter(log.read(changelog, begin, end))


class _Spare:
    """Whether the group gets on although this member owns nothing: with more members than partitions that is normal."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.moved: float | None = None
        self._offsets: dict[Partition, int] = {}

    def look(self, log: Log, job: Job, source: Sequence[Partition], now: float) -> None:
        offsets = log.committed(job.group, job.source_topic)
        held = {partition: log.bounds(partition) for partition in source}
        behind = any(offsets.get(partition, begin) < end for partition, (begin, end) in held.items())
        if not behind or (self._offsets and offsets != self._offsets):
            self.moved = now
        self._offsets = offsets


def _from(offset: int, records: Sequence[Record]) -> Sequence[Record]:
    """The records at or after `offset`: what lies below was worked in already."""
    if records and records[0].offset >= offset:
        return records
    return [record for record in records if record.offset >= offset]


def _fitting(records: Sequence[Record], room: int, at_least: int) -> tuple[int, int]:
    """How many of the first records fit into `room` bytes, and the room that is left."""
    for index, record in enumerate(records):
        size = len(record.key or b"") + len(record.value or b"")
        if size > room and index >= at_least:
            return index, 0
        room -= size
    return len(records), room
