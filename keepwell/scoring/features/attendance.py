"""Features of attendance: visits missed, cancelled, moved and booked, and the rhythm of sessions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from keepwell.care.course import LATELY, Course
from keepwell.care.endings import DAY
from keepwell.contract.say import Said, counted, said
from keepwell.scoring.features.feature import (
    Feature,
    Read,
    Value,
    ago,
    ahead,
    mostly,
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


def _lately_words(v: float) -> Said:
    if round(v, 1) == 0:
        return said("No session lately")
    if round(v, 1) == 1:
        return said("About 1 session a week lately")
    return said("About {count} sessions a week lately", count=float(v))


def _early_words(v: float) -> Said:
    if v > 0:
        return counted(
            v, "The last visit took place {count} day earlier than booked",
            "The last visit took place {count} days earlier than booked",
            _ON_ITS_DAY,
        )  # fmt: skip
    return counted(
        -v, "The last visit took place {count} day later than booked",
            "The last visit took place {count} days later than booked",
        _ON_ITS_DAY,
    )  # fmt: skip


def _usually_early_words(v: float) -> Said:
    if v > 0:
        return counted(
            v, "On average visits take place {count} day earlier than booked",
            "On average visits take place {count} days earlier than booked",
            _ON_THEIR_DAY,
        )  # fmt: skip
    return counted(
        -v, "On average visits take place {count} day later than booked",
            "On average visits take place {count} days later than booked",
        _ON_THEIR_DAY,
    )  # fmt: skip


def _push_words(v: float) -> Said:
    if v >= 0:
        return counted(
            v, "When a visit was last moved, the new one was {count} day ahead",
            "When a visit was last moved, the new one was {count} days ahead",
            said("When a visit was last moved, the new one was on the same day"),
        )  # fmt: skip
    return said("When a visit was last moved, the new one had passed already")


def _flag(test: Callable[[Course], bool]) -> Read:
    return lambda c, now: float(test(c))


def _later_words(v: float) -> Said:
    if v > 0:
        return counted(
            v, "Came {count} minute later than usual", "Came {count} minutes later than usual", _AT_THE_USUAL_TIME
        )
    return counted(
        -v, "Came {count} minute earlier than usual", "Came {count} minutes earlier than usual", _AT_THE_USUAL_TIME
    )


def _shorter_words(v: float) -> Said:
    if v > 0:
        return counted(
            v, "The last session was {count} minute shorter than usual",
            "The last session was {count} minutes shorter than usual", _AS_LONG,
        )  # fmt: skip
    return counted(
        -v, "The last session was {count} minute longer than usual",
        "The last session was {count} minutes longer than usual", _AS_LONG,
    )  # fmt: skip


def _usually_booked_words(v: float) -> Said:
    if v < 0.25:
        return said("Nothing is booked yet, as after most sessions so far")
    if v < 0.75:
        return said("Nothing is booked yet; so far the next session was booked at once about half of the time")
    return said("Nothing is booked yet; so far the next session was usually booked at once")


_ON_ITS_DAY: Final = said("The last visit took place on the day it was booked for")
_ON_THEIR_DAY: Final = said("Visits take place on the day they were booked for")
_AT_THE_USUAL_TIME: Final = said("Came at the usual time")
_AS_LONG: Final = said("The last session was as long as usual")
_FEW_DUE: Final = said("Fewer than two visits have come due")
_NONE_WAITS: Final = said("No visit waits to be booked again")
_NO_SESSION: Final = said("No session yet")
_FEW_SESSIONS: Final = said("Fewer than two sessions")
_FEWER_THAN_THREE: Final = said("Fewer than three sessions")
_NOTHING_BOOKED: Final = said("No further session is booked")
UNEVEN: Final = 0.35
"""Spread of the intervals, in terms of the usual one, from which they are uneven; ours."""

ATTENDANCE: Final[Sequence[Feature]] = (
    Feature("missed", "attendance", "visits", lambda c, now: float(c.missed),
            lambda v: counted(v, "{count} visit missed so far", "{count} visits missed so far",
                              said("No visit missed so far")), None, "missed", lasting=True),
    Feature("missed_share", "attendance", "share", lambda c, now: share(c.missed, c.missed + c.attended),
            mostly(said("Less than half of the visits so far were missed"),
                   said("Half of the visits so far or more were missed")), _FEW_DUE, "missed",
            lambda c: of(c.missed, c.missed + c.attended, said("{part} of {whole} visits missed so far"),
                         said("None of {whole} visits missed so far")), lasting=True),
    Feature("kept_share", "attendance", "share", _kept,
            mostly(said("Less than half of the visits so far were kept"),
                   said("Half of the visits so far or more were kept")), _FEW_DUE, "attended",
            lambda c: of(c.attended, c.attended + c.missed + c.client_cancelled,
                         said("{part} of {whole} visits kept so far"), said("None of {whole} visits kept so far")),
            lasting=True),
    Feature("lost_in_a_row", "attendance", "visits", lambda c, now: float(c.lost_in_a_row),
            lambda v: counted(v, "{count} visit missed or cancelled since the last one attended",
                              "{count} visits missed or cancelled since the last one attended",
                              said("No visit missed or cancelled since the last one attended")), None, "missed"),
    Feature("last_visit_missed", "attendance", "0/1", _flag(lambda c: c.last_lost == "missed"),
            says(said("The last visit was missed"), said("The last visit was not missed")), None, "missed"),
    Feature("last_visit_cancelled_late", "attendance", "0/1", _flag(lambda c: c.last_lost == "late_cancelled"),
            says(said("The last visit was cancelled within a day of its start"),
                 said("The last visit was not cancelled late")), None, "missed"),
    Feature("late_cancelled", "attendance", "visits", lambda c, now: float(c.late_cancelled),
            lambda v: counted(v, "{count} visit cancelled within a day of the start so far",
                              "{count} visits cancelled within a day of the start so far",
                              said("No visit cancelled within a day of the start so far")), None, "missed", lasting=True),
    Feature("client_cancelled", "attendance", "visits", lambda c, now: float(c.client_cancelled),
            lambda v: counted(v, "{count} visit cancelled by the client so far",
                              "{count} visits cancelled by the client so far",
                              said("No visit cancelled by the client so far")), None, "missed", lasting=True),
    Feature("cancel_notice", "attendance", "hours", lambda c, now: c.last_notice,
            lambda v: counted(v, "The last cancellation came {count} hour before the visit",
                              "The last cancellation came {count} hours before the visit",
                              said("The last cancellation came within the hour before the visit")),
            said("The client has cancelled nothing"), "missed"),
    Feature("excused_share", "attendance", "share", lambda c, now: share(c.excused, c.missed),
            mostly(said("A reason was given for less than half of the missed visits"),
                   said("A reason was given for half of the missed visits or more")),
            said("Fewer than two visits were missed"), "missed",
            lambda c: of(c.excused, c.missed, said("A reason was given for {part} of {whole} missed visits"),
                         said("A reason was given for none of {whole} missed visits")), lasting=True),
    Feature("client_moves", "attendance", "visits", lambda c, now: float(c.client_moves),
            lambda v: counted(v, "{count} visit moved by the client so far", "{count} visits moved by the client so far",
                              said("No visit moved by the client so far")), None, "moved", lasting=True),
    Feature("last_push", "attendance", "days", lambda c, now: c.last_push, _push_words, said("No visit was moved"),
            "moved"),
    Feature("awaiting_rebooking", "attendance", "days", lambda c, now: since(c.lost_at, now),
            lambda v: said("A visit was missed or cancelled {ago}, and nothing has been booked since", ago=ago(v)),
            _NONE_WAITS, "missed"),
    Feature("awaiting_kept_visit", "attendance", "days", _since_kept,
            lambda v: said("A visit was missed or cancelled {ago}; the next one had been booked before", ago=ago(v)),
            _NONE_WAITS, "missed"),
    Feature("rebooking_delay", "attendance", "days", lambda c, now: c.rebooking,
            lambda v: counted(v, "The last time it took {count} day to book again",
                              "The last time it took {count} days to book again",
                              said("The last time a new visit was booked the same day")),
            said("No visit was booked again after one was missed"), "missed", lasting=True),
    Feature("days_since_session", "attendance", "days", lambda c, now: since(c.last_session, now),
            lambda v: said("The last session was {ago}", ago=ago(v)), _NO_SESSION, "attended"),
    Feature("rhythm", "attendance", "days", lambda c, now: c.rhythm if c.sessions > 1 else None,
            lambda v: counted(max(v, 1), "About {count} day between sessions", "About {count} days between sessions"),
            _FEW_SESSIONS, "attended", lasting=True),
    Feature("gap_in_rhythm", "attendance", "times the usual interval", _gap_in_rhythm,
            lambda v: times(v, said("Less time has passed since the last session than usually lies between two"),
                            said("About as much time has passed since the last session as usually lies between two"),
                            said("{times} times as much time has passed since the last session as usually lies between two")),
            _NO_SESSION, "attended"),
    Feature("interval_stretch", "attendance", "times the usual interval", _stretch,
            lambda v: times(v, said("The last two sessions were closer together than usual"),
                            said("The last two sessions were about as far apart as usual"),
                            said("The last two sessions were {times} times as far apart as usual")),
            _FEW_SESSIONS, "attended"),
    Feature("rhythm_spread", "attendance", "times the usual interval", _rhythm_spread,
            lambda v: said("Sessions come at uneven intervals") if v >= UNEVEN else said("Sessions come at even intervals"),
            _FEWER_THAN_THREE, "attended", lasting=True),
    Feature("weekday_changes", "attendance", "share", lambda c, now: share(c.weekday_changes, c.rhythms.count),
            mostly(said("Sessions keep to one day of the week more often than not"),
                   said("Sessions change their day of the week about as often as not, or more")),
            _FEWER_THAN_THREE, "attended",
            lambda c: of(c.weekday_changes, c.rhythms.count,
                         said("{part} of {whole} sessions on another day of the week than the one before"),
                         said("Sessions have always been on the same day of the week")), lasting=True),
    Feature("moved_share", "attendance", "share", lambda c, now: share(c.displaced, c.placed),
            mostly(said("Less than half of the sessions took place on another day than first booked"),
                   said("Half of the sessions or more took place on another day than first booked")),
            said("Fewer than two sessions of which the booking is known"), "attended",
            lambda c: of(c.displaced, c.placed,
                         said("{part} of {whole} sessions took place on another day than first booked"),
                         said("Every session took place on the day it was first booked for")), lasting=True),
    Feature("sessions_lately", "attendance", "sessions a week", _lately, _lately_words, _NO_SESSION, "attended"),
    Feature("early", "attendance", "days", lambda c, now: c.early.last if c.early.count else None,
            _early_words, said("No visit with a booking yet"), "attended"),
    Feature("early_usually", "attendance", "days", lambda c, now: c.early.mean if c.early.count else None,
            _usually_early_words, said("No visit with a booking yet"), "attended", lasting=True),
    Feature("minutes_late", "attendance", "minutes", _last_late,
            lambda v: counted(max(v, 0), "Came {count} minute after the start", "Came {count} minutes after the start",
                              said("Came on time")), said("No arrival time recorded"), "attended"),
    Feature("later_than_usual", "attendance", "minutes", _later_than_usual, _later_words,
            said("Fewer than two arrival times"), "attended"),
    Feature("shorter_than_usual", "attendance", "minutes", _shorter_than_usual, _shorter_words,
            said("Fewer than two sessions of which the length is known"), "attended"),
    Feature("nothing_booked", "attendance", "0/1", lambda c, now: float(c.visits.next_session(now) is None),
            says(_NOTHING_BOOKED, said("A further session is booked")), None),
    Feature("awaiting_booking", "attendance", "days", _since_unbooked,
            lambda v: said("The last session was {ago}, and nothing has been booked since", ago=ago(v)),
            said("A further session is booked, or a visit waits to be booked again"), "attended"),
    Feature("usually_booked", "attendance", "share", _usually_booked, _usually_booked_words,
            said("A further session is booked, a visit waits to be booked again, or there was one session only"), "attended"),
    Feature("days_to_next_visit", "attendance", "days", _until_next,
            lambda v: said("The next session is {ahead}", ahead=ahead(v)), _NOTHING_BOOKED),
    Feature("next_in_rhythm", "attendance", "times the usual interval", _next_in_rhythm,
            lambda v: times(v, said("The next session comes sooner than usual"),
                            said("The next session comes at about the usual time"),
                            said("The next session is {times} times as far off as usual")),
            said("No further session is booked, or there were fewer than two")),
    Feature("booked_ahead", "attendance", "sessions", lambda c, now: float(c.visits.booked_after(now)),
            lambda v: counted(v, "{count} session booked ahead", "{count} sessions booked ahead",
                              said("No session booked ahead")), None),
    Feature("days_to_first_visit", "attendance", "days", _until_first,
            lambda v: said("The first session is {ahead}", ahead=ahead(v)), said("No first session lies ahead")),
    Feature("unrecorded", "attendance", "visits", _unrecorded,
            lambda v: counted(v, "It is not known whether {count} visit took place",
                              "It is not known whether {count} visits took place",
                              said("Of every visit it is known whether it took place")), None, lasting=True),
    Feature("waiting", "attendance", "days", _waited,
            lambda v: counted(v, "{count} day since the opening without a first session",
                              "{count} days since the opening without a first session",
                              said("Opened today, without a first session yet")),
            said("The first session has taken place")),
)  # fmt: skip
