"""Invariants 5 to 8 of the design, and determinism, in the domain: whole logs through the predictor's step and `score`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from prometheus_client import generate_latest

from keepwell import metrics
from keepwell.care.endings import DAY, WINDOW
from keepwell.care.instruments import Instruments
from keepwell.cli.score import COLUMNS, Pair, scored
from keepwell.contract.events import AnyEvent, Attended, ClientErased, ClockTicked, EpisodeOpened, micros, rfc3339
from keepwell.contract.outputs import Alert, Score
from keepwell.scoring.features import FEATURES
from services.predictor import step as step_module
from tests.episodes import (
    TOPICS,
    Run,
    assessor_of_all,
    lived,
    on,
    opened,
    outputs,
    predictor,
    recorded,
    srs,
    story,
    ticked,
    weekly,
)
from tests.partitions import on_time, partitions
from tests.strategies import episode_logs, make

TIMERS: Final = {"visit-unrecorded", "nothing-booked", "not-rebooked", "stop-declared", "snooze-over", "caught-up"}
CANARY: Final = "canary-7f3a"


# ── invariant 5: scores, alerts and states come together, once ──────────────────────────────────────────


@settings(deadline=None, max_examples=75)
@given(partitions())
def test_invariant_5_every_accepted_event_gives_one_score_a_repeated_one_none_an_erasure_none(
    log: list[AnyEvent],
) -> None:
    run, seen = Run(), set[tuple[str, str, str]]()
    for event in log:
        step = run.take(event)
        scores = [msgspec.json.decode(m.value) for m in step.messages if m.topic == TOPICS.scores and m.value]
        assert (step.received, step.accepted, step.refused) == (1, 1, 0)
        if isinstance(event, ClientErased):
            seen = {known for known in seen if known[0].encode() not in {m.key for m in step.messages}}
            assert scores == []
        elif isinstance(event, ClockTicked):
            assert all(score["trigger_source"] is None for score in scores)
        elif (event.key, event.source, event.id) in seen:
            assert (scores, step.state) == ([], {})
        else:
            seen.add((event.key, event.source, event.id))
            named = [(score["episode"], score["trigger_source"], score["trigger"]) for score in scores]
            assert named == [(event.key, event.source, event.id)]


@settings(deadline=None, max_examples=75)
@given(partitions())
def test_invariant_5_no_alert_without_its_score_and_no_score_without_its_state(log: list[AnyEvent]) -> None:
    run = Run()
    for event in log:
        step = run.take(event)
        scores = [s for s in outputs(step.messages, TOPICS.scores) if s is not None]
        for alert in outputs(step.messages, TOPICS.alerts):
            if alert is not None:
                assert any((s["episode"], s["as_of"]) == (alert["episode"], alert["at"]) for s in scores)
        for message in step.messages:
            assert message.key is not None
            episode, _, _ = message.key.partition(b"#")
            assert episode in step.state
            assert (message.value is None) == (step.state[episode] is None)


@settings(deadline=None, max_examples=75)
@given(partitions())
def test_invariant_5_an_alert_takes_each_status_once_and_begins_with_raised(log: list[AnyEvent]) -> None:
    run = Run()
    run.take(*log)
    told = [(alert["alert_id"], alert["status"]) for alert in run.alerts if alert is not None]
    keys = [message.key for message in run.messages if message.topic == TOPICS.alerts and message.value is not None]
    assert len(set(keys)) == len(keys) == len(told), "each record has a key of its own, so compaction removes none"
    assert [twice for twice, times in Counter(told).items() if times > 1] == []
    first: dict[str, str] = {}
    for name, status in told:
        assert first.setdefault(name, status) == "raised"


@settings(deadline=None, max_examples=75)
@given(partitions())
def test_a_score_is_as_of_the_latest_event_of_its_episode_or_the_newest_tick(log: list[AnyEvent]) -> None:
    run, latest, newest = Run(), dict[str, int](), 0
    for event in log:
        if isinstance(event, ClientErased):
            run.take(event)
            latest = {key: at for key, at in latest.items() if key.encode() in run.state}
            continue
        if isinstance(event, ClockTicked):
            newest = max(newest, micros(event.time))
        else:
            latest[event.key] = max(latest.get(event.key, 0), micros(event.time))
        for score in outputs(run.take(event).messages, TOPICS.scores):
            assert score["as_of"] == rfc3339(max(newest, latest[score["episode"]]))


@settings(deadline=None, max_examples=75)
@given(partitions())
def test_a_due_timer_scores_once_by_its_name_and_moment(log: list[AnyEvent]) -> None:
    run = Run()
    run.take(*log)
    timers = [score for score in run.scores if score is not None and score["trigger_source"] is None]
    for score in timers:
        timer, name, moment = score["trigger"].split(":", 2)
        assert (timer, moment) == ("timer", score["as_of"])
        assert name in TIMERS
    assert max(Counter((score["episode"], score["trigger"]) for score in timers).values(), default=1) == 1


@settings(deadline=None, max_examples=75)
@given(on_time())
def test_after_every_tick_the_newest_score_tells_the_state_that_holds(log: list[AnyEvent]) -> None:
    run, told = Run(), dict[str, str]()
    for event in log:
        told |= {score["episode"]: score["state"] for score in outputs(run.take(event).messages, TOPICS.scores)}
        if isinstance(event, ClockTicked):
            for key, state in told.items():
                held = run.worker.stores[0].get(key.encode())
                assert held is not None
                assert state == held.live.course.standing.state_at(micros(event.time))


@settings(deadline=None, max_examples=75)
@given(partitions())
def test_what_is_not_open_has_no_risk(log: list[AnyEvent]) -> None:
    run = Run()
    run.take(*log)
    for score in run.scores:
        if score is not None and score["state"] != "open":
            assert (score["risk"], score["next_visit_missed"], score["reasons"]) == (None, None, [])
        elif score is not None:
            risk = score["risk"]
            assert 0 <= risk["14d"] <= risk["30d"] <= risk["60d"] <= 1


@settings(deadline=None, max_examples=50)
@given(partitions())
def test_outputs_are_what_their_types_say(log: list[AnyEvent]) -> None:
    run = Run()
    run.take(*log)
    for message in run.messages:
        if message.value is not None:
            msgspec.json.decode(message.value, type=Score if message.topic == TOPICS.scores else Alert)


# ── invariant 6: nothing from after `as_of` ─────────────────────────────────────────────────────────────


def risks(log: Sequence[AnyEvent], pairs: Sequence[Pair]) -> list[list[Any]]:
    """The risks of `keepwell score` at pairs, by a card in which every feature counts."""
    ordered = sorted(log, key=lambda event: event.time)
    rows = scored(ordered, pairs, assessor_of_all(), Instruments(), micros(ordered[-1].time))
    return [row[: COLUMNS.index("target_14d")] for row in rows]


@st.composite
def pasts_with_two_futures(draw: DrawFn) -> tuple[list[AnyEvent], list[AnyEvent], list[AnyEvent], int]:
    """The events of an episode up to a moment, two continuations of them, and the moment (µs)."""
    log = draw(episode_logs())
    moment = micros(draw(st.sampled_from(log)).time)
    known = [event for event in log if micros(event.time) <= moment]
    later = [event for event in log if micros(event.time) > moment]
    other = [
        msgspec.structs.replace(event, id=f"other-{event.id}", corrects=None)
        for event in draw(episode_logs())
        if micros(event.time) > moment
    ]
    return known, later, other, moment


@settings(deadline=None, max_examples=75)
@given(pasts_with_two_futures())
def test_invariant_6_changing_adding_or_removing_a_later_event_changes_no_earlier_score(
    drawn: tuple[list[AnyEvent], list[AnyEvent], list[AnyEvent], int],
) -> None:
    known, later, other, moment = drawn
    pairs = [Pair(known[0].key, rfc3339(micros(event.time)), micros(event.time)) for event in known]
    pairs.append(Pair(known[0].key, rfc3339(moment), moment))
    alone = risks(known, pairs)
    assert risks(known + later, pairs) == alone
    assert risks(known + other, pairs) == alone
    assert risks(known + later + other, pairs) == alone


@settings(deadline=None, max_examples=75)
@given(on_time())
def test_invariant_6_a_live_score_is_what_the_whole_file_says_of_that_moment(log: list[AnyEvent]) -> None:
    run = Run()
    run.take(*log)
    newest = {(score["episode"], score["as_of"]): score for score in run.scores}
    at = {rfc3339(micros(event.time)): micros(event.time) for event in log}
    pairs = [Pair(episode, as_of, at[as_of]) for episode, as_of in newest]
    events = [event for event in log if not isinstance(event, ClockTicked)]
    rows = scored(events, pairs, run.worker.default, Instruments(), micros(log[-1].time))
    for score, row in zip(newest.values(), rows, strict=True):
        risk = score["risk"] or {"14d": "", "30d": "", "60d": ""}
        following = "" if score["next_visit_missed"] is None else score["next_visit_missed"]
        assert row[2:6] == [risk["14d"], risk["30d"], risk["60d"], following]


@settings(deadline=None, max_examples=50)
@given(pasts_with_two_futures())
def test_invariant_6_no_feature_moves_with_what_comes_later(
    drawn: tuple[list[AnyEvent], list[AnyEvent], list[AnyEvent], int],
) -> None:
    known, later, other, moment = drawn
    course, before = lived(known).course, {}
    for feature in FEATURES:
        before[feature.name] = feature.read(course, moment)
    for future in (later, other):
        arrived = [event for event in [*future, *known] if micros(event.time) <= moment]
        course = lived(arrived).course
        assert {feature.name: feature.read(course, moment) for feature in FEATURES} == before


@settings(deadline=None, max_examples=50)
@given(on_time(), on_time())
def test_invariant_6_a_live_score_is_never_changed_by_what_is_taken_after_it(
    log: list[AnyEvent], other: list[AnyEvent]
) -> None:
    cut = len(log) // 2
    one, two, alone = Run(), Run(), Run()
    one.take(*log)
    two.take(*log[:cut], *other)
    alone.take(*log[:cut])
    assert one.messages[: len(alone.messages)] == two.messages[: len(alone.messages)] == alone.messages


# ── invariant 7: undetermined until W days have passed ──────────────────────────────────────────────────


def targets(log: Sequence[AnyEvent], day: float, now: float) -> dict[str, Any]:
    """The outcome columns of `keepwell score` at a day, with what is known on another."""
    [row] = scored(log, [Pair(log[0].key, "", on(day))], assessor_of_all(), Instruments(), on(now))
    return dict(zip(COLUMNS, row, strict=True))


@pytest.mark.parametrize("now", [21, 30, 50.99999])
def test_invariant_7_before_w_days_after_the_last_sign_no_outcome_is_told(now: float) -> None:
    log = story((0, opened()), *weekly(3))  # the last session is on day 21
    row = targets(log, 21, now)
    assert [row[name] for name in ("target_14d", "target_30d", "target_60d", "ending")] == ["", "", "", ""]
    run = Run()
    run.take(*log, ticked(now))
    assert run.scores[-1]["state"] == "open"


def test_invariant_7_after_w_days_the_stop_is_told_everywhere_at_once() -> None:
    log = story((0, opened()), *weekly(3))
    row = targets(log, 21, 21 + WINDOW / DAY)
    assert [row[name] for name in ("target_14d", "target_30d", "target_60d", "ending")] == [1, 1, 1, "dropout"]
    run = Run()
    run.take(*log, ticked(21 + WINDOW / DAY))
    assert (run.scores[-1]["state"], run.scores[-1]["risk"]) == ("stopped", None)


@settings(deadline=None, max_examples=75)
@given(episode_logs())
def test_invariant_7_within_w_days_of_a_session_only_an_end_that_was_told_closes_the_spell(
    log: list[AnyEvent],
) -> None:
    last = max(micros(event.time) for event in log)
    session = make(Attended(), (last - on(0)) + 1, "last session")
    told = [*log, session]
    spells = lived(told).course.standing.spells_at(last + 1 + WINDOW - 1)
    ended = any(spell.closed_at is not None and not spell.stopped for spell in spells)
    assert ended or spells[-1].ending is None


# ── invariant 8: fairness attributes reach nothing ──────────────────────────────────────────────────────


def _canaries(log: Iterable[AnyEvent]) -> list[AnyEvent]:
    facts = {"age_band": f"{CANARY}-age", "gender": f"{CANARY}-gender", f"{CANARY}-name": f"{CANARY}-value"}
    return [
        msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, fairness=facts))
        if isinstance(event, EpisodeOpened)
        else event
        for event in log
    ]


def test_invariant_8_fairness_attributes_reach_no_state_score_alert_log_or_metric(
    capfd: pytest.CaptureFixture[str],
) -> None:
    fairness = {"age_band": CANARY, CANARY: "x", "ethnicity": f"{CANARY} b"}
    run = Run()
    with structlog.testing.capture_logs() as logs:
        run.take(*story((0, opened(fairness=fairness)), *weekly(4), (28, srs(9, 9, 9, 9)), (35, srs(9, 9, 2, 9))))
        run.take(ticked(36), ticked(90))
        run.restart()
        run.take(ticked(91))
    assert run.alerts
    written = [message.value or b"" for message in run.messages] + [message.key or b"" for message in run.messages]
    written += [bytes(key) + payload for key, payload in run.state.items()]
    told = capfd.readouterr()
    written += [told.out.encode(), told.err.encode(), repr(logs).encode(), generate_latest(metrics.REGISTRY)]
    assert [where for where in written if CANARY.encode() in where] == []


@settings(deadline=None, max_examples=50)
@given(partitions())
def test_invariant_8_fairness_attributes_change_no_byte(log: list[AnyEvent]) -> None:
    plain, marked = Run(), Run()
    plain.take(*log)
    marked.take(*_canaries(log))
    assert (plain.messages, plain.state) == (marked.messages, marked.state)


def test_invariant_8_no_output_names_the_client() -> None:
    run = Run()
    log = story((0, opened(client_id=CANARY)), *weekly(4), (28, srs(9, 9, 9, 9)), (35, srs(9, 9, 2, 9)))
    run.take(*log, ticked(36), ticked(90))
    assert run.alerts
    assert [message for message in run.messages if CANARY in repr(message)] == []


# ── determinism ─────────────────────────────────────────────────────────────────────────────────────────


def _batches(log: Sequence[AnyEvent], seed: int) -> list[list[AnyEvent]]:
    drawn = random.Random(seed)
    cuts = sorted({0, len(log), *(drawn.randint(0, len(log)) for _ in range(drawn.randint(0, 6)))})
    return [list(log[first:last]) for first, last in pairwise(cuts)]


@settings(deadline=None, max_examples=75)
@given(partitions(), st.integers(0, 2**16))
def test_however_batched_the_same_records_give_the_same_bytes(log: list[AnyEvent], seed: int) -> None:
    whole, again, split = Run(), Run(), Run()
    whole.take(*log)
    again.take(*log)
    for batch in _batches(log, seed):
        split.take(*batch)
    assert (whole.messages, whole.state) == (again.messages, again.state) == (split.messages, split.state)


@settings(deadline=None, max_examples=75)
@given(partitions(), st.integers(0, 2**16))
def test_a_processor_restored_from_the_changelog_goes_on_with_the_same_bytes(log: list[AnyEvent], seed: int) -> None:
    stayed, restarted = Run(), Run()
    for batch in _batches(log, seed):
        stayed.take(*batch)
        restarted.take(*batch)
        restarted.restart()
    assert (stayed.messages, stayed.state) == (restarted.messages, restarted.state)


@settings(deadline=None, max_examples=50)
@given(partitions(), st.integers(0, 2**16))
def test_a_changelog_read_whole_is_as_good_as_its_newest_entries(log: list[AnyEvent], seed: int) -> None:
    stayed, worker = Run(), predictor()
    cut = _batches(log, seed)
    for batch in cut[:-1]:
        for key, payload in stayed.take(*batch).state.items():
            worker.restore(0, key, payload)
    late = stayed.take(*cut[-1])
    behind = worker.step(0, recorded(cut[-1], stayed.offset - len(cut[-1])))
    assert behind == late


@settings(deadline=None, max_examples=50)
@given(partitions(), st.integers(0, 2**16))
def test_what_was_let_go_from_memory_is_taken_up_again_unchanged(log: list[AnyEvent], seed: int) -> None:
    roomy, narrow = Run(), Run()
    for batch in _batches(log, seed):
        roomy.take(*batch)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(step_module, "KEPT_LIVE", 1)
            narrow.take(*batch)
    assert (roomy.messages, roomy.state) == (narrow.messages, narrow.state)
