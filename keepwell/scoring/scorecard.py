"""The model at run time: an additive scorecard of step functions, so that every risk is a sum that can be read out.

For each output (14, 30, 60 days, next visit) the log-odds are a base value plus the points of each feature and of what is
usual at the clinic and with the clinician, then an affine calibration, one for all or one for each stage of the course.
Points depend on one feature alone: the bin its value falls in, or the bin of a missing value.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from math import exp, nan
from typing import Final, Literal, NamedTuple, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepwell.care.course import Course
from keepwell.care.moments import STAGES, stage
from keepwell.contract.say import said
from keepwell.contract.words import Horizon
from keepwell.scoring.features import BY_NAME, Feature, Read, Value

Output = Literal[Horizon, "next"]
OUTPUTS: Final[tuple[Output, ...]] = get_args(Output)
"""Days of each horizon of `unilateral-stop@1`; `next` is `next-visit-missed@1`."""
HEADLINE: Final = OUTPUTS.index("30d")
"""The output that reasons and alerts speak of."""
NEXT: Final = OUTPUTS.index("next")
"""The second target, which a card may be without."""

Points = tuple[float, float, float, float]
"""Added log-odds, one for each of `OUTPUTS`."""
ZERO: Final[Points] = (0.0, 0.0, 0.0, 0.0)

BLOCK: Final = 2048
"""Rows of a table that are scored at a time: few enough to stay in a processor's cache."""

Pairs = tuple[tuple[float, float], ...]
"""Intercept and slope of each of `OUTPUTS`."""
STAGE: Final = "stage"
"""The feature by which a card with `stages` finds its calibration."""

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

_Cell = tuple[Points, float]
"""The points of a bin, and those for the headline after calibration."""
_Column = tuple[Read, Sequence[float], Sequence[_Cell | None]]
"""How a feature is read, its edges, and its cells, that of a missing value last."""


