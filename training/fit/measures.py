"""How good risks are: discrimination, calibration, loss. The few figures that a fit decides by and a release states."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from training.fit.logit import Prior, fit

Vector = NDArray[np.float64]

GROUPS: Final = 10
"""Groups of equal size, by risk, over which calibration error is taken, and points of a calibration curve."""
WIDE: Final = 1.959964
"""Standard errors to either side of a 95 % interval."""
LEAST_RISK: Final = 1e-6
"""Risks are kept this far from 0 and 1 where a logarithm is taken."""


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one output. `slope` and `intercept` are those of calibration, 1 and 0 at best; `ece` is the expected calibration
    error over ten groups of equal size; `skill` is the Brier skill against the base rate."""

    rows: int
    positive: int
    auroc: float
    log_loss: float
    brier: float
    skill: float
    slope: float
    intercept: float
    ece: float


def measures(target: Vector, risk: Vector) -> Measures:
    """The measures of risks. Raises `ValueError` where the target is of one class only."""
    rate = float(target.mean())
    brier = float(brier_score_loss(target, risk))
    slope, intercept = calibration(target, risk)
    return Measures(
        rows=len(target),
        positive=int(target.sum()),
        auroc=auroc(target, risk),
        log_loss=log_loss(target, risk),
        brier=brier,
        skill=1 - brier / (rate * (1 - rate)),
        slope=slope,
        intercept=intercept,
        ece=ece(target, risk),
    )


def auroc(target: Vector, risk: Vector) -> float:
    """The chance that of one row of each class the positive one has the higher risk."""
    if target.min() == target.max():
        raise ValueError("one class only: there is nothing to tell apart")
    return float(roc_auc_score(target, risk))


def log_loss(target: Vector, risk: Vector) -> float:
    """The mean negative log-likelihood a row."""
    return float(np.mean(losses(target, risk)))


def losses(target: Vector, risk: Vector) -> Vector:
    """The negative log-likelihood of each row."""
    # Not scikit-learn's mean: it adds otherwise, which shows in the last digits of reports and so in every digest.
    risk = np.clip(risk, LEAST_RISK, 1 - LEAST_RISK)
    found: Vector = -(target * np.log(risk) + (1 - target) * np.log1p(-risk))
    return found


def logits(risk: Vector) -> Vector:
    """The log-odds of risks."""
    risk = np.clip(risk, LEAST_RISK, 1 - LEAST_RISK)
    # Not `scipy.special.logit`: it differs in the last bit of every seventh value, and with it would reports and digests.
    found: Vector = np.log(risk / (1 - risk))
    return found


def calibration(target: Vector, risk: Vector) -> tuple[float, float]:
    """Slope of the target on the log-odds of the risk, and intercept with the slope held at 1 (calibration in the large)."""
    free = Prior(np.zeros(2), np.full(2, np.inf))
    x = logits(risk)
    design = np.column_stack([np.ones_like(x), x])
    return float(fit(design, target, free)[1]), intercept(x, target)


def intercept(x: Vector, target: Vector) -> float:
    """The intercept of the target on log-odds whose slope is held at 1."""
    held = Prior(np.array([0.0, 1.0]), np.array([np.inf, 1e-6]))
    return float(fit(np.column_stack([np.ones_like(x), x]), target, held)[0])


def by_risk(risk: Vector) -> list[NDArray[np.int64]]:
    """The places of rows in groups of equal size, from the lowest risk to the highest."""
    return np.array_split(np.argsort(risk, kind="stable"), min(GROUPS, len(risk)))


def ece(target: Vector, risk: Vector) -> float:
    """The mean distance of risk and rate over groups of equal size by risk."""
    parts = by_risk(risk)
    return float(sum(abs(target[part].mean() - risk[part].mean()) * len(part) for part in parts) / len(risk))
