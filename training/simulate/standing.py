"""Standing hours: where a lost visit leaves the next ones in the calendar, only coming to one shows who is back."""

from __future__ import annotations

from typing import Final

import numpy as np

from training.simulate.calendars import keeps_hours, workday
from training.simulate.hazards import LATE_NOTICE
from training.simulate.people import DAY, HOUR, Bools, Floats, Ints, People
from training.simulate.presets import World

KEPT: Final = 3
"""Hours that a clinic keeps for somebody who does not come and says nothing; ours."""
MOST_LOST: Final = 2
"""Visits lost in a row after which no hour is kept any more; ours."""
DECIDES: Final = 12 * HOUR
"""Whoever comes back to an hour has decided so at least so long before; ours."""
MISSED_AFTER: Final = 20.0
"""Minutes after the start of a visit at which it is recorded as missed."""


def keeps(people: People, world: World) -> Bools:
    """Whether the clinic keeps the hours of somebody who has just lost a visit; of nobody who was never there."""
    return np.asarray(keeps_hours(people, world) & (people.sessions > 0) & (people.row <= MOST_LOST))


def hours(people: People) -> Floats:
    """The hour that was lost and those kept after it: a row a person, NaN where none is kept."""
    found = np.full((len(people), KEPT + 1), np.nan)
    rows = np.flatnonzero(~np.isnan(people.hour))  # most have none
    if not len(rows):
        return found
    found[rows, 0] = people.hour[rows]
    for step in range(1, KEPT + 1):
        usual = people.hour[rows] + DAY * people.rhythm[rows] * step
        found[rows, step] = workday(
            np.maximum(usual, found[rows, step - 1] + DAY)
        )  # those of holidays fall on days after
    return found


def comes_to(people: People, at: Floats) -> Ints:
    """Which of the kept hours somebody comes to who decides so at `at`: 1 is the first; 0 where none is kept so long."""
    return _after(people, hours(people)[:, 1:] < at[:, None] + DECIDES)


def passed_by(people: People, number: Ints) -> Ints:
    """How many kept hours go by of those who come to one (`number`), or to none (0)."""
    return np.where(np.isnan(people.hour), 0, np.where(number > 0, number - 1, KEPT))


def let_pass(people: People, passed: Ints) -> None:
    """So many kept hours go by, each a visit missed; then none is kept any more."""
    last = hours(people)[np.arange(len(people)), passed] + MISSED_AFTER
    people.missed += passed
    people.row += passed
    people.sign = np.where(passed > 0, last, people.sign)
    people.hour = np.full(len(people), np.nan)


def last_sign(people: People) -> Floats:
    """The last sign of somebody who does not come back: the last visit missed, once all that are kept have gone by."""
    return np.where(np.isnan(people.hour), people.sign, hours(people)[:, KEPT] + MISSED_AFTER)


def shown_at(people: People, number: Ints, decided: Floats) -> Floats:
    """When the log first shows that somebody is back: as they book, or as late as a visit that was kept can be called off."""
    kept = hours(people)[np.arange(len(people)), number]
    return np.where(number > 0, kept - LATE_NOTICE[1], decided)


def next_kept(people: People, at: Floats) -> Ints:
    """Which kept hour is the next at `at`; 0 where none is."""
    return _after(people, hours(people)[:, 1:] <= at[:, None])


def shown_until(people: People, at: Floats) -> Floats:
    """Up to which moment the log at `at` shows that somebody who has lost a visit has not come back.

    Without a kept hour that is `at` itself, since whoever comes back books. With one it is when those who came to the last
    that has gone by would have decided so.
    """
    number = next_kept(people, at)
    last = hours(people)[np.arange(len(people)), np.maximum(number - 1, 0)] - DECIDES
    # Before the first one nothing is shown: the hour that was lost says only that it was lost.
    silent = np.where(number > 1, last, people.lost_at)
    return np.where(number > 0, np.maximum(silent, people.lost_at), at)


def _after(people: People, gone: Bools) -> Ints:
    """The kept hour that comes after those which are `gone`; 0 where none does."""
    number = 1 + gone.sum(axis=1)
    return np.where(np.isnan(people.hour) | (number > KEPT), 0, number)
