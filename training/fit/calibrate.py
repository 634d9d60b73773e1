"""Calibration: out-of-fold sums to risks, at each horizon and each stage of the course.

Each stage has an intercept and a slope of its own, shrunk towards what all have in common: so a risk at the first booking and
one after the tenth session are both right.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keepwell.care.moments import STAGES
from training.fit.logit import Prior, fit
from training.fit.sample import Ints

Vector = NDArray[np.float64]

SHIFT: Final = 0.3
"""Log-odds, at its usual sum, by which a stage is expected to differ from all stages, as a standard deviation; ours."""
TILT: Final = 0.2
"""The same of its slope; ours."""
LEAST_SLOPE: Final = 0.02
"""The slope of a model that learnt nothing: about the same risk for everybody."""


class Calibration(NamedTuple):
    """Log-odds are `intercepts[stage] + slopes[stage] * raw`."""

    intercepts: Vector
    slopes: Vector

    def of(self, raw: Vector, stage: Ints) -> Vector:
        """Calibrated log-odds."""
        found: Vector = self.intercepts[stage] + self.slopes[stage] * raw
        return found

    def then(self, intercepts: Vector | float, slopes: Vector | float) -> Calibration:
        """The same, followed by another affine step."""
        return Calibration(intercepts + slopes * self.intercepts, slopes * self.slopes)

    def steeper(self, times: float, centre: float) -> Calibration:
        """The same with steeper slopes, turned about the raw log-odds `centre`."""
        slopes = self.slopes * times
        return Calibration(self.intercepts + (self.slopes - slopes) * centre, slopes)


def beginning(pairs: NDArray[np.float64]) -> Calibration:
    """The calibration that a start has at an output: `pairs` are intercepts and slopes by stage."""
    return Calibration(pairs[:, 0].copy(), pairs[:, 1].copy())


def calibrate(
    raw: Vector, target: Vector, stage: Ints, start: Calibration | None = None, weight: float = 1.0
) -> Calibration:
    """The calibration of raw log-odds that were not fitted to these rows, beginning at that of the start: the line that all
    rows have in common, the stages' differences from it, and, as shrunken differences leave something out, the common line
    once more. A row weighs `weight`, as those of a client are alike (`logit.clustering`): of few clients, stages differ in
    the start's way."""
    found = start or Calibration(np.zeros(len(STAGES)), np.ones(len(STAGES)))
    intercept, slope = _common(found.of(raw, stage), target)
    found = found.then(intercept, slope)
    if slope <= LEAST_SLOPE:
        return found  # nothing was learnt: there is nothing that stages could differ in
    found = found.then(*_of_stages(found.of(raw, stage), target, stage, weight))
    return found.then(*_common(found.of(raw, stage), target))


def _common(x: Vector, target: Vector) -> tuple[float, float]:
    """Intercept and slope of all rows, the slope not below `LEAST_SLOPE`."""
    design = np.column_stack([np.ones_like(x), x])
    found = fit(design, target, Prior(np.array([0.0, 1.0]), np.full(2, np.inf)))
    if found[1] < LEAST_SLOPE:
        found = fit(design, target, Prior(np.array([0.0, LEAST_SLOPE]), np.array([np.inf, 1e-6])))
    return float(found[0]), max(float(found[1]), LEAST_SLOPE)


def _of_stages(x: Vector, target: Vector, stage: Ints, weight: float) -> tuple[Vector, Vector]:
    """Intercept and slope of each stage on log-odds that are right on the whole. Differences of slope are about the usual
    log-odds of the stage, so that they and those of intercepts are two things."""
    rows = np.eye(len(STAGES))[stage]
    centre = (x @ rows) / np.maximum(rows.sum(axis=0), 1.0)
    design = np.column_stack([x, rows, rows * (x - centre[stage])[:, None]])
    n = len(STAGES)
    prior = Prior(np.array([1.0, *np.zeros(2 * n)]), np.array([1e-6, *np.full(n, SHIFT), *np.full(n, TILT)]))
    found = fit(design, target, prior, weight)
    lift, turn = found[1 : n + 1], np.maximum(found[n + 1 :], LEAST_SLOPE - 1)
    return lift - turn * centre, 1 + turn
