"""Tells what happens to simulated people as events of the contract. What is drawn here decides nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from math import isnan
from random import Random
from typing import Final, Literal

import numpy as np

from keepwell.contract import events as ev
from keepwell.contract.events import Data, Event, encode
from keepwell.contract.words import (
    ALLIANCE_PILLARS,
    PILLARS,
    EndReason,
    HandoverReason,
    Initiator,
    Modality,
    Pillar,
    Purpose,
    Rater,
)
from training.simulate import course
from training.simulate.calendars import enters_late, workday
from training.simulate.hazards import EARLY, LATE, NONE_BOOKED, REACHED, UNREACHED
from training.simulate.intake import Arrivals
from training.simulate.people import DAY, EPOCH, HOUR, Bools, Floats, Ints, People, Tables
from training.simulate.presets import World
from training.simulate.session import DONE, NOT_DUE, NOT_OFFERED, Said
from training.simulate.standing import MISSED_AFTER, hours, last_sign, passed_by
from training.simulate.voices import (
    CHANGED_BY_REQUEST,
    COMPLAINT_AT,
    FEEDBACK_AT,
    MET_AT,
    REPLY_AT,
    WISHES,
    Voiced,
)

OTHER_PILLARS: Final = PILLARS[len(ALLIANCE_PILLARS) :]
ENDS: Final[dict[int, tuple[EndReason, bool | None]]] = {
    course.PLANNED: ("planned", True), course.IMPROVED: ("improved", True), course.TRANSFERRED: ("transferred", None),
    course.ADMINISTRATIVE: ("administrative", None), course.MUTUAL: ("client_stopped", True),
    course.DECEASED: ("deceased", None),
}  # fmt: skip
WAI_SESSIONS: Final = frozenset((4, 9, 14, 19))
"""Sessions after which the WAI-SR is filled in before the SRS."""
LETTER: Final = 0.4
"""Chance of a letter to whom nothing was heard of for a week after a missed visit; ours."""


def moment(minutes: float) -> datetime:
    return EPOCH + timedelta(minutes=minutes)


class Teller:
    """Gathers the events of a world's people up to the cut. `lines` gives them in order of time.

    `clinic`: the name of the world's only clinic, `label`: what its ids begin with; without them its clinics are numbered.
    """

    def __init__(
        self, world: World, tables: Tables, cut: float, seed: int, *, clinic: str | None = None, label: str = ""
    ) -> None:
        self._world, self._tables, self._cut, self._rng = world, tables, cut, Random(seed)
        self._only, self._label = clinic, label
        self._ahead: defaultdict[int, list[tuple[str, float]]] = defaultdict(list)
        """By person, the visits that stand in the calendar after the next one, and their starts."""
        self._clinic: list[str] = []
        self._appointments: list[int] = []
        self._visits: list[str] = []
        self._modality: list[Modality] = []
        self._told: list[tuple[float, int, bytes]] = []

    def lines(self) -> Iterable[bytes]:
        return (line for _, line in self.timed())

    def timed(self) -> Iterable[tuple[float, bytes]]:
        """The same, each with its minute."""
        self._told.sort()
        return ((at, line) for at, _, line in self._told)

    def key(self, person: int) -> str:
        """The episode key."""
        return f"{self._clinic[person]}/ep-{self._label}{person}"

    # ── openings ────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, people: People, arrivals: Arrivals) -> None:
        n = len(people)
        self._clinic = [self._only or f"sim-{self._world.name}-{clinic + 1}" for clinic in people.clinic.tolist()]
        self._appointments, self._visits = [0] * n, [""] * n
        self._modality = arrivals.modality
        rows = zip(
            people.id.tolist(), arrivals.opened.tolist(), people.clinician.tolist(), people.planned.tolist(),
            arrivals.client.tolist(), arrivals.previous.tolist(), arrivals.referral, arrivals.modality,
            arrivals.met.tolist(), arrivals.fairness, strict=True,
        )  # fmt: skip
        for person, at, clinician, planned, client, previous, referral, modality, met, fairness in rows:
            data = ev.Opened(
                client_id=f"p-{self._label}{client}", clinician_id=self._who(clinician), service="simulated",
                modality=modality, planned_sessions=None if isnan(planned) else int(planned), referral=referral,
                preference_met=met if self._world.preference_told else None,
                previous_episodes=previous if self._world.previous_told else None, fairness=fairness,
            )  # fmt: skip
            self._tell(ev.EpisodeOpened, "booking", person, at, data)
        self._book(people, [True] * n, "intake")

    # ── visits ──────────────────────────────────────────────────────────────────────────────────────────

    def booked(self, people: People, rows: Bools) -> None:
        """The next visit, at the end of a session, and those that the clinic books ahead of it."""
        self._book(people, rows.tolist(), late=enters_late(people, self._world).tolist())
        if self._world.ahead:
            told = zip(
                people.id.tolist(), people.since.tolist(), people.starts.tolist(), people.rhythm.tolist(),
                people.clinician.tolist(), rows.tolist(), strict=True,
            )  # fmt: skip
            for person, at, starts, rhythm, clinician, wanted in told:
                if wanted:
                    self._book_ahead(person, at, starts=starts, rhythm=rhythm, clinician=clinician)

    def _book_ahead(self, person: int, at: float, *, starts: float, rhythm: float, clinician: int) -> None:
        """Fills the calendar after the next visit. What the next one has overtaken is moved behind it."""
        stand, self._ahead[person] = self._ahead[person], []
        before = starts
        while len(self._ahead[person]) < self._world.ahead:
            usual = float(workday(np.array(before + DAY * rhythm)))
            visit, begins = stand.pop(0) if stand else ("", usual)
            if not visit:
                visit = self._new_id(person)
                self._tell_booked(person, at, visit, begins, clinician=clinician)
            elif begins <= before:
                begins = usual
                self._tell_moved(person, at, visit, begins, "client")
            self._ahead[person].append((visit, begins))
            before = begins

    def _clear_ahead(self, person: int, at: float, initiator: Initiator) -> None:
        """What stands in the calendar is taken out of it."""
        for visit, _ in self._ahead.pop(person, []):
            gone = ev.Cancelled(appointment_id=visit, initiator=initiator, reason="other")
            self._tell(ev.AppointmentCancelled, "booking", person, at, gone)

    def rebooked(self, people: People, ways: Ints, rows: Bools, returned: Bools) -> None:
        """A visit booked after one was lost; where that is at once, the booking comes before the cancellation."""
        self._book(people, rows.tolist())
        for person, at, back in zip(people.id.tolist(), people.since.tolist(), (returned & rows).tolist(), strict=True):
            if back:
                contact = ev.Contact(direction="inbound", channel="phone")
                self._tell(ev.ContactMade, "booking", person, at - 1, contact)

    def _book(
        self, people: People, rows: list[bool], purpose: Purpose = "treatment", late: list[bool] | None = None
    ) -> None:
        told = zip(
            people.id.tolist(), people.since.tolist(), people.starts.tolist(), people.sessions.tolist(),
            people.clinician.tolist(), rows, late or [False] * len(rows), strict=True,
        )  # fmt: skip
        for person, since, starts, sessions, clinician, wanted, later in told:
            if not wanted:
                continue
            at = since + round((starts - since) * self._rng.uniform(*self._world.entered)) if later else since
            of = "intake" if not sessions else "review" if sessions % 6 == 5 else purpose
            self._next_visit(person, at, starts, clinician=clinician, purpose=of)

    def _next_visit(
        self, person: int, at: float, starts: float, *, clinician: int, purpose: Purpose, initiator: Initiator = "client"
    ) -> str:  # fmt: skip
        """The visit that comes next, booked, or moved (by `initiator`) where it stands in the calendar at another time."""
        stand = self._ahead[person] if self._world.ahead else []
        if stand:
            visit, begins = stand.pop(0)
            if begins != starts:
                self._tell_moved(person, at, visit, starts, initiator)
        else:
            visit = self._new_id(person)
            self._tell_booked(person, at, visit, starts, clinician=clinician, purpose=purpose)
        self._visits[person] = visit
        return visit

    def _tell_booked(
        self, person: int, at: float, visit: str, starts: float, *, clinician: int, purpose: Purpose = "treatment"
    ) -> None:  # fmt: skip
        data = ev.Booked(
            appointment_id=visit, starts_at=moment(starts), clinician_id=self._who(clinician),
            modality=self._modality[person], purpose=purpose,
        )  # fmt: skip
        self._tell(ev.AppointmentBooked, "booking", person, at, data)

    def _tell_moved(self, person: int, at: float, visit: str, starts: float, initiator: Initiator) -> None:
        data = ev.Rescheduled(appointment_id=visit, starts_at=moment(starts), initiator=initiator)
        self._tell(ev.AppointmentRescheduled, "booking", person, at, data)

    def moved(self, people: People, rows: Bools, at: Floats) -> None:
        for row in rows.nonzero()[0].tolist():
            person = int(people.id[row])
            self._tell_moved(person, at[row], self._visits[person], people.starts[row], "client")

    def clinic_cancelled(self, people: People, moves: Bools, at: Floats) -> None:
        """A visit that the clinic puts off, cancelled with another one booked, or moved."""
        cancelled = [self._visits[person] for person in people.id.tolist()]
        # Where visits stand ahead, the next of them takes the place of the one put off, unless it comes later.
        later = {
            person: self._ahead.pop(person)
            for person, starts in zip(people.id.tolist(), people.starts.tolist(), strict=True)
            if self._ahead[person] and self._ahead[person][0][1] > starts
        } if self._world.ahead else {}  # fmt: skip
        self._book(people, (~moves).tolist())
        self._ahead.update(later)
        rows = zip(people.id.tolist(), cancelled, at.tolist(), moves.tolist(), people.starts.tolist(), strict=True)
        for person, visit, when, moved, starts in rows:
            initiator: Initiator = "clinician" if self._rng.random() < 0.6 else "clinic"
            if moved:
                self._tell_moved(person, when, visit, starts, initiator)
                continue
            data = ev.Cancelled(appointment_id=visit, initiator=initiator, reason="illness")
            self._tell(ev.AppointmentCancelled, "booking", person, when + 1, data)

    def waited(self, people: People, ways: Ints, back_at: Floats, shut: Bools) -> None:
        """How a visit was lost, who was called, and which episodes of those who stopped the clinic closes."""
        rng = self._rng
        recorded = course.is_recorded(ways, self._world)
        silent_from = np.where(np.isnan(people.hour), people.lost_at, last_sign(people))
        rows = zip(
            people.id.tolist(), ways.tolist(), people.lost_at.tolist(), back_at.tolist(), shut.tolist(),
            silent_from.tolist(), recorded.tolist(), strict=True,
        )  # fmt: skip
        for person, way, at, back, closed, silent, is_recorded in rows:
            if way in (EARLY, LATE):
                reason: Literal["illness", "work", "family", "travel", "unknown"] = rng.choice(
                    ("illness", "work", "family", "travel", "unknown")
                )
                off = ev.Cancelled(appointment_id=self._visits[person], initiator="client", reason=reason)
                self._tell(ev.AppointmentCancelled, "booking", person, at + 1, off)
            elif is_recorded:
                missed = ev.Missed(
                    appointment_id=self._visits[person], reason="illness" if rng.random() < 0.12 else "no_show"
                )
                self._tell(ev.AppointmentMissed, "booking", person, at, missed)
            if way in (REACHED, UNREACHED):
                call = ev.Contact(direction="outbound", channel="phone", purpose="outreach", reached=way == REACHED)
                self._tell(ev.ContactMade, "booking", person, at + 2 * HOUR, call)
            if way not in (EARLY, LATE) and back > at + 7 * DAY and rng.random() < LETTER:
                letter = ev.Contact(direction="outbound", channel="letter", purpose="outreach")
                self._tell(ev.ContactMade, "booking", person, at + 7 * DAY, letter)
            if way == NONE_BOOKED:
                self._clear_ahead(person, at, "client")
            if closed:
                days = rng.randint(14, 45)
                self._tell(ev.EpisodeEnded, "booking", person, silent + days * DAY, ev.Ended(reason="client_stopped"))

    def kept(self, people: People, number: Ints) -> None:
        """The hours that were kept, each booked before the one before it is lost, or soon after. Those gone by are missed."""
        if self._world.ahead:
            for row in np.flatnonzero(np.isnan(people.hour)).tolist():
                self._clear_ahead(int(people.id[row]), people.lost_at[row] + 1, "clinic")
        passed = passed_by(people, number)
        count = np.maximum(number, passed)
        rows = np.flatnonzero(count > 0)
        told = zip(
            people.id[rows].tolist(), people.lost_at[rows].tolist(), people.clinician[rows].tolist(),
            hours(people)[rows].tolist(), count[rows].tolist(), passed[rows].tolist(),
            enters_late(people, self._world)[rows].tolist(), strict=True,
        )  # fmt: skip
        for person, lost_at, clinician, starts, booked, missed, later in told:
            at = lost_at
            for hour in range(1, booked + 1):
                entered = at + self._rng.randint(30, 240) if later else at - 1
                visit = self._next_visit(person, entered, starts[hour], clinician=clinician, purpose="treatment")
                at = starts[hour] + MISSED_AFTER
                if hour <= missed:
                    lost = ev.Missed(appointment_id=visit, reason="no_show")
                    self._tell(ev.AppointmentMissed, "booking", person, at, lost)

    # ── sessions ────────────────────────────────────────────────────────────────────────────────────────

    def attended(self, people: People, said: Said) -> None:
        """A session with all that was said; `people` as they are after it."""
        rng, world = self._rng, self._world
        stand_ins = [False] * len(people) if said.voiced is None else said.voiced.stand_in.tolist()
        instruments = self._tables.instruments
        rows = zip(
            people.id.tolist(), people.last.tolist(), people.sessions.tolist(), people.clinician.tolist(),
            people.late.tolist(), people.outcome.tolist(), said.outcome.tolist(), people.score.tolist(),
            said.alliance.tolist(), said.ratings.tolist(), stand_ins, strict=True,
        )  # fmt: skip
        for person, end, session, clinician, late, kind, outcome, score, alliance, ratings, stand_in in rows:
            visit = self._visits[person]
            name = instruments[kind].name
            safety = float(rng.random() < 0.15) if name == "PHQ-9" and score > 15 else None
            scores = {"total": round(score, 1)}
            self._measure(person, end - 55, outcome, instrument=name, visit=visit, scores=scores, safety=safety)
            data = ev.Attended(
                appointment_id=visit, started_at=moment(end - 50 + late), minutes_late=late, duration_minutes=50 - late,
                clinician_id=self._who(self._colleague(clinician) if stand_in else clinician),
                modality=self._modality[person],
            ) if world.arrival else ev.Attended(
                appointment_id=visit, clinician_id=self._who(self._colleague(clinician) if stand_in else clinician)
            )  # fmt: skip
            self._tell(ev.SessionAttended, "notes", person, end, data)
            if world.by_clinician and rng.random() < world.by_clinician:
                seen = self._wai([rating + rng.gauss(0, 0.8) for rating in ratings])
                by: Rater = "observer" if rng.random() < 0.1 else "clinician"
                self._measure(person, end + 3, DONE, instrument="WAI-SR", visit=visit, scores=seen, rater=by)
            if world.alliance == "WAI-SR":
                found = {name: round(4 + 1.6 * one) for name, one in zip(ALLIANCE_PILLARS, ratings, strict=True)}
                scores = {"total": sum(found.values())} | found
                self._measure(person, end + 2, alliance, instrument="WAI-SR", visit=visit, scores=scores)
                continue
            if world.alliance is None and session in WAI_SESSIONS and alliance == DONE:
                self._measure(person, end + 1, DONE, instrument="WAI-SR", visit=visit, scores=self._wai(ratings))
            goals, tasks, bond = ratings
            overall = round(sum(ratings) / 3, 1)
            scores = {"total": round(goals + tasks + bond + overall, 1), "goals": goals, "tasks": tasks, "bond": bond}
            self._measure(
                person, end + 2, alliance, instrument="SRS", visit=visit, scores=scores | {"overall": overall}
            )
        self._work(people, said)
        if said.voiced is not None:
            self._voiced(people, said.sentiment, said.voiced)

    def _work(self, people: People, said: Said) -> None:
        rng = self._rng
        rows = zip(
            people.id.tolist(), people.last.tolist(), people.homework.tolist(), said.kind.tolist(), said.pillar.tolist(),
            said.repair.tolist(), said.reviewed.tolist(), said.assigned.tolist(), said.sentiment.tolist(),
            said.wishes.tolist(), strict=True,
        )  # fmt: skip
        for person, last, done, kind, at_fault, repair, reviewed, assigned, sentiment, wishes in rows:
            end = last + self._world.notes_after
            pillar = ALLIANCE_PILLARS[at_fault]
            if repair != 9:
                went: Literal["worse", "same", "better"] = ("worse", "same", "better")[repair + 1]
                self._tell(ev.RepairAttempted, "notes", person, end + 3, ev.RepairAttempt(outcome=went))
            if reviewed:
                self._tell(ev.HomeworkReviewed, "notes", person, end + 4, ev.HomeworkReview(completion=done))
            if assigned:
                self._tell(ev.HomeworkAssigned, "notes", person, end + 5, ev.HomeworkAssignment())
            if kind:
                noted = ev.RuptureNote(kind="withdrawal" if kind == 1 else "confrontation", pillar=pillar)
                self._tell(ev.RuptureNoted, "notes", person, end + 6, noted)
            if sentiment != 9 and said.voiced is None:
                about: Pillar = pillar if rng.random() < 0.7 else rng.choice(OTHER_PILLARS)
                wish: Literal["approach", "clinician", "format"] = rng.choice(
                    ("approach", "approach", "clinician", "format")
                )
                feedback = ev.Feedback(
                    pillar=about, sentiment=("negative", "neutral", "positive")[sentiment + 1],
                    wants_change=wish if wishes else "none",
                )  # fmt: skip
                self._tell(ev.FeedbackGiven, "measures", person, end + 8, feedback)

    def _voiced(self, people: People, sentiment: Ints, said: Voiced) -> None:
        rows = zip(
            people.id.tolist(), people.last.tolist(), people.clinician.tolist(), sentiment.tolist(), said.pillar.tolist(),
            said.wish.tolist(), said.met.tolist(), said.complaint.tolist(), said.reply.tolist(), strict=True,
        )  # fmt: skip
        for person, last, clinician, feeling, pillar, wish, met, complaint, reply in rows:
            end = last + self._world.notes_after
            if feeling != 9:
                feedback = ev.Feedback(
                    pillar=PILLARS[pillar], sentiment=("negative", "neutral", "positive")[feeling + 1],
                    wants_change="none" if wish < 0 else WISHES[wish],
                )  # fmt: skip
                self._tell(ev.FeedbackGiven, "measures", person, end + FEEDBACK_AT, feedback)
            if complaint:
                said_so = ev.Contact(direction="inbound", channel="phone", purpose="complaint")
                self._tell(ev.ContactMade, "booking", person, end + COMPLAINT_AT, said_so)
            if met == 0:
                other = ev.Actioned(
                    alert_id=f"al-{self._label}{person}", action="approach_changed", by=self._who(clinician)
                )
                self._tell(ev.AlertActioned, "notes", person, end + MET_AT, other)
            elif met == 2:
                self._modality[person] = "video" if self._modality[person] == "in_person" else "in_person"
            if reply:
                wrote = ev.Contact(direction="inbound", channel="text", purpose="reply")
                self._tell(ev.ContactMade, "booking", person, end + REPLY_AT, wrote)

    def _measure(
        self, person: int, at: float, status: int, *, instrument: str, visit: str, scores: dict[str, float],
        safety: float | None = None, rater: Rater = "client",
    ) -> None:  # fmt: skip
        if status == NOT_DUE:
            return
        if status == DONE:
            done = ev.Measured(
                instrument=instrument, scores=scores, rater=rater, appointment_id=visit, safety_item=safety
            )
            self._tell(ev.MeasureCompleted, "measures", person, at, done)
            return
        reason: Literal["declined", "not_offered", "technical", "unknown"]
        if status == NOT_OFFERED:
            reason = "not_offered" if self._rng.random() < 0.7 else "technical"
        else:
            reason = "declined" if self._rng.random() < 0.4 else "unknown"
        skipped = ev.Skipped(instrument=instrument, appointment_id=visit, reason=reason)
        self._tell(ev.MeasureSkipped, "measures", person, at, skipped)

    def _wai(self, ratings: list[float]) -> dict[str, float]:
        """WAI-SR subscales that go with SRS ratings, about two points of ten lower."""
        found = {
            name: float(min(20, max(4, round(4 + 1.6 * (rating - 1.8 + self._rng.gauss(0, 0.6))))))
            for name, rating in zip(ALLIANCE_PILLARS, ratings, strict=True)
        }
        return {"total": sum(found.values())} | found

    def handed_over(self, people: People, rows: Bools) -> None:
        for row in rows.nonzero()[0].tolist():
            wanted, at = not isnan(people.wish_at[row]), float(people.handover_at[row])
            reason: HandoverReason = "client_request" if wanted else "absence"
            if people.signals.shape[1]:
                of_clinic: HandoverReason = "absence" if self._rng.random() < 0.6 else "service"
                reason = "client_request" if people.signals[row, CHANGED_BY_REQUEST] == at else of_clinic
            data = ev.ClinicianChange(clinician_id=self._who(people.clinician[row]), reason=reason)
            self._tell(ev.ClinicianChanged, "booking", int(people.id[row]), at, data)

    def ended(self, people: People, ending: Ints) -> None:
        for person, at, how in zip(people.id.tolist(), people.last.tolist(), ending.tolist(), strict=True):
            if how in ENDS:
                reason, mutual = ENDS[how]
                self._tell(ev.EpisodeEnded, "booking", person, at + 12, ev.Ended(reason=reason, mutual=mutual))
                self._clear_ahead(person, at + 13, "clinic")

    def _who(self, clinician: int) -> str:
        return f"c-{self._label}{clinician}"

    def _colleague(self, clinician: int) -> int:
        """Who stands in."""
        return clinician - 1 if clinician else 1

    def _new_id(self, person: int) -> str:
        """Of a visit."""
        self._appointments[person] += 1
        return f"a-{self._label}{person}-{self._appointments[person]}"

    def _tell(self, kind: Callable[..., Event], system: str, person: int, at: float, data: Data) -> None:
        if at >= self._cut:
            return
        number = len(self._told)
        event = kind(
            specversion="1.0", id=f"e-{self._label}{number}", source=f"/{self._clinic[person]}/{system}",
            subject=f"ep-{self._label}{person}", time=moment(at), data=data,
        )  # fmt: skip
        self._told.append((at, number, encode(event)))


class Mute(Teller):
    """Tells nothing: for lives of which only the number matters."""

    def opened(self, people: People, arrivals: Arrivals) -> None: ...
    def booked(self, people: People, rows: Bools) -> None: ...
    def rebooked(self, people: People, ways: Ints, rows: Bools, returned: Bools) -> None: ...
    def moved(self, people: People, rows: Bools, at: Floats) -> None: ...
    def clinic_cancelled(self, people: People, moves: Bools, at: Floats) -> None: ...
    def waited(self, people: People, ways: Ints, back_at: Floats, shut: Bools) -> None: ...
    def kept(self, people: People, number: Ints) -> None: ...
    def attended(self, people: People, said: Said) -> None: ...
    def handed_over(self, people: People, rows: Bools) -> None: ...
    def ended(self, people: People, ending: Ints) -> None: ...
