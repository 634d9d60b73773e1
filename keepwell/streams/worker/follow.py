"""The loop of effects outside the log: poll, hand over, commit. A webhook, a read model or an erasure follows a topic so.

The log is the outbox. A record counts as handled when the position has passed it, and the position passes it only after the
handler said that it is done: so whatever dies between any two lines, each record is handed over at least once, in order, and
what is handed over again is the same record. An effect must therefore carry a name that tells a repetition from a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from keepwell.streams.log import Log, LogError, Message, Partition, Record
from keepwell.streams.worker.assignment import Assignment, Pace, Source, Standing
from keepwell.streams.worker.loop import Loop

PATIENCE: Final = 10.0
"""Seconds that `drain` waits for records that their handler wants to be given again later."""


class Handled(NamedTuple):
    """What became of the records that a handler was given.

    The first `done` of them are finished, and the position moves past them. `messages` (dead letters, tombstones) are
    written in the commit that moves it, whole or not at all, so there may be none where `done` is 0. The others are given
    again after `again` seconds, or when more records come, whichever is first.
    """

    done: int
    messages: Sequence[Message] = ()
    again: float = 0.0


class NotYet(Exception):
    """Where a handler stands cannot be told now; it is asked again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"asked again in {seconds:g} s")
        self.seconds = seconds


class Handler(Protocol):
    """Has an effect outside the log for each record. Called by one thread.

    Any method may raise `Doubt`: then all that waits is dropped, the group is joined again, and the records come again from
    the position; more than `loop.MAX_REBUILDS` times in a row end the process. What may last (a receiver or a database that
    is down) is told by `Handled.again` and `NotYet` instead. `LogError` ends the process at once.
    """

    def position(self, partition: Partition) -> int | None:
        """The next offset to be given of a partition that was gained; None where the group's committed offset says it.

        A handler that commits its position in its own transaction, beside what it wrote (a read model), returns it here. A
        former owner may still be at work for a moment, so that transaction must check that the position it moves is the
        one it began from. The group's offset then only follows, for others to see the lag, and so would `Handled.messages`:
        such a handler has none. Raises `NotYet` where it cannot be read now; others of its partitions go on meanwhile.
        """

    def handle(self, partition: Partition, records: Sequence[Record]) -> Handled:
        """Has the effects of records of one partition, in offset order, or of the first few.

        All that is not finished of the partition is given each time, beginning with the first that is not; records without a
        value (tombstones) are left out. Must return within seconds, at the latest within the session of the log (10 s):
        with much to do it finishes a few, and gets the rest at once, after a poll that keeps the membership alive.
        """

    def forget(self, partition: Partition) -> None:
        """Drops what is held of a partition that another member has now, or may have. Idempotent."""


