"""The events of the contract as types: one class a type, with its data beside it.

Decoding, JSON Schema, AsyncAPI and the reference pages follow from this file. A change to a type is a new version with an
upcaster, never an edit: the golden files under `tests/contract/golden` hold every version still. What an episode
remembers of a type stands in `keepwell.care.history`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from keepwell.contract.words import (
    Action,
    AlliancePillar,
    CancelReason,
    Channel,
    ContactPurpose,
    Direction,
    DismissReason,
    EndReason,
    HandoverReason,
    Initiator,
    InstrumentKind,
    MissReason,
    Modality,
    Pillar,
    Purpose,
    Rater,
    Referral,
    RepairOutcome,
    Role,
    RuptureKind,
    Sentiment,
    SkipReason,
    Via,
    WantedChange,
)

# ── attributes ──────────────────────────────────────────────────────────────────────────────────────────

CLINIC_PATTERN: Final = "[a-z0-9][a-z0-9-]{0,62}"
_END = r"$(?!\n)"  # `$` alone would let a trailing newline through

Id = Annotated[str, Meta(min_length=1, max_length=1024, description="A text that is not empty.")]
PSEUDONYM_PATTERN: Final = f"^[!-?A-~]{{1,128}}{_END}"
"""Visible ASCII without an @. Checked by `decode` only: logs from before the rule hold others, which stay readable."""
Pseudonym = Annotated[
    str,
    Meta(
        description="A pseudonym: 1 to 128 visible ASCII characters without an @; never a name or a contact.",
        extra_json_schema={"pattern": PSEUDONYM_PATTERN},
    ),
]
Source = Annotated[
    str,
    Meta(
        pattern=f"^/{CLINIC_PATTERN}(/[A-Za-z0-9._~-]{{1,128}})?{_END}",
        description="`/<clinic>` or `/<clinic>/<system>`. `<clinic>` is the tenant: at most 63 lower-case letters, digits "
        "and hyphens, no hyphen first. `<system>` is at most 128 letters, digits and any of `.`, `_`, `~`, `-`.",
    ),
]
Subject = Annotated[
    str,
    Meta(
        pattern=f"^[A-Za-z0-9._~-]{{1,128}}{_END}",
        description="The episode of care, a pseudonym: 1 to 128 letters, digits and any of `.`, `_`, `~`, `-`.",
    ),
]
Time = Annotated[datetime, Meta(tz=True, description="A moment as RFC 3339 with offset, such as 2026-03-02T10:00:00Z.")]
InstrumentName = Annotated[str, Meta(min_length=1, max_length=64)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Minutes = Annotated[float, Meta(ge=0, le=100_000)]

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


# ── the form of every event ─────────────────────────────────────────────────────────────────────────────


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `data` member of an event. Optional members are None where they were not sent."""


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


# ── the types, each with its data ───────────────────────────────────────────────────────────────────────


class Opened(Data, frozen=True):
    client_id: Pseudonym
    clinician_id: Pseudonym
    service: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    modality: Modality | None = None
    planned_sessions: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    referral: Referral | None = None
    preference_met: bool | None = None
    previous_episodes: Count | None = None
    fairness: dict[str, str] | None = None


class EpisodeOpened(Event, frozen=True, tag="keepwell.episode.opened.v1"):
    """An episode of care begins."""

    data: Opened


class Booked(Data, frozen=True):
    appointment_id: Pseudonym
    starts_at: Time
    clinician_id: Pseudonym | None = None
    modality: Modality | None = None
    purpose: Purpose = "treatment"
    duration_minutes: Minutes | None = None


class AppointmentBooked(Event, frozen=True, tag="keepwell.appointment.booked.v1"):
    """A visit is booked. `time` is when it was booked, `data.starts_at` when it is to begin."""

    data: Booked


class Rescheduled(Data, frozen=True):
    appointment_id: Pseudonym
    starts_at: Time
    initiator: Initiator


class AppointmentRescheduled(Event, frozen=True, tag="keepwell.appointment.rescheduled.v1"):
    """A booked visit was moved; it stays the same appointment."""

    data: Rescheduled


class Cancelled(Data, frozen=True):
    appointment_id: Pseudonym
    initiator: Initiator
    reason: CancelReason | None = None


class AppointmentCancelled(Event, frozen=True, tag="keepwell.appointment.cancelled.v1"):
    """A booked visit was called off beforehand."""

    data: Cancelled


class Missed(Data, frozen=True):
    appointment_id: Pseudonym
    reason: MissReason = "no_show"


class AppointmentMissed(Event, frozen=True, tag="keepwell.appointment.missed.v1"):
    """A booked visit did not take place and nobody had called it off."""

    data: Missed


