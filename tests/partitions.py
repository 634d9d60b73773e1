"""Hypothesis strategies for all the records of a partition."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from keepwell.contract.events import AnyEvent, ClockTicked, Erased
from tests.episodes import ticked
from tests.strategies import clinic_logs, make, ticks


def _interleaved(draw: DrawFn, log: list[AnyEvent]) -> list[AnyEvent]:
    """A log with ticks between its events, in their own order, anywhere."""
    found = list(log)
    places = sorted(draw(st.integers(0, 2**16)) % (len(log) + 1) for _ in range(8))
    drawn = draw(ticks(max_size=8))
    for shift, (place, control) in enumerate(zip(places, drawn, strict=False)):
        found.insert(place + shift, control)
    return found


@st.composite
def partitions(draw: DrawFn) -> list[AnyEvent]:
    """The records of a partition: episodes of two clinics out of order, ticks, an erasure perhaps, and time passing."""
    log = _interleaved(draw, draw(clinic_logs()))
    if draw(st.booleans()):
        gone = make(Erased(client_id="p-1"), 0, "erase-1", source="/north/booking", subject="any")
        log.insert(draw(st.integers(0, len(log))), gone)
    return log + [ticked(day) for day in (50, 120, 400)]


@st.composite
def on_time(draw: DrawFn) -> list[AnyEvent]:
    """The records of a partition in the order of their times, each event once, with ticks in their places."""
    once = {(event.source, event.id, event.key): event for event in draw(clinic_logs())}
    log = [*once.values(), *draw(ticks(max_size=6))]
    return sorted(log, key=lambda event: (event.time, isinstance(event, ClockTicked)))
