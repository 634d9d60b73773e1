"""How much clinics differ in what the risks are worth: as a spread between clinics, never a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import pandas as pd

from training.evaluate.cells import LEAST_CLIENTS, cell
from training.evaluate.metrics import Ints, Vector
from training.evaluate.moments import MomentGroup
from training.fit.measures import logits
from training.fit.offsets import pool
from training.fit.sample import codes_of

LEAST_CLINICS: Final = 5
"""Clinics below which no quantile is told: of few, the quantiles are the clinics."""
QUANTILES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over clinics: lowest, lower quartile, median, upper quartile, highest."""

    lowest: float
    lower: float
    median: float
    upper: float
    highest: float


class Clinics(msgspec.Struct, frozen=True, kw_only=True):
    """Of the clinics with enough clients (`shown`, of all): the spread of observed over expected stops, of calibration in the
    large (log-odds), and of AUROC.

    `between` is the standard deviation, in log-odds, that is left between all clinics once chance is taken off
    (DerSimonian & Laird 1986): 0 means that they differ by no more than chance. `gap` says why there are no quantiles.
    """

    clinics: int
    shown: int
    least_clients: int = LEAST_CLIENTS
    between: float | None = None
    observed_expected: Spread | None = None
    intercept: Spread | None = None
    auroc: Spread | None = None
    gap: str | None = None


def clinics(frame: pd.DataFrame, target: Vector, risk: Vector, client: Ints) -> Clinics:
    """The spread between clinics, over rows whose target is known. No clinic is named or put in an order."""
    codes = codes_of(frame["clinic"])
    known = ~np.isnan(target)
    cells = [
        cell(MomentGroup("", "", codes == clinic), target, risk, client)
        for clinic in np.unique(codes[known])
        if len(np.unique(client[known & (codes == clinic)])) >= LEAST_CLIENTS
    ]
    told = [one for one in cells if one.gap is None]
    found = Clinics(clinics=len(np.unique(codes)), shown=len(told), between=_between(codes, target, risk, client))
    if len(told) < LEAST_CLINICS:
        gap = f"fewer than {LEAST_CLINICS} clinics with {LEAST_CLIENTS} clients and enough outcomes"
        return msgspec.structs.replace(found, gap=gap)
    return msgspec.structs.replace(
        found,
        observed_expected=_spread([one.calibration.observed_expected.value for one in told]),
        intercept=_spread([one.calibration.intercept.value for one in told]),
        auroc=_spread([one.auroc.value for one in told]),
    )


def _between(codes: Ints, target: Vector, risk: Vector, client: Ints) -> float | None:
    """As `training.fit.offsets` finds it; None for a single clinic."""
    known = ~np.isnan(target)
    if len(np.unique(codes[known])) < 2:
        return None
    return pool(
        codes[known], int(codes.max()) + 1, client[known], target=target[known], logits=logits(risk[known]),
        scale=np.ones(int(known.sum())),
    ).between  # fmt: skip


def _spread(values: Sequence[float | None]) -> Spread:
    found = np.quantile([value for value in values if value is not None], QUANTILES).tolist()
    return Spread(lowest=found[0], lower=found[1], median=found[2], upper=found[3], highest=found[4])
