"""The clock: says to every partition what time it is, so that what did not happen can be noticed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from keepwell.contract.control import tick
from keepwell.contract.events import micros
from keepwell.streams.log import Log, LogError
from keepwell.streams.topics import to_every_partition
from keepwell.streams.worker.loop import STALLED_SECONDS, Stop
from keepwell.streams.worker.process import Check

RETRY_SECONDS: Final = 2.0
"""Wait after the log refused a tick. A tick late is no harm: the next one says everything."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger(__name__)


class Clock:
    """Writes `clock.ticked` at multiples of `interval` seconds since 1970 UTC, to every partition of `topic`.

    Two clocks may run: readers ignore a tick that is not newer than what they know. After a pause it writes one tick, the
    newest. `now` is the wall clock.
    """

    def __init__(self, log: Log, topic: str, interval: int, now: Callable[[], datetime]) -> None:
        self._log = log
        self._topic = topic
        self._interval = interval
        self._now = now
        self._newest: datetime | None = None
        self._beat = time.monotonic()

    def run(self, stop: Stop) -> None:
        """Ticks until `stop` is set. Where the log does not accept, it says so and tries again."""
        while not stop.is_set():
            self._beat = time.monotonic()
            try:
                wait = self.turn()
            except LogError as error:
                _log.warning("clock.not_written", cause=type(error).__name__, why=str(error))
                wait = RETRY_SECONDS
            stop.wait(wait)

    def drain(self, _stop: Stop) -> None:
        """Writes the newest tick. Raises as `turn`."""
        self.turn()

    def turn(self) -> float:
        """Writes the tick that is due, if there is one, and returns the seconds until the next.

        Raises `LogError` where it was not, or perhaps not, written; writing it again is harmless.
        """
        now = self._now()
        due = boundary(now, self._interval)
        # A wall clock that was set back waits until it has caught up: a tick never goes back.
        if self._newest is None or due > self._newest:
            self._write(due)
        return (due + timedelta(seconds=self._interval) - now).total_seconds()

    def silence(self) -> float:
        """Seconds since the last beat of the loop, beyond the interval in which it has nothing to do. For any thread."""
        return max(0.0, time.monotonic() - self._beat - self._interval)

    def live(self) -> Check:
        """Whether the loop still turns. For any thread."""
        beat = time.monotonic() - self._beat
        return Check(self.silence() < STALLED_SECONDS, f"last beat of the loop {beat:.0f} s ago")

    def ready(self) -> Check:
        """Whether ticks reach the log. For any thread."""
        if self._newest is None:
            return Check(False, "no tick written yet")
        age = (self._now() - self._newest).total_seconds()
        return Check(age < 3 * self._interval, f"newest tick {age:.0f} s old")

    def _write(self, moment: datetime) -> None:
        # Of its own name: two records under one key would be one after compaction, which then has lost the earlier place.
        event = tick(moment, secrets.token_hex(4))
        self._log.append(to_every_partition(event, self._topic, self._log.partitions(self._topic)))
        self._newest = moment


def boundary(moment: datetime, interval: int) -> datetime:
    """The newest multiple of `interval` seconds since 1970 UTC at or before `moment`.

    >>> boundary(datetime(2026, 3, 2, 10, 0, 59, tzinfo=UTC), 60).isoformat()
    '2026-03-02T10:00:00+00:00'
    """
    since = micros(moment)
    return _EPOCH + timedelta(microseconds=since - since % (interval * 1_000_000))
