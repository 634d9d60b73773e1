"""Ratings and scores as the person gave them: in the instrument's own scale, beside what is usual for this person.

Features compare ratings on a scale of 0 to 10, where instruments can stand side by side. Nobody gave such a rating, so what
is told is what was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keepwell.care.alliance import LEAST_FALL, Series
from keepwell.care.course import Course, Progress
from keepwell.care.instruments import Instrument
from keepwell.contract.say import Said, said

InTerms = Callable[[Course], Said | None]
"""What a course says of a feature, where it can be told in the person's own terms."""

AS_USUAL: Final = LEAST_FALL / 2
"""Points (of 10) that are told as no difference: half of the least fall that opens a rupture; ours."""


def rating(scale: str) -> InTerms:
    """The last rating of a scale, and what it is beside this person's usual one.

    >>> rating("total")(Course(lambda name: None)) is None
    True
    """

    def tell(course: Course) -> Said | None:
        series, instrument = _rated_by(course, scale)
        if series is None or instrument is None:
            return None
        what, high = _what(instrument, scale), float(instrument.range_of(scale)[1])
        score = _given(series.last, instrument, scale)
        if series.given.count < 2:
            return said("{what} {score} of {high} at the first rating", what=what, score=score, high=high)
        usual = series.given.usual
        if abs(series.last - usual) < AS_USUAL:
            return said("{what} {score} of {high}, about as usual for this person", what=what, score=score, high=high)
        known = _given(usual, instrument, scale)
        return said(
            "{what} {score} of {high}; usually about {usual}", what=what, score=score, high=high, usual=known
        )  # fmt: skip

    return tell


def below_usual(scale: str) -> InTerms:
    """The same where the last rating lies below what is usual, or is the first; None where it came back meanwhile."""
    tell = rating(scale)

    def fell(course: Course) -> Said | None:
        series, _ = _rated_by(course, scale)
        back = series is not None and series.given.count > 1 and series.last > series.given.usual - AS_USUAL
        return None if back else tell(course)

    return fell


def lowest_pillar(course: Course) -> Said | None:
    """The newest rating of the pillar rated lowest."""
    return rating(course.alliance.lowest)(course) if course.alliance.lowest is not None else None


def lowest_rating(course: Course) -> Said | None:
    """The lowest rating of the alliance as a whole."""
    series, instrument = _rated_by(course, "total")
    if series is None or instrument is None:
        return None
    low, high = _given(series.lowest, instrument, "total"), float(instrument.high)
    return said("{what} {score} of {high} at its lowest", what=_what(instrument, "total"), score=low, high=high)


def since_start(course: Course) -> Said | None:
    """The last outcome beside the first."""
    return _beside(
        course, lambda progress: progress.first,
        said("{instrument} {score} of {high}, better than at the start ({before})"),
        said("{instrument} {score} of {high}, about the same as at the start ({before})"),
        said("{instrument} {score} of {high}, worse than at the start ({before})"),
    )  # fmt: skip


def since_last(course: Course) -> Said | None:
    """The last outcome beside the one before it."""
    return _beside(
        course, lambda progress: progress.previous,
        said("{instrument} {score} of {high}, better than the time before ({before})"),
        said("{instrument} {score} of {high}, about the same as the time before ({before})"),
        said("{instrument} {score} of {high}, worse than the time before ({before})"),
    )  # fmt: skip


def beside_best(course: Course) -> Said | None:
    """The last outcome beside the best so far, which it is itself where it is better than all before."""
    same = said("{instrument} {score} of {high}, about the same as at its best ({before})")
    return _beside(course, _best, same, same, said("{instrument} {score} of {high}, worse than at its best ({before})"))


def beside_cutoff(course: Course) -> Said | None:
    """The last outcome beside the cut-off."""
    progress = course.outcome
    return (
        None
        if progress is None
        else said("{instrument} {score} of {high}; the cut-off is {cutoff}", **_scores(progress))
    )


def at_first(course: Course) -> Said | None:
    """The first outcome beside the cut-off."""
    progress = course.outcome
    if progress is None:
        return None
    facts = _scores(progress) | {"score": float(progress.first)}
    return said("{instrument} {score} of {high} at the start; the cut-off is {cutoff}", **facts)


def in_first_sessions(course: Course) -> Said | None:
    """The gain of the first sessions, in points of the instrument."""
    progress = course.outcome
    if progress is None or progress.early is None:
        return None
    name, points = progress.instrument.name, abs(float(progress.early))
    if points < progress.instrument.reliable_change / 2:
        return said("{instrument} about the same after the first sessions as at the start", instrument=name)
    if progress.early > 0:
        return said("{instrument} better by {points} points after the first sessions", instrument=name, points=points)
    return said("{instrument} worse by {points} points after the first sessions", instrument=name, points=points)


def _best(progress: Progress) -> float:
    way = 1 if progress.instrument.higher_is_better else -1
    return progress.first + way * progress.best


def _beside(
    course: Course, other: Callable[[Progress], float | None], better: Said, same: Said, worse: Said
) -> Said | None:
    """The last outcome beside another: nothing smaller than half a reliable change is better or worse."""
    progress = course.outcome
    before = other(progress) if progress is not None else None
    if progress is None or before is None or progress.count < 2:
        return None
    gain = progress.instrument.gain(before, progress.last)
    least = progress.instrument.reliable_change / 2
    sentence = same if abs(gain) < least else better if gain > 0 else worse
    facts = _scores(progress)
    del facts["cutoff"]
    return said(sentence.msgid, **facts, before=float(before))


def _scores(progress: Progress) -> dict[str, str | float]:
    instrument = progress.instrument
    return {
        "instrument": instrument.name, "score": float(progress.last), "high": float(instrument.high),
        "cutoff": float(instrument.cutoff),
    }  # fmt: skip


def _rated_by(course: Course, scale: str) -> tuple[Series | None, Instrument | None]:
    name = course.alliance.instrument
    return course.alliance.of(scale), None if name is None else course.interpret(name)


def _what(instrument: Instrument, scale: str) -> Said:
    """An instrument, or one of its scales, by name."""
    if scale == "goals":
        return said("{instrument} goals", instrument=instrument.name)
    if scale == "tasks":
        return said("{instrument} tasks", instrument=instrument.name)
    if scale == "bond":
        return said("{instrument} bond", instrument=instrument.name)
    return said("{instrument}", instrument=instrument.name)


def _given(rating: float, instrument: Instrument, scale: str) -> float:
    """What a rating from 0 (worst) to 10 (best) is in the instrument's own scale."""
    low, high = instrument.range_of(scale)
    part = rating / 10 if instrument.higher_is_better else 1 - rating / 10
    return low + part * (high - low)
