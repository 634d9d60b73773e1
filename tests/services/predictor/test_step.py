"""The predictor's step: what each kind of record amounts to, at its exact place in the partition."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepwell.care.episode import MAX_ENTRIES
from keepwell.contract.control import registration
from keepwell.contract.events import (
    Actioned,
    AnyEvent,
    Attended,
    ClientErased,
    Contact,
    Ended,
    Erased,
    Feedback,
    Measured,
    ModelPromoted,
    Promoted,
    Registered,
    Retracted,
    RuptureNote,
    encode,
)
from keepwell.streams.log import Record
from keepwell.streams.worker import dead_letters
from keepwell.streams.worker.step import Outdated
from models.hand_set import POLICY, scorecard
from models.registry import Releases
from models.release import FORMAT, MANIFEST, default, load, write
from services.predictor.bootstrap import processor
from services.predictor.step import PredictorProcessor
from services.predictor.store import PARTITION_KEY
from services.predictor.turns import TURNS_KEY, Turn, decode_turns
from tests.episodes import (
    SOURCE,
    TOPICS,
    Run,
    booked,
    measured,
    opened,
    predictor,
    recorded,
    srs,
    story,
    ticked,
    weekly,
)
from tests.strategies import DAY, make, moment


def promoted(release: str, day: float, role: str = "champion") -> AnyEvent:
    data = Promoted(release=release, role=role)  # type: ignore[arg-type]  # a word of the contract
    return ModelPromoted(
        specversion="1.0", id=f"promote-{day}", source="/keepwell/release", subject="_model",
        time=moment(round(day * DAY)), data=data,
    )  # fmt: skip


def erased(client: str, clinic: str = "north", event_id: str = "erase") -> AnyEvent:
    return make(Erased(client_id=client), 0, event_id, source=f"/{clinic}/booking", subject="whatever")


def released(registry: Path, base: float) -> str:
    """A release with another base value, and its digest."""
    card = msgspec.structs.replace(scorecard(), base=(base,) * 4)
    files = {"scorecard.json": msgspec.json.encode(card), "policy.json": msgspec.json.encode(POLICY)}
    return load(write(registry, title="Trial", origin="tests", created="2026-01-01", files=files)).digest


def of_episodes(state: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
    """What a state holds of episodes, without what it holds of the partition."""
    return {key: payload for key, payload in state.items() if b"/" in key}


def raw(value: bytes | None, offset: int = 0, key: bytes | None = b"north/ep-1") -> Record:
    return Record(SOURCE, offset, key, value, ((("trace", b"x")),), 5)


def alerts_of(run: Run) -> list[bytes]:
    """The keys of the alerts that a run told, in order."""
    return [m.key for m in run.messages if m.topic == TOPICS.alerts and m.value is not None and m.key is not None]


def kinds(alerts: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(alert["kind"], alert["status"]) for alert in alerts]


# ── scores ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_step_counts_and_says_where_its_outputs_go() -> None:
    step = Run().take(*story((0, opened()), *weekly(2)))
    assert (step.received, step.accepted, step.refused) == (3, 3, 0)
    assert {message.topic for message in step.messages} == {TOPICS.scores}
    assert {(message.key, message.partition) for message in step.messages} == {(b"north/ep-1", 0)}
    assert set(step.state) == {b"north/ep-1", TURNS_KEY}


def test_a_late_event_is_scored_as_of_the_latest_one() -> None:
    run = Run()
    run.take(*story((0, opened()), (14, Attended())))
    run.take(make(Attended(), 7 * DAY, "late"))
    assert [score["as_of"][:10] for score in run.scores] == ["2026-01-05", "2026-01-19", "2026-01-19"]
    assert run.scores[-1]["trigger"] == "late"


def test_ids_are_unique_by_source_only() -> None:
    run = Run()
    run.take(make(opened(), 0, "1"), make(Attended(), DAY, "1", source="/north/ehr"), make(Attended(), DAY, "1"))
    assert [score["trigger_source"] for score in run.scores] == ["/north/booking", "/north/ehr"]


def test_a_registration_of_an_instrument_is_accepted_and_scores_nothing() -> None:
    facts = Registered(
        name="MOOD-5", kind="outcome", lowest=0, highest=25, higher_is_better=True, cutoff=13, reliable_change=4
    )
    run = Run()
    step = run.take(*story((0, opened())), registration("north", facts, moment(DAY)))
    assert (step.received, step.accepted, step.refused) == (2, 2, 0)
    assert len(run.scores) == 1


# ── timers ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tick_before_anything_is_due_scores_nothing_and_moves_the_time() -> None:
    run = Run()
    run.take(*story((0, opened()), *weekly(1)))
    step = run.take(ticked(8.9))
    assert (list(step.messages), set(step.state)) == ([], {PARTITION_KEY})
    run.take(make(Attended(), 8 * DAY, "late"))
    assert run.scores[-1]["as_of"] == "2026-01-14T06:36:00Z"


def test_each_due_timer_scores_once_at_the_tick_that_reaches_it() -> None:
    run = Run()
    run.take(*story((0, opened()), *weekly(1), (7, booked("a", 20))))
    found: dict[float, list[str]] = {}
    for day in (13, 19.9, 20, 22.9, 23, 23.1, 24, 36.9, 37, 38, 90):
        step = run.take(ticked(day))
        triggers = [json.loads(m.value)["trigger"] for m in step.messages if m.topic == TOPICS.scores and m.value]
        if triggers:
            found[day] = triggers
    assert found == {
        23.1: ["timer:nothing-booked:2026-01-28T11:24:00Z", "timer:visit-unrecorded:2026-01-28T11:24:00Z"],
        36.9: ["timer:nothing-booked:2026-02-11T06:36:00Z"],  # what fell due since the tick before, told once
        37: ["timer:stop-declared:2026-02-11T09:00:00Z"],
    }
    assert run.scores[-1]["state"] == "stopped"


def test_timers_that_one_tick_reaches_are_told_in_the_order_in_which_they_fell_due() -> None:
    run = Run()
    run.take(*story((0, opened()), *weekly(1), (7, booked("a", 20))), ticked(90))
    names = [score["trigger"].split(":")[1] for score in run.scores if score["trigger_source"] is None]
    assert names == ["nothing-booked", "visit-unrecorded", "stop-declared"]
    assert {score["as_of"] for score in run.scores[2:]} <= {"2026-01-12T09:00:00Z", "2026-04-05T09:00:00Z"}


def test_what_is_due_is_still_due_after_a_restart() -> None:
    run = Run()
    run.take(*story((0, opened()), *weekly(1)))
    run.restart()
    run.take(ticked(36))
    run.restart()
    run.take(ticked(37))
    names = [score["trigger"].split(":")[1] for score in run.scores if score["trigger_source"] is None]
    assert names == ["nothing-booked", "stop-declared"]


def test_states_are_told_in_the_order_of_their_keys() -> None:
    subjects = [f"ep-{n}" for n in (7, 3, 9, 1, 8, 2, 6, 5, 4, 10, 11)]
    step = Run().take(*(event for subject in subjects for event in story((0, opened()), subject=subject)), ticked(1))
    assert list(step.state) == sorted(step.state)
    assert set(of_episodes(step.state)) == {f"north/{subject}".encode() for subject in subjects}


def test_a_tick_that_was_seen_or_lies_behind_changes_nothing() -> None:
    run = Run()
    run.take(*story((0, opened()), *weekly(1)), ticked(14))
    for day in (14, 13):
        step = run.take(ticked(day))
        assert (list(step.messages), dict(step.state), step.accepted) == ([], {}, 1)


COMPLAINT = Contact(direction="inbound", purpose="complaint")


def test_a_snooze_that_runs_out_is_told_at_the_tick() -> None:
    run = Run()
    run.take(*story((0, opened()), (1, COMPLAINT)), ticked(14))
    [raised] = run.alerts
    assert (raised["kind"], raised["status"]) == ("rupture", "raised")
    until = moment(18 * DAY)
    run.take(make(Actioned(alert_id=raised["alert_id"], action="snoozed", by="c-1", until=until), 15 * DAY, "answer"))
    run.take(ticked(17.9))
    assert len(run.alerts) == 1
    run.take(ticked(18))
    _, over, again = run.alerts
    assert (over["alert_id"], over["status"], over["why"]) == (raised["alert_id"], "resolved", "snoozed_out")
    assert (again["kind"], again["status"]) == ("rupture", "raised")
    assert again["alert_id"] != raised["alert_id"]
    assert run.scores[-1]["trigger"] == "timer:snooze-over:2026-01-23T09:00:00Z"


def test_an_event_disarms_the_timers_it_answers() -> None:
    run = Run()
    run.take(*story((0, opened()), *weekly(1)))
    run.take(make(booked("a", 60), 13 * DAY, "book"), ticked(40))
    assert [score["trigger"] for score in run.scores[2:]] == ["book"]


# ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rupture_is_told_when_it_opens_and_when_it_is_repaired() -> None:
    run = Run()
    told = [(7.0 * n, srs(9, 9, 9, 9)) for n in range(1, 5)]
    run.take(*story((0, opened()), (1, booked("z", 60)), *told, (35, srs(9, 9, 3, 9)), (42, srs(9, 9, 9, 9))))
    ruptures = [alert for alert in run.alerts if alert["kind"] == "rupture"]
    assert kinds(ruptures) == [("rupture", "raised"), ("rupture", "resolved")]
    assert ruptures[0]["alert_id"] == ruptures[1]["alert_id"]
    assert "/north/booking#e-6" in ruptures[0]["evidence"]


def test_a_complaint_that_comes_in_after_later_events_is_told_then() -> None:
    run = Run()
    run.take(*story((0, opened()), (7, Attended()), (7.1, booked("a", 14)), (8, Contact(direction="inbound"))))
    assert run.alerts == []
    run.take(make(COMPLAINT, round(7.5 * DAY), "late", source="/north/desk"))
    [alert] = run.alerts
    assert (alert["kind"], alert["status"], alert["at"]) == ("rupture", "raised", run.scores[-1]["as_of"])
    assert alert["evidence"][0] == "/north/desk#late"
    assert run.scores[-1]["as_of"] == run.scores[-2]["as_of"]


def test_what_is_voiced_is_told_with_the_other_open_alerts_of_the_client_and_resolved_when_answered() -> None:
    run = Run()
    wish = Feedback(pillar="pace", sentiment="neutral", wants_change="format")
    run.take(*story((0, opened()), (7, Attended()), (7.1, booked("a", 14)), (8, wish), (9, COMPLAINT)))
    ending, rupture = run.alerts
    assert (ending["kind"], rupture["kind"]) == ("ending", "rupture")
    assert (ending["also"], rupture["also"]) == ([], [ending["alert_id"]])
    planned = Actioned(alert_id=rupture["alert_id"], action="repair_planned", by="c-1")
    run.take(make(planned, 10 * DAY, "plan"))
    assert len(run.alerts) == 2
    run.take(make(Attended(appointment_id="a"), 14 * DAY, "came"))
    over = run.alerts[2]
    assert (over["alert_id"], over["status"], over["why"]) == (rupture["alert_id"], "resolved", "repaired")
    assert (over["also"], over["suggestions"]) == ([ending["alert_id"]], [])


def test_a_second_rupture_is_told_although_the_first_was_never_repaired() -> None:
    run = Run()
    first, second = RuptureNote(kind="withdrawal", pillar="bond"), RuptureNote(kind="confrontation", pillar="goals")
    run.take(*story((0, opened()), (1, first), *weekly(8), (60, second)))
    raised = [alert for alert in run.alerts if (alert["kind"], alert["status"]) == ("rupture", "raised")]
    assert [alert["pillar"] for alert in raised] == ["bond", "goals"]


def test_all_alerts_are_resolved_when_the_episode_ends_or_stops() -> None:
    for last in (make(Ended(reason="planned"), 50 * DAY, "end"), ticked(90)):
        run = Run()
        run.take(*story((0, opened()), *weekly(1), (8, COMPLAINT)), ticked(20), last)
        assert kinds(run.alerts)[-1][1] == "resolved"
        still = {a["alert_id"] for a in run.alerts} - {a["alert_id"] for a in run.alerts if a["status"] == "resolved"}
        assert still == set()
        assert {a["why"] for a in run.alerts if a["status"] == "resolved"} <= {"ended", "risk_fell"}


ENDORSED = Measured(instrument="PHQ-9", scores={"total": 20}, safety_item=2)


def test_every_endorsed_safety_item_is_told() -> None:
    run = Run()
    run.take(*story((0, opened()), (1, ENDORSED), (1, ENDORSED), (2, ENDORSED)))
    assert kinds(run.alerts) == [("safety", "raised")] * 3
    assert len({alert["alert_id"] for alert in run.alerts}) == 3


@pytest.mark.parametrize("item", [None, 0.0])
def test_a_safety_item_that_is_not_endorsed_is_not_told(item: float | None) -> None:
    run = Run()
    run.take(*story((0, opened()), (1, Measured(instrument="PHQ-9", scores={"total": 20}, safety_item=item))))
    assert run.alerts == []


def test_a_safety_event_that_was_retracted_or_replaced_before_it_arrived_raises_no_alert() -> None:
    event = make(ENDORSED, DAY, "s-1")
    for first in (
        make(Retracted(event_id="s-1"), 2 * DAY, "r-1"),
        make(measured("PHQ-9", 20), DAY, "c-1", corrects="s-1"),
    ):
        run = Run()
        run.take(*story((0, opened())), first, event)
        assert run.alerts == []
        assert run.scores[-1]["trigger"] == "s-1"


def test_a_safety_item_endorsed_in_a_correction_is_told() -> None:
    run = Run()
    run.take(*story((0, opened()), (1, measured("PHQ-9", 20))), make(ENDORSED, DAY, "c-1", corrects="e-1"))
    assert kinds(run.alerts) == [("safety", "raised")]


def test_safety_is_told_after_the_episode_ended_too() -> None:
    run = Run()
    run.take(*story((0, opened()), (1, Ended(reason="planned")), (2, ENDORSED)))
    assert kinds(run.alerts) == [("safety", "raised")]
    assert run.scores[-1]["risk"] is None


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────


def run_with(registry: Path) -> Run:
    return Run(processor(TOPICS, None, Releases(registry)))


def test_a_release_is_in_use_from_its_promotion_on_and_not_before(tmp_path: Path) -> None:
    one, two = released(tmp_path, -1.0), released(tmp_path, 0.0)
    run = run_with(tmp_path)
    told = story((0, opened()), *weekly(3))
    run.take(
        told[0], promoted(one, 0.5), told[1], promoted(two, 7.5), told[2], promoted(default().digest, 14.5), told[3]
    )
    assert [score["model"] for score in run.scores] == [default().digest, one, two, default().digest]
    assert len({score["risk"]["30d"] for score in run.scores[1:3]}) == 2


def test_a_promotion_in_the_middle_of_a_batch_is_the_same_as_between_two(tmp_path: Path) -> None:
    one = released(tmp_path, -1.0)
    log = [*story((0, opened()), *weekly(2)), promoted(one, 15), *story((0, opened()), *weekly(2), subject="ep-2")]
    whole, split = run_with(tmp_path), run_with(tmp_path)
    whole.take(*log)
    for event in log:
        split.take(event)
    assert whole.messages == split.messages


def test_a_release_stays_in_use_after_a_restart(tmp_path: Path) -> None:
    one = released(tmp_path, -1.0)
    run = run_with(tmp_path)
    run.take(*story((0, opened())), promoted(one, 1))
    again = run_with(tmp_path)
    for key, payload in run.state.items():
        again.worker.restore(0, key, payload)
    again.take(make(Attended(), 2 * DAY, "next"))
    assert again.scores[-1]["model"] == one


@pytest.mark.parametrize("how", ["unknown", "changed", "foreign", "format"])
def test_a_broken_release_leaves_the_one_that_works(tmp_path: Path, how: str) -> None:
    one = released(tmp_path, -1.0)
    broken = "sha256:" + "0" * 64 if how == "unknown" else released(tmp_path, -2.0)
    folder = tmp_path / broken.replace(":", "-")
    if how == "changed":
        (folder / "policy.json").write_bytes(b"{}")
    elif how == "foreign":
        (folder / "scorecard.json").write_bytes(b'{"base":[0,0,0,0],"terms":[]}')
    elif how == "format":
        manifest = (folder / MANIFEST).read_bytes()
        (folder / MANIFEST).write_bytes(manifest.replace(f'"format": {FORMAT}'.encode(), b'"format": 99'))
    run = run_with(tmp_path)
    told = story((0, opened()), *weekly(2))
    step = run.take(told[0], promoted(one, 1), told[1], promoted(broken, 8), told[2])
    assert [score["model"] for score in run.scores] == [default().digest, one, one]
    assert (step.accepted, step.refused) == (5, 0)


@pytest.mark.parametrize("role", ["shadow", "none"])
def test_a_release_in_another_role_does_not_score(tmp_path: Path, role: str) -> None:
    one = released(tmp_path, -1.0)
    run = run_with(tmp_path)
    run.take(promoted(one, 0, role), *story((0, opened())))
    assert run.scores[-1]["model"] == default().digest


def test_a_promotion_holds_for_its_partition(tmp_path: Path) -> None:
    one = released(tmp_path, -1.0)
    worker = run_with(tmp_path).worker
    worker.step(0, recorded([promoted(one, 0)]))
    other = worker.step(1, recorded(story((0, opened()))))
    assert json.loads(other.messages[0].value or b"")["model"] == default().digest


# ── erasure ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_erasure_removes_every_episode_of_the_client_in_this_clinic_only() -> None:
    run = Run()
    mine = opened(client_id="p-1")
    run.take(*story((0, mine), (1, ENDORSED)), *story((0, mine), subject="ep-2"), *story((0, mine), subject="ep-9"))
    run.take(*story((0, opened(client_id="p-2")), subject="ep-3"), *story((0, Attended()), subject="ep-4"))
    run.take(*story((0, mine), source="/south/booking"), *story((0, mine), source="/north-west/booking"))
    before = len(run.messages)
    step = run.take(erased("p-1"))
    gone = [b"north/ep-1", b"north/ep-2", b"north/ep-9"]
    assert dict(step.state) == dict.fromkeys(gone)
    assert [(m.topic, m.key, m.value) for m in run.messages[before:]] == [
        (TOPICS.scores, b"north/ep-1", None),
        (TOPICS.alerts, alerts_of(run)[0], None),
        (TOPICS.scores, b"north/ep-2", None),
        (TOPICS.scores, b"north/ep-9", None),
    ]
    assert set(of_episodes(run.state)) == {b"north/ep-3", b"north/ep-4", b"south/ep-1", b"north-west/ep-1"}


def test_every_alert_of_an_erased_episode_is_deleted_after_a_restart_too() -> None:
    run = Run()
    run.take(*story((0, opened()), (1, ENDORSED), (2, ENDORSED)), ticked(60))
    told = alerts_of(run)
    assert len(told) > 1
    run.restart()
    run.take(erased("p-1"))
    assert [m.key for m in run.messages if m.topic == TOPICS.alerts and m.value is None] == told
    assert len(set(told)) == len(told)


def test_a_client_is_found_without_unfolding_the_episodes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    for number in range(20):
        run.take(*story((0, opened(client_id=f"p-{number}")), subject=f"ep-{number}"))
    run.restart()
    store = run.worker.stores[0]
    assert [key for key, _ in store.erase("north", "p-7")] == [b"north/ep-7"]
    assert len(store._held) == 0, "only the client's own was unfolded, and that is gone"


def test_a_record_without_a_value_says_nothing() -> None:
    run = Run()
    step = run.take_records([raw(None)])
    assert (list(step.messages), step.accepted, step.refused) == ([], 1, 0)


def test_a_replay_begins_with_the_release_of_then_although_the_first_record_was_erased() -> None:
    worker = predictor()
    worker.recall(0, [Turn(0, worker.default.model, "begin"), Turn(7, "gone", "none", "x")])
    step = worker.step(0, recorded(story((0, opened())), 3))
    assert decode_turns(step.state[TURNS_KEY]) == (Turn(0, worker.default.model, "begin"),)


def test_a_state_of_another_version_is_not_taken() -> None:
    run = Run()
    run.take(*story((0, opened())))
    payload = run.state[b"north/ep-1"]
    old = struct.pack(">q", 5) + payload[-20:]
    worker = predictor()
    worker.restore(0, b"north/ep-1", payload)
    worker.restore(0, TURNS_KEY, run.state[TURNS_KEY])
    with pytest.raises(Outdated):
        worker.restore(0, b"north/ep-2", old)
    step = worker.step(0, recorded(story((0, opened()))))
    assert dict(step.state) == run.state, "nothing that was restored counts, but for the turns"


def test_an_erased_episode_falls_due_no_more_and_begins_anew_with_its_next_event() -> None:
    run = Run()
    run.take(*story((0, opened()), *weekly(1)), erased("p-1"))
    assert list(run.take(ticked(90)).messages) == []
    run.take(make(Attended(), 91 * DAY, "later"))
    assert run.scores[-1]["gaps"][0] == "the opening of the episode was not received"
    assert run.worker.stores[0].keys() == [b"north/ep-1"]


def test_an_erasure_in_the_batch_that_opened_the_episode_leaves_nothing() -> None:
    run = Run()
    step = run.take(*story((0, opened()), *weekly(1)), erased("p-1"))
    assert of_episodes(step.state) == {b"north/ep-1": None}
    assert of_episodes(run.state) == {}
    restored = Run()
    restored.take(*story((0, opened())))
    restored.restart()
    assert dict(restored.take(erased("p-1")).state) == {b"north/ep-1": None}


def test_a_client_is_known_by_every_opening_that_was_ever_received() -> None:
    run = Run()
    first = make(opened(client_id="p-1"), 0, "e-0")
    second = make(opened(client_id="p-2"), 0, "e-1", corrects="e-0")
    run.take(first, second, erased("p-1"))
    assert of_episodes(run.state) == {}


def test_an_erasure_that_finds_nobody_does_nothing() -> None:
    step = Run().take(erased("p-9"))
    assert (list(step.messages), of_episodes(step.state), step.accepted) == ([], {}, 1)
    assert isinstance(erased("p-9"), ClientErased)


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"{}", b"[" * 5000,
        encode(story((0, opened()))[0]).replace(b"keepwell.episode.opened", b"other.episode.opened"),
        encode(story((0, opened()))[0]).replace(b"2026-01-05", b"2026-13-45"),
        encode(story((0, opened()))[0]).replace(b"/north/booking", b"north"),
        encode(story((0, opened()))[0]).replace(b'"p-1"', b'"\\ud800"'),
    ],
)  # fmt: skip
def test_a_record_that_is_no_accepted_event_becomes_a_dead_letter_and_the_rest_goes_on(value: bytes | None) -> None:
    run = Run()
    good = story((0, opened()))
    batch = [raw(value), recorded(good, 1)[0]]
    step = run.take_records(batch)
    assert (step.received, step.accepted, step.refused) == (2, 1, 1)
    letter = step.messages[0]
    assert (letter.topic, letter.key, letter.value) == (TOPICS.dead_letters, b"north/ep-1", value)
    assert dead_letters.reason_of(letter) == "not_accepted"
    assert [score["trigger"] for score in run.scores] == ["e-0"]


def test_an_event_of_a_type_of_a_later_version_is_set_aside_and_the_letter_says_so() -> None:
    run = Run()
    newer = encode(story((0, opened()))[0]).replace(b"opened", b"paused")
    step = run.take_records([raw(newer), recorded(story((0, opened())), 1)[0]])
    assert (step.accepted, step.refused) == (1, 1)
    letter = step.messages[0]
    assert (letter.topic, letter.value, dead_letters.reason_of(letter)) == (TOPICS.dead_letters, newer, "unknown_type")
    detail = dict(letter.headers)[dead_letters.DETAIL].decode()
    assert detail.startswith("$.type: ") and "upgrade the predictor" in detail


def test_an_episode_takes_four_thousand_events_and_refuses_the_rest_to_the_dead_letters() -> None:
    run = Run()
    told = story(
        (0, opened()),
        *((n / 24, Actioned(alert_id="x", action="acknowledged", by="c-1")) for n in range(1, MAX_ENTRIES)),
    )
    assert run.take(*told).accepted == MAX_ENTRIES == 4000
    step = run.take(make(Attended(), 9000 * DAY, "one too many"), make(Attended(), DAY, "and another", subject="ep-2"))
    assert (step.received, step.accepted, step.refused) == (2, 1, 1)
    [letter] = [message for message in step.messages if message.topic == TOPICS.dead_letters]
    assert dead_letters.reason_of(letter) == "episode_full"
    assert b"one too many" in (letter.value or b"")
    detail = dict(letter.headers)[dead_letters.DETAIL].decode()
    assert detail.startswith("$.subject: ")
    assert set(step.state) == {b"north/ep-2"}
    assert run.take(told[5]).messages == []


def test_a_refusal_tells_nothing_of_the_payload() -> None:
    step = Run().take_records(
        [raw(b'{"type":"keepwell.episode.opened.v1","id":"SECRET","data":{"client_id":"SECRET"}}')]
    )
    [letter] = step.messages
    assert not any(b"SECRET" in content for _, content in letter.headers)


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_partition_that_was_given_away_is_forgotten() -> None:
    run = Run()
    run.take(*story((0, opened())), ticked(1))
    run.worker.forget(0)
    run.worker.forget(0)
    assert run.worker.stores == {}
    run.take(make(Attended(), 0, "alone"))
    assert run.scores[-1]["as_of"] == "2026-01-05T09:00:00Z"


def test_partitions_do_not_see_one_another() -> None:
    worker: PredictorProcessor = Run().worker
    worker.step(0, recorded([*story((0, opened())), ticked(20)]))
    other = worker.step(1, recorded(story((0, Attended()))))
    score = json.loads(other.messages[0].value or b"")
    assert (score["as_of"], score["gaps"][0]) == ("2026-01-05T09:00:00Z", "the opening of the episode was not received")


def test_a_state_record_is_small() -> None:
    run = Run()
    told = [*weekly(20), *((7.0 * n + 7, srs(9, 9, 9, 9)) for n in range(20))]
    run.take(*story((0, opened()), *sorted(told, key=lambda happening: happening[0])))
    assert len(run.state[b"north/ep-1"]) < 5000
