"""Figures whose intervals know that the moments of one client are alike: from sums by client, without sampling.

The variance is that of the clients' sums about what the figure says of them (Liang & Zeger 1986, Biometrika 73:13), so
a year of many clinics takes no longer than reading it.
"""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np

from training.evaluate.metrics import Estimate, Ints, Vector
from training.fit.logit import Prior, expit, fit
from training.fit.measures import WIDE, by_risk, intercept, logits


def worth(client: Ints) -> float:
    """How many clients with equally many rows the rows are worth, where all rows of a client are taken to be the same
    (Kish 1965, Survey Sampling, Wiley): the most cautious reading of how much a table tells.

    >>> worth(np.array([1, 1, 2, 2])), worth(np.array([1, 1, 1, 2]))
    (2.0, 1.6)
    """
    rows = np.unique(client, return_counts=True)[1].astype(np.float64)
    return float(rows.sum() ** 2 / (rows**2).sum()) if len(rows) else 0.0


def error_of_mean(residuals: Vector, client: Ints) -> float:
    """The standard error of a mean over rows, given by how much each row is off it."""
    return sqrt(float((_sums(residuals, client) ** 2).sum())) / len(residuals)


def ratio(above: Vector, below: Vector, client: Ints) -> Estimate:
    """The sum of one over that of the other, with an interval that is even on the log scale; None where either is 0."""
    value = float(above.sum() / below.sum()) if below.sum() > 0 else 0.0
    if value == 0:
        return Estimate(value=None)
    error = sqrt(float((_sums(above - value * below, client) ** 2).sum())) / float(above.sum())
    return Estimate(value=value, low=exp(log(value) - WIDE * error), high=exp(log(value) + WIDE * error))


def calibration_slope(target: Vector, risk: Vector, client: Ints) -> Estimate:
    """The slope of the target on the log-odds of the risk; 1 is right."""
    x = logits(risk)
    design = np.column_stack([np.ones_like(x), x])
    found = fit(design, target, Prior(np.zeros(2), np.full(2, np.inf)))
    told = expit(design @ found)
    curve = np.linalg.inv((design * (told * (1 - told))[:, None]).T @ design)
    scores = np.column_stack([_sums(column * (target - told), client) for column in design.T])
    return _about(float(found[1]), sqrt(float((curve @ scores.T @ scores @ curve)[1, 1])))


def calibration_intercept(target: Vector, risk: Vector, client: Ints) -> Estimate:
    """By how much the log-odds are off where the slope is held at 1 (calibration in the large); 0 is right."""
    x = logits(risk)
    value = intercept(x, target)
    told = expit(value + x)
    return _about(value, sqrt(float((_sums(target - told, client) ** 2).sum())) / float((told * (1 - told)).sum()))


def ece_by_chance(target: Vector, risk: Vector, client: Ints) -> float:
    """The expected calibration error that risks which are right would show on so many clients, over the same groups as
    `training.fit.measures.ece`: it is no difference below 0, so chance alone makes some."""
    parts = by_risk(risk)
    off = [target[part] - risk[part] for part in parts]
    noise = [
        sqrt(float((_sums(each - each.mean(), client[part]) ** 2).sum())) for each, part in zip(off, parts, strict=True)
    ]
    return sqrt(2 / np.pi) * sum(noise) / len(risk)


def _sums(values: Vector, client: Ints) -> Vector:
    found: Vector = np.bincount(np.unique(client, return_inverse=True)[1], weights=values).astype(np.float64)
    return found


def _about(value: float, error: float) -> Estimate:
    return Estimate(value=value, low=value - WIDE * error, high=value + WIDE * error)
