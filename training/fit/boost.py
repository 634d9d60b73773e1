"""Boosted trees of one feature each, from any starting point: a few rounds of LogitBoost over scikit-learn's trees.

scikit-learn's boosting classifier takes no starting log-odds, its regressor needs none: each round fits, by weighted least
squares, the step from the present log-odds that Newton's method would take (Friedman, Hastie & Tibshirani 2000, Ann Stat
28:337), with as many trees as rows held out bear. The sum of the rounds is additive, as each tree is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from training.fit.bins import Bins, Codes, Matrix
from training.fit.logit import expit
from training.fit.signs import SIGNS
from training.fit.steps import with_gaps

Vector = NDArray[np.float64]

ROUNDS: Final = 2
"""The second mends what the first took for straight; ours, for the time that a third takes."""
MOST_TREES: Final = 200
"""A round."""
PATIENCE: Final = 5
"""Trees without a gain on the held-out rows after which a round stops."""
FORGETS: Final = 1e-6
"""A gain below this is none."""
RATE: Final = 0.3
LEAST_VARIANCE: Final = 0.005
"""Of a row's outcome, below which it is taken to be this: a row that is all but certain must not lead a round."""


@dataclass(frozen=True)
class Boosted:
    """Rounds of boosting whose sum is the log-odds."""

    rounds: tuple[Any, ...]

    def decision_function(self, codes: Matrix) -> Vector:
        """Log-odds of rows of codes, NaN for a missing value."""
        found = np.zeros(len(codes))
        for one in self.rounds:
            found += one.predict(codes)
        return found


@dataclass(frozen=True)
class Working:
    """Rows at present: codes as trees read them, targets, weights, and the log-odds `offset + scale * found`."""

    codes: Matrix
    target: Vector
    weight: Vector
    offset: Vector
    scale: Vector

    def step(self, found: Vector) -> tuple[Vector, Vector]:
        """Newton's response and weight of each row."""
        risk = expit(self.offset + self.scale * found)
        variance = np.maximum(risk * (1 - risk), LEAST_VARIANCE)
        return (self.target - risk) / (variance * self.scale), self.weight * variance * self.scale**2


def boost(
    bins: Bins, rows: Working, held: Working, *, leaves: int, least_rows: int, shrinkage: float, seed: int
) -> Boosted:
    """Boosts with the signs of `SIGNS`, each round until the held-out rows gain no more."""
    signs = [SIGNS[name][0] if name in SIGNS else 0 for name in bins.features]
    found, seen = np.zeros(len(rows.target)), np.zeros(len(held.target))
    rounds: list[Any] = []
    for number in range(ROUNDS):
        response, weight = rows.step(found)
        asked, heft = held.step(seen)
        booster = HistGradientBoostingRegressor(
            learning_rate=RATE,
            max_iter=MOST_TREES,
            max_leaf_nodes=leaves,
            min_samples_leaf=least_rows,
            l2_regularization=shrinkage,
            interaction_cst="no_interactions",
            monotonic_cst=signs,
            early_stopping=True,
            n_iter_no_change=PATIENCE,
            tol=FORGETS,
            random_state=seed + number,
        )
        booster.fit(rows.codes, response, sample_weight=weight, X_val=held.codes, y_val=asked, sample_weight_val=heft)
        rounds.append(booster)
        found = found + booster.predict(rows.codes)
        seen = seen + booster.predict(held.codes)
    return Boosted(tuple(rounds))


def working(bins: Bins, codes: Codes, *, target: Vector, weight: Vector, offset: Vector, scale: Vector) -> Working:
    """Rows as trees read them."""
    read = with_gaps(codes, bins)
    read[:, np.isnan(read).all(axis=0)] = 0  # scikit-learn cannot bin a column of gaps; a constant one is never split
    return Working(read, target, weight, offset, scale)
