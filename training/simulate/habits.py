"""How a clinic keeps its calendar, as far as one episode's log tells: after a first session with nothing booked, it does not.

From the second session on it is plain from the episode itself, since by then the visit after a session has been booked at
once or later; and where hours are kept is told by the first visit that is lost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from training.simulate import course
from training.simulate.course import AFTER
from training.simulate.hazards import none_booked
from training.simulate.landmarks import Landmarks
from training.simulate.people import Floats, Ints, Tables
from training.simulate.presets import World
from training.simulate.session import LENGTH


class Unsaid(NamedTuple):
    """Moments whose log fits two habits: their rows, what they are like in a clinic of the other one, and the chance that it
    is the one they are in."""

    rows: Ints
    otherwise: Landmarks
    own: Floats


def unsaid(marks: Landmarks, world: World, tables: Tables) -> Unsaid:
    """The moments after a first session at which nothing is booked: entered late, or left so."""
    people = marks.people
    unentered = people.starts < marks.at
    left = people.lost_at == marks.at - 1
    rows = np.flatnonzero((people.sessions == 1) & (marks.at == people.last + AFTER) & (unentered | left))
    otherwise, entered_late = marks.take(rows), unentered[rows]
    none, logit = none_booked(otherwise.people, world, tables)
    share = float(np.mean(world.late))
    late = share / (share + (1 - share) * none)
    _swap(otherwise, entered_late, logit)
    return Unsaid(rows, otherwise, np.where(entered_late, late, 1 - late))


def _swap(marks: Landmarks, entered_late: np.ndarray, logit: Floats) -> None:
    """Those whose next visit is not entered yet have left with nothing booked, and the other way round."""
    people = marks.people
    gone = people.take(np.flatnonzero(entered_late))
    course.leave_unbooked(gone, logit[entered_late])
    stay = people.take(np.flatnonzero(~entered_late))
    stay.starts = stay.last - LENGTH
    stay.lost_at = np.full(len(stay), np.nan)
    people.put(np.flatnonzero(entered_late), gone)
    people.put(np.flatnonzero(~entered_late), stay)
