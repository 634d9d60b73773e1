"""Both readings of the definition of stopping, asked at once: the fast one must say what the slow one says.

Each function takes the events of one episode in order of arrival, folds them as live code does, and returns the answer on
which both agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from keepwell.care import endings
from keepwell.care.course import course_of
from keepwell.care.endings import Sweep
from keepwell.care.episode import Episode, Live
from keepwell.care.history import AnyEntry, effective
from keepwell.contract.events import AnyEvent
from tests import oracle
from tests.episodes import INTERPRET
from tests.oracle import Spell, State


def spells(events: Sequence[AnyEvent], now: int) -> list[Spell]:
    """The spells as determined at `now`."""
    expected = oracle.spells(oracle.effective(events), now)
    assert _spells(events, now) == expected
    return expected


def state(events: Sequence[AnyEvent], at: int) -> State:
    """The state of the episode at `at`."""
    expected = oracle.state(oracle.effective(events), at)
    assert _standing(events, at).state_at(at) == expected
    return expected


def target(events: Sequence[AnyEvent], t: int, horizon_days: int, now: int) -> int | None:
    """The target at `t`, as far as determined at `now`."""
    expected = oracle.target(oracle.effective(events), t, horizon_days, now)
    assert endings.target(_standing(events, now).spells_at(now), t, horizon_days) == expected
    return expected


def next_visit_missed(events: Sequence[AnyEvent], t: int, now: int) -> int | None:
    """The second target at `t`, as far as known at `now`."""
    expected = oracle.next_visit_missed(oracle.effective(events), t, now)
    open_at_t = endings.spell_of(_standing(events, now).spells_at(now), t) is not None
    found = endings.next_visit_missed(_happened(events, now), t) if open_at_t else None
    assert found == expected
    return expected


def _spells(events: Sequence[AnyEvent], now: int) -> list[Spell]:
    found = _standing(events, now).spells_at(now)
    return [Spell(spell.start, spell.last_attended, spell.closed_at, spell.ending) for spell in found]


def _standing(events: Sequence[AnyEvent], now: int) -> Sweep:
    return course_of(_happened(events, now), INTERPRET).standing


def _happened(events: Sequence[AnyEvent], now: int) -> list[AnyEntry]:
    """The effective entries up to `now`."""
    live = Live(Episode("north/ep-1"), INTERPRET)
    for event in events:
        live.fold(event)
    return [entry for entry in effective(live.episode.history) if entry.at <= now]
