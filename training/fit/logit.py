"""Logistic regression with a few coefficients, each with a normal prior: calibration and recalibration rest on it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

MOST_STEPS: Final = 100
CLOSE: Final = 1e-10
"""Change of a coefficient below which the search ends."""
FLAT: Final = 1e-9
"""Precision added to every coefficient, so that one that no row speaks of stays at its prior mean."""


class Prior(NamedTuple):
    """Mean and standard deviation of each coefficient; an infinite deviation says nothing."""

    mean: Vector
    deviation: Vector


def fit(design: Matrix, target: Vector, prior: Prior, weight: float = 1.0) -> Vector:
    """The coefficients that are most likely after the data, each row weighing `weight`, by Newton's method."""
    found = prior.mean.copy()
    precision = 1 / prior.deviation**2 + FLAT
    for _ in range(MOST_STEPS):
        risk = expit(design @ found)
        slope = weight * design.T @ (target - risk) - precision * (found - prior.mean)
        curve = weight * (design * (risk * (1 - risk))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curve, slope)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))  # no leap out of where the curve is known
        found = found + step
        if float(np.abs(step).max()) < CLOSE:
            break
    return found


def clustering(design: Matrix, target: Vector, coefficients: Vector, group: NDArray[np.int64]) -> float:
    """How many rows of a group are worth one that is alone (the design effect), at least 1.

    The ratio of the variance of the score between groups to that between rows (Liang & Zeger 1986, Biometrika 73:13).
    """
    scores = design * (target - expit(design @ coefficients))[:, None]
    sums = np.zeros((int(group.max()) + 1, design.shape[1]))
    np.add.at(sums, group, scores)
    alone = (scores**2).sum(axis=0)
    return max(1.0, float(np.mean((sums**2).sum(axis=0) / np.where(alone > 0, alone, 1.0))))


def expit(x: Vector) -> Vector:
    """The logistic function, without overflow at either end."""
    # Not `scipy.special.expit`: it differs in the last bit of a quarter of all values, and with them would every digest.
    e = np.exp(-np.abs(x))
    found: Vector = np.where(x >= 0, 1.0, e) / (1 + e)
    return found
