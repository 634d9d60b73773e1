"""Standing hours: the log shows nothing of who comes back before that person does, and the oracle believes just that."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from keepwell.contract.events import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentMissed,
    AppointmentRescheduled,
    SessionAttended,
    micros,
)
from tests.training.simulate.worlds import Log, Told
from training.simulate import PRESETS
from training.simulate.intake import arrive, roster
from training.simulate.people import DAY, HOUR, People
from training.simulate.standing import KEPT, comes_to, hours, last_sign, let_pass, next_kept, passed_by, shown_until

WAITING = 4_000
VISIT = 3_600_000_000
"""Microseconds an hour: as long as a visit takes to be recorded."""


@pytest.fixture(scope="module")
def waiting() -> People:
    """People who missed a visit; every second one has a standing hour."""
    world, rng = PRESETS["clinic"], np.random.default_rng(4)
    people, _ = arrive(world, roster(world, WAITING, rng), WAITING, rng)
    people.lost_at = people.starts + 20
    people.sign = people.lost_at.copy()
    people.hour = np.where(np.arange(WAITING) % 2 == 0, people.starts, np.nan)
    return people


def test_whoever_comes_to_a_kept_hour_is_not_back_until_then_and_those_who_book_are_at_once(waiting: People) -> None:
    rng = np.random.default_rng(5)
    decided = waiting.lost_at + rng.uniform(0, 60 * DAY, WAITING)
    at = waiting.lost_at + rng.uniform(0, 60 * DAY, WAITING)
    number = comes_to(waiting, decided)
    kept = hours(waiting)
    shown = np.where(number > 0, kept[np.arange(WAITING), number], decided)
    # Whoever decides too late for the last kept hour, and before it has gone by, books once it has.
    late = ~np.isnan(waiting.hour) & (number == 0)
    shown[late] = np.maximum(decided, kept[:, KEPT])[late]
    assert np.array_equal(shown > at, decided > shown_until(waiting, at))
    assert (number > 0).any() and late.any() and (shown > at).any() and (shown <= at).any()


def test_hours_are_kept_at_the_usual_interval_and_no_longer_than_is_said(waiting: People) -> None:
    kept = hours(waiting)
    standing = ~np.isnan(waiting.hour)
    assert np.isnan(kept[~standing]).all()
    apart = np.diff(kept[standing], axis=1) / DAY
    assert np.median(apart) in (7.0, 14.0)
    assert (comes_to(waiting, kept[:, KEPT])[standing] == 0).all()
    assert (
        comes_to(waiting, kept[:, KEPT] - 13 * HOUR)[standing] == KEPT
    ).mean() > 0.95  # not where holidays lie between
    assert (next_kept(waiting, waiting.lost_at)[standing] == 1).all()
    assert (next_kept(waiting, kept[:, KEPT])[standing] == 0).all()


def test_hours_that_go_by_are_visits_missed(waiting: People) -> None:
    people = waiting.take(np.arange(WAITING))
    passed = passed_by(people, comes_to(people, people.lost_at + 1_000 * DAY))
    last = last_sign(people)
    let_pass(people, passed)
    standing = np.arange(WAITING) % 2 == 0
    assert (people.missed - waiting.missed == np.where(standing, KEPT, 0)).all()
    assert (people.row - waiting.row == np.where(standing, KEPT, 0)).all()
    assert np.array_equal(people.sign, last)
    assert np.isnan(people.hour).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_lost_visit_leaves_one_ahead_in_clinics_with_standing_hours_only(preset: str, logs: dict[str, Log]) -> None:
    world = PRESETS[preset]
    kept, lost = Counter[tuple[bool, bool]](), Counter[tuple[bool, bool]]()
    for told in logs[preset].told.values():
        clinic = int(told.key.partition("/")[0].rpartition("-")[2]) - 1
        kind = (world.standing[clinic % len(world.standing)], world.late[clinic % len(world.late)])
        ahead = _ahead_when_missed(told)
        lost[kind] += len(ahead)
        kept[kind] += sum(ahead)
    assert len(lost) == 4 and min(lost.values()) > 100
    for (standing, late), count in lost.items():
        if standing and not late:
            assert kept[True, False] > 0.5 * count
        elif standing:  # entered late, a kept hour stands in the calendar only after the one before it was lost
            assert kept[True, True] < 0.01 * count
        else:
            assert not kept[False, late]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_next_visit_is_booked_as_the_client_leaves_unless_it_is_entered_late(
    preset: str, logs: dict[str, Log]
) -> None:
    world = PRESETS[preset]
    booked, sessions = Counter[bool](), Counter[bool]()
    for told in logs[preset].told.values():
        clinic = int(told.key.partition("/")[0].rpartition("-")[2]) - 1
        for event, (at, pending) in zip(told.events, _pending(told), strict=True):
            if isinstance(event, SessionAttended):
                sessions[world.late[clinic % len(world.late)]] += 1
                booked[world.late[clinic % len(world.late)]] += any(starts > at for starts in pending.values())
    assert booked[False] > 0.7 * sessions[False]
    assert booked[True] < 0.01 * sessions[True]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_visit_is_decided_and_nobody_has_two_ahead_for_longer_than_it_takes_to_book_one(
    preset: str, logs: dict[str, Log]
) -> None:
    for told in logs[preset].told.values():
        for at, pending in _pending(told):
            assert sum(starts > at for starts in pending.values()) <= 2
            assert all(starts > at - 2 * VISIT for starts in pending.values())
        assert all(starts > told.now - 2 * VISIT for starts in pending.values()), "a visit nobody recorded"


def _ahead_when_missed(told: Told) -> list[bool]:
    """At each visit missed after a first session, whether a later one was booked."""
    found, sessions = [], 0
    for event, (at, pending) in zip(told.events, _pending(told), strict=True):
        sessions += isinstance(event, SessionAttended)
        if isinstance(event, AppointmentMissed) and sessions:
            found.append(any(starts > at for starts in pending.values()))
    return found


def _pending(told: Told) -> list[tuple[int, dict[str, int]]]:
    """After each event its time, and the start of each visit that is booked and not decided."""
    pending: dict[str, int] = {}
    found = []
    for event in told.events:
        if isinstance(event, AppointmentBooked | AppointmentRescheduled):
            pending[event.data.appointment_id] = micros(event.data.starts_at)
        elif isinstance(event, AppointmentMissed | AppointmentCancelled | SessionAttended):
            pending.pop(event.data.appointment_id or "", None)
        found.append((micros(event.time), dict(pending)))
    return found
