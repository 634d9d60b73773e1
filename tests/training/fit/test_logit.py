"""The small logistic regression, and the calibration that rests on it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.fit.calibrate import LEAST_SLOPE, SESSION_EDGES, Calibration, calibrate, session_bins
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


def test_calibration_undoes_what_was_wrong_by_slope_intercept_and_session() -> None:
    rng = np.random.default_rng(3)
    session = rng.integers(0, 30, 80_000)
    truth = rng.normal(-2, 1, 80_000) + np.where(session == 0, 0.5, 0.0)
    target = (rng.random(80_000) < expit(truth)).astype(float)
    raw = (truth - np.where(session == 0, 0.5, 0.0)) * 2 + 1
    risk = expit(calibrate(raw, target, session).of(raw, session))
    assert calibration(target, risk) == pytest.approx((1, 0), abs=0.05)
    first = session == 0
    assert risk[first].mean() == pytest.approx(target[first].mean(), abs=0.015)


def test_a_model_that_learnt_nothing_gives_everybody_about_the_same_risk() -> None:
    rng = np.random.default_rng(4)
    raw, target = rng.normal(0, 1, 5000), (rng.random(5000) < 0.2).astype(float)
    session = np.zeros(5000, dtype=int)
    found = calibrate(-np.abs(raw) * (2 * target - 1), target, session)  # points the wrong way
    assert found.slope == LEAST_SLOPE
    assert expit(found.of(raw, session)).mean() == pytest.approx(target.mean(), abs=0.02)


def test_every_session_number_has_a_bin() -> None:
    assert session_bins(np.array([0, 1, 5, 20, 21, 900])).tolist() == [0, 1, 4, 7, 8, 8]
    assert len(SESSION_EDGES) == 8


def test_a_steeper_calibration_turns_about_the_centre() -> None:
    one = Calibration(0.2, 1.1, np.zeros(9))
    steep = one.steeper(1.05, -2.0)
    here, there = np.array([-2.0]), np.array([1.0])
    alike = np.zeros(1, dtype=int)
    assert steep.of(here, alike) == pytest.approx(one.of(here, alike))
    assert steep.of(there, alike) - steep.of(here, alike) == pytest.approx(
        1.05 * (one.of(there, alike) - one.of(here, alike))
    )
