"""Recalibration: moves what the data can tell, little where they are few."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from keepwell.scoring.scorecard import OUTPUTS, Offsets, Scorecard
from keepwell.scoring.scorer import Scorer
from keepwell.testing.made_up import made_up_clinic
from models.hand_set import scorecard
from training.dataset import Dataset, InMemory, build
from training.fit.fit import Fitted
from training.fit.offsets import LEAST_CLIENTS
from training.fit.publish import release_again
from training.fit.recalibrate import ENOUGH_STOPS, LEAST_STOPS, calibrated_clinics, recalibrate
from training.fit.refuse import NotFitted
from training.fit.sample import sample_of

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def other() -> Dataset:
    """Another clinic of the same kind."""
    return build(InMemory(made_up_clinic(320, 9, START, 500)))


def off(card: Scorecard, shift: float, times: float) -> Scorecard:
    """The card with each stage's calibration wrong by so much."""
    return msgspec.structs.replace(
        card, stages=tuple(tuple((a + shift, times * b) for a, b in one) for one in card.pairs)
    )


def test_a_release_that_is_off_comes_back(fitted: Fitted, other: Dataset) -> None:
    found = recalibrate(other, Scorer(off(fitted.card, -1.0, 0.7)))
    headline = found.shifts["30d"]
    assert headline.before is not None and headline.after is not None
    assert abs(headline.before.intercept) > 0.3
    assert abs(headline.after.intercept) < abs(headline.before.intercept) / 3
    assert headline.slope > 1.0
    assert headline.after.ece < headline.before.ece


def test_the_points_stay_and_the_order_of_risks_too(fitted: Fitted, other: Dataset) -> None:
    found = recalibrate(other, Scorer(fitted.card))
    assert found.card.terms == fitted.card.terms and found.card.base == fitted.card.base
    table = other.matrix([term.feature for term in fitted.card.terms])
    before, after = Scorer(fitted.card).risks(table)[:, 1], Scorer(found.card).risks(table)[:, 1]
    assert (np.argsort(before, kind="stable") == np.argsort(after, kind="stable")).mean() > 0.99


def test_every_stage_is_moved_by_the_same_intercept_and_slope(fitted: Fitted, other: Dataset) -> None:
    found = recalibrate(other, Scorer(fitted.card))
    assert len({pairs[1] for pairs in fitted.card.pairs}) > 1  # stages differ, and go on differing
    for before, after in zip(fitted.card.pairs, found.card.pairs, strict=True):
        for name, (a, b), moved in zip(OUTPUTS, before, after, strict=True):
            shift = found.shifts[name]
            assert moved == pytest.approx((shift.intercept + shift.slope * a, shift.slope * b))
    assert found.card.calibration == fitted.card.calibration


def test_a_card_without_stages_is_recalibrated_and_still_has_none(other: Dataset) -> None:
    found = recalibrate(other, Scorer(scorecard()))
    assert found.card.stages is msgspec.UNSET
    (a, b), (_, times) = found.card.calibration[1], scorecard().calibration[1]
    assert (a, b) == pytest.approx((found.shifts["30d"].intercept, found.shifts["30d"].slope * times))


def test_it_is_judged_and_moved_at_moments_alone(fitted: Fitted, other: Dataset) -> None:
    found = recalibrate(other, Scorer(fitted.card))
    elsewhere = other.frame["moment"].isna()
    wrong = {f"target_{one}": other.frame[f"target_{one}"].mask(elsewhere, 0.0) for one in OUTPUTS}
    again = recalibrate(replace(other, frame=other.frame.assign(**wrong)), Scorer(fitted.card))
    assert again.card == found.card


def test_few_stops_move_it_a_little_and_too_few_not_at_all(fitted: Fitted) -> None:
    def clinic(episodes: int) -> Dataset:
        return build(InMemory(made_up_clinic(episodes, 9, START, 500)))

    few = recalibrate(clinic(40), Scorer(off(fitted.card, -1.0, 1.0)))
    assert LEAST_STOPS <= few.stops < 20
    assert 0 < few.shifts["30d"].intercept < 1.0
    with pytest.raises(NotFitted, match=f"at least {LEAST_STOPS} are needed to recalibrate"):
        recalibrate(clinic(6), Scorer(fitted.card))


def test_fewer_data_move_it_less(fitted: Fitted, other: Dataset) -> None:
    flat = Scorer(off(fitted.card, 0.0, 0.5))
    much = recalibrate(other, flat)
    few = recalibrate(build(InMemory(made_up_clinic(90, 9, START, 500))), flat)
    assert few.stops < much.stops
    assert 0 < few.shifts["30d"].slope - 1 < much.shifts["30d"].slope - 1
    assert few.shifts["30d"].weight < 1


def test_recalibrating_twice_is_recalibrating_the_result(fitted: Fitted, other: Dataset) -> None:
    once = recalibrate(other, Scorer(fitted.card))
    twice = recalibrate(other, Scorer(once.card))
    assert abs(twice.shifts["30d"].intercept) < abs(once.shifts["30d"].intercept) + 0.05


