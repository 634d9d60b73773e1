"""The fit: exact, additive, calibrated, the same for the same data, whatever the number of processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keepwell.care.moments import STAGES
from keepwell.scoring.features import BY_NAME
from keepwell.scoring.scorecard import HEADLINE, OUTPUTS
from keepwell.scoring.scorer import Scorer, calibrated
from models.release import default
from tests.training.fit.conftest import BUDGET
from training.dataset import FEATURE_COLUMNS, Dataset
from training.dataset.split import hold_out
from training.fit.fit import Fitted, Options, fit
from training.fit.learners import Recipe
from training.fit.line import HIGHEST
from training.fit.publish import release
from training.fit.sample import SETTLING_DAYS, sample_of
from training.fit.select import splits_of
from training.fit.signs import NEEDS_YEARS, SIGNS


def risks(fitted: Fitted, dataset: Dataset) -> np.ndarray:
    return Scorer(fitted.card).risks(dataset.matrix([term.feature for term in fitted.card.terms]))


def test_the_scorecard_is_the_estimator(fitted: Fitted, dataset: Dataset) -> None:
    values = dataset.matrix()
    assert np.abs(risks(fitted, dataset) - fitted.estimator.risks(values, FEATURE_COLUMNS)).max() <= 1e-9


def test_it_is_so_for_values_that_no_row_had(fitted: Fitted, dataset: Dataset) -> None:
    rng = np.random.default_rng(5)
    values = dataset.matrix()[rng.integers(0, len(dataset.frame), 2000)] + rng.normal(
        0, 3, (2000, len(FEATURE_COLUMNS))
    )
    values[rng.random(values.shape) < 0.2] = np.nan
    sessions = FEATURE_COLUMNS.index("sessions")
    values[:, sessions] = rng.integers(0, 60, 2000)
    values[:, FEATURE_COLUMNS.index("stage")] = rng.integers(0, len(STAGES), 2000)
    columns = [FEATURE_COLUMNS.index(term.feature) for term in fitted.card.terms]
    found = Scorer(fitted.card).risks(values[:, columns])
    assert np.abs(found - fitted.estimator.risks(values, FEATURE_COLUMNS)).max() <= 1e-9


def test_risks_do_not_fall_with_the_horizon(fitted: Fitted, dataset: Dataset) -> None:
    found = risks(fitted, dataset)
    assert (np.diff(found[:, :3], axis=1) >= 0).all()


def test_a_feature_moves_the_risk_the_way_theory_says(fitted: Fitted) -> None:
    for term in fitted.card.terms:
        if term.feature in SIGNS:
            sign = SIGNS[term.feature][0]
            assert (np.diff(np.array(term.points), axis=0) * sign >= -1e-9).all(), term.feature


def test_every_sign_is_of_a_feature() -> None:
    assert set(SIGNS) | set(NEEDS_YEARS) <= set(BY_NAME)


def test_points_speak_against_the_average_row(fitted: Fitted, dataset: Dataset) -> None:
    decisive = sample_of(dataset).decisive
    for term in fitted.card.terms:
        column = dataset.matrix([term.feature])[decisive, 0]
        rows = np.array([*term.points, term.missing])
        places = np.where(np.isnan(column), len(rows) - 1, np.searchsorted(term.edges, column, side="right"))
        assert np.abs(rows[places].mean(axis=0)).max() < 1e-9, term.feature


def test_risks_are_calibrated_at_each_output_on_clients_not_seen(fitted: Fitted) -> None:
    for name in OUTPUTS:
        found = fitted.report.measures[name]
        assert 0.95 <= found.slope <= 1.05, name
        assert abs(found.intercept) < 0.05, name


def test_one_year_of_data_teaches_nothing_about_seasons(fitted: Fitted) -> None:
    assert not {"season_sin", "season_cos"} & {term.feature for term in fitted.card.terms}


def test_rows_too_near_the_end_of_what_is_known_have_no_target(dataset: Dataset) -> None:
    sample = sample_of(dataset)
    ages = (dataset.frame["as_of"].max() - dataset.frame["as_of"]).dt.total_seconds().to_numpy() / 86400
    for output, name in enumerate(OUTPUTS):
        assert ages[sample.known(output)].min() >= SETTLING_DAYS[name] - 1e-6
        assert (~np.isnan(sample.targets[:, output])).sum() < dataset.determined(name).sum()


def test_clients_are_left_to_validate_on_where_some_were_held_out_by_the_same_seed(dataset: Dataset) -> None:
    together = dataset.frame.assign(opened_at=dataset.frame["opened_at"].min())  # nothing lies ahead in time
    kept = together[hold_out(together, share=0.3, seed=0).train].reset_index(drop=True)
    how, splits = splits_of(sample_of(replace(dataset, frame=kept)), Recipe())
    assert "held out" in how
    assert all(side.sum() > 0.2 * len(kept) for split in splits for side in split)


def test_the_line_keeps_the_budget(fitted: Fitted) -> None:
    line = fitted.report.line
    assert 0 < line.alerts_per_100_sessions <= BUDGET
    assert (fitted.policy.line, fitted.policy.absent) == (line.line, line.absent)
    assert line.line < HIGHEST, "chosen, and not where nothing is left"
    assert fitted.policy.release < line.line < fitted.policy.escalate


@pytest.fixture(scope="module")
def twice(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The digests of one fit made by one process and by two."""
    place = tmp_path_factory.mktemp("releases")
    return [
        release(fit(dataset, default().policy, Options(budget=BUDGET, jobs=jobs)), dataset, None, place / str(jobs))
        for jobs in (1, 2)
    ]


def test_the_same_data_and_seed_give_the_same_digest(
    twice: list[str], fitted: Fitted, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = release(fitted, dataset, None, tmp_path_factory.mktemp("again"))
    assert twice == [again, again]


def test_another_seed_gives_another_release(fitted: Fitted, dataset: Dataset) -> None:
    other = fit(dataset, default().policy, Options(budget=BUDGET, seed=1))
    assert other.card != fitted.card
    assert other.report.measures["30d"].auroc == pytest.approx(fitted.report.measures["30d"].auroc, abs=0.06)


def test_the_headline_is_the_sum_of_its_parts(fitted: Fitted, dataset: Dataset) -> None:
    scorer = Scorer(fitted.card)
    table = dataset.matrix([term.feature for term in fitted.card.terms])
    found = np.log(scorer.risks(table)[:, HEADLINE] / (1 - scorer.risks(table)[:, HEADLINE]))
    sums = calibrated(fitted.card, table, scorer.logits(table))[:, HEADLINE]
    assert np.abs(found - sums).max() < 1e-9
