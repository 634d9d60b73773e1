"""Treated rows: told apart, weighed as asked, and their difference reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.release import default
from training.dataset import Dataset
from training.fit.bags import from_nothing, held_of, rows_of, weights
from training.fit.bins import Bins, bins_of
from training.fit.fit import Fitted, Options, fit
from training.fit.learners import Recipe, Tuning
from training.fit.sample import Coded, sample_of


def test_rows_of_treated_moments_are_kept_weighed_or_left_out(dataset: Dataset) -> None:
    sample = sample_of(dataset)
    bins = bins_of(sample.column, dataset.about.features)
    material = from_nothing(Coded(sample, bins, bins.codes(sample.column)))
    everyone = np.ones(len(sample.client), dtype=np.bool_)
    kept, half, without = (
        rows_of(material, everyone, 1, Tuning(), Recipe(treated=weight)) for weight in (1.0, 0.5, 0.0)
    )
    known = sample.judged(1)
    assert sample.treated[known].sum() > 0
    assert set(kept.weight) == {1.0} and set(half.weight) == {0.5, 1.0}
    assert len(kept.target) - len(without.target) == sample.treated[known].sum()
    assert (half.weight == 0.5).sum() == sample.treated[known].sum()


def test_what_treatment_does_is_reported(fitted: Fitted, dataset: Dataset) -> None:
    treated = fitted.report.treated
    sample = sample_of(dataset)
    assert treated.rows + treated.others == sample.judged(1).sum()
    assert treated.stopped is not None and treated.expected is not None
    assert treated.difference is not None and treated.difference > 0


def test_without_treated_rows_there_is_nothing_to_report(dataset: Dataset) -> None:
    never = replace(dataset, frame=dataset.frame.assign(alerted=False, acted=False))
    treated = fit(never, default().policy, Options(budget=20)).report.treated
    assert (treated.rows, treated.stopped, treated.difference) == (0, None, None)


def test_a_client_with_many_rows_at_moments_of_a_kind_weighs_as_the_power_says() -> None:
    client, moment = np.array([1] * 9 + [2, 1]), np.array([1] * 10 + [2])
    for power, ratio in ((0.0, 1.0), (0.5, 1 / 3), (1.0, 1 / 9)):
        found = weights(client, moment, Tuning(power=power))
        assert abs(found[0] / found[9] - ratio) < 1e-12 and found[9] == found[10]
        assert abs(found.mean() - 1) < 1e-12


def test_a_row_at_no_moment_weighs_as_the_others_do() -> None:
    found = weights(np.array([1, 2]), np.array([0, -1]), Tuning(others=0.3))
    assert abs(found[1] / found[0] - 0.3) < 1e-12


def test_of_too_many_rows_stops_are_drawn_first_and_the_balance_is_kept(dataset: Dataset) -> None:
    sample = sample_of(dataset)
    coded = Coded(sample, Bins(("sessions",), ((),)), np.zeros((len(sample.client), 1), dtype=np.uint8))
    material, everyone = from_nothing(coded), np.ones(len(sample.client), dtype=np.bool_)
    every = rows_of(material, everyone, 1, Tuning(), Recipe())
    drawn = rows_of(material, everyone, 1, Tuning(), Recipe(most=600))
    assert len(drawn.target) == 600 and drawn.target.mean() == 0.5 > every.target.mean()
    share = np.average(drawn.target, weights=drawn.weight)
    assert abs(share - every.target.mean()) < 1e-9
    held = held_of(material, everyone, 1, Recipe(), most=600)
    assert abs(held.target.mean() - every.target.mean()) < 0.06 and set(held.weight) == {1.0}
