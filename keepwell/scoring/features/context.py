"""Features of context: the course so far, the plan, the referral, the format, the season."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, pi, sin
from typing import Final

from keepwell.care.course import HOUR, Course
from keepwell.care.endings import DAY
from keepwell.care.moments import STAGES, stage
from keepwell.scoring.features.feature import NOTHING, Feature, Read, Value, about, counted, says

MANDATED: Final = frozenset(("court", "employer"))
REMOTE: Final = frozenset(("video", "phone", "text"))


def _plan_done(c: Course, now: int) -> Value:
    planned = c.opening.planned if c.opening else None
    return None if planned is None else c.sessions / planned


def _plan_left(c: Course, now: int) -> Value:
    planned = c.opening.planned if c.opening else None
    return None if planned is None else float(planned - c.sessions)


def _offered(c: Course, now: int) -> Value:
    """Days from the opening, or the first that is known, to the first session as offered."""
    begun = c.first_at if c.opening is None else c.opening.at
    return None if c.first_start is None or begun is None else max(c.first_start - begun, 0) / DAY


def _hour(start: int | None) -> Value:
    """In UTC, as no event says where the clinic is."""
    return None if start is None else start % DAY / HOUR


def _weekday(c: Course, now: int) -> Value:
    """From Monday, 0, in UTC."""
    start = c.visits.next_session(now)
    return None if start is None else float((start // DAY + _THURSDAY) % 7)


def _referred(by: str) -> Read:
    def read(c: Course, now: int) -> Value:
        return None if c.opening is None or c.opening.referral is None else float(c.opening.referral == by)

    return read


def _clock(v: float) -> str:
    minutes = round(v * 60) % (24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d} UTC"


def _year(turn: Callable[[float], float]) -> Read:
    return lambda c, now: turn(2 * pi * (now / DAY % 365.2425) / 365.2425)


def _of_opening(read: Callable[[Course], Value]) -> Read:
    return lambda c, now: None if c.opening is None else read(c)


_THURSDAY: Final = 3
"""What 1 January 1970 was, of the days of the week from Monday, 0."""
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_STAGES: Final[Mapping[str, str]] = {
    "before": "Before the first session",
    "lost_before": "A visit was missed or cancelled before the first session",
    "session_1": "After the first session",
    "session_2": "After the second session",
    "session_3_5": "After the third, fourth or fifth session",
    "session_6": "After six sessions or more",
    "lost": "A visit was missed or cancelled since the last session",
    "unbooked": "No visit is booked since the last session",
}

CONTEXT: Final[Sequence[Feature]] = (
    Feature("stage", "context", "stage", lambda c, now: float(stage(c, now)),
            lambda v: _STAGES[STAGES[round(v)]], ""),
    Feature("sessions", "context", "sessions", lambda c, now: float(c.sessions),
            lambda v: f"{counted(v, 'session', 'sessions')} so far", "", "attended"),
    Feature("weeks", "context", "weeks", lambda c, now: None if c.first_at is None else (now - c.first_at) / DAY / 7,
            lambda v: f"In care for {counted(v, 'week', 'weeks')}" if round(v) else "In care for less than a week",
            NOTHING),
    Feature("plan_done", "context", "share", _plan_done,
            lambda v: f"{about(v).capitalize()} of the planned sessions have taken place",
            "The number of sessions was not planned"),
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
    Feature("referred_self", "context", "0/1", _referred("self"), says("Self-referred", "Not self-referred"),
            "The referral is not known"),
    Feature("referred_primary_care", "context", "0/1", _referred("primary_care"),
            says("Referred by primary care", "Not referred by primary care"), "The referral is not known"),
    Feature("referred_specialist", "context", "0/1", _referred("specialist"),
            says("Referred by a specialist", "Not referred by a specialist"), "The referral is not known"),
    Feature("days_waited", "context", "days", _offered,
            lambda v: f"{counted(v, 'day', 'days')} from the opening to the first session offered" if round(v)
            else "The first session was offered for the day of the opening",
            "No session was booked or held yet"),
    Feature("hour_offered", "context", "hour of the day", lambda c, now: _hour(c.first_start),
            lambda v: f"The first session was offered for {_clock(v)}", "No session was booked or held yet"),
    Feature("hour_next", "context", "hour of the day", lambda c, now: _hour(c.visits.next_session(now)),
            lambda v: f"The next session starts at {_clock(v)}", "No further session is booked"),
    Feature("weekday_next", "context", "day of the week", _weekday,
            lambda v: f"The next session is on a {_WEEKDAYS[round(v)]}", "No further session is booked"),
    Feature("remote", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality in REMOTE),
            says("Sessions take place at a distance", "Sessions take place in person"), "The format is not known"),
    Feature("group", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality == "group"),
            says("Sessions take place in a group", "Sessions are individual"), "The format is not known"),
    Feature("returns", "context", "returns", lambda c, now: float(max(len(c.standing.spells) - 1, 0)),
            lambda v: f"{counted(v, 'return', 'returns')} after an earlier stop", ""),
    Feature("season_sin", "context", "-1 to 1", _year(sin), lambda v: "Time of year", ""),
    Feature("season_cos", "context", "-1 to 1", _year(cos), lambda v: "Time of year", ""),
)  # fmt: skip
