"""How well risks tell apart who stops, with intervals by bootstrap over clients, whose rows are no independent draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]  # scipy ships no types

from training.fit.measures import by_risk

Vector = NDArray[np.float64]
Ints = NDArray[np.int64]
Counts = NDArray[np.float64]
"""How often each client is in each bootstrap sample: samples by clients."""

DRAWS: Final = 300
"""Bootstrap samples of clients: some hundreds make percentile intervals steady to about a tenth of their width."""
SEED: Final = 20261122
LEVELS: Final = (2.5, 97.5)
AT_ONCE: Final = 500_000
"""Weights of rows that are worked at a time, so that they stay in the processor's cache."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 95 % interval; None where it could not be had."""

    value: float | None
    low: float | None = None
    high: float | None = None


NONE: Final = Estimate(value=None)


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


class Clusters:
    """Rows by client; `of` is the client's number of each row. `draws` are bootstrap samples of whole clients (Field & Welsh
    2007, J R Stat Soc B 69:369), always the same ones for the same clients, so that two models are compared on the same."""

    def __init__(self, client: Ints) -> None:
        names, self.of = np.unique(client, return_inverse=True)
        self._clients = len(names)

    def __len__(self) -> int:
        return self._clients

    def sums(self, values: Vector) -> Vector:
        """Values of rows, added up by client."""
        found: Vector = np.bincount(self.of, values, len(self)).astype(np.float64)
        return found

    def once(self) -> Counts:
        """Every client once: the data as they are."""
        return np.ones((1, len(self)))

    def draws(self, draws: int = DRAWS) -> Counts:
        """The bootstrap samples."""
        return _draws(len(self), draws)


@lru_cache(maxsize=4)
def _draws(clients: int, draws: int) -> Counts:
    """They depend on the number of clients alone, and one cell asks for them many times."""
    rng = np.random.default_rng(SEED)
    chosen = (rng.integers(clients, size=clients) for _ in range(draws))
    return np.array([np.bincount(one, minlength=clients) for one in chosen], dtype=np.float64)


class Discrimination(NamedTuple):
    """AUROC and average precision, one of each a sample; NaN where one class is not in it."""

    auroc: Vector
    average_precision: Vector


