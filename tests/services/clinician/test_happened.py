"""What the timeline says of an event, in English and German."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from keepwell.care.instruments import Instruments
from keepwell.contract import events as ev
from keepwell.contract.retold import retold
from keepwell.contract.say import render
from keepwell.testing.made_up import made_up_clinic
from services.clinician.happened import happened
from tests.strategies import make

INTERPRET = partial(Instruments().get, "north")


@pytest.mark.parametrize(
    ("data", "english", "german"),
    [
        (ev.Measured(instrument="PHQ-9", scores={"total": 12.0}), "PHQ-9 12 of 27", "PHQ-9 12 von 27"),
        (ev.Measured(instrument="X-1", scores={"total": 12.0}), "X-1", "X-1"),
        (ev.Measured(instrument="WAI-SR", scores={"total": 40.5}, rater="clinician"),
         "WAI-SR 40.5 of 60, rated by the clinician", None),
        (ev.Attended(modality="video", minutes_late=12.4, duration_minutes=38), "By video, began 12 minutes late, 38 minutes",
         None),
        (ev.Attended(), None, None),
        (ev.Cancelled(appointment_id="a", initiator="clinic", reason="illness"), "By the clinic, ill", None),
        (ev.Missed(appointment_id="a"), "did not come, and gave no reason", None),
        (ev.Feedback(pillar="trust", sentiment="negative", wants_change="clinician"),
         "Feeling safe to speak: is not going well; wishes for another clinician", None),
        (ev.HomeworkReview(completion=0.3), "some of it was done", "einiges wurde gemacht"),
        (ev.Contact(direction="outbound", channel="phone", reached=False), "To the client, telephone, not reached", None),
        (ev.Ended(reason="improved"), "ended because it goes well", None),
        (ev.Opened(client_id="p", clinician_id="c", planned_sessions=1), "1 session planned", "1 Sitzung geplant"),
    ],
)  # fmt: skip
def test_an_event_says_what_its_kind_does_not(data: ev.Data, english: str | None, german: str | None) -> None:
    told = happened(make(data, 0, "e-1"), INTERPRET)
    assert (None if told is None else render(told)) == english
    if told is not None:
        assert retold(render(told), "de") == render(told, "de")
        assert german is None or render(told, "de") == german


def test_every_event_of_a_made_up_clinic_is_told_and_no_pseudonym_but_a_clinicians_is_named() -> None:
    found: set[type] = set()
    for event in made_up_clinic(40, 2, datetime(2026, 1, 5, tzinfo=UTC), 120):
        told = happened(event, INTERPRET)  # type: ignore[arg-type]  # none is a tick
        found.add(type(event))
        if told is not None:
            assert event.subject not in render(told) and event.id not in render(told)
    assert len(found) > 12
