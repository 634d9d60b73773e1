"""The comparison with the truth: which moment is at which landmark, what the model knew there, and the shares."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from keepwell.alerting.assess import Assessor
from keepwell.care.endings import DAY
from keepwell.care.instruments import Instruments
from keepwell.cli.score import Pair, scored
from keepwell.contract.events import AnyEvent, Attended, Missed, decode_accepted
from models.release import default
from tests.episodes import Happening, booked, on, opened, srs, story
from training.dataset import InMemory, build
from training.dataset.landmarks import AFTER_MISS, AFTER_MISS_DAYS, after_sessions
from training.dataset.sources import gather
from training.evaluate.aims import aims
from training.evaluate.moments import at_landmarks, landmarks
from training.evaluate.oracle import named, oracle
from training.evaluate.rules import RULES, verdicts
from training.evaluate.truth import Moment, moments, read_truths
from training.simulate import simulate

KNOWN = Instruments()
MINUTE = 1 / 24 / 60
RISKS = (0.1, 0.2, 0.3)
COURSE: Sequence[Happening] = (
    (0, opened()), (MINUTE, booked("a", 7)), (7, Attended(appointment_id="a")), (7 + 2 * MINUTE, srs(9, 9, 9, 9)),
    (7 + 14 * MINUTE, booked("b", 14)), (8, booked("c", 21)), (14, Missed(appointment_id="b")),
    (21, Missed(appointment_id="c")),
)  # fmt: skip


def at(day: float, risks: tuple[float, ...] | None = RISKS) -> Moment:
    """A moment of the truth about the course."""
    return Moment(EVENTS[0].key, on(day), (0, 0, 0), risks, RISKS, RISKS)


EVENTS: Sequence[AnyEvent] = story(*COURSE)
FRAME = build(InMemory(EVENTS)).frame


def test_a_moment_is_at_the_landmark_of_what_was_known_just_before_it() -> None:
    days = (2 * MINUTE, 7 + 15 * MINUTE, 7 + 2 / 24, 8 + MINUTE)
    found = named([at(day) for day in days], FRAME).sort_values("moment")
    assert list(found["landmark"]) == ["booking", "session-1", "", ""]


def test_ten_days_after_a_missed_visit_are_counted_from_the_last_and_to_the_minute() -> None:
    missed_since, due, late = (day + AFTER_MISS_DAYS for day in (14, 21, 21 + MINUTE))
    found = named([at(missed_since), at(due), at(late)], FRAME).sort_values("moment")
    assert list(found["landmark"]) == ["", "missed-10d", ""]
    whole = build(InMemory(EVENTS), as_of=datetime.fromtimestamp(on(60) / 1e6, UTC)).frame
    rows = whole.loc[whole["kind"] == AFTER_MISS, "as_of"].astype("int64")
    assert [0 <= row - on(due) < DAY for row in rows] == [True]  # the table's row is at the first tick from there on


def test_the_landmark_after_a_session_is_the_last_row_on_the_way_out() -> None:
    rows = FRAME[after_sessions(FRAME)]
    assert (list(rows["kind"]), list(rows["as_of"].astype("int64"))) == (["booked"], [on(7 + 14 * MINUTE)])
    groups = {group.name: group.rows for group in landmarks(FRAME)}
    assert (groups["session-1"] == after_sessions(FRAME)).all()
    assert at_landmarks(FRAME).sum() == sum(int(rows.sum()) for rows in groups.values()) == 2


def test_a_moment_at_which_nobody_is_at_risk_is_in_no_comparison() -> None:
    found = oracle(
        [at(2 * MINUTE, None), at(7 + 15 * MINUTE)], FRAME, {rule.name: np.zeros(len(FRAME)) for rule in RULES}
    )
    assert (found.told, found.rows) == (2, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    simulate("community", 150, 5, folder, rollouts=4)
    return folder


@pytest.fixture(scope="module")
def told(world: Path) -> list[Moment]:
    gathered = gather([world / "events.jsonl"], (), None, {})
    return moments(read_truths(world / "truth.jsonl"), gathered, default().scorer)


def test_the_model_is_scored_at_the_moment_as_keepwell_score_does(world: Path, told: list[Moment]) -> None:
    gathered = gather([world / "events.jsonl"], (), None, {})
    events = [decode_accepted(one) for each in gathered.streams[0].told for one in each.events]
    some = told[::9]
    release = default()
    pairs = [Pair(moment.episode, "", moment.at) for moment in some]
    rows = list(scored(events, pairs, Assessor("", release.scorer, release.policy), KNOWN, gathered.now))
    assert len(some) > 50
    for moment, row in zip(some, rows, strict=True):
        assert moment.model is not None
        assert row[2:5] == [round(risk, 4) for risk in moment.model]
        assert tuple(row[6:9]) == moment.targets


def test_every_moment_of_a_simulation_is_at_its_landmark(world: Path, told: list[Moment]) -> None:
    frame = build([world / "events.jsonl"]).frame
    counts = named(told, frame)["landmark"].value_counts()
    opened_in_time = len({moment.episode for moment in told})
    assert counts["booking"] == opened_in_time
    assert counts["session-1"] > counts["session-2"] > counts["session-3"] > counts["session-5"] > counts["session-8"]
    # Without a landmark are only moments ten days after one miss when another visit was lost since.
    assert counts[""] < counts["missed-10d"]
    assert set(counts.index) == {"", *(group.name for group in landmarks(frame))}


def test_who_knows_the_truth_reaches_all_of_it(world: Path, told: list[Moment]) -> None:
    dataset = build([world / "events.jsonl"])
    events = [decode_accepted(line) for line in (world / "events.jsonl").read_bytes().splitlines()]
    knowing = [moment._replace(model=moment.clinician_unknown) for moment in told]
    found = oracle(knowing, dataset.frame, verdicts(dataset.frame, events))
    near = found.at("30d", "pooled")
    assert near.share["clinician_unknown"].value == near.share["clinician_unknown"].low == 1.0
    assert near.behind["clinician_unknown"].value == 0.0
    known = near.share["clinician_known"]
    assert known.value is not None and known.low is not None and known.high is not None
    assert known.low < known.value < known.high
    ratios = [one.ratio["model/clinician_unknown"].value for one in found.rules if one.gap is None]
    assert ratios and set(ratios) == {1.0}
    told_of = [aim for aim in aims(found, ()) if "clinician_unknown" in aim.name and aim.verdict is not None]
    assert told_of and {aim.verdict for aim in told_of} == {"reached"}


def test_a_truth_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "truth.jsonl").write_text('{"episode": "a/b"}\n')
    with pytest.raises(ValueError, match=r"truth\.jsonl"):
        read_truths(tmp_path / "truth.jsonl")