class Attended(Data, frozen=True):
    appointment_id: Pseudonym | None = None
    started_at: Time | None = None
    minutes_late: Annotated[float, Meta(ge=-1_440, le=1_440)] | None = None
    duration_minutes: Minutes | None = None
    clinician_id: Pseudonym | None = None
    modality: Modality | None = None
    purpose: Purpose | None = None


class SessionAttended(Event, frozen=True, tag="keepwell.session.attended.v1"):
    """A visit took place. `time` is its end."""

    data: Attended = Attended()


class Measured(Data, frozen=True):
    instrument: InstrumentName
    scores: Annotated[dict[str, float], Meta(min_length=1, max_length=64)]
    rater: Rater = "client"
    appointment_id: Pseudonym | None = None
    safety_item: float | None = None


class MeasureCompleted(Event, frozen=True, tag="keepwell.measure.completed.v1"):
    """A questionnaire was filled in."""

    data: Measured


class Skipped(Data, frozen=True):
    instrument: InstrumentName
    rater: Rater | None = None
    appointment_id: Pseudonym | None = None
    reason: SkipReason = "unknown"


class MeasureSkipped(Event, frozen=True, tag="keepwell.measure.skipped.v1"):
    """A questionnaire that was due was not filled in."""

    data: Skipped


class HomeworkAssignment(Data, frozen=True):
    homework_id: Pseudonym | None = None


class HomeworkAssigned(Event, frozen=True, tag="keepwell.homework.assigned.v1"):
    """Work between sessions was agreed."""

    data: HomeworkAssignment = HomeworkAssignment()


class HomeworkReview(Data, frozen=True):
    completion: Annotated[float, Meta(ge=0, le=1)]
    homework_id: Pseudonym | None = None


class HomeworkReviewed(Event, frozen=True, tag="keepwell.homework.reviewed.v1"):
    """Work between sessions was looked at together."""

    data: HomeworkReview


class Feedback(Data, frozen=True):
    pillar: Pillar
    sentiment: Sentiment
    wants_change: WantedChange = "none"


class FeedbackGiven(Event, frozen=True, tag="keepwell.feedback.given.v1"):
    """The client said how one pillar of the work is going."""

    data: Feedback


class RuptureNote(Data, frozen=True):
    kind: RuptureKind
    pillar: AlliancePillar | None = None
    noted_by: Rater = "clinician"


class RuptureNoted(Event, frozen=True, tag="keepwell.rupture.noted.v1"):
    """Somebody noticed a rupture of the working alliance."""

    data: RuptureNote


class RepairAttempt(Data, frozen=True):
    pillar: Pillar | None = None
    strategy: Pseudonym | None = None
    alert_id: Pseudonym | None = None
    outcome: RepairOutcome = "unknown"


class RepairAttempted(Event, frozen=True, tag="keepwell.repair.attempted.v1"):
    """The clinician tried to repair a rupture."""

    data: RepairAttempt = RepairAttempt()


class Contact(Data, frozen=True):
    direction: Direction
    channel: Channel | None = None
    purpose: ContactPurpose = "other"
    reached: bool | None = None


class ContactMade(Event, frozen=True, tag="keepwell.contact.made.v1"):
    """A contact outside of visits."""

    data: Contact


class ClinicianChange(Data, frozen=True):
    clinician_id: Pseudonym
    reason: HandoverReason = "other"


class ClinicianChanged(Event, frozen=True, tag="keepwell.clinician.changed.v1"):
    """Another clinician took over."""

    data: ClinicianChange


class Ended(Data, frozen=True):
    reason: EndReason
    mutual: bool | None = None


class EpisodeEnded(Event, frozen=True, tag="keepwell.episode.ended.v1"):
    """The clinic closed the episode."""

    data: Ended


class Actioned(Data, frozen=True):
    alert_id: Pseudonym
    action: Action
    by: Pseudonym
    until: Time | None = None
    helpful: bool | None = None
    reason: Annotated[DismissReason, Meta(description="Of `dismissed` only.")] | None = None
    via: Via | None = None


class AlertActioned(Event, frozen=True, tag="keepwell.alert.actioned.v1"):
    """A clinician answered an alert."""

    data: Actioned


class Retracted(Data, frozen=True):
    event_id: Pseudonym


class EventRetracted(Event, frozen=True, tag="keepwell.event.retracted.v1"):
    """An earlier event of the same source and episode never happened."""

    data: Retracted


class Erased(Data, frozen=True):
    client_id: Pseudonym


class ClientErased(Event, frozen=True, tag="keepwell.client.erased.v1"):
    """What is held of a client of the clinic is to be erased; reaches every partition."""

    data: Erased


