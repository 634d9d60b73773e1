"""The course takes every kind of entry that an episode remembers."""

from __future__ import annotations

from typing import get_args

from keepwell.care.course import TAKES
from keepwell.care.history import AnyEntry, End, Measure, Retraction


def test_every_kind_of_entry_adds_to_the_course_but_the_three_that_are_apart() -> None:
    assert set(TAKES) == set(get_args(AnyEntry)) - {End, Measure, Retraction}
