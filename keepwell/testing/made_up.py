"""A made-up clinic: plausible courses of therapy as events, for the demo, tests and benchmarks.

Its rates are round numbers, chosen so that every kind of event and every ending occurs; they are not epidemiology. Nothing
about real people or about how well Keepwell foresees anything may be concluded from it: that takes the simulator of
`keepwell simulate`, whose rates come from the literature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import IO, Final, NamedTuple

from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentMissed,
    AppointmentRescheduled,
    Attended,
    Booked,
    Cancelled,
    ClientErased,
    ClinicianChange,
    ClinicianChanged,
    Contact,
    ContactMade,
    Data,
    Ended,
    EpisodeEnded,
    EpisodeOpened,
    Erased,
    Event,
    EventRetracted,
    Feedback,
    FeedbackGiven,
    HomeworkAssigned,
    HomeworkAssignment,
    HomeworkReview,
    HomeworkReviewed,
    MeasureCompleted,
    Measured,
    MeasureSkipped,
    Missed,
    Opened,
    RepairAttempt,
    RepairAttempted,
    Rescheduled,
    Retracted,
    RuptureNote,
    RuptureNoted,
    SessionAttended,
    Skipped,
    encode,
    micros,
)
from keepwell.contract.words import ALLIANCE_PILLARS, EndReason, Modality, Purpose

CLINIC: Final = "north"
BOOKING: Final = f"/{CLINIC}/booking"
NOTES: Final = f"/{CLINIC}/notes"
MEASURES: Final = f"/{CLINIC}/measures"

_MINUTE = 60_000_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def made_up_clinic(episodes: int, seed: int, start: datetime, days: int) -> Iterator[Event]:
    """The events of a clinic in order of time, from `start` (with offset) on for so many days.

    The episodes open evenly over the period, so the last are still open when it ends. The same arguments give the same
    events. Memory grows with the episodes open at a time, not with all.

    >>> first = next(made_up_clinic(3, 1, datetime(2026, 1, 5, tzinfo=UTC), 90))
    >>> first.type, first.subject
    ('keepwell.episode.opened.v1', 'ep-1')
    """
    rng = Random(seed)
    begin, end = micros(start), micros(start) + days * _DAY
    openings = sorted(rng.randrange(begin, end) for _ in range(episodes))
    waiting: list[tuple[int, int, Event]] = []
    pushed = 0
    for number, opening in enumerate(openings, 1):
        while waiting and waiting[0][0] < opening:
            yield heappop(waiting)[2]
        for at, event in _Course(rng, number).run(opening, end):
            if at < end:
                pushed += 1
                heappush(waiting, (at, pushed, event))
    while waiting:
        yield heappop(waiting)[2]


def to_jsonl(events: Iterable[Event], out: IO[bytes]) -> int:
    """Writes events as JSON lines, as `keepwell replay` reads them. Returns how many."""
    count = 0
    for event in events:
        out.write(encode(event) + b"\n")
        count += 1
    return count


class _Visit(NamedTuple):
    id: str
    starts: int
    since: int
    """When it was booked or last moved."""


class _Course:
    """One course of therapy, told as events while it is lived."""

    def __init__(self, rng: Random, number: int) -> None:
        self._rng = rng
        self._number = number
        self._subject = f"ep-{number}"
        self._told: list[tuple[int, Event]] = []
        self._visits = 0
        self._sessions = 0
        self._clinician = f"c-{rng.randrange(12) + 1}"
        self._planned = rng.randint(6, 20)
        self._modality: Modality = "video" if rng.random() < 0.3 else "in_person"
        self._instrument = "PHQ-9" if rng.random() < 0.6 else "ORS"
        self._distress = rng.uniform(0.4, 0.85)
        """From 0 (well) to 1."""
        self._pace = rng.gauss(0.035, 0.03)
        """How much of the distress a session takes away."""
        self._alliance = [rng.gauss(8.8, 0.6) for _ in ALLIANCE_PILLARS]
        self._rupture: int | None = None
        """Which pillar is ruptured, while one is."""
        self._homework = False

    def run(self, opening: int, end: int) -> list[tuple[int, Event]]:
        """The events of the course, each with its time, in no order; some may lie after `end`."""
        self._open(opening)
        visit: _Visit | None = self._book(opening + 10 * _MINUTE, self._slot(opening, 3, 12), "intake")
        while visit is not None and visit.starts < end:
            visit = self._week(visit)
        return self._told

    def _week(self, visit: _Visit) -> _Visit | None:
        """What becomes of a visit. Returns the next one booked; None where the course is over."""
        if self._chance(0.05):
            visit = self._move(visit)
        if self._chance(0.025 + 0.025 * (self._sessions < 4) + 0.12 * (self._rupture is not None)):
            return self._leave(visit)
        if self._chance(0.07 + 0.15 * (self._rupture is not None)):
            return self._book(self._lose(visit) + _DAY, visit.starts + 7 * _DAY)
        if self._chance(0.01):  # it may have taken place, and nobody recorded anything
            return self._book(visit.starts + 2 * _DAY, visit.starts + 7 * _DAY)
        at = self._attend(visit)
        if self._sessions >= self._planned:
            self._end(at, "planned")
            return None
        if self._sessions > 4 and self._distress < 0.15 and self._chance(0.4):
            self._end(at, "improved")
            return None
        if self._chance(0.006):
            self._end(at, self._rng.choice(("transferred", "transferred", "administrative", "deceased", "other")))
            return None
        if self._chance(0.03):
            other = self._book(at, visit.starts + 5 * _DAY, self._rng.choice(("assessment", "administrative")))
            self._tell(SessionAttended, NOTES, other.starts + _HOUR, Attended(appointment_id=other.id))
        return self._book(
            at + 5 * _MINUTE, visit.starts + 7 * _DAY, "review" if self._sessions % 6 == 5 else "treatment"
        )

    # ── the visit ───────────────────────────────────────────────────────────────────────────────────────

    def _open(self, at: int) -> None:
        rng = self._rng
        data = Opened(
            client_id=f"p-{self._number}", clinician_id=self._clinician, modality=self._modality,
            planned_sessions=self._planned, referral=rng.choice(("self", "primary_care", "specialist")),
            preference_met=rng.random() < 0.8, previous_episodes=rng.choice((0, 0, 0, 1, 2)),
            fairness={"age_band": rng.choice(("18-24", "25-44", "45-64", "65+"))},
        )  # fmt: skip
        self._tell(EpisodeOpened, BOOKING, at, data)

    def _book(self, at: int, starts: int, purpose: Purpose = "treatment") -> _Visit:
        self._visits += 1
        visit = _Visit(f"a-{self._number}-{self._visits}", starts, at)
        data = Booked(appointment_id=visit.id, starts_at=_moment(starts), modality=self._modality, purpose=purpose)
        self._tell(AppointmentBooked, BOOKING, at, data)
        return visit

    def _move(self, visit: _Visit) -> _Visit:
        starts = visit.starts + self._rng.randint(1, 3) * _DAY
        data = Rescheduled(
            appointment_id=visit.id,
            starts_at=_moment(starts),
            initiator=self._rng.choice(("client", "client", "clinician", "clinic")),
        )
        at = max(visit.since + _MINUTE, visit.starts - 30 * _HOUR)
        self._tell(AppointmentRescheduled, BOOKING, at, data)
        return _Visit(visit.id, starts, at)

    def _lose(self, visit: _Visit) -> int:
        """Told as missed or called off, late or in good time. Returns when that was."""
        if self._chance(0.5):
            at = visit.starts + 20 * _MINUTE
            missed = self._tell(AppointmentMissed, BOOKING, at, Missed(appointment_id=visit.id))
            if self._chance(0.05):
                self._tell(EventRetracted, BOOKING, at + _HOUR, Retracted(event_id=missed))
            self._call(at + _HOUR)
            return at
        at = max(visit.since + _MINUTE, visit.starts - self._rng.choice((3, 20, 50, 100)) * _HOUR)
        by_clinic = self._rupture is None and self._chance(0.25)
        data = Cancelled(
            appointment_id=visit.id,
            initiator="clinic" if by_clinic else "client",
            reason="technical" if by_clinic else self._rng.choice(("illness", "work", "family", "unknown")),
        )
        self._tell(AppointmentCancelled, BOOKING, at, data)
        return at

    def _call(self, at: int) -> None:
        reached = self._chance(0.3 if self._rupture is not None else 0.7)
        self._tell(
            ContactMade,
            BOOKING,
            at,
            Contact(direction="outbound", channel="phone", purpose="outreach", reached=reached),
        )

    def _attend(self, visit: _Visit) -> int:
        """A session with all that comes of it. Returns when it ended."""
        rng = self._rng
        self._sessions += 1
        at = visit.starts + 50 * _MINUTE
        self._distress = min(1.0, max(0.02, self._distress - self._pace + rng.gauss(0, 0.04)))
        self._ally(at)
        self._rate_outcome(visit.starts - 5 * _MINUTE)
        data = Attended(
            appointment_id=visit.id, started_at=_moment(visit.starts), duration_minutes=50, modality=self._modality,
            minutes_late=float(rng.choice((0, 0, 0, 3, 10))), clinician_id=self._clinician,
        )  # fmt: skip
        self._tell(SessionAttended, NOTES, at, data)
        self._rate_alliance(at + _MINUTE)
        self._work(at + 2 * _MINUTE)
        if self._chance(0.01):
            self._clinician = f"c-{rng.randrange(12) + 1}"
            self._alliance[2] -= 1
            change = ClinicianChange(
                clinician_id=self._clinician, reason=rng.choice(("absence", "service", "client_request", "other"))
            )
            self._tell(ClinicianChanged, BOOKING, at + _DAY, change)
        return at

    # ── what is said and done ───────────────────────────────────────────────────────────────────────────

    def _ally(self, at: int) -> None:
        """The alliance grows a little, breaks, or is mended."""
        rng = self._rng
        if self._rupture is None:
            self._alliance = [min(10.0, level + 0.05) for level in self._alliance]
            if rng.random() < 0.06:
                self._rupture = rng.randrange(3)
                self._alliance[self._rupture] -= rng.uniform(2, 4)
                if rng.random() < 0.4:
                    noted = RuptureNote(
                        kind="withdrawal" if rng.random() < 0.7 else "confrontation",
                        pillar=ALLIANCE_PILLARS[self._rupture],
                    )
                    self._tell(RuptureNoted, NOTES, at + 10 * _MINUTE, noted)
        elif rng.random() < 0.45:
            better = rng.random() < 0.7
            repair = RepairAttempt(pillar=ALLIANCE_PILLARS[self._rupture], outcome="better" if better else "same")
            self._tell(RepairAttempted, NOTES, at + 10 * _MINUTE, repair)
            if rng.random() < 0.3:
                answer = Actioned(alert_id=f"al-{self._number}", action="repair_planned", by=self._clinician)
                self._tell(AlertActioned, NOTES, at - 2 * _HOUR, answer)
            if better:
                self._alliance[self._rupture] += 2.5
                self._rupture = None

    def _rate_outcome(self, at: int) -> None:
        if self._skips(at, self._instrument):
            return
        if self._instrument == "ORS":
            scores = {"total": round(40 * (1 - self._distress), 1)}
            self._tell(MeasureCompleted, MEASURES, at, Measured(instrument="ORS", scores=scores))
            return
        total = round(27 * self._distress)
        safety = float(self._distress > 0.7 and self._chance(0.2))
        data = Measured(instrument="PHQ-9", scores={"total": float(total)}, safety_item=safety)
        first = self._tell(MeasureCompleted, MEASURES, at, data)
        if self._chance(0.01):  # a slip when it was typed in
            data = Measured(instrument="PHQ-9", scores={"total": float(max(0, total - 1))}, safety_item=safety)
            self._tell(MeasureCompleted, MEASURES, at + _MINUTE, data, corrects=first)

    def _rate_alliance(self, at: int) -> None:
        if self._skips(at, "SRS"):
            return
        gauss = self._rng.gauss
        goals, tasks, bond = (max(0.0, min(10.0, round(level + gauss(0, 0.4), 1))) for level in self._alliance)
        overall = round((goals + tasks + bond) / 3, 1)
        total = round(goals + tasks + bond + overall, 1)
        scores = {"total": total, "goals": goals, "tasks": tasks, "bond": bond, "overall": overall}
        self._tell(MeasureCompleted, MEASURES, at, Measured(instrument="SRS", scores=scores))

    def _skips(self, at: int, instrument: str) -> bool:
        if not self._chance(0.04 if self._rupture is None else 0.3):
            return False
        declined = self._rupture is not None and self._chance(0.5)
        data = Skipped(instrument=instrument, reason="declined" if declined else "unknown")
        self._tell(MeasureSkipped, MEASURES, at, data)
        return True

    def _work(self, at: int) -> None:
        """Homework looked at and agreed, and what the client says of the work."""
        rng = self._rng
        if self._homework:
            completion = rng.choice((0.0, 0.25)) if self._rupture is not None else rng.choice((0.5, 0.75, 1.0, 1.0))
            self._tell(HomeworkReviewed, NOTES, at, HomeworkReview(completion=completion))
        self._homework = rng.random() < 0.6
        if self._homework:
            self._tell(HomeworkAssigned, NOTES, at, HomeworkAssignment())
        if rng.random() < 0.08:
            pillar = rng.choice(ALLIANCE_PILLARS) if self._rupture is None else ALLIANCE_PILLARS[self._rupture]
            feedback = (
                Feedback(pillar=pillar, sentiment=rng.choice(("neutral", "positive", "positive")))
                if self._rupture is None
                else Feedback(pillar=pillar, sentiment="negative", wants_change=rng.choice(("none", "approach")))
            )
            self._tell(FeedbackGiven, MEASURES, at + _HOUR, feedback)

    # ── endings ─────────────────────────────────────────────────────────────────────────────────────────

    def _leave(self, visit: _Visit) -> _Visit | None:
        """The client stops without a word: the visit is lost, calls go unanswered. Some are closed, some return."""
        at = self._lose(visit)
        self._call(at + 7 * _DAY)
        if self._chance(0.3):
            mutual = True if self._chance(0.2) else None
            self._end(at + self._rng.randint(8, 45) * _DAY, "client_stopped", mutual)
        elif self._chance(0.2):
            at += self._rng.randint(40, 80) * _DAY
            self._tell(ContactMade, BOOKING, at, Contact(direction="inbound", channel="phone", purpose="other"))
            self._rupture = None
            return self._book(at + _MINUTE, self._slot(at, 4, 9))
        return None

    def _end(self, at: int, reason: EndReason, mutual: bool | None = None) -> None:
        self._tell(EpisodeEnded, BOOKING, at + 15 * _MINUTE, Ended(reason=reason, mutual=mutual))
        if self._chance(0.02):
            self._tell(ClientErased, BOOKING, at + 30 * _DAY, Erased(client_id=f"p-{self._number}"))

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, kind: Callable[..., Event], source: str, at: int, data: Data, corrects: str | None = None) -> str:
        """Notes an event and returns its id."""
        name = f"{self._number}-{len(self._told)}"
        event = kind(
            specversion="1.0", id=name, source=source, subject=self._subject, time=_moment(at), corrects=corrects,
            data=data,
        )  # fmt: skip
        self._told.append((at, event))
        return name

    def _chance(self, probability: float) -> bool:
        return self._rng.random() < probability

    def _slot(self, at: int, least: int, most: int) -> int:
        """The start of a visit some days later, at a full hour between 8 and 17 UTC."""
        return at - at % _DAY + self._rng.randint(least, most) * _DAY + self._rng.randint(8, 17) * _HOUR


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
