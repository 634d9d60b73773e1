"""What an episode remembers of each event: the part that the fold reads, small, sorted, and free of what it never uses.

An entry drops the fairness attributes, so no feature can reach them. Times are microseconds since 1970 UTC. The tag of an
entry is its rank: the order in which events of the same moment take effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from keepwell.contract import events as ev
from keepwell.contract.events import AnyEvent, micros


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event of an episode. `source` is an index into the episode's sorted sources."""

    at: int
    id: str
    source: int
    corrects: str | None

    @property
    def rank(self) -> int:
        return int(self.__struct_config__.tag)  # type: ignore[arg-type]  # every entry below has an int tag


class Opening(Entry, frozen=True, tag=0):
    client: str
    clinician: str
    modality: str | None
    planned: int | None
    referral: str | None
    preference_met: bool | None
    previous: int | None


class Booking(Entry, frozen=True, tag=1):
    appointment: str
    starts: int
    purpose: str
    modality: str | None


class Move(Entry, frozen=True, tag=2):
    appointment: str
    starts: int
    initiator: str


class Cancellation(Entry, frozen=True, tag=3):
    appointment: str
    initiator: str
    reason: str | None


class Miss(Entry, frozen=True, tag=4):
    appointment: str
    reason: str


class Attendance(Entry, frozen=True, tag=5):
    appointment: str | None
    late: float | None
    duration: float | None
    clinician: str | None
    modality: str | None
    purpose: str | None


class Measure(Entry, frozen=True, tag=6):
    instrument: str
    scores: dict[str, float]
    rater: str
    safety: float | None


class Skip(Entry, frozen=True, tag=7):
    instrument: str
    rater: str | None
    reason: str


class Assignment(Entry, frozen=True, tag=9):
    pass


class Review(Entry, frozen=True, tag=8):
    completion: float


class Opinion(Entry, frozen=True, tag=10):
    pillar: str
    sentiment: str
    wants: str


class Noted(Entry, frozen=True, tag=11):
    kind: str
    pillar: str | None
    by: str


class Repair(Entry, frozen=True, tag=12):
    pillar: str | None
    outcome: str


class Touch(Entry, frozen=True, tag=13):
    direction: str
    purpose: str
    reached: bool | None


class Handover(Entry, frozen=True, tag=14):
    clinician: str
    reason: str


class End(Entry, frozen=True, tag=15):
    reason: str
    mutual: bool


class Answer(Entry, frozen=True, tag=16):
    alert: str
    action: str
    until: int | None


class Retraction(Entry, frozen=True, tag=17):
    event: str


AnyEntry = (
    Opening | Booking | Move | Cancellation | Miss | Attendance | Measure | Skip | Assignment | Review | Opinion
    | Noted | Repair | Touch | Handover | End | Answer | Retraction
)  # fmt: skip


RANK: Final = {
    event: rank
    for rank, event in enumerate(
        (
            ev.EpisodeOpened, ev.AppointmentBooked, ev.AppointmentRescheduled, ev.AppointmentCancelled,
            ev.AppointmentMissed, ev.SessionAttended, ev.MeasureCompleted, ev.MeasureSkipped, ev.HomeworkWasReviewed,
            ev.HomeworkWasAssigned, ev.FeedbackGiven, ev.RuptureWasNoted, ev.RepairWasAttempted, ev.ContactMade,
            ev.ClinicianChanged, ev.EpisodeEnded, ev.AlertActioned, ev.EventRetracted, ev.ClientErased,
        )
    )
}  # fmt: skip
"""The order in which events of the same moment take effect: the tags of their entries, an erasure last. Old homework is
reviewed before new is assigned."""

Identity = tuple[int, str]
"""Source index and id of an entry."""


def _optional_micros(moment: Any) -> int | None:
    return None if moment is None else micros(moment)


