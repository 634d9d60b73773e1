"""Features of context: the course so far, the plan, the referral, the format, the season."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, pi, sin
from typing import Final

from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.care.moments import STAGES, stage
from keepwell.scoring.features.feature import NOTHING, Feature, Read, Value, counted, says

MANDATED: Final = frozenset(("court", "employer"))
REMOTE: Final = frozenset(("video", "phone", "text"))


def _plan_done(c: Course, now: int) -> Value:
    planned = c.opening.planned if c.opening else None
    return None if planned is None else c.sessions / planned


def _plan_left(c: Course, now: int) -> Value:
    planned = c.opening.planned if c.opening else None
    return None if planned is None else float(planned - c.sessions)


def _year(turn: Callable[[float], float]) -> Read:
    return lambda c, now: turn(2 * pi * (now / DAY % 365.2425) / 365.2425)


def _of_opening(read: Callable[[Course], Value]) -> Read:
    return lambda c, now: None if c.opening is None else read(c)


_STAGES: Final[Mapping[str, str]] = {
    "before": "Before the first session",
    "lost_before": "A visit was lost before the first session",
    "session_1": "After the first session",
    "session_2": "After the second session",
    "session_3_5": "After the third, fourth or fifth session",
    "session_6": "After six sessions or more",
    "lost": "A visit was lost since the last session",
    "unbooked": "No visit is booked since the last session",
}

CONTEXT: Final[Sequence[Feature]] = (
    Feature("stage", "context", "stage", lambda c, now: float(stage(c, now)),
            lambda v: _STAGES[STAGES[round(v)]], ""),
    Feature("sessions", "context", "sessions", lambda c, now: float(c.sessions),
            lambda v: f"{counted(v, 'session', 'sessions')} so far", "", "attended"),
    Feature("weeks", "context", "weeks", lambda c, now: None if c.first_at is None else (now - c.first_at) / DAY / 7,
            lambda v: f"In care for {counted(v, 'week', 'weeks')}", NOTHING),
    Feature("plan_done", "context", "share", _plan_done,
            lambda v: f"{v:.0%} of the planned sessions have taken place", "The number of sessions was not planned"),
    Feature("plan_left", "context", "sessions", _plan_left,
            lambda v: f"{counted(abs(v), 'session', 'sessions')} {'beyond' if v < 0 else 'left in'} the plan",
            "The number of sessions was not planned"),
    Feature("previous_episodes", "context", "episodes", _of_opening(
            lambda c: None if c.opening is None or c.opening.previous is None else float(c.opening.previous)),
            lambda v: f"{counted(v, 'earlier episode', 'earlier episodes')} of care", "Earlier episodes are not known"),
    Feature("preference_met", "context", "0/1", _of_opening(
            lambda c: None if c.opening is None or c.opening.preference_met is None else float(c.opening.preference_met)),
            says("Offered the help the client preferred", "Not offered the help the client preferred"),
            "The client's preference is not known"),
    Feature("mandated", "context", "0/1", _of_opening(
            lambda c: None if c.opening is None or c.opening.referral is None else float(c.opening.referral in MANDATED)),
            says("Referred by a court or an employer", "Not referred by a court or an employer"),
            "The referral is not known"),
    Feature("remote", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality in REMOTE),
            says("Sessions take place at a distance", "Sessions take place in person"), "The format is not known"),
    Feature("group", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality == "group"),
            says("Sessions take place in a group", "Sessions are individual"), "The format is not known"),
    Feature("returns", "context", "returns", lambda c, now: float(max(len(c.standing.spells) - 1, 0)),
            lambda v: f"{counted(v, 'return', 'returns')} after an earlier stop", ""),
    Feature("season_sin", "context", "-1 to 1", _year(sin), lambda v: "Time of year", ""),
    Feature("season_cos", "context", "-1 to 1", _year(cos), lambda v: "Time of year", ""),
)  # fmt: skip
