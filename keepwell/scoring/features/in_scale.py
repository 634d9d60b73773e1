"""Ratings and scores as the person gave them: in the instrument's own scale, beside what is usual for this person.

Features compare ratings on a scale of 0 to 10, where instruments can stand side by side. Nobody gave such a rating, so what
is told is what was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keepwell.care.alliance import LEAST_FALL
from keepwell.care.course import Course, Progress
from keepwell.care.instruments import Instrument
from keepwell.scoring.features.feature import number

InTerms = Callable[[Course], str | None]
"""What a course says of a feature, where it can be told in the person's own terms."""

AS_USUAL: Final = LEAST_FALL / 2
"""Points (of 10) that are told as no difference: half of the least fall that opens a rupture; ours."""
_SCALES: Final = {"goals": "goals ", "tasks": "tasks ", "bond": "bond "}


def rated(scale: str) -> InTerms:
    """The last rating of a scale, and what it is beside this person's usual one.

    >>> rated("total")(Course(lambda name: None)) is None
    True
    """

    def tell(course: Course) -> str | None:
        found = _rating(course, scale)
        if found is None:
            return None
        text, tell_of = found
        series = course.alliance.of(scale)
        assert series is not None
        if series.given.count < 2:
            return f"{text} at the first rating"
        usual = series.given.usual
        if abs(series.last - usual) < AS_USUAL:
            return f"{text}, about as usual for this person"
        return f"{text}; usually about {tell_of(usual)}"

    return tell


def lowest_pillar(course: Course) -> str | None:
    """The same of the pillar rated lowest."""
    return rated(course.alliance.lowest)(course) if course.alliance.lowest is not None else None


def since_start(course: Course) -> str | None:
    """The last outcome beside the first."""
    return _beside(course, lambda progress: progress.first, "at the start")


def since_last(course: Course) -> str | None:
    """The last outcome beside the one before it."""
    return _beside(course, lambda progress: progress.previous, "the time before")


def beside_best(course: Course) -> str | None:
    """The last outcome beside the best so far."""
    return _beside(course, _best, "at its best")


def beside_cutoff(course: Course) -> str | None:
    """The last outcome beside the cut-off."""
    progress = course.outcome
    if progress is None:
        return None
    return f"{_score(progress.instrument, progress.last)}; the cut-off is {number(progress.instrument.cutoff)}"


def at_first(course: Course) -> str | None:
    """The first outcome beside the cut-off."""
    progress = course.outcome
    if progress is None:
        return None
    cutoff = number(progress.instrument.cutoff)
    return f"{_score(progress.instrument, progress.first)} at the start; the cut-off is {cutoff}"


def _best(progress: Progress) -> float:
    way = 1 if progress.instrument.higher_is_better else -1
    return progress.first + way * progress.best


def _beside(course: Course, other: Callable[[Progress], float | None], when: str) -> str | None:
    progress = course.outcome
    before = other(progress) if progress is not None else None
    if progress is None or before is None or progress.count < 2:
        return None
    instrument = progress.instrument
    told = _score(instrument, progress.last)
    gain = instrument.gain(before, progress.last)
    if abs(gain) < instrument.reliable_change / 2:
        return f"{told}, about the same as {when} ({number(before)})"
    return f"{told}, {'better' if gain > 0 else 'worse'} than {when} ({number(before)})"


def _rating(course: Course, scale: str) -> tuple[str, Callable[[float], str]] | None:
    """The last rating of a scale in words, and how a rating from 0 to 10 reads in them."""
    series, name = course.alliance.of(scale), course.alliance.instrument
    instrument = course.interpret(name) if name is not None else None
    if series is None or instrument is None:
        return None
    low, high = instrument.range_of(scale)

    def told(rating: float) -> str:
        part = rating / 10 if instrument.higher_is_better else 1 - rating / 10
        return number(low + part * (high - low))

    return f"{instrument.name} {_SCALES.get(scale, '')}{told(series.last)} of {number(high)}", told


def _score(instrument: Instrument, score: float) -> str:
    return f"{instrument.name} {number(score)} of {number(instrument.high)}"
