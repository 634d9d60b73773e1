"""No client is on both sides of a split, whatever it is split by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from keepwell.testing.made_up import made_up_clinic
from training.dataset import InMemory, build
from training.dataset.split import EMBARGO_DAYS, Group, Split, by_time, folds, hold_out, worlds

START = datetime(2024, 1, 1, tzinfo=UTC)
GROUPS: tuple[Group, ...] = ("client", "clinician")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """A clinic of which every fifth client came twice."""
    built = build(InMemory(made_up_clinic(120, 3, START, 400))).frame
    names = built.client.astype("str")
    again = names.where(built.client.cat.codes % 5 != 0, "north/again-" + (built.client.cat.codes // 10).astype("str"))
    return built.assign(client=pd.Categorical(again))


def disjoint(frame: pd.DataFrame, split: Split) -> bool:
    return not set(frame.client[split.train]) & set(frame.client[split.test])


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("seed", range(5))
def test_no_client_is_on_both_sides(frame: pd.DataFrame, by: Group, seed: int) -> None:
    for split in (hold_out(frame, by, seed=seed), *folds(frame, by, k=4, seed=seed)):
        assert disjoint(frame, split) and split.train.any() and split.test.any()


def test_no_clinician_held_out_is_trained_on(frame: pd.DataFrame) -> None:
    split = hold_out(frame, "clinician", seed=1)
    assert not set(frame.clinician[split.train]) & set(frame.clinician[split.test])


def test_every_row_is_tested_on_once_over_the_folds(frame: pd.DataFrame) -> None:
    times = np.sum([split.test for split in folds(frame, k=5)], axis=0)
    assert (times == 1).all()


def test_a_split_depends_on_names_and_seed_only(frame: pd.DataFrame) -> None:
    shuffled = frame.sample(frac=1, random_state=1)
    one, other = hold_out(frame, seed=4), hold_out(shuffled, seed=4)
    assert set(frame.client[one.test]) == set(shuffled.client[other.test])
    assert set(frame.client[hold_out(frame, seed=5).test]) != set(frame.client[one.test])


def test_too_few_groups_for_the_folds_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="1 groups by clinic cannot make 5 folds"):
        next(folds(frame, "clinic"))


def test_a_split_in_time_trains_on_what_was_decided_by_then(frame: pd.DataFrame) -> None:
    at = START + timedelta(days=250)
    split = by_time(frame, at)
    assert disjoint(frame, split) and split.train.any() and split.test.any()
    assert frame.as_of[split.train].max() < at - timedelta(days=EMBARGO_DAYS)
    assert frame.opened_at[split.test].min() >= at
    assert set(frame.client[split.test]).isdisjoint(frame.client[frame.opened_at < at])


def test_worlds_are_split_by_what_their_clinics_names_share() -> None:
    clinics = [f"sim-drawn-{world}-{clinic}" for world in (7, 8, 9) for clinic in (1, 2)] + ["north"]
    frame = pd.DataFrame({
        "clinic": pd.Categorical(np.repeat(clinics, 4)),
        "client": pd.Categorical([f"{clinic}/p-{n}" for clinic in clinics for n in range(4)]),
    })  # fmt: skip
    found = worlds(frame).astype("str")
    assert set(found) == {"sim-drawn-7", "sim-drawn-8", "sim-drawn-9", "north"}
    sides = list(folds(frame, "world", k=4))
    for split in sides:
        assert split.train.any() and split.test.any() and not (split.train & split.test).any()
        assert not set(found[split.train]) & set(found[split.test])
    assert (np.sum([split.test for split in sides], axis=0) == 1).all()
    with pytest.raises(ValueError, match="4 groups by world cannot make 5 folds"):
        next(folds(frame, "world", k=5))
