"""From the parts of a sum to sentences: what a score and an alert say of their reasons.

What changed lately, or can be acted on, leads. What sums up the whole course comes after it, then what is missing, and what
was known at the start last. Parts that say the same are one reason, and what is not worth a sentence is told as one number:
the reasons add up to the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keepwell.care.course import Course
from keepwell.contract.outputs import Reason
from keepwell.contract.say import Said, render, said
from keepwell.scoring.features import Feature, Value
from keepwell.scoring.scorer import USUAL, Scored

LEAST_POINTS: Final = 0.05
"""Log-odds below which a part is not worth a sentence."""
MOST_REASONS: Final = 5
"""Reasons that a score names, what was known at the start not among them."""
MOST_BACKGROUND: Final = 1
"""So many of what was known at the start."""
LEADING: Final = 3
"""Of so many that raise the risk most, what changed lately leads: as many as an alert names."""
POINT_DIGITS: Final = 3
KEPT_TEXTS: Final = 20_000
"""Sentences kept ready in English; they repeat, as people count in days and visits."""
LARGEST_KEPT: Final = 100.0
"""Up to so large, whole numbers have their words kept ready: counts, yes or no, ratings."""
OTHER: Final = "other_parts"
"""What the last reason of a score is called: all parts that are not named."""
_OTHER: Final = said("Other small parts, together")


class Ground:
    """One thing to say: feature, value and words of the strongest of the parts that say the same, the points of all of them.

    No tuple with names, as these take a call of Python to make even where the core is compiled.
    """

    __slots__ = ("feature", "points", "value", "words")

    def __init__(self, feature: Feature, value: Value, points: float, words: Said) -> None:
        self.feature = feature
        self.value = value
        self.points = points
        self.words = words


class Reasons:
    """Makes the reasons of scores that tell of these features, in this order (`Scored.features`)."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = list(features)
        together: dict[tuple[str, str], list[int]] = {}
        for index, feature in enumerate(features):
            together.setdefault((feature.pillar, feature.topic or feature.name), []).append(index)
        self._together = list(together.values())
        """What says the same: the parts of the same pillar about the same events, by their places."""
        self._words: list[dict[float, Said]] = [{} for _ in features]
        self._texts: dict[tuple[Said, bool], str] = {}

    def of(self, scored: Scored, course: Course) -> tuple[Reason, ...]:
        """The reasons of a score. Their points add up to the log-odds less what they are where nothing is known."""
        found = [self._of(one) for one in chosen(self.grounds(scored, course))]
        rest = round(_sum(scored.points) - _sum([one.points for one in found]), POINT_DIGITS)
        if rest:
            found.append(
                Reason(feature=OTHER, pillar="context", value=None, points=rest, text=self._text(_OTHER, rest))
            )
        return tuple(found)

    def grounds(self, scored: Scored, course: Course) -> list[Ground]:
        """Everything that is worth saying, the strongest first, each thing once. It is told by the strongest part that pushes
        the way all that say the same do together, a known value before a missing one."""
        return _each_sentence_once(self._worth_saying(scored, course))

    def _worth_saying(self, scored: Scored, course: Course) -> list[Ground]:
        points, values = scored.points, scored.values
        found = []
        for indices in self._together:
            together = 0.0
            for index in indices:
                together += points[index]
            if -LEAST_POINTS < together < LEAST_POINTS:
                continue
            told = _telling(indices, together, points, values)
            value = values[told]
            found.append(Ground(self._features[told], value, together, self._said(told, value, course)))
        found.sort(key=_weakness)
        return found

    def _said(self, index: int, value: Value, course: Course) -> Said:
        """What `said_of` gives, kept ready where it depends on a whole number alone."""
        feature = self._features[index]
        if value is None or feature.told is not None or value % 1 or not -LARGEST_KEPT <= value <= LARGEST_KEPT:
            return said_of(feature, value, course)
        kept = self._words[index]
        found = kept.get(value)
        if found is None:
            found = kept[value] = said_of(feature, value, course)
        return found

    def _of(self, ground: Ground) -> Reason:
        feature, value = ground.feature, ground.value
        return Reason(
            feature=feature.name,
            pillar=feature.pillar,
            value=None if value is None else round(value, POINT_DIGITS),
            points=round(ground.points, POINT_DIGITS),
            text=self._text(ground.words, ground.points),
        )

    def _text(self, words: Said, points: float) -> str:
        key = (words, points > 0)
        found = self._texts.get(key)
        if found is None:
            if len(self._texts) >= KEPT_TEXTS:
                self._texts.clear()
            found = self._texts[key] = render(pushing(words, points))
        return found


