"""Calibration: out-of-fold log-odds to risks, at each horizon and session number."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.fit.logit import Prior, fit
from training.fit.sample import Ints

Vector = NDArray[np.float64]

SESSION_EDGES: Final = (1, 2, 3, 4, 6, 9, 13, 21)
"""Bins of session number that are calibrated apart; narrow where most people leave."""
DEVIATION: Final = 0.15
"""Log-odds by which a session bin is expected to be off before any data, as a standard deviation; ours."""
LEAST_SLOPE: Final = 0.02
"""The slope of a model that learnt nothing: about the same risk for everybody."""


class Calibration(NamedTuple):
    """Log-odds are `intercept + slope * raw + shifts[session bin]`."""

    intercept: float
    slope: float
    shifts: Vector

    def of(self, raw: Vector, session: Ints) -> Vector:
        """Calibrated log-odds."""
        found: Vector = self.intercept + self.slope * raw + self.shifts[session_bins(session)]
        return found

    def steeper(self, times: float, centre: float) -> Calibration:
        """The same with a steeper slope, turned about the raw log-odds `centre`."""
        slope = self.slope * times
        return Calibration(self.intercept + (self.slope - slope) * centre, slope, self.shifts)


def calibrate(raw: Vector, target: Vector, session: Ints) -> Calibration:
    """The calibration of raw log-odds that were not fitted to these rows."""
    bins = np.eye(len(SESSION_EDGES) + 1)[session_bins(session)]
    mean = np.array([0.0, 1.0, *np.zeros(bins.shape[1])])
    vague = [np.inf, np.inf, *np.full(bins.shape[1], DEVIATION)]
    design = np.column_stack([np.ones_like(raw), raw, bins])
    found = fit(design, target, Prior(mean, np.array(vague)))
    if found[1] < LEAST_SLOPE:
        mean[1], vague[1] = LEAST_SLOPE, 1e-6
        found = fit(design, target, Prior(mean, np.array(vague)))
        found[1] = LEAST_SLOPE
        return Calibration(float(found[0]), float(found[1]), found[2:])
    return _settled(Calibration(float(found[0]), float(found[1]), found[2:]), raw, target, session)


def _settled(shrunk: Calibration, raw: Vector, target: Vector, session: Ints) -> Calibration:
    """The same with intercept and slope fitted once more, to the shifted log-odds: shrunken shifts leave something out, for
    which the slope beside them makes up by being too flat."""
    shifted = shrunk.of(raw, session)
    again = fit(np.column_stack([np.ones_like(raw), shifted]), target, Prior(np.array([0.0, 1.0]), np.full(2, np.inf)))
    intercept, slope = float(again[0]), float(again[1])
    return Calibration(intercept + slope * shrunk.intercept, slope * shrunk.slope, slope * shrunk.shifts)


def session_bins(session: Ints) -> Ints:
    """The bin of each session number."""
    return np.searchsorted(np.asarray(SESSION_EDGES), session, side="right")
