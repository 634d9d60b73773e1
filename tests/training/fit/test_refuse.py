"""What is not fitted, and that each refusal says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from keepwell.contract.words import HORIZONS
from keepwell.testing.made_up import made_up_clinic
from models.release import default
from training.dataset import Dataset, InMemory, build
from training.fit.fit import Options, fit
from training.fit.recalibrate import recalibrate
from training.fit.refuse import NotFitted, check_features, check_result
from training.fit.sample import sample_of

START = datetime(2023, 1, 2, tzinfo=UTC)


def refusal(dataset: Dataset) -> str:
    with pytest.raises(NotFitted) as refused:
        fit(dataset, default().policy, Options(budget=20))
    return str(refused.value)


def changed(dataset: Dataset, **columns: object) -> Dataset:
    return replace(dataset, frame=dataset.frame.assign(**columns))  # type: ignore[arg-type]  # names of columns


def test_no_data() -> None:
    assert "no row to learn from" in refusal(build(InMemory([])))


def test_data_of_a_few_weeks_have_no_outcome_yet() -> None:
    assert "no outcome is determined yet" in refusal(build(InMemory(made_up_clinic(30, 1, START, 30))))


def test_too_few_stops_are_counted_and_what_to_do_is_said() -> None:
    told = refusal(build(InMemory(made_up_clinic(60, 1, START, 400))))
    assert "at least 100 are needed" in told and "--recalibrate" in told
    assert int(told.split()[0]) < 60


def test_one_class_only(dataset: Dataset) -> None:
    stayed = dataset.frame["target_30d"].where(dataset.frame["target_30d"].isna(), 0.0)
    assert "30d: one class only" in refusal(changed(dataset, target_30d=stayed))


def test_an_answer_that_hardly_any_client_gives(dataset: Dataset) -> None:
    frame = dataset.frame
    few = frame["client"].isin(frame["client"].unique()[:5])
    stopped = frame["target_14d"].where(frame["target_14d"].isna(), few.astype(float))
    assert "14d: 5 clients reach the target, at least 20 are needed" in refusal(changed(dataset, target_14d=stopped))


def test_hardly_any_outcome_of_a_next_visit_leaves_it_out_and_blocks_nothing(dataset: Dataset) -> None:
    frame = dataset.frame
    few = frame["client"].isin(frame["client"].unique()[:5])
    missed = frame["target_next"].where(frame["target_next"].isna(), few.astype(float))
    fitted = fit(changed(dataset, target_next=missed), default().policy, Options(budget=20))
    why = "5 clients reach the target, at least 20 are needed, so that some can be held out"
    assert fitted.report.left_out == {"next": why}
    assert fitted.card.outputs == tuple(HORIZONS)


def test_a_feature_that_tells_the_answer_is_named(dataset: Dataset) -> None:
    rng = np.random.default_rng(1)
    answer = dataset.frame["target_30d"].fillna(0).to_numpy() + rng.normal(0, 0.2, len(dataset.frame))
    assert "leak: rhythm alone tells who stops" in refusal(changed(dataset, rhythm=answer))


def test_a_model_too_good_to_be_true(dataset: Dataset) -> None:
    sample = sample_of(dataset)
    rng = np.random.default_rng(1)
    guessed = rng.random(sample.targets.shape)
    knowing = np.nan_to_num(sample.targets) + guessed
    with pytest.raises(NotFitted, match=r"leak: AUROC 1\.00 at 14d is too good to be true"):
        check_result(sample, knowing)
    check_result(sample, guessed)


def test_after_a_long_silence_nothing_is_too_good_to_be_true(dataset: Dataset) -> None:
    sample = sample_of(dataset)
    guessed = np.random.default_rng(1).random(sample.targets.shape)
    knowing = np.nan_to_num(sample.targets) + guessed
    assert sample.silent.sum() > 1000
    check_result(sample, np.where(sample.silent[:, None], knowing, guessed))
    answer = dataset.frame["target_30d"].to_numpy() + guessed[:, 0]
    for rows, refused in ((sample.silent, False), (~sample.silent, True)):
        told = sample_of(changed(dataset, rhythm=np.where(rows, answer, np.nan)))
        if refused:
            with pytest.raises(NotFitted, match="leak: rhythm alone"):
                check_features(told, ("rhythm",))
        else:
            check_features(told, ("rhythm",))


def test_a_table_with_other_features(dataset: Dataset) -> None:
    with pytest.raises(KeyError, match="rhythm"):
        fit(replace(dataset, frame=dataset.frame.drop(columns="rhythm")), default().policy, Options(budget=20))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (Options(budget=None), "a budget or a cost ratio"),
        (Options(budget=1, cost_ratio=4), "a budget or a cost ratio"),
        (Options(budget=0), "budget must be above 0"),
        (Options(budget=None, cost_ratio=-1), "cost ratio must be above 0"),
    ],
)
def test_a_line_without_a_reason(dataset: Dataset, options: Options, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fit(dataset, default().policy, options)


def test_too_few_stops_to_recalibrate() -> None:
    few = build(InMemory(made_up_clinic(8, 1, START, 400)))
    with pytest.raises(NotFitted, match=r"^\d+ episodes stopped with a known outcome; at least 5 are needed"):
        recalibrate(few, default().scorer)