def _telling(indices: list[int], together: float, points: list[float], values: list[Value]) -> int:
    """Of parts that say the same, the one that tells of them."""
    told, known, best = indices[0], False, 0.0
    for index in indices:
        strength = points[index] if together > 0 else -points[index]
        if strength <= 0:
            continue
        is_known = values[index] is not None
        if (strength > best) if is_known == known else is_known:
            told, known, best = index, is_known, strength
    return told


def said_of(feature: Feature, value: Value, course: Course) -> Said:
    """A value in plain words, in this person's own terms where there are some; of a missing one, what its absence means.

    Raises `ValueError` for a missing value of a feature that is never absent.
    """
    if value is None:
        if feature.missing is None:
            raise ValueError(f"{feature.name} is never absent")
        return feature.missing
    own = feature.told(course) if feature.told is not None else None
    return feature.words(value) if own is None else own


def pushing(words: Said, points: float) -> Said:
    """A reason that says which way it pushes."""
    if points > 0:
        return said("{words} (raises the risk)", words=words)
    return said("{words} (lowers the risk)", words=words)


def chosen(found: Sequence[Ground]) -> list[Ground]:
    """What a score names: the strongest of it, what changed lately first, then what sums up the whole course, then what is
    missing, last what was known at the start."""
    closer = [one for one in found if not one.feature.background]
    known = [one for one in closer if one.value is not None]
    missing = [one for one in closer if one.value is None]
    background = [one for one in found if one.feature.background]
    return [*sorted([*known, *missing][:MOST_REASONS], key=_rank), *background[:MOST_BACKGROUND]]


def raising(found: Sequence[Ground]) -> list[Ground]:
    """What an alert may name: what raises the risk and is known, what was known at the start only where there is nothing
    else, and what is missing last. What is usual at a clinic or with a clinician is nothing to act on."""
    told = [one for one in found if one.points > 0 and one.feature not in USUAL]
    known = [one for one in told if one.value is not None]
    closer = [one for one in known if not one.feature.background]
    missing = [one for one in told if one.value is None]
    return [*sorted(closer[:LEADING], key=_rank), *closer[LEADING:], *([] if closer else known), *missing]


def _each_sentence_once(found: list[Ground]) -> list[Ground]:
    """The same with the points of those that are told in the same words added to the strongest of them."""
    begun: dict[str, list[int]] = {}
    told: list[Ground] = []
    for one in found:
        alike = begun.setdefault(one.words.msgid, [])  # far cheaper to look up than the whole of the words
        for place in alike:
            same = told[place]
            if same.words == one.words:
                told[place] = Ground(same.feature, same.value, same.points + one.points, same.words)
                break
        else:
            alike.append(len(told))
            told.append(one)
    if len(told) == len(found):
        return told
    merged = [one for one in told if abs(one.points) >= LEAST_POINTS]
    merged.sort(key=_weakness)
    return merged


def _weakness(ground: Ground) -> float:
    return -abs(ground.points)


def _rank(ground: Ground) -> int:
    """What changed lately before what sums up the whole course, and that before what is missing."""
    return 2 if ground.value is None else int(ground.feature.lasting)


def _sum(points: list[float]) -> float:
    """Added one by one: `sum` adds floats otherwise from Python 3.12 on, and bytes must not depend on that."""
    total = 0.0
    for one in points:
        total += one
    return total
