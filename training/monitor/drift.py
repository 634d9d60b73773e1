"""Whether what comes in still looks like what a release was fitted to: PSI and KS of each feature and risk."""

from __future__ import annotations

from math import log, sqrt
from typing import Final, Literal

import msgspec
import numpy as np
import pandas as pd
from scipy.stats import chi2  # type: ignore[import-untyped]  # scipy has no types

from keepwell.care.endings import DAY
from keepwell.scoring.features import BY_NAME
from keepwell.scoring.scorecard import OUTPUTS
from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.metrics import Ints, Vector
from training.fit.bins import Bins, Matrix, in_matrix
from training.fit.reference import Counted, Reference
from training.fit.signs import NEEDS_YEARS
from training.monitor.clustered import worth

SOME: Final = 0.1
MUCH: Final = 0.25
"""PSI from which a difference is worth a look, and from which it is great: the usual marks (Siddiqi 2006, Credit Risk
Scorecards, Wiley). They are a habit, not a test; the test is `by_chance`."""
LEVEL: Final = 0.05
"""Chance that any of the features and risks of a report exceeds its `by_chance` although nothing changed."""
GONE: Final = 0.995
"""Share of moments in one bin from which nothing but that bin comes in; ours."""
WAS_THERE: Final = 0.9
"""Share of that bin in training up to which this is a loss: below, other values were to be expected; ours."""

DriftVerdict = Literal["alike", "some", "much", "unclear"]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One feature or risk beside the training data.

    `psi` without a change would be about `expected`, and stay below `by_chance` (Yurdakul & Naranjo 2020, J Risk Model
    Valid 14(4):89: about chi-squared with one degree less than bins, times 1/n + 1/m; n and m are clients here, as the
    moments of one client are alike). `ks` is the largest difference of the shares below an edge, missing values apart;
    `missing` and `missing_before` are shares. The verdict is `some` or `much` where `psi` is above the mark and above
    `by_chance`, `unclear` where it is above the mark only. `lost`: where nothing but one bin comes in now, whether
    that is the missing value.
    """

    name: str
    bins: int
    psi: float
    expected: float
    by_chance: float
    ks: float | None
    ks_by_chance: float | None
    missing: float
    missing_before: float
    verdict: DriftVerdict
    lost: Literal["missing", "constant"] | None = None


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison, most changed first. `worth` and `worth_before` are clients, of the window and of training, less
    where few of them have most of the moments. `left_out`: features that cannot be compared, with why. `gap`: why
    nothing could."""

    worth: float = 0.0
    worth_before: float = 0.0
    risks: tuple[Compared, ...] = ()
    features: tuple[Compared, ...] = ()
    left_out: dict[str, str] = {}
    gap: str | None = None

    @property
    def lost(self) -> list[Compared]:
        """The features of which nothing but one value comes in."""
        return [found for found in self.features if found.lost is not None]

    def of(self, verdict: DriftVerdict) -> list[Compared]:
        """The risks and features of a verdict."""
        return [found for found in (*self.risks, *self.features) if found.verdict == verdict]


def drift(
    reference: Reference | None, clients_before: int | None, frame: pd.DataFrame, client: Ints, risks: Matrix
) -> Drift:
    """Compares a window's landmark rows and their risks (without offsets, as in the reference) with a reference made
    from so many clients."""
    if reference is None or clients_before is None:
        return Drift(
            gap="the release has no reference.json, as one that was set by hand: there is nothing to compare with"
        )
    clients = len(np.unique(client))
    if clients < LEAST_CLIENTS:
        return Drift(gap=f"fewer than {LEAST_CLIENTS} clients in the window")
    here = worth(client)
    before = clients_before * here / clients  # as uneven as here: the reference holds counts only
    left_out = _left_out(reference, frame)
    names = [name for name in reference.features if name not in left_out]
    level = LEVEL / (len(names) + len(reference.risks))

    def compare(name: str, counted: Counted, column: Vector) -> Compared:
        return _compared(name, counted, _counts(name, counted, column), n=here, m=before, level=level)

    def most(found: Compared) -> tuple[float, str]:
        return -found.psi, found.name

    return Drift(
        worth=here,
        worth_before=before,
        risks=tuple(
            compare(name, reference.risks[name], risks[:, at])
            for at, name in enumerate(OUTPUTS)
            if name in reference.risks
        ),
        features=tuple(
            sorted(
                (compare(name, reference.features[name], frame[name].to_numpy(dtype=np.float64)) for name in names),
                key=most,
            )
        ),
        left_out=left_out,
    )


