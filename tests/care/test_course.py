"""The course takes every kind of entry that an episode remembers."""

from __future__ import annotations

from typing import Any, get_args

from keepwell.care.course import TAKES
from keepwell.care.history import AnyEntry, End, Measure, Retraction
from keepwell.contract.events import Actioned, Attended, Retracted, Skipped
from tests.episodes import Happening, lived, measured, on, opened, story, weekly
from tests.strategies import DAY, moment


def test_every_kind_of_entry_adds_to_the_course_but_the_three_that_are_apart() -> None:
    assert set(TAKES) == set(get_args(AnyEntry)) - {End, Measure, Retraction}


def test_a_long_course_holds_no_more_of_its_sessions_than_the_last_eight_weeks() -> None:
    assert lived(story(*weekly(60))).course.lately == [on(7.0 * week) for week in range(53, 61)]


# ── rest that a clinician asked for ─────────────────────────────────────────────────────────────────────


def answer(day: float, action: Any = "snoozed", until: float | None = None, alert: str = "al-1") -> Happening:
    end = None if until is None else moment(round(until * DAY))
    return day, Actioned(alert_id=alert, action=action, by="c-1", until=end)


def rests(*happenings: Happening) -> dict[str, float]:
    """By alert, the day on which its rest ends."""
    return {name: (at - on(0)) / DAY for name, at in lived(story(*happenings)).course.snoozed_until.items()}


def test_a_rest_without_an_end_ends_with_the_next_session_and_after_thirty_days_at_the_latest() -> None:
    assert rests(answer(3)) == {"al-1": 33}
    assert rests(answer(3), (7, Attended())) == {"al-1": 7}
    assert rests(answer(3), *weekly(3)) == {"al-1": 7}  # the next one, not the last
    assert rests(answer(3), (40, Attended())) == {"al-1": 33}


def test_a_session_before_the_rest_began_does_not_end_it() -> None:
    assert rests((2, Attended()), answer(3)) == {"al-1": 33}


def test_a_visit_that_is_no_session_does_not_end_a_rest() -> None:
    assert rests(answer(3), (7, Attended(purpose="administrative"))) == {"al-1": 33}


def test_a_stated_end_holds_whatever_sessions_there_are_but_for_no_more_than_thirty_days() -> None:
    assert rests(answer(3, until=20), (7, Attended())) == {"al-1": 20}
    assert rests(answer(3, until=90), (7, Attended())) == {"al-1": 33}


def test_each_alert_rests_for_itself_and_the_newest_answer_counts() -> None:
    both = (answer(3), answer(4, until=20, alert="al-2"))
    assert rests(*both, (7, Attended())) == {"al-1": 7, "al-2": 20}
    assert rests(*both, answer(5, until=9)) == {"al-1": 9, "al-2": 20}
    assert rests(*both, answer(5, until=9), (7, Attended())) == {"al-1": 9, "al-2": 20}
    assert rests(*both, answer(5, "acknowledged"), (7, Attended())) == {"al-2": 20}


def test_an_answer_that_came_late_rests_from_when_it_was_given() -> None:
    late = [*story((7, Attended())), *story(answer(3), source="/north/keepwell")]
    assert lived(late).course.snoozed_until == {"al-1": on(7)}


# ── questionnaires left out ─────────────────────────────────────────────────────────────────────────────


def test_questionnaires_are_left_out_from_the_third_in_a_row_until_one_is_filled_in() -> None:
    left_out: list[Happening] = [(0, opened()), *((float(day), Skipped(instrument="SRS")) for day in range(1, 6))]
    since = [lived(story(*left_out[:n])).course.skipping_since for n in range(1, 7)]
    assert since == [None, None, None, on(3), on(3), on(3)]
    assert lived(story(*left_out, (9, measured("SRS", 38)))).course.skipping_since is None
    again: list[Happening] = [(10.0 + n, Skipped(instrument="SRS")) for n in range(3)]
    assert lived(story(*left_out, (9, measured("SRS", 38)), *again)).course.skipping_since == on(12)
    assert lived(story(*left_out[:4], (9, Retracted(event_id="e-3")))).course.skipping_since is None
