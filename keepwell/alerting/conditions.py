"""What is true of a course at a moment, in the words by which the playbook says when an entry fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from keepwell.alerting.signals import absent_since, stalled
from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.scoring.features.feature import recent

Condition = Literal[
    "absent", "before_first", "booked", "cancelled", "clinic_break", "clinician_changed", "complaint", "confrontation",
    "fallen", "first_sessions", "homework", "homework_less", "later", "measured", "missed", "perfect", "rated", "remote",
    "repeated", "skipped", "stalled", "unanswered", "voiced", "waited", "wishes_change",
    "wishes_clinician", "withdrawal",
]  # fmt: skip

SAYS: Final[Mapping[Condition, str]] = {
    "absent": "a visit was missed or cancelled and none is booked since, or nothing is booked",
    "before_first": "there was no session yet",
    "booked": "a session is booked",
    "cancelled": "the last visit was cancelled by the client",
    "clinic_break": "the clinic cancelled two visits in a row, moved one twice, or changed the clinician for absence",
    "clinician_changed": "the clinician changed in the last two months",
    "complaint": "the client complained, and that is open",
    "confrontation": "a strain is open in which the client says what is wrong",
    "fallen": "a fall of the alliance ratings is open",
    "first_sessions": "there were one to three sessions",
    "homework": "homework was looked at together",
    "homework_less": "less homework was done each time, and that is open",
    "later": "there were more than ten sessions",
    "measured": "the outcome was measured at least twice",
    "missed": "the last visit was missed",
    "perfect": "the last alliance ratings were all perfect, at least three times in a row",
    "rated": "the alliance was rated",
    "remote": "sessions are by video or phone",
    "repeated": "two alerts or more were told of this client before and none was settled since, or two attempts at repair "
    "brought no change",
    "skipped": "the last two questionnaires or more were left out",
    "stalled": "after twelve sessions or more the measure stands about where it began",
    "unanswered": "the last attempt to reach the client had no answer",
    "voiced": "the client said that something does not go well, and that is open",
    "waited": "more than two weeks passed between the opening and now, without a session",
    "wishes_change": "the client would like another approach or format, and that is open",
    "wishes_clinician": "the client would like another clinician, and that is open",
    "withdrawal": "a strain is open in which the client draws back",
}
"""Each condition in plain words."""

FIRST_SESSIONS: Final = 3
"""Up to so many sessions are the first ones; ours."""
LATER: Final = 10
"""More sessions than these are a longer course; ours."""
PERFECT_RUN: Final = 3
"""Perfect ratings in a row from which they may be politeness; ours."""
WAITED_DAYS: Final = 14
"""Days without a session after the opening from which somebody waited long; ours."""
SKIPPED: Final = 2
"""Questionnaires in a row; ours."""
CYCLES: Final = 2
"""So many alerts, or attempts at repair, without change are enough of the same (ours)."""


def conditions_of(course: Course, now: int, told: int = 0) -> frozenset[Condition]:
    """All that is true of a course at a moment (µs). `told`: alerts of this client that were told before, and
    since which nothing was settled."""
    alliance, concerns, sessions = course.alliance, course.concerns.open, course.sessions
    rupture = alliance.open
    abouts = {about for about, _ in concerns}
    tried = rupture is not None and alliance.repairs >= CYCLES and alliance.last_repair in ("same", "worse")
    progress = course.outcome
    found: Mapping[Condition, bool] = {
        "absent": absent_since(course, now) is not None,
        "before_first": sessions == 0,
        "booked": course.visits.next_session(now) is not None,
        "cancelled": course.last_lost in ("cancelled", "late_cancelled"),
        "clinic_break": "break" in abouts,
        "clinician_changed": recent(course.handover_at, now),
        "complaint": "complaint" in abouts,
        "confrontation": rupture is not None and rupture.kind == "confrontation",
        "fallen": rupture is not None and rupture.evidence != "reported",
        "first_sessions": 1 <= sessions <= FIRST_SESSIONS,
        "homework": course.homework.count > 0,
        "homework_less": "homework" in abouts,
        "later": sessions > LATER,
        "measured": progress is not None and progress.count > 1,
        "missed": course.last_lost == "missed",
        "perfect": alliance.perfect_run >= PERFECT_RUN,
        "rated": alliance.instrument is not None,
        "remote": course.modality in ("video", "phone"),
        "repeated": told >= CYCLES or tried,
        "skipped": course.skips_in_a_row >= SKIPPED,
        "stalled": stalled(course),
        "unanswered": course.unanswered > 0,
        "voiced": "feedback" in abouts,
        "waited": sessions == 0 and course.first_at is not None and now - course.first_at > WAITED_DAYS * DAY,
        "wishes_change": bool({"approach", "format"} & course.wishes.keys()),
        "wishes_clinician": "clinician" in course.wishes,
        "withdrawal": rupture is not None and rupture.kind == "withdrawal",
    }
    return frozenset(name for name, holds in found.items() if holds)


CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)
