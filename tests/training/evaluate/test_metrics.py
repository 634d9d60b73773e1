"""The figures are those of scikit-learn, or of a case that can be worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.evaluate.metrics import (
    Clusters,
    Ordered,
    Ranking,
    calibration_curve,
    compared,
    decision_curve,
    difference,
    discrimination,
    mean_of,
    precision_at,
    share_of_excess,
)

rng = np.random.default_rng(7)
TARGET = (rng.random(400) < 0.3).astype(np.float64)
RISK = np.round(rng.random(400) * 0.5 + TARGET * 0.2, 2)  # rounded, so that many tie
CLIENT = rng.integers(0, 40, 400)


def test_auroc_and_average_precision_of_weighted_rows_with_ties_are_those_of_scikit_learn() -> None:
    weight = rng.integers(0, 4, 400).astype(np.float64)
    found = Ranking(TARGET, RISK, np.arange(400)).judge(np.array([np.ones(400), weight]))
    assert found.auroc[1] == pytest.approx(roc_auc_score(TARGET, RISK, sample_weight=weight), abs=1e-12)
    average = average_precision_score(TARGET, RISK, sample_weight=weight)
    assert found.average_precision[1] == pytest.approx(average, abs=1e-12)


def test_one_class_gives_no_figure() -> None:
    for target in (np.ones(5), np.zeros(5)):
        judged = Ranking(target, np.arange(5.0), np.arange(5)).judge(np.ones((2, 5)))
        assert np.isnan(judged.auroc).all() and np.isnan(judged.average_precision).all()
    assert discrimination(np.zeros(3), np.arange(3.0), np.arange(3))[0].value is None


def test_a_bootstrap_sample_takes_whole_clients() -> None:
    clusters = Clusters(CLIENT)
    for counts in clusters.draws(5):
        weight = counts[clusters.of]
        assert all(len(set(weight[name == CLIENT])) == 1 for name in set(CLIENT.tolist()))
        assert weight.max() > 1 and counts.sum() == len(clusters)


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
    same = compared(TARGET, RISK, RISK * 0.5, CLIENT, difference)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    whole = compared(TARGET, RISK, RISK * 0.5, CLIENT, share_of_excess)
    assert (whole.value, whole.low, whole.high) == (1.0, 1.0, 1.0)


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


def test_precision_at_a_burden_in_a_sample_is_that_of_its_rows_written_out() -> None:
    clusters = Clusters(CLIENT)
    counts = clusters.draws(4)
    flagged = np.full(4, 50.0)
    found = Ordered(TARGET, RISK, clusters.of).precision(counts, flagged)
    for one, value in zip(counts, found, strict=True):
        rows = np.repeat(np.arange(400), one[clusters.of].astype(int))
        assert value == pytest.approx(precision_at(TARGET[rows], RISK[rows], 50), abs=1e-12)


def test_no_rows_give_no_figure() -> None:
    none, nobody = np.empty(0), np.empty(0, dtype=np.int64)
    assert discrimination(none, none, nobody)[0].value is None
    assert mean_of(none, nobody).value is None
    assert compared(none, none, none, nobody, difference).value is None
