"""From the parts of a sum to sentences: what a score and an alert say of their reasons.

What changed lately, or can be acted on, leads. What sums up the whole course comes after it, then what is missing, and what
was known at the start last. Parts that say the same are one reason, and what is not worth a sentence is told as one number:
the reasons add up to the score.
"""

from __future__ import annotations

from collections.abc import Sequence
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
"""Reasons kept ready by all that they rest on, about 20 MB; counts and ratings repeat, durations do not."""
OTHER: Final = "other_parts"
"""What the last reason of a score is called: all parts that are not named."""


class Ground(NamedTuple):
    """One thing to say: the strongest of the parts that say the same, and the points of all of them."""

    part: Part
    points: float


class Reasons:
    """Makes the reasons of scores that tell of these features, in this order (`Scored.features`)."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = features
        together: dict[tuple[str, str], list[int]] = {}
        for index, feature in enumerate(features):
            together.setdefault((feature.pillar, feature.topic or feature.name), []).append(index)
        self._together = [tuple(indices) for indices in together.values()]
        """What says the same: the parts of the same pillar about the same events, by their places."""
        self._ready: dict[tuple[str, Value, float, Said], Reason] = {}

    def of(self, scored: Scored, course: Course) -> tuple[Reason, ...]:
        """The reasons of a score. Their points add up to the log-odds less what they are where nothing is known."""
        found = [self._of(one, course) for one in chosen(self.grounds(scored, course))]
        rest = round(_sum(scored.points) - _sum([one.points for one in found]), POINT_DIGITS)
        if rest:
            text = render(pushing(said("Other small parts, together"), rest))
            found.append(Reason(feature=OTHER, pillar="context", value=None, points=rest, text=text))
        return tuple(found)

    def grounds(self, scored: Scored, course: Course) -> list[Ground]:
        """Everything that is worth saying, the strongest first, each thing once. It is told by the strongest part that pushes
        the way all that say the same do together, a known value before a missing one."""
        return _each_sentence_once(self._worth_saying(scored), course)

    def _worth_saying(self, scored: Scored) -> list[Ground]:
        points = scored.points
        found = []
        for indices in self._together:
            together = 0.0
            for index in indices:
                together += points[index]
            if together >= LEAST_POINTS or together <= -LEAST_POINTS:
                found.append(Ground(self._telling(scored, indices, together), together))
        found.sort(key=lambda ground: -abs(ground.points))
        return found

    def _telling(self, scored: Scored, indices: tuple[int, ...], together: float) -> Part:
        told, best = indices[0], (False, 0.0)
        for index in indices:
            strength = scored.points[index] if together > 0 else -scored.points[index]
            if strength > 0:
                rank = (scored.values[index] is not None, strength)
                if rank > best:
                    told, best = index, rank
        return Part(self._features[told], scored.values[told], scored.points[told])

    def _of(self, ground: Ground, course: Course) -> Reason:
        part, points = ground
        words = said_of(part, course)
        key = (part.feature.name, part.value, points, words)
        found = self._ready.get(key)
        if found is None:
            if len(self._ready) >= KEPT_REASONS:
                self._ready.clear()
            found = self._ready[key] = Reason(
                feature=part.feature.name,
                pillar=part.feature.pillar,
                value=None if part.value is None else round(part.value, POINT_DIGITS),
                points=round(points, POINT_DIGITS),
                text=render(pushing(words, points)),
            )
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


def chosen(found: Sequence[Ground]) -> list[Ground]:
    """What a score names: the strongest of it, what changed lately first, then what sums up the whole course, then what is
    missing, last what was known at the start."""
    closer = [one for one in found if not _background(one.part)]
    closer.sort(key=lambda one: one.part.value is None)
    background = [one for one in found if _background(one.part)]
    return [*sorted(closer[:MOST_REASONS], key=_rank), *background[:MOST_BACKGROUND]]


def raising(found: Sequence[Ground]) -> list[Ground]:
    """What an alert may name: what raises the risk and is known, what was known at the start only where there is nothing
    else, and what is missing last. What is usual at a clinic or with a clinician is nothing to act on."""
    told = [one for one in found if one.points > 0 and one.part.feature not in USUAL]
    known = [one for one in told if one.part.value is not None]
    closer = [one for one in known if not _background(one.part)]
    missing = [one for one in told if one.part.value is None]
    return [*sorted(closer[:LEADING], key=_rank), *closer[LEADING:], *([] if closer else known), *missing]


def _each_sentence_once(found: Sequence[Ground], course: Course) -> list[Ground]:
    """The same with the points of those that are told in the same words added to the strongest of them."""
    by_words: dict[Said, Ground] = {}
    for one in found:
        words = said_of(one.part, course)
        same = by_words.get(words)
        by_words[words] = one if same is None else Ground(same.part, same.points + one.points)
    if len(by_words) == len(found):
        return list(found)
    merged = [one for one in by_words.values() if abs(one.points) >= LEAST_POINTS]
    merged.sort(key=lambda ground: -abs(ground.points))
    return merged


def _rank(ground: Ground) -> int:
    """What changed lately before what sums up the whole course, and that before what is missing."""
    part = ground.part
    return 2 if part.value is None else int(part.feature.lasting)


def _background(part: Part) -> bool:
    return part.feature.background or part.feature in USUAL


def _sum(points: Sequence[float]) -> float:
    """Added one by one: `sum` adds floats otherwise from Python 3.12 on, and bytes must not depend on that."""
    total = 0.0
    for one in points:
        total += one
    return total
