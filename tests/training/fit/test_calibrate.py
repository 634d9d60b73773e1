"""Calibration: out of fold the log-odds that leave it are true as they stand, on the whole and stage by stage."""

from __future__ import annotations

import numpy as np
import pytest

from keepwell.care.moments import STAGES
from training.fit.calibrate import LEAST_SLOPE, Calibration, beginning, calibrate
from training.fit.logit import Prior, expit, fit

ROWS = 20_000


def line(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Intercept and slope of the target on log-odds."""
    free = Prior(np.array([0.0, 1.0]), np.full(2, np.inf))
    return fit(np.column_stack([np.ones(len(logits)), logits]), target, free)


@pytest.mark.parametrize("drift", [0.0, 0.3, -0.3])
def test_calibrated_log_odds_need_no_further_intercept_or_slope(drift: float) -> None:
    rng = np.random.default_rng(5)
    stage = rng.integers(0, len(STAGES), ROWS)
    raw = rng.normal(-1, 1, ROWS) - drift * stage  # stages differ, so shifts and slope share the work
    target = (rng.random(ROWS) < expit(0.4 + 0.7 * raw + drift * (stage < 3))).astype(np.float64)
    logits = calibrate(raw, target, stage).of(raw, stage)
    assert line(logits, target) == pytest.approx([0.0, 1.0], abs=1e-6)


def test_each_stage_with_many_rows_is_right_by_itself() -> None:
    rng = np.random.default_rng(6)
    stage = np.repeat(np.arange(4), 30_000)
    raw = rng.normal(-1.5, 1, len(stage))
    slope, shift = np.array([0.7, 1.0, 1.2, 1.4])[stage], np.array([0.4, 0.0, -0.3, 0.1])[stage]
    target = (rng.random(len(stage)) < expit(shift + slope * raw)).astype(np.float64)
    logits = calibrate(raw, target, stage).of(raw, stage)
    for one in range(4):
        found = line(logits[stage == one], target[stage == one])
        assert found == pytest.approx([0.0, 1.0], abs=0.08), one


def test_a_stage_with_few_rows_keeps_near_the_others() -> None:
    rng = np.random.default_rng(7)
    stage = np.where(np.arange(ROWS) < 12, 0, 5)
    raw = rng.normal(-1, 1, ROWS)
    target = (rng.random(ROWS) < expit(raw + 3.0 * (stage == 0))).astype(np.float64)
    found = calibrate(raw, target, stage)
    few, many = (found.of(np.array([-1.0]), np.array([one]))[0] for one in (0, 5))
    assert 0 < few - many < 1.0


def test_a_calibration_begins_at_that_of_the_start() -> None:
    pairs = np.array([(0.1 * n, 1 + 0.1 * n) for n in range(len(STAGES))])
    began = beginning(pairs)
    rng = np.random.default_rng(8)
    stage, raw = rng.integers(0, len(STAGES), ROWS), rng.normal(-1, 1, ROWS)
    target = (rng.random(ROWS) < expit(began.of(raw, stage))).astype(np.float64)
    found = calibrate(raw, target, stage, began)
    assert np.abs(found.of(raw, stage) - began.of(raw, stage)).max() < 0.35
    assert np.abs(found.of(raw, stage) - began.of(raw, stage)).mean() < 0.08


def test_a_model_that_learnt_nothing_gets_about_the_same_risk_for_everybody() -> None:
    rng = np.random.default_rng(9)
    raw, stage = rng.normal(0, 1, ROWS), np.zeros(ROWS, dtype=np.int64)
    target = (rng.random(ROWS) < expit(-1 - raw)).astype(np.float64)  # points the wrong way
    found = calibrate(raw, target, stage)
    assert (found.slopes >= LEAST_SLOPE).all() and found.slopes[0] < 0.1
    assert expit(found.of(raw, stage)).mean() == pytest.approx(target.mean(), abs=0.01)


def test_a_steeper_calibration_turns_about_the_centre() -> None:
    one = Calibration(np.full(len(STAGES), 0.2), np.full(len(STAGES), 1.1))
    steep, stage = one.steeper(1.05, -2.0), np.array([0])
    assert steep.of(np.array([-2.0]), stage) == pytest.approx(one.of(np.array([-2.0]), stage))
    assert steep.slopes[0] == pytest.approx(1.155)
