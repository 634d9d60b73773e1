"""The made-up clinic: the same for the same seed, in order, valid, and with every kind of event."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES, EpisodeEnded, EpisodeOpened, Event, encode
from keepwell.testing.made_up import made_up_clinic, to_jsonl

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(made_up_clinic(400, 7, START, 365))


def test_the_same_seed_gives_the_same_clinic_and_another_seed_another() -> None:
    first, again, other = (list(made_up_clinic(30, seed, START, 120)) for seed in (1, 1, 2))
    assert first == again != other


def test_every_event_is_one_that_the_contract_accepts(events: list[Event]) -> None:
    for event in events:
        result = decode(encode(event), now=event.time, instruments=Instruments())
        assert isinstance(result, Accepted), (result, event)
        assert (result.event, result.unknown) == (event, 0)


def test_the_events_come_in_order_of_time_and_within_the_period(events: list[Event]) -> None:
    assert all(one.time <= following.time for one, following in pairwise(events))
    assert events[0].time >= START and events[-1].time < START + timedelta(days=365)


def test_every_type_occurs_but_the_control_types(events: list[Event]) -> None:
    assert {event.type for event in events} == set(EVENT_TYPES) - CONTROL_TYPES


def test_every_episode_begins_with_its_opening(events: list[Event]) -> None:
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.key, event)
    assert len(first) == 400
    assert all(isinstance(event, EpisodeOpened) for event in first.values())


def test_some_end_as_planned_some_stop_and_something_is_corrected(events: list[Event]) -> None:
    reasons = {event.data.reason for event in events if isinstance(event, EpisodeEnded)}
    assert {"planned", "improved", "client_stopped", "transferred"} <= reasons
    assert any(event.corrects for event in events)


def test_every_identity_occurs_once(events: list[Event]) -> None:
    assert len({(event.source, event.id) for event in events}) == len(events)


def test_json_lines_hold_one_event_each(events: list[Event]) -> None:
    out = io.BytesIO()
    assert to_jsonl(events[:50], out) == 50
    lines = out.getvalue().splitlines()
    assert lines == [encode(event) for event in events[:50]]
