"""Bins: few, well filled, with edges that a person can read. Every learner sees a feature through its bins alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, log10
from typing import Final, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from keepwell.contract.words import Unit
from keepwell.scoring.features import BY_NAME

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Codes = NDArray[np.uint8]
Column = Callable[[str], Vector]
"""The values of a feature by its name, NaN where missing."""

MOST: Final = 24
"""Bins of equal numbers of rows that a feature may have, beside finer ones at its ends; ours. More made no model better on
the simulated presets."""
FINER: Final = 32
"""By so much the outermost bins are smaller than those of the middle: what is rare is often what tells most."""
LEAST_ROWS: Final = 50
"""Rows a bin holds at least, and a feature to be looked at at all; ours."""
SLACK: Final = 0.4
"""By this share of the rows of a bin an edge may move to a rounder number; ours."""
GRAIN: Final[Mapping[Unit, float]] = {
    "days": 0.5, "hours": 1.0, "minutes": 1.0, "weeks": 0.5, "share": 0.01, "points of 10": 0.1, "-1 to 1": 0.1,
    "standard errors": 0.1, "reliable changes": 0.1, "times the usual interval": 0.05,
    "sessions a week": 0.05,
}  # fmt: skip
"""By unit, the finest step that is worth telling apart; 1 of what is counted. Finer ones say how a platform stamps its
events, not how a person does."""


class Bins(NamedTuple):
    """The edges of each feature: code `i` is a value from `edges[i-1]` (inclusive) to `edges[i]` (exclusive)."""

    features: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]

    def codes(self, column: Column, jobs: int = 1) -> Codes:
        """The codes of a table, rows by features; that of a missing value comes after those of the bins.

        Raises what `column` raises where a feature has none.
        """
        named = zip(self.features, self.edges, strict=True)
        coded = Parallel(n_jobs=jobs, prefer="threads")(delayed(_coded)(column, *each) for each in named)
        return np.array(coded, dtype=np.uint8).T  # columns in one piece: they are read one by one

    def only(self, features: Sequence[str]) -> Bins:
        """The bins of some features, in their order here."""
        kept = [(name, edges) for name, edges in zip(self.features, self.edges, strict=True) if name in features]
        return Bins(tuple(name for name, _ in kept), tuple(edges for _, edges in kept))


def bins_of(column: Column, names: Sequence[str], jobs: int = 1) -> Bins:
    """Bins of about equal numbers of rows, for every feature whose column takes two values, or one that may be missing.

    >>> bins_of(lambda name: np.repeat([0.0, 1.0, 2.0], 60), ["missed"])
    Bins(features=('missed',), edges=((1.0, 2.0),))
    """
    # Numpy sorts without the interpreter's lock, so threads do.
    found = Parallel(n_jobs=jobs, prefer="threads")(delayed(_edges_of)(column, name) for name in names)
    kept = [(name, edges) for name, edges in zip(names, found, strict=True) if edges is not None]
    return Bins(tuple(name for name, _ in kept), tuple(edges for _, edges in kept))


def in_matrix(values: Matrix, names: Sequence[str]) -> Column:
    """The columns of a matrix by their names. Asked for another, they raise `ValueError`."""

    def column(name: str) -> Vector:
        if name not in names:
            raise ValueError(f"{name}: no such column")
        return values[:, names.index(name)]

    return column


def roundest(low: float, high: float) -> float:
    """The number above `low` and not above `high` with the fewest digits; of these the highest.

    >>> roundest(2.0, 3.0), roundest(3.4973958, 3.6), roundest(-0.25, 0.125), roundest(6.2, 8.7)
    (3.0, 3.6, 0.0, 8.0)
    """
    if low < 0 <= high:
        return 0.0
    for digits in range(-floor(log10(max(abs(low), abs(high)))), 17):
        found = round(floor(high * 10.0**digits) / 10.0**digits, max(digits, 0))
        if low < found <= high:
            return found
    return high


def _coded(column: Column, name: str, edges: tuple[float, ...]) -> Codes:
    values = column(name)
    codes = np.searchsorted(np.asarray(edges), values, side="right").astype(np.uint8)
    codes[np.isnan(values)] = len(edges) + 1
    return codes


def _edges_of(column: Column, name: str) -> tuple[float, ...] | None:
    """The edges of a feature; None where it has too few values to be looked at."""
    values = column(name)
    present = values[~np.isnan(values)]
    if len(present) < LEAST_ROWS:
        return None
    edges = _edges(present, MOST, GRAIN.get(BY_NAME[name].unit, 1.0))
    return edges if edges or len(values) - len(present) >= LEAST_ROWS else None


def _edges(present: NDArray[np.float64], most: int, grain: float) -> tuple[float, ...]:
    """Edges with at least `LEAST_ROWS` rows between any two, and beyond the first and last."""
    steps, counts = np.unique(np.floor(present / grain + 1e-9), return_counts=True)
    distinct = np.round(steps * grain, 9)
    below = np.cumsum(counts)  # rows at or below each distinct value
    rows = int(below[-1])
    edges: list[float] = []
    held = 0  # rows below the last edge
    while True:
        # Bins double from either end until they are as large as those of the middle.
        wanted = max(LEAST_ROWS, min(rows / most, max(held, rows / most / FINER), (rows - held) / 2))
        last = int(np.searchsorted(below, held + wanted))  # the value that fills the bin
        if last >= len(distinct) - 1 or rows - below[last] < LEAST_ROWS:
            return tuple(edges)
        if counts[last] >= wanted and below[last] - counts[last] - held >= LEAST_ROWS:
            last -= 1  # a value that many rows share has a bin of its own
        slack = min(below[last] + wanted * SLACK, rows - LEAST_ROWS)
        beyond = max(int(np.searchsorted(below, slack, side="right")), last + 1)
        edge = roundest(float(distinct[last]), float(distinct[beyond]))
        edges.append(edge)
        held = int(below[int(np.searchsorted(distinct, edge)) - 1])
