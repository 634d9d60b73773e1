"""How a CloudEvent stands in a record or request: structured, or binary with its attributes as headers."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from keepwell.contract.refusal import Refusal

STRUCTURED: Final = "application/cloudevents"
"""Beginning of the content types of structured mode. They decide, whatever headers stand beside."""

MARKS: Final = frozenset(("specversion", "id", "source", "type"))
"""Attributes that every event has: without one of them as a header a record is not in binary mode."""
_ATTRIBUTES: Final = MARKS | {"subject", "time", "corrects", "traceparent"}
CHARSETS: Final = frozenset(("utf-8", "utf8", "us-ascii"))
"""Charsets that are UTF-8, or a part of it."""


def unwrap(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> dict[str, Any] | Refusal:
    """The attributes and `data` of the event in a record, as JSON has them; nothing of it is checked yet.

    Headers are those of Kafka (`ce_…`); `ce-…` is taken too. Their values are UTF-8, and not percent-encoded.
    """
    content_type, attributes = "", []
    for name, content in headers:
        name = name.lower()  # noqa: PLW2901  # names differ in case only by the client that wrote them
        if content is None:
            continue
        if name == "content-type":
            content_type = content.decode("latin-1").lower()
        elif name.startswith(("ce_", "ce-")):
            attributes.append((name[3:], content))
    media, charset = media_type(content_type) if content_type else ("", "utf-8")
    if charset not in CHARSETS:
        return Refusal("not_utf8", "$", "Send UTF-8, and say no other charset.")
    if media.startswith(STRUCTURED) or not any(name in MARKS for name, _ in attributes):
        return _structured(value)
    return _binary(value, attributes)


def media_type(content_type: str) -> tuple[str, str]:
    """The media type and charset of a content type; a charset that is not named is UTF-8.

    >>> media_type('Application/JSON; charset="UTF-8"')
    ('application/json', 'utf-8')
    """
    media, *rest = content_type.lower().split(";")
    parameters = (parameter.partition("=") for parameter in rest)
    named = {name.strip(): content.strip().strip('"') for name, _, content in parameters}
    return media.strip(), named.get("charset", "utf-8")


def _structured(value: bytes | None) -> dict[str, Any] | Refusal:
    if value is None:
        return Refusal("not_json", "$", "The record has no value; send the event as a JSON object.")
    raw = _json(value, "$") if value else None
    if isinstance(raw, Refusal):
        return raw
    if not isinstance(raw, dict):
        return Refusal("not_an_object", "$", "Send the event as one JSON object.")
    coded = raw.pop("data_base64", None)
    if coded is None:
        return raw
    if raw.get("data") is not None:
        return Refusal("invalid", "$.data_base64", "Send `data` or `data_base64`, not both.")
    try:
        plain = b64decode(coded, validate=True) if isinstance(coded, str) else None
    except ValueError:
        plain = None
    if plain is None:
        return Refusal("invalid", "$.data_base64", "Send base64 of a JSON object here, or the object itself as `data`.")
    return _with_data(raw, plain, "$.data_base64")


def _binary(value: bytes | None, attributes: Iterable[tuple[str, bytes]]) -> dict[str, Any] | Refusal:
    raw: dict[str, Any] = {}
    for name, content in attributes:
        path = f"$.{name}" if name in _ATTRIBUTES else "$"
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return Refusal("not_utf8", path, "Send the values of headers in UTF-8.")
        if name in ("data", "data_base64"):
            return Refusal("invalid", f"$.{name}", "In binary mode send the data as the value, not as a header.")
        if raw.setdefault(name, text) != text and name in _ATTRIBUTES:
            return Refusal("invalid", path, "This header stands there twice with different values; send it once.")
    return _with_data(raw, value or b"", "$.data")


def _with_data(raw: dict[str, Any], data: bytes, path: str) -> dict[str, Any] | Refusal:
    """The attributes with the JSON of the data, where there is any."""
    content = _json(data, path) if data else None
    return content if isinstance(content, Refusal) else raw | {"data": content}


def _json(value: bytes, path: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return Refusal("not_json", path, "The value is not valid JSON in UTF-8; numbers must be finite.")
