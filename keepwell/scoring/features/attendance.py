"""Features of attendance: visits missed, cancelled, moved and booked, and the rhythm of sessions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from keepwell.care.course import LATELY, Course
from keepwell.care.endings import DAY
from keepwell.scoring.features.feature import (
    Feature,
    Read,
    Value,
    about,
    ago,
    ahead,
    counted,
    of,
    says,
    share,
    since,
    times,
)


def _gap_in_rhythm(c: Course, now: int) -> Value:
    return None if c.last_session is None else (now - c.last_session) / DAY / max(c.rhythm, 1.0)


def _stretch(c: Course, now: int) -> Value:
    return c.stretch


def _until_next(c: Course, now: int) -> Value:
    starts = c.visits.next_session(now)
    return None if starts is None else (starts - now) / DAY


def _since_kept(c: Course, now: int) -> Value:
    return None if c.kept_at is None or c.visits.next_session(now) is None else since(c.kept_at, now)


def _since_unbooked(c: Course, now: int) -> Value:
    return None if c.lost_at is not None or c.visits.next_session(now) is not None else since(c.last_session, now)


def _usually_booked(c: Course, now: int) -> Value:
    if c.booked_ahead.count < 2 or c.lost_at is not None or c.visits.next_session(now) is not None:
        return None
    return c.booked_ahead.usual


def _unrecorded(c: Course, now: int) -> Value:
    return float(c.visits.unrecorded_at(now))


def _last_late(c: Course, now: int) -> Value:
    return c.lateness.last if c.lateness.count else None


def _later_than_usual(c: Course, now: int) -> Value:
    return None if c.lateness.count < 2 else c.lateness.last - c.lateness.usual


def _shorter_than_usual(c: Course, now: int) -> Value:
    return None if c.duration.count < 2 else c.duration.usual - c.duration.last


def _until_first(c: Course, now: int) -> Value:
    return None if c.sessions else _until_next(c, now)


def _waited(c: Course, now: int) -> Value:
    if c.sessions or c.first_at is None:
        return None
    return (now - c.first_at) / DAY


def _kept(c: Course, now: int) -> Value:
    return share(c.attended, c.attended + c.missed + c.client_cancelled)


def _next_in_rhythm(c: Course, now: int) -> Value:
    starts = c.visits.next_session(now)
    return None if starts is None or c.sessions < 2 else (starts - now) / DAY / max(c.rhythm, 1.0)


def _rhythm_spread(c: Course, now: int) -> Value:
    return None if c.rhythms.count < 2 else c.rhythms.deviation / max(c.rhythms.mean, 1.0)


def _lately(c: Course, now: int) -> Value:
    """Sessions a week in the last eight weeks, or since the beginning where that is shorter, but of one week at least."""
    if c.sessions == 0 or c.first_at is None:
        return None
    count = len(c.lately) - bisect_right(c.lately, now - LATELY)
    return count / (max(7 * DAY, min(now - c.first_at, LATELY)) / (7 * DAY))


def _lately_words(v: float) -> str:
    count = round(v, 1)
    return f"About {count:g} {'session' if count == 1 else 'sessions'} a week lately" if count else "No session lately"


def _early_words(v: float) -> str:
    if not round(v):
        return "The last visit took place on its day"
    return f"The last visit took place {counted(abs(v), 'day', 'days')} {'before' if v > 0 else 'after'} its day"


def _flag(test: Callable[[Course], bool]) -> Read:
    return lambda c, now: float(test(c))


def _later_words(v: float) -> str:
    if abs(v) < 1:
        return "Came at the usual time"
    return f"Came {counted(abs(v), 'minute', 'minutes')} {'later' if v > 0 else 'earlier'} than usual"


UNEVEN: Final = 0.35
"""Spread of the intervals, in terms of the usual one, from which they are uneven; ours."""

ATTENDANCE: Final[Sequence[Feature]] = (
    Feature("missed", "attendance", "visits", lambda c, now: float(c.missed),
            lambda v: f"{counted(v, 'visit', 'visits')} missed so far", "", "missed"),
    Feature("missed_share", "attendance", "share", lambda c, now: share(c.missed, c.missed + c.attended),
            lambda v: f"{v:.0%} of the visits so far were missed", "Fewer than two visits have come due", "missed",
            lambda c: f"{of(c.missed, c.missed + c.attended, 'visits')} missed so far"),
    Feature("kept_share", "attendance", "share", _kept,
            lambda v: f"{v:.0%} of the visits so far were kept", "Fewer than two visits have come due", "attended",
            lambda c: f"{of(c.attended, c.attended + c.missed + c.client_cancelled, 'visits')} kept so far"),
    Feature("lost_in_a_row", "attendance", "visits", lambda c, now: float(c.lost_in_a_row),
            lambda v: f"{counted(v, 'visit', 'visits')} missed or cancelled since the last one attended" if round(v)
            else "No visit missed or cancelled since the last one attended",
            "", "missed"),
    Feature("last_visit_missed", "attendance", "0/1", _flag(lambda c: c.last_lost == "missed"),
            says("The last visit was missed", "The last visit was not missed"), "", "missed"),
    Feature("last_visit_cancelled_late", "attendance", "0/1", _flag(lambda c: c.last_lost == "late_cancelled"),
            says("The last visit was cancelled within a day of its start", "The last visit was not cancelled late"),
            "", "missed"),
    Feature("late_cancelled", "attendance", "visits", lambda c, now: float(c.late_cancelled),
            lambda v: f"{counted(v, 'visit', 'visits')} cancelled within a day of the start", "", "missed"),
    Feature("client_cancelled", "attendance", "visits", lambda c, now: float(c.client_cancelled),
            lambda v: f"{counted(v, 'visit', 'visits')} cancelled by the client", "", "missed"),
    Feature("cancel_notice", "attendance", "hours", lambda c, now: c.last_notice,
            lambda v: f"The last cancellation came {counted(v, 'hour', 'hours')} before the visit",
            "The client has cancelled nothing", "missed"),
    Feature("excused_share", "attendance", "share", lambda c, now: share(c.excused, c.missed),
            lambda v: f"A reason was given for {v:.0%} of the missed visits", "Fewer than two visits were missed",
            "missed",
            lambda c: f"A reason was given for {of(c.excused, c.missed, 'missed visits')}"),
    Feature("client_moves", "attendance", "visits", lambda c, now: float(c.client_moves),
            lambda v: f"{counted(v, 'visit', 'visits')} moved by the client", "", "moved"),
    Feature("last_push", "attendance", "days", lambda c, now: c.last_push,
            lambda v: f"The visit moved last was set for {counted(abs(v), 'day', 'days')} "
            f"{'after' if v >= 0 else 'before'} the move", "No visit was moved", "moved"),
    Feature("awaiting_rebooking", "attendance", "days", lambda c, now: since(c.lost_at, now),
            lambda v: f"A visit was missed or cancelled {ago(v)}, and nothing has been booked since",
            "No visit waits to be booked again", "missed"),
    Feature("awaiting_kept_visit", "attendance", "days", _since_kept,
            lambda v: f"A visit was missed or cancelled {ago(v)}; the next one had been booked before",
            "No visit waits to be booked again", "missed"),
    Feature("rebooking_delay", "attendance", "days", lambda c, now: c.rebooking,
            lambda v: f"The last time it took {counted(v, 'day', 'days')} to book again" if round(v)
            else "The last time a new visit was booked the same day", "No visit was booked again after one was missed",
            "missed"),
    Feature("days_since_session", "attendance", "days", lambda c, now: since(c.last_session, now),
            lambda v: f"The last session was {ago(v)}", "No session yet", "attended"),
    Feature("rhythm", "attendance", "days", lambda c, now: c.rhythm if c.sessions > 1 else None,
            lambda v: f"About {counted(max(v, 1), 'day', 'days')} between sessions", "Fewer than two sessions",
            "attended"),
    Feature("gap_in_rhythm", "attendance", "times the usual interval", _gap_in_rhythm,
            lambda v: f"The last session is {times(v, 'long ago')} is usual for this person", "No session yet",
            "attended"),
    Feature("interval_stretch", "attendance", "times the usual interval", _stretch,
            lambda v: f"The last two sessions were {times(v, 'far apart')} is usual for this person",
            "Fewer than two sessions", "attended"),
    Feature("rhythm_spread", "attendance", "times the usual interval", _rhythm_spread,
            lambda v: "Sessions come at uneven intervals" if v >= UNEVEN else "Sessions come at even intervals",
            "Fewer than three sessions", "attended"),
    Feature("weekday_changes", "attendance", "share", lambda c, now: share(c.weekday_changes, c.rhythms.count),
            lambda v: f"{v:.0%} of sessions took place on another day of the week than the one before",
            "Fewer than three sessions", "attended",
            lambda c: f"{of(c.weekday_changes, c.rhythms.count, 'sessions')} on another day of the week than before"),
    Feature("moved_share", "attendance", "share", lambda c, now: share(c.displaced, c.placed),
            lambda v: f"{v:.0%} of sessions took place on another day than first booked",
            "Fewer than two sessions of which the booking is known", "attended",
            lambda c: f"{of(c.displaced, c.placed, 'sessions')} took place on another day than first booked"),
    Feature("sessions_lately", "attendance", "sessions a week", _lately, _lately_words, "No session yet", "attended"),
    Feature("early", "attendance", "days", lambda c, now: c.early.last if c.early.count else None,
            _early_words, "No visit of an appointment yet", "attended"),
    Feature("early_usually", "attendance", "days", lambda c, now: c.early.mean if c.early.count else None,
            lambda v: f"Visits take place {counted(abs(v), 'day', 'days')} {'early' if v > 0 else 'late'} on average"
            if round(v) else "Visits take place on their day", "No visit of an appointment yet", "attended"),
    Feature("minutes_late", "attendance", "minutes", _last_late,
            lambda v: f"Came {counted(v, 'minute', 'minutes')} after the start" if v >= 1 else "Came on time",
            "No arrival time recorded",
            "attended"),
    Feature("later_than_usual", "attendance", "minutes", _later_than_usual,
            _later_words,
            "Fewer than two arrival times", "attended"),
    Feature("shorter_than_usual", "attendance", "minutes", _shorter_than_usual,
            lambda v: f"The last session was {counted(abs(v), 'minute', 'minutes')} {'shorter' if v > 0 else 'longer'} than "
            "usual" if abs(v) >= 1 else "The last session was as long as usual", "Fewer than two durations", "attended"),
    Feature("nothing_booked", "attendance", "0/1", lambda c, now: float(c.visits.next_session(now) is None),
            says("No further session is booked", "A further session is booked"), ""),
    Feature("awaiting_booking", "attendance", "days", _since_unbooked,
            lambda v: f"The last session was {ago(v)}, and nothing has been booked since",
            "A further session is booked, or a visit waits to be booked again", "attended"),
    Feature("usually_booked", "attendance", "share", _usually_booked,
            lambda v: f"Nothing is booked yet; so far the next one was booked at once after {about(v)} of the sessions",
            "A further session is booked, a visit waits to be booked again, or there was one session only", "attended"),
    Feature("days_to_next_visit", "attendance", "days", _until_next,
            lambda v: f"The next session is {ahead(v)}", "No further session is booked"),
    Feature("next_in_rhythm", "attendance", "times the usual interval", _next_in_rhythm,
            lambda v: f"The next session is {times(v, 'far off')} is usual for this person",
            "No further session is booked, or there were fewer than two"),
    Feature("booked_ahead", "attendance", "sessions", lambda c, now: float(c.visits.booked_after(now)),
            lambda v: f"{counted(v, 'session', 'sessions')} booked ahead", ""),
    Feature("days_to_first_visit", "attendance", "days", _until_first,
            lambda v: f"The first session is {ahead(v)}", "No first session lies ahead"),
    Feature("unrecorded", "attendance", "visits", _unrecorded,
            lambda v: f"{counted(v, 'visit has', 'visits have')} no record of having taken place", ""),
    Feature("waiting", "attendance", "days", _waited,
            lambda v: f"{counted(v, 'day', 'days')} since the opening without a first session" if round(v)
            else "Opened today, without a first session yet", "The first session has taken place"),
)  # fmt: skip
