"""The model as data: an additive scorecard of step functions, so that every risk is a sum that can be read out.

For each output (14, 30, 60 days, next visit) the log-odds are a base value plus the points of each feature and of what is
usual at the clinic and with the clinician, then an affine calibration, one for all or one for each stage of the course.
Points depend on one feature alone: the bin its value falls in, or the bin of a missing value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from keepwell.care.moments import STAGES
from keepwell.contract.words import Horizon
from keepwell.scoring.features import BY_NAME

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

Pairs = tuple[tuple[float, float], ...]
"""Intercept and slope of each of `OUTPUTS`."""
STAGE: Final = "stage"
"""The feature by which a card with `stages` finds its calibration."""


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
