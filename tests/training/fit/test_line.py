"""The line: chosen by a budget or by costs, counted with the live policy on whole caseloads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from keepwell.care.endings import DAY
from keepwell.care.moments import MOMENTS
from keepwell.contract.events import Attended, EventRetracted, Feedback
from keepwell.scoring.scorecard import HEADLINE
from keepwell.scoring.scorer import Scorer
from keepwell.streams.topics import Topics
from keepwell.testing.made_up import made_up_clinic
from models.release import default
from services.predictor.bootstrap import processor
from tests.episodes import Happening, booked, on, opened, story
from tests.training.fit.conftest import START
from training.dataset import Dataset, InMemory, build
from training.dataset.builder import table
from training.dataset.sources import gather
from training.evaluate.definitions import outcomes
from training.evaluate.replays import replayed
from training.evaluate.report import risks_of
from training.fit.fit import Fitted
from training.fit.line import ABSENT, LEFT, at, line_of, raised, whole_caseloads
from training.fit.sample import Sample, sample_of

BASE = default().policy
BUDGETS = (25.0, 30.0, 40.0)
"""Alerts per 100 sessions."""


@pytest.fixture(scope="module")
def risk(dataset: Dataset, fitted: Fitted) -> np.ndarray:
    table = dataset.matrix([term.feature for term in fitted.card.terms])
    return np.asarray(Scorer(fitted.card).risks(table)[:, HEADLINE])


@pytest.fixture(scope="module")
def sample(dataset: Dataset) -> Sample:
    return sample_of(dataset)


def test_a_larger_budget_gives_a_lower_line_and_more_alerts_within_it(sample: Sample, risk: np.ndarray) -> None:
    found = [line_of(sample, risk, BASE, budget, None) for budget in BUDGETS]
    assert all(one.line >= other.line for one, other in pairwise(found)) and found[0].line > found[-1].line
    for line, budget in zip(found, BUDGETS, strict=True):
        assert budget * 0.7 < line.alerts_per_100_sessions <= budget
    told = [(one.recall or 0) + (one.in_time or 0) for one in found]
    assert told == sorted(told)


def test_a_budget_that_no_line_exceeds_gives_more_than_a_smaller_one(sample: Sample, risk: np.ndarray) -> None:
    most = line_of(sample, risk, BASE, 1000.0, None)
    assert most.alerts_per_100_sessions > line_of(sample, risk, BASE, 30.0, None).alerts_per_100_sessions


def test_what_is_voiced_is_told_even_where_it_alone_exceeds_the_budget(sample: Sample, risk: np.ndarray) -> None:
    least = line_of(sample, risk, BASE, 0.01, None)
    told = raised(at(BASE, least.line, least.absent), sample, whole_caseloads(sample), risk[whole_caseloads(sample)])
    assert least.alerts_per_100_sessions > 0.01 and {one.kind for one in told} & {"rupture", "ending"}


def test_where_the_other_kinds_use_up_a_budget_a_quarter_of_it_is_left_to_risk_and_that_is_said(
    sample: Sample, risk: np.ndarray
) -> None:
    rows, budget = whole_caseloads(sample), 12.0
    sessions = int((sample.moment[rows] == MOMENTS.index("session")).sum())

    def per_100(line: float) -> tuple[float, float]:
        told = raised(at(BASE, line, max(ABSENT)), sample, rows, risk[rows])
        of_risk = sum(one.kind == "risk" for one in told)
        return 100 * of_risk / sessions, 100 * (len(told) - of_risk) / sessions

    found = line_of(sample, risk, BASE, budget, None)
    of_risk, others = per_100(found.line)
    assert others > budget, "else nothing is tried"
    assert found.absent == max(ABSENT)
    assert 0 < of_risk <= LEFT * budget < per_100(0.9 * found.line)[0]
    assert found.chosen_by == "budget of 12 alerts per 100 sessions, which the other kinds alone use up"
    assert line_of(sample, risk, BASE, 40.0, None).chosen_by == "budget of 40 alerts per 100 sessions"


def test_a_cost_ratio_is_the_line_of_decision_theory(sample: Sample, risk: np.ndarray) -> None:
    found = line_of(sample, risk, BASE, None, 4)
    assert (found.line, found.absent) == pytest.approx((0.2, 0.2))


def test_release_and_escalation_go_with_the_line() -> None:
    for line in (0.02, 0.2, 0.9):
        policy = at(BASE, line, 0.5)
        assert policy.release < policy.strain < policy.line < policy.escalate < 1
        assert policy.absent == 0.5
        assert policy.refractory_days == BASE.refractory_days


def test_alerts_are_those_of_the_live_policy() -> None:
    policy = at(BASE, 0.3, 0.5)
    visits: list[Happening] = [(0, booked("v-1", 1)), *((n, Attended(appointment_id=f"v-{n}")) for n in (1, 2, 3, 30))]
    visits += [(n + 0.001, booked(f"v-{then}", then)) for n, then in ((1, 2), (2, 3), (3, 30))]
    spoke = [
        (2.002, Feedback(pillar="trust", sentiment="negative")),
        (9, Feedback(pillar="trust", sentiment="positive")),
    ]
    sample = sample_of(build(InMemory(sorted(story((-1, opened()), *visits, *spoke), key=lambda event: event.time))))
    days = [(at - on(0)) / DAY for at in sample.as_of]
    risk = np.array([0.6 if round(day) in (1, 30) else 0.1 for day in days])
    told = [(round(days[one.row]), one.kind) for one in raised(policy, sample, np.arange(len(days)), risk)]
    # Raised at the first crossing, what is said joins at once, over at .1 and mended, again after the refractory time.
    assert told == [(1, "risk"), (2, "rupture"), (30, "risk")]


def test_of_every_kind_those_are_counted_that_a_predictor_at_work_raises() -> None:
    """Of who came back after a stop, or of whom something was taken back, the table knows less than a predictor did."""
    gathered = gather(InMemory(list(made_up_clinic(320, 3, START, 500))), (), None, {})
    release, dataset = default(), table(gathered)
    sample = sample_of(dataset)
    names = dataset.frame["episode"].astype(str).tolist()
    told = raised(release.policy, sample, np.arange(len(names)), risks_of(release, dataset)[:, HEADLINE])
    retracted = {one.key for one in made_up_clinic(320, 3, START, 500) if isinstance(one, EventRetracted)}
    plain = {name for name, one in outcomes(gathered).items() if len(one.spells) == 1} - retracted
    live = [
        (one.episode, one.kind, one.at)
        for one in replayed(processor(Topics()), gathered, Topics().alerts)
        if one.kind != "safety" and one.status == "raised"
    ]
    counted = [(names[one.row], one.kind, int(sample.as_of[one.row])) for one in told]
    ours, theirs = ({one for one in told if one[0] in plain} for told in (counted, live))
    # What falls on an event that has no row, such as homework that is set, is counted at the next one or not at all.
    assert len(ours & theirs) >= 0.9 * len(ours | theirs)
    assert {kind for _, kind, _ in counted} == {"risk", "rupture", "silence", "ending"}


def test_caseloads_are_whole(sample: Sample) -> None:
    rows = whole_caseloads(sample)
    assert list(rows) == sorted(set(rows))
    chosen = sample.frame["clinician"].iloc[rows]
    whole = sample.frame["clinician"].isin(chosen.unique()).to_numpy()
    assert whole.sum() == len(rows)
