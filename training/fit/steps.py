"""Step functions read out of a fitted additive estimator, exactly: by asking it, not by opening it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from training.fit.bins import Bins, Codes, Matrix

Vector = NDArray[np.float64]


class Additive(Protocol):
    """An estimator whose log-odds are a sum of one function a feature. It reads codes as floats, a missing one as NaN."""

    def decision_function(self, codes: Matrix) -> Vector: ...


class Steps(NamedTuple):
    """Log-odds as a base and points by feature and code; the points of a missing value come last."""

    base: float
    points: tuple[Vector, ...]

    def logits(self, codes: Codes) -> Vector:
        """The log-odds of rows."""
        found: Vector = np.full(len(codes), self.base)
        for column, points in enumerate(self.points):
            found += points[codes[:, column]]
        return found


def steps_of(estimator: Additive, bins: Bins) -> Steps:
    """The step functions of an additive estimator.

    It is asked once for a row of all first bins and once for each other code of each feature. The answers differ by that
    feature's points alone, because the estimator is additive.
    """
    sizes = [len(edges) + 2 for edges in bins.edges]
    probes = np.zeros((1 + sum(sizes), len(sizes)), dtype=np.uint8)
    row = 1
    for column, size in enumerate(sizes):
        probes[row : row + size, column] = np.arange(size)
        row += size
    answers = estimator.decision_function(with_gaps(probes, bins))
    base = float(answers[0])
    parts = np.split(answers[1:] - base, np.cumsum(sizes)[:-1])
    return Steps(base, tuple(parts))


def mean(steps: Sequence[Steps]) -> Steps:
    """The mean of step functions on the same bins."""
    columns = zip(*(one.points for one in steps), strict=True)
    points = tuple(np.mean(column, axis=0) for column in columns)
    return Steps(float(np.mean([one.base for one in steps])), points)


def mixed(parts: Sequence[tuple[float, Steps]]) -> Steps:
    """The sum of step functions on the same bins, each times its share."""
    columns = zip(*(one.points for _, one in parts), strict=True)
    shares = np.array([share for share, _ in parts])
    points = tuple(shares @ np.array(column) for column in columns)
    return Steps(float(sum(share * one.base for share, one in parts)), points)


def with_gaps(codes: Codes, bins: Bins) -> Matrix:
    """Codes as learners read them: floats, NaN for a missing value."""
    found = codes.astype(np.float64)
    found[codes == np.array([len(edges) + 1 for edges in bins.edges], dtype=np.uint8)] = np.nan
    return found
