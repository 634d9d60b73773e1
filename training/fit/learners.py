"""The two additive learners: boosted trees of one feature each, and logistic regression on the bins."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from training.fit.bins import Bins, Codes
from training.fit.signs import SIGNS
from training.fit.steps import with_gaps

Learner = Literal["boosting", "logistic"]
Vector = NDArray[np.float64]

MOST_TREES: Final = 400
PATIENCE: Final = 10
"""Trees without a gain on the held-out clients after which boosting stops."""
FORGETS: Final = 1e-6
"""A gain in log loss below this is none."""


class Tuning(NamedTuple):
    """What validation decides. `power`: a row weighs 1 / n ** power, for n rows of its client."""

    leaves: int = 4
    least_rows: int = 50
    shrinkage: float = 10.0
    rate: float = 0.2
    power: float = 0.5


class Recipe(NamedTuple):
    """What a person decides of how rows are learnt from. `treated` is the weight of rows that an alert or act may have
    changed: 1 keeps them, 0 leaves them out. The result does not depend on `jobs`."""

    learner: Learner = "boosting"
    treated: float = 1.0
    seed: int = 0
    jobs: int = 1


class LearningRows(NamedTuple):
    """Rows to learn from: codes, targets, weights with a mean of about 1."""

    codes: Codes
    target: Vector
    weight: Vector


def boost(
    bins: Bins, rows: LearningRows, held: LearningRows, settings: Tuning, seed: int
) -> HistGradientBoostingClassifier:
    """Boosts trees of one feature each, with the signs of `SIGNS`, until the loss on held-out rows falls no more."""
    booster = HistGradientBoostingClassifier(
        learning_rate=settings.rate,
        max_iter=MOST_TREES,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.least_rows,
        l2_regularization=settings.shrinkage,
        interaction_cst="no_interactions",
        monotonic_cst=[SIGNS[name][0] if name in SIGNS else 0 for name in bins.features],
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        tol=FORGETS,
        random_state=seed,
    )
    codes = with_gaps(rows.codes, bins)
    codes[:, np.isnan(codes).all(axis=0)] = 0  # scikit-learn cannot bin a column of gaps; a constant one is never split
    return booster.fit(
        codes, rows.target, sample_weight=rows.weight,
        X_val=with_gaps(held.codes, bins), y_val=held.target, sample_weight_val=held.weight,
    )  # fmt: skip


def regress(bins: Bins, rows: LearningRows, shrinkage: float) -> Any:
    """Logistic regression with one coefficient a bin, of which `shrinkage` is the ridge penalty."""
    categories = [[*range(len(edges) + 1), np.nan] for edges in bins.edges]
    model = make_pipeline(
        OneHotEncoder(categories=categories, handle_unknown="ignore"),
        LogisticRegression(C=1 / shrinkage, max_iter=300, solver="lbfgs"),
    )
    return model.fit(with_gaps(rows.codes, bins), rows.target, logisticregression__sample_weight=rows.weight)
