"""The sentences of CONTRACT section 3 on stopping, one by one, put to both readings of it, the slow and the fast."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.contract.events import (
    AnyEvent,
    Attended,
    Booked,
    Cancelled,
    Contact,
    Data,
    Ended,
    EventRetracted,
    Measured,
    Missed,
    Opened,
    Rescheduled,
    Retracted,
    micros,
)
from tests.both import next_visit_missed, spells, state, target
from tests.oracle import DAY, HOUR, W, effective
from tests.strategies import BASE, episode_logs, make, moment

ORIGIN = micros(BASE)
OPENED = Opened(client_id="p-1", clinician_id="c-1")


def at(days: float) -> int:
    """The moment so many days after the logs begin, in microseconds since 1970."""
    return ORIGIN + round(days * DAY)


def log(*told: tuple[float, Data]) -> list[AnyEvent]:
    """What happened, by day."""
    return effective(make(data, round(day * DAY), f"e-{n}") for n, (day, data) in enumerate(told))


def booked(visit: str, day: float, purpose: Any = "treatment") -> Booked:
    return Booked(appointment_id=visit, starts_at=moment(round(day * DAY)), purpose=purpose)


def moved(visit: str, day: float) -> Rescheduled:
    return Rescheduled(appointment_id=visit, starts_at=moment(round(day * DAY)), initiator="client")


def attended(visit: str | None = None, purpose: Any = None) -> Attended:
    return Attended(appointment_id=visit, purpose=purpose)


def missed(visit: str) -> Missed:
    return Missed(appointment_id=visit)


def called_off(visit: str, by: Any = "client") -> Cancelled:
    return Cancelled(appointment_id=visit, initiator=by)


def phq9(total: float, rater: Any = "client") -> Measured:
    return Measured(instrument="PHQ-9", scores={"total": total}, rater=rater)


def closed(events: list[AnyEvent], now: float = 400) -> float | None:
    """The day on which the first spell closes, as far as known."""
    moment_of = spells(events, at(now))[0].closed_at
    return None if moment_of is None else (moment_of - ORIGIN) / DAY


def endings(events: list[AnyEvent], now: float = 400) -> list[str | None]:
    return [spell.ending for spell in spells(events, at(now))]


# ── sessions and the last sign ──────────────────────────────────────────────────────────────────────────


def test_a_stop_is_declared_at_the_first_moment_when_the_last_sign_lies_30_days_back() -> None:
    events = log((0, OPENED), (7, attended()))
    assert state(events, at(37) - 1) == "open"
    assert state(events, at(37)) == "stopped"
    assert spells(events, at(37))[0].closed_at == at(37)


@pytest.mark.parametrize("sign", [OPENED, attended(), missed("a")])
def test_the_opening_a_session_attended_and_a_session_missed_are_signs(sign: Data) -> None:
    assert closed(log((0, Contact(direction="outbound")), (5, sign))) == 35


def test_only_the_earliest_opening_is_a_sign() -> None:
    assert closed(log((0, OPENED), (20, OPENED))) == 30


def test_without_any_sign_no_stop_is_declared() -> None:
    assert endings(log((0, Contact(direction="outbound")))) == [None]


@pytest.mark.parametrize("purpose", ["intake", "treatment", "review"])
def test_visits_of_purpose_intake_treatment_and_review_are_sessions(purpose: str) -> None:
    assert closed(log((0, OPENED), (7, attended(purpose=purpose)))) == 37
    assert closed(log((0, OPENED), (1, booked("a", 7, purpose)), (7, missed("a")))) == 37
    assert closed(log((0, OPENED), (1, booked("a", 50, purpose)))) == pytest.approx(53)


@pytest.mark.parametrize("purpose", ["assessment", "administrative"])
def test_other_visits_neither_start_nor_stop_this_clock(purpose: str) -> None:
    assert closed(log((0, OPENED), (7, attended(purpose=purpose)))) == 30
    assert closed(log((0, OPENED), (1, booked("a", 7, purpose)), (7, attended("a")))) == 30
    assert closed(log((0, OPENED), (1, booked("a", 7, purpose)), (7, missed("a")))) == 30
    assert closed(log((0, OPENED), (1, booked("a", 50, purpose)))) == 30
    assert len(spells(log((0, OPENED), (40, attended(purpose=purpose))), at(99))) == 1


def test_contacts_and_measures_neither_start_nor_stop_this_clock() -> None:
    assert closed(log((0, OPENED), (7, Contact(direction="inbound", reached=True)), (8, phq9(10)))) == 30
    assert len(spells(log((0, OPENED), (40, Contact(direction="inbound"))), at(99))) == 1


def test_a_visit_is_for_what_it_says_itself_before_what_it_was_booked_for() -> None:
    assert closed(log((0, OPENED), (1, booked("a", 7)), (7, attended("a", "assessment")))) == 30
    assert closed(log((0, OPENED), (1, booked("a", 7, "assessment")), (7, attended("a", "review")))) == 37


# ── pending and unrecorded sessions ─────────────────────────────────────────────────────────────────────


def test_while_a_session_is_pending_no_stop_is_declared() -> None:
    assert closed(log((0, OPENED), (1, booked("a", 60)), (60, attended("a")))) == 90


def test_a_session_is_pending_up_to_3_days_after_its_start_and_then_unrecorded() -> None:
    events = log((0, OPENED), (1, booked("a", 40)))
    assert state(events, at(43)) == "open"
    assert spells(events, at(99))[0].closed_at == at(43) + 1


def test_an_unrecorded_session_delays_no_stop_that_is_due_later() -> None:
    assert closed(log((0, OPENED), (1, booked("a", 8)))) == 30


@pytest.mark.parametrize("what", [called_off("a"), called_off("a", "clinic")])
def test_a_cancelled_session_is_not_pending_and_no_sign(what: Data) -> None:
    assert closed(log((0, OPENED), (1, booked("a", 60)), (20, what))) == 30
    assert closed(log((0, OPENED), (1, booked("a", 60)), (40, what))) == 40


def test_a_session_attended_or_missed_is_no_longer_pending() -> None:
    assert closed(log((0, OPENED), (1, booked("a", 90)), (2, attended("a")))) == 32
    assert closed(log((0, OPENED), (1, booked("a", 90)), (2, missed("a")))) == 32


def test_a_rescheduled_appointment_stays_the_same_appointment() -> None:
    assert closed(log((0, OPENED), (1, booked("a", 20)), (2, moved("a", 60)))) == pytest.approx(63)
    assert closed(log((0, OPENED), (1, booked("a", 60)), (2, moved("a", 20)))) == 30
    assert closed(log((0, OPENED), (1, booked("a", 60, "assessment")), (2, moved("a", 61)))) == 30


def test_a_later_rescheduling_makes_a_visit_pending_again() -> None:
    assert closed(log((0, OPENED), (1, booked("a", 20)), (2, called_off("a")), (3, moved("a", 60)))) == pytest.approx(
        63
    )


def test_what_was_booked_only_after_a_stop_does_not_undo_it() -> None:
    assert closed(log((0, OPENED), (31, booked("a", 60)), (60, attended("a")))) == 30


def test_a_session_booked_in_the_very_moment_of_the_stop_is_pending() -> None:
    assert closed(log((0, OPENED), (30, booked("a", 37)), (37, attended("a")))) == 67


# ── endings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_client_who_stopped_is_declared_at_once() -> None:
    events = log((0, OPENED), (7, attended()), (10, Ended(reason="client_stopped")))
    assert (closed(events), endings(events), state(events, at(10))) == (10, ["dropout"], "stopped")


def test_mutual_agreement_is_another_ending() -> None:
    events = log((0, OPENED), (7, attended()), (10, Ended(reason="client_stopped", mutual=True)))
    assert (closed(events), endings(events), state(events, at(10))) == (10, ["other"], "ended")


@pytest.mark.parametrize("reason", ["planned", "improved", "transferred", "administrative", "deceased", "other"])
def test_any_other_end_before_a_stop_is_another_ending(reason: Any) -> None:
    events = log((0, OPENED), (7, attended()), (10, Ended(reason=reason)))
    assert (closed(events), endings(events), state(events, at(10))) == (10, [reason], "ended")


def test_what_is_declared_stands() -> None:
    assert endings(log((0, OPENED), (31, Ended(reason="planned")))) == ["dropout"]
    assert endings(log((0, OPENED), (10, Ended(reason="planned")), (11, Ended(reason="client_stopped")))) == ["planned"]


def test_an_end_in_the_very_moment_of_the_stop_comes_before_it() -> None:
    assert endings(log((0, OPENED), (30, Ended(reason="planned")))) == ["planned"]


def test_after_another_ending_nothing_reopens_the_episode() -> None:
    events = log((0, OPENED), (10, Ended(reason="planned")), (20, booked("a", 30)), (30, attended("a")))
    assert endings(events) == ["planned"]
    assert state(events, at(31)) == "ended"


def test_an_event_that_happened_earlier_but_arrived_later_changes_the_outcome() -> None:
    told = log((0, OPENED), (31, Ended(reason="planned")))
    assert endings(effective([*told, make(attended(), 20 * DAY, "late")])) == ["planned"]


def test_an_event_that_happened_later_never_changes_what_was_declared() -> None:
    events = log((0, OPENED), (30.5, attended()))
    assert spells(events, at(99))[0] == spells(events, at(30))[0]


# ── spells ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_attended_after_a_declared_stop_begins_a_new_spell() -> None:
    events = log((0, OPENED), (7, attended()), (50, attended()), (57, attended()), (60, Ended(reason="planned")))
    assert spells(events, at(99)) == [
        (at(0), at(7), at(37), "dropout"),
        (at(50), at(57), at(60), "planned"),
    ]
    assert [state(events, at(day)) for day in (10, 40, 50, 70)] == ["open", "stopped", "open", "ended"]


def test_a_session_in_the_very_moment_of_a_stop_belongs_to_the_spell_it_ends() -> None:
    assert spells(log((0, OPENED), (7, attended()), (7, Ended(reason="client_stopped"))), at(99)) == [
        (at(0), at(7), at(7), "dropout")
    ]


def test_neither_a_booking_nor_a_missed_session_begins_a_new_spell() -> None:
    assert len(spells(log((0, OPENED), (40, booked("a", 50)), (50, missed("a"))), at(99))) == 1


def test_the_first_spell_begins_with_the_earliest_event() -> None:
    assert spells(log((3, phq9(8)), (5, OPENED)), at(6))[0].start == at(3)


def test_before_anything_happened_there_is_no_spell() -> None:
    assert spells(log((3, OPENED)), at(2)) == []
    assert state([], at(2)) == "open"


def test_until_one_or_the_other_the_outcome_is_undetermined() -> None:
    events = log((0, OPENED), (7, attended()))
    assert endings(events, now=36.9) == [None]
    assert target(events, at(8), 14, at(36.9)) is None
    assert target(events, at(8), 14, at(37)) == 1


# ── improved leavers ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("totals", "ending"),
    [
        ([20, 9], "improved_leaver"),
        ([20, 10], "dropout"),  # at the cut-off, not past it
        ([14, 9], "dropout"),  # five points are no reliable change
        ([9], "dropout"),  # nothing to compare with
        ([20, 5, 18], "dropout"),  # the last counts
    ],
)
def test_an_improved_leaver_shows_reliable_change_and_is_past_the_cut_off(totals: list[float], ending: str) -> None:
    told = [(float(day), phq9(total)) for day, total in enumerate(totals)]
    assert endings(log((0, OPENED), *told)) == [ending]


def test_the_outcome_instrument_measured_last_decides() -> None:
    ors = Measured(instrument="ORS", scores={"total": 10})
    assert endings(log((0, OPENED), (1, phq9(20)), (2, phq9(5)), (3, ors))) == ["dropout"]


def test_alliance_other_raters_unknown_instruments_and_missing_totals_are_no_outcome() -> None:
    noise = (
        Measured(instrument="SRS", scores={"total": 10}),
        phq9(20, "clinician"),
        Measured(instrument="X-11", scores={"total": 10}),
        Measured(instrument="ORS", scores={"individual": 1}),
    )
    assert endings(log((0, OPENED), (1, phq9(20)), (2, phq9(5)), *((3.0, m) for m in noise))) == ["improved_leaver"]


def test_only_what_was_measured_up_to_the_declaration_counts() -> None:
    assert endings(log((0, OPENED), (1, phq9(20)), (30, phq9(5)))) == ["improved_leaver"]
    assert endings(log((0, OPENED), (1, phq9(20)), (30.1, phq9(5)))) == ["dropout"]


def test_the_first_score_is_the_episodes_not_the_spells() -> None:
    assert endings(log((0, OPENED), (1, phq9(20)), (50, attended()), (51, phq9(5)))) == ["dropout", "improved_leaver"]


# ── targets ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_target_is_1_if_the_spell_ends_in_a_stop_with_its_last_session_before_the_horizon() -> None:
    events = log((0, OPENED), (7, attended()), (14, attended()))
    assert target(events, at(7), 14, at(99)) == 1
    assert target(events, at(20), 14, at(99)) == 1  # the last session may lie before t


def test_the_target_is_1_if_the_spell_ends_in_a_stop_without_any_session() -> None:
    assert target(log((0, OPENED)), at(1), 14, at(99)) == 1


def test_the_target_is_0_if_a_session_is_attended_at_or_after_the_horizon() -> None:
    events = log((0, OPENED), (7, attended()), (21, attended()))
    assert target(events, at(7), 14, at(21)) == 0
    assert target(events, at(7), 14, at(99)) == 0
    assert target(events, at(7) + 1, 14, at(99)) == 1
    assert target(events, at(7), 14, at(20)) is None


def test_the_target_is_0_if_the_spell_ends_another_way() -> None:
    assert target(log((0, OPENED), (7, attended()), (10, Ended(reason="transferred"))), at(8), 60, at(10)) == 0


def test_between_a_declared_stop_and_a_return_there_is_no_target() -> None:
    events = log((0, OPENED), (7, attended()), (50, attended()), (60, Ended(reason="planned")))
    assert target(events, at(37) - 1, 14, at(99)) == 1
    assert target(events, at(37), 14, at(99)) is None
    assert target(events, at(50), 14, at(99)) == 0


def test_there_is_no_target_before_the_episode_nor_after_another_ending() -> None:
    events = log((3, OPENED), (10, Ended(reason="planned")))
    assert [target(events, at(day), 14, at(99)) for day in (2, 3, 10)] == [None, 0, None]


def test_a_session_of_a_later_spell_is_none_of_this_one() -> None:
    assert target(log((0, OPENED), (40, attended())), at(1), 30, at(99)) == 1


# ── the next visit ──────────────────────────────────────────────────────────────────────────────────────


def next_visit(*told: tuple[float, Data], t: float = 2, now: float = 99) -> int | None:
    return next_visit_missed(log((0, OPENED), (1, booked("a", 7)), *told), at(t), at(now))


def test_the_next_visit_is_1_if_missed_and_0_if_attended() -> None:
    assert next_visit((7, missed("a"))) == 1
    assert next_visit((7, attended("a"))) == 0


def test_the_next_visit_is_1_if_the_client_cancelled_less_than_24_hours_before() -> None:
    assert next_visit((6 + HOUR / DAY, called_off("a"))) == 1
    assert next_visit((6, called_off("a"))) is None
    assert next_visit((6.5, called_off("a", "clinic"))) is None
    assert next_visit((3, moved("a", 9)), (6.5, called_off("a"))) is None


def test_the_next_visit_is_undetermined_while_nothing_became_of_it() -> None:
    assert next_visit() is None
    assert next_visit((7, missed("a")), now=6.9) is None
    assert next_visit((7, missed("a")), t=0.5) is None


def test_the_next_visit_is_the_earliest_to_start_after_t_as_known_then_for_whatever_purpose() -> None:
    assert next_visit((2, booked("b", 6, "administrative")), (6, missed("b")), (7, attended("a"))) == 1
    assert next_visit((3, booked("b", 6)), (6, missed("b")), (7, attended("a"))) == 0
    assert next_visit((1.5, called_off("a")), (2, booked("b", 9)), (9, attended("b"))) == 0
    assert next_visit((7.5, missed("a")), t=7) is None


def test_there_is_no_next_visit_where_the_state_is_not_open() -> None:
    assert next_visit((1.5, Ended(reason="planned")), (7, missed("a"))) is None


# ── corrections, retractions, repetition ────────────────────────────────────────────────────────────────


def test_a_corrected_event_is_replaced() -> None:
    old = make(attended(), 7 * DAY, "old")
    new = make(attended(), 9 * DAY, "new", corrects="old")
    assert effective([old, new]) == [new]
    assert effective([old, make(attended(), 9 * DAY, "new", source="/north/ehr", corrects="old")])[0] == old


def test_a_retracted_event_never_happened() -> None:
    event = make(attended(), 7 * DAY, "e")
    retraction = make(Retracted(event_id="e"), 9 * DAY, "r")
    assert effective([retraction, event]) == [retraction]
    elsewhere = make(Retracted(event_id="e"), 9 * DAY, "r", source="/north/ehr")
    assert effective([event, elsewhere]) == [event, elsewhere]


def test_a_retracted_correction_brings_back_what_it_replaced() -> None:
    old = make(attended(), 7 * DAY, "old")
    new = make(attended(), 9 * DAY, "new", corrects="old")
    assert effective([old, new, make(Retracted(event_id="new"), 10 * DAY, "r")])[0] == old


def test_a_retraction_can_be_retracted_only_by_a_later_one() -> None:
    event = make(attended(), 7 * DAY, "e")
    first, second = (make(Retracted(event_id=of), day * DAY, name) for of, day, name in (("e", 8, "r"), ("r", 9, "s")))
    assert effective([event, first, second]) == [event, second]
    early = make(Retracted(event_id="r"), 7 * DAY, "s")
    assert effective([event, first, early]) == [early, first]


def test_an_event_seen_again_changes_nothing() -> None:
    event = make(attended(), 7 * DAY, "e")
    assert effective([event, event]) == [event]
    assert effective([event, make(missed("a"), 8 * DAY, "e")]) == [event]


@settings(deadline=None)
@given(episode_logs(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(events: list[AnyEvent], random: Any) -> None:
    shuffled = random.sample(events, len(events))
    assert effective(shuffled) == effective(events)


@settings(deadline=None)
@given(episode_logs())
def test_a_spell_once_closed_never_changes_as_time_goes_on(events: list[AnyEvent]) -> None:
    known = effective(events)
    for now in sorted({micros(event.time) for event in known}):
        settled = [spell for spell in spells(known, now) if spell.closed_at is not None]
        assert spells(known, now + 10 * W)[: len(settled)] == settled


@settings(deadline=None)
@given(episode_logs())
def test_effective_events_are_some_of_those_sent_and_no_standing_retraction_names_one(events: list[AnyEvent]) -> None:
    known = effective(events)
    assert all(event in events for event in known)
    ids = {(event.source, event.id) for event in known if not isinstance(event, EventRetracted)}
    assert not ids & {(e.source, e.data.event_id) for e in known if isinstance(e, EventRetracted)}
