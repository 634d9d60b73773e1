"""Bins: readable, well filled, and the same for a value wherever it is looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepwell.scoring.features import FEATURES
from training.dataset import FEATURE_COLUMNS, Dataset
from training.fit.bins import GRAIN, LEAST_ROWS, MOST, Bins, bins_of, in_matrix, roundest
from training.fit.steps import with_gaps

COUNTED = {
    "0/1", "-1/0/1", "changes", "contacts", "episodes", "measures", "ratings", "returns", "ruptures", "sessions", "stage", "tasks",
    "visits",
}  # fmt: skip


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e3))
def test_a_rounder_edge_still_parts_the_same_values(low: float, width: float) -> None:
    high = low + width
    if low < high:
        assert low < roundest(low, high) <= high


def test_every_bin_is_filled_and_there_are_not_too_many(dataset: Dataset) -> None:
    column = in_matrix(dataset.matrix(), FEATURE_COLUMNS)
    bins = bins_of(column, FEATURE_COLUMNS)
    codes = bins.codes(column)
    assert len(bins.features) > 40
    for place, edges in enumerate(bins.edges):
        assert list(edges) == sorted(set(edges)) and len(edges) < MOST
        rows = np.bincount(codes[:, place], minlength=len(edges) + 2)[: len(edges) + 1]
        assert rows.min() >= LEAST_ROWS // 2  # a grain beside an edge may fall on its other side


def test_a_value_many_rows_share_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.linspace(0, 5.9, 400), np.full(600, 6.0), np.linspace(6.1, 10, 400)])
    (edges,) = bins_of(lambda _: values, ["alliance_level"]).edges
    assert 6.0 in edges and any(6.0 < edge <= 6.3 for edge in edges)


def test_nothing_finer_than_a_grain_is_told_apart() -> None:
    seconds = np.random.default_rng(1).uniform(0, 0.4, 1000)
    assert bins_of(lambda _: seconds, ["days_since_session"]).features == ()


def test_every_unit_is_counted_or_has_a_grain() -> None:
    assert {feature.unit for feature in FEATURES} <= COUNTED | set(GRAIN)


def test_a_missing_value_has_a_code_of_its_own() -> None:
    bins = Bins(("sessions",), ((1.0, 3.0),))
    codes = bins.codes(lambda _: np.array([0.0, 1.0, 2.9, 3.0, np.nan]))
    assert codes[:, 0].tolist() == [0, 1, 1, 2, 3]
    assert np.isnan(with_gaps(codes, bins)[:, 0]).tolist() == [False] * 4 + [True]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="sessions: no such column"):
        Bins(("sessions",), ((1.0,),)).codes(in_matrix(np.zeros((1, 1)), ["missed"]))
