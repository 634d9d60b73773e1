"""Calibration: out of fold the log-odds that leave it are true as they stand, whatever the shifts by session leave out."""

from __future__ import annotations

import numpy as np
import pytest

from training.fit.calibrate import LEAST_SLOPE, calibrate
from training.fit.logit import Prior, expit, fit

ROWS = 4_000


@pytest.mark.parametrize("drift", [0.0, 0.3, -0.3])
def test_calibrated_log_odds_need_no_further_intercept_or_slope(drift: float) -> None:
    rng = np.random.default_rng(5)
    session = rng.integers(0, 30, ROWS)
    raw = rng.normal(-1, 1, ROWS) - drift * session / 5  # early rows differ, so the shifts and the slope share the work
    target = (rng.random(ROWS) < expit(0.4 + 0.7 * raw + drift * (session < 3))).astype(np.float64)
    logits = calibrate(raw, target, session).of(raw, session)
    again = fit(np.column_stack([np.ones(ROWS), logits]), target, Prior(np.array([0.0, 1.0]), np.full(2, np.inf)))
    assert again == pytest.approx([0.0, 1.0], abs=1e-6)


def test_sessions_with_few_rows_are_hardly_shifted_and_those_with_many_are() -> None:
    rng = np.random.default_rng(6)
    session = np.where(np.arange(ROWS) < 12, 0, 5)
    session[ROWS // 2 :] = 1
    raw = rng.normal(-1, 1, ROWS)
    target = (rng.random(ROWS) < expit(raw + 0.8 * (session < 5))).astype(np.float64)
    few, many = calibrate(raw, target, session).shifts[:2]
    assert abs(few) < 0.15 < many


def test_a_model_that_learnt_nothing_gets_about_the_same_risk_for_everybody() -> None:
    rng = np.random.default_rng(7)
    raw, session = rng.normal(0, 1, ROWS), rng.integers(0, 30, ROWS)
    target = (rng.random(ROWS) < expit(-1 - raw)).astype(np.float64)
    found = calibrate(raw, target, session)
    assert found.slope == LEAST_SLOPE
    assert expit(found.of(raw, session)).mean() == pytest.approx(target.mean(), abs=0.01)
