"""Penalised logistic regression on bins: step functions that are smooth where the data are, with the signs of theory.

The points of a feature are sums of increments from bin to bin, and the penalty is a ridge on the increments, so one bin's
noise does not speak (a P-spline of degree 0: Eilers & Marx 1996, Stat Sci 11:89). Where theory fixes a direction, no
increment goes against it. A missing value has points of its own. Every feature's whole range is shrunk alike, however many
bins it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]  # scipy ships no types
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from training.fit.bins import Bins, Codes, Matrix
from training.fit.logit import expit
from training.fit.signs import FAMILIES, MEMBERS, SIGNS

Vector = NDArray[np.float64]

MISSING: Final = 4.0
"""How many times more the points of a missing value are shrunk than the range of values; ours."""
OF_FAMILY: Final = 0.1
"""How many times more what a family of rare signals has in common is shrunk than another feature; ours."""
OF_MEMBER: Final = 2.0
"""The same of what sets one signal apart from its family: one too rare to be learnt alone has its family's effect; ours."""
MOST_ROUNDS: Final = 250
CLOSE: Final = 1e-5
"""Relative gain in the penalised likelihood at which the search ends."""


@dataclass(frozen=True)
class Smooth:
    """Fitted step functions: log-odds as a base and points by feature and code, the missing value's last."""

    base: float
    points: tuple[Vector, ...]

    def decision_function(self, codes: Matrix) -> Vector:
        """Log-odds of rows of codes, NaN for a missing value."""
        found = np.full(len(codes), self.base)
        for column, points in zip(codes.T, self.points, strict=True):
            found += points[np.where(np.isnan(column), len(points) - 1, column).astype(np.intp)]
        return found


class _Layout(NamedTuple):
    """Where each feature's parameters stand after the base (`starts`): an increment for each edge, then the points of the
    missing value; and where its codes stand among those of all features (`firsts`), with the end of all."""

    starts: NDArray[np.int64]
    firsts: NDArray[np.int64]

    @classmethod
    def of(cls, bins: Bins) -> _Layout:
        sizes = np.array([len(edges) + 1 for edges in bins.edges])
        ends = np.cumsum([0, *sizes])
        return cls(ends + 1, ends + np.arange(len(sizes) + 1))

    def split(self, values: Vector) -> list[Vector]:
        """Values of all codes, feature by feature."""
        return np.split(values, self.firsts[1:-1])

    def points(self, found: Vector) -> Vector:
        """The points of all codes, not centred."""
        told = np.zeros(self.firsts[-1])
        for first, start, end in zip(self.firsts, self.starts, self.starts[1:], strict=False):
            size = end - start
            np.cumsum(found[start : end - 1], out=told[first + 1 : first + size])
            told[first + size] = found[end - 1]
        return told

    def gathered(self, slopes: Vector, total: float) -> Vector:
        """Slopes of all codes as slopes of the parameters; `total` is that of the base."""
        grown = np.empty(self.starts[-1])
        grown[0] = total
        for first, start, end in zip(self.firsts, self.starts, self.starts[1:], strict=False):
            size = end - start
            grown[start : end - 1] = np.cumsum(slopes[first + 1 : first + size][::-1])[::-1]
            grown[end - 1] = slopes[first + size]
        return grown


def regress(
    bins: Bins, codes: Codes, target: Vector, weight: Vector, *, offset: Vector, scale: Vector, shrinkage: float
) -> Smooth:
    """Fits log-odds `offset + scale * (base + points)` to rows.

    `shrinkage` is the precision of the prior of a feature's whole range in log-odds: 25 expects it to be about .2.
    """
    layout = _Layout.of(bins)
    told, back = _indicators(codes, layout)
    share = (back @ weight) / weight.sum()
    penalty = _penalties(bins, layout, shrinkage)
    # The search goes in units of about how far each parameter may lie from its best, in which all directions are alike.
    unit = 1 / np.sqrt(penalty + _information(layout, share, target, weight * scale**2))

    def loss(place: Vector) -> tuple[float, Vector]:
        found = unit * place
        # Points are centred on the rows, so that the base is what is usual and hardly moves with them.
        points = layout.points(found)
        logits = offset + scale * (found[0] - points @ share + told @ points)
        value = float(np.sum(weight * (np.logaddexp(0.0, logits) - target * logits)))
        slope = weight * (expit(logits) - target) * scale
        total = float(slope.sum())
        grown = layout.gathered(back @ slope - total * share, total)
        return value + 0.5 * float(np.sum(penalty * found**2)), unit * (grown + penalty * found)

    answer = minimize(
        loss, np.zeros(len(penalty)), jac=True, method="L-BFGS-B", bounds=_bounds(bins, layout),
        options={"maxiter": MOST_ROUNDS, "maxcor": 20, "ftol": CLOSE, "gtol": 1e-4},
    )  # fmt: skip
    found = unit * answer.x
    points = layout.points(found)
    parts = zip(layout.split(points), layout.split(share), strict=True)
    return Smooth(float(found[0]), tuple(one - one @ here for one, here in parts))


def _indicators(codes: Codes, layout: _Layout) -> tuple[csr_array, csr_array]:
    """Rows by codes of all features, 1 where a row has a code; and the same turned round."""
    rows, columns = codes.shape
    places = (codes + layout.firsts[:-1].astype(np.int32)).ravel()
    told = csr_array((np.ones(len(places)), places, np.arange(0, len(places) + 1, columns)), (rows, layout.firsts[-1]))
    return told, told.T.tocsr()


def _penalties(bins: Bins, layout: _Layout, shrinkage: float) -> Vector:
    found = np.zeros(layout.starts[-1])
    for name, start, end in zip(bins.features, layout.starts, layout.starts[1:], strict=False):
        times = OF_FAMILY if name in FAMILIES else OF_MEMBER if name in MEMBERS else 1.0
        found[start : end - 1] = shrinkage * times * max(end - start - 1, 1)
        found[end - 1] = shrinkage * MISSING
    return found


def _information(layout: _Layout, share: Vector, target: Vector, weight: Vector) -> Vector:
    """What the rows tell of each parameter alone, about: where every row is at the base rate."""
    rate = float(np.average(target, weights=weight))
    told = max(rate * (1 - rate), 1e-6) * float(weight.sum())
    beyond = layout.gathered(share, 1.0)  # share of the rows above each edge, and of those that are missing
    found = told * beyond * (1 - beyond)
    found[0] = told
    return found


def _bounds(bins: Bins, layout: _Layout) -> Sequence[tuple[float | None, float | None]]:
    found: list[tuple[float | None, float | None]] = [(None, None)]
    for name, start, end in zip(bins.features, layout.starts, layout.starts[1:], strict=False):
        sign = SIGNS[name][0] if name in SIGNS else 0
        bound = (0.0 if sign > 0 else None, 0.0 if sign < 0 else None)
        found += [bound] * int(end - start - 1) + [(None, None)]
    return found