class Term(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The step function of one feature: `points[i]` for a value from `edges[i-1]` (inclusive) to `edges[i]` (exclusive)."""

    feature: str
    edges: tuple[float, ...]
    points: tuple[Points, ...]
    missing: Points = (0.0, 0.0, 0.0, 0.0)


class Scorecard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole model as data. `calibration` holds intercept and slope of each output, applied to the summed log-odds; where
    there are `stages`, each of `keepwell.care.moments.STAGES` has its own instead."""

    base: Points
    terms: tuple[Term, ...]
    calibration: Pairs = ((0.0, 1.0),) * len(OUTPUTS)
    left_out: tuple[Literal["next"], ...] | msgspec.UnsetType = msgspec.UNSET
    """The second target where training knew too little of it, as in a clinic that sends no bookings: the card then has no
    such output. Not written where nothing is left out."""
    stages: tuple[Pairs, ...] | msgspec.UnsetType = msgspec.UNSET
    """Needs a term of the feature `stage`. Not written where all stages share `calibration`."""

    @property
    def pairs(self) -> tuple[Pairs, ...]:
        """Intercept and slope by stage and output."""
        return (self.calibration,) * len(STAGES) if self.stages is msgspec.UNSET else self.stages

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs that the card has, in the order of `OUTPUTS`."""
        return OUTPUTS if self.left_out is msgspec.UNSET else tuple(one for one in OUTPUTS if one not in self.left_out)


class Offsets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Added log-odds of clinics and of their clinicians (`<clinic>/<pseudonym>`), by partial pooling: context for
    calibration, never a ranking of people. Used only where `active`; an unknown name adds nothing."""

    active: bool
    clinics: Mapping[str, Points]
    clinicians: Mapping[str, Points]

    def of(self, clinic: str | None, clinician: str | None) -> Points:
        """What is added for a clinic and one of its clinicians by pseudonym."""
        here, there = self.parts(clinic, clinician)
        return (here[0] + there[0], here[1] + there[1], here[2] + there[2], here[3] + there[3])

    def parts(self, clinic: str | None, clinician: str | None) -> tuple[Points, Points]:
        """The same as two parts: what is usual at the clinic, and with the clinician."""
        return self.clinics.get(clinic or "", ZERO), self.clinicians.get(f"{clinic}/{clinician}", ZERO)


class Part(NamedTuple):
    """One feature's part in a score: its value, and its points for the headline output."""

    feature: Feature
    value: Value
    points: float


class Scored(NamedTuple):
    """Risks in the order of `OUTPUTS`, NaN for one that the card leaves out; and of each term of the card, then of the
    offsets where they are used, its feature, value and points for the headline."""

    risks: tuple[float, ...]
    features: Sequence[Feature]
    values: Sequence[Value]
    points: Sequence[float]

    def strongest(self, least: float) -> Iterator[Part]:
        """The parts of at least so many points either way, strongest first; equals in the order of the card."""
        noted = [(-abs(value), index) for index, value in enumerate(self.points) if value >= least or value <= -least]
        noted.sort()
        return (Part(self.features[index], self.values[index], self.points[index]) for _, index in noted)


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
        self._cells = [self._columns(rows, pairs[HEADLINE][1]) for pairs in self._pairs]

    def _columns(self, rows: Sequence[tuple[tuple[float, ...], tuple[Points, ...]]], slope: float) -> list[_Column]:
        """The cells of each term where the headline's slope is this."""
        return [
            (feature.read, edges, [(row, row[HEADLINE] * slope) if any(row) else None for row in points])
            for feature, (edges, points) in zip(self.features, rows, strict=True)
        ]

    def score(self, course: Course, now: int, clinic: str | None = None) -> Scored:
        """Scores an episode at a moment (µs) that must not lie before the newest entry of the course."""
        at = stage(course, now)
        pairs = self._pairs[at]
        a, b, c, d = self.card.base
        values: list[Value] = []
        points: list[float] = []
        # One pass, added term by term: `sum` adds floats otherwise from Python 3.12 on, and bytes must not depend on that.
        for read, edges, cells in self._cells[at]:
            value = read(course, now)
            values.append(value)
            cell = cells[-1 if value is None else bisect_right(edges, value)]
            if cell is None:
                points.append(0.0)
                continue
            (p, q, r, s), headline = cell
            a += p
            b += q
            c += r
            d += s
            points.append(headline)
        if self.offsets is not None:
            p, q, r, s = self.offsets.of(clinic, course.clinician)
            a, b, c, d = a + p, b + q, c + r, d + s
            slope = pairs[HEADLINE][1]
            for part in self.offsets.parts(clinic, course.clinician):
                values.append(None)
                points.append(part[HEADLINE] * slope)
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


def check(card: Scorecard) -> None:
    """Raises `ValueError` with the name of the term that does not fit the declared features or contradicts itself."""
    names = [term.feature for term in card.terms]
    if len(set(names)) != len(names):
        raise ValueError("a feature has more than one term")
    for term in card.terms:
        if term.feature not in BY_NAME:
            raise ValueError(f"{term.feature}: no such feature in this version of Keepwell")
        if len(term.points) != len(term.edges) + 1:
            raise ValueError(f"{term.feature}: {len(term.edges)} edges need {len(term.edges) + 1} rows of points")
        if list(term.edges) != sorted(set(term.edges)):
            raise ValueError(f"{term.feature}: edges must increase")
    for pairs in (card.calibration, *card.pairs):
        if len(pairs) != len(OUTPUTS) or any(slope <= 0 for _, slope in pairs):
            raise ValueError("calibration needs an intercept and a positive slope for each output")
    if card.stages is not msgspec.UNSET and (len(card.stages) != len(STAGES) or STAGE not in names):
        raise ValueError(
            f"stages need a calibration for each of {', '.join(STAGES)}, and a term of the feature {STAGE}"
        )


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
