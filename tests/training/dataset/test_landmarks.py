"""Every type of event of an episode has rows in the landmark table, or is left out by name."""

from __future__ import annotations

from keepwell.care.history import RANK as REMEMBERED
from training.dataset.landmarks import EVENT_KINDS, KINDS, NO_ROW


def test_every_type_has_rows_or_is_left_out_by_name() -> None:
    assert EVENT_KINDS.keys() | NO_ROW == REMEMBERED.keys()
    assert not EVENT_KINDS.keys() & NO_ROW


def test_every_kind_of_row_has_a_name_of_its_own() -> None:
    assert len(set(KINDS)) == len(KINDS)