def psi(here: Vector, before: Vector, n: float, m: float) -> float:
    """The population stability index of two sets of shares by bin. To each side, one client is added who is like both
    together, so that an empty bin is no infinite change.

    >>> psi(np.array([0.5, 0.5]), np.array([0.5, 0.5]), 100, 100)
    0.0
    """
    both = (n * here + m * before) / (n + m)
    p, q = (n * here + both) / (n + 1), (m * before + both) / (m + 1)
    used = both > 0
    return float(np.sum((p[used] - q[used]) * np.log(p[used] / q[used])))


def _left_out(reference: Reference, frame: pd.DataFrame) -> dict[str, str]:
    span = frame["as_of"].astype("int64")
    years = float(span.max() - span.min()) / DAY / 365.25
    found = {}
    for name in reference.features:
        if name not in BY_NAME:
            found[name] = "no such feature in this version"
        elif name in NEEDS_YEARS and years < 1:
            found[name] = "follows the season: the window holds no whole year"
    return found


def _counts(name: str, counted: Counted, column: Vector) -> Vector:
    codes = Bins((name,), (counted.edges,)).codes(in_matrix(column[:, None], (name,)))
    return np.bincount(codes[:, 0], minlength=len(counted.edges) + 2).astype(np.float64)


def _compared(name: str, counted: Counted, counts: Vector, *, n: float, m: float, level: float) -> Compared:
    """`counts` are rows by bin, the missing ones last."""
    here, before = counts / counts.sum(), np.array([*counted.rows, counted.missing], dtype=np.float64)
    before /= before.sum()
    bins = int(((here > 0) | (before > 0)).sum())
    found, noise = psi(here, before, n, m), 1 / n + 1 / m
    by_chance = float(chi2.ppf(1 - level, max(bins - 1, 1))) * noise
    verdict: DriftVerdict = "alike"
    if found >= SOME:
        verdict = "unclear" if found <= by_chance else "some" if found < MUCH else "much"
    commonest = int(here.argmax())
    gone = here[commonest] >= GONE and before[commonest] <= WAS_THERE
    ks, ks_by_chance = _ks(here[:-1], before[:-1], n, m, level)
    return Compared(
        name=name, bins=bins, psi=found, expected=(bins - 1) * noise, by_chance=by_chance, ks=ks,
        ks_by_chance=ks_by_chance, missing=float(here[-1]), missing_before=float(before[-1]), verdict=verdict,
        lost=None if not gone else "missing" if commonest == len(here) - 1 else "constant",
    )  # fmt: skip


def _ks(here: Vector, before: Vector, n: float, m: float, level: float) -> tuple[float | None, float | None]:
    """The Kolmogorov-Smirnov distance over the bins of values that are there, and the one that chance reaches at a
    level (Smirnov 1948, Ann Math Stat 19:279; in bins it is somewhat less). None where one side has no values."""
    if not here.sum() or not before.sum():
        return None, None
    distance = np.abs(np.cumsum(here) / here.sum() - np.cumsum(before) / before.sum()).max()
    noise = 1 / (n * here.sum()) + 1 / (m * before.sum())
    return float(distance), min(1.0, sqrt(-log(level / 2) / 2 * noise))
