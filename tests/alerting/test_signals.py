"""What decisions about alerts rest on besides the risk, read from a course at a moment."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings

from keepwell.alerting.signals import Signals, absent_since, newest_matter, signals_of
from keepwell.care.alliance import Rupture
from keepwell.care.course import Course
from keepwell.contract.events import (
    Actioned,
    AnyEvent,
    Attended,
    Cancelled,
    ClinicianChange,
    Contact,
    Feedback,
    Missed,
    RepairAttempt,
    Rescheduled,
    RuptureNote,
    Skipped,
)
from keepwell.scoring.features.feature import RECENT_DAYS
from tests.episodes import Happening, booked, lived, measured, on, opened, srs, story, weekly
from tests.strategies import DAY, episode_logs, moment


def course_of(*happenings: Happening) -> Course:
    return lived(story(*happenings)).course


def signals(day: float, *happenings: Happening) -> Signals:
    return signals_of(course_of(*happenings), on(day))


COMES: Final[list[Happening]] = [
    (0, opened()),
    (1, booked("a", 7)),
    (7, Attended(appointment_id="a")),
    (7.01, booked("b", 14)),
]
"""Somebody who came and is to come again."""
NEGATIVE: Final = Feedback(pillar="trust", sentiment="negative")


def test_of_somebody_who_comes_and_of_whom_nothing_is_told_there_is_no_signal() -> None:
    assert signals(10, *COMES) == Signals()


# ── when somebody decides ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("day", "deciding"),
    [
        (0, False), (1, True), (6, True), (7, True), (7.01, True), (7.041, True), (7.05, False), (13.9, False), (16, False),
        (17.1, True),
    ],
)  # fmt: skip
def test_somebody_decides_from_the_first_booking_on_at_the_end_of_a_session_and_where_nobody_comes(
    day: float, deciding: bool
) -> None:
    assert signals(day, *(one for one in COMES if one[0] <= day)).deciding is deciding


# ── absence ─────────────────────────────────────────────────────────────────────────────────────────────


def began(day: float, *happenings: Happening) -> float | None:
    """The day on which the absence began of which a day can tell."""
    found = absent_since(course_of(*happenings), on(day))
    return None if found is None else (found - on(0)) / DAY


MISSED: Final[Happening] = (14, Missed(appointment_id="b"))
CALLED_OFF: Final[Happening] = (12, Cancelled(appointment_id="b", initiator="client"))


@pytest.mark.parametrize("lost", [MISSED, CALLED_OFF])
def test_a_visit_missed_or_called_off_begins_an_absence_until_one_is_booked_or_attended(lost: Happening) -> None:
    gone = (*COMES, lost)
    assert began(20, *gone) == lost[0]
    assert began(20, *gone, (16, booked("c", 30))) is None
    assert began(16.5, *gone, (16, Attended())) is None


@pytest.mark.parametrize("lost", [MISSED, CALLED_OFF])
def test_it_does_too_where_the_next_one_was_booked_before_until_that_is_attended(lost: Happening) -> None:
    gone = (*COMES[:3], (7.01, booked("c", 21)), COMES[3], lost)
    assert began(15, *gone) == lost[0]
    assert began(21, *gone, (21, Attended(appointment_id="c"))) is None
    assert began(16, *gone, (15, booked("d", 18))) is None
    assert began(16, *gone, (15, moved("c", 22, "client"))) is None
    assert began(16, *gone, (15, moved("c", 22, "clinic"))) == lost[0]  # that says nothing of who comes


def moved(visit: str, day: float, initiator: Any) -> Rescheduled:
    return Rescheduled(appointment_id=visit, starts_at=moment(round(day * DAY)), initiator=initiator)


def test_a_visit_that_the_clinic_cancelled_is_no_absence_of_the_client_but_nothing_is_booked_then() -> None:
    gone = (*COMES, (12, Cancelled(appointment_id="b", initiator="clinic")))
    assert began(12, *gone) == 7


def test_where_nothing_is_booked_the_absence_began_with_the_last_session_and_is_told_from_the_next_day_on() -> None:
    alone = [(0, opened()), (7, Attended())]
    assert began(8, *alone) is None
    assert began(8.001, *alone) == 7
    assert began(2, (0, opened())) == 0  # nobody was there yet: since the opening


def test_a_visit_that_waits_for_its_record_is_no_absence() -> None:
    assert began(16.9, *COMES) is None
    assert began(17.1, *COMES) == 7


def test_an_episode_of_which_nothing_is_known_has_no_absence() -> None:
    assert absent_since(Course(lambda name: None), on(400)) is None


# ── matters ─────────────────────────────────────────────────────────────────────────────────────────────

STEADY: Final[list[Happening]] = [*COMES, *((1.0 + n, srs(9, 9, 9, 9)) for n in range(5))]


@pytest.mark.parametrize(
    "said",
    [
        NEGATIVE, Contact(direction="inbound", purpose="complaint"), RuptureNote(kind="withdrawal"),
        ClinicianChange(clinician_id="c-2", reason="absence"), srs(9, 9, 2, 9),
    ],
    ids=["voiced", "a complaint", "reported", "a break", "a great fall"],
)  # fmt: skip
def test_what_is_told_at_once_is_told_since_when_it_came_up(said: Any) -> None:
    found = signals(10, *STEADY, (9, said))
    assert (found.voiced_at, found.strained_at) == (on(9), None)


def test_a_fall_that_is_not_great_is_a_strain() -> None:
    found = signals(10, *STEADY, (9, srs(9, 9, 6.1, 9)))
    assert (found.voiced_at, found.strained_at) == (None, on(9))
    both = signals(10, *STEADY, (9, srs(9, 9, 6.1, 9)), (9.5, NEGATIVE))
    assert (both.voiced_at, both.strained_at) == (on(9.5), on(9))


def test_of_several_matters_the_newest_says_when() -> None:
    pace: Happening = (9, Feedback(pillar="pace", sentiment="negative"))
    assert signals(10, *COMES, (8, NEGATIVE), pace).voiced_at == on(9)
    assert signals(10, *COMES, (8, RuptureNote(kind="withdrawal")), pace).voiced_at == on(9)
    assert signals(10, *COMES, (9.5, RuptureNote(kind="withdrawal")), pace).voiced_at == on(9.5)


def test_the_matter_that_is_named_is_the_newest_of_those_told_at_once() -> None:
    said, noted = (8.0, NEGATIVE), (9.0, RuptureNote(kind="withdrawal", pillar="goals"))
    newest = newest_matter(course_of(*COMES, said, noted))
    assert isinstance(newest, Rupture) and newest.pillar == "goals"
    fallen = newest_matter(course_of(*STEADY, (8, NEGATIVE), (9, srs(9, 9, 6.1, 9))))
    assert fallen is not None and fallen.pillar == "trust"  # what was said comes before a fall of no great size
    alone = newest_matter(course_of(*STEADY, (9, srs(9, 9, 6.1, 9))))
    assert isinstance(alone, Rupture)
    assert newest_matter(course_of(*COMES)) is None


@pytest.mark.parametrize(
    ("closing", "mended"),
    [
        ([(9, Feedback(pillar="trust", sentiment="positive"))], True),
        ([(9, RepairAttempt(outcome="same")), (14, Attended())], True),
        ([(14, Attended()), (21, Attended()), (28, Attended())], False),
    ],
    ids=["repaired", "answered", "passed"],
)
def test_a_concern_is_mended_where_it_was_repaired_or_answered_and_not_where_it_passed(
    closing: list[Happening], mended: bool
) -> None:
    found = signals(29, *COMES, (8, NEGATIVE), *closing)
    assert (found.voiced_at, found.mended) == (None, mended)


def test_a_rupture_is_mended_where_it_was_repaired_and_not_where_it_was_given_up() -> None:
    noted: Happening = (8, RuptureNote(kind="withdrawal", pillar="bond"))
    assert signals(10, *COMES, noted, (9, RepairAttempt(outcome="better"))).mended
    given_up = signals(70, *COMES, noted, *weekly(6, first=14))
    assert (given_up.voiced_at, given_up.mended) == (None, False)


def test_of_several_matters_that_are_over_the_one_that_closed_last_says_how() -> None:
    noted: Happening = (8, RuptureNote(kind="withdrawal", pillar="bond"))
    repaired: Happening = (9, RepairAttempt(pillar="bond", outcome="better"))
    passed = (*COMES, noted, repaired, (10, NEGATIVE), *weekly(3, first=14))
    assert not signals(29, *passed).mended
    assert signals(30, *passed, (29, NEGATIVE), (30, Feedback(pillar="trust", sentiment="positive"))).mended
    assert signals(31, *passed, (29, noted[1]), (30, repaired[1])).mended


# ── wishes, and a talk that is due ──────────────────────────────────────────────────────────────────────


def wish(day: float, what: Any = "approach") -> Happening:
    return day, Feedback(pillar="tasks", sentiment="neutral", wants_change=what)


def test_a_wish_is_open_since_it_was_last_said_until_it_is_met() -> None:
    said = (*COMES, wish(8), wish(9, "format"))
    assert (signals(10, *said).wished_at, signals(10, *said).met) == (on(9), False)
    changed: Happening = (10, Actioned(alert_id="al-1", action="approach_changed", by="c-1"))
    assert (signals(11, *said, changed).wished_at, signals(11, *said, changed).met) == (on(9), False)  # of the other
    planned: Happening = (11, Actioned(alert_id="al-1", action="ending_planned", by="c-1"))
    assert (signals(12, *said, planned).wished_at, signals(12, *said, planned).met) == (None, True)


@pytest.mark.parametrize(
    ("what", "met"),
    [
        ("approach", Actioned(alert_id="al-1", action="approach_changed", by="c-1")),
        ("clinician", Actioned(alert_id="al-1", action="transfer_offered", by="c-1")),
        ("clinician", ClinicianChange(clinician_id="c-2", reason="client_request")),
        ("format", Feedback(pillar="tasks", sentiment="positive")),
    ],
)
def test_a_wish_is_met_by_what_was_wished_for_or_by_good_feedback(what: Any, met: Any) -> None:
    found = signals(10, *COMES, wish(8, what), (9, met))
    assert (found.wished_at, found.met) == (None, True)


def test_a_wish_that_nobody_met_and_nobody_repeated_lapses_and_was_not_met() -> None:
    said = (*COMES, wish(8))
    last = signals(8 + RECENT_DAYS, *said)
    assert (last.wished_at, last.met) == (on(8), False)
    lapsed = signals(8.01 + RECENT_DAYS, *said)
    assert (lapsed.wished_at, lapsed.met) == (None, False)


def test_without_a_wish_none_is_met() -> None:
    assert not signals(10, *COMES, (9, Feedback(pillar="tasks", sentiment="positive"))).met


def treated(sessions: int, *scores: float, **facts: Any) -> list[Happening]:
    """A course measured at its opening and, with the other scores, at its last sessions."""
    later = [(7.0 * (sessions - n), measured("PHQ-9", score)) for n, score in enumerate(reversed(scores[1:]))]
    return [(0, opened(**facts)), (0, measured("PHQ-9", scores[0])), *weekly(sessions), *later]


@pytest.mark.parametrize(
    ("told", "due"),
    [
        (treated(6, 18, 9, 9), True),
        (treated(5, 18, 9, 9), False),  # before the sixth session
        (treated(6, 18, 10, 9), False),  # past the cut-off once
        (treated(6, 12, 9, 9), False),  # no reliable change
        (treated(6, 18, 9), False),  # measured once since
        (treated(12, 18, 18), True),  # stands where it began
        (treated(11, 18, 18), False),
        (treated(12, 18, 16), False),  # a third of a reliable change better
        (treated(12, 18), False),  # not measured since
        ([(0, opened()), *weekly(30)], False),
    ],
)
def test_a_talk_is_due_where_a_course_does_well_or_stands_where_it_began(told: list[Happening], due: bool) -> None:
    assert signals(300, *told).due is due


@pytest.mark.parametrize(
    ("planned", "near"), [(6, True), (8, True), (9, False), (5, True), (None, False)]
)  # fmt: skip
def test_a_planned_end_is_near_two_sessions_before_it_where_the_course_does_well(
    planned: int | None, near: bool
) -> None:
    assert signals(43, *treated(6, 18, 9, 9, planned_sessions=planned)).planned is near
    assert not signals(43, *treated(6, 18, 18, 18, planned_sessions=planned)).planned


# ── questionnaires left out ─────────────────────────────────────────────────────────────────────────────


def test_questionnaires_are_left_out_from_the_third_on() -> None:
    left_out: list[Happening] = [(8.0 + n, Skipped(instrument="SRS")) for n in range(4)]
    assert [signals(12, *COMES, *left_out[:n]).skipping_since for n in range(5)] == [None, None, None, on(10), on(10)]


# ── whatever happened ───────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=100)
@given(episode_logs())
def test_no_signal_lies_ahead_and_what_is_open_is_not_mended_or_met_at_once(events: list[AnyEvent]) -> None:
    live = lived(events)
    now = live.episode.latest
    found = signals_of(live.course, now)
    times = (found.absent_since, found.voiced_at, found.strained_at, found.wished_at, found.skipping_since)
    assert all(at is None or at <= now for at in times)
    assert not (found.wished_at is not None and found.met)
    assert found.due or not found.planned
