"""What a score could not know: gaps in the data, in plain words and by kind."""

from __future__ import annotations

from typing import Final, Literal, get_args

from keepwell.care.course import Course
from keepwell.scoring.features.feature import counted

GAP_SESSIONS: Final = 3
"""Sessions without a measure after which its absence is named as a gap."""


GapKind = Literal[
    "opening", "unrecorded", "no_alliance", "old_alliance", "no_outcome", "old_outcome", "uninterpreted",
    "unread",
]  # fmt: skip
GAP_KINDS: Final[tuple[GapKind, ...]] = get_args(GapKind)


def gaps(course: Course, now: int) -> list[str]:
    """What a score at this moment could not know, in plain words."""
    return [words for _, words in named_gaps(course, now)]


def named_gaps(course: Course, now: int) -> list[tuple[GapKind, str]]:
    """The same, each with its kind, by which they can be counted."""
    found: list[tuple[GapKind, str]] = []
    if course.opening is None:
        found.append(("opening", "the opening of the episode was not received"))
    missing = course.visits.unrecorded_at(now)
    if missing:
        visits = counted(missing, "visit is", "visits are")
        found.append(("unrecorded", f"{visits} recorded neither as attended nor as missed"))
    if course.alliance.instrument is None:
        found.append(("no_alliance", "no alliance rating yet"))
    elif course.since_alliance >= GAP_SESSIONS:
        found.append(("old_alliance", f"no alliance rating for {course.since_alliance} sessions"))
    if course.outcome is None:
        found.append(("no_outcome", "no outcome measure yet"))
    elif course.since_outcome >= GAP_SESSIONS:
        found.append(("old_outcome", f"no outcome measure for {course.since_outcome} sessions"))
    for name in sorted(course.uninterpreted):
        found.append(("uninterpreted", f"scores of {name} are not interpreted: nobody registered it"))
    for name in sorted(course.unread):
        found.append(("unread", f"the last {name} holds no score that can be read"))
    return found