class Ranking:
    """Rows ranked by risk, once, and judged in many samples of their clients. `of` is the client's number of each row.

    The figures are scikit-learn's to 1e-12; asked for each of some hundred samples, it would sort all rows again. Only the
    stops are gone through one by one: of the others it is enough how many of each client lie between two stops.
    """

    def __init__(self, target: Vector, risk: Vector, of: Ints) -> None:
        order = np.argsort(-risk, kind="stable")
        stops, stays = order[target[order] == 1], order[target[order] == 0]
        here, there = -risk[stops], -risk[stays]
        above, through = (np.searchsorted(there, here, side=side) for side in ("left", "right"))
        edges = np.unique(np.r_[above, through])
        self._stops = of[stops]
        self._found = np.searchsorted(here, here, side="right")
        self._above, self._through = np.searchsorted(edges, above), np.searchsorted(edges, through)
        between = np.searchsorted(edges, np.arange(len(stays)), side="right")
        shape = (int(of.max(initial=-1)) + 1, len(edges) + 1)
        self._stays = csr_array((np.ones(len(stays)), (of[stays], between)), shape=shape)

    def judge(self, counts: Counts) -> Discrimination:
        """AUROC and average precision in each sample. Ties count half."""
        weight = counts[:, self._stops]
        found = np.cumsum(weight, axis=1)
        false = np.cumsum((self._stays.T @ counts.T).T, axis=1)
        stays = false[:, -1]
        stops = found[:, -1] if found.shape[1] else np.zeros(len(counts))
        through = false[:, self._through]
        below = stays[:, None] - (false[:, self._above] + through) / 2
        found = found[:, self._found - 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            auroc = (weight * below).sum(axis=1) / (stops * stays)
            precision = np.where(weight > 0, found / (found + through), 0.0)
            average = np.where(stays > 0, (weight * precision).sum(axis=1) / stops, np.nan)
        return Discrimination(auroc, average)


class Ordered:
    """Rows from the highest score down, to be flagged from the top. Where rows tie at the edge, each has the same chance of
    being flagged, and the figure is what is to be expected. `of` is the client's number of each row."""

    def __init__(self, target: Vector, score: Vector, of: Ints) -> None:
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        self._ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]) + 1
        self._target, self._of = target[order], of[order]

    def precision(self, counts: Counts, flagged: Vector) -> Vector:
        """The share of true ones among so many rows of highest score, in each sample; NaN where none is flagged."""
        step = max(1, AT_ONCE // max(1, len(self._of)))
        parts = [
            self._some(counts[start : start + step], flagged[start : start + step])
            for start in range(0, len(counts), step)
        ]
        return np.concatenate(parts)

    def _some(self, counts: Counts, flagged: Vector) -> Vector:
        weight = counts[:, self._of]
        ends = np.r_[0, self._ends]
        rows, true = _summed(weight)[:, ends], _summed(weight * self._target)[:, ends]
        # As if interpolated: rows that tie at the edge are true at the same rate.
        found = [np.interp(wanted, *pair) for wanted, *pair in zip(flagged, rows, true, strict=True)]
        return over(np.array(found), flagged)


def discrimination(target: Vector, risk: Vector, client: Ints) -> tuple[Estimate, Estimate]:
    """AUROC and average precision with their intervals."""
    clusters = Clusters(client)
    if not len(clusters):
        return NONE, NONE
    ranking = Ranking(target, risk, clusters.of)
    first, drawn = ranking.judge(clusters.once()), ranking.judge(clusters.draws())
    return (
        estimate(first.auroc, drawn.auroc),
        estimate(first.average_precision, drawn.average_precision),
    )


def compared(
    target: Vector, risk: Vector, other: Vector, client: Ints, figure: Callable[[Vector, Vector], Vector]
) -> Estimate:
    """A figure of two AUROCs, that of `risk` and that of `other`, on the same rows and the same samples."""
    clusters = Clusters(client)
    if not len(clusters):
        return NONE
    mine, theirs = Ranking(target, risk, clusters.of), Ranking(target, other, clusters.of)
    first, drawn = (
        figure(mine.judge(counts).auroc, theirs.judge(counts).auroc) for counts in (clusters.once(), clusters.draws())
    )
    return estimate(first, drawn)


def difference(mine: Vector, theirs: Vector) -> Vector:
    """By how much the one is above the other."""
    return mine - theirs


def share_of_excess(mine: Vector, best: Vector) -> Vector:
    """The part of what the best has above chance; NaN where the best has nothing."""
    return over(mine - 0.5, best - 0.5)


def mean_of(values: Vector, client: Ints) -> Estimate:
    """The mean over rows with its interval."""
    return ratio_of(values, np.ones(len(values)), client)


def ratio_of(upper: Vector, lower: Vector, client: Ints) -> Estimate:
    """The sum of the one over the sum of the other, with its interval."""
    clusters = Clusters(client)
    if not len(clusters):
        return NONE
    above, below = (clusters.sums(values) for values in (upper, lower))
    first, drawn = (over(counts @ above, counts @ below) for counts in (clusters.once(), clusters.draws()))
    return estimate(first, drawn)


def estimate(first: Vector, drawn: Vector) -> Estimate:
    """The figure in the data as they are, with the percentile interval of that in bootstrap samples."""
    value = float(first[0])
    if np.isnan(value):
        return NONE
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Estimate(value=value)
    low, high = np.percentile(drawn, LEVELS)
    return Estimate(value=value, low=float(low), high=float(high))


def quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Lower quartile, median, upper quartile; None of nothing."""
    if not values:
        return None
    low, median, high = np.percentile(values, (25, 50, 75)).tolist()
    return low, median, high


def calibration_curve(target: Vector, risk: Vector) -> tuple[Point, ...]:
    """Mean risk against observed rate, over groups of equal size by risk."""
    return tuple(
        Point(risk=float(risk[part].mean()), rate=float(target[part].mean()), rows=len(part)) for part in by_risk(risk)
    )


def decision_curve(target: Vector, risk: Vector, thresholds: Vector) -> tuple[Benefit, ...]:
    """Net benefit over thresholds (Vickers & Elkin 2006, Med Decis Making 26:565): true less false alarms, each false one
    weighed by the odds of the threshold."""
    rate, rows = float(target.mean()), len(target)

    def benefits() -> Iterator[Benefit]:
        for threshold in thresholds.tolist():
            odds = threshold / (1 - threshold)
            flagged = risk >= threshold
            true, false = float(target[flagged].sum()), float((1 - target[flagged]).sum())
            yield Benefit(threshold=threshold, model=(true - odds * false) / rows, everyone=rate - odds * (1 - rate))

    return tuple(benefits())


def precision_at(target: Vector, risk: Vector, flagged: float) -> float:
    """The share of true ones among the `flagged` rows of highest risk. Where rows tie at the edge, the expected share.

    >>> precision_at(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.5, 0.5, 0.1]), 2)
    0.75
    """
    everyone = Clusters(np.arange(len(target)))
    return float(Ordered(target, risk, everyone.of).precision(everyone.once(), np.array([flagged]))[0])


def _summed(weights: Counts) -> NDArray[np.float64]:
    """Running sums along each sample, beginning with 0."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, dtype=np.float64, out=sums[:, 1:])
    return sums


def over(upper: Vector, lower: Vector) -> Vector:
    """The one over the other; NaN where the other is not above 0."""
    found: Vector = np.divide(upper, lower, out=np.full(len(upper), np.nan), where=lower > 0)
    return found
