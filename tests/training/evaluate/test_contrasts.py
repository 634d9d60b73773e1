"""The model at a rule's burden, reliability, the spread between clinics and the learning curve, on made-up rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from keepwell.scoring.scorecard import OUTPUTS
from training.dataset.table import NONE, SIGNAL_COLUMNS
from training.evaluate.burden import at_burden
from training.evaluate.cells import LEAST_CLIENTS
from training.evaluate.clinics import LEAST_CLINICS, clinics
from training.evaluate.curve import learning_curve
from training.evaluate.metrics import Estimate, ratio_of
from training.evaluate.reliability import reliability
from training.evaluate.rules import MISSED_TWICE, SRS_LOWEST
from training.fit.logit import expit
from training.fit.measures import calibration
from training.fit.sample import Sample

rng = np.random.default_rng(11)
ROWS = 4000
RISK = expit(rng.normal(-1.5, 1.0, ROWS))
TARGET = (rng.random(ROWS) < RISK).astype(np.float64)
CLIENT = np.arange(ROWS) // 4


def test_the_model_flags_as_many_moments_as_the_rule() -> None:
    flags = np.r_[np.ones(20), np.zeros(80)]
    target = np.r_[np.ones(10), np.zeros(10), np.ones(10), np.zeros(70)]
    model = np.r_[np.full(20, 0.1), np.full(10, 0.9), np.full(10, 0.5), np.full(60, 0.0)]
    found = at_burden(
        MISSED_TWICE, "landmarks", flags, {"model": model, "truth": target}, target=target, client=np.arange(100)
    )
    assert (found.rows, found.positive, found.flagged) == (100, 20, 0.2)
    assert [found.precision[who].value for who in ("rule", "model", "truth")] == [0.5, 0.5, 1.0]
    assert [found.recall[who] for who in ("rule", "model", "truth")] == [0.5, 0.5, 1.0]
    assert {name: one.value for name, one in found.ratio.items()} == {
        "model/rule": 1.0, "model/truth": 0.5, "truth/rule": 2.0,
    }  # fmt: skip


def test_in_each_sample_the_model_flags_as_many_as_the_rule_does_there() -> None:
    flags = (np.quantile(RISK, 0.7) < RISK).astype(np.float64)
    found = at_burden(MISSED_TWICE, "landmarks", flags, {"model": RISK}, target=TARGET, client=CLIENT)
    # The model flags the very rows that the rule does, whoever is drawn.
    assert found.precision["model"] == found.precision["rule"] == ratio_of(TARGET * flags, flags, CLIENT)
    assert found.ratio["model/rule"] == Estimate(value=1.0, low=1.0, high=1.0)


def test_a_rule_that_ranks_flags_a_tenth_and_those_that_tie_by_chance() -> None:
    lowest = np.full(200, -np.inf)  # nobody has been rated
    target = (np.arange(200) < 50).astype(np.float64)
    found = at_burden(SRS_LOWEST, "after-session", lowest, {"model": target}, target=target, client=np.arange(200))
    assert found.flagged == 0.1
    assert found.precision["rule"].value == pytest.approx(0.25)
    assert found.precision["model"].value == 1.0


def test_a_rule_that_hardly_ever_holds_has_a_gap_and_no_figure() -> None:
    flags = (np.arange(ROWS) < 9).astype(np.float64)
    found = at_burden(MISSED_TWICE, "landmarks", flags, {"model": RISK}, target=TARGET, client=CLIENT)
    assert found.gap is not None and not found.precision and not found.ratio


def test_reliability_is_that_of_the_fit_with_intervals_that_cover_what_is_right() -> None:
    found = reliability(TARGET, RISK, CLIENT)
    slope, intercept = calibration(TARGET, RISK)
    assert found.slope.value == pytest.approx(slope)
    assert found.intercept.value == pytest.approx(intercept, abs=1e-4)
    assert found.observed_expected.value == pytest.approx(TARGET.sum() / RISK.sum())
    for one, right in ((found.slope, 1.0), (found.intercept, 0.0), (found.observed_expected, 1.0)):
        assert one.low is not None and one.high is not None
        assert one.low < right < one.high


def test_repeating_every_row_of_a_client_makes_no_calibration_surer() -> None:
    once, often = (
        reliability(np.repeat(TARGET, times), np.repeat(RISK, times), np.repeat(CLIENT, times)) for times in (1, 5)
    )
    for one, other in ((once.slope, often.slope), (once.intercept, often.intercept)):
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=1e-6)


def test_twice_as_many_stops_as_told_show_in_intercept_and_ratio_not_in_slope() -> None:
    found = reliability(TARGET, expit(np.log(RISK / (1 - RISK)) - 0.8), CLIENT)
    assert found.intercept.value == pytest.approx(0.8, abs=0.1)
    assert found.observed_expected.low is not None and found.observed_expected.low > 1.5
    assert found.slope.value == pytest.approx(calibration(TARGET, RISK)[0])


def of_clinics(number: int, shift: float) -> tuple[pd.DataFrame, Any]:
    """Clinics alike in size, with risks that are too low in every other one by `shift` log-odds."""
    clinic = CLIENT % number
    told = expit(np.log(RISK / (1 - RISK)) - shift * (clinic % 2))
    return pd.DataFrame({"clinic": pd.Categorical([f"clinic-{n}" for n in clinic])}), told


def test_clinics_that_differ_show_as_a_spread_and_never_by_name() -> None:
    frame, told = of_clinics(6, 1.5)
    found = clinics(frame, TARGET, told, CLIENT)
    assert (found.clinics, found.shown, found.gap) == (6, 6, None)
    assert found.between is not None and found.between > 0.5
    assert found.intercept is not None and found.intercept.highest - found.intercept.lowest > 1
    assert b"clinic-" not in msgspec.json.encode(found)


def test_clinics_that_are_alike_differ_by_no_more_than_chance() -> None:
    frame, told = of_clinics(6, 0.0)
    assert clinics(frame, TARGET, told, CLIENT).between == pytest.approx(0.0, abs=0.1)


def test_of_few_or_small_clinics_no_quantile_is_told() -> None:
    for number in (LEAST_CLINICS - 1, len(set(CLIENT.tolist())) // (LEAST_CLIENTS - 1) + 1):
        frame, told = of_clinics(number, 0.5)
        found = clinics(frame, TARGET, told, CLIENT)
        assert found.gap is not None and found.intercept is None and found.observed_expected is None


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Two episodes a client, of two rows each; the risk lies in one feature."""
    missed = rng.integers(0, 6, ROWS).astype(np.float64)
    target = (rng.random(ROWS) < expit(missed - 4)).astype(np.float64)
    frame = pd.DataFrame({"missed": missed, "client": pd.Categorical([f"c-{n:04d}" for n in CLIENT])})
    return Sample(
        frame=frame, targets=np.tile(target[:, None], len(OUTPUTS)), client=CLIENT.astype(np.int64),
        episode=np.arange(ROWS) // 2, as_of=np.arange(ROWS), session=np.zeros(ROWS, np.int64),
        treated=np.zeros(ROWS, np.bool_), moment=np.zeros(ROWS, np.int64), stage=np.zeros(ROWS, np.int64),
        signals=np.full((ROWS, len(SIGNAL_COLUMNS)), NONE),
    )  # fmt: skip


def test_a_learning_curve_grows_to_all_that_are_not_held_out(sample: Sample) -> None:
    risk = expit(sample.column("missed") - 4)
    found = learning_curve(sample, ["missed"], risk)
    assert found is not None
    episodes = [size.episodes for size in found.sizes]
    assert episodes == sorted(set(episodes))
    assert episodes[-1] + found.clients * 2 == ROWS // 2
    assert found.release_auroc.value is not None and found.sizes[-1].auroc.value is not None
    assert found.sizes[-1].auroc.value == pytest.approx(found.release_auroc.value, abs=0.02)
    assert learning_curve(sample, ["missed"], risk) == found


def test_a_size_with_hardly_any_stop_is_a_gap(sample: Sample) -> None:
    rare = sample.targets * (sample.client % 20 == 0)[:, None]
    found = learning_curve(sample._replace(targets=rare), ["missed"], np.full(ROWS, 0.1))
    assert found is not None
    assert found.sizes[0].gap is not None and found.sizes[0].auroc.value is None
