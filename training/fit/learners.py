"""The two additive learners side by side, and their average: boosted trees of one feature each, and penalised logistic
regression on bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from training.fit.bins import Bins, Codes, Matrix
from training.fit.boost import Boosted, boost, working
from training.fit.sample import Ints
from training.fit.smooth import Smooth, regress
from training.fit.steps import Steps, mixed, steps_of

Learner = Literal["both", "boosting", "logistic"]
Apart = Literal["client", "world"]
Vector = NDArray[np.float64]


class Tuning(NamedTuple):
    """What validation decides. `leaves`, `least_rows`, `shrinkage`: of trees; `ridge`: of the regression; `share`: how much
    boosting counts in the average; `power`: a row weighs 1 / n ** power, for n rows of its client at moments of its kind;
    `others`: the weight of a row at no moment of `keepwell.care.moments`."""

    leaves: int = 4
    least_rows: int = 50
    shrinkage: float = 10.0
    ridge: float = 40.0
    share: float = 0.5
    power: float = 0.0
    others: float = 0.0


class Recipe(NamedTuple):
    """What a person decides of how rows are learnt from. `treated` is the weight of rows that an alert or act may have
    changed: 1 keeps them, 0 leaves them out. `apart`: what is never both learnt from and judged by. `most`: rows that one
    fit reads; of more, so many are drawn, stops first. The result does not depend on `jobs`."""

    learner: Learner = "both"
    treated: float = 1.0
    apart: Apart = "client"
    most: int = 60_000
    seed: int = 0
    jobs: int = 1


class LearningRows(NamedTuple):
    """Rows to learn from: codes, targets, weights with a mean of about 1, where the log-odds of each begin, which are
    `offset + scale * learnt`, and whose they are."""

    codes: Codes
    target: Vector
    weight: Vector
    offset: Vector
    scale: Vector
    client: Ints

    def logits(self, found: Vector) -> Vector:
        """The log-odds where so much is learnt."""
        logits: Vector = self.offset + self.scale * found
        return logits


@dataclass(frozen=True)
class Learnt:
    """What was learnt of some rows, by each learner that was asked; `share` is that of boosting."""

    boosted: Boosted | None
    smooth: Smooth | None
    share: float

    def decision_function(self, codes: Matrix) -> Vector:
        """Log-odds of rows of codes, NaN for a missing value: the average of the learners."""
        found = np.zeros(len(codes))
        if self.boosted is not None:
            found += self.share * self.boosted.decision_function(codes)
        if self.smooth is not None:
            found += (1 - self.share) * self.smooth.decision_function(codes)
        return found

    def steps(self, bins: Bins) -> Steps:
        """The step functions of the average."""
        parts = [(self.share, self.boosted), (1 - self.share, self.smooth)]
        return mixed([(share, steps_of(one, bins)) for share, one in parts if one is not None])


def learn(bins: Bins, rows: LearningRows, held: LearningRows, recipe: Recipe, settings: Tuning) -> Learnt:
    """One fit of each learner that has a share. It takes one core: the fits are many, and threads that wait for each other
    on small pieces cost more than they give."""
    share = {"both": settings.share, "boosting": 1.0, "logistic": 0.0}[recipe.learner]
    with threadpool_limits(limits=1):
        boosted = None
        if share > 0:
            boosted = boost(
                bins,
                working(
                    bins, rows.codes, target=rows.target, weight=rows.weight, offset=rows.offset, scale=rows.scale
                ),
                working(
                    bins, held.codes, target=held.target, weight=held.weight, offset=held.offset, scale=held.scale
                ),
                leaves=settings.leaves, least_rows=settings.least_rows, shrinkage=settings.shrinkage, seed=recipe.seed,
            )  # fmt: skip
        smooth = None
        if share < 1:
            smooth = regress(
                bins, rows.codes, rows.target, rows.weight, offset=rows.offset, scale=rows.scale,
                shrinkage=settings.ridge,
            )  # fmt: skip
    return Learnt(boosted, smooth, share)
