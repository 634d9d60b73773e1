"""What a score could not know: gaps in the data, in plain words and by kind."""

from __future__ import annotations

from typing import Final, Literal, get_args

from keepwell.care.course import Course
from keepwell.contract.say import Said, counted, render, said

GAP_SESSIONS: Final = 3
"""Sessions without a measure after which its absence is named as a gap."""


GapKind = Literal[
    "opening", "unrecorded", "no_alliance", "old_alliance", "no_outcome", "old_outcome", "uninterpreted",
    "unread",
]  # fmt: skip
GAP_KINDS: Final[tuple[GapKind, ...]] = get_args(GapKind)


def gaps(course: Course, now: int) -> list[str]:
    """What a score at this moment could not know, in plain words."""
    return [render(words) for _, words in named_gaps(course, now)]


def named_gaps(course: Course, now: int) -> list[tuple[GapKind, Said]]:
    """The same, each with its kind, by which they can be counted."""
    found: list[tuple[GapKind, Said]] = []
    if course.opening is None:
        found.append(("opening", said("the opening of the episode was not received")))
    missing = course.visits.unrecorded_at(now)
    if missing:
        found.append(("unrecorded", counted(
            missing, "{count} visit is recorded neither as attended nor as missed",
            "{count} visits are recorded neither as attended nor as missed",
        )))  # fmt: skip
    if course.alliance.instrument is None:
        found.append(("no_alliance", said("no alliance rating yet")))
    elif course.since_alliance >= GAP_SESSIONS:
        found.append(("old_alliance", counted(
            course.since_alliance, "no alliance rating for {count} session", "no alliance rating for {count} sessions"
        )))  # fmt: skip
    if course.outcome is None:
        found.append(("no_outcome", said("no outcome measure yet")))
    elif course.since_outcome >= GAP_SESSIONS:
        found.append(("old_outcome", counted(
            course.since_outcome, "no outcome measure for {count} session", "no outcome measure for {count} sessions"
        )))  # fmt: skip
    for name in sorted(course.uninterpreted):
        words = said("scores of {instrument} are not interpreted: nobody registered it", instrument=name)
        found.append(("uninterpreted", words))
    for name in sorted(course.unread):
        found.append(("unread", said("the last {instrument} holds no score that can be read", instrument=name)))
    return found
