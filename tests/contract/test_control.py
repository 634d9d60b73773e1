"""The control events that Keepwell writes: what their identity follows from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from keepwell.contract.control import registration
from keepwell.contract.events import InstrumentRegistered, Registered, decode_accepted, encode

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
FACTS = Registered(
    name="MOOD-5", kind="outcome", lowest=0, highest=25, higher_is_better=True, cutoff=13, reliable_change=4
)


def test_a_registration_is_an_event_of_the_clinic_that_is_read_back_as_it_was_written() -> None:
    event = registration("north", FACTS, AT)
    assert (event.clinic, event.source, event.subject, event.time) == ("north", "/north/keepwell", "_instrument", AT)
    assert decode_accepted(encode(event)) == event
    assert isinstance(event, InstrumentRegistered)


def test_a_registration_repeated_is_the_same_event_and_one_of_other_facts_or_another_moment_is_another() -> None:
    other = msgspec.structs.replace(FACTS, cutoff=14)
    first = registration("north", FACTS, AT)
    assert registration("north", FACTS, AT).id == first.id
    assert registration("north", msgspec.structs.replace(FACTS, cutoff=13.0), AT).id == first.id
    assert registration("north", FACTS, AT.astimezone(tz=None)).id == first.id
    assert len({first.id, registration("north", other, AT).id, registration("north", FACTS, AT + timedelta(1)).id}) == 3
