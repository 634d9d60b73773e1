"""What an episode's own log leaves open of its clinic's habits, a truth that knows no clinic must leave open too."""

from __future__ import annotations

import numpy as np
import pytest

from training.simulate import PRESETS
from training.simulate.habits import readings
from training.simulate.intake import arrive, roster
from training.simulate.landmarks import Landmarks
from training.simulate.life import CUT, Lives
from training.simulate.people import Bools, Floats, tables
from training.simulate.tell import Teller

WORLD = PRESETS["clinic"]
TABLES = tables(WORLD)
STANDING, LATE = np.array(WORLD.standing), np.array(WORLD.late)
EPISODES = 3_000


@pytest.fixture(scope="module")
def marks() -> Landmarks:
    rng = np.random.default_rng(3)
    staff = roster(WORLD, EPISODES, rng)
    people, arrivals = arrive(WORLD, staff, EPISODES, rng)
    return Lives(
        people, arrivals, WORLD, tables=TABLES, staff=staff, teller=Teller(WORLD, TABLES, CUT, 1), rng=rng
    ).run()


def test_a_lost_visit_and_a_second_session_leave_nothing_open(marks: Landmarks) -> None:
    told = np.flatnonzero(marks.people.lost & (marks.people.sessions > 1))
    assert len(told) > 100
    assert not list(readings(marks.take(told), WORLD, TABLES))


def test_before_a_visit_is_lost_kept_hours_are_as_likely_as_they_are_common(marks: Landmarks) -> None:
    people = marks.people
    late = LATE[people.clinic % len(LATE)]
    for entered_late in (False, True):
        rows = np.flatnonzero(~people.lost & (people.sessions > 1) & (late == entered_late))
        standing = STANDING[people.clinic[rows] % len(STANDING)]
        other = _others(marks.take(rows))[0]
        common = STANDING[entered_late == LATE].mean()
        assert other == pytest.approx(np.where(standing, 1 - common, common))


def test_nothing_booked_after_a_first_session_is_late_entry_or_nobody_staying(marks: Landmarks) -> None:
    people = marks.people
    left = people.lost_at == marks.at - 1
    rows = np.flatnonzero((people.sessions == 1) & (left | (people.starts < marks.at)))
    some = marks.take(rows)
    entry = np.zeros(len(rows))
    for place, otherwise, chance in readings(some, WORLD, TABLES):
        assert (chance > 0).all() and (chance < 1).all()
        turned = np.isnan(otherwise.people.lost_at) != np.isnan(some.people.lost_at[place])
        entry[place] += np.where(turned, chance, 0.0)
        assert (otherwise.people.lost_at[turned] >= some.people.last[place][turned]).sum() + (
            otherwise.people.starts[turned] < otherwise.at[turned]
        ).sum() == turned.sum()
    assert entry[left[rows]].min() > 0.5  # most who have nothing in the calendar are in a clinic that enters it later
    assert entry[~left[rows]].max() < 0.5


def test_what_is_open_does_not_depend_on_the_clinic_that_it_is(marks: Landmarks) -> None:
    rows = np.flatnonzero(~marks.people.lost & (marks.people.sessions == 0))
    here, there = marks.take(rows), marks.take(rows)
    there.people.clinic = np.where(STANDING[here.people.clinic % len(STANDING)], 0, 1)
    assert _others(here)[0] + _others(there)[0] == pytest.approx(1)


def _others(marks: Landmarks) -> tuple[Floats, Bools]:
    """By row, the chance of all other readings, and whether there is one."""
    chance = np.zeros(len(marks))
    for rows, _, one in readings(marks, WORLD, TABLES):
        chance[rows] += one
    return chance, chance > 0
