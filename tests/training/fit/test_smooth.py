"""The penalised regression: smooth, signed, shrunk, and leaning on families where a signal is rare."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.fit.bins import Bins, Codes
from training.fit.logit import expit
from training.fit.signs import FAMILIES, MEMBERS, SIGNS
from training.fit.smooth import Smooth, regress
from training.fit.steps import with_gaps

Vector = np.ndarray


def fitted(
    bins: Bins,
    codes: Codes,
    target: Vector,
    *,
    weight: Vector | None = None,
    offset: Vector | None = None,
    scale: Vector | None = None,
    ridge: float = 1e-6,
) -> Smooth:
    ones, none = np.ones(len(target)), np.zeros(len(target))
    return regress(
        bins, codes, target, ones if weight is None else weight, offset=none if offset is None else offset,
        scale=ones if scale is None else scale, shrinkage=ridge,
    )  # fmt: skip


def outcome(rng: np.random.Generator, logits: Vector) -> Vector:
    return (rng.random(len(logits)) < expit(logits)).astype(np.float64)


FREE = "sessions"
RISING = "lost_in_a_row"
FALLING = "alliance_level"


def two(name: str) -> Bins:
    """One feature with two values, which may be missing."""
    return Bins((name,), ((0.5,),))


def several(name: str, edges: int = 5) -> Bins:
    return Bins((name,), (tuple(float(edge) + 0.5 for edge in range(edges)),))


def test_the_signs_that_these_tests_rest_on() -> None:
    assert FREE not in SIGNS and SIGNS[RISING][0] == 1 and SIGNS[FALLING][0] == -1


def test_with_next_to_no_ridge_it_is_the_logistic_regression_on_one_feature() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 2, (4000, 1)).astype(np.uint8)
    target = outcome(rng, -1.0 + 0.8 * codes[:, 0])
    known = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(codes.astype(np.float64), target)
    found = fitted(two(FREE), codes, target)
    low, high, _ = found.points[0]
    assert high - low == pytest.approx(known.coef_[0][0], abs=5e-3)
    assert found.base + low == pytest.approx(known.intercept_[0], abs=5e-3)


def test_with_next_to_no_ridge_every_bin_has_its_own_rate() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 7, (20_000, 1)).astype(np.uint8)  # 6 is missing
    target = outcome(rng, np.array([-2.0, -1.0, -1.5, -0.5, 0.0, -1.0, 0.3])[codes[:, 0]])
    found = fitted(several(FREE), codes, target)
    for code in range(7):
        assert expit(np.array([found.base + found.points[0][code]]))[0] == pytest.approx(
            target[codes[:, 0] == code].mean(), abs=0.01
        )


def test_its_log_odds_are_the_base_and_the_points() -> None:
    rng = np.random.default_rng(3)
    bins = Bins((FREE, RISING), ((1.0, 2.0), (0.5,)))
    codes = np.column_stack([rng.integers(0, 4, 3000), rng.integers(0, 3, 3000)]).astype(np.uint8)
    found = fitted(bins, codes, outcome(rng, 0.4 * codes[:, 0] - 1.0), ridge=5.0)
    expected = found.base + found.points[0][codes[:, 0]] + found.points[1][codes[:, 1]]
    assert np.abs(found.decision_function(with_gaps(codes, bins)) - expected).max() < 1e-12
    assert abs(found.points[0][codes[:, 0]].mean()) < 1e-9  # against the average row


@pytest.mark.parametrize(("name", "sign"), [(RISING, 1), (FALLING, -1)])
def test_points_never_go_against_the_sign_however_the_data_do(name: str, sign: int) -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 7, (6000, 1)).astype(np.uint8)
    against = fitted(several(name), codes, outcome(rng, -1.0 - 0.5 * sign * np.minimum(codes[:, 0], 5)))
    assert np.abs(np.diff(against.points[0][:-1])).max() < 1e-6
    wavering = np.array([0.0, 1.0, 0.2, 1.2, 0.4, 2.0, 0.0])[codes[:, 0]]
    rises = sign * np.diff(fitted(several(name), codes, outcome(rng, -1.0 + sign * wavering)).points[0][:-1])
    assert (rises >= -1e-9).all() and rises.sum() > 1.0


def test_a_huge_ridge_leaves_nothing_but_the_rate() -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 7, (4000, 1)).astype(np.uint8)
    target = outcome(rng, -1.0 + 0.5 * codes[:, 0])
    found = fitted(several(FREE), codes, target, ridge=1e9)
    assert np.abs(found.points[0]).max() < 1e-3
    assert expit(np.array([found.base]))[0] == pytest.approx(target.mean(), abs=1e-3)


def test_more_ridge_gives_a_smaller_range_and_one_bin_s_noise_speaks_less() -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 20, (3000, 1)).astype(np.uint8)
    target = outcome(rng, -1.0 + 0.05 * codes[:, 0])
    ranges, noise = [], []
    for ridge in (1.0, 40.0, 400.0):
        points = fitted(several(FREE, 19), codes, target, ridge=ridge).points[0][:-1]
        ranges.append(np.ptp(points))
        noise.append(np.abs(np.diff(points, 2)).mean())
    assert ranges == sorted(ranges, reverse=True) and noise == sorted(noise, reverse=True)


def test_the_range_is_shrunk_alike_however_many_bins_it_has() -> None:
    rng = np.random.default_rng(7)
    fine = rng.integers(0, 20, (6000, 1)).astype(np.uint8)
    target = outcome(rng, -1.0 + 0.05 * fine[:, 0])
    coarse = fine // 4
    one, other, free = (
        np.ptp(fitted(bins, codes, target, ridge=ridge).points[0][:-1])
        for bins, codes, ridge in (
            (several(FREE, 19), fine, 300.0),
            (several(FREE, 4), coarse, 300.0),
            (several(FREE, 4), coarse, 1.0),
        )
    )
    assert one == pytest.approx(other, rel=0.4)
    assert max(one, other) < free / 2


def test_weights_count_as_so_many_rows() -> None:
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 3, (1500, 1)).astype(np.uint8)
    target = outcome(rng, -1.0 + 0.5 * codes[:, 0])
    weight = rng.integers(1, 4, 1500)
    told = np.repeat(np.arange(1500), weight)
    one = fitted(two(FREE), codes, target, weight=weight.astype(np.float64), ridge=20.0)
    other = fitted(two(FREE), codes[told], target[told], ridge=20.0)
    assert one.points[0] == pytest.approx(other.points[0], abs=2e-3)


def test_what_is_learnt_is_what_the_offset_lacks() -> None:
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 2, (20_000, 1)).astype(np.uint8)
    offset = rng.normal(-1.0, 1.0, 20_000)
    target = outcome(rng, offset + 0.3 + 0.7 * codes[:, 0])
    found = fitted(two(FREE), codes, target, offset=offset)
    low, high, _ = found.points[0]
    assert high - low == pytest.approx(0.7, abs=0.1) and found.base + low == pytest.approx(0.3, abs=0.1)
    true = fitted(two(FREE), codes, outcome(rng, offset), offset=offset, ridge=4000.0)
    assert np.abs(true.base + true.points[0]).max() < 0.05  # where nothing is lacking nothing is learnt


def test_what_is_learnt_counts_by_the_scale() -> None:
    rng = np.random.default_rng(10)
    codes = rng.integers(0, 3, (6000, 1)).astype(np.uint8)
    target = outcome(rng, -1.0 + 0.6 * codes[:, 0])
    one, half = (fitted(two(FREE), codes, target, scale=np.full(6000, scale)) for scale in (1.0, 2.0))
    assert one.points[0] == pytest.approx(2 * half.points[0], abs=0.01)
    assert one.base == pytest.approx(2 * half.base, abs=0.01)


# ── families ────────────────────────────────────────────────────────────────────────────────────────────

FAMILY = "negative_feedback_recent"
MEMBER, OTHERS = FAMILIES[FAMILY][0], FAMILIES[FAMILY][1:4]
OF_FAMILY = Bins((FAMILY, MEMBER, *OTHERS), ((0.5,),) * (2 + len(OTHERS)))


def voiced(rng: np.random.Generator, rows: int, shares: dict[str, float]) -> Codes:
    """Rows in which members were voiced with some chance each; the family is whether any of them was."""
    members = np.column_stack([rng.random(rows) < shares.get(name, 0.0) for name in OF_FAMILY.features[1:]])
    return np.column_stack([members.any(axis=1), members]).astype(np.uint8)


def test_members_are_no_families_of_their_own() -> None:
    assert MEMBER in MEMBERS and FAMILY not in MEMBERS and SIGNS[MEMBER][0] == SIGNS[FAMILY][0] == 1


def test_a_signal_of_which_no_row_tells_has_the_effect_of_its_family() -> None:
    rng = np.random.default_rng(11)
    codes = voiced(rng, 20_000, dict.fromkeys(OTHERS, 0.05))
    found = fitted(OF_FAMILY, codes, outcome(rng, -2.0 + 0.8 * codes[:, 0]), ridge=12.0)
    alone = np.zeros((2, len(OF_FAMILY.features)), dtype=np.uint8)
    alone[1, :2] = 1  # the member, and with it the family
    none, told = found.decision_function(alone.astype(np.float64))
    family = found.points[0][1] - found.points[0][0]
    assert family > 0.4 and told - none >= family - 1e-9


def test_a_rare_signal_leans_on_its_family_and_a_frequent_one_speaks_for_itself() -> None:
    rng = np.random.default_rng(12)
    own = []
    for share in (0.0005, 0.2):
        codes = voiced(rng, 20_000, dict.fromkeys(OTHERS, 0.05) | {MEMBER: share})
        logits = -2.0 + 0.6 * codes[:, 0] + 0.8 * codes[:, 1]
        found = fitted(OF_FAMILY, codes, outcome(rng, logits), ridge=40.0)
        own.append(found.points[1][1] - found.points[1][0])
        assert found.points[0][1] - found.points[0][0] > 0.3
    assert 0 <= own[0] < 0.2
    assert own[1] > 0.5
