"""The control events that Keepwell itself writes, one to every partition of `episode-events`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from keepwell.events import ClockTicked, micros, rfc3339

CLOCK_SOURCE: Final = "/keepwell/clock"
CLOCK_KEY: Final = b"_clock"


def tick(at: datetime) -> ClockTicked:
    """The tick of a moment. Its id follows from the moment, so two clocks write the same event.

    >>> tick(datetime(2026, 3, 2, tzinfo=UTC)).id
    'tick-2026-03-02T00:00:00Z'
    """
    return ClockTicked(
        specversion="1.0",
        id=f"tick-{rfc3339(micros(at))}",
        source=CLOCK_SOURCE,
        subject="_clock",
        time=at.astimezone(UTC),
    )
