"""The sweep of `keepwell.endings` held against the slow reading of the contract, over logs with all that goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings

from keepwell import endings
from keepwell.course import course_of
from keepwell.endings import Standing
from keepwell.episode import Episode, Live
from keepwell.events import (
    AnyEvent,
    AppointmentBooked,
    AppointmentRescheduled,
    Attended,
    Booked,
    Rescheduled,
    micros,
)
from keepwell.history import AnyEntry, effective
from keepwell.instruments import KNOWN
from tests import oracle
from tests.oracle import DAY, HOUR, UNRECORDED_AFTER, W
from tests.strategies import episode_logs, make, moment

HORIZONS = (14, 30, 60)


def folded(events: Sequence[AnyEvent]) -> list[AnyEntry]:
    """The effective entries of the episode that the events, in this order of arrival, are folded into."""
    live = Live(Episode(events[0].key), KNOWN.get)
    for event in events:
        live.fold(event)
    return effective(live.episode.history)


def swept(entries: Sequence[AnyEntry], now: int) -> Standing:
    """Where the sweep stands at `now`."""
    return course_of((entry for entry in entries if entry.at <= now), KNOWN.get).standing


def tuples(spells: Sequence[endings.Spell]) -> list[tuple[int, int | None, int | None, str | None]]:
    """The spells as the slow reading writes them."""
    return [(spell.start, spell.last_attended, spell.closed_at, spell.ending) for spell in spells]


def turns(events: Sequence[AnyEvent]) -> list[int]:
    """The moments at which an answer could change, and those beside them."""
    times = {micros(event.time) for event in events}
    starts = {micros(e.data.starts_at) for e in events if isinstance(e, AppointmentBooked | AppointmentRescheduled)}
    changes = times | starts | {t + W for t in times} | {start + UNRECORDED_AFTER for start in starts}
    return sorted({moment + step for moment in changes for step in (-1, 0, 1) if moment + step >= min(times)})


def end_of(events: Sequence[AnyEvent]) -> int:
    """A moment at which much, and not all, is determined: that of the last event."""
    return max(micros(event.time) for event in events)


@settings(deadline=None, max_examples=100)
@given(episode_logs())
def test_the_sweep_finds_the_spells_that_the_contract_describes(events: list[AnyEvent]) -> None:
    entries, known = folded(events), oracle.effective(events)
    for now in turns(events)[::3]:
        assert tuples(swept(entries, now).spells_at(now)) == oracle.spells(known, now)


@settings(deadline=None, max_examples=100)
@given(episode_logs())
def test_the_live_sweep_stands_where_the_contract_says_after_every_arrival(events: list[AnyEvent]) -> None:
    live = Live(Episode(events[0].key), KNOWN.get)
    for count, event in enumerate(events, 1):
        live.fold(event)
        now, known = live.episode.latest, oracle.effective(events[:count])
        assert tuples(live.course.standing.spells_at(now)) == oracle.spells(known, now)
        assert live.course.standing.state_at(now + W) == oracle.state(known, now + W)


def test_what_a_visit_turned_out_to_be_is_not_what_it_was_booked_for() -> None:
    visit = "a-1"
    events = [
        make(Booked(appointment_id=visit, starts_at=moment(7 * DAY)), 0, "booked"),
        make(Attended(appointment_id=visit, purpose="assessment"), 7 * DAY, "assessed"),
        make(Rescheduled(appointment_id=visit, starts_at=moment(9 * DAY), initiator="clinic"), 8 * DAY, "again"),
        make(Attended(appointment_id=visit), 9 * DAY, "treated"),
    ]
    now = end_of(events)
    assert tuples(swept(folded(events), now).spells_at(now)) == oracle.spells(oracle.effective(events), now)
    assert swept(folded(events), now).spells[0].last_attended == now


@settings(deadline=None, max_examples=100)
@given(episode_logs(max_steps=8))
def test_the_sweep_finds_the_state_that_the_contract_describes(events: list[AnyEvent]) -> None:
    entries, known = folded(events), oracle.effective(events)
    for now in turns(events):
        assert swept(entries, now).state_at(now) == oracle.state(known, now)


@settings(deadline=None, max_examples=100)
@given(episode_logs(max_steps=8))
def test_the_targets_are_those_that_the_contract_describes(events: list[AnyEvent]) -> None:
    entries, known = folded(events), oracle.effective(events)
    for now in (end_of(events), end_of(events) + 40 * DAY):
        spells = swept(entries, now).spells_at(now)
        for t in turns(events)[::3]:
            for horizon in HORIZONS:
                assert endings.target(spells, t, horizon) == oracle.target(known, t, horizon, now)


@settings(deadline=None, max_examples=100)
@given(episode_logs())
def test_the_next_visit_is_the_one_that_the_contract_describes(events: list[AnyEvent]) -> None:
    entries, known = folded(events), oracle.effective(events)
    now = end_of(events) - HOUR
    happened = [entry for entry in entries if entry.at <= now]
    for t in turns(events):
        if oracle.state(known, t) == "open":
            assert endings.next_visit_missed(happened, t) == oracle.next_visit_missed(known, t, now)
