"""The worker: the one loop that every service runs over a log. It polls, computes a pure step and commits it whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from keepwell import metrics
from keepwell.streams.log import Doubt, Log, Partition
from keepwell.streams.worker.guard import BrokenFeed, Guard, Limits
from keepwell.streams.worker.life import Job, Life, Pace
from keepwell.streams.worker.process import Check
from keepwell.streams.worker.step import Processor, Step

__all__ = ["BrokenFeed", "Limits", "Pace", "Processor", "Step", "Stop", "Worker"]

MAX_REBUILDS: Final = 5
"""Lives that end in doubt without a commit before the worker gives up: then a restart of the process may help."""

STALLED_SECONDS: Final = 120.0
"""Without a beat of the loop for this long it hangs: the longest wait of a backend is below a minute (KAFKA.md (d))."""

_log = structlog.get_logger(__name__)


class Stop(Protocol):
    """What tells a worker to end; a `threading.Event`, say."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Worker:
    """Works a source topic off, exactly once: state, outputs and offsets of a batch are one commit.

    After any doubt it drops its memory, joins again and restores from the changelog, at most `MAX_REBUILDS` times in a row.
    `processor_factory` makes a processor without memory. `group` and the topics are full names. `after_commit` is called
    with the steps of each commit, for counting; what it does is not repeated after a crash. `clock` tells seconds.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._processor_factory = processor_factory
        self._job = Job(group, source_topic, instance, changelog_topic, accept_gap, pace, after_commit, clock)
        self._guard = Guard(limits)
        self._life: Life | None = None
        self._failures = 0
        self._beat = clock()

    def run(self, stop: Stop) -> None:
        """Works until `stop` is set, finishes the batch in hand, leaves the group and returns.

        Raises `LogError`: `BrokenFeed`, `OffsetGone`, or whatever else a restart may not mend; `Doubt` where rebuilding did
        not help.
        """
        try:
            while not stop.is_set():
                self.turn(self._job.pace.poll)
                if self._life is None:
                    stop.wait(self._backoff())
        finally:
            self.close()

    def drain(self, stop: Stop | None = None) -> None:
        """As `run`, but ends as soon as the group has worked off what the source held at the start."""
        stop = stop or threading.Event()
        source = self._job.source_topic
        partitions = [Partition(source, number) for number in range(self._log.partitions(source))]
        targets = {partition: self._log.bounds(partition)[1] for partition in partitions}
        try:
            while not stop.is_set():
                busy = self.turn(min(0.1, self._job.pace.poll))
                if self._life is None:
                    stop.wait(self._backoff())
                elif not busy and self._worked_off(targets):
                    return
        finally:
            self.close()

    def turn(self, timeout: float) -> bool:
        """One turn of the loop, joining first where need be; False where there was nothing to do. Raises as `run`."""
        self._beat = self._job.clock()
        try:
            if self._life is None:
                self._life = Life(self._log, self._job, self._processor_factory(), self._guard)
                _log.info("worker.joined", group=self._job.group, source=self._job.source_topic)
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
        return self._job.clock() - self._beat

    def live(self) -> Check:
        """Whether the loop still turns; a process that is not live should be restarted. For any thread."""
        silence = self.silence()
        return Check(silence < STALLED_SECONDS, f"last beat of the loop {silence:.0f} s ago")

    def ready(self) -> Check:
        """Whether the worker does its share: it is in the group, has restored, and gets on. For any thread."""
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
        if self._job.clock() - moved >= self._job.pace.stuck:
            return Check(False, f"records are waiting, but none came for {self._job.clock() - moved:.0f} s")
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
        metrics.REBUILDS.labels(self._job.group, cause).inc()
        _log.warning("worker.rebuild", group=self._job.group, cause=cause, why=str(doubt), failures=self._failures)
        self.close()
        if self._failures > MAX_REBUILDS:
            raise doubt

    def _backoff(self) -> float:
        return min(5.0, 0.05 * 2.0**self._failures)