# ── offsets ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def divided(other: Dataset) -> Dataset:
    """The same clinic, where the clients of every other clinician stop, and those of the rest stay."""
    frame = other.frame
    outcome = (frame["clinician"].cat.codes % 2).astype(np.float64)
    targets = {f"target_{one}": outcome.where(frame[f"target_{one}"].notna()) for one in OUTPUTS}
    return replace(other, frame=frame.assign(**targets))


def test_offsets_are_stored_so_that_scoring_adds_what_was_found(fitted: Fitted, divided: Dataset) -> None:
    """Scoring multiplies them by the slope of the calibration, which recalibration has moved."""
    found = recalibrate(divided, Scorer(fitted.card), use_offsets=True)
    assert found.pooled is not None and found.pooled.offsets.active and found.pooled.spread["30d"] > 0.5
    assert abs(found.card.pairs[3][1][1] - fitted.card.pairs[3][1][1]) > 0.1
    scorer, frame = Scorer(found.card, found.pooled.offsets), divided.frame
    seats = zip(frame["clinic"], frame["clinician"].astype(str).str.partition("/")[2], strict=True)
    added = np.array([found.pooled.offsets.of(*seat) for seat in seats])
    table = divided.matrix([term.feature for term in found.card.terms])
    assert np.abs(scorer.risks(table, added) - found.risks).max() < 1e-3
    assert np.abs(scorer.risks(table) - found.risks).max() > 0.1


def test_offsets_of_the_other_half_of_the_clients_make_risks_better(fitted: Fitted, divided: Dataset) -> None:
    found = recalibrate(divided, Scorer(fitted.card), use_offsets=True)
    after = found.shifts["30d"].after
    assert found.pooled is not None and after is not None
    beside = found.pooled.measures["30d"]
    assert beside is not None and beside.auroc > after.auroc + 0.1


def test_a_clinician_with_few_clients_and_a_clinic_alone_have_no_offset(fitted: Fitted, divided: Dataset) -> None:
    found = recalibrate(divided, Scorer(fitted.card), use_offsets=True)
    clients = divided.frame.groupby("clinician", observed=True)["client"].nunique()
    assert found.pooled is not None and found.pooled.offsets.clinics == {}
    assert all(clients[name] >= LEAST_CLIENTS for name in found.pooled.offsets.clinicians)
    few = recalibrate(divided, Scorer(fitted.card))
    assert few.pooled is None and few.card == found.card


def test_offsets_of_the_release_before_are_left_out(fitted: Fitted, other: Dataset) -> None:
    theirs = Offsets(
        active=True, clinics={}, clinicians=dict.fromkeys(other.frame["clinician"].cat.categories, (1.0,) * 4)
    )
    without, with_theirs = (recalibrate(other, Scorer(fitted.card, one)) for one in (None, theirs))
    assert without.card == with_theirs.card and (without.left_out, with_theirs.left_out) == (False, True)
    assert not recalibrate(other, Scorer(fitted.card, theirs), use_offsets=True).left_out


def test_frequencies_are_for_clinics_with_enough_stops_that_the_fit_is_of_alone(other: Dataset) -> None:
    def clinics(stopping: int, of: int = 1, offsets: bool = False) -> tuple[str, ...]:
        """Those to which a clinic's risks are calibrated, cut into so many, where so many of its episodes stop."""
        numbers = other.frame["episode"].cat.codes
        stops = (numbers < stopping).astype(np.float64)
        targets = {f"target_{one}": stops for one in OUTPUTS}
        cut = (numbers % of).map(lambda number: f"c{number}").astype("category")
        sample = sample_of(replace(other, frame=other.frame.assign(clinic=cut, **targets)))
        return calibrated_clinics(sample, offsets)

    assert clinics(ENOUGH_STOPS) == ("c0",) and clinics(ENOUGH_STOPS - 1) == ()
    assert clinics(2 * ENOUGH_STOPS, of=2) == (), "what two have in common is neither's"
    assert clinics(2 * ENOUGH_STOPS, of=2, offsets=True) == ("c0", "c1")
    assert clinics(2 * ENOUGH_STOPS - 1, of=2, offsets=True) == ("c0",)


def test_a_release_says_whom_it_is_calibrated_for_and_nothing_where_that_is_nobody(
    fitted: Fitted, other: Dataset, tmp_path: Path
) -> None:
    found = recalibrate(other, Scorer(fitted.card))
    for clinics in ((), ("north",)):
        folder = tmp_path / str(len(clinics))
        release_again(
            found._replace(calibrated_for=clinics), other, folder, base="sha256:0", policy=fitted.policy
        )  # fmt: skip
        told = msgspec.json.decode((folder / "manifest.json").read_bytes())
        assert told.get("calibrated_for", []) == list(clinics)
