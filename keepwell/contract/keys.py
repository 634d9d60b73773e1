"""The keys of `episode-events`: one for each record, so that compaction removes nothing but what a tombstone names."""

from __future__ import annotations

from typing import Final

from keepwell.contract.events import CONTROL_TYPES, ClientErased, Event, InstrumentRegistered

ERASURE: Final = b"_erased#"
"""How the key of an erasure begins. It names no client, and so can stay until everything else of the client is gone."""
CLOCK: Final = b"_clock#"
"""How the key of a tick begins."""
MODEL: Final = b"_model#"
"""How the key of a promotion begins."""
INSTRUMENT: Final = b"_instrument#"
"""How the key of a registered instrument begins."""


def record_key(event: Event, partition: int, offset: int) -> bytes:
    """The key of an accepted event that came from this place in `session-events`, or of a control event.

    A control event has its id instead of a place (of a clinic's instrument with the clinic), so its id must be its own:
    whoever writes it again makes another.

    >>> from keepwell.contract.control import tick
    >>> from datetime import UTC, datetime
    >>> record_key(tick(datetime(2026, 3, 2, tzinfo=UTC)), 0, 0)
    b'_clock#tick-2026-03-02T00:00:00Z'
    """
    if isinstance(event, InstrumentRegistered):
        return f"{event.subject}#{event.clinic}/{event.id}".encode()
    if event.type in CONTROL_TYPES:
        return f"{event.subject}#{event.id}".encode()
    place = f"{partition}.{offset}".encode()
    return ERASURE + place if isinstance(event, ClientErased) else event.key.encode() + b"#" + place


def episode_of(key: bytes) -> bytes:
    """The episode that a record's key belongs to, in every topic; of a control event its subject.

    >>> episode_of(b"north/ep-17#3.41")
    b'north/ep-17'
    """
    return key.partition(b"#")[0]
