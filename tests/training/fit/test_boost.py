"""Boosting from any starting point: additive, signed, stopped by rows held out."""

from __future__ import annotations

import numpy as np
import pytest

from training.fit.bins import Bins, Codes
from training.fit.boost import ROUNDS, Boosted, boost, working
from training.fit.logit import expit
from training.fit.signs import SIGNS
from training.fit.steps import steps_of, with_gaps

BINS = Bins(("sessions", "alliance_level", "lost_in_a_row"), ((1.0, 3.0, 8.0), (6.0, 8.0, 9.0), (1.0, 2.0)))
TRUE = (np.array([0.4, 0.0, 0.3, -0.3]), np.array([0.9, 0.5, 0.1, -0.4, 0.2]), np.array([-0.4, 0.3, 0.8, 0.0]))


def drawn(rows: int, seed: int) -> tuple[Codes, np.ndarray]:
    """Codes and true log-odds."""
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(0, len(points), rows) for points in TRUE]).astype(np.uint8)
    return codes, -1.0 + sum(points[column] for points, column in zip(TRUE, codes.T, strict=True))


def outcome(logits: np.ndarray, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(logits)) < expit(logits)).astype(np.float64)


def boosted(rows: tuple[Codes, np.ndarray], held: tuple[Codes, np.ndarray], *, offset: float = 0.0) -> Boosted:
    def at_work(codes: Codes, target: np.ndarray) -> object:
        every = np.ones(len(target))
        return working(BINS, codes, target=target, weight=every, offset=offset * every, scale=every)

    one, other = (at_work(*each) for each in (rows, held))
    return boost(BINS, one, other, leaves=4, least_rows=50, shrinkage=10.0, seed=0)  # type: ignore[arg-type]  # both are rows at work


@pytest.fixture(scope="module")
def rows() -> tuple[Codes, np.ndarray]:
    codes, logits = drawn(8000, 1)
    return codes, outcome(logits, 2)


@pytest.fixture(scope="module")
def held() -> tuple[Codes, np.ndarray]:
    codes, logits = drawn(4000, 3)
    return codes, outcome(logits, 4)


@pytest.fixture(scope="module")
def found(rows: tuple[Codes, np.ndarray], held: tuple[Codes, np.ndarray]) -> Boosted:
    return boosted(rows, held)


def test_it_finds_the_log_odds(found: Boosted) -> None:
    codes, logits = drawn(4000, 5)
    told = found.decision_function(with_gaps(codes, BINS))
    assert np.corrcoef(told, logits)[0, 1] > 0.97
    assert np.abs(told - logits).mean() < 0.15
    assert len(found.rounds) == ROUNDS


def test_it_is_additive(found: Boosted) -> None:
    codes, _ = drawn(4000, 6)
    told = found.decision_function(with_gaps(codes, BINS))
    assert np.abs(steps_of(found, BINS).logits(codes) - told).max() < 1e-12


def test_points_never_go_against_the_sign(held: tuple[Codes, np.ndarray]) -> None:
    rng = np.random.default_rng(7)
    codes, _ = drawn(8000, 8)
    against = np.zeros(8000)
    for column, name in enumerate(BINS.features):
        sign = SIGNS[name][0] if name in SIGNS else 1
        against -= 0.5 * sign * np.minimum(codes[:, column], len(BINS.edges[column]))
    target = (rng.random(8000) < expit(against)).astype(np.float64)
    steps = steps_of(boosted((codes, target), held), BINS)
    for name, points in zip(BINS.features, steps.points, strict=True):
        if name in SIGNS:
            assert (np.diff(points[:-1]) * SIGNS[name][0] >= -1e-9).all(), name
    assert np.ptp(steps.points[0][:-1]) > 0.5  # the one without a sign goes where the data do


def test_from_the_base_rate_it_comes_to_what_it_comes_to_from_nothing(
    rows: tuple[Codes, np.ndarray], held: tuple[Codes, np.ndarray], found: Boosted
) -> None:
    rate = float(np.log(rows[1].mean() / (1 - rows[1].mean())))
    begun = boosted(rows, held, offset=rate)
    codes, _ = drawn(2000, 9)
    told, other = (one.decision_function(with_gaps(codes, BINS)) for one in (found, begun))
    assert np.abs(told - (rate + other)).mean() < 0.05


def test_from_the_truth_it_hardly_moves() -> None:
    (codes, logits), (tested, true) = drawn(8000, 10), drawn(4000, 11)
    at_work = [
        working(
            BINS, each, target=outcome(start, seed), weight=np.ones(len(each)), offset=start, scale=np.ones(len(each))
        )
        for each, start, seed in ((codes, logits, 12), (tested, true, 13))
    ]
    found = boost(BINS, *at_work, leaves=4, least_rows=50, shrinkage=10.0, seed=0)
    assert logits.std() > 0.4
    assert np.abs(found.decision_function(with_gaps(codes, BINS))).mean() < 0.1


def test_a_row_that_is_all_but_certain_leads_no_round() -> None:
    codes, logits = drawn(4000, 14)
    sure = logits.copy()
    sure[:5] = -20.0  # taken to stay for certain, and they stop
    target = outcome(logits, 15)
    target[:5] = 1.0
    rows = working(BINS, codes, target=target, weight=np.ones(4000), offset=sure, scale=np.ones(4000))
    response, weight = rows.step(np.zeros(4000))
    assert response.max() <= 200 and (weight[:5] <= 0.005).all()