_MAKERS: Final[dict[type, Callable[..., AnyEntry]]] = {
    ev.EpisodeOpened: lambda d, t, i, s, c: Opening(
        t, i, s, c, d.client_id, d.clinician_id, d.modality, d.planned_sessions, d.referral, d.preference_met,
        d.previous_episodes,
    ),
    ev.AppointmentBooked: lambda d, t, i, s, c: Booking(
        t, i, s, c, d.appointment_id, micros(d.starts_at), d.purpose, d.modality
    ),
    ev.AppointmentRescheduled: lambda d, t, i, s, c: Move(t, i, s, c, d.appointment_id, micros(d.starts_at), d.initiator),
    ev.AppointmentCancelled: lambda d, t, i, s, c: Cancellation(t, i, s, c, d.appointment_id, d.initiator, d.reason),
    ev.AppointmentMissed: lambda d, t, i, s, c: Miss(t, i, s, c, d.appointment_id, d.reason),
    ev.SessionAttended: lambda d, t, i, s, c: Attendance(
        t, i, s, c, d.appointment_id, d.minutes_late, d.duration_minutes, d.clinician_id, d.modality, d.purpose
    ),
    ev.MeasureCompleted: lambda d, t, i, s, c: Measure(t, i, s, c, d.instrument, d.scores, d.rater, d.safety_item),
    ev.MeasureSkipped: lambda d, t, i, s, c: Skip(t, i, s, c, d.instrument, d.rater, d.reason),
    ev.HomeworkWasAssigned: lambda d, t, i, s, c: Assignment(t, i, s, c),
    ev.HomeworkWasReviewed: lambda d, t, i, s, c: Review(t, i, s, c, d.completion),
    ev.FeedbackGiven: lambda d, t, i, s, c: Opinion(t, i, s, c, d.pillar, d.sentiment, d.wants_change),
    ev.RuptureWasNoted: lambda d, t, i, s, c: Noted(t, i, s, c, d.kind, d.pillar, d.noted_by),
    ev.RepairWasAttempted: lambda d, t, i, s, c: Repair(t, i, s, c, d.pillar, d.outcome),
    ev.ContactMade: lambda d, t, i, s, c: Touch(t, i, s, c, d.direction, d.purpose, d.reached),
    ev.ClinicianChanged: lambda d, t, i, s, c: Handover(t, i, s, c, d.clinician_id, d.reason),
    ev.EpisodeEnded: lambda d, t, i, s, c: End(t, i, s, c, d.reason, bool(d.mutual)),
    ev.AlertActioned: lambda d, t, i, s, c: Answer(t, i, s, c, d.alert_id, d.action, _optional_micros(d.until)),
    ev.EventRetracted: lambda d, t, i, s, c: Retraction(t, i, s, c, d.event_id),
}  # fmt: skip


def entry_of(event: AnyEvent, source: int) -> AnyEntry:
    """The entry of an episode event. Raises `KeyError` for control events and erasures, which no episode remembers."""
    return _MAKERS[type(event)](event.data, micros(event.time), event.id, source, event.corrects)


def order(entry: AnyEntry) -> tuple[int, int, int, str]:
    """The total order of a history, the same whatever the order of arrival: time, rank, source, id."""
    return entry.at, entry.rank, entry.source, entry.id


def effective(history: Sequence[AnyEntry]) -> list[AnyEntry]:
    """The entries of a sorted history that hold: not retracted, not replaced, and no retractions.

    A correction that was retracted replaces nothing, and a retraction that was replaced retracts nothing. A retraction can
    itself be retracted by a later one. Of two that correct each other, or the same event, the later holds.
    """
    corrections = [entry for entry in history if entry.corrects is not None]
    retractions = [entry for entry in history if isinstance(entry, Retraction)]
    if not corrections and not retractions:
        return list(history)
    retracted: set[Identity] = set()
    replaced: set[Identity] = set()
    # What a retraction undoes depends on what is replaced, and the other way round: the second round settles it.
    for _ in range(2):
        retracted = _retracted(retractions, replaced)
        replaced = _replaced(corrections, retracted)
    gone = retracted | replaced
    return [entry for entry in history if (entry.source, entry.id) not in gone and type(entry) is not Retraction]


def _retracted(retractions: Sequence[Retraction], replaced: set[Identity]) -> set[Identity]:
    """What is retracted by retractions that hold. Read from the newest back, as only a later one can undo another."""
    gone: set[Identity] = set()
    passed: set[Identity] = set()
    for entry in reversed(retractions):
        identity, target = (entry.source, entry.id), (entry.source, entry.event)
        passed.add(identity)
        if identity not in gone and identity not in replaced and target not in passed:
            gone.add(target)
    return gone


def _replaced(corrections: Sequence[AnyEntry], retracted: set[Identity]) -> set[Identity]:
    """What is replaced by corrections that were not retracted, and the corrections that lost to a later one."""
    target_of: dict[Identity, Identity] = {}
    claimed: set[Identity] = set()
    lost: set[Identity] = set()
    for entry in reversed(corrections):
        identity, target = (entry.source, entry.id), (entry.source, entry.corrects or "")
        if identity in retracted or target == identity or target_of.get(target) == identity:
            continue
        target_of[identity] = target
        if target in claimed:
            lost.add(identity)
        claimed.add(target)
    return claimed | lost | {identity for identity, target in target_of.items() if target in lost}
