"""The line: chosen by a budget or by costs, counted with the live policy on whole caseloads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from keepwell.care.endings import DAY
from keepwell.scoring.scorecard import HEADLINE, Scorer
from models.release import default
from training.dataset import Dataset
from training.fit.fit import Fitted
from training.fit.line import at, line_of, raised, whole_caseloads
from training.fit.sample import Sample, sample_of

BASE = default().policy
BUDGETS = (0.1, 0.2, 0.4)


@pytest.fixture(scope="module")
def risk(dataset: Dataset, fitted: Fitted) -> np.ndarray:
    table = dataset.matrix([term.feature for term in fitted.card.terms])
    return np.asarray(Scorer(fitted.card).risks(table)[:, HEADLINE])


@pytest.fixture(scope="module")
def sample(dataset: Dataset) -> Sample:
    return sample_of(dataset)


def test_a_larger_budget_gives_a_lower_line_and_more_alerts_within_it(sample: Sample, risk: np.ndarray) -> None:
    found = [line_of(sample, risk, BASE, budget, None) for budget in BUDGETS]
    assert all(one.line > other.line for one, other in pairwise(found))
    for line, budget in zip(found, BUDGETS, strict=True):
        assert budget * 0.7 < line.alerts_per_clinician_week <= budget


def test_a_budget_that_no_line_exceeds_gives_the_line_of_most_alerts_not_one_that_is_never_released(
    sample: Sample, risk: np.ndarray
) -> None:
    most = line_of(sample, risk, BASE, 100.0, None)
    assert most.line > 0.03
    assert most.alerts_per_clinician_week > line_of(sample, risk, BASE, 0.4, None).alerts_per_clinician_week


def test_a_cost_ratio_is_the_line_of_decision_theory(sample: Sample, risk: np.ndarray) -> None:
    assert line_of(sample, risk, BASE, None, 4).line == pytest.approx(0.2)


def test_release_and_escalation_go_with_the_line() -> None:
    for line in (0.02, 0.2, 0.9):
        policy = at(BASE, line)
        assert policy.release < policy.line < policy.escalate < 1
        assert policy.refractory_days == BASE.refractory_days


def test_alerts_are_those_of_the_live_policy() -> None:
    policy = at(BASE, 0.3)
    days = [0, 1, 2, 3, 4, 30, 0]
    risks = [0.1, 0.31, 0.5, 0.29, 0.1, 0.4, 0.35]
    episodes = [1, 1, 1, 1, 1, 1, 2]
    # Raised at the first crossing, held through the dip, over at .1, again after the refractory time; apart by episode.
    assert raised(policy, episodes, [day * DAY for day in days], risks) == [1, 5, 6]


def test_caseloads_are_whole(sample: Sample) -> None:
    rows = whole_caseloads(sample)
    assert list(rows) == sorted(set(rows))
    chosen = sample.frame["clinician"].iloc[rows]
    whole = sample.frame["clinician"].isin(chosen.unique()).to_numpy() & sample.decisive
    assert whole.sum() == len(rows)
