"""The outside contract as types: what an event is, how it is decoded, and why one is refused.

JSON Schema, AsyncAPI and the reference pages are generated from this file (`keepwell.contract.schema`). A change to a
type is a new version with an upcaster, never an edit: the golden files under `tests/contract/golden` hold every version
still.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

# ── attributes ──────────────────────────────────────────────────────────────────────────────────────────

CLINIC_PATTERN: Final = "[a-z0-9][a-z0-9-]{0,62}"
_END = r"$(?!\n)"  # `$` alone would let a trailing newline through

Id = Annotated[str, Meta(min_length=1, max_length=1024)]
Pseudonym = Annotated[str, Meta(min_length=1, max_length=256, description="A pseudonym; never a name or a contact.")]
Source = Annotated[
    str,
    Meta(
        pattern=f"^/{CLINIC_PATTERN}(/[A-Za-z0-9._~-]{{1,128}})?{_END}",
        description="`/<clinic>` or `/<clinic>/<system>`; `<clinic>` is the tenant.",
    ),
]
Subject = Annotated[
    str, Meta(pattern=f"^[A-Za-z0-9._~-]{{1,128}}{_END}", description="The episode of care, a pseudonym.")
]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with offset.")]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Minutes = Annotated[float, Meta(ge=0, le=100_000)]

Modality = Literal["in_person", "video", "phone", "text", "group"]
Purpose = Literal["intake", "treatment", "review", "assessment", "administrative"]
Initiator = Literal["client", "clinician", "clinic"]
Rater = Literal["client", "clinician", "observer"]
AlliancePillar = Literal["goals", "tasks", "bond"]
Pillar = Literal["goals", "tasks", "bond", "trust", "empathy", "consistency", "culture", "pace", "logistics"]
CancelReason = Literal[
    "illness", "work", "family", "travel", "cost", "weather", "technical", "hospital", "custody", "other", "unknown"
]
MissReason = Literal[
    "no_show", "illness", "work", "family", "travel", "cost", "weather", "technical", "hospital", "custody", "moved",
    "other", "unknown",
]  # fmt: skip
EndReason = Literal["planned", "improved", "client_stopped", "transferred", "administrative", "deceased", "other"]
InstrumentKind = Literal["outcome", "alliance"]
Action = Literal[
    "acknowledged", "snoozed", "dismissed", "repair_planned", "outreach_planned", "approach_changed",
    "transfer_offered", "ending_planned",
]  # fmt: skip

SESSION_PURPOSES: Final = frozenset(("intake", "treatment", "review"))
"""Purposes that make a visit a *session* in the sense of `unilateral-stop@1` (CONTRACT section 3)."""

FUTURE_TOLERANCE: Final = timedelta(hours=24)
"""How far ahead of the clock an event's `time` may lie (CONTRACT section 1)."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Moments outside are taken for an unset or broken clock and refused."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC: the form of time inside the core, exact and cheap to compare.

    >>> micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (moment - _EPOCH) // _MICROSECOND


