"""Ratings and scores are told as they were given, beside what is usual for this person."""

from __future__ import annotations

import pytest

from keepwell.care.course import Course
from keepwell.contract.say import Language, render
from keepwell.scoring.features.in_scale import (
    InTerms,
    at_first,
    below_usual,
    beside_best,
    beside_cutoff,
    in_first_sessions,
    lowest_pillar,
    lowest_rating,
    rating,
    since_last,
    since_start,
)
from tests.episodes import INTERPRET, Happening, lived, measured, srs, story


def course_of(*happenings: Happening) -> Course:
    return lived(story(*happenings)).course


def told_of(tell: InTerms, course: Course, language: Language = "en") -> str | None:
    found = tell(course)
    return None if found is None else render(found, language)


def test_a_rating_is_told_in_the_instruments_own_scale() -> None:
    course = course_of((1, srs(9, 9, 4.5, 9)))
    assert told_of(rating("total"), course) == "SRS 31.5 of 40 at the first rating"
    assert told_of(rating("bond"), course) == told_of(lowest_pillar, course) == "SRS bond 4.5 of 10 at the first rating"
    other = course_of((1, measured("WAI-SR", goals=10, tasks=16, bond=20)))
    assert told_of(rating("goals"), other) == "WAI-SR goals 10 of 20 at the first rating"


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (5.0, "SRS bond 5 of 10; usually about 9"),
        (8.5, "SRS bond 8.5 of 10; usually about 9"),
        (8.6, "SRS bond 8.6 of 10, about as usual for this person"),
        (9.4, "SRS bond 9.4 of 10, about as usual for this person"),
        (10.0, "SRS bond 10 of 10; usually about 9"),
    ],
)
def test_it_stands_beside_what_is_usual_and_a_trifle_is_no_difference(then: float, told: str) -> None:
    course = course_of((1, srs(9, 9, 9, 9)), (8, srs(9, 9, 9, 9)), (15, srs(9, 9, then, 9)))
    assert told_of(rating("bond"), course) == told


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (5.0, "SRS bond 5 of 10; usually about 9"),
        (8.5, "SRS bond 8.5 of 10; usually about 9"),
        (8.6, None),
        (10.0, None),
    ],
)
def test_a_fall_is_told_while_the_rating_lies_below_what_is_usual(then: float, told: str | None) -> None:
    course = course_of((1, srs(9, 9, 9, 9)), (8, srs(9, 9, 9, 9)), (15, srs(9, 9, then, 9)))
    assert told_of(below_usual("bond"), course) == told


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (18, 9, "PHQ-9 9 of 27, better than at the start (18)"),
        (18, 15.5, "PHQ-9 15.5 of 27, about the same as at the start (18)"),
        (18, 15, "PHQ-9 15 of 27, better than at the start (18)"),
        (9, 18, "PHQ-9 18 of 27, worse than at the start (9)"),
    ],
)
def test_nothing_below_half_a_reliable_change_is_called_better_or_worse(first: float, last: float, told: str) -> None:
    assert told_of(since_start, course_of((1, measured("PHQ-9", first)), (8, measured("PHQ-9", last)))) == told


def test_the_time_before_the_best_and_the_cut_off_stand_beside_it() -> None:
    course = course_of(*((day, measured("ORS", score)) for day, score in ((1, 15), (8, 27), (15, 20))))
    assert told_of(since_last, course) == "ORS 20 of 40, worse than the time before (27)"
    assert told_of(beside_best, course) == "ORS 20 of 40, worse than at its best (27)"
    assert told_of(beside_cutoff, course) == "ORS 20 of 40; the cut-off is 25"
    assert told_of(at_first, course) == "ORS 15 of 40 at the start; the cut-off is 25"


def test_of_what_was_not_measured_nothing_is_told() -> None:
    blank, once = Course(INTERPRET), course_of((1, measured("ORS", 15)))
    tells = (rating("total"), rating("bond"), lowest_pillar, lowest_rating, in_first_sessions)
    for tell in (*tells, since_start, since_last, beside_best, beside_cutoff, at_first):
        assert tell(blank) is None
    assert since_start(once) is None and since_last(once) is None


def test_the_lowest_rating_stands_in_its_own_scale() -> None:
    course = course_of((1, srs(9, 9, 9, 9)), (8, srs(5, 5, 5.5, 5)), (15, srs(9, 9, 9, 9)))
    assert told_of(lowest_rating, course) == "SRS 20.5 of 40 at its lowest"


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (15, 22.5, "ORS better by 7.5 points after the first sessions"),
        (15, 17, "ORS about the same after the first sessions as at the start"),
        (15, 12, "ORS worse by 3 points after the first sessions"),
    ],
)
def test_the_first_sessions_are_told_in_points(first: float, then: float, told: str) -> None:
    assert told_of(in_first_sessions, course_of((1, measured("ORS", first)), (8, measured("ORS", then)))) == told


def test_another_language_has_its_own_decimal_mark_and_order() -> None:
    course = course_of((1, srs(9, 9, 8.5, 9)), (8, srs(9, 9, 4.5, 9)))
    assert told_of(rating("bond"), course, "de") == "SRS Bindung 4,5 von 10; üblich sind etwa 8,5"
