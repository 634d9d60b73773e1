"""The sweep of `keepwell.care.endings` held against the slow reading of the contract, over logs with all that goes wrong.

The sentences of the contract one by one are in `test_oracle`, which asks both readings too.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings

from keepwell.care.episode import Episode, Live
from keepwell.care.history import effective
from keepwell.contract.events import (
    AnyEvent,
    AppointmentBooked,
    AppointmentRescheduled,
    Attended,
    Booked,
    EventRetracted,
    Rescheduled,
    micros,
)
from tests import both, oracle
from tests.episodes import INTERPRET
from tests.oracle import DAY, HOUR, UNRECORDED_AFTER, W
from tests.strategies import episode_logs, make, moment


def turns(events: Sequence[AnyEvent]) -> list[int]:
    """The moments at which an answer could change, and those beside them."""
    times = {micros(event.time) for event in events}
    starts = {micros(e.data.starts_at) for e in events if isinstance(e, AppointmentBooked | AppointmentRescheduled)}
    changes = times | starts | {t + W for t in times} | {start + UNRECORDED_AFTER for start in starts}
    return sorted({moment + step for moment in changes for step in (-1, 0, 1) if moment + step >= min(times)})


def end_of(events: Sequence[AnyEvent]) -> int:
    """The time of the last event."""
    return max(micros(event.time) for event in events)


@settings(deadline=None)
@given(episode_logs())
def test_the_sweep_finds_the_spells_that_the_contract_describes(events: list[AnyEvent]) -> None:
    for now in turns(events)[::3]:
        both.spells(events, now)


@settings(deadline=None)
@given(episode_logs(max_steps=8))
def test_the_sweep_finds_the_state_that_the_contract_describes(events: list[AnyEvent]) -> None:
    for now in turns(events):
        both.state(events, now)


@settings(deadline=None)
@given(episode_logs(max_steps=8))
def test_the_targets_are_those_that_the_contract_describes(events: list[AnyEvent]) -> None:
    for t in turns(events)[::3]:
        for horizon in (14, 30, 60):
            both.target(events, t, horizon, now=end_of(events) + 40 * DAY)


@settings(deadline=None)
@given(episode_logs(max_steps=8))
def test_the_next_visit_is_the_one_that_the_contract_describes(events: list[AnyEvent]) -> None:
    for t in turns(events)[::2]:
        both.next_visit_missed(events, t, now=max(t, end_of(events) - HOUR))


@settings(deadline=None)
@given(episode_logs())
def test_the_events_in_force_are_those_that_the_contract_keeps_in_the_same_order(events: list[AnyEvent]) -> None:
    live = Live(Episode(events[0].key), INTERPRET)
    for event in events:
        live.fold(event)
    found = [(live.episode.sources[entry.source], entry.id) for entry in effective(live.episode.history)]
    kept = [event for event in oracle.effective(events) if not isinstance(event, EventRetracted)]
    assert found == [(event.source, event.id) for event in kept]


@settings(deadline=None)
@given(episode_logs())
def test_the_live_sweep_stands_where_the_contract_says_after_every_arrival(events: list[AnyEvent]) -> None:
    live = Live(Episode(events[0].key), INTERPRET)
    for count, event in enumerate(events, 1):
        live.fold(event)
        known = oracle.effective(events[:count])
        for now in (live.episode.latest, live.episode.latest + W):
            assert live.course.standing.state_at(now) == oracle.state(known, now)


def test_what_a_visit_turned_out_to_be_is_not_what_it_was_booked_for() -> None:
    events = [
        make(Booked(appointment_id="a-1", starts_at=moment(7 * DAY)), 0, "booked"),
        make(Attended(appointment_id="a-1", purpose="assessment"), 7 * DAY, "assessed"),
        make(Rescheduled(appointment_id="a-1", starts_at=moment(9 * DAY), initiator="clinic"), 8 * DAY, "again"),
        make(Attended(appointment_id="a-1"), 9 * DAY, "treated"),
    ]
    assert both.spells(events, end_of(events))[0].last_attended == end_of(events)
