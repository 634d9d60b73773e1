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
    told: Callable[[Course], str | None] | None = None
    """The same in this person's own terms, where it has some: counts, or ratings in the instrument's own scale."""

    @property
    def background(self) -> bool:
        """Whether it was known at the start, or is the same for many: nothing that changed or can be acted on."""
        return self.pillar == "context"


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
    """A count with its noun: no visits, 1 visit, 2 visits."""
    return f"{round(count) or 'no'} {one if round(count) == 1 else many}"


def number(value: float) -> str:
    """With one decimal at most, and none where it is zero: 2.5, 3."""
    return f"{round(value, 1) + 0.0:g}"


def times(value: float, how: str) -> str:
    """A multiple of what is usual: half as long ago as, about as long ago as, 2.5 times as long ago as is usual.

    >>> times(2.5, "far apart"), times(1.0, "far apart"), times(0.3, "far apart")
    ('2.5 times as far apart as', 'about as far apart as', 'less than half as far apart as')
    """
    if value < 0.5:
        return f"less than half as {how} as"
    return f"about as {how} as" if 0.75 <= value < 1.25 else f"{number(value)} times as {how} as"


def ago(days: float) -> str:
    """How long ago: today, yesterday, 3 days ago."""
    whole = round(days)
    return "today" if whole <= 0 else "yesterday" if whole == 1 else f"{whole} days ago"


def ahead(days: float) -> str:
    """How far off: today, tomorrow, in 3 days."""
    whole = round(days)
    return "today" if whole <= 0 else "tomorrow" if whole == 1 else f"in {whole} days"


def of(part: float, whole: float, what: str) -> str:
    """So many of so many: 1 of 3 visits, none of 4 visits."""
    return f"{round(part) or 'none'} of {round(whole)} {what}"


def about(part: float) -> str:
    """A share in words: none, about a quarter, about half, about three quarters, all."""
    return ("none", "about a quarter", "about half", "about three quarters", "all")[min(max(round(4 * part), 0), 4)]


def says(text: str, otherwise: str) -> Words:
    """Words of a yes/no feature."""
    return lambda v: text if v else otherwise


NOTHING = "Nothing that was recorded still holds"
