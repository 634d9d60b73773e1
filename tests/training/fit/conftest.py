"""A small made-up clinic, fitted once for all tests of the fit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keepwell.testing.made_up import made_up_clinic
from models.release import default
from training.dataset import Dataset, InMemory, build
from training.fit.fit import Fitted, Options, fit

START = datetime(2023, 1, 2, tzinfo=UTC)
BUDGET = 25
"""Alerts per 100 sessions: more than the kinds make that no line decides, so that a line can keep to it."""


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return build(InMemory(made_up_clinic(320, 3, START, 500)))


@pytest.fixture(scope="session")
def fitted(dataset: Dataset) -> Fitted:
    return fit(dataset, default().policy, Options(budget=BUDGET))
