"""What decisions about alerts rest on besides the risk, read from a course at a moment."""

from __future__ import annotations

from typing import Final, NamedTuple

from keepwell.care.alliance import Rupture
from keepwell.care.concerns import Concern
from keepwell.care.course import Course
from keepwell.care.endings import DAY, WINDOW
from keepwell.care.moments import UNBOOKED_AFTER, deciding
from keepwell.scoring.features.feature import RECENT_DAYS

GOOD_SESSIONS: Final = 6
"""Sessions from which doing well is worth a talk about ending; ours."""
STALLED_SESSIONS: Final = 12
"""Sessions after which a course that stands about where it began is worth a talk; ours."""
LAST_SESSIONS: Final = 2
"""So many planned sessions before the last, an ending is worth planning; ours."""
STALLED_GAIN: Final = 0.25
"""A gain below this (in reliable changes) by then is none; ours."""
LONG_DAYS: Final = 21
"""Days of absence from which on a stop is near: one is declared after 30 (CONTRACT section 3); ours."""
LAST_CALL: Final = WINDOW - LONG_DAYS * DAY
"""The same in µs before a stop is declared: that counts from the last session, and a visit may be called off long after."""


class Signals(NamedTuple):
    """Times in µs; None where there is no such thing."""

    deciding: bool = False
    """Whether it is a moment at which somebody decides (`keepwell.care.moments`); before the first session only once one is
    booked, as an opening alone says nothing of who comes."""
    absent_since: int | None = None
    """When a visit was lost with none attended or booked since, or, where nothing is booked, the last session."""
    voiced_at: int | None = None
    """When the newest open matter came up that is told at once: voiced, reported, a great fall, a break by the clinic."""
    strained_at: int | None = None
    """When the newest open fall of ratings came up that is told where the risk is raised too."""
    skipping_since: int | None = None
    """When questionnaires began to be left out one after the other; told where the risk is raised too."""
    mended: bool = False
    """Of matters, none of which is open: whether the one that closed last was repaired or answered."""
    wished_at: int | None = None
    """When a change was last wished for that is neither met nor answered."""
    met: bool = False
    """Whether a change was wished for and every wish was met or answered; one that lapsed was not."""
    due: bool = False
    """Whether the course is one to talk about ending or another way: doing well, or standing where it began."""
    planned: bool = False
    """Whether the planned number of sessions is about to be reached by somebody who does well."""
    last_call: bool = False
    """Whether somebody is absent, and a stop will soon be declared if nothing else happens."""


def signals_of(course: Course, now: int) -> Signals:
    """The signals of a course at a moment not before its newest entry."""
    rupture, concern = course.alliance.open, course.concerns.newest
    told = rupture is not None and rupture.plain
    heard = [one.opened_at for one in (rupture if told else None, concern) if one is not None]
    wish = max(course.wishes.values(), default=None)
    if wish is not None and now - wish > RECENT_DAYS * DAY:
        wish = None
    absent = absent_since(course, now)
    return Signals(
        deciding(course, now) and (course.sessions > 0 or course.visits.pending_at(now)),
        absent,
        max(heard, default=None),
        rupture.opened_at if rupture is not None and not told else None,
        course.skipping_since,
        _mended(course),
        wish,
        course.wished and not course.wishes,
        doing_well(course) or stalled(course),
        doing_well(course) and _ends_soon(course),
        absent is not None and _stop_is_near(course, absent, now),
    )


def matters_of(course: Course) -> tuple[int, ...]:
    """When each open matter that is told at once was voiced (µs), wishes among them; each moment once, in order."""
    if not course.wishes and not course.concerns.open and course.alliance.open is None:
        return ()
    rupture = course.alliance.open
    found = {one.opened_at for one in course.concerns.open.values()} | set(course.wishes.values())
    if rupture is not None and rupture.plain:
        found.add(rupture.opened_at)
    return tuple(sorted(found))


def absent_since(course: Course, now: int) -> int | None:
    """When an absence began; None of somebody who comes, or is to come."""
    if course.lost_at is not None:
        return course.lost_at
    if course.kept_at is not None:
        return course.kept_at
    began = course.last_session if course.last_session is not None else course.first_at
    if began is not None and now - began > UNBOOKED_AFTER and not course.visits.pending_at(now):
        return began
    return None


def newest_matter(course: Course) -> Rupture | Concern | None:
    """The open matter that came up last, of those that are told at once before the others."""
    rupture, concern = course.alliance.open, course.concerns.newest
    if rupture is None or concern is None:
        return rupture if concern is None else concern
    if rupture.plain and rupture.opened_at > concern.opened_at:
        return rupture
    return concern


def doing_well(course: Course) -> bool:
    """Whether the client is reliably better than at the start and past the cut-off, as the last two measures say."""
    progress = course.outcome
    if progress is None or progress.previous is None or course.sessions < GOOD_SESSIONS:
        return False
    instrument = progress.instrument
    return all(
        instrument.gain(progress.first, score) >= instrument.reliable_change and instrument.past_cutoff(score)
        for score in (progress.previous, progress.last)
    )


def stalled(course: Course) -> bool:
    """Whether a longer course stands about where it began."""
    gain = gain_of(course)
    return gain is not None and course.sessions >= STALLED_SESSIONS and gain < STALLED_GAIN


def gain_of(course: Course) -> float | None:
    """How much better the client is than at the start, in reliable changes; None where that was not measured twice."""
    progress = course.outcome
    if progress is None or progress.count < 2:
        return None
    return progress.instrument.gain(progress.first, progress.last) / progress.instrument.reliable_change


def _stop_is_near(course: Course, absent: int, now: int) -> bool:
    declared = course.standing.declared
    return now - absent >= LONG_DAYS * DAY or (declared is not None and declared - now <= LAST_CALL)


def _ends_soon(course: Course) -> bool:
    planned = course.opening.planned if course.opening is not None else None
    return planned is not None and course.sessions >= planned - LAST_SESSIONS


def _mended(course: Course) -> bool:
    rupture = course.alliance.ruptures[-1] if course.alliance.ruptures else None
    concern = course.concerns.last
    closed = rupture.closed_at if rupture is not None else None
    if concern is not None and concern.closed_at is not None and (closed is None or concern.closed_at >= closed):
        return concern.closed != "passed"
    return rupture is not None and rupture.repaired
