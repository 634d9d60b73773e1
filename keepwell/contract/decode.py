"""Decoding what others sent: a CloudEvent becomes an accepted event, or a refusal that tells the sender what to change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, get_type_hints

import msgspec

from keepwell.contract.events import (
    EARLIEST,
    EVENT_TYPES,
    FUTURE_TOLERANCE,
    LATEST,
    AnyEvent,
    ControlEvent,
    Data,
    Event,
    MeasureCompleted,
)


class Scales(Protocol):
    """What decoding asks of an instrument: the range of a scale, None for one that is not interpreted."""

    def limits(self, scale: str) -> tuple[float, float] | None: ...


class KnownScales(Protocol):
    """Finds the instrument that a clinic means by a name; None for one that nobody registered."""

    def get(self, clinic: str, name: str) -> Scales | None: ...


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
    instruments: KnownScales,
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
    raw: object, now: datetime, instruments: KnownScales, clinic: str | None, upcasters: Mapping[str, Upcaster]
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
    if isinstance(event, ControlEvent):
        return Refusal("control_type", "$.type", "This type is written by Keepwell only; do not send it.")
    if clinic is not None and event.clinic != clinic:
        return Refusal("foreign_source", "$.source", "`source` must begin with the clinic that the key belongs to.")
    return None


def _check_scores(event: Event, instruments: KnownScales) -> Refusal | None:
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
