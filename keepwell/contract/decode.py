"""Decoding what others sent: a CloudEvent becomes an accepted event, or a refusal that tells the sender what to change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, get_type_hints

import msgspec

from keepwell.contract.bindings import unwrap
from keepwell.contract.events import (
    CONTROL_TYPES,
    EARLIEST,
    EVENT_TYPES,
    FUTURE_TOLERANCE,
    LATEST,
    PSEUDONYM_PATTERN,
    UPCASTERS,
    AlertActioned,
    AnyEvent,
    Event,
    MeasureCompleted,
    Pseudonym,
    Time,
    Upcaster,
    data_of,
    members_of,
    upcast,
)
from keepwell.contract.refusal import Refusal, explain, in_words


class Scales(Protocol):
    """What decoding asks of an instrument: what is wrong with the scores of a measure, if anything is."""

    def refusal(self, scores: Mapping[str, float]) -> Refusal | None: ...


class KnownScales(Protocol):
    """Finds the instrument that a clinic means by a name; None for one that nobody registered."""

    def get(self, clinic: str, name: str) -> Scales | None: ...


class Accepted(NamedTuple):
    """An accepted event, and the number of members of `data` that the contract does not know (ignored, but counted)."""

    event: AnyEvent
    unknown: int


MAX_BYTES: Final = 256 * 1024
"""Largest event accepted, in bytes; the largest that the contract allows in earnest is below 20 kB."""


def decode(
    value: bytes | None,
    headers: Iterable[tuple[str, bytes]] = (),
    *,
    now: datetime,
    instruments: KnownScales,
    clinic: str | None = None,
    upcasters: Mapping[str, Upcaster] = UPCASTERS,
) -> Accepted | Refusal:
    """Decodes one CloudEvent, structured or binary (`bindings.unwrap`), and checks it against the contract.

    `now` is the clock against which the future is judged. `clinic`, where given, is the only tenant that `source` may
    name (HTTP keys). Never raises for input, however broken.
    """
    if value is not None and len(value) > MAX_BYTES:
        return Refusal("too_large", "$", f"The event is {len(value)} bytes; at most {MAX_BYTES} are accepted.")
    raw = unwrap(value, headers)
    return raw if isinstance(raw, Refusal) else _check(raw, now, instruments, clinic, upcasters)


class _Form(NamedTuple):
    """What is checked of the data of a type beside its types, derived from them once."""

    known: frozenset[str]
    times: tuple[str, ...]
    pseudonyms: tuple[str, ...]


def _form(cls: type[Event]) -> _Form:
    data = data_of(cls)
    return _Form(frozenset(get_type_hints(data)), members_of(data, Time), members_of(data, Pseudonym))


_FORMS: Final[Mapping[type[Event], _Form]] = {cls: _form(cls) for cls in EVENT_TYPES.values()}
_SENT: Final = ", ".join(name.removeprefix("keepwell.") for name in EVENT_TYPES if name not in CONTROL_TYPES)


def _check(
    raw: dict[str, Any], now: datetime, instruments: KnownScales, clinic: str | None, upcasters: Mapping[str, Upcaster]
) -> Accepted | Refusal:
    raw = {name: content for name, content in raw.items() if content is not None}
    raw = upcast(raw, upcasters)
    name = raw.get("type")
    if name is None:
        return Refusal("missing", "$.type", "Add the attribute `type`.")
    cls = EVENT_TYPES.get(name) if isinstance(name, str) else None
    if cls is None:
        return Refusal("unknown_type", "$.type", f"Send `keepwell.` and one of: {_SENT}.")
    data = raw.get("data", {})
    if isinstance(data, str):
        return Refusal(
            "invalid", "$.data", "`data` is a text; send the JSON object itself, not JSON written as a text."
        )
    if not isinstance(data, dict):
        return Refusal("invalid", "$.data", "Send `data` as a JSON object.")
    raw["data"] = data = {member: _whole(content) for member, content in data.items() if content is not None}
    try:
        event: Any = msgspec.convert(raw, cls)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        return explain(error, cls, raw)
    refusal = (
        _check_times(event, now)
        or _check_origin(event, clinic)
        or _check_pseudonyms(event)
        or _check_answer(event)
        or _check_scores(event, instruments)
    )
    return refusal or Accepted(event, sum(member not in _FORMS[cls].known for member in data))


def _whole(content: Any) -> Any:
    """In JSON 2.0 is the integer 2, and senders that know only floats write it so."""
    return int(content) if type(content) is float and content.is_integer() and abs(content) < 2**53 else content


def _check_origin(event: Event, clinic: str | None) -> Refusal | None:
    if event.type in CONTROL_TYPES:
        return Refusal("control_type", "$.type", "This type is written by Keepwell only; do not send it.")
    if clinic is not None and event.clinic != clinic:
        return Refusal("foreign_source", "$.source", "`source` must begin with the clinic that the key belongs to.")
    return None


def _check_times(event: Event, now: datetime) -> Refusal | None:
    data = event.data  # type: ignore[attr-defined]  # every event class declares its own data
    for name in _FORMS[type(event)].times:
        moment = getattr(data, name)
        if moment is not None and not EARLIEST <= moment < LATEST:
            return Refusal("time_out_of_range", f"$.data.{name}", "Send a moment between 1970 and 2200.")
    if event.time < EARLIEST:
        return Refusal("time_out_of_range", "$.time", "Send a moment after 1970.")
    if event.time - now > FUTURE_TOLERANCE:
        return Refusal(
            "future_time", "$.time", "`time` lies more than 24 h ahead of the clock; send it when it happened."
        )
    return None


_is_pseudonym = re.compile(PSEUDONYM_PATTERN).match


def _check_pseudonyms(event: Event) -> Refusal | None:
    data = event.data  # type: ignore[attr-defined]  # as above
    for name in _FORMS[type(event)].pseudonyms:
        text = getattr(data, name)
        if text is not None and not _is_pseudonym(text):
            return Refusal("not_a_pseudonym", f"$.data.{name}", f"Send {in_words(Pseudonym)}.")
    return None


def _check_answer(event: Event) -> Refusal | None:
    if isinstance(event, AlertActioned) and event.data.reason is not None and event.data.action != "dismissed":
        return Refusal("invalid", "$.data.reason", "Send `reason` only with the action `dismissed`.")
    return None


def _check_scores(event: Event, instruments: KnownScales) -> Refusal | None:
    if not isinstance(event, MeasureCompleted):
        return None
    instrument = instruments.get(event.clinic, event.data.instrument)
    return None if instrument is None else instrument.refusal(event.data.scores)
