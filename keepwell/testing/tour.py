"""Three made-up clients for the demo, each with one thing to look at: a strain, an absence, a course that may end well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from keepwell.contract.events import (
    AppointmentBooked,
    AppointmentMissed,
    Attended,
    Booked,
    EpisodeOpened,
    Event,
    Feedback,
    FeedbackGiven,
    MeasureCompleted,
    Measured,
    Missed,
    Opened,
    SessionAttended,
)
from keepwell.testing.made_up import BOOKING, MEASURES, NOTES

CLINICIAN: Final = "c-1"
"""Whose clients the three are."""
STRAIN: Final = "tour-1"
ABSENCE: Final = "tour-2"
ENDING: Final = "tour-3"
TOUR: Final = (STRAIN, ABSENCE, ENDING)


def tour(until: datetime) -> list[Event]:
    """The events of the three, in order of time, up to `until` (aware)."""
    found = [*_strain(until), *_absence(until), *_ending(until)]
    return sorted((event for event in found if event.time <= until), key=lambda event: event.time)


def _strain(until: datetime) -> Iterator[Event]:
    told = _Told(STRAIN)
    last = until - timedelta(hours=9)
    yield told.opened(
        last - timedelta(days=45), Opened(client_id="p-tour-1", clinician_id=CLINICIAN, planned_sessions=16)
    )
    for week in range(6, -1, -1):
        at = last - timedelta(weeks=week)
        bond = 4.5 if week == 0 else 9.0
        srs = {"goals": 9.0, "tasks": 8.5, "bond": bond, "overall": 9.0}
        yield from told.session(at, {"SRS": srs, "ORS": {"total": 22.0 - week}})
    yield FeedbackGiven(
        **told.head(last + timedelta(hours=1), NOTES), data=Feedback(pillar="trust", sentiment="negative")
    )
    yield told.booked(last + timedelta(hours=1), until + timedelta(days=1, hours=15))


def _absence(until: datetime) -> Iterator[Event]:
    told = _Told(ABSENCE)
    last = until - timedelta(days=20, hours=8)
    yield told.opened(
        last - timedelta(days=17), Opened(client_id="p-tour-2", clinician_id=CLINICIAN, planned_sessions=12)
    )
    for week, rated in ((1, 8.5), (0, 6.0)):
        scores = {"SRS": {"goals": rated, "tasks": rated, "bond": rated, "overall": rated}, "ORS": {"total": 15.0}}
        yield from told.session(last - timedelta(weeks=week), scores)
    for week in (1, 2):
        visit = told.booked(last + timedelta(weeks=week - 1, hours=1), last + timedelta(weeks=week))
        yield visit
        data = Missed(appointment_id=visit.data.appointment_id, reason="no_show")
        yield AppointmentMissed(**told.head(last + timedelta(weeks=week, hours=1), BOOKING), data=data)


def _ending(until: datetime) -> Iterator[Event]:
    told = _Told(ENDING)
    last = until - timedelta(hours=13)
    yield told.opened(
        last - timedelta(days=80), Opened(client_id="p-tour-3", clinician_id=CLINICIAN, planned_sessions=12)
    )
    for week in range(10, -1, -1):
        ors = min(36.0, 16.0 + 2.2 * (10 - week))
        rated = {"SRS": {"goals": 9.5, "tasks": 9.0, "bond": 9.5, "overall": 9.5}, "ORS": {"total": ors}}
        yield from told.session(last - timedelta(weeks=week), rated)
    yield told.booked(last + timedelta(hours=1), until + timedelta(days=6, hours=10))


class _Told:
    """Tells one client's events, each with an id of its own."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._number = 0

    def head(self, at: datetime, source: str) -> dict[str, Any]:
        self._number += 1
        name = f"{self._subject}-{self._number}"
        return {"specversion": "1.0", "id": name, "source": source, "subject": self._subject, "time": at}

    def opened(self, at: datetime, data: Opened) -> Event:
        return EpisodeOpened(**self.head(at, BOOKING), data=data)

    def booked(self, at: datetime, starts: datetime) -> AppointmentBooked:
        head = self.head(at, BOOKING)
        return AppointmentBooked(**head, data=Booked(appointment_id=f"a-{head['id']}", starts_at=starts))

    def session(self, at: datetime, rated: dict[str, dict[str, float]]) -> Iterator[Event]:
        """A session that was booked a week before, with what was rated in it."""
        booked = self.booked(at - timedelta(days=6, hours=23), at)
        yield booked
        yield SessionAttended(
            **self.head(at, BOOKING), data=Attended(appointment_id=booked.data.appointment_id, duration_minutes=50)
        )
        for instrument, scores in rated.items():
            data = Measured(instrument=instrument, scores=scores)
            yield MeasureCompleted(**self.head(at + timedelta(minutes=50), MEASURES), data=data)
