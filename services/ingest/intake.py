"""What a request to the HTTP intake says: its body split into events, each judged on its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from keepwell.contract.bindings import CHARSETS, MARKS, STRUCTURED, media_type
from keepwell.contract.decode import KnownScales, decode
from keepwell.contract.refusal import Refusal
from keepwell.streams.log import Header, Message

ONE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
LINES: Final = "application/x-ndjson"
JSON: Final = "application/json"
MEDIA_TYPES: Final = (ONE, BATCH, LINES, JSON)


class RequestItem(NamedTuple):
    """One event of a request, as it will stand in the log: its untouched bytes, and `ce_*` headers in binary mode."""

    value: bytes
    headers: tuple[Header, ...] = ()


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event of a request. `id` is null where none could be read."""

    id: str | None
    status: Literal["accepted", "refused"]
    code: str | None = None
    path: str | None = None
    detail: str | None = None


class Judged(NamedTuple):
    """One result an event, in the order of the request, and what is to be written of the accepted ones."""

    results: list[Result]
    messages: list[Message]


class Unreadable(ValueError):
    """The request as a whole cannot be split into events; the message says what to change."""


class Unsupported(ValueError):
    """The request's content type is none of `MEDIA_TYPES`, or its charset is not UTF-8."""


def split(content_type: str | None, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> list[RequestItem]:
    """The events of a request. Its content type tells the mode: one of CloudEvents or JSON lines goes before `ce-…` headers.

    Raises `Unsupported` or `Unreadable`. What is inside an event is not looked at here.
    """
    media, charset = media_type(content_type or "")
    if charset not in CHARSETS:
        raise Unsupported(f"Send UTF-8 as one of: {', '.join(MEDIA_TYPES)}.")
    attributes = tuple(_attribute(name, content) for name, content in headers if name.lower().startswith(b"ce-"))
    if _is_json_or_unnamed(media) and any(name.removeprefix("ce_") in MARKS for name, _ in attributes):
        return [RequestItem(body, attributes)]
    if media not in MEDIA_TYPES:
        raise Unsupported(f"Send UTF-8 as one of: {', '.join(MEDIA_TYPES)}.")
    if media == LINES:
        items = [RequestItem(line) for line in map(bytes.strip, body.split(b"\n")) if line]
    elif media == BATCH or (media == JSON and body.lstrip()[:1] == b"["):
        items = [RequestItem(bytes(raw)) for raw in _array(body)]
    else:
        items = [RequestItem(body)] if body.strip() else []
    if not items:
        raise Unreadable("The request holds no event.")
    return items


def judge(items: Sequence[RequestItem], topic: str, clinic: str, now: datetime, instruments: KnownScales) -> Judged:
    """Checks each event as the ingest worker will, and that its `source` belongs to `clinic`."""
    results: list[Result] = []
    messages: list[Message] = []
    for value, headers in items:
        checked = decode(value, headers, now=now, instruments=instruments, clinic=clinic)
        if isinstance(checked, Refusal):
            results.append(Result(_id_of(value, headers), "refused", *checked))
            continue
        results.append(Result(checked.event.id, "accepted"))
        messages.append(Message(topic, checked.event.subject.encode(), value, headers))
    return Judged(results, messages)


_Array: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Named(msgspec.Struct):
    id: str


def _array(body: bytes) -> list[msgspec.Raw]:
    try:
        return _Array.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable("The body is not a JSON array in UTF-8.") from error


def _is_json_or_unnamed(media: str) -> bool:
    """Whether a body of this media type can be the `data` of an event in binary mode."""
    return media in (JSON, "") or (media.endswith("+json") and not media.startswith(STRUCTURED))


_QUOTED: Final = re.compile(rb'\s*"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)


def _attribute(name: bytes, content: bytes) -> Header:
    """From the HTTP to the Kafka binding of CloudEvents 1.0: `ce-` becomes `ce_`; quotes, then percent-encoding are undone.

    The bytes stay bytes: whether they are UTF-8 is judged with the event, so that no identity is changed on the way.

    >>> _attribute(b"CE-Id", b'"visit \\\\"3\\\\" %C3%A4"')
    ('ce_id', b'visit "3" \\xc3\\xa4')
    """
    quoted = _QUOTED.fullmatch(content)
    plain = re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL) if quoted else content
    return f"ce_{name[3:].decode('latin-1').lower()}", unquote_to_bytes(plain)


def _id_of(value: bytes, headers: Sequence[Header]) -> str | None:
    if headers:
        return next((_text(content) for name, content in headers if name == "ce_id"), None)
    try:
        return msgspec.json.decode(value, type=_Named).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
