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
from keepwell.contract.say import Said, counted, pair, said
from keepwell.contract.words import Theme, Unit

Value = float | None
Read = Callable[[Course, int], Value]
Words = Callable[[float], Said]

RECENT_DAYS: Final = 60
"""How long feedback, a wish for a change, a complaint, a break or a repair counts as recent; ours."""


class Feature(NamedTuple):
    """One declared feature. `words` puts a value in plain words; `missing` says what its absence means, None where it is
    never absent; `topic` names the newest event that bears on it (`Course.refs`)."""

    name: str
    pillar: Theme
    unit: Unit
    read: Read
    words: Words
    missing: Said | None
    topic: str | None = None
    told: Callable[[Course], Said | None] | None = None
    """The same in this person's own terms, where it has some: counts, or ratings in the instrument's own scale."""
    lasting: bool = False
    """Whether it sums up the whole course, so that it says little of what changed lately or can be acted on."""

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


def times(value: float, fewer: Said, usual: Said, more: Said) -> Said:
    """A multiple of what is usual: fewer, about as many, or so many times as many, the place `{times}`.

    >>> from keepwell.contract.say import render
    >>> soon, usual, late = said("sooner"), said("as usual"), said("{times} times as late")
    >>> [render(times(value, soon, usual, late)) for value in (0.5, 1.1, 2.5)]
    ['sooner', 'as usual', '2.5 times as late']
    """
    if value < 0.75:
        return fewer
    return usual if value < 1.25 else said(more.msgid, times=float(value))


def ago(days: float) -> Said:
    """How long ago: today, yesterday, 3 days ago."""
    whole = round(days)
    return said("today") if whole <= 0 else said("yesterday") if whole == 1 else counted(whole, *_AGO)


def ahead(days: float) -> Said:
    """How far off: today, tomorrow, in 3 days."""
    whole = round(days)
    return said("today") if whole <= 0 else said("tomorrow") if whole == 1 else counted(whole, *_AHEAD)


def of(part: float, whole: float, some: Said, none: Said) -> Said:
    """So many of so many, the places `{part}` and `{whole}`, and what is said where it is none of them."""
    return said((some if part else none).msgid, part=round(part), whole=round(whole))


def about(part: float) -> Said:
    """A share in words.

    >>> from keepwell.contract.say import render
    >>> [render(about(part)) for part in (0.0, 0.1, 0.3, 0.5, 0.8, 0.9, 1.0)]
    ['none', 'a small part', 'about a quarter', 'about half', 'about three quarters', 'almost all', 'all']
    """
    if part <= 0 or part >= 1:
        return said("all") if part >= 1 else said("none")
    return _SHARES[round(4 * part)]


def than(value: float, least: float, less: Said, same: Said, more: Said) -> Said:
    """What is said of a difference: nothing smaller than `least` is one."""
    return same if abs(value) < least else more if value > 0 else less


def mostly(less: Said, more: Said) -> Words:
    """Words of a share: less than half, or half and more."""
    return lambda v: more if v >= 0.5 else less


def says(text: Said, otherwise: Said) -> Words:
    """Words of a yes/no feature."""
    return lambda v: text if v else otherwise


_AGO: Final = pair("{count} day ago", "{count} days ago")
_AHEAD: Final = pair("in {count} day", "in {count} days")
_SHARES: Final = (
    said("a small part"), said("about a quarter"), said("about half"), said("about three quarters"), said("almost all"),
)  # fmt: skip
NOTHING: Final = said("Nothing that was recorded still holds")
