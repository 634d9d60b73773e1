"""Whether the percentages are true: calibration in a group of rows, with intervals that know that rows come by client."""

from __future__ import annotations

from math import sqrt
from typing import Final

import msgspec
import numpy as np

from training.evaluate.metrics import NONE, Clusters, Estimate, Ints, Vector, ratio_of
from training.fit.logit import Matrix, Prior, expit, fit
from training.fit.measures import WIDE, intercept, logits

FREE: Final = Prior(np.array([0.0, 1.0]), np.full(2, np.inf))
"""Nothing is known of intercept and slope before."""


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Calibration slope and intercept, 1 and 0 at best, and observed over expected stops, 1 at best. The intercept is that
    with a slope of 1 (calibration in the large)."""

    slope: Estimate = NONE
    intercept: Estimate = NONE
    observed_expected: Estimate = NONE


def reliability(target: Vector, risk: Vector, client: Ints) -> Reliability:
    """The calibration of rows, of which both outcomes must occur.

    The intervals of slope and intercept are from variances between clients (Liang & Zeger 1986, Biometrika 73:13), that of
    observed over expected from bootstrap samples of clients.
    """
    x = logits(risk)
    clusters = Clusters(client)
    design = np.column_stack([np.ones_like(x), x])
    slope = _coefficients(design, target, clusters, fit(design, target, FREE))[1]
    at_one = np.array([intercept(x, target), 1.0])
    return Reliability(
        slope=slope,
        intercept=_coefficients(design, target, clusters, at_one, held=1)[0],
        observed_expected=ratio_of(target, risk, client),
    )


def _coefficients(design: Matrix, target: Vector, clusters: Clusters, found: Vector, held: int = 0) -> list[Estimate]:
    """Coefficients with their intervals; the last `held` of them are given, not estimated."""
    risk = expit(design @ found)
    free = design[:, : design.shape[1] - held]
    information = (free * (risk * (1 - risk))[:, None]).T @ free
    residuals = free * (target - risk)[:, None]
    scores = np.column_stack([clusters.sums(column) for column in residuals.T])
    try:
        bread = np.linalg.inv(information)
    except np.linalg.LinAlgError:  # one and the same risk for every row has no slope
        return [Estimate(value=float(value)) for value in found]
    spread = bread @ (scores.T @ scores) @ bread * len(clusters) / max(1, len(clusters) - 1)
    return [
        Estimate(value=float(value), low=float(value - WIDE * error), high=float(value + WIDE * error))
        for value, error in zip(found, (sqrt(max(0.0, one)) for one in np.diag(spread)), strict=False)
    ]
