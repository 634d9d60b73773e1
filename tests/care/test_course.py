"""The course takes every kind of entry that an episode remembers."""

from __future__ import annotations

from typing import get_args

from keepwell.care.course import TAKES
from keepwell.care.history import AnyEntry, End, Measure, Retraction
from tests.episodes import lived, on, story, weekly


def test_every_kind_of_entry_adds_to_the_course_but_the_three_that_are_apart() -> None:
    assert set(TAKES) == set(get_args(AnyEntry)) - {End, Measure, Retraction}


def test_a_long_course_holds_no_more_of_its_sessions_than_the_last_eight_weeks() -> None:
    assert lived(story(*weekly(60))).course.lately == [on(7.0 * week) for week in range(53, 61)]
