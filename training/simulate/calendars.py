"""How simulated clinics keep their calendars: the days they work, and which of them keep hours or enter bookings late."""

from __future__ import annotations

import numpy as np

from training.simulate.people import DAY, Bools, Floats, People
from training.simulate.presets import World


def keeps_hours(people: People, world: World) -> Bools:
    """Whether a lost visit leaves the next ones in the calendar of each person's clinic."""
    return _of_clinic(world.standing, people)


def enters_late(people: People, world: World) -> Bools:
    """Whether each person's clinic enters the next visit only some time after the session."""
    return _of_clinic(world.late, people)


def workday(at: Floats) -> Floats:
    """The moment itself, or the next working day at that hour: not at weekends, and not between the years."""
    day = np.floor(at / DAY)
    year = (day + 1) % 365.25
    day = day + np.where(year >= 355, 367 - np.floor(year), np.where(year < 3, 3 - np.floor(year), 0.0))
    weekday = day % 7
    return day * DAY + at % DAY + DAY * np.where(weekday >= 5, 7 - weekday, 0.0)


def _of_clinic(habit: tuple[bool, ...], people: People) -> Bools:
    return np.array(habit)[people.clinic % len(habit)]
