"""A clinic's own instruments come from the log: from their record on, on every path, whatever the order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from keepwell.contract.control import registration
from keepwell.contract.events import AnyEvent, InstrumentRegistered, Registered
from services.predictor.registered import INSTRUMENTS_KEY
from tests.episodes import TOPICS, Run, measured, opened, story, weekly
from tests.strategies import DAY, moment

FACTS: dict[str, Any] = {
    "name": "MOOD-5", "kind": "outcome", "lowest": 0, "highest": 25, "higher_is_better": True, "cutoff": 13,
    "reliable_change": 4,
}  # fmt: skip
UNREAD = "scores of MOOD-5 are not interpreted: nobody registered it"


def registered(day: float, clinic: str = "north", **facts: Any) -> InstrumentRegistered:
    return registration(clinic, Registered(**(FACTS | facts)), moment(round(day * DAY)))


def course(subject: str = "ep-1") -> list[AnyEvent]:
    return story((0, opened()), (1, measured("MOOD-5", 8)), *weekly(2), (15, measured("MOOD-5", 14)), subject=subject)


def test_measures_are_read_from_the_registration_on_those_before_it_too() -> None:
    run = Run()
    *before, last = course()
    run.take(*before, registered(14.5), last)
    assert UNREAD in run.scores[1]["gaps"] and UNREAD in run.scores[-2]["gaps"]
    assert UNREAD not in run.scores[-1]["gaps"]
    assert "no outcome measure yet" not in run.scores[-1]["gaps"]


def test_where_the_registration_stands_among_the_same_events_does_not_matter_in_the_end() -> None:
    ends = set()
    events = course()
    for place in range(len(events)):
        run = Run()
        run.take(*events[:place], registered(0.5), *events[place:])
        ends.add(str(run.scores[-1]))
    assert len(ends) == 1


def test_of_two_registrations_the_later_holds_whichever_is_read_first() -> None:
    facts = [registered(1, cutoff=5), registered(2, cutoff=20), registered(2, reliable_change=9)]
    ends = set()
    for order in permutations(facts):
        run = Run()
        run.take(*order, *course())
        ends.add(str(run.scores[-1]) + str(run.state[INSTRUMENTS_KEY]))
    assert len(ends) == 1


def test_a_registration_holds_for_its_clinic_only() -> None:
    run = Run()
    run.take(registered(0, clinic="south"), *course())
    assert UNREAD in run.scores[-1]["gaps"]


@pytest.mark.parametrize("place", [1, 3, 5])
def test_a_restart_and_any_batching_give_the_same_bytes(place: int) -> None:
    log = [*course()[:3], registered(10), *course("ep-2"), *course()[3:]]
    whole, parts = Run(), Run()
    whole.take(*log)
    parts.take(*log[:place])
    parts.restart()
    for event in log[place:]:
        parts.take(event)
        parts.restart()
    assert parts.messages == whole.messages
    assert parts.state[INSTRUMENTS_KEY] == whole.state[INSTRUMENTS_KEY]


@pytest.mark.parametrize("wrong", [{"cutoff": 30}, {"reliable_change": 0}, {"lowest": 25}, {"name": "PHQ-9"}])
def test_facts_that_cannot_be_are_set_aside_and_change_nothing(wrong: dict[str, Any]) -> None:
    run = Run()
    step = run.take(registered(0, **wrong), *course())
    assert (step.refused, step.accepted) == (1, len(course()))
    assert INSTRUMENTS_KEY not in run.state
    letters = [message for message in run.messages if message.topic == TOPICS.dead_letters]
    assert dict(letters[0].headers)["keepwell-reason"] == b"invalid"
