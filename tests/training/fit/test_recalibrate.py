"""Recalibration: moves what the data can tell, little where they are few."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from keepwell.made_up import made_up_clinic
from keepwell.scorecard import Scorer
from training.dataset import Dataset, InMemory, build
from training.fit.fit import Fitted
from training.fit.recalibrate import recalibrate

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def other() -> Dataset:
    """Another clinic of the same kind."""
    return build(InMemory(made_up_clinic(320, 9, START, 500)))


def test_a_release_that_is_off_comes_back(fitted: Fitted, other: Dataset) -> None:
    shifted = tuple((a - 1.0, 0.7 * b) for a, b in fitted.card.calibration)
    found = recalibrate(other, Scorer(msgspec.structs.replace(fitted.card, calibration=shifted)))
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


def test_fewer_data_move_it_less(fitted: Fitted, other: Dataset) -> None:
    flat = Scorer(
        msgspec.structs.replace(fitted.card, calibration=tuple((a, 0.5 * b) for a, b in fitted.card.calibration))
    )
    much = recalibrate(other, flat)
    few = recalibrate(build(InMemory(made_up_clinic(90, 9, START, 500))), flat)
    assert few.stops < much.stops
    assert 0 < few.shifts["30d"].slope - 1 < much.shifts["30d"].slope - 1
    assert few.shifts["30d"].weight < 1


def test_recalibrating_twice_is_recalibrating_the_result(fitted: Fitted, other: Dataset) -> None:
    once = recalibrate(other, Scorer(fitted.card))
    twice = recalibrate(other, Scorer(once.card))
    assert abs(twice.shifts["30d"].intercept) < abs(once.shifts["30d"].intercept) + 0.05
