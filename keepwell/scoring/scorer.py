"""The model at run time: reads the features of a course, adds up their points, and keeps each part of the sum."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, nan
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepwell.care.course import Course
from keepwell.care.moments import stage
from keepwell.contract.say import said
from keepwell.scoring.features import BY_NAME, Feature, Read, Value
from keepwell.scoring.scorecard import HEADLINE, NEXT, STAGE, Offsets, Pairs, Points, Scorecard, check

BLOCK: Final = 2048
"""Rows of a table that are scored at a time: few enough to stay in a processor's cache."""

_AT_CLINIC: Final = said("What is usual at this clinic")
_WITH_CLINICIAN: Final = said("What is usual with this clinician")
CLINIC_USUAL: Final = Feature(
    "clinic_usual", "context", "log-odds", lambda c, now: None, lambda v: _AT_CLINIC, _AT_CLINIC
)
CLINICIAN_USUAL: Final = Feature(
    "clinician_usual", "context", "log-odds", lambda c, now: None, lambda v: _WITH_CLINICIAN, _WITH_CLINICIAN
)
USUAL: Final = (CLINIC_USUAL, CLINICIAN_USUAL)
"""What offsets are called in a sum. They carry no value: their points are all that is to be said, and nobody is ranked."""


class Scored(NamedTuple):
    """Risks in the order of `OUTPUTS`, NaN for one that the card leaves out; and of each term of the card, then of the
    offsets where they are used, its feature, value and points for the headline."""

    risks: tuple[float, ...]
    features: list[Feature]
    values: list[Value]
    points: list[float]


class Scorer:
    """A scorecard bound to the declared features. Raises `ValueError` where the two do not fit.

    The risk at 30 days is the sum of its parts and never moved; that at 14 days is held not above it, that at 60 not below.
    """

    def __init__(self, card: Scorecard, offsets: Offsets | None = None) -> None:
        check(card)
        self.card = card
        self.offsets = offsets if offsets is not None and offsets.active else None
        self.features = [BY_NAME[term.feature] for term in card.terms]
        self.tells_next = "next" in card.outputs
        # The missing value's row comes last, so that one index serves both. So does NaN as the last edge of a table's column:
        # a search for NaN ends after it, any other before.
        rows = [(term.edges, (*term.points, term.missing)) for term in card.terms]
        self._tables = [(np.array([*edges, np.nan]), np.array(points, dtype=np.float64)) for edges, points in rows]
        self.told = self.features if self.offsets is None else [*self.features, *USUAL]
        self._pairs = card.pairs
        self._reads: list[Read] = [feature.read for feature in self.features]
        self._edges: list[list[float]] = [[float(edge) for edge in edges] for edges, _ in rows]
        self._cells: list[list[Points]] = [list(points) for _, points in rows]

    def score(self, course: Course, now: int, clinic: str | None = None) -> Scored:
        """Scores an episode at a moment (µs) that must not lie before the newest entry of the course."""
        pairs = self._pairs[stage(course, now)]
        slope = pairs[HEADLINE][1]
        a, b, c, d = self.card.base
        values: list[Value] = []
        points: list[float] = []
        # One pass, added term by term: `sum` adds floats otherwise from Python 3.12 on, and bytes must not depend on that.
        reads, edges, cells = self._reads, self._edges, self._cells
        for term in range(len(reads)):  # a `zip` that is strict is not compiled
            value = reads[term](course, now)
            values.append(value)
            p, q, r, s = cells[term][-1 if value is None else _bin(edges[term], value)]
            a += p
            b += q
            c += r
            d += s
            points.append(q * slope)
        if self.offsets is not None:
            p, q, r, s = self.offsets.of(clinic, course.clinician)
            a, b, c, d = a + p, b + q, c + r, d + s
            for here in self.offsets.parts(clinic, course.clinician):
                values.append(None)
                points.append(here[HEADLINE] * slope)
        return Scored(self._risks((a, b, c, d), pairs), self.told, values, points)

    def risks(self, table: NDArray[np.float64], offsets: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
        """Scores a table: rows by features in the order of the card's terms, NaN for missing; gives rows by `OUTPUTS`, each
        to the last bit what `score` gives of the same values. `offsets` are added log-odds of the rows (`Offsets.of`)."""
        found = coherent(_sigmoids(calibrated(self.card, table, self.logits(table) + offsets)))
        if not self.tells_next:
            found[:, NEXT] = np.nan
        return found

    def logits(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """The summed log-odds of a table before calibration, rows by `OUTPUTS`. Added term by term, as in `score`."""
        logits = np.tile(np.asarray(self.card.base, dtype=np.float64), (len(table), 1))
        for start in range(0, len(table), BLOCK):
            sums = logits[start : start + BLOCK]
            for column, (edges, points) in zip(table[start : start + BLOCK].T, self._tables, strict=True):
                sums += points.take(edges.searchsorted(column, side="right"), axis=0)
        return logits

    def _risks(self, logits: Sequence[float], pairs: Pairs) -> tuple[float, ...]:
        risks = [_sigmoid(a + b * x) for (a, b), x in zip(pairs, logits, strict=True)]
        return (min(risks[0], risks[1]), risks[1], max(risks[1], risks[2]), risks[3] if self.tells_next else nan)


def _bin(edges: list[float], value: float) -> int:
    """In which bin a value falls: as `bisect.bisect_right`, but compiled."""
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) >> 1
        if value < edges[middle]:
            high = middle
        else:
            low = middle + 1
    return low


def coherent(risks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Risks by `OUTPUTS` that do not fall with the horizon; the headline stays what its parts say."""
    d14, d30, d60, following = risks.T
    return np.column_stack([np.minimum(d14, d30), d30, np.maximum(d60, d30), following])


def calibrated(card: Scorecard, table: NDArray[np.float64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Summed log-odds by `OUTPUTS` after the calibration of a card; `table` has the rows' features, as in `Scorer.risks`."""
    pairs = np.asarray(card.pairs, dtype=np.float64)
    if card.stages is msgspec.UNSET:
        found: NDArray[np.float64] = pairs[0, :, 0] + pairs[0, :, 1] * logits
        return found
    names = [term.feature for term in card.terms]
    mine = pairs[table[:, names.index(STAGE)].astype(np.int64)]
    staged: NDArray[np.float64] = mine[:, :, 0] + mine[:, :, 1] * logits
    return staged


def _sigmoid(x: float) -> float:
    """The logistic function, without overflow at either end."""
    if x >= 0:
        return 1 / (1 + exp(-x))
    e = exp(x)
    return e / (1 + e)


def _sigmoids(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same of a table, to the last bit. So it calls the same `exp`: numpy's differs from it in the last digit."""
    e = np.fromiter(map(exp, (-np.abs(x)).ravel().tolist()), np.float64, x.size).reshape(x.shape)
    return np.where(x >= 0, 1.0, e) / (1 + e)
