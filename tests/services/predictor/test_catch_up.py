"""A history sent to a running service: scored event by event, and what still stands at its end told once."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.alerting.assess import Assessor
from keepwell.alerting.decide import ENDORSED_DAYS, QUIET_MICROS
from keepwell.contract.events import (
    AnyEvent,
    Attended,
    Contact,
    Ended,
    Feedback,
    Measured,
    Missed,
    RepairAttempt,
    encode,
)
from keepwell.streams.log import Message
from models.hand_set import POLICY
from services.predictor.bootstrap import processor
from services.predictor.step import PredictorProcessor
from tests.episodes import TOPICS, Happening, Run, booked, measured, opened, srs, story, ticked
from tests.strategies import DAY, episode_logs, moment
from tests.system import System

NOW: Final = 370.0
"""The day on which a year of history is sent."""
QUIET: Final = QUIET_MICROS / DAY
MINUTE: Final = 1 / 24 / 60
SAFE = Measured(instrument="PHQ-9", scores={"total": 20}, safety_item=0)
COMPLAINT = Contact(direction="inbound", purpose="complaint")
ENDORSED = Measured(instrument="PHQ-9", scores={"total": 20}, safety_item=2)


def kinds(run: Run) -> list[tuple[str, str]]:
    return [(alert["kind"], alert["status"]) for alert in run.alerts]


def year(*last: Happening) -> list[Happening]:
    """A year of care in which much went wrong and came right again, seen by an alert on every day of it."""
    told: list[Happening] = [(0, opened())]
    for week in range(1, 50):
        told += [(7 * week - 6, booked(f"a-{week}", 7 * week))]
        if week % 5:
            told += [
                (7 * week, Attended(appointment_id=f"a-{week}")),
                (7 * week, srs(9, 9, 9 - 6 * (week % 9 == 1), 9)),
            ]
        else:
            told += [(7 * week + 0.02, Missed(appointment_id=f"a-{week}")), (7 * week, ENDORSED)]
    return [*told, (344, COMPLAINT), *last]


def sent(history: Sequence[AnyEvent], *, before: Sequence[AnyEvent] = ()) -> Run:
    """A service that is running when a history is sent to it."""
    run = Run()
    run.take(*before, ticked(NOW))
    run.take(*history)
    return run


def test_as_it_happens_the_same_year_raises_and_resolves_alerts_on_the_way() -> None:
    run = Run()
    events = story(*year())
    for day in range(350):
        run.take(
            *(event for event in events if day <= (event.time - events[0].time).total_seconds() / 86_400 < day + 1)
        )
        run.take(ticked(day + 1))
    assert {"raised", "resolved"} <= {status for _, status in kinds(run)}
    assert len(run.alerts) > 10


def test_every_event_of_a_history_is_scored_and_no_alert_is_told_while_it_comes() -> None:
    events = story(*year())
    run = sent(events)
    assert [score["trigger"] for score in run.scores] == [event.id for event in events]
    assert run.alerts == []


def test_what_still_stands_at_the_end_of_a_history_is_told_once() -> None:
    # A visit of today's week is booked; the last three were lost with the next one always booked.
    lost: list[Happening] = [
        (355, booked("b-1", 357)),
        (356, booked("b-2", 364)),
        (357.1, Missed(appointment_id="b-1")),
    ]
    run = sent(story(*year(*lost, (364.1, Missed(appointment_id="b-2")))))
    assert run.alerts == []
    run.take(ticked(NOW + MINUTE))
    assert run.alerts == []  # it may still be coming
    run.take(ticked(NOW + 2 * MINUTE))
    told = kinds(run)
    assert told == [("rupture", "raised")]
    assert run.scores[-1]["trigger"].startswith("timer:caught-up:")
    run.take(ticked(NOW + 3 * MINUTE), ticked(NOW + 4 * MINUTE))
    assert kinds(run) == told


def test_what_stands_besides_is_told_after_the_refractory_time_where_it_still_does() -> None:
    stands: list[Happening] = [
        (355, booked("b-1", 357)),
        (357.1, Missed(appointment_id="b-1")),
        (357.2, Feedback(pillar="pace", sentiment="neutral", wants_change="format")),
    ]
    scorer = processor(TOPICS).default.scorer
    patient = Assessor("sha256:p", scorer, msgspec.structs.replace(POLICY, refractory_days=5, quiet_days=1))
    run = Run(PredictorProcessor(TOPICS, patient, lambda digest: patient))
    run.take(ticked(NOW), *story(*year(*stands)), ticked(NOW + QUIET))
    assert kinds(run) == [("rupture", "raised")]
    called = Contact(direction="outbound")
    run.take(*story((NOW + 4, called), source="/north/desk"))
    assert kinds(run) == [("rupture", "raised")]
    run.take(*story((NOW + 4, called), (NOW + 6, called), source="/north/desk"))
    assert kinds(run) == [("rupture", "raised"), ("ending", "raised")]


def test_a_history_that_is_still_being_sent_at_a_tick_is_not_told_of_in_its_middle() -> None:
    events = story(*year())
    run = sent(events[:60])
    run.take(ticked(NOW + MINUTE), *events[60:100], ticked(NOW + 2 * MINUTE), *events[100:], ticked(NOW + 3 * MINUTE))
    assert run.alerts == []
    run.take(ticked(NOW + 4 * MINUTE))
    assert run.alerts


def test_the_last_days_of_a_history_are_told_with_the_rest_of_it() -> None:
    run = sent(story(*year((NOW - 1, booked("b", NOW + 5)), (NOW - 0.5, srs(9, 9, 2, 9)))))
    assert run.alerts == []
    run.take(ticked(NOW + QUIET))
    assert [status for _, status in kinds(run)] == ["raised"] * len(run.alerts)
    assert run.alerts


def test_an_ended_history_is_told_of_nothing() -> None:
    run = sent(story(*year((349, Ended(reason="planned")))))
    run.take(ticked(NOW + QUIET), ticked(NOW + 1))
    assert run.alerts == []
    assert run.scores[-1]["state"] == "ended"


def ruptures(run: Run) -> list[str]:
    """What became of the complaint that is told of."""
    return [status for kind, status in kinds(run) if kind == "rupture"]


def test_an_alert_that_stood_before_a_history_came_is_resolved_by_it_at_its_end() -> None:
    before = story((NOW - 12, opened()), (NOW - 11, booked("a", NOW + 9)), (NOW - 10, COMPLAINT))
    run = Run()
    run.take(*before, ticked(NOW - 6), ticked(NOW))
    assert ruptures(run) == ["raised"]
    came = story((NOW - 4, RepairAttempt(outcome="better")), (NOW - 3.5, Attended()), source="/north/ehr")
    run.take(*came)
    assert ruptures(run) == ["raised"]
    run.take(ticked(NOW + QUIET))
    assert ruptures(run)[:2] == ["raised", "resolved"]


def test_what_lies_no_further_back_than_the_stated_age_is_told_at_once() -> None:
    run = Run()
    run.take(ticked(NOW))
    run.take(*story((NOW - 2, opened()), (NOW - 1.9, srs(9, 9, 9, 9)), (NOW - 1.8, ENDORSED)))
    assert kinds(run) == [("safety", "raised")]


def test_without_a_tick_nothing_is_history() -> None:
    run = Run()
    run.take(*story(*year()))
    assert run.alerts


def test_the_age_is_the_policys() -> None:
    worker = processor(TOPICS)
    patient = Assessor("sha256:p", worker.default.scorer, msgspec.structs.replace(POLICY, catch_up_hours=24 * 400))
    run = Run(PredictorProcessor(TOPICS, patient, lambda digest: patient))
    run.take(ticked(NOW), *story(*year()))
    assert run.alerts


def test_a_policy_of_the_stated_age_is_written_as_it_was_before_there_was_one() -> None:
    assert b"catch_up" not in msgspec.json.encode(POLICY)


# ── safety ──────────────────────────────────────────────────────────────────────────────────────────────


def told_of_safety(*happenings: Happening) -> int:
    """How often safety was told at the end of a history."""
    run = sent(story((300, opened()), *happenings))
    assert run.alerts == []
    run.take(ticked(NOW + QUIET), ticked(NOW + 1), ticked(NOW + 2))
    return kinds(run).count(("safety", "raised"))


def test_a_safety_item_of_a_history_that_stands_is_told_once_at_its_end() -> None:
    assert told_of_safety((360, ENDORSED)) == 1
    assert told_of_safety((340.1, ENDORSED), (350, ENDORSED), (364, ENDORSED)) == 1
    assert told_of_safety((NOW - ENDORSED_DAYS + 0.1, ENDORSED)) == 1


def test_a_safety_item_of_long_ago_or_answered_otherwise_since_is_not_told_as_new() -> None:
    assert told_of_safety((NOW - ENDORSED_DAYS - 0.1, ENDORSED)) == 0
    assert told_of_safety((350, ENDORSED), (360, SAFE)) == 0
    assert told_of_safety((350, ENDORSED), (360, measured("PHQ-9", 20))) == 1
    other = Measured(instrument="CORE-10", scores={"total": 20}, safety_item=0)
    assert told_of_safety((350, ENDORSED), (360, other)) == 1


def test_a_safety_item_that_a_history_names_after_an_end_is_told_too() -> None:
    assert told_of_safety((355, Ended(reason="client_stopped")), (356, ENDORSED)) == 1


def test_a_safety_item_of_today_is_told_at_once_while_a_history_comes_and_not_again() -> None:
    run = sent(story((300, opened()), (350, ENDORSED), (NOW - 0.5, ENDORSED), (360, SAFE)))
    assert kinds(run) == [("safety", "raised")]
    run.take(ticked(NOW + QUIET))
    assert kinds(run).count(("safety", "raised")) == 1


# ── the log alone ───────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=40)
@given(episode_logs(), st.integers(0, 2**16))
def test_however_a_history_is_batched_and_the_service_restarted_it_gives_the_same_bytes(
    events: list[AnyEvent], seed: int
) -> None:
    log = [ticked(200), *events, ticked(200.001), ticked(200.002), *events, ticked(201), ticked(260)]
    whole, restarted = Run(), Run()
    whole.take(*log)
    drawn = random.Random(seed)
    cuts = sorted({0, len(log), *(drawn.randint(0, len(log)) for _ in range(5))})
    for first, last in pairwise(cuts):
        restarted.take(*log[first:last])
        restarted.restart()
    assert (whole.messages, whole.state) == (restarted.messages, restarted.state)
    assert not any(alert["at"] < "2026-07-24T09:01:30Z" for alert in whole.alerts if alert["kind"] != "safety")


def test_a_log_that_took_a_history_replays_to_the_same_scores_and_alerts(tmp_path: Path) -> None:
    histories = [story(*year(), subject=f"ep-{n}") for n in range(3)]
    with System(f"sqlite:///{tmp_path / 'k.db'}", "", tmp_path) as system:
        for day, events in zip((NOW, NOW + MINUTE, NOW + 2 * MINUTE, NOW + 4 * MINUTE), [*histories, []], strict=True):
            system.tick(moment(round(day * DAY)))
            # As ingest writes them; it would refuse what lies ahead of the clock of the day on which this test runs.
            system.log.append([Message(system.topics.episodes, event.key.encode(), encode(event)) for event in events])
            done = system.run("predictor", "--drain", "--port", "0")
            assert done.returncode == 0, done.stderr
        told = [json.loads(value) for value in system.values(system.topics.alerts)]
        verified = system.run("replay", "--verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert {alert["episode"] for alert in told} == {f"north/ep-{n}" for n in range(3)}
    notices = [(alert["episode"], alert["kind"]) for alert in told]
    assert len(notices) == len(set(notices))
    assert {alert["status"] for alert in told} == {"raised"}
