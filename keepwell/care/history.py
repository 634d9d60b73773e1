"""What an episode remembers of each event: the part that the fold reads, small, sorted, and free of what it never uses.

An entry drops the fairness attributes, so no feature can reach them. Times are microseconds since 1970 UTC. The tag of an
entry is its rank: the order in which events of the same moment take effect. The entries have names of their own, as they are
what is remembered, not what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, get_args, get_type_hints

import msgspec

from keepwell.contract import events as ev
from keepwell.contract.events import AnyEvent, Event, micros


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event of an episode. `source` is an index into the episode's sorted sources.

    A kind of entry is all that an episode remembers of a type of event: its tag is the rank, and `of` makes it. A member that
    is added later stands last and has a default, so that histories written before can be read.
    """

    at: int
    id: str
    source: int
    corrects: str | None

    @property
    def rank(self) -> int:
        return int(self.__struct_config__.tag)  # type: ignore[arg-type]  # every entry below has an int tag


def _head(event: Event, source: int) -> tuple[int, str, int, str | None]:
    """What every entry begins with."""
    return micros(event.time), event.id, source, event.corrects


class Opening(Entry, frozen=True, tag=0):
    client: str
    clinician: str
    modality: str | None
    planned: int | None
    referral: str | None
    preference_met: bool | None
    previous: int | None

    @classmethod
    def of(cls, event: ev.EpisodeOpened, source: int) -> Self:
        d = event.data
        return cls(
            *_head(event, source),
            d.client_id,
            d.clinician_id,
            d.modality,
            d.planned_sessions,
            d.referral,
            d.preference_met,
            d.previous_episodes,
        )


class Booking(Entry, frozen=True, tag=1):
    appointment: str
    starts: int
    purpose: str
    modality: str | None

    @classmethod
    def of(cls, event: ev.AppointmentBooked, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.appointment_id, micros(d.starts_at), d.purpose, d.modality)


class Move(Entry, frozen=True, tag=2):
    appointment: str
    starts: int
    initiator: str

    @classmethod
    def of(cls, event: ev.AppointmentRescheduled, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.appointment_id, micros(d.starts_at), d.initiator)


class Cancellation(Entry, frozen=True, tag=3):
    appointment: str
    initiator: str
    reason: str | None

    @classmethod
    def of(cls, event: ev.AppointmentCancelled, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.appointment_id, d.initiator, d.reason)


class Miss(Entry, frozen=True, tag=4):
    appointment: str
    reason: str

    @classmethod
    def of(cls, event: ev.AppointmentMissed, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.appointment_id, d.reason)


class Attendance(Entry, frozen=True, tag=5):
    appointment: str | None
    late: float | None
    duration: float | None
    clinician: str | None
    modality: str | None
    purpose: str | None

    @classmethod
    def of(cls, event: ev.SessionAttended, source: int) -> Self:
        d = event.data
        return cls(
            *_head(event, source),
            d.appointment_id,
            d.minutes_late,
            d.duration_minutes,
            d.clinician_id,
            d.modality,
            d.purpose,
        )


class Measure(Entry, frozen=True, tag=6):
    instrument: str
    scores: dict[str, float]
    rater: str
    safety: float | None

    @classmethod
    def of(cls, event: ev.MeasureCompleted, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.instrument, d.scores, d.rater, d.safety_item)


class Skip(Entry, frozen=True, tag=7):
    instrument: str
    rater: str | None
    reason: str

    @classmethod
    def of(cls, event: ev.MeasureSkipped, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.instrument, d.rater, d.reason)


class Review(Entry, frozen=True, tag=8):
    completion: float

    @classmethod
    def of(cls, event: ev.HomeworkReviewed, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.completion)


class HomeworkEntry(Entry, frozen=True, tag=9):
    """Ranks behind `Review`: old homework is reviewed before new is assigned."""

    @classmethod
    def of(cls, event: ev.HomeworkAssigned, source: int) -> Self:
        return cls(*_head(event, source))


class Opinion(Entry, frozen=True, tag=10):
    pillar: str
    sentiment: str
    wants: str

    @classmethod
    def of(cls, event: ev.FeedbackGiven, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.pillar, d.sentiment, d.wants_change)


class Noted(Entry, frozen=True, tag=11):
    kind: str
    pillar: str | None
    by: str

    @classmethod
    def of(cls, event: ev.RuptureNoted, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.kind, d.pillar, d.noted_by)


class Repair(Entry, frozen=True, tag=12):
    pillar: str | None
    outcome: str

    @classmethod
    def of(cls, event: ev.RepairAttempted, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.pillar, d.outcome)


class Touch(Entry, frozen=True, tag=13):
    direction: str
    purpose: str
    reached: bool | None

    @classmethod
    def of(cls, event: ev.ContactMade, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.direction, d.purpose, d.reached)


class Handover(Entry, frozen=True, tag=14):
    clinician: str
    reason: str

    @classmethod
    def of(cls, event: ev.ClinicianChanged, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.clinician_id, d.reason)


class End(Entry, frozen=True, tag=15):
    reason: str
    mutual: bool

    @classmethod
    def of(cls, event: ev.EpisodeEnded, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.reason, bool(d.mutual))


class AlertAnswer(Entry, frozen=True, tag=16):
    alert: str
    action: str
    until: int | None
    reason: str | None = None

    @classmethod
    def of(cls, event: ev.AlertActioned, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.alert_id, d.action, None if d.until is None else micros(d.until), d.reason)


class Retraction(Entry, frozen=True, tag=17):
    event: str

    @classmethod
    def of(cls, event: ev.EventRetracted, source: int) -> Self:
        d = event.data
        return cls(*_head(event, source), d.event_id)


AnyEntry = (
    Opening | Booking | Move | Cancellation | Miss | Attendance | Measure | Skip | HomeworkEntry | Review | Opinion
    | Noted | Repair | Touch | Handover | End | AlertAnswer | Retraction
)  # fmt: skip

_KIND_OF: Final[Mapping[type[Event], Any]] = {get_type_hints(kind.of)["event"]: kind for kind in get_args(AnyEntry)}
"""By type of event, the kind of its entry."""

RANK: Final[Mapping[type[Event], int]] = {
    **{event: int(kind.__struct_config__.tag) for event, kind in _KIND_OF.items()},
    ev.ClientErased: len(_KIND_OF),
}
"""The order in which events of the same moment take effect: the tags of their entries, an erasure last."""

Identity = tuple[int, str]
"""Source index and id of an entry."""


def entry_of(event: AnyEvent, source: int) -> AnyEntry:
    """The entry of an episode event. Raises `KeyError` for control events and erasures, which no episode remembers."""
    entry: AnyEntry = _KIND_OF[type(event)].of(event, source)
    return entry


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
