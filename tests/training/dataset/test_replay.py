"""Rows are what live scores saw: the same moments, the same features, targets from the whole log and nothing later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from hypothesis import given, settings

from keepwell.alerting.assess import Assessor, Trigger
from keepwell.alerting.kinds.silence import LOOKS_DAYS
from keepwell.alerting.policy import Memory
from keepwell.care.endings import DAY
from keepwell.care.episode import Live
from keepwell.care.instruments import Instruments
from keepwell.cli.score import Pair, scored
from keepwell.contract.events import (
    Actioned,
    AnyEvent,
    Attended,
    ClientErased,
    ClockTicked,
    Ended,
    HomeworkAssignment,
    Missed,
    RepairAttempt,
    micros,
)
from keepwell.contract.outputs import Alert, Score
from keepwell.scoring.features import FEATURES
from models.release import default
from services.predictor.step import PredictorProcessor
from tests.episodes import assessor_of_all, booked, lived, on, opened, recorded, srs, story, ticked, weekly
from tests.partitions import on_time, partitions
from tests.strategies import clinic_logs, moment
from tests.training.logs import TOPICS, as_log
from training.dataset import FEATURE_COLUMNS, TARGET_COLUMNS, Dataset, InMemory, build
from training.dataset.landmarks import AFTER_MISS


class Watching:
    """Stands for the live assessor, and notes the features it scores with; the newest of an episode and moment stands."""

    def __init__(self) -> None:
        release = default()
        self._assessor = Assessor(release.digest, release.scorer, release.policy)
        self.model, self.policy = release.digest, release.policy
        self.seen: dict[tuple[str, int], list[float | None]] = {}

    def assess(self, live: Live, memory: Memory, now: int, trigger: Trigger) -> tuple[Score, list[Alert], Memory]:
        self.seen[live.episode.key, now] = [feature.read(live.course, now) for feature in FEATURES]
        return self._assessor.assess(live, memory, now, trigger)


def live_features(log: Sequence[AnyEvent]) -> dict[tuple[str, int], list[float | None]]:
    """What the predictor's step scored with, over the records of one partition."""
    watching = Watching()
    assessor = cast("Assessor", watching)  # what is compiled cannot be inherited from
    PredictorProcessor(TOPICS, assessor, lambda digest: assessor).step(0, recorded(log))
    return watching.seen


def by_moment(dataset: Dataset, but: str | None = None) -> dict[tuple[str, int], list[float]]:
    frame = dataset.frame[dataset.frame.kind != but]
    moments = frame.as_of.astype("int64")
    return dict(
        zip(zip(frame.episode, moments, strict=True), frame[list(FEATURE_COLUMNS)].to_numpy().tolist(), strict=True)
    )


