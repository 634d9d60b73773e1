"""From the parts of a sum to sentences: what a score and an alert say of their reasons.

What changed, or can be acted on, leads. What is missing comes after it, what was known at the start last. Parts that say the
same are one reason, and what is not worth a sentence is told as one number, so that the reasons add up to the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from keepwell.care.course import Course
from keepwell.contract.outputs import Reason
from keepwell.contract.say import Language, Said, render, said
from keepwell.scoring.features import Feature, Value
from keepwell.scoring.scorecard import USUAL, Part, Scored

LEAST_POINTS: Final = 0.05
"""Log-odds below which a part is not worth a sentence."""
MOST_REASONS: Final = 5
"""Reasons that a score names, what was known at the start not among them."""
MOST_BACKGROUND: Final = 1
"""So many of what was known at the start."""
LEADING: Final = 3
"""Of so many that raise the risk most, what changed lately leads: as many as an alert names."""
POINT_DIGITS: Final = 3
KEPT_REASONS: Final = 20_000
"""Reasons kept ready, about 10 MB; counts and ratings repeat, durations do not."""
OTHER: Final = "other_parts"
"""What the last reason of a score is called: all parts that are not named."""


class Ground(NamedTuple):
    """One thing to say: the strongest of the parts that say the same, and the points of all of them."""

    part: Part
    points: float


class Reasons:
    """Makes reasons. The same feature, value and points make the same reason, so sentences that rest on nothing else are kept
    ready."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, Value, float], Reason] = {}

    def of(self, scored: Scored, course: Course) -> tuple[Reason, ...]:
        """The reasons of a score. Their points add up to the log-odds less what they are where nothing is known."""
        named = chosen(grounds(scored))
        found = [self._of(one, course) for one in named]
        rest = round(sum(scored.points) - sum(one.points for one in found), POINT_DIGITS)
        if rest:
            text = render(pushing(said("Other small parts, together"), rest))
            found.append(Reason(feature=OTHER, pillar="context", value=None, points=rest, text=text))
        return tuple(found)

    def _of(self, ground: Ground, course: Course) -> Reason:
        part, points = ground
        if part.feature.told is not None and part.value is not None:
            return _reason(ground, said_of(part, course))
        key = (part.feature.name, part.value, points)
        found = self._ready.get(key)
        if found is None:
            if len(self._ready) >= KEPT_REASONS:
                self._ready.clear()
            found = self._ready[key] = _reason(ground, said_of(part, course))
        return found


def said_of(part: Part, course: Course) -> Said:
    """A part in plain words, in this person's own terms where there are some; of a missing value, what its absence means.

    Raises `ValueError` for a missing value of a feature that is never absent.
    """
    feature, value = part.feature, part.value
    if value is None:
        if feature.missing is None:
            raise ValueError(f"{feature.name} is never absent")
        return feature.missing
    own = feature.told(course) if feature.told is not None else None
    return feature.words(value) if own is None else own


def words_of(part: Part, course: Course, language: Language = "en") -> str:
    """The same, in a language."""
    return render(said_of(part, course), language)


def pushing(words: Said, points: float) -> Said:
    """A reason that says which way it pushes."""
    if points > 0:
        return said("{words} (raises the risk)", words=words)
    return said("{words} (lowers the risk)", words=words)


def grounds(scored: Scored) -> list[Ground]:
    """Everything there is to say, the strongest first, each thing once: parts of the same pillar about the same events are
    one. It is told by the strongest part that pushes the way all of them do together, a known value before a missing one."""
    together: dict[tuple[str, str], list[Part]] = {}
    for part in scored.strongest(0.0):
        if part.points:
            together.setdefault(_about(part.feature), []).append(part)
    found = []
    for parts in together.values():
        points = sum(part.points for part in parts)
        pushing = [part for part in parts if part.points * points > 0]
        if pushing:
            found.append(Ground(min(pushing, key=lambda part: part.value is None), points))
    found.sort(key=lambda ground: -abs(ground.points))
    return found


def chosen(found: Sequence[Ground]) -> list[Ground]:
    """What a score names: the strongest of it, what changed lately first, then what sums up the whole course, then what is
    missing, last what was known at the start."""
    told = [one for one in found if abs(one.points) >= LEAST_POINTS]
    closer = [one for one in told if not _background(one.part)]
    closer.sort(key=lambda one: one.part.value is None)
    background = [one for one in told if _background(one.part)]
    return [*sorted(closer[:MOST_REASONS], key=_rank), *background[:MOST_BACKGROUND]]


def raising(found: Iterable[Ground]) -> list[Ground]:
    """What an alert may name: what raises the risk, what is known first, what was known at the start only where there is
    nothing else. What is usual at a clinic or with a clinician is nothing to act on."""
    told = [one for one in found if one.points >= LEAST_POINTS and one.part.feature not in USUAL]
    closer = [one for one in told if not _background(one.part)]
    closer.sort(key=lambda one: one.part.value is None)
    return [*sorted(closer[:LEADING], key=_rank), *closer[LEADING:]] or told


def _about(feature: Feature) -> tuple[str, str]:
    """What features have in common that say the same."""
    return (feature.pillar, feature.topic or feature.name)


def _rank(ground: Ground) -> int:
    """What changed lately before what sums up the whole course, and that before what is missing."""
    part = ground.part
    return 2 if part.value is None else int(part.feature.lasting)


def _background(part: Part) -> bool:
    return part.feature.background or part.feature in USUAL


def _reason(ground: Ground, words: Said) -> Reason:
    part, points = ground
    return Reason(
        feature=part.feature.name,
        pillar=part.feature.pillar,
        value=None if part.value is None else round(part.value, POINT_DIGITS),
        points=round(points, POINT_DIGITS),
        text=render(pushing(words, points)),
    )