class Ticked(Data, frozen=True):
    pass


class ClockTicked(Event, frozen=True, tag="keepwell.clock.ticked.v1"):
    """Control: the time is now `time`. Written by Keepwell to every partition."""

    data: Ticked = Ticked()


class Promoted(Data, frozen=True):
    release: Annotated[str, Meta(min_length=1, max_length=128)]
    role: Role


class ModelPromoted(Event, frozen=True, tag="keepwell.model.promoted.v1"):
    """Control: a release takes a role from here on. Written by Keepwell to every partition."""

    data: Promoted


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Lowest and highest possible score of a scale."""

    lowest: float
    highest: float


class Registered(Data, frozen=True):
    name: InstrumentName
    kind: InstrumentKind
    lowest: float
    highest: float
    higher_is_better: bool
    cutoff: float
    reliable_change: float
    subscales: Annotated[dict[str, Range], Meta(max_length=64, description="By name of a score, its range.")] = {}


class InstrumentRegistered(Event, frozen=True, tag="keepwell.instrument.registered.v1"):
    """Control: from here on the clinic means this instrument by the name. Written by Keepwell to every partition."""

    data: Registered


AnyEvent = (
    EpisodeOpened | AppointmentBooked | AppointmentRescheduled | AppointmentCancelled | AppointmentMissed
    | SessionAttended | MeasureCompleted | MeasureSkipped | HomeworkAssigned | HomeworkReviewed | FeedbackGiven
    | RuptureNoted | RepairAttempted | ContactMade | ClinicianChanged | EpisodeEnded | AlertActioned
    | EventRetracted | ClientErased | ClockTicked | ModelPromoted | InstrumentRegistered
)  # fmt: skip

ControlEvent = ClockTicked | ModelPromoted | InstrumentRegistered

EVENT_TYPES: Final[Mapping[str, type[Event]]] = {str(cls.__struct_config__.tag): cls for cls in get_args(AnyEvent)}
CONTROL_TYPES: Final = frozenset(str(cls.__struct_config__.tag) for cls in get_args(ControlEvent))
"""Types that only Keepwell itself writes; from outside they are refused."""


def members_of(data: type[Data], form: object) -> tuple[str, ...]:
    """The members of a type's data that have a form, such as `Time` or `Pseudonym`; those that may be left out too.

    >>> members_of(Booked, Time), members_of(Booked, Pseudonym)
    (('starts_at',), ('appointment_id', 'clinician_id'))
    """
    hints = get_type_hints(data, include_extras=True)
    return tuple(name for name, hint in hints.items() if hint == form or form in get_args(hint))


def data_of(event: type[Event]) -> type[Data]:
    """The class of the data of an event type."""
    found: type[Data] = get_type_hints(event)["data"]
    return found


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[Mapping[str, Upcaster]] = {}
"""By former type, how an event of that version is rewritten to the next. Empty: every type is at its first."""


def upcast(raw: dict[str, Any], upcasters: Mapping[str, Upcaster] = UPCASTERS) -> dict[str, Any]:
    """An event, given as JSON's objects, in the newest version of its type; as it is where it has no former one."""
    for _ in upcasters:  # each at most once, should they turn in a circle
        name = raw.get("type")
        if not isinstance(name, str) or name not in upcasters:
            break
        raw = upcasters[name](raw)
    return raw


_accepted = msgspec.json.Decoder(AnyEvent)
_encoder = msgspec.json.Encoder()


def encode(event: Event) -> bytes:
    """The normalised form of an event: structured CloudEvents JSON without what the contract does not know."""
    return _encoder.encode(event)


def decode_accepted(value: bytes, upcasters: Mapping[str, Upcaster] = UPCASTERS) -> AnyEvent:
    """Reads back what `encode` wrote, in this version or, by its upcaster, in a former one: logs hold both. Raises
    `msgspec.ValidationError` on anything else: use `decode` for input."""
    try:
        event: AnyEvent = _accepted.decode(value)
    except msgspec.ValidationError:
        if not upcasters:
            raise
        event = msgspec.convert(upcast(msgspec.json.decode(value, type=dict[str, Any]), upcasters), AnyEvent)
    return event


class _Typed(msgspec.Struct):
    type: str


_typed = msgspec.json.Decoder(_Typed)


def is_of_later_type(value: bytes) -> bool:
    """Whether what `decode_accepted` does not read is an event of a type that this version does not know yet.

    >>> is_of_later_type(b'{"type": "keepwell.session.attended.v2"}'), is_of_later_type(b'{"type": "other"}')
    (True, False)
    """
    try:
        name = _typed.decode(value).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return name.startswith("keepwell.") and name not in EVENT_TYPES
