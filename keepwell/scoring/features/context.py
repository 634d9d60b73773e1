"""Features of context: the course so far, the plan, the referral, the format, the season."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, pi, sin
from typing import Final

from keepwell.care.course import HOUR, Course
from keepwell.care.endings import DAY
from keepwell.care.moments import STAGES, stage
from keepwell.contract.say import Said, counted, said
from keepwell.scoring.features.feature import NOTHING, Feature, Read, Value, mostly, says

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
_WEEKDAYS: Final = (
    said("Monday"), said("Tuesday"), said("Wednesday"), said("Thursday"), said("Friday"), said("Saturday"),
    said("Sunday"),
)  # fmt: skip
_STAGES: Final[Mapping[str, Said]] = {
    "before": said("Before the first session"),
    "lost_before": said("A visit was missed or cancelled before the first session"),
    "session_1": said("After the first session"),
    "session_2": said("After the second session"),
    "session_3_5": said("After the third, fourth or fifth session"),
    "session_6": said("After six sessions or more"),
    "lost": said("A visit was missed or cancelled since the last session"),
    "unbooked": said("No visit is booked since the last session"),
}
_NOT_PLANNED: Final = said("The number of sessions was not planned")
_NO_FIRST: Final = said("No session was booked or held yet")
_NO_FURTHER: Final = said("No further session is booked")
_NO_REFERRAL: Final = said("It is not known who referred the client")
_NO_FORMAT: Final = said("It is not known how sessions take place")
_NONE_LEFT: Final = said("No planned session is left")
_SEASON: Final = said("The time of year")


def _plan_words(v: float) -> Said:
    if v < 0:
        return counted(-v, "{count} session more than planned", "{count} sessions more than planned", _NONE_LEFT)
    return counted(v, "{count} planned session is left", "{count} planned sessions are left", _NONE_LEFT)


CONTEXT: Final[Sequence[Feature]] = (
    Feature("stage", "context", "stage", lambda c, now: float(stage(c, now)), lambda v: _STAGES[STAGES[round(v)]], None),
    Feature("sessions", "context", "sessions", lambda c, now: float(c.sessions),
            lambda v: counted(v, "{count} session so far", "{count} sessions so far", said("No session yet")), None,
            "attended"),
    Feature("weeks", "context", "weeks", lambda c, now: None if c.first_at is None else (now - c.first_at) / DAY / 7,
            lambda v: counted(v, "In care for {count} week", "In care for {count} weeks",
                              said("In care for less than a week")), NOTHING),
    Feature("plan_done", "context", "share", _plan_done,
            mostly(said("Less than half of the planned sessions have taken place"),
                   said("Half of the planned sessions or more have taken place")), _NOT_PLANNED, None,
            lambda c: None if c.opening is None or c.opening.planned is None else said(
                "Sessions so far: {count}, planned: {planned}", count=c.sessions, planned=c.opening.planned)),
    Feature("plan_left", "context", "sessions", _plan_left, _plan_words, _NOT_PLANNED),
    Feature("previous_episodes", "context", "episodes", _of_opening(
            lambda c: None if c.opening is None or c.opening.previous is None else float(c.opening.previous)),
            lambda v: counted(v, "In care here {count} time before", "In care here {count} times before",
                              said("In care here for the first time")),
            said("It is not known whether the client was in care here before")),
    Feature("preference_met", "context", "0/1", _of_opening(
            lambda c: None if c.opening is None or c.opening.preference_met is None else float(c.opening.preference_met)),
            says(said("The client was offered the help they preferred"),
                 said("The client was not offered the help they preferred")),
            said("It is not known what help the client would prefer")),
    Feature("mandated", "context", "0/1", _of_opening(
            lambda c: None if c.opening is None or c.opening.referral is None else float(c.opening.referral in MANDATED)),
            says(said("Referred by a court or an employer"), said("Not referred by a court or an employer")), _NO_REFERRAL),
    Feature("referred_self", "context", "0/1", _referred("self"),
            says(said("Came without a referral"), said("Came with a referral")), _NO_REFERRAL),
    Feature("referred_primary_care", "context", "0/1", _referred("primary_care"),
            says(said("Referred by primary care"), said("Not referred by primary care")), _NO_REFERRAL),
    Feature("referred_specialist", "context", "0/1", _referred("specialist"),
            says(said("Referred by a specialist"), said("Not referred by a specialist")), _NO_REFERRAL),
    Feature("days_waited", "context", "days", _offered,
            lambda v: counted(v, "{count} day from the opening to the first session offered",
                              "{count} days from the opening to the first session offered",
                              said("The first session was offered for the day of the opening")), _NO_FIRST),
    Feature("hour_offered", "context", "hour of the day", lambda c, now: _hour(c.first_start),
            lambda v: said("The first session was offered for {time}", time=_clock(v)), _NO_FIRST),
    Feature("hour_next", "context", "hour of the day", lambda c, now: _hour(c.visits.next_session(now)),
            lambda v: said("The next session starts at {time}", time=_clock(v)), _NO_FURTHER),
    Feature("weekday_next", "context", "day of the week", _weekday,
            lambda v: said("The next session is on a {weekday}", weekday=_WEEKDAYS[round(v)]), _NO_FURTHER),
    Feature("remote", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality in REMOTE),
            says(said("Sessions take place at a distance"), said("Sessions take place in person")), _NO_FORMAT),
    Feature("group", "context", "0/1", lambda c, now: None if c.modality is None else float(c.modality == "group"),
            says(said("Sessions take place in a group"), said("Sessions are one to one")), _NO_FORMAT),
    Feature("returns", "context", "returns", lambda c, now: float(max(len(c.standing.spells) - 1, 0)),
            lambda v: counted(v, "Came back once after a long break", "Came back {count} times after a long break",
                              said("No long break so far")), None),
    Feature("season_sin", "context", "-1 to 1", _year(sin), lambda v: _SEASON, None),
    Feature("season_cos", "context", "-1 to 1", _year(cos), lambda v: _SEASON, None),
)  # fmt: skip
