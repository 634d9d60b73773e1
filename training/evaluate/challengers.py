"""Models that may do what the additive one may not: what its being readable costs in discrimination."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from training.dataset.split import folds
from training.evaluate.metrics import SEED, Vector

FOLDS: Final = 3
TREES, RATE, LEAVES, LEAST_ROWS = 150, 0.06, 31, 40
"""Usual settings of gradient boosting, the same for both; not tuned."""
BOOSTING: Final = "Gradient boosting without constraints (scikit-learn)"
LIGHTGBM: Final = "LightGBM"


def challengers() -> dict[str, Callable[[], Any]]:
    """What makes each challenger, by its name. LightGBM is there only where it is installed."""
    found: dict[str, Callable[[], Any]] = {BOOSTING: _boosting}
    if find_spec("lightgbm") is not None:
        found[LIGHTGBM] = _lightgbm
    return found


def out_of_fold(make: Callable[[], Any], frame: pd.DataFrame, values: NDArray[np.float64], target: Vector) -> Vector:
    """Risks of rows whose target is known, each from a model that saw no row of the same client; NaN elsewhere.

    Raises `ValueError` for fewer clients than folds.
    """
    risk = np.full(len(target), np.nan)
    known = ~np.isnan(target)
    for split in folds(frame, "client", FOLDS):
        train, test = split.train & known, split.test & known
        if test.any() and len(np.unique(target[train])) == 2:
            told = ~np.isnan(values[train]).all(axis=0)  # scikit-learn finds no bins for a column without any value
            with threadpool_limits(limits=1):  # threads that wait for each other on a busy machine cost ten times more
                model = make().fit(values[train][:, told], target[train])
                risk[test] = model.predict_proba(values[test][:, told])[:, 1]
    return risk


def _boosting() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=RATE, max_iter=TREES, max_leaf_nodes=LEAVES, min_samples_leaf=LEAST_ROWS, early_stopping=False,
        random_state=SEED,
    )  # fmt: skip


def _lightgbm() -> Any:
    return import_module("lightgbm").LGBMClassifier(
        learning_rate=RATE, n_estimators=TREES, num_leaves=LEAVES, min_child_samples=LEAST_ROWS, n_jobs=1,
        deterministic=True, force_row_wise=True, random_state=SEED, verbose=-1,
    )  # fmt: skip
