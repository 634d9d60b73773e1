"""One appointment, one outcome (CONTRACT section 1): what the course counts, what is pending, and what the fast fold says."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from keepwell.care.course import Course
from keepwell.care.instruments import Instruments
from keepwell.cli.score import COLUMNS, Pair, scored
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import AnyEvent, Attended, Booked, Cancelled, Data, Missed, Rescheduled, Retracted, micros
from tests.both import next_visit_missed, spells, state
from tests.episodes import Happening, assessor_of_all, booked, lived, on, opened, srs, story
from tests.strategies import DAY, make, moment

TOLD = ((0.0, opened()), (1.0, booked("a", 7)))
MINUTE = 1 / 24 / 60
CAME = Attended(appointment_id="a")
MISSED = Missed(appointment_id="a")
CALLED_OFF = Cancelled(appointment_id="a", initiator="client")
CLINIC = Cancelled(appointment_id="a", initiator="clinic")


def moved(day: float, initiator: Any = "client", visit: str = "a") -> Rescheduled:
    return Rescheduled(appointment_id=visit, starts_at=moment(round(day * DAY)), initiator=initiator)


def course(*told: Happening) -> Course:
    """The course of a story, which is the same in every order of arrival."""
    events = story(*TOLD, *told)
    found = lived(events).course
    for arrival in list(permutations(events))[:120]:
        assert lived(arrival).course == found
    return found


def counted(*told: Happening) -> tuple[int, int, int]:
    """Visits attended, missed and cancelled by the client."""
    found = course(*told)
    return found.attended, found.missed, found.client_cancelled


# ── what is counted ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "told",
    [
        [(7 + 30 * MINUTE, MISSED), (7 + 70 * MINUTE, CAME)],
        [(7 + 70 * MINUTE, CAME), (8, MISSED)],
        [(6.5, CALLED_OFF), (7 + 70 * MINUTE, CAME)],
        [(7 + 70 * MINUTE, CAME), (8, CALLED_OFF)],
        [(6.5, CALLED_OFF), (7.1, MISSED), (7.2, CAME)],
        [(7.2, CAME), (7.3, MISSED), (7.4, CLINIC)],
        [(7.1, CAME), (7.2, CAME)],
    ],
)
def test_attended_outweighs_whatever_else_is_recorded_of_a_visit_before_or_after_it_and_counts_once(
    told: list[Happening],
) -> None:
    found = course(*told)
    assert (found.attended, found.sessions, found.missed, found.client_cancelled) == (1, 1, 0, 0)
    assert (found.clinic_cancelled, found.late_cancelled, found.excused, found.lost_in_a_row) == (0, 0, 0, 0)
    assert (found.last_lost, found.last_notice, found.lost_at, found.kept_at) == (None, None, None, None)
    assert "missed" not in found.refs
    assert "continuity" not in found.refs


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(7.1, MISSED), (7.2, MISSED)], (0, 1, 0)),
        ([(6.5, CALLED_OFF), (7.1, MISSED)], (0, 1, 0)),
        ([(7.1, MISSED), (7.2, CALLED_OFF)], (0, 0, 1)),
        ([(5, CALLED_OFF), (6.5, CALLED_OFF)], (0, 0, 1)),
        ([(7.1, MISSED), (7.2, CLINIC)], (0, 0, 0)),
    ],
)
def test_of_two_outcomes_that_are_not_attended_the_later_holds(
    told: list[Happening], expected: tuple[int, int, int]
) -> None:
    assert counted(*told) == expected


def test_a_miss_that_was_outweighed_leaves_no_trace_in_any_sum() -> None:
    measures: list[Happening] = [(7 - 1 / 24, srs(9, 9, 9, 9)), (7.55, srs(9, 9, 8, 9))]
    late = course((7.02, Missed(appointment_id="a", reason="illness")), (7.05, CAME), *measures)
    on_time = lived(story(*TOLD, (7.05, CAME), *measures)).course
    for name in ("attended", "sessions", "missed", "excused", "lost_in_a_row", "since_alliance", "booked_ahead"):
        assert getattr(late, name) == getattr(on_time, name)
    assert (late.standing.last_sign, late.standing.declared) == (on_time.standing.last_sign, on_time.standing.declared)


# ── what undoes an outcome ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", [CAME, MISSED, CALLED_OFF])
@pytest.mark.parametrize("again", [booked("a", 7), moved(7.01), moved(6.9), booked("a", 6.8)])
def test_a_record_about_the_past_undoes_no_outcome(outcome: Data, again: Data) -> None:
    found = course((7.02, outcome), (8, again))
    assert found == lived([*story(*TOLD, (7.02, outcome)), make(again, 8 * DAY, "e-3")]).course
    assert (found.attended, found.missed, found.client_cancelled, found.client_moves) == (
        int(outcome is CAME),
        int(outcome is MISSED),
        int(outcome is CALLED_OFF),
        0,
    )
    assert not found.visits.pending_at(on(8))
    assert found.visits.next_visit(on(6.5)) is None


def test_the_same_booking_sent_again_after_a_cancellation_leaves_it_cancelled() -> None:
    found = course((3, CALLED_OFF), (4, booked("a", 7)))
    assert (found.client_cancelled, found.visits.next_session(on(4)), found.lost_at) == (1, None, on(3))


def test_a_first_booking_sent_again_after_a_move_and_a_cancellation_leaves_it_cancelled() -> None:
    found = course((2, moved(9)), (3, CALLED_OFF), (4, booked("a", 7)))
    assert (found.client_cancelled, found.visits.next_session(on(4))) == (1, None)


@pytest.mark.parametrize("outcome", [CAME, MISSED])
def test_a_booking_that_is_recorded_only_after_its_visit_is_none_of_another(outcome: Data) -> None:
    told = story((0, opened()), (7, outcome), (7.1, booked("a", 7.5)))
    found = lived(told).course
    assert (found.attended + found.missed, found.visits.next_session(on(7.1))) == (1, None)


@pytest.mark.parametrize("again", [booked("a", 14), moved(14)])
@pytest.mark.parametrize("outcome", [MISSED, CALLED_OFF, CLINIC])
def test_a_start_that_lies_after_an_outcome_undoes_it(outcome: Data, again: Data) -> None:
    assert counted((7, outcome), (8, again)) == (0, 0, 0)
    found = course((7, outcome), (8, again))
    assert (found.visits.next_session(on(8)), found.lost_at, found.lost_in_a_row) == (on(14), None, 0)
    assert counted((7, outcome), (8, again), (14, CAME)) == (1, 0, 0)
    assert counted((7, outcome), (8, again), (14, MISSED)) == (0, 1, 0)


def test_a_miss_that_is_recorded_late_stands_against_a_start_that_was_set_before() -> None:
    assert counted((6, moved(9)), (9.1, MISSED)) == (0, 1, 0)
    assert counted((6, moved(9)), (7.1, MISSED), (9.1, CAME)) == (1, 0, 0)


def test_a_retraction_undoes_an_outcome_and_gives_the_outweighed_one_back() -> None:
    told = story(*TOLD, (7.1, MISSED), (7.2, CAME))
    never = make(Retracted(event_id="e-3"), 8 * DAY, "r")
    for arrival in permutations([*told, never]):
        found = lived(arrival).course
        assert (found.attended, found.missed, found.refs["missed"][1]) == (0, 1, "e-2")


def test_a_booking_of_what_is_booked_already_rebooks_no_lost_visit() -> None:
    told: list[Happening] = [(0, opened()), (1, booked("b", 3)), (7, Missed(appointment_id="c"))]
    once = lived(story(*told)).course
    again = lived(story(*told, (8, booked("b", 3)))).course
    assert (once.lost_at, again.lost_at, again.rebooking) == (on(7), on(7), None)


# ── signs, stops and targets, by both readings ──────────────────────────────────────────────────────────


def effective(*told: Happening) -> list[AnyEvent]:
    return story(*TOLD, *told)


def test_a_miss_that_was_outweighed_is_no_sign_of_its_own_and_the_attended_visit_is() -> None:
    assert spells(effective((7, CAME), (20, MISSED)), on(90))[0].closed_at == on(37)
    assert spells(effective((7, MISSED), (9, CAME)), on(90))[0].closed_at == on(39)
    assert spells(effective((7, MISSED), (20, CLINIC)), on(90))[0].closed_at == on(30)


def test_what_was_declared_stands_though_an_outcome_is_undone_later() -> None:
    events = effective((7, CAME), (38, moved(60)))
    assert spells(events, on(37)) == spells(events, on(90))
    assert spells(events, on(90))[0].last_attended == on(7)


def test_a_booking_sent_again_after_the_visit_keeps_nothing_pending() -> None:
    events = effective((7, CAME), (20, booked("a", 7)), (21, moved(6.9)))
    assert [state(events, on(day)) for day in (36.9, 37)] == ["open", "stopped"]


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ([(7.1, MISSED), (7.2, CAME)], 0),
        ([(7.1, CAME), (7.2, MISSED)], 0),
        ([(6.5, CALLED_OFF), (7.2, CAME)], 0),
        ([(7.1, MISSED), (7.2, CLINIC)], None),
        ([(7.1, MISSED), (8, moved(14)), (14, CAME)], 0),
        ([(7.1, MISSED), (8, moved(14))], None),
        ([(7.1, MISSED), (8, booked("a", 7))], 1),
        ([(7.1, MISSED), (8, moved(7.05))], 1),
    ],
)
def test_the_second_target_is_the_outcome_that_holds(told: list[Happening], target: int | None) -> None:
    assert next_visit_missed(effective(*told), on(2), on(20)) == target


def test_a_visit_with_an_outcome_is_no_next_visit_though_it_is_booked_again() -> None:
    told = effective((2, CALLED_OFF), (3, booked("a", 7)), (3, booked("b", 9)), (9, Attended(appointment_id="b")))
    assert next_visit_missed(told, on(4), on(20)) == 0


# ── the case from the field ─────────────────────────────────────────────────────────────────────────────

CASES = Path(__file__).parents[1] / "data" / "late-arrival"


def _events(name: str) -> list[AnyEvent]:
    lines = (CASES / f"{name}.jsonl").read_bytes().splitlines()
    checked = [decode(line, now=moment(1000 * DAY), instruments=Instruments()) for line in lines]
    return [each.event for each in checked if isinstance(each, Accepted)]


def test_a_client_marked_missed_who_came_late_is_scored_as_one_who_came() -> None:
    rows = {}
    for name in ("late", "ontime"):
        events = _events(name)
        found = lived(events).course
        assert (found.attended, found.missed) == (4, 0)
        moments = [event.time for event in events if isinstance(event.data, Attended)]
        pairs = [Pair("north/ep", str(at), micros(at)) for at in moments]
        before = [
            Pair("north/ep", str(at), micros(at)) for at in (e.time for e in events if isinstance(e.data, Booked))
        ]
        rows[name] = [
            dict(zip(COLUMNS, row, strict=True))
            for row in scored(events, [*pairs, *before], assessor_of_all(), Instruments(), micros(events[-1].time))
        ]
    assert rows["late"] == rows["ontime"]
    assert [row["target_next"] for row in rows["late"]][4:] == [0, 0, 0, 0, ""]
