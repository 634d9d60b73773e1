"""The control events that Keepwell itself writes, one to every partition of `episode-events`."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal

import msgspec

from keepwell.contract.events import (
    ClockTicked,
    InstrumentRegistered,
    ModelPromoted,
    Promoted,
    Registered,
    micros,
    rfc3339,
)

CLOCK_SOURCE: Final = "/keepwell/clock"
MODEL_SOURCE: Final = "/keepwell/release"


def tick(at: datetime, copy: str = "") -> ClockTicked:
    """The tick of a moment. `copy` tells apart ticks of one moment that are written independently, as by two clocks.

    >>> tick(datetime(2026, 3, 2, tzinfo=UTC)).id, tick(datetime(2026, 3, 2, tzinfo=UTC), "7f").id
    ('tick-2026-03-02T00:00:00Z', 'tick-2026-03-02T00:00:00Z.7f')
    """
    return ClockTicked(
        specversion="1.0",
        id=f"tick-{rfc3339(micros(at))}" + (f".{copy}" if copy else ""),
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


def registration(clinic: str, facts: Registered, at: datetime) -> InstrumentRegistered:
    """The registration of a clinic's instrument at a moment: an act, like a promotion. Its id follows from all three.

    Raises `msgspec.ValidationError` for facts that the contract does not allow.

    >>> facts = Registered(
    ...     name="MOOD-5", kind="outcome", lowest=0, highest=25, higher_is_better=True, cutoff=13, reliable_change=4
    ... )
    >>> event = registration("north", facts, datetime(2026, 3, 2, tzinfo=UTC))
    >>> event.id, event.source
    ('MOOD-5-7355c55bb9d8-2026-03-02T00:00:00Z', '/north/keepwell')
    """
    facts = msgspec.convert(msgspec.to_builtins(facts), Registered)  # 25 and 25.0 are one fact, so one id
    digest = sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()[:12]
    return InstrumentRegistered(
        specversion="1.0",
        id=f"{facts.name}-{digest}-{rfc3339(micros(at))}",
        source=f"/{clinic}/keepwell",
        subject="_instrument",
        time=at.astimezone(UTC),
        data=facts,
    )
