"""The control events that Keepwell itself writes, one to every partition of `episode-events`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

from keepwell.contract.events import ClockTicked, ModelPromoted, Promoted, micros, rfc3339

CLOCK_SOURCE: Final = "/keepwell/clock"
CLOCK_KEY: Final = b"_clock"
MODEL_SOURCE: Final = "/keepwell/release"
MODEL_KEY: Final = b"_model"


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


def promotion(release: str, role: Literal["champion", "shadow", "none"], at: datetime) -> ModelPromoted:
    """The promotion of a release (digest) at a moment. It is an act: the same one at another moment is another event.

    >>> promotion("sha256:ab", "shadow", datetime(2026, 3, 2, tzinfo=UTC)).id
    'shadow-sha256:ab-2026-03-02T00:00:00Z'
    """
    return ModelPromoted(
        specversion="1.0",
        id=f"{role}-{release}-{rfc3339(micros(at))}",
        source=MODEL_SOURCE,
        subject="_model",
        time=at.astimezone(UTC),
        data=Promoted(release=release, role=role),
    )
