"""Step functions are read out of estimators exactly, and taken into a scorecard without loss."""

from __future__ import annotations

import numpy as np
import pytest

from keepwell.care.moments import STAGES
from keepwell.scoring.scorecard import OUTPUTS, Scorecard, Term
from keepwell.scoring.scorer import Scorer, calibrated
from training.fit.bins import Bins, Codes, in_matrix
from training.fit.calibrate import Calibration
from training.fit.compile import compile_card
from training.fit.learners import Learner, LearningRows, Recipe, Tuning, learn
from training.fit.steps import Additive, Steps, mean, mixed, steps_of, with_gaps

BINS = Bins(("sessions", "alliance_level", "missed_share"), ((1.0, 3.0, 8.0), (6.0, 8.0, 9.0), (0.1, 0.3)))


def drawn(rows: int, seed: int) -> tuple[Codes, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(0, len(edges) + 2, rows) for edges in BINS.edges]).astype(np.uint8)
    codes[:, 0] = np.minimum(codes[:, 0], 3)
    logits = -1.0 + 0.4 * (codes[:, 0] == 1) - 0.5 * codes[:, 1] / 3 + 0.6 * (codes[:, 2] == 2)
    return codes, (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)


def rows_of(codes: Codes, target: np.ndarray) -> LearningRows:
    return LearningRows(
        codes, target, np.ones(len(target)), np.zeros(len(target)), np.ones(len(target)), np.arange(len(target))
    )


def learnt(learner: Learner) -> Additive:
    return learn(BINS, rows_of(*drawn(4000, 1)), rows_of(*drawn(2000, 2)), Recipe(learner), Tuning())


@pytest.mark.parametrize("learner", ["boosting", "logistic", "both"])
def test_the_steps_of_an_estimator_give_its_log_odds(learner: Learner) -> None:
    estimator = learnt(learner)
    codes, _ = drawn(3000, 3)
    expected = estimator.decision_function(with_gaps(codes, BINS))
    assert np.abs(steps_of(estimator, BINS).logits(codes) - expected).max() < 1e-12


def test_a_feature_that_is_always_missing_adds_nothing() -> None:
    codes, target = drawn(2000, 1)
    codes[:, 1] = 4
    rows = rows_of(codes, target)
    for learner in ("boosting", "logistic"):
        steps = learn(BINS, rows, rows, Recipe(learner), Tuning()).steps(BINS)
        assert np.abs(steps.points[1][codes[:, 1]]).max() < 1e-9


def test_the_mean_of_steps_gives_the_mean_of_log_odds() -> None:
    codes, _ = drawn(500, 4)
    parts = [steps_of(learnt(learner), BINS) for learner in ("boosting", "logistic")]
    assert np.abs(mean(parts).logits(codes) - np.mean([part.logits(codes) for part in parts], axis=0)).max() < 1e-12


def test_steps_are_mixed_by_their_shares() -> None:
    codes, _ = drawn(500, 5)
    one, other = (steps_of(learnt(learner), BINS) for learner in ("boosting", "logistic"))
    found = mixed([(0.25, one), (0.75, other)]).logits(codes)
    assert np.abs(found - 0.25 * one.logits(codes) - 0.75 * other.logits(codes)).max() < 1e-12


BEGUN = Scorecard(
    base=(-0.1, -0.2, -0.3, -0.4),
    terms=(
        Term(feature="sessions", edges=(2.0, 3.0), points=((0.1,) * 4, (0.2,) * 4, (0.3,) * 4), missing=(9.0,) * 4),
        Term(feature="rhythm", edges=(10.0,), points=((0.5,) * 4, (-0.5,) * 4), missing=(0.7,) * 4),
    ),
)


@pytest.mark.parametrize("start", [None, BEGUN])
def test_a_compiled_card_gives_the_sums_of_the_start_and_what_was_learnt(start: Scorecard | None) -> None:
    rng = np.random.default_rng(7)
    bins = Bins((*BINS.features, "stage"), (*BINS.edges, tuple(map(float, range(1, len(STAGES))))))
    steps = [Steps(-1.0, tuple(rng.normal(0, 1, len(edges) + 2) for edges in bins.edges)) for _ in OUTPUTS]
    calibrations = [Calibration(rng.normal(0, 0.2, len(STAGES)), rng.uniform(0.8, 1.2, len(STAGES))) for _ in OUTPUTS]
    names = (*bins.features, "rhythm")
    values = np.column_stack(
        [rng.integers(0, 30, 3000), rng.uniform(5, 10, 3000), rng.uniform(0, 1, 3000),
         rng.integers(0, len(STAGES), 3000), rng.uniform(5, 20, 3000)]
    )  # fmt: skip
    values[rng.random(3000) < 0.3, 1] = np.nan
    values[rng.random(3000) < 0.3, 4] = np.nan
    column = in_matrix(values, names)
    codes = bins.codes(column)
    card = compile_card(bins, steps, calibrations, column, start)
    begun = np.zeros((3000, 4))
    if start is not None:
        begun = Scorer(start).logits(values[:, [names.index(term.feature) for term in start.terms]])
    table = values[:, [names.index(term.feature) for term in card.terms]]
    stage = values[:, 3].astype(int)
    sums = [begun[:, n] + one.logits(codes) for n, one in enumerate(steps)]
    expected = [c.intercepts[stage] + c.slopes[stage] * x for c, x in zip(calibrations, sums, strict=True)]
    found = calibrated(card, table, Scorer(card).logits(table))
    assert np.abs(found - np.column_stack(expected)).max() < 1e-9
    for term in card.terms:  # points speak against the average row
        rows = np.array([*term.points, term.missing])
        own = column(term.feature)
        places = np.where(np.isnan(own), len(rows) - 1, np.searchsorted(term.edges, own, side="right"))
        assert np.abs(rows[places].mean(axis=0)).max() < 1e-9, term.feature


def test_edges_between_equal_points_are_left_out() -> None:
    same = Steps(0.0, (np.zeros(5), np.array([1.0, 1.0, 0.0, 0.0, 0.0]), np.zeros(4)))
    none = Calibration(np.zeros(len(STAGES)), np.ones(len(STAGES)))
    terms = compile_card(BINS, [same] * 4, [none] * 4, lambda name: np.linspace(0, 10, 50), None).terms
    assert [(term.feature, term.edges) for term in terms] == [("alliance_level", (8.0,)), ("stage", ())]


def test_a_card_finds_its_calibration_though_no_row_told_stages_apart() -> None:
    flat = Steps(-1.0, tuple(np.zeros(len(edges) + 2) for edges in BINS.edges))
    calibrations = [Calibration(np.arange(len(STAGES)) / 10, np.ones(len(STAGES)))] * len(OUTPUTS)
    for start in (None, BEGUN):
        card = compile_card(BINS, [flat] * 4, calibrations, lambda name: np.full(50, 5.0), start)
        table = np.full((1, len(card.terms)), 5.0)
        sums = calibrated(card, table, Scorer(card).logits(table))
        assert sums[0] - Scorer(card).logits(table)[0] == pytest.approx(0.5)