def same(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    return np.array_equal(np.array(one, dtype=float), np.array(other, dtype=float), equal_nan=True)


@settings(deadline=None, max_examples=75)
@given(partitions())
def test_the_features_of_a_row_are_those_the_predictor_scored_with(log: list[AnyEvent]) -> None:
    seen = live_features(log)
    rows = by_moment(build(as_log(log)), but=AFTER_MISS)
    assert rows.keys() <= seen.keys()
    assert all(same(values, seen[at]) for at, values in rows.items())


@settings(deadline=None, max_examples=75)
@given(on_time())
def test_a_row_of_files_is_what_keepwell_score_says_of_its_moment(log: list[AnyEvent]) -> None:
    events = [event for event in log if not isinstance(event, ClockTicked)]
    dataset = build(InMemory(events))
    frame = dataset.frame
    pairs = [Pair(name, "", int(at)) for name, at in zip(frame.episode, frame.as_of.astype("int64"), strict=True)]
    now = micros(max(event.time for event in events))
    for row, pair, told in zip(
        frame.itertuples(), pairs, scored(events, pairs, assessor_of_all(), Instruments(), now), strict=True
    ):
        then = lived(e for e in events if e.key == pair.episode and micros(e.time) <= pair.at)
        values = [feature.read(then.course, pair.at) for feature in FEATURES]
        assert same(values, [getattr(row, name) for name in FEATURE_COLUMNS])
        assert told[2] != "", "a row is of an episode that is open at its moment"
        targets = [None if value == "" else value for value in told[6:10]]
        assert same(targets, [getattr(row, name) for name in TARGET_COLUMNS])
        assert told[10] == (row.ending if isinstance(row.ending, str) else "")


@settings(deadline=None, max_examples=50)
@given(clinic_logs())
def test_there_is_one_row_an_episode_and_moment_in_order(log: list[AnyEvent]) -> None:
    frame = build(InMemory(log)).frame
    assert not frame.duplicated(["episode", "as_of"]).any()
    pd.testing.assert_frame_equal(frame, frame.sort_values(["episode", "as_of"], ignore_index=True))


def kinds(frame: pd.DataFrame) -> list[tuple[float, str]]:
    """Day of the story and kind of each row."""
    return [((at - on(0)) / DAY, kind) for at, kind in zip(frame.as_of.astype("int64"), frame.kind, strict=True)]


def test_a_silence_gives_rows_when_the_clock_ticks() -> None:
    told = story((0, opened()), (0, booked("a", 7)), (7, Missed(appointment_id="a")))
    days = [ticked(day) for day in range(1, 60)]
    found = kinds(build(as_log(sorted([*told, *days], key=lambda event: event.time))).frame)
    assert found == [
        (0, "booked"),
        (7, "missed"),
        *((7 + days, "missed_10d" if days == 10 else "not_rebooked") for days in LOOKS_DAYS),
    ]


def test_a_silence_without_ticks_gives_no_rows() -> None:
    told = story((0, opened()), (0, booked("a", 7)), (7, Missed(appointment_id="a")), (30, Attended()))
    assert [kind for _, kind in kinds(build(as_log(told)).frame)] == ["booked", "missed", "session"]


def test_a_file_ticks_at_midnight_and_at_its_end() -> None:
    missed = [(0.3, opened()), (0.3, booked("a", 7)), (7.3, Missed(appointment_id="a"))]
    midnight = 1 - on(0) % DAY / DAY
    looked = [(0.3, "booked"), (7.3, "missed"), (9 + midnight, "not_rebooked")]
    for end, last in ((12.3, 11 + midnight), (11.4, 11.4), (11.2, None)):
        found = kinds(build(InMemory(story(*missed)), as_of=moment(round(end * DAY))).frame)
        assert found == looked + ([] if last is None else [(last, "not_rebooked")])


def test_events_of_one_moment_give_one_row_of_what_is_known_after_all_of_them() -> None:
    told = story(
        (0, opened()), (7, Attended()), (7, srs(9, 9, 9, 9)), (7, HomeworkAssignment()), (50, Ended("planned"))
    )
    frame = build(InMemory(told)).frame
    row = frame[frame.kind == "session"].iloc[0]
    assert (row.session, row.alliance_level, row.homework_unreviewed) == (1, 9.0, 1.0)
    assert len(frame[frame.as_of == row.as_of]) == 1


def test_only_who_is_at_risk_has_rows() -> None:
    told = story(
        (0, opened()), (0.1, booked("a", 7)), (7, Attended(appointment_id="a")), (7, Ended("planned")),
        (9, srs(9, 9, 9, 9)),
    )  # fmt: skip
    assert kinds(build(InMemory(told)).frame) == [(0, "opened"), (0.1, "booked")]
    stopped = story((0, opened()), (7, Attended()), (50, srs(9, 9, 9, 9)))
    assert (50, "measured") not in kinds(build(InMemory(stopped)).frame)


def test_a_target_that_is_not_determined_is_left_open_and_counted() -> None:
    told = story((0, opened()), *weekly(3), (25, booked("a", 28)))
    dataset = build(InMemory(told))
    assert dataset.frame.target_60d.isna().all() and dataset.frame.ending.isna().all()
    assert dataset.frame.target_14d.tolist()[:2] == [0, 0]
    assert dataset.about.counts.undetermined["60d"] == len(dataset.frame)
    assert int(dataset.determined("14d").sum()) == len(dataset.frame) - dataset.about.counts.undetermined["14d"]


def test_what_happened_after_as_of_was_never_told() -> None:
    told = story((0, opened()), *weekly(5))
    cut = build(InMemory(told), as_of=told[3].time)
    assert cut.about.counts.later == 2
    pd.testing.assert_frame_equal(cut.frame, build(InMemory(told[:4]), as_of=told[3].time).frame)


@settings(deadline=None, max_examples=50)
@given(on_time())
def test_later_events_change_no_feature(log: list[AnyEvent]) -> None:
    events = [event for event in log if not isinstance(event, ClockTicked | ClientErased)]
    whole = by_moment(build(InMemory(events)))
    half = events[: (len(events) + 1) // 2]
    until = micros(half[-1].time)
    cut = by_moment(build(InMemory([event for event in events if micros(event.time) <= until])))
    # The tick that ends a file is its own.
    assert all(same(values, whole[at]) for at, values in cut.items() if at[1] < until)
    assert {at for at in whole if at[1] < until} == {at for at in cut if at[1] < until}


def flags(told: list[AnyEvent], **alerts: Any) -> pd.DataFrame:
    frame = build(as_log([*told, ticked(200)]), **alerts).frame
    return frame.assign(day=(frame.as_of.astype("int64") - on(0)) / DAY).set_index("day")


def test_an_answer_tells_that_an_alert_was_shown_and_an_act_that_something_was_done() -> None:
    def answered(action: Any) -> list[AnyEvent]:
        answer = Actioned(alert_id="al-1", action=action, by="c-1")
        return story((0, opened()), *weekly(2), (14.5, answer), *weekly(6, first=21))

    seen, done = flags(answered("acknowledged")), flags(answered("outreach_planned"))
    assert seen.alerted.to_dict() == {0: False, 7: False, 14: False} | dict.fromkeys((21, 28, 35, 42), True) | {
        49: False, 56: False,
    }  # fmt: skip
    assert not seen.acted.any()
    assert done.acted.equals(seen.alerted.rename("acted"))


def test_an_attempt_at_repair_is_an_act_until_it_is_retracted() -> None:
    told = story((0, opened()), (7, Attended()), (8, RepairAttempt()), (9, Attended()))
    assert flags(told).acted.to_dict() == {0: False, 7: False, 8: True, 9: True}
