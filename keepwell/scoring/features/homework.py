"""Features of work between sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import NEWEST_REVIEWS, Course
from keepwell.scoring.features.feature import Feature, Value, about, counted


def _homework_fall(c: Course, now: int) -> Value:
    return None if c.homework.count < 2 else c.homework.usual - c.homework.last


def _homework_falling(c: Course, now: int) -> Value:
    return None if c.homework.count < 2 else float(c.homework_falling)


def _homework_lately(c: Course, now: int) -> Value:
    return sum(c.newest_reviews) / NEWEST_REVIEWS if len(c.newest_reviews) == NEWEST_REVIEWS else None


def _falling_words(v: float) -> str:
    if v < 1:
        return "The last homework was done no less than the one before"
    return "Less homework done than the time before" + (f", {v:.0f} times in a row" if v > 1 else "")


def _fall_words(v: float) -> str:
    if abs(v) < AS_MUCH:
        return "About as much of the last homework was done as usual"
    return f"{'Less' if v > 0 else 'More'} of the last homework was done than usual"


AS_MUCH: Final = 0.1
"""A difference of shares that is told as none; ours."""

HOMEWORK: Final[Sequence[Feature]] = (
    Feature("homework_last", "homework", "share", lambda c, now: c.homework.last if c.homework.count else None,
            lambda v: f"{about(v).capitalize()} of the last homework was done", "No homework reviewed yet", "homework"),
    Feature("homework_mean", "homework", "share", lambda c, now: c.homework.mean if c.homework.count else None,
            lambda v: f"{about(v).capitalize()} of the homework is done on average", "No homework reviewed yet",
            "homework"),
    Feature("homework_fall", "homework", "share", _homework_fall,
            _fall_words,
            "Homework reviewed fewer than two times", "homework"),
    Feature("homework_falling", "homework", "reviews", _homework_falling,
            _falling_words, "Homework reviewed fewer than two times", "homework"),
    Feature("homework_lately", "homework", "share", _homework_lately,
            lambda v: f"{about(v).capitalize()} of the last three pieces of homework was done",
            "Homework reviewed fewer than three times",
            "homework"),
    Feature("homework_unreviewed", "homework", "tasks", lambda c, now: float(c.assigned),
            lambda v: f"{counted(v, 'homework', 'pieces of homework')} not looked at together yet", "", "homework"),
)  # fmt: skip
