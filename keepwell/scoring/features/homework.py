"""Features of work between sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import NEWEST_REVIEWS, Course
from keepwell.contract.say import Said, counted, said
from keepwell.scoring.features.feature import Feature, Value, about, than


def _homework_fall(c: Course, now: int) -> Value:
    return None if c.homework.count < 2 else c.homework.usual - c.homework.last


def _homework_falling(c: Course, now: int) -> Value:
    return None if c.homework.count < 2 else float(c.homework_falling)


def _homework_lately(c: Course, now: int) -> Value:
    return sum(c.newest_reviews) / NEWEST_REVIEWS if len(c.newest_reviews) == NEWEST_REVIEWS else None


def _falling_words(v: float) -> Said:
    if v < 1:
        return said("The last homework was done no less than the one before")
    if v < 2:
        return said("Less homework done than the time before")
    return said("Less homework done each time, {count} times in a row", count=round(v))


AS_MUCH: Final = 0.1
"""A difference of shares that is told as none; ours."""
_NONE_REVIEWED: Final = said("No homework looked at together yet")
_FEW_REVIEWED: Final = said("Homework looked at together fewer than two times")

HOMEWORK: Final[Sequence[Feature]] = (
    Feature("homework_last", "homework", "share", lambda c, now: c.homework.last if c.homework.count else None,
            lambda v: said("Of the last homework, {share} was done", share=about(v)), _NONE_REVIEWED, "homework"),
    Feature("homework_mean", "homework", "share", lambda c, now: c.homework.mean if c.homework.count else None,
            lambda v: said("Of the homework so far, {share} was done on average", share=about(v)), _NONE_REVIEWED,
            "homework", lasting=True),
    Feature("homework_fall", "homework", "share", _homework_fall,
            lambda v: than(v, AS_MUCH, said("More of the last homework was done than usual"),
                           said("About as much of the last homework was done as usual"),
                           said("Less of the last homework was done than usual")), _FEW_REVIEWED, "homework"),
    Feature("homework_falling", "homework", "reviews", _homework_falling, _falling_words, _FEW_REVIEWED, "homework"),
    Feature("homework_lately", "homework", "share", _homework_lately,
            lambda v: said("Of the last three pieces of homework, {share} was done", share=about(v)),
            said("Homework looked at together fewer than three times"), "homework"),
    Feature("homework_unreviewed", "homework", "tasks", lambda c, now: float(c.assigned),
            lambda v: counted(v, "{count} piece of homework not looked at together yet",
                              "{count} pieces of homework not looked at together yet",
                              said("No homework waits to be looked at together")), None, "homework"),
)  # fmt: skip
