"""How a clinic keeps its calendar, as far as one episode's own log tells: what else its state could be at a moment.

Whether hours are kept is told by the first visit that is lost after a session, and whether the next visit is entered late by
the first session after which one is booked, at once or later. Before that, whoever reads this log alone knows no more than
how common each habit is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from training.simulate import course
from training.simulate.calendars import enters_late, keeps_hours
from training.simulate.course import after
from training.simulate.hazards import none_booked
from training.simulate.landmarks import Landmarks
from training.simulate.people import Bools, Floats, Ints, People, Tables
from training.simulate.presets import World
from training.simulate.session import LENGTH


class HabitsReading(NamedTuple):
    """Rows of landmarks, their states if the clinic had another habit, and how likely that is by the episode's log."""

    rows: Ints
    otherwise: Landmarks
    chance: Floats


def readings(marks: Landmarks, world: World, tables: Tables) -> Iterator[HabitsReading]:
    """The other readings of landmarks. What is left of each row's chance is that of its own state."""
    people = marks.people
    standing, late = (habit(people, world).astype(int) for habit in (keeps_hours, enters_late))
    unsaid = _unsaid(marks, world)
    none, logit = none_booked(people, world, tables)
    chances = _chances(marks, world, standing=standing, late=late, unsaid=unsaid, none=none)
    every = np.arange(len(marks))
    for other_hours in (0, 1):
        for other_entry in (0, 1):
            if not other_hours and not other_entry:
                continue
            chance = chances[every, standing ^ other_hours, late ^ other_entry]
            # Where it shows nothing, how the next visit is entered changes nothing that is to come.
            chance = np.where(
                unsaid, chance, 0.0 if other_entry else chances[every, standing ^ other_hours].sum(axis=1)
            )
            rows = np.flatnonzero(chance > 0)
            if not len(rows):
                continue
            otherwise = marks.take(rows)
            if other_hours:
                otherwise.people.clinic = _like(world, 1 - standing[rows])
            if other_entry:
                _swap(otherwise.people, world, late[rows] == 1, logit[rows])
            yield HabitsReading(rows, otherwise, chance[rows])


def _unsaid(marks: Landmarks, world: World) -> Bools:
    """After a first session with nothing booked: the next visit may be entered late, or there is none."""
    people = marks.people
    nothing = (people.starts < marks.at) | (people.lost_at == marks.at - 1)
    return np.asarray((people.sessions == 1) & (marks.at == people.last + after(world)) & nothing)


def _chances(marks: Landmarks, world: World, *, standing: Ints, late: Ints, unsaid: Bools, none: Floats) -> Floats:
    """By row, whether hours are kept and whether entry is late: how likely that is by the episode's log."""
    people = marks.people
    habits = np.zeros((2, 2))
    for kept, entered_late in zip(world.standing, world.late, strict=True):
        habits[int(kept), int(entered_late)] += 1
    found = np.tile(habits, (len(marks), 1, 1))
    found *= np.where(people.lost[:, None], np.eye(2)[standing], 1.0)[:, :, None]
    known = (people.sessions > 0) & ~unsaid
    found *= np.where(known[:, None], np.eye(2)[late], 1.0)[:, None, :]
    found[:, :, 0] *= np.where(unsaid, none, 1.0)[:, None]
    return np.asarray(found / found.sum(axis=(1, 2), keepdims=True))


def _like(world: World, standing: Ints) -> Ints:
    """A clinic that keeps hours, or one that does not."""
    return np.array([world.standing.index(False), world.standing.index(True)])[standing]


def _swap(people: People, world: World, entered_late: Bools, logit: Floats) -> None:
    """Those whose next visit is not entered yet have left with nothing booked, and the other way round."""
    left, later = np.flatnonzero(entered_late), np.flatnonzero(~entered_late)
    gone, comes = people.take(left), people.take(later)
    course.leave_unbooked(gone, world, logit[left])
    comes.starts = comes.last - LENGTH
    comes.lost_at = np.full(len(comes), np.nan)
    people.put(left, gone)
    people.put(later, comes)
