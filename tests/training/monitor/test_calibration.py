"""Calibration in use: found where it is off, refused where too few outcomes are known, with honest intervals."""

from __future__ import annotations

import numpy as np
import pytest

from keepwell.scoring.scorecard import HEADLINE, OUTPUTS
from models.release import Release
from training.dataset import Dataset
from training.evaluate.metrics import Estimate
from training.fit.bins import Matrix
from training.fit.logit import expit
from training.fit.measures import calibration, ece, logits
from training.fit.sample import Sample, sample_of
from training.monitor.calibration import Calibrated, calibrated
from training.monitor.clustered import calibration_intercept, calibration_slope, ece_by_chance, error_of_mean, ratio

BEFORE = dict.fromkeys(OUTPUTS, 0.75)


@pytest.fixture(scope="module")
def sample(then: Dataset) -> Sample:
    return sample_of(then)


@pytest.fixture(scope="module")
def risks(then: Dataset, release: Release) -> Matrix:
    return release.scorer.risks(then.matrix([term.feature for term in release.scorer.card.terms]))


def headline(sample: Sample, risks: Matrix) -> Calibrated:
    return calibrated(sample, risks, BEFORE)[HEADLINE]


def test_risks_that_were_calibrated_to_these_people_hold(sample: Sample, risks: Matrix) -> None:
    found = headline(sample, risks)
    assert not found.off and found.gap is None and found.episodes >= 20 and found.auroc_before == 0.75
    assert holds(found.ratio, 1) and holds(found.slope, 1) and holds(found.intercept, 0)


@pytest.mark.parametrize(
    ("shift", "times", "figure"), [(0.9, 1.0, "ratio"), (-0.9, 1.0, "ratio"), (0.0, 2.0, "slope"), (0.0, 0.4, "slope")]
)
def test_miscalibration_is_found(sample: Sample, risks: Matrix, shift: float, times: float, figure: str) -> None:
    x = logits(risks)
    moved = expit(x.mean(axis=0) + times * (x - x.mean(axis=0)) + shift)
    found = headline(sample, moved)
    assert found.off and not holds(getattr(found, figure), 1)


def test_too_few_outcomes_are_refused_without_any_figure(sample: Sample, risks: Matrix) -> None:
    known = np.flatnonzero(sample.targets[:, HEADLINE] == 1)
    kept = np.unique(sample.episode[known])[:19]
    targets = sample.targets.copy()
    targets[~np.isin(sample.episode, kept) & (targets[:, HEADLINE] == 1)] = np.nan
    found = headline(sample._replace(targets=targets), risks)
    assert found.gap == "19 episodes with a known outcome of this kind; at least 20 are needed to judge"
    assert found.ratio.value is found.slope.value is found.auroc.value is found.ece is found.observed is None
    assert not found.off and found.curve == ()


def test_repeating_the_moments_of_clients_makes_no_interval_narrower(sample: Sample, risks: Matrix) -> None:
    known = sample.known(HEADLINE)
    target, risk, client = sample.targets[known, HEADLINE], risks[known, HEADLINE], sample.client[known]
    for figure in (calibration_slope, calibration_intercept, ratio):
        one, twice = (figure(*(np.tile(each, n) for each in (target, risk, client))) for n in (1, 2))
        assert (twice.value, twice.low, twice.high) == pytest.approx((one.value, one.low, one.high), rel=1e-6)
    assert ece_by_chance(*(np.repeat(each, 2) for each in (target, risk, client))) == pytest.approx(
        ece_by_chance(target, risk, client), rel=0.05
    )


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    client = np.repeat(np.arange(150), 6)
    found = {"slope": 0, "intercept": 0, "ratio": 0}
    for _ in range(200):
        risk = expit(rng.normal(-1, 1, 150))[client]
        alike = np.repeat((rng.random(150) < risk[::6]).astype(float), 6)  # all moments of a client come true, or none
        found["slope"] += holds(calibration_slope(alike, risk, client), 1)
        found["intercept"] += holds(calibration_intercept(alike, risk, client), 0)
        found["ratio"] += holds(ratio(alike, risk, client), 1)
    assert all(180 <= count <= 199 for count in found.values()), found


def test_the_figures_are_those_of_a_release() -> None:
    rng = np.random.default_rng(6)
    risk = expit(rng.normal(-1, 1, 900))
    target, client = (rng.random(900) < risk).astype(float), np.arange(900)
    slope, intercept = calibration(target, risk)
    assert calibration_slope(target, risk, client).value == pytest.approx(slope)
    assert calibration_intercept(target, risk, client).value == pytest.approx(intercept)
    assert ece_by_chance(target, risk, client) == pytest.approx(ece(target, risk), rel=0.6)
    assert error_of_mean(target - target.mean(), client) == pytest.approx(target.std() / 30)


def test_outcomes_after_an_alert_are_told_apart(sample: Sample, risks: Matrix) -> None:
    calm = sample.targets[:, HEADLINE] == 0
    found = headline(sample._replace(treated=calm), risks)
    assert found.treated > 0.8 and (found.untreated.value or 0) > 2 > (found.ratio.value or 9)
    assert headline(sample._replace(treated=np.zeros(len(calm), dtype=np.bool_)), risks).treated == 0


def holds(found: Estimate, value: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= value <= found.high
