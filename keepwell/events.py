"""The outside contract as types: what an event is, how it is decoded, and why one is refused.

JSON Schema, AsyncAPI and the reference pages are generated from this file (`keepwell.schema`). A change to a type is a
new version with an upcaster, never an edit: the golden files under `tests/golden` hold every version still.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_type_hints

import msgspec
from msgspec import Meta

from keepwell.instruments import Instruments

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


AnyEvent = (
    EpisodeOpened | AppointmentBooked | AppointmentRescheduled | AppointmentCancelled | AppointmentMissed
    | SessionAttended | MeasureCompleted | MeasureSkipped | HomeworkWasAssigned | HomeworkWasReviewed | FeedbackGiven
    | RuptureWasNoted | RepairWasAttempted | ContactMade | ClinicianChanged | EpisodeEnded | AlertActioned
    | EventRetracted | ClientErased | ClockTicked | ModelPromoted
)  # fmt: skip

EVENT_TYPES: Final[Mapping[str, type[Event]]] = {str(cls.__struct_config__.tag): cls for cls in get_args(AnyEvent)}
CONTROL_TYPES: Final = frozenset(str(cls.__struct_config__.tag) for cls in (ClockTicked, ModelPromoted))
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


# ── decoding input ──────────────────────────────────────────────────────────────────────────────────────

RefusalCode = Literal[
    "too_large", "not_json", "not_an_object", "missing", "invalid", "unknown_type", "control_type", "future_time",
    "time_out_of_range", "foreign_source", "score_out_of_range",
]  # fmt: skip


class Refusal(NamedTuple):
    """Why an event was not accepted: a code, a JSON path, and a sentence that tells the sender what to change.

    Holds no value of the event, so it can be logged, counted and sent back.
    """

    code: RefusalCode
    path: str
    detail: str


class Accepted(NamedTuple):
    """An accepted event, and the number of members of `data` that the contract does not know (ignored, but counted)."""

    event: AnyEvent
    unknown: int


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[Mapping[str, Upcaster]] = {}
"""By former type, how an event of that version is rewritten to the next. Empty: every type is at its first."""

MAX_BYTES: Final = 256 * 1024
"""Largest event accepted, in bytes; the largest that the contract allows in earnest is below 20 kB."""

_KNOWN = {name: frozenset(get_type_hints(get_type_hints(cls)["data"])) for name, cls in EVENT_TYPES.items()}
_TIMES = ("starts_at", "started_at", "until")


def decode(
    value: bytes | None,
    headers: Iterable[tuple[str, bytes]] = (),
    *,
    now: datetime,
    instruments: Instruments,
    clinic: str | None = None,
    upcasters: Mapping[str, Upcaster] = UPCASTERS,
) -> Accepted | Refusal:
    """Decodes one CloudEvent, structured or binary (`ce_*` or `ce-*` headers), and checks it against the contract.

    `now` is the clock against which the future is judged. `clinic`, where given, is the only tenant that `source` may
    name (HTTP keys). Never raises for input, however broken.
    """
    if value is None:
        return Refusal("not_json", "$", "The record has no value; send the event as a JSON object.")
    if len(value) > MAX_BYTES:
        return Refusal("too_large", "$", f"The event is {len(value)} bytes; at most {MAX_BYTES} are accepted.")
    try:
        raw = msgspec.json.decode(value) if value else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return Refusal("not_json", "$", "The value is not valid JSON in UTF-8; numbers must be finite.")
    attributes = _binary_attributes(headers)
    if attributes:
        raw = attributes | {"data": raw}
    return _check(raw, now, instruments, clinic, upcasters)


def _binary_attributes(headers: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    found = {}
    for name, content in headers:
        lower = name.lower()
        if lower.startswith(("ce_", "ce-")) and content is not None:
            found[lower[3:]] = content.decode("utf-8", "replace")
    return found if "type" in found or "id" in found else {}


def _check(
    raw: object, now: datetime, instruments: Instruments, clinic: str | None, upcasters: Mapping[str, Upcaster]
) -> Accepted | Refusal:
    if not isinstance(raw, dict):
        return Refusal("not_an_object", "$", "Send the event as one JSON object.")
    raw = {name: content for name, content in raw.items() if content is not None}
    for _ in range(len(upcasters) + 1):
        name = raw.get("type")
        if not isinstance(name, str) or name not in upcasters:
            break
        raw = upcasters[name](raw)
    if name is None:
        return Refusal("missing", "$.type", "Add the attribute `type`.")
    cls = EVENT_TYPES.get(name) if isinstance(name, str) else None
    if cls is None:
        return Refusal("unknown_type", "$.type", "Use one of the types of the contract (`keepwell schema` lists them).")
    data = raw.get("data", {})
    if not isinstance(data, dict):
        return Refusal("invalid", "$.data", "Send `data` as a JSON object.")
    raw["data"] = data = {member: _whole(content) for member, content in data.items() if content is not None}
    try:
        event: Any = msgspec.convert(raw, cls)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        return _explain(str(error))
    refusal = _check_times(event, now) or _check_origin(event, clinic) or _check_scores(event, instruments)
    if refusal:
        return refusal
    return Accepted(event, sum(member not in _KNOWN[name] for member in data))


def _whole(content: Any) -> Any:
    """In JSON 2.0 is the integer 2, and senders that know only floats write it so."""
    return int(content) if type(content) is float and content.is_integer() and abs(content) < 2**53 else content


def _check_times(event: Event, now: datetime) -> Refusal | None:
    data: Data = event.data  # type: ignore[attr-defined]  # every event class declares its own data
    for name in _TIMES:
        moment = getattr(data, name, None)
        if moment is not None and not EARLIEST <= moment < LATEST:
            return Refusal("time_out_of_range", f"$.data.{name}", "Send a moment between 1970 and 2200.")
    if event.time < EARLIEST:
        return Refusal("time_out_of_range", "$.time", "Send a moment after 1970.")
    if event.time - now > FUTURE_TOLERANCE:
        return Refusal(
            "future_time", "$.time", "`time` lies more than 24 h ahead of the clock; send it when it happened."
        )
    return None


def _check_origin(event: Event, clinic: str | None) -> Refusal | None:
    if type(event) is ClockTicked or type(event) is ModelPromoted:
        return Refusal("control_type", "$.type", "This type is written by Keepwell only; do not send it.")
    if clinic is not None and event.clinic != clinic:
        return Refusal("foreign_source", "$.source", "`source` must begin with the clinic that the key belongs to.")
    return None


def _check_scores(event: Event, instruments: Instruments) -> Refusal | None:
    if not isinstance(event, MeasureCompleted):
        return None
    instrument = instruments.get(event.clinic, event.data.instrument)
    if instrument is None:
        return None
    for scale, score in event.data.scores.items():
        limits = instrument.limits(scale)
        if limits is not None and not limits[0] <= score <= limits[1]:
            where = f"$.data.scores.{scale}"
            return Refusal("score_out_of_range", where, f"The scale runs from {limits[0]:g} to {limits[1]:g}.")
    return None


_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>\w+)`")


def _explain(message: str) -> Refusal:
    """A refusal from a msgspec message, without the value it may quote (`Invalid enum value 'x'`)."""
    match = _PLACE.match(message)
    what, path = (match["what"], match["path"] or "$") if match else (message, "$")
    missing = _MISSING.search(what)
    if missing:
        field = missing["field"]
        return Refusal("missing", f"{path}.{field}", f"Add the required member `{field}`.")
    if "RFC3339" in what or "timezone component" in what:
        return Refusal("invalid", path, "Send a moment as RFC 3339 with offset, such as 2026-03-02T10:00:00Z.")
    if what.startswith("Expected "):
        return Refusal("invalid", path, f"{what}.")
    if what.startswith("Invalid enum value"):
        return Refusal("invalid", path, "Use one of the values that the contract lists for this member.")
    return Refusal("invalid", path, "The value does not fit the contract's type for this member.")
