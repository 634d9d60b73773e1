"""The moments at which somebody decides, declared once: what is fitted, what is judged and what alerts are these.

A *moment* is what gives rise to a look at an episode: a first visit is booked, a session ends, a visit is lost, a silence
lasts. A *stage* is where the person stands then. Risks are calibrated stage by stage, so that one at the first
booking and one after the tenth session are both right.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from keepwell.care.course import Course
from keepwell.care.endings import DAY

Moment = Literal["booking", "session", "lost", "silence"]
MOMENTS: Final[tuple[Moment, ...]] = get_args(Moment)

Stage = Literal[
    "before", "lost_before", "session_1", "session_2", "session_3_5", "session_6", "lost", "unbooked",
]  # fmt: skip
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
"""In the order of their numbers. `before`: no session yet; `lost_before`: none yet, and a visit was lost; `session_…`: so
many sessions, and nothing lost since the last; `lost`: a visit was lost since the last session; `unbooked`: nothing is
booked or waits for its record, more than `UNBOOKED_AFTER` after the last session."""

ON_THE_WAY_OUT: Final = 3_600_000_000
"""Microseconds after a session within which what is told, such as a rating of it and the next booking, belongs to the moment
after it; ours. A rating of the session is the reason why this moment is the usual one."""
UNBOOKED_AFTER: Final = DAY
"""How long after a session the next visit may still be entered before its absence says something; ours."""
_BEFORE, _LOST_BEFORE, _ONE, _TWO, _FEW, _MANY, _LOST, _UNBOOKED = range(len(STAGES))


def stage(course: Course, now: int) -> int:
    """The place in `STAGES` of where the person stands at a moment (µs) not before the newest entry of the course."""
    if course.sessions == 0:
        return _LOST_BEFORE if course.lost_in_a_row else _BEFORE
    if course.lost_in_a_row:
        return _LOST
    late = course.last_session is not None and now - course.last_session > UNBOOKED_AFTER
    if late and not course.visits.pending_at(now):
        return _UNBOOKED
    return _ONE if course.sessions == 1 else _TWO if course.sessions == 2 else _FEW if course.sessions <= 5 else _MANY


def deciding(course: Course, now: int) -> bool:
    """Whether now (µs) is a moment at which somebody decides. Between two sessions of somebody who comes it is not: what was
    told then is weighed at the next one."""
    where = stage(course, now)
    came = where in (_ONE, _TWO, _FEW, _MANY)
    return not came or course.last_session is None or now - course.last_session <= ON_THE_WAY_OUT
