"""The one loop that every service runs over a log: it turns, begins anew after any doubt, and tells how it stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import structlog

from keepwell import metrics
from keepwell.streams.log import Doubt, Log, Partition
from keepwell.streams.worker.assignment import Pace, Source, Standing
from keepwell.streams.worker.guard import BrokenFeed, Guard, Limits
from keepwell.streams.worker.life import Job, Life
from keepwell.streams.worker.process import Check
from keepwell.streams.worker.step import Processor, Step

__all__ = ["BrokenFeed", "Limits", "Loop", "Pace", "Processor", "Step", "Stop", "Worker"]

MAX_REBUILDS: Final = 5
"""Lives that end in doubt without a commit before the loop gives up: then a restart of the process may help."""

STALLED_SECONDS: Final = 120.0
"""Without a beat of the loop for this long it hangs: the longest wait of a backend is below a minute (KAFKA.md (d))."""

_log = structlog.get_logger(__name__)


class Stop(Protocol):
    """What tells a loop to end; a `threading.Event`, say."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class OneLife(Protocol):
    """A membership and all that is held because of it: what a loop turns, and drops after any doubt.

    `committed` tells whether it ever got on. Used by one thread, but for `standing`.
    """

    committed: bool

    @property
    def standing(self) -> Standing:
        """Where it stands."""

    def turn(self, timeout: float) -> bool:
        """Polls and works off; waits up to `timeout` seconds where there is nothing to do. True where there was."""

    def worked_off(self, targets: Mapping[Partition, int]) -> bool:
        """Whether the group has worked off every record of the source below these offsets."""

    def close(self) -> None:
        """Leaves the group. Idempotent; never raises."""


class Loop:
    """Turns one life after the other until it is told to stop.

    After any doubt it drops what it holds and joins again, at most `MAX_REBUILDS` times in a row. `begin` makes a life.
    """

    def __init__(self, log: Log, source: Source, begin: Callable[[], OneLife]) -> None:
        self._log = log
        self._source = source
        self._begin = begin
        self._life: OneLife | None = None
        self._failures = 0
        self._beat = source.clock()

    def run(self, stop: Stop) -> None:
        """Works until `stop` is set, finishes the batch in hand, leaves the group and returns.

        Raises `LogError`: `BrokenFeed`, `OffsetGone`, or whatever else a restart may not mend; `Doubt` where rebuilding did
        not help.
        """
        try:
            while not stop.is_set():
                self.turn(self._source.pace.poll)
                if self._life is None:
                    stop.wait(self._backoff())
        finally:
            self.close()

    def drain(self, stop: Stop | None = None) -> None:
        """As `run`, but ends as soon as the group has worked off what the source held at the start."""
        stop = stop or threading.Event()
        topic = self._source.topic
        partitions = [Partition(topic, number) for number in range(self._log.partitions(topic))]
        targets = {partition: self._log.bounds(partition)[1] for partition in partitions}
        try:
            while not stop.is_set():
                busy = self.turn(min(0.1, self._source.pace.poll))
                if self._life is None:
                    stop.wait(self._backoff())
                elif not busy and self._worked_off(targets):
                    return
        finally:
            self.close()

    def turn(self, timeout: float) -> bool:
        """One turn of the loop, joining first where need be; False where there was nothing to do. Raises as `run`."""
        self._beat = self._source.clock()
        try:
            if self._life is None:
                self._life = self._begin()
                _log.info("worker.joined", group=self._source.group, source=self._source.topic)
            busy = self._life.turn(timeout)
        except Doubt as doubt:
            self._end_life(doubt)
            return True
        if self._life.committed:
            self._failures = 0
        return busy

    def close(self) -> None:
        """Leaves the group and drops the memory. Idempotent; never raises."""
        life, self._life = self._life, None
        if life is not None:
            life.close()

    def silence(self) -> float:
        """Seconds since the last beat of the loop."""
        return self._source.clock() - self._beat

    def live(self) -> Check:
        """Whether the loop still turns; a process that is not live should be restarted. For any thread."""
        silence = self.silence()
        return Check(silence < STALLED_SECONDS, f"last beat of the loop {silence:.0f} s ago")

    def ready(self) -> Check:
        """Whether the loop does its share: it is in the group, has restored, and gets on. For any thread."""
        life = self._life
        if life is None:
            return Check(False, "not in the group")
        partitions, restoring, moved = life.standing
        if restoring:
            return Check(False, f"restoring {restoring} partitions")
        if moved is None:
            return Check(False, "no partitions yet")
        if not self.live().ok:
            return Check(False, "the loop does not turn")
        if self._source.clock() - moved >= self._source.pace.stuck:
            return Check(False, f"records are waiting, but none came for {self._source.clock() - moved:.0f} s")
        return Check(True, f"{partitions} partitions" if partitions else "spare: every partition has another member")

    def _worked_off(self, targets: dict[Partition, int]) -> bool:
        try:
            return self._life is not None and self._life.worked_off(targets)
        except Doubt as doubt:
            self._end_life(doubt)
            return False

    def _end_life(self, doubt: Doubt) -> None:
        self._failures += 1
        cause = type(doubt).__name__
        metrics.REBUILDS.labels(self._source.group, cause).inc()
        _log.warning("worker.rebuild", group=self._source.group, cause=cause, why=str(doubt), failures=self._failures)
        self.close()
        if self._failures > MAX_REBUILDS:
            raise doubt

    def _backoff(self) -> float:
        return min(5.0, 0.05 * 2.0**self._failures)


class Worker(Loop):
    """Works a source topic off, exactly once: state, outputs and offsets of a batch are one commit.

    After a doubt its state is restored from the changelog. `processor_factory` makes a processor without memory. `group` and
    the topics are full names. `after_commit` is called with the steps of each commit, for counting; what it does is not
    repeated after a crash. `floor` and `set_aside` are as in `Job`. `clock` tells seconds.
    """

    def __init__(
        self,
        log: Log,
        processor_factory: Callable[[], Processor],
        *,
        group: str,
        source_topic: str,
        instance: str,
        changelog_topic: str | None,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        accept_gap: bool = False,
        pace: Pace = Pace(),  # noqa: B008 (immutable)
        after_commit: Callable[[Sequence[Step]], None] = lambda _: None,
        floor: Callable[[Partition], int | None] = lambda _: None,
        set_aside: Callable[[Partition], Collection[int]] = lambda _: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        source = Source(group, source_topic, instance, accept_gap, pace, clock)
        job, guard = Job(source, changelog_topic, after_commit, floor, set_aside), Guard(limits)
        super().__init__(log, source, lambda: Life(log, job, processor_factory(), guard))
