"""What a feature is: a declared name, pillar, unit and words, and the function that reads it from a course.

A feature is a function of the course of an episode and a moment not before its newest entry. It returns None where its
signal is missing: that is a fact of its own, never filled in. Nothing here can see a fairness attribute (the history does
not keep them) or anything after the moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from keepwell.care.course import Course
from keepwell.care.endings import DAY
from keepwell.contract.words import Theme, Unit

Value = float | None
Read = Callable[[Course, int], Value]
Words = Callable[[float], str]

RECENT_DAYS: Final = 60
"""How long feedback, a wish for a change, a complaint, a break or a repair counts as recent; ours."""


class Feature(NamedTuple):
    """One declared feature. `words` puts a value in plain words; `missing` says what its absence means; `topic` names the
    newest event that bears on it (`Course.refs`)."""

    name: str
    pillar: Theme
    unit: Unit
    read: Read
    words: Words
    missing: str
    topic: str | None = None


def since(moment: int | None, now: int) -> Value:
    """Days from a moment to now; None where there was none."""
    return None if moment is None else (now - moment) / DAY


def recent(moment: int | None, now: int) -> bool:
    """Whether a moment lies at most `RECENT_DAYS` back."""
    return moment is not None and now - moment <= RECENT_DAYS * DAY


LEAST_SHARED: Final = 2
"""Of fewer there is no share worth telling: one visit of one says nothing of how somebody comes; ours."""


def share(part: int, whole: int) -> Value:
    """A part of a whole; None of fewer than `LEAST_SHARED`."""
    return part / whole if whole >= LEAST_SHARED else None


def counted(count: float, one: str, many: str) -> str:
    """A count with its noun: one visit, two visits."""
    return f"{count:.0f} {one if round(count) == 1 else many}"


def says(text: str, otherwise: str) -> Words:
    """Words of a yes/no feature."""
    return lambda v: text if v else otherwise


NOTHING = "Nothing that was recorded still holds"
