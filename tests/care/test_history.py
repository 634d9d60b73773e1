"""What an episode remembers: one kind of entry for each type of event, and histories of versions before."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from keepwell.care.history import RANK, AlertAnswer, AnyEntry, Repair, entry_of
from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES, Actioned, ClientErased, RepairAttempt
from keepwell.contract.words import DismissReason, Pillar
from tests.strategies import make

REMEMBERED = {cls for name, cls in EVENT_TYPES.items() if name not in CONTROL_TYPES} - {ClientErased}

_decoder = msgspec.msgpack.Decoder(AnyEntry)


def test_every_type_of_event_has_one_kind_of_entry_and_every_kind_its_type() -> None:
    assert set(RANK) == REMEMBERED | {ClientErased}
    assert len(get_args(AnyEntry)) == len(REMEMBERED)


def test_ranks_differ_and_leave_none_out_so_that_the_order_of_a_history_is_total() -> None:
    assert sorted(RANK.values()) == list(range(len(RANK)))
    assert RANK[ClientErased] == max(RANK.values())


@pytest.mark.parametrize("reason", [None, *get_args(DismissReason)])
def test_an_answer_remembers_why_an_alert_was_dismissed(reason: str | None) -> None:
    data = Actioned(alert_id="al-1", action="dismissed", by="c-1", reason=reason)  # type: ignore[arg-type]  # a word
    entry = entry_of(make(data, 0, "e-1"), 0)
    assert isinstance(entry, AlertAnswer)
    assert entry.reason == reason
    assert _decoder.decode(msgspec.msgpack.encode(entry)) == entry


def test_an_answer_of_a_history_from_before_reasons_is_read_as_one_without() -> None:
    before = msgspec.msgpack.encode([16, 5, "e-1", 0, None, "al-1", "dismissed", None])
    assert _decoder.decode(before) == AlertAnswer(5, "e-1", 0, None, "al-1", "dismissed", None, None)


@pytest.mark.parametrize("pillar", get_args(Pillar))
def test_a_repair_remembers_its_pillar(pillar: str) -> None:
    entry = entry_of(make(RepairAttempt(pillar=pillar), 0, "e-1"), 0)  # type: ignore[arg-type]  # a word
    assert isinstance(entry, Repair)
    assert entry.pillar == pillar