class Follower(Loop):
    """Hands every record of a topic to a handler, at least once and in order, and remembers how far.

    `run`, `drain`, `live`, `ready`, `silence` (for the watchdog) and the lag are those of every loop; `drain` raises
    `LogError` where all that is left is to be tried again later. `group` and `topic` are full names. `accept_gap`: go on
    where records were deleted before they were read. `clock` tells seconds.
    """

    def __init__(
        self,
        log: Log,
        handler: Handler,
        *,
        group: str,
        topic: str,
        instance: str,
        accept_gap: bool = False,
        pace: Pace = Pace(),  # noqa: B008 (immutable)
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(log, Source(group, topic, instance, accept_gap, pace, clock), self._join)
        self._handler = handler
        self._following: _Following | None = None

    def _join(self) -> _Following:
        self._following = _Following(self._log, self._source, self._handler)
        return self._following

    def _worked_off(self, targets: dict[Partition, int]) -> bool:
        if super()._worked_off(targets):
            return True
        if self._life is not None and self._following is not None:
            later = self._following.next_due()
            if later is not None and later > PATIENCE:
                raise LogError(
                    f"{self._source.topic}: what is left is to be tried again in {later:.0f} s. Nothing is lost; start this "
                    "again later, or without --drain."
                )
        return False


class _Following:
    """One life of a follower. `committed` once it got on."""

    def __init__(self, log: Log, source: Source, handler: Handler) -> None:
        self._source = source
        self._handler = handler
        self._due: dict[Partition, float] = {}
        self._unplaced: dict[Partition, float] = {}
        self.committed = False
        self._assignment = Assignment(log, source)

    @property
    def standing(self) -> Standing:
        """Where it stands, for any thread."""
        return self._assignment.standing

    def next_due(self) -> float | None:
        """Seconds until records are handed over again; None where none wait."""
        return min(self._due.values()) - self._source.clock() if self._due else None

    def turn(self, timeout: float) -> bool:
        """Polls, and hands over what waits of the partition that is due first."""
        soonest = min([*self._due.values(), *self._unplaced.values()], default=None)
        wait = timeout if soonest is None else min(timeout, max(0.0, soonest - self._source.clock()))
        polled = self._assignment.poll(wait)
        for partition in sorted(polled.lost):
            self._due.pop(partition, None)
            self._unplaced.pop(partition, None)
            self._handler.forget(partition)
        now = self._source.clock()
        self._unplaced |= dict.fromkeys(polled.gained, now)
        self._place(now)
        self._due |= {partition: min(now, self._due.get(partition, now)) for partition in polled.records}
        handed = self._hand_over(now)
        for partition in self._assignment.waiting:
            self._assignment.moved[partition] = now  # they came; when they are done is for the handler to say
        self._assignment.hold(filter(self._full, self._assignment.waiting))
        self._assignment.look(restoring=len(self._unplaced))
        return handed or bool(polled.gained)

    def worked_off(self, targets: Mapping[Partition, int]) -> bool:
        """Whether every record of the source below these offsets is worked off: by the handler, or if it cannot tell, by the
        group."""
        elsewhere = {}
        try:
            for partition in targets.keys() - self._assignment.positions.keys():
                position = self._handler.position(partition)
                if position is not None:
                    elsewhere[partition] = position
        except NotYet:
            return False
        return self._assignment.worked_off(targets, elsewhere)

    def close(self) -> None:
        """Leaves the group. Idempotent; never raises but what `Handler.forget` does."""
        self._assignment.close()
        for partition in list(self._assignment.positions):
            self._handler.forget(partition)

    def _place(self, now: float) -> None:
        """Lets the records of gained partitions flow, as soon as the handler can tell from where on."""
        for partition in sorted(partition for partition, moment in self._unplaced.items() if moment <= now):
            try:
                position = self._handler.position(partition)
            except NotYet as later:
                again = (
                    self._source.clock() + later.seconds
                )  # as long as it took to fail, the others would take as well
                self._unplaced |= dict.fromkeys((one for one, moment in self._unplaced.items() if moment <= now), again)
                return
            committed = self._assignment.committed(partition)
            self._assignment.start(partition, committed if position is None else position)
            del self._unplaced[partition]
            if position is not None and position > (committed or 0):  # it died between its commit and the group's
                self._assignment.commit((), {partition: position})

    def _hand_over(self, now: float) -> bool:
        due = [partition for partition, moment in self._due.items() if moment <= now]
        if not due:
            return False
        partition = min(due, key=lambda one: (self._due[one], one))
        records = self._assignment.waiting.pop(partition, ())
        given = [record for record in records if record.value is not None]
        handled = self._handler.handle(partition, given) if given else Handled(0)
        if not 0 <= handled.done <= len(given) or (handled.messages and not handled.done):
            raise RuntimeError(f"of {len(given)} records the handler finished {handled.done}, with messages to write")
        rest = given[handled.done :]
        position = rest[0].offset if rest else (records[-1].offset + 1 if records else None)
        if position is not None and position > self._assignment.positions[partition]:
            self._assignment.commit(handled.messages, {partition: position})
            self.committed = True
        if rest:
            self._assignment.waiting[partition] = rest
            self._due[partition] = self._source.clock() + handled.again
        else:
            del self._due[partition]
        return True

    def _full(self, partition: Partition) -> bool:
        waiting = self._assignment.waiting[partition]
        size = sum(len(record.key or b"") + len(record.value or b"") for record in waiting)
        return len(waiting) >= self._source.pace.records or size >= self._source.pace.batch_bytes
