"""The figures are those of scikit-learn, or of a case that can be worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.evaluate.metrics import (
    Clusters,
    Ranking,
    auroc_difference,
    calibration_curve,
    decision_curve,
    discrimination,
    mean_of,
    precision_at,
)

rng = np.random.default_rng(7)
TARGET = (rng.random(400) < 0.3).astype(np.float64)
RISK = np.round(rng.random(400) * 0.5 + TARGET * 0.2, 2)  # rounded, so that many tie
CLIENT = rng.integers(0, 40, 400)


def test_auroc_and_average_precision_of_weighted_rows_with_ties_are_those_of_scikit_learn() -> None:
    weight = rng.integers(0, 4, 400).astype(np.float64)
    found = Ranking(TARGET, RISK).judge(weight)
    assert found is not None
    assert found.auroc == pytest.approx(roc_auc_score(TARGET, RISK, sample_weight=weight), abs=1e-12)
    assert found.average_precision == pytest.approx(
        average_precision_score(TARGET, RISK, sample_weight=weight), abs=1e-12
    )


def test_one_class_gives_no_figure() -> None:
    assert Ranking(np.ones(5), np.arange(5.0)).judge(np.ones(5)) is None
    assert discrimination(np.zeros(3), np.arange(3.0), np.arange(3))[0].value is None


def test_a_bootstrap_sample_takes_whole_clients() -> None:
    for weight in Clusters(CLIENT).weights(5):
        assert all(len(set(weight[name == CLIENT])) == 1 for name in set(CLIENT.tolist()))
        assert weight.max() > 1


def test_repeating_every_row_of_a_client_makes_no_interval_narrower() -> None:
    once, _ = discrimination(TARGET, RISK, CLIENT)
    often, _ = discrimination(np.repeat(TARGET, 5), np.repeat(RISK, 5), np.repeat(CLIENT, 5))
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-12)


def test_an_interval_covers_its_value_and_is_the_same_each_time() -> None:
    found, _ = discrimination(TARGET, RISK, CLIENT)
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.low < found.value < found.high
    assert discrimination(TARGET, RISK, CLIENT)[0] == found


def test_a_model_does_not_differ_from_itself() -> None:
    same = auroc_difference(TARGET, RISK, RISK * 0.5, CLIENT)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_net_benefit_is_the_published_sum() -> None:
    # Of ten, two above .25: one true, one false. Net benefit 1/10 - 1/10 * (.25/.75).
    target = np.array([1.0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    risk = np.array([0.9, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    (found,) = decision_curve(target, risk, np.array([0.25]))
    assert found.model == pytest.approx(0.1 - 0.1 / 3)
    assert found.everyone == pytest.approx(0.2 - 0.8 / 3)


def test_a_calibration_curve_has_every_row_once_in_order_of_risk() -> None:
    curve = calibration_curve(TARGET, RISK)
    assert sum(point.rows for point in curve) == 400
    assert [point.risk for point in curve] == sorted(point.risk for point in curve)
    assert sum(point.rate * point.rows for point in curve) == pytest.approx(TARGET.sum())


def test_rows_that_tie_at_the_edge_share_what_is_left_to_flag() -> None:
    target, risk = np.array([1.0, 1, 0, 0, 0]), np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    assert precision_at(target, risk, 1) == 1.0
    assert precision_at(target, risk, 2) == pytest.approx((1 + 1 / 3) / 2)
    assert precision_at(target, risk, 5) == pytest.approx(2 / 5)


def test_a_mean_has_its_clients_interval() -> None:
    found = mean_of(np.array([1.0, 1, 0, 0]), np.array([0, 0, 1, 1]))
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
