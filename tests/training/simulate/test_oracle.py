"""The oracle's risks are those of the generator and of the contract's targets, and no better than honest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from keepwell.contract.words import HORIZONS
from tests.training.simulate.worlds import Truth, expected_auroc
from training.simulate import PRESETS, rates
from training.simulate.hazards import LATE, back_after, longest_notice, not_yet, notice, still_waiting
from training.simulate.intake import arrive, roster
from training.simulate.landmarks import Landmarks
from training.simulate.life import CUT, Lives
from training.simulate.oracle import Oracle, Risks
from training.simulate.people import DAY, Bools, Floats, tables
from training.simulate.tell import Teller

HORIZON_30 = list(HORIZONS).index("30d")


class Judged(NamedTuple):
    """Landmarks with the risks of two independent sets of roll-outs: one as score, the other as the truth behind it."""

    marks: Landmarks
    score: Risks
    truth: Risks


@pytest.fixture(scope="module", params=["clinic", "community"])
def judged(request: pytest.FixtureRequest) -> Judged:
    world = PRESETS[request.param]
    instruments, rng = tables(world), np.random.default_rng(3)
    staff = roster(world, 1_000, rng)
    people, arrivals = arrive(world, staff, 1_000, rng)
    marks = Lives(
        people, arrivals, world, tables=instruments, staff=staff, teller=Teller(world, instruments, CUT, 1), rng=rng
    ).run()
    oracle = Oracle(world, instruments, staff)
    score, truth = (oracle.risks(marks, np.random.SeedSequence(seed), rollouts=24, jobs=2) for seed in (1, 2))
    return Judged(marks, score, truth)


def test_the_oracle_is_as_good_at_intake_as_can_honestly_be(judged: Judged) -> None:
    rows = np.isnan(judged.marks.people.last) & (judged.marks.at == judged.marks.people.since + 1)
    assert rates.AUROC_INTAKE.holds(_auroc(judged, judged.score.known, rows))
    assert rates.AUROC_INTAKE.low - 0.02 <= _auroc(judged, judged.score.unknown, rows) <= rates.AUROC_INTAKE.high


def test_the_oracle_is_as_good_after_three_sessions_as_can_honestly_be(judged: Judged) -> None:
    rows = (judged.marks.people.sessions == 3) & (judged.marks.at == judged.marks.people.last + 15)
    for risk in (judged.score.known, judged.score.unknown):
        assert rates.AUROC_SESSION_3.holds(_auroc(judged, risk, rows))


def test_the_oracle_is_never_better_than_a_leak_would_be(judged: Judged) -> None:
    people = judged.marks.people
    after = judged.marks.at == people.last + 15
    groups = [
        np.isnan(people.last),
        *(after & (people.sessions == n) for n in (1, 2, 3, 5, 8)),
        ~after & (people.last > 0),
    ]
    for rows in (*groups, np.ones(len(judged.marks), bool)):
        for horizon in range(3):
            assert _auroc(judged, judged.score.known, rows, horizon) <= rates.AUROC_EVER.high


def test_knowing_the_clinician_helps_and_not_knowing_is_right_on_average(judged: Judged) -> None:
    every = np.ones(len(judged.marks), bool)
    assert _auroc(judged, judged.score.known, every) > _auroc(judged, judged.score.unknown, every) + 0.005
    assert judged.score.unknown.mean() == pytest.approx(judged.truth.known.mean(), rel=0.05)


def test_who_does_not_know_the_clinic_cannot_tell_a_late_entry_from_a_session_that_ended_with_nothing_booked(
    judged: Judged,
) -> None:
    marks = judged.marks
    first = (marks.people.sessions == 1) & (marks.at == marks.people.last + 15)
    late, left = first & (marks.people.starts < marks.at), first & (marks.people.lost_at == marks.at - 1)
    known, unknown = judged.truth.known[:, HORIZON_30], judged.score.unknown[:, HORIZON_30]
    assert known[left].mean() > 2 * known[late].mean()
    assert unknown[left].mean() < 1.4 * unknown[late].mean()
    assert unknown[late | left].mean() == pytest.approx(known[late | left].mean(), rel=0.15)


def test_a_longer_horizon_has_no_smaller_risk(judged: Judged) -> None:
    for risk in (judged.score.known, judged.score.unknown):
        assert (np.diff(risk, axis=1) >= -1e-9).all()
        assert ((risk >= 0) & (risk <= 1 + 1e-9)).all()


def test_what_came_of_it_agrees_with_the_true_risk(with_truth: list[Truth]) -> None:
    """The targets are keepwell's own, so the generator's stops are those of the contract."""
    for horizon in HORIZONS:
        risk = np.array([truth.risk(horizon) for truth in with_truth])
        target = np.array([truth.target(horizon) for truth in with_truth], dtype=float)
        assert target.mean() == pytest.approx(risk.mean(), rel=0.12)
        order = np.argsort(risk)
        for part in np.array_split(order, 4):
            assert target[part].mean() == pytest.approx(risk[part].mean(), abs=0.05)


def test_the_next_visit_is_missed_as_often_as_foreseen(with_truth: list[Truth]) -> None:
    rows = [(truth.row["next_visit_missed"], truth.next_missed()) for truth in with_truth]
    told = [(chance, came) for chance, came in rows if came is not None]
    assert all(chance is not None for chance, _ in told)
    chance, came = np.array(told, dtype=float).T
    assert came.mean() == pytest.approx(chance.mean(), rel=0.12)


def test_every_target_of_a_truth_is_determined(with_truth: list[Truth]) -> None:
    undetermined = sum(truth.target(horizon) is None for truth in with_truth for horizon in HORIZONS)
    assert undetermined <= len(with_truth) * len(HORIZONS) / 1_000


def test_waiting_time_is_drawn_as_the_oracle_believes() -> None:
    rng = np.random.default_rng(7)
    cap = np.full(40_000, 20 * DAY)
    drawn = back_after(rng, cap)
    for days in (0.5, 1.0, 5.0, 10.0, 19.0):
        believed = still_waiting(np.array([days * DAY]), np.array([20 * DAY]))[0]
        assert np.mean(drawn > days * DAY) == pytest.approx(believed, abs=0.01)
    later = back_after(rng, cap, 5 * DAY)
    assert later.min() >= 5 * DAY - 1
    assert np.mean(later > 10 * DAY) == pytest.approx(np.mean(drawn > 10 * DAY) / np.mean(drawn > 5 * DAY), abs=0.015)


def test_notice_is_drawn_as_the_oracle_believes() -> None:
    world = PRESETS["clinic"]
    rng = np.random.default_rng(8)
    people, _ = arrive(world, roster(world, 20_000, rng), 20_000, rng)
    longest = longest_notice(people)
    for ways, believed in ((np.zeros(20_000, int), 0), (np.full(20_000, LATE), 1)):
        drawn = notice(rng, ways, longest)
        for hours in (10.0, 40.0, 70.0):
            left = np.full(20_000, hours * 60)
            assert np.mean(drawn < left) == pytest.approx(not_yet(left, longest)[believed].mean(), abs=0.015)


def _auroc(judged: Judged, score: Floats, rows: Bools, horizon: int = HORIZON_30) -> float:
    return expected_auroc(score[rows, horizon], judged.truth.known[rows, horizon])
