"""A member's assignment: the partitions that its group gave it, where it stands in each, what waits, and how far it lags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from keepwell import metrics
from keepwell.streams.log import Doubt, Log, LogError, Message, OffsetGone, Partition, Polled, Record

_log = structlog.get_logger(__name__)


class Pace(NamedTuple):
    """How a loop spends its time and memory; all times in seconds.

    A poll waits at most `poll` and brings at most `records`; a batch is cut at `batch_bytes` of keys and values, the rest
    waits while nothing more is fetched. Restoring takes at most about `restore` of a turn, `restore_chunk` records at
    least. Every `look` the loop compares its positions with the ends of the log; after `quiet` without a record it makes
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


class Source(NamedTuple):
    """What a loop reads, and as whom. Names are full, prefix included. `clock` tells seconds."""

    group: str
    topic: str
    instance: str
    accept_gap: bool
    pace: Pace
    clock: Callable[[], float]


class Standing(NamedTuple):
    """Where a loop stands, as other threads may see it. `moved` is the time of the stuckest partition's last progress."""

    partitions: int
    restoring: int
    moved: float | None


class Assignment:
    """A membership and what it was given. It takes records in and commits; what becomes of them is for the loop to say.

    `positions` holds the next record to be worked off of each started partition; `waiting` the fetched records at or above
    it; `moved` when a partition last got on. Every method can raise `Doubt` (this membership is over, nothing held because
    of it is to be trusted) and `LogError`. Used by one thread, but for `standing`.
    """

    def __init__(self, log: Log, source: Source) -> None:
        self._all = [Partition(source.topic, number) for number in range(log.partitions(source.topic))]
        self._log = log
        self._source = source
        self.positions: dict[Partition, int] = {}
        self.waiting: dict[Partition, Sequence[Record]] = {}
        self.moved: dict[Partition, float] = {}
        self._looked = source.clock()
        self._spare = _Spare(source.clock())
        self.standing = Standing(0, 0, None)
        self._member = log.join(source.group, source.topic, source.instance)

    def poll(self, timeout: float) -> Polled:
        """Takes in what a poll brings. What was lost is forgotten here; what was gained is for the caller to start."""
        polled = self._member.poll(timeout, self._source.pace.records)
        for partition in sorted(polled.lost):
            self._lose(partition)
        if polled.lost and not self.positions:
            self._spare = _Spare(self._source.clock())
        for partition, brought in polled.records.items():
            unseen = _from(self.positions[partition], brought)
            if unseen:
                self.waiting[partition] = [*self.waiting.get(partition, ()), *unseen]
        return polled

    def committed(self, partition: Partition) -> int | None:
        """What the group committed of an owned partition, once no former owner's transaction is undecided."""
        return self._member.committed(partition)

    def start(self, partition: Partition, committed: int | None, floor: int | None = None) -> None:
        """Lets records of a gained partition flow from `first_offset`. Raises `OffsetGone` unless gaps are accepted."""
        held = self._log.bounds(partition)
        try:
            offset = first_offset(partition, committed, floor, held)
        except OffsetGone as gone:
            if not self._source.accept_gap:
                raise
            offset = held[0]
            metrics.GAPS_ACCEPTED.labels(self._source.group).inc()
            _log.warning("gap.accepted", partition=partition.number, why=str(gone))
        self._member.start(partition, offset)
        self.positions[partition] = offset
        self.moved[partition] = self._source.clock()

    def commit(self, messages: Sequence[Message], offsets: Mapping[Partition, int]) -> None:
        """Writes messages and moves to the offsets, whole or not at all."""
        self._member.commit(messages, offsets)
        self.positions |= offsets
        self.moved |= dict.fromkeys(offsets, self._source.clock())

    def hold(self, partitions: Iterable[Partition]) -> None:
        """Back pressure: of these nothing more is fetched, of all others it is."""
        held = set(partitions)
        self._member.pause(held)
        self._member.resume(self.positions.keys() - held)

    def look(self, restoring: int = 0) -> None:
        """Compares, now and then, where the loop stands with where the log ends, and notes `standing`."""
        now = self._source.clock()
        if now - self._looked >= self._source.pace.look:
            self._looked = now
            self._compare(now, restoring)
        metrics.PARTITIONS.labels(self._source.group).set(len(self.positions))
        self.standing = Standing(len(self.positions), restoring, self._last_move())

    def worked_off(self, targets: Mapping[Partition, int], elsewhere: Mapping[Partition, int] | None = None) -> bool:
        """Whether the group has worked off every record of the source below these offsets.

        `elsewhere`: where partitions that are not started stand, if that is not what the group committed.
        """
        known = {**self._log.committed(self._source.group, self._source.topic), **(elsewhere or {}), **self.positions}
        return all(self._nothing_between(partition, known.get(partition, 0), end) for partition, end in targets.items())

    def close(self) -> None:
        """Leaves the group. Idempotent; never raises."""
        self._member.close()
        for partition in list(self.positions):
            self._forget_lag(partition)
        metrics.PARTITIONS.labels(self._source.group).set(0)

    def _lose(self, partition: Partition) -> None:
        self.waiting.pop(partition, None)
        self.moved.pop(partition, None)
        if self.positions.pop(partition, None) is not None:
            self._forget_lag(partition)
        _log.info("partition.lost", partition=partition.number)

    def _compare(self, now: float, restoring: int) -> None:
        if not self.positions and not restoring:
            self._spare.look(self._log, self._source, self._all, now)
        for partition, position in self.positions.items():
            end = self._log.bounds(partition)[1]
            metrics.LAG.labels(self._source.group, partition.number).set(max(0, end - position))
            if position >= end:
                self.moved[partition] = now
            elif now - self.moved[partition] >= self._source.pace.quiet and partition not in self.waiting:
                self._settle(partition, position, end)
                if self._source.clock() - now > self._source.pace.poll:
                    break  # a transaction was undecided; the others wait for the next look, the loop does not
        moved = self._last_move()
        waited = now - (self._spare.since if moved is None else moved)
        if waited >= 5 * self._source.pace.stuck and not restoring:
            raise Doubt(f"{self._source.topic}: there are records, but none came for {waited:.0f} s")

    def _settle(self, partition: Partition, position: int, end: int) -> None:
        """Moves past offsets that hold no record, such as Kafka's transaction markers.

        Otherwise a partition at rest would show a lag for ever, and once retention removed the markers the committed offset
        would look like records deleted unread.
        """
        if self._nothing_between(partition, position, end):
            self.commit([], {partition: end})

    def _nothing_between(self, partition: Partition, position: int, end: int) -> bool:
        return position >= end or next(iter(self._log.read(partition, position, end)), None) is None

    def _last_move(self) -> float | None:
        """When the partition that waits longest got on, or where there is none, when the group was last seen to."""
        return min(self.moved.values(), default=self._spare.moved)

    def _forget_lag(self, partition: Partition) -> None:
        metrics.LAG.remove(self._source.group, str(partition.number))


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


class _Spare:
    """Whether the group gets on although this member owns nothing: with more members than partitions that is normal."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.moved: float | None = None
        self._offsets: dict[Partition, int] = {}

    def look(self, log: Log, source: Source, partitions: Sequence[Partition], now: float) -> None:
        offsets = log.committed(source.group, source.topic)
        held = {partition: log.bounds(partition) for partition in partitions}
        behind = any(offsets.get(partition, begin) < end for partition, (begin, end) in held.items())
        if not behind or (self._offsets and offsets != self._offsets):
            self.moved = now
        self._offsets = offsets


def _from(offset: int, records: Sequence[Record]) -> Sequence[Record]:
    """The records at or after `offset`: what lies below was worked in already."""
    if records and records[0].offset >= offset:
        return records
    return [record for record in records if record.offset >= offset]
