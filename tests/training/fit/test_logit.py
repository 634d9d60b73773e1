"""The small logistic regression, and the calibration that rests on it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.fit.logit import Prior, clustering, expit, fit
from training.fit.measures import auroc, calibration, ece, measures

VAGUE = Prior(np.zeros(2), np.full(2, np.inf))


def drawn(rows: int, seed: int = 1, slope: float = 1.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(-1, 1.5, rows)
    return np.column_stack([np.ones(rows), x]), (rng.random(rows) < expit(0.4 + slope * x)).astype(float)


def test_without_a_prior_it_is_maximum_likelihood() -> None:
    design, target = drawn(3000)
    known = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(design[:, 1:], target)
    assert fit(design, target, VAGUE) == pytest.approx([known.intercept_[0], known.coef_[0][0]], abs=1e-4)


def test_a_narrow_prior_holds_and_a_row_of_little_weight_hardly_moves() -> None:
    design, target = drawn(500)
    free = fit(design, target, VAGUE)
    near = fit(design, target, Prior(np.array([0.0, 1.0]), np.array([np.inf, 0.05])))
    light = fit(design, target, Prior(np.array([0.0, 1.0]), np.array([1.0, 0.2])), weight=1e-4)
    assert abs(near[1] - 1) < abs(free[1] - 1)
    assert light == pytest.approx([0, 1], abs=0.02)


def test_parted_classes_do_not_run_away_under_a_prior() -> None:
    design = np.column_stack([np.ones(20), np.r_[np.full(10, -3.0), np.full(10, 3.0)]])
    found = fit(design, np.r_[np.zeros(10), np.ones(10)], Prior(np.array([0.0, 1.0]), np.array([1.0, 0.2])))
    assert np.isfinite(found).all() and 0.5 < found[1] < 2


def test_rows_told_ten_times_weigh_a_tenth() -> None:
    design, target = drawn(400)
    group = np.arange(400)
    every = np.repeat(group, 10)
    coefficients = fit(design, target, VAGUE)
    assert clustering(design, target, coefficients, group) == pytest.approx(1)
    assert clustering(design[every], target[every], coefficients, every) == pytest.approx(10)


def test_risks_from_their_own_model_are_calibrated() -> None:
    design, target = drawn(60_000)
    risk = expit(design @ [0.4, 1.3])
    slope, intercept = calibration(target, risk)
    assert slope == pytest.approx(1, abs=0.03) and intercept == pytest.approx(0, abs=0.04)
    assert ece(target, risk) < 0.01
    assert ece(target, np.minimum(risk + 0.2, 1)) > 0.1
    assert measures(target, risk).skill > 0.2


def test_one_class_has_no_auroc() -> None:
    with pytest.raises(ValueError, match="one class only"):
        auroc(np.ones(5), np.linspace(0, 1, 5))