def rfc3339(us: int) -> str:
    """The text of a moment in output: UTC, `Z`, fractions only where there are any.

    >>> rfc3339(86_400_000_000), rfc3339(1)
    ('1970-01-02T00:00:00Z', '1970-01-01T00:00:00.000001Z')
    """
    days, rest = divmod(us, 86_400_000_000)
    seconds, fraction = divmod(rest, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    tail = f".{fraction:06}Z" if fraction else "Z"
    return f"{_day(days)}T{hour:02}:{minute:02}:{second:02}{tail}"


@lru_cache(maxsize=4096)
def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


# ── the data of each type ───────────────────────────────────────────────────────────────────────────────


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `data` member of an event. Optional members are None where they were not sent."""


class Opened(Data, frozen=True):
    client_id: Pseudonym
    clinician_id: Pseudonym
    service: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    modality: Modality | None = None
    planned_sessions: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    referral: Literal["self", "primary_care", "specialist", "court", "employer", "other"] | None = None
    preference_met: bool | None = None
    previous_episodes: Count | None = None
    fairness: dict[str, str] | None = None


class Booked(Data, frozen=True):
    appointment_id: Pseudonym
    starts_at: Time
    clinician_id: Pseudonym | None = None
    modality: Modality | None = None
    purpose: Purpose = "treatment"
    duration_minutes: Minutes | None = None


class Rescheduled(Data, frozen=True):
    appointment_id: Pseudonym
    starts_at: Time
    initiator: Initiator


class Cancelled(Data, frozen=True):
    appointment_id: Pseudonym
    initiator: Initiator
    reason: CancelReason | None = None


class Missed(Data, frozen=True):
    appointment_id: Pseudonym
    reason: MissReason = "no_show"


class Attended(Data, frozen=True):
    appointment_id: Pseudonym | None = None
    started_at: Time | None = None
    minutes_late: Annotated[float, Meta(ge=-1_440, le=1_440)] | None = None
    duration_minutes: Minutes | None = None
    clinician_id: Pseudonym | None = None
    modality: Modality | None = None
    purpose: Purpose | None = None


class Measured(Data, frozen=True):
    instrument: Annotated[str, Meta(min_length=1, max_length=64)]
    scores: Annotated[dict[str, float], Meta(min_length=1, max_length=64)]
    rater: Rater = "client"
    appointment_id: Pseudonym | None = None
    safety_item: float | None = None


class Skipped(Data, frozen=True):
    instrument: Annotated[str, Meta(min_length=1, max_length=64)]
    rater: Rater | None = None
    appointment_id: Pseudonym | None = None
    reason: Literal["declined", "not_offered", "technical", "unknown"] = "unknown"


class HomeworkAssigned(Data, frozen=True):
    homework_id: Pseudonym | None = None


class HomeworkReviewed(Data, frozen=True):
    completion: Annotated[float, Meta(ge=0, le=1)]
    homework_id: Pseudonym | None = None


class Feedback(Data, frozen=True):
    pillar: Pillar
    sentiment: Literal["negative", "neutral", "positive"]
    wants_change: Literal["none", "approach", "clinician", "format"] = "none"


class RuptureNoted(Data, frozen=True):
    kind: Literal["withdrawal", "confrontation"]
    pillar: AlliancePillar | None = None
    noted_by: Rater = "clinician"


class RepairAttempted(Data, frozen=True):
    pillar: AlliancePillar | None = None
    strategy: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    alert_id: Pseudonym | None = None
    outcome: Literal["better", "same", "worse", "unknown"] = "unknown"


class Contact(Data, frozen=True):
    direction: Literal["inbound", "outbound"]
    channel: Literal["phone", "text", "email", "letter", "portal", "in_person"] | None = None
    purpose: Literal["outreach", "reminder", "reply", "complaint", "other"] = "other"
    reached: bool | None = None


class ClinicianChange(Data, frozen=True):
    clinician_id: Pseudonym
    reason: Literal["client_request", "absence", "service", "other"] = "other"


class Ended(Data, frozen=True):
    reason: EndReason
    mutual: bool | None = None


class Actioned(Data, frozen=True):
    alert_id: Pseudonym
    action: Action
    by: Pseudonym
    until: Time | None = None
    helpful: bool | None = None


class Retracted(Data, frozen=True):
    event_id: Id


class Erased(Data, frozen=True):
    client_id: Pseudonym


class Ticked(Data, frozen=True):
    pass


class Promoted(Data, frozen=True):
    release: Annotated[str, Meta(min_length=1, max_length=128)]
    role: Literal["champion", "shadow", "none"]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Lowest and highest possible score of a scale."""

    lowest: float
    highest: float


class Registered(Data, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: InstrumentKind
    lowest: float
    highest: float
    higher_is_better: bool
    cutoff: float
    reliable_change: float
    subscales: Annotated[dict[str, Range], Meta(max_length=64, description="By name of a score, its range.")] = {}


# ── the events ──────────────────────────────────────────────────────────────────────────────────────────


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """A CloudEvents 1.0 event of the contract; `source` + `id` is its identity."""

    specversion: Literal["1.0"]
    id: Id
    source: Source
    subject: Subject
    time: Time
    corrects: Id | None = None
    traceparent: Annotated[str, Meta(max_length=256)] | None = None

    @property
    def clinic(self) -> str:
        """The tenant: the first segment of `source`."""
        return self.source.split("/", 2)[1]

    @property
    def key(self) -> str:
        """The episode key and partition key, `<clinic>/<subject>`."""
        return f"{self.clinic}/{self.subject}"

    @property
    def type(self) -> str:
        return str(self.__struct_config__.tag)


class EpisodeOpened(Event, frozen=True, tag="keepwell.episode.opened.v1"):
    """An episode of care begins."""

    data: Opened


class AppointmentBooked(Event, frozen=True, tag="keepwell.appointment.booked.v1"):
    """A visit is booked. `time` is when it was booked, `data.starts_at` when it is to begin."""

    data: Booked


class AppointmentRescheduled(Event, frozen=True, tag="keepwell.appointment.rescheduled.v1"):
    """A booked visit was moved; it stays the same appointment."""

    data: Rescheduled


class AppointmentCancelled(Event, frozen=True, tag="keepwell.appointment.cancelled.v1"):
    """A booked visit was called off beforehand."""

    data: Cancelled


class AppointmentMissed(Event, frozen=True, tag="keepwell.appointment.missed.v1"):
    """A booked visit did not take place and nobody had called it off."""

    data: Missed


class SessionAttended(Event, frozen=True, tag="keepwell.session.attended.v1"):
    """A visit took place. `time` is its end."""

    data: Attended = Attended()


class MeasureCompleted(Event, frozen=True, tag="keepwell.measure.completed.v1"):
    """A questionnaire was filled in."""

    data: Measured


class MeasureSkipped(Event, frozen=True, tag="keepwell.measure.skipped.v1"):
    """A questionnaire that was due was not filled in."""

    data: Skipped


class HomeworkWasAssigned(Event, frozen=True, tag="keepwell.homework.assigned.v1"):
    """Work between sessions was agreed."""

    data: HomeworkAssigned = HomeworkAssigned()


class HomeworkWasReviewed(Event, frozen=True, tag="keepwell.homework.reviewed.v1"):
    """Work between sessions was looked at together."""

    data: HomeworkReviewed


class FeedbackGiven(Event, frozen=True, tag="keepwell.feedback.given.v1"):
    """The client said how one pillar of the work is going."""

    data: Feedback


class RuptureWasNoted(Event, frozen=True, tag="keepwell.rupture.noted.v1"):
    """Somebody noticed a rupture of the working alliance."""

    data: RuptureNoted


class RepairWasAttempted(Event, frozen=True, tag="keepwell.repair.attempted.v1"):
    """The clinician tried to repair a rupture."""

    data: RepairAttempted = RepairAttempted()


class ContactMade(Event, frozen=True, tag="keepwell.contact.made.v1"):
    """A contact outside of visits."""

    data: Contact


class ClinicianChanged(Event, frozen=True, tag="keepwell.clinician.changed.v1"):
    """Another clinician took over."""

    data: ClinicianChange


class EpisodeEnded(Event, frozen=True, tag="keepwell.episode.ended.v1"):
    """The clinic closed the episode."""

    data: Ended


class AlertActioned(Event, frozen=True, tag="keepwell.alert.actioned.v1"):
    """A clinician answered an alert."""

    data: Actioned


class EventRetracted(Event, frozen=True, tag="keepwell.event.retracted.v1"):
    """An earlier event of the same source and episode never happened."""

    data: Retracted


class ClientErased(Event, frozen=True, tag="keepwell.client.erased.v1"):
    """What is held of a client of the clinic is to be erased; reaches every partition."""

    data: Erased


class ClockTicked(Event, frozen=True, tag="keepwell.clock.ticked.v1"):
    """Control: the time is now `time`. Written by Keepwell to every partition."""

    data: Ticked = Ticked()


class ModelPromoted(Event, frozen=True, tag="keepwell.model.promoted.v1"):
    """Control: a release takes a role from here on. Written by Keepwell to every partition."""

    data: Promoted


class InstrumentRegistered(Event, frozen=True, tag="keepwell.instrument.registered.v1"):
    """Control: from here on the clinic means this instrument by the name. Written by Keepwell to every partition."""

    data: Registered


AnyEvent = (
    EpisodeOpened | AppointmentBooked | AppointmentRescheduled | AppointmentCancelled | AppointmentMissed
    | SessionAttended | MeasureCompleted | MeasureSkipped | HomeworkWasAssigned | HomeworkWasReviewed | FeedbackGiven
    | RuptureWasNoted | RepairWasAttempted | ContactMade | ClinicianChanged | EpisodeEnded | AlertActioned
    | EventRetracted | ClientErased | ClockTicked | ModelPromoted | InstrumentRegistered
)  # fmt: skip

ControlEvent = ClockTicked | ModelPromoted | InstrumentRegistered

EVENT_TYPES: Final[Mapping[str, type[Event]]] = {str(cls.__struct_config__.tag): cls for cls in get_args(AnyEvent)}
CONTROL_TYPES: Final = frozenset(str(cls.__struct_config__.tag) for cls in get_args(ControlEvent))
"""Types that only Keepwell itself writes; from outside they are refused."""

_accepted = msgspec.json.Decoder(AnyEvent)
_encoder = msgspec.json.Encoder()


def encode(event: Event) -> bytes:
    """The normalised form of an event: structured CloudEvents JSON without what the contract does not know."""
    return _encoder.encode(event)


def decode_accepted(value: bytes) -> AnyEvent:
    """Reads back what `encode` wrote. Raises `msgspec.ValidationError` on anything else: use `decode` for input."""
    event: AnyEvent = _accepted.decode(value)
    return event
