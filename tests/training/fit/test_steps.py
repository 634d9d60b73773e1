"""Step functions are read out of estimators exactly, and taken into a scorecard without loss."""

from __future__ import annotations

import numpy as np
import pytest

from keepwell.scoring.scorecard import OUTPUTS, Scorer
from training.fit.bins import Bins, Codes, in_matrix
from training.fit.calibrate import SESSION_EDGES, Calibration, session_bins
from training.fit.compile import compile_card
from training.fit.learners import Learner, LearningRows, Tuning, boost, regress
from training.fit.steps import Steps, mean, steps_of, with_gaps

BINS = Bins(("sessions", "alliance_level", "missed_share"), ((1.0, 3.0, 8.0), (6.0, 8.0, 9.0), (0.1, 0.3)))


def drawn(rows: int, seed: int) -> tuple[Codes, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(0, len(edges) + 2, rows) for edges in BINS.edges]).astype(np.uint8)
    codes[:, 0] = np.minimum(codes[:, 0], 3)
    logits = -1.0 + 0.4 * (codes[:, 0] == 1) - 0.5 * codes[:, 1] / 3 + 0.6 * (codes[:, 2] == 2)
    return codes, (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)


def learnt(learner: Learner) -> object:
    codes, target = drawn(4000, 1)
    rows = LearningRows(codes, target, np.ones(len(target)))
    held = LearningRows(*drawn(2000, 2), np.ones(2000))
    return regress(BINS, rows, 3.0) if learner == "logistic" else boost(BINS, rows, held, Tuning(), 0)


@pytest.mark.parametrize("learner", ["boosting", "logistic"])
def test_the_steps_of_an_estimator_give_its_log_odds(learner: Learner) -> None:
    estimator = learnt(learner)
    codes, _ = drawn(3000, 3)
    expected = estimator.decision_function(with_gaps(codes, BINS))  # type: ignore[attr-defined]  # both have one
    assert np.abs(steps_of(estimator, BINS).logits(codes) - expected).max() < 1e-12  # type: ignore[arg-type]


def test_a_feature_that_is_always_missing_adds_nothing() -> None:
    codes, target = drawn(2000, 1)
    codes[:, 1] = 4
    rows = LearningRows(codes, target, np.ones(2000))
    steps = steps_of(boost(BINS, rows, rows, Tuning(), 0), BINS)
    assert np.abs(steps.points[1]).max() == 0


def test_the_mean_of_steps_gives_the_mean_of_log_odds() -> None:
    codes, _ = drawn(500, 4)
    parts = [steps_of(learnt(learner), BINS) for learner in ("boosting", "logistic")]  # type: ignore[arg-type]
    assert np.abs(mean(parts).logits(codes) - np.mean([part.logits(codes) for part in parts], axis=0)).max() < 1e-12


@pytest.mark.parametrize("features", [BINS.features, BINS.features[1:]])
def test_a_compiled_card_gives_calibrated_log_odds(features: tuple[str, ...]) -> None:
    bins = BINS.only(features)
    rng = np.random.default_rng(7)
    steps = [Steps(-1.0, tuple(rng.normal(0, 1, len(edges) + 2) for edges in bins.edges)) for _ in OUTPUTS]
    shifts = [rng.normal(0, 0.2, len(SESSION_EDGES) + 1) for _ in OUTPUTS]
    calibrations = [Calibration(0.3, 0.8 + n / 10, shift) for n, shift in enumerate(shifts)]
    values = np.column_stack([rng.integers(0, 30, 3000), rng.uniform(5, 10, 3000), rng.uniform(0, 1, 3000)])
    values[rng.random(3000) < 0.3, 1] = np.nan
    codes = bins.codes(in_matrix(values, BINS.features))
    card = compile_card(bins, steps, calibrations, codes)
    columns = [BINS.features.index(term.feature) for term in card.terms]
    expected = [
        c.intercept + c.slope * s.logits(codes) + c.shifts[session_bins(values[:, 0].astype(int))]
        for c, s in zip(calibrations, steps, strict=True)
    ]
    assert np.abs(Scorer(card).logits(values[:, columns]) - np.column_stack(expected)).max() < 1e-10


def test_edges_between_equal_points_are_left_out() -> None:
    same = Steps(0.0, (np.zeros(5), np.array([1.0, 1.0, 0.0, 0.0, 0.0]), np.zeros(4)))
    none = Calibration(0.0, 1.0, np.zeros(len(SESSION_EDGES) + 1))
    codes, _ = drawn(100, 1)
    (term,) = compile_card(BINS, [same] * 4, [none] * 4, codes).terms
    assert (term.feature, term.edges) == ("alliance_level", (8.0,))
