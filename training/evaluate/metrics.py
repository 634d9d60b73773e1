"""How well risks tell apart who stops, with intervals by bootstrap over clients, whose rows are no independent draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS: Final = 300
"""Bootstrap samples of clients: some hundreds make percentile intervals steady to about a tenth of their width."""
SEED: Final = 20261122
LEVELS: Final = (2.5, 97.5)
GROUPS: Final = 10
"""Points of a calibration curve: groups of equal size by risk."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 95 % interval; None where it could not be had."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One group of a calibration curve: mean risk, share that did stop, rows."""

    risk: float
    rate: float
    rows: int


class Benefit(msgspec.Struct, frozen=True, kw_only=True):
    """Net benefit at a threshold, per row, of the model and of calling everyone; calling nobody is worth 0."""

    threshold: float
    model: float
    everyone: float


class Discrimination(NamedTuple):
    """AUROC and average precision of one weighting."""

    auroc: float
    average_precision: float


class Ranking:
    """Targets in the order of falling risk, sorted once, so that each bootstrap sample costs one pass."""

    def __init__(self, target: Vector, risk: Vector) -> None:
        self._order = np.argsort(-risk, kind="stable")
        ordered = risk[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(risk) else np.empty(0, np.int64)
        self._target = target[self._order]

    def judge(self, weight: Vector) -> Discrimination | None:
        """AUROC and average precision of weighted rows; None where one class has no weight. Ties count half."""
        weight = weight[self._order]
        positive = np.add.reduceat(weight * self._target, self._starts)
        negative = np.add.reduceat(weight * (1 - self._target), self._starts)
        found, false = np.cumsum(positive), np.cumsum(negative)
        if not found[-1] > 0 or not false[-1] > 0:
            return None
        below = false[-1] - false + negative / 2
        auroc = float((positive * below).sum() / (found[-1] * false[-1]))
        flagged = found + false
        precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
        return Discrimination(auroc, float((positive * precision).sum() / found[-1]))


class Clusters:
    """Rows by client. `weights` are bootstrap samples of whole clients (Field & Welsh 2007, J R Stat Soc B 69:369), always
    the same ones for the same clients, so that two models are compared on the same samples."""

    def __init__(self, client: Ints) -> None:
        self._names, self._of = np.unique(client, return_inverse=True)

    def __len__(self) -> int:
        return len(self._names)

    def weights(self, draws: int = DRAWS) -> Iterator[Vector]:
        """How often each row counts, in each sample."""
        rng = np.random.default_rng(SEED)
        for _ in range(draws):
            counts = np.bincount(rng.integers(len(self), size=len(self)), minlength=len(self))
            yield counts[self._of].astype(np.float64)


def discrimination(target: Vector, risk: Vector, client: Ints) -> tuple[Estimate, Estimate]:
    """AUROC and average precision with their intervals."""
    ranking = Ranking(target, risk)
    first = ranking.judge(np.ones(len(target)))
    if first is None:
        return Estimate(value=None), Estimate(value=None)
    drawn = [found for weight in Clusters(client).weights() if (found := ranking.judge(weight)) is not None]
    return (
        estimate(first.auroc, [found.auroc for found in drawn]),
        estimate(first.average_precision, [found.average_precision for found in drawn]),
    )


def auroc_difference(target: Vector, risk: Vector, other: Vector, client: Ints) -> Estimate:
    """By how much the AUROC of `risk` is above that of `other`, on the same rows and the same samples."""
    mine, theirs = Ranking(target, risk), Ranking(target, other)

    def between(weight: Vector) -> float | None:
        one, two = mine.judge(weight), theirs.judge(weight)
        return None if one is None or two is None else one.auroc - two.auroc

    return _sampled(between, len(target), client)


def mean_of(values: Vector, client: Ints) -> Estimate:
    """The mean over rows with its interval."""

    def mean(weight: Vector) -> float | None:
        return float(np.average(values, weights=weight)) if weight.sum() > 0 else None

    return _sampled(mean, len(values), client)


def estimate(value: float, drawn: list[float]) -> Estimate:
    """A figure with the percentile interval of its bootstrap values."""
    if not drawn:
        return Estimate(value=value)
    low, high = np.percentile(drawn, LEVELS)
    return Estimate(value=value, low=float(low), high=float(high))


def calibration_curve(target: Vector, risk: Vector) -> tuple[Point, ...]:
    """Mean risk against observed rate, over groups of equal size by risk."""
    parts = np.array_split(np.argsort(risk, kind="stable"), min(GROUPS, len(risk)))
    return tuple(
        Point(risk=float(risk[part].mean()), rate=float(target[part].mean()), rows=len(part)) for part in parts
    )


def decision_curve(target: Vector, risk: Vector, thresholds: Vector) -> tuple[Benefit, ...]:
    """Net benefit over thresholds (Vickers & Elkin 2006, Med Decis Making 26:565): true less false alarms, each false one
    weighed by the odds of the threshold."""
    rate, rows = float(target.mean()), len(target)
    found = []
    for threshold in thresholds.tolist():
        odds = threshold / (1 - threshold)
        flagged = risk >= threshold
        true, false = float(target[flagged].sum()), float((1 - target[flagged]).sum())
        model = (true - odds * false) / rows
        found.append(Benefit(threshold=threshold, model=model, everyone=rate - odds * (1 - rate)))
    return tuple(found)


def precision_at(target: Vector, risk: Vector, flagged: float) -> float:
    """The share of true ones among the `flagged` rows of highest risk. Where rows tie at the edge, the expected share.

    >>> precision_at(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.5, 0.5, 0.1]), 2)
    0.75
    """
    edge = np.sort(risk)[::-1][min(max(int(np.ceil(flagged)), 1), len(risk)) - 1]
    above, tied = risk > edge, risk == edge
    share = (flagged - above.sum()) / tied.sum()
    return float((target[above].sum() + share * target[tied].sum()) / flagged)


def _sampled(figure: Callable[[Vector], float | None], rows: int, client: Ints) -> Estimate:
    value = figure(np.ones(rows)) if rows else None
    if value is None:
        return Estimate(value=None)
    drawn = [found for weight in Clusters(client).weights() if (found := figure(weight)) is not None]
    return estimate(value, drawn)
