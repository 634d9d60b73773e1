"""Whether the percentages hold now that outcomes are known, and whether the risks still tell apart who stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from keepwell.scoring.scorecard import HEADLINE, OUTPUTS, Output
from training.evaluate.metrics import Estimate, Point, calibration_curve, discrimination
from training.fit.bins import Matrix
from training.fit.measures import measures
from training.fit.recalibrate import ENOUGH_STOPS
from training.fit.sample import Sample
from training.monitor.clustered import calibration_intercept, calibration_slope, ece_by_chance, ratio

LEAST_STOPS: Final = 20
"""Episodes of a kind, below which nothing is said of how true the percentages are; ours."""
SLOPE_HOLDS: Final = (0.9, 1.1)
RATE_HOLDS: Final = (0.8, 1.25)
"""Slope, and observed over expected, within which calibration is called good whatever the interval; ours: less than
clinics differ in base rate and slope (Van Calster et al. 2019, BMC Med 17:230)."""


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """One output on the moments of the window whose outcome is settled.

    `episodes` are those with a moment that came true; intervals are clustered by client. `off`: slope or
    observed/expected lies outside `SLOPE_HOLDS` or `RATE_HOLDS`, and its interval leaves out 1. `rough`: fewer than
    `ENOUGH_STOPS` episodes. `treated` is the share of moments shortly after an alert or an act, `untreated`
    observed/expected without them. `auroc_before` is the release's own. `gap` says why figures are missing.
    """

    output: str
    rows: int
    episodes: int
    observed: float | None = None
    expected: float | None = None
    ratio: Estimate = Estimate(value=None)
    slope: Estimate = Estimate(value=None)
    intercept: Estimate = Estimate(value=None)
    ece: float | None = None
    ece_by_chance: float | None = None
    auroc: Estimate = Estimate(value=None)
    auroc_before: float | None = None
    treated: float = 0.0
    untreated: Estimate = Estimate(value=None)
    curve: tuple[Point, ...] = ()
    off: bool = False
    rough: bool = False
    gap: str | None = None


def calibrated(sample: Sample, risks: Matrix, before: Mapping[Output, float | None]) -> tuple[Calibrated, ...]:
    """Every output; `before` holds the AUROC that the release tells of itself, by output, None where it has none."""
    return tuple(_of(sample, risks, output, before.get(OUTPUTS[output])) for output in range(len(OUTPUTS)))


def _of(sample: Sample, risks: Matrix, output: int, before: float | None) -> Calibrated:
    known = sample.known(output)
    target, risk, client = sample.targets[known, output], risks[known, output], sample.client[known]
    episodes = len(np.unique(sample.episode[known][target == 1]))
    base = Calibrated(output=OUTPUTS[output], rows=len(target), episodes=episodes)
    if np.isnan(risks[:, output]).any():
        return msgspec.structs.replace(base, gap="the release does not tell it")
    if episodes < LEAST_STOPS:
        return msgspec.structs.replace(
            base,
            gap=f"{episodes} episodes with a known outcome of this kind; at least {LEAST_STOPS} are needed to judge",
        )
    if target.all():
        return msgspec.structs.replace(base, gap="one outcome only: there is nothing to tell apart")
    found = measures(target, risk)
    slope, rate = calibration_slope(target, risk, client), ratio(target, risk, client)
    treated = sample.treated[known]
    return msgspec.structs.replace(
        base,
        observed=float(target.mean()),
        expected=float(risk.mean()),
        ratio=rate,
        slope=slope,
        intercept=calibration_intercept(target, risk, client),
        ece=found.ece,
        ece_by_chance=ece_by_chance(target, risk, client),
        # Only the headline's is judged, and its interval takes some hundred passes.
        auroc=discrimination(target, risk, client)[0] if output == HEADLINE else Estimate(value=found.auroc),
        auroc_before=before,
        treated=float(treated.mean()),
        untreated=ratio(target[~treated], risk[~treated], client[~treated]) if treated.any() else rate,
        curve=calibration_curve(target, risk),
        off=_off(slope, SLOPE_HOLDS) or _off(rate, RATE_HOLDS),
        rough=episodes < ENOUGH_STOPS,
    )


def _off(found: Estimate, holds: tuple[float, float]) -> bool:
    if found.value is None or found.low is None or found.high is None:
        return False
    return not holds[0] <= found.value <= holds[1] and not found.low <= 1 <= found.high
