"""A concern is opened by what was said, shown or broken, and followed until it is repaired, answered or passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

import pytest

from keepwell.care.concerns import ACTING, HOMEWORK_FALLS, PILLAR_OF_COMPLAINT_DAYS, TALKED, Concern, Concerns
from keepwell.contract.events import (
    Actioned,
    Attended,
    Cancelled,
    ClinicianChange,
    Contact,
    Data,
    Feedback,
    HomeworkReview,
    Missed,
    RepairAttempt,
    Rescheduled,
    Retracted,
)
from keepwell.contract.words import PILLARS, Action, DismissReason
from tests.episodes import Happening, booked, lived, on, opened, srs, story, weekly
from tests.strategies import DAY, moment

Key = tuple[str, str | None]

NEGATIVE: Final = Feedback(pillar="trust", sentiment="negative")
POSITIVE: Final = Feedback(pillar="trust", sentiment="positive")
NEUTRAL: Final = Feedback(pillar="trust", sentiment="neutral")
COMPLAINT: Final = Contact(direction="inbound", purpose="complaint")
VOICED: Final[list[Happening]] = [(0, opened()), (8, NEGATIVE)]


def concerns(*happenings: Happening) -> Concerns:
    return lived(story(*happenings)).course.concerns


def open_after(*happenings: Happening) -> list[Key]:
    """What is open, in the order in which it was voiced."""
    return list(concerns(*happenings).open)


def closed(*happenings: Happening) -> tuple[float, str | None]:
    """The day and the way in which the one concern of a story closed; nothing else is open."""
    found = concerns(*happenings)
    assert not found.open and found.last is not None and found.last.closed_at is not None
    return (found.last.closed_at - on(0)) / DAY, found.last.closed


# ── what opens one ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pillar", PILLARS)
def test_negative_feedback_opens_a_concern_of_its_pillar_and_says_which_event_did(pillar: Any) -> None:
    said: Happening = (8, Feedback(pillar=pillar, sentiment="negative"))
    [concern] = concerns((0, opened()), said).open.values()
    assert concern == Concern(on(8), "feedback", pillar, concern.event)
    assert concern.event[1] == "e-1"


@pytest.mark.parametrize("said", [NEUTRAL, POSITIVE, Contact(direction="inbound", purpose="reply")])
def test_what_is_not_negative_opens_none(said: Data) -> None:
    assert open_after((0, opened()), (8, said)) == []


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_complaint_opens_one_whoever_took_the_call(direction: Any) -> None:
    assert open_after((0, opened()), (8, Contact(direction=direction, purpose="complaint"))) == [("complaint", None)]


def test_a_complaint_is_about_the_pillar_of_negative_feedback_shortly_before() -> None:
    near = (*VOICED, (8 + PILLAR_OF_COMPLAINT_DAYS, COMPLAINT))
    assert open_after(*near) == [("feedback", "trust"), ("complaint", "trust")]
    assert open_after(*VOICED, (8.001 + PILLAR_OF_COMPLAINT_DAYS, COMPLAINT))[1] == ("complaint", None)
    assert open_after((0, opened()), (8, POSITIVE), (9, COMPLAINT)) == [("complaint", None)]


@pytest.mark.parametrize("reason", ["absence", "client_request", "service", "other"])
def test_a_change_of_clinician_is_a_break_where_absence_was_the_reason(reason: Any) -> None:
    change = (8.0, ClinicianChange(clinician_id="c-2", reason=reason))
    assert open_after((0, opened()), change) == ([("break", "consistency")] if reason == "absence" else [])


def moved(visit: str, day: float, initiator: Any = "clinic") -> Rescheduled:
    return Rescheduled(appointment_id=visit, starts_at=moment(round(day * DAY)), initiator=initiator)


def test_a_visit_that_the_clinic_moves_twice_is_a_break() -> None:
    visits: list[Happening] = [(0, opened()), (1, booked("a", 10)), (1, booked("b", 11))]
    once: list[Happening] = [*visits, (2, moved("a", 12))]
    assert open_after(*once) == []
    assert open_after(*once, (3, moved("b", 13))) == []  # another visit, moved once
    assert open_after(*once, (3, moved("a", 14, "client"))) == []
    assert open_after(*once, (3, moved("a", 14, "clinician"))) == [("break", "consistency")]


def test_a_second_visit_that_the_clinic_cancels_with_no_session_between_is_a_break() -> None:
    visits: list[Happening] = [(0, opened()), *((1, booked(name, 10 + n)) for n, name in enumerate("abc"))]

    def cancelled(visit: str, day: float, initiator: Any = "clinic") -> Happening:
        return day, Cancelled(appointment_id=visit, initiator=initiator)

    one, two = cancelled("a", 2), cancelled("b", 3)
    assert open_after(*visits, one) == []
    assert open_after(*visits, one, cancelled("b", 3, "client")) == []
    assert open_after(*visits, one, (2.5, Attended()), two) == []
    assert open_after(*visits, one, cancelled("b", 3, "clinician")) == [("break", "consistency")]
    assert concerns(*visits, one, two).open["break", "consistency"].opened_at == on(3)


def test_the_visits_of_somebody_absent_that_a_clinic_clears_away_are_no_break() -> None:
    visits: list[Happening] = [(0, opened()), *((1, booked(name, 10 + n)) for n, name in enumerate("abc"))]
    gone: list[Happening] = [(10, Missed(appointment_id="a"))]
    cleared: list[Happening] = [(10.1, Cancelled(appointment_id=name, initiator="clinic")) for name in "bc"]
    assert open_after(*visits, *cleared) == [("break", "consistency")]
    assert open_after(*visits, *gone, *cleared) == []


def reviews(*done: float) -> list[Happening]:
    """Homework looked at in one session after the other."""
    return [(7.0 * n, HomeworkReview(completion=part)) for n, part in enumerate(done, 1)]


@pytest.mark.parametrize(
    ("done", "open_"),
    [
        ((1.0, 0.5, 0.2), True), ((1.0, 0.6, 1 / 3), True), ((1.0, 0.7, 0.4), False), ((1.0, 0.2), False),
        ((1.0, 0.2, 0.2), False), ((0.2, 0.1, 0.0), True), ((1.0, 0.5, 0.6, 0.1), False),
    ],
)  # fmt: skip
def test_homework_done_less_each_time_down_to_little_opens_one_of_tasks(done: Sequence[float], open_: bool) -> None:
    assert HOMEWORK_FALLS == 2
    assert open_after((0, opened()), *reviews(*done)) == ([("homework", "tasks")] if open_ else [])


def test_each_pillar_is_a_concern_of_its_own_and_the_newest_is_the_one_voiced_last() -> None:
    found = concerns(*VOICED, (9, Feedback(pillar="pace", sentiment="negative")), (10, NEGATIVE))
    assert list(found.open) == [("feedback", "trust"), ("feedback", "pace")]
    assert found.newest is found.open["feedback", "pace"]
    assert concerns((0, opened())).newest is None


def test_what_was_taken_back_was_never_a_concern() -> None:
    found = concerns(*VOICED, (9, Retracted(event_id="e-1")))
    assert (found.open, found.last, found.repaired) == ({}, None, 0)


# ── said again ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_said_again_before_it_was_answered_is_the_same_concern_and_waits_anew() -> None:
    waiting = (*VOICED, (10, Attended()), (17, Attended()))
    again = (*waiting, (18, NEGATIVE))
    [concern] = concerns(*again).open.values()
    assert (concern.opened_at, concern.waited) == (on(8), 0)
    assert closed(*waiting, (24, Attended())) == (24, "passed")
    assert open_after(*again, (24, Attended()), (31, Attended())) == [("feedback", "trust")]


def test_what_is_said_again_after_it_was_answered_is_a_new_concern_and_the_last_in_order() -> None:
    pace: Happening = (8.5, Feedback(pillar="pace", sentiment="negative"))
    tried: Happening = (9, RepairAttempt(pillar="trust"))
    assert open_after(*VOICED, pace, tried, (10, NEGATIVE)) == [("feedback", "pace"), ("feedback", "trust")]
    assert open_after(*VOICED, pace, (10, NEGATIVE)) == [("feedback", "trust"), ("feedback", "pace")]
    found = concerns(*VOICED, (9, RepairAttempt(pillar="trust")), (10, NEGATIVE))
    [concern] = found.open.values()
    assert (concern.opened_at, concern.answered, found.repaired) == (on(10), False, 0)


# ── repaired ────────────────────────────────────────────────────────────────────────────────────────────


def test_positive_feedback_repairs_what_is_open_of_its_pillar_and_no_other() -> None:
    assert closed(*VOICED, (9, POSITIVE)) == (9, "repaired")
    assert open_after(*VOICED, (9, Feedback(pillar="bond", sentiment="positive"))) == [("feedback", "trust")]


def test_neutral_feedback_repairs_only_what_was_answered() -> None:
    assert open_after(*VOICED, (10, NEUTRAL)) == [("feedback", "trust")]
    assert closed(*VOICED, (9, RepairAttempt(pillar="trust")), (10, NEUTRAL)) == (10, "repaired")


def test_positive_feedback_on_consistency_repairs_a_break() -> None:
    broken: list[Happening] = [(0, opened()), (8, ClinicianChange(clinician_id="c-2", reason="absence"))]
    assert closed(*broken, (9, Feedback(pillar="consistency", sentiment="positive"))) == (9, "repaired")


def test_an_attempt_at_repair_that_went_better_repairs_what_is_open_of_its_pillar_or_of_all() -> None:
    for pillar in ("trust", None):
        assert closed(*VOICED, (9, RepairAttempt(pillar=pillar, outcome="better"))) == (9, "repaired")
    assert open_after(*VOICED, (9, RepairAttempt(pillar="pace", outcome="better"))) == [("feedback", "trust")]


def test_an_attempt_of_any_pillar_reaches_a_complaint_of_none() -> None:
    complained: list[Happening] = [(0, opened()), (8, COMPLAINT)]
    assert closed(*complained, (9, RepairAttempt(pillar="pace", outcome="better"))) == (9, "repaired")


def test_homework_done_again_repairs_and_as_little_as_before_does_not() -> None:
    less = [(0, opened()), *reviews(1.0, 0.5, 0.2)]
    assert closed(*less, (28, HomeworkReview(completion=0.8))) == (28, "repaired")
    for little in (0.1, 0.2, 0.3):
        assert open_after(*less, (28, HomeworkReview(completion=little))) == [("homework", "tasks")]


def rated(day: float, *, trust_like: float = 9.0) -> Happening:
    return day, srs(9, 9, 9, trust_like)


STEADY: Final[list[Happening]] = [(0, opened()), *((float(n), srs(9, 9, 9, 9)) for n in range(1, 6))]


def test_a_steady_rating_after_a_session_since_repairs_and_one_before_it_does_not() -> None:
    said = (*STEADY, (8, NEGATIVE))
    assert open_after(*said, rated(9)) == [("feedback", "trust")]
    assert closed(*said, (14, Attended()), rated(14.01)) == (14.01, "repaired")


def test_a_session_that_was_under_way_when_it_was_said_is_no_session_since() -> None:
    during = (*STEADY, (7.99, NEGATIVE), (8, Attended()), rated(8.01))
    assert open_after(*during) == [("feedback", "trust")]
    assert closed(*during, (15, Attended()), rated(15.01)) == (15.01, "repaired")


@pytest.mark.parametrize(
    "rating",
    [srs(10, 10, 10, 10), srs(9, 9, 9, 5), srs(8.9, 8.9, 8.9, 8.0)],
    ids=["perfect, which may be politeness", "fallen", "below the published cut-off"],
)
def test_a_rating_that_is_not_honestly_steady_repairs_nothing(rating: Data) -> None:
    told = (*STEADY, (8, NEGATIVE), (14, Attended()), (14.01, rating))
    assert ("feedback", "trust") in open_after(*told)


def test_of_a_pillar_that_is_rated_its_own_rating_counts() -> None:
    bond = (*STEADY, (8, Feedback(pillar="bond", sentiment="negative")), (14, Attended()))
    assert open_after(*bond, (14.01, srs(10, 10, 8, 9.5))) == [("feedback", "bond")]  # the sum is as ever
    assert closed(*bond, (14.01, srs(9, 9, 9, 9))) == (14.01, "repaired")


def test_no_rating_repairs_a_complaint_or_a_break() -> None:
    told = (*STEADY, (8, COMPLAINT), (8, ClinicianChange(clinician_id="c-2", reason="absence")), (14, Attended()))
    assert open_after(*told, rated(14.01)) == [("complaint", None), ("break", "consistency")]


# ── answered ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("outcome", "answers"), [("same", True), ("unknown", True), ("worse", False)])
def test_an_attempt_at_repair_answers_and_the_next_session_closes_unless_it_went_worse(
    outcome: Any, answers: bool
) -> None:
    tried = (*VOICED, (9, RepairAttempt(pillar="trust", outcome=outcome)))
    assert open_after(*tried) == [("feedback", "trust")]
    if answers:
        assert closed(*tried, (14, Attended())) == (14, "answered")
    else:
        assert open_after(*tried, (14, Attended())) == [("feedback", "trust")]


def test_an_attempt_that_went_worse_takes_an_earlier_answer_back() -> None:
    tried = (*VOICED, (9, RepairAttempt(outcome="same")), (10, RepairAttempt(outcome="worse")))
    assert open_after(*tried, (14, Attended())) == [("feedback", "trust")]


@pytest.mark.parametrize("action", get_args(Action))
def test_an_answer_to_an_alert_answers_where_it_announces_an_act(action: Any) -> None:
    answered = (*VOICED, (9, Actioned(alert_id="al-1", action=action, by="c-1")))
    if action in ACTING:
        assert closed(*answered, (14, Attended())) == (14, "answered")
    else:
        assert open_after(*answered, (14, Attended())) == [("feedback", "trust")]


@pytest.mark.parametrize("reason", get_args(DismissReason))
def test_a_dismissed_alert_answers_where_it_was_talked_about(reason: Any) -> None:
    answered = (*VOICED, (9, Actioned(alert_id="al-1", action="dismissed", by="c-1", reason=reason)))
    if reason in TALKED:
        assert closed(*answered, (14, Attended())) == (14, "answered")
    else:
        assert open_after(*answered, (14, Attended())) == [("feedback", "trust")]


def test_an_answer_before_it_was_said_answers_nothing() -> None:
    told: list[Happening] = [(0, opened()), (7, Actioned(alert_id="al-1", action="repair_planned", by="c-1"))]
    assert open_after(*told, (8, NEGATIVE), (14, Attended())) == [("feedback", "trust")]


def test_the_rating_after_a_session_that_closed_it_as_answered_changes_nothing() -> None:
    tried = (*STEADY, (8, NEGATIVE), (9, RepairAttempt(pillar="trust")))
    assert closed(*tried, (14, Attended()), rated(14.01)) == (14, "answered")


# ── passed ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_nobody_came_back_to_passes_with_the_third_session() -> None:
    assert open_after(*VOICED, *weekly(2, first=14)) == [("feedback", "trust")]
    assert closed(*VOICED, *weekly(3, first=14)) == (28, "passed")


def test_visits_that_are_no_sessions_are_not_waited() -> None:
    visits: list[Happening] = [(14 + n, Attended(purpose="administrative")) for n in range(5)]
    assert open_after(*VOICED, *visits) == [("feedback", "trust")]


def test_repaired_and_answered_count_as_the_alliance_at_work_and_passed_does_not() -> None:
    for more, counted in (
        ([(9, POSITIVE)], 1),
        ([(9, RepairAttempt(outcome="same")), (14, Attended())], 1),
        (weekly(3, first=14), 0),
        ([], 0),
    ):
        assert concerns(*VOICED, *more).repaired == counted
