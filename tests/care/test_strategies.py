"""The drawn logs are what they claim to be: valid, of the episodes they name, and with the troubles they promise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import (
    CONTROL_TYPES,
    EVENT_TYPES,
    AnyEvent,
    ClientErased,
    ClockTicked,
    decode_accepted,
    encode,
)
from tests.strategies import DAY, clinic_logs, episode_logs, moment, ticks

NOW = moment(10_000 * DAY)


@settings(deadline=None)
@given(st.one_of(episode_logs(), clinic_logs()))
def test_every_event_drawn_is_one_that_the_contract_accepts(events: list[AnyEvent]) -> None:
    for event in events:
        assert isinstance(decode(encode(event), now=NOW, instruments=Instruments()), Accepted)
        assert decode_accepted(encode(event)) == event


@settings(deadline=None)
@given(episode_logs("south", "ep-9"))
def test_an_episode_log_is_of_one_episode_and_not_empty(events: list[AnyEvent]) -> None:
    assert {event.key for event in events} == {"south/ep-9"}


@pytest.mark.parametrize("name", sorted(set(EVENT_TYPES) - CONTROL_TYPES - {"keepwell.client.erased.v1"}))
def test_every_type_of_an_episodes_own_is_drawn(name: str) -> None:
    find(episode_logs(), lambda events: any(event.type == name for event in events), settings=_patient)


def _repeats(events: Sequence[AnyEvent]) -> bool:
    return len({(event.source, event.id) for event in events}) < len(events)


def _disordered(events: Sequence[AnyEvent]) -> bool:
    return any(one.time > following.time for one, following in pairwise(events))


def _shares_ids(events: Sequence[AnyEvent]) -> bool:
    return len({event.id for event in events}) < len({(event.source, event.id) for event in events})


def _corrects(events: Sequence[AnyEvent]) -> bool:
    return any(event.corrects in {other.id for other in events} for event in events)


@pytest.mark.parametrize("trouble", [_repeats, _disordered, _shares_ids, _corrects])
def test_the_troubles_are_drawn(trouble: object) -> None:
    assert callable(trouble)
    find(episode_logs(), trouble, settings=_patient)


def test_two_clinics_use_the_same_subject() -> None:
    log = find(clinic_logs(), lambda events: len({event.key for event in events}) == 2, settings=_patient)
    assert {event.key for event in log} == {"north/ep-1", "south/ep-1"}


@given(ticks())
def test_ticks_come_in_order_of_time(drawn: list[ClockTicked]) -> None:
    assert all(one.time <= following.time for one, following in pairwise(drawn))


@settings(deadline=None)
@given(clinic_logs())
def test_a_clinic_log_erases_nobody(events: list[AnyEvent]) -> None:
    assert not any(isinstance(event, ClientErased) for event in events)


_patient = settings(max_examples=5_000, deadline=None, database=None, derandomize=True, phases=(Phase.generate,))
