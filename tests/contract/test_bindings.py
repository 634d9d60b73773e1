"""The bindings of CloudEvents: which part of a record or request is which part of the event."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import decode
from tests.contract.examples import NOW, SENT, accepted, golden, refused

ATTENDED = "keepwell.session.attended.v1"
STRUCTURED = "application/cloudevents+json"


def binary(event: dict[str, Any], *more: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    """The headers of an event in binary mode over Kafka."""
    return [(f"ce_{name}", text.encode()) for name, text in event.items() if name != "data"] + list(more)


# ── which mode ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
@pytest.mark.parametrize(
    "media",
    [STRUCTURED, "Application/CloudEvents+JSON", f"{STRUCTURED}; charset=UTF-8", f'{STRUCTURED};charset="utf-8"'],
)
def test_a_structured_content_type_decides_whatever_headers_stand_beside(name: str, media: str) -> None:
    event = golden(ATTENDED)
    beside = [*binary(golden("keepwell.homework.assigned.v1")), (name, media.encode())]
    assert accepted(event, headers=beside) == accepted(event)


@pytest.mark.parametrize("media", [b"application/json", b"application/json; charset=utf-8", b"application/x+json"])
def test_with_any_other_content_type_the_headers_make_it_binary(media: bytes) -> None:
    event = golden(ATTENDED)
    headers = binary(event, ("Content-Type", media))
    assert accepted(json.dumps(event["data"]).encode(), headers=headers) == accepted(event)


def test_a_structured_event_needs_no_content_type_and_no_attribute_that_every_event_has() -> None:
    assert accepted(golden(ATTENDED), headers=[("ce_traceparent", b"00"), ("ce_x", b"\xff")]) == accepted(
        golden(ATTENDED)
    )


def test_a_structured_value_under_a_structured_content_type_must_be_one_event() -> None:
    headers = binary(golden(ATTENDED), ("content-type", STRUCTURED.encode()))
    assert refused(b"[]", headers=headers).code == "not_an_object"


@pytest.mark.parametrize("media", [f"{STRUCTURED}; charset=latin-1", "application/json; charset=utf-16"])
def test_another_charset_is_refused(media: str) -> None:
    event = golden(ATTENDED)
    for value, headers in ((event, []), (json.dumps(event["data"]).encode(), binary(event))):
        assert refused(value, headers=[*headers, ("content-type", media.encode())]).code == "not_utf8"


# ── headers ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("attribute", ["id", "source", "subject", "type", "corrects", "extension"])
def test_a_header_that_is_not_utf_8_is_refused_and_no_identity_is_changed(attribute: str) -> None:
    headers = [*binary({**golden(ATTENDED), attribute: "x"})]
    headers = [(name, b"besuch-\xe4" if name == f"ce_{attribute}" else text) for name, text in headers]
    outcome = refused(b"{}", headers=headers)
    assert outcome[:2] == ("not_utf8", "$" if attribute == "extension" else f"$.{attribute}")


def test_percent_signs_over_kafka_are_part_of_the_value() -> None:
    event = {**golden(ATTENDED), "id": "100%25 ä"}
    assert accepted(json.dumps(event["data"]).encode(), headers=binary(event)).event.id == "100%25 ä"


def test_an_attribute_that_stands_there_twice_with_different_values_is_refused() -> None:
    event = golden(ATTENDED)
    data = json.dumps(event["data"]).encode()
    assert refused(data, headers=binary(event, ("ce-id", b"another")))[:2] == ("invalid", "$.id")
    accepted(data, headers=binary(event, ("ce-id", event["id"].encode())))


@pytest.mark.parametrize("member", ["data", "data_base64"])
def test_data_as_a_header_is_refused_and_never_dropped(member: str) -> None:
    event = golden(ATTENDED)
    assert refused(None, headers=binary(event, (f"ce_{member}", b"e30=")))[:2] == ("invalid", f"$.{member}")


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [None, b"", b"null"])
def test_a_binary_record_without_a_value_has_no_data(value: bytes | None) -> None:
    event = golden("keepwell.homework.assigned.v1", "minimal")
    outcome = accepted(event)
    assert decode(value, binary(event), now=NOW, instruments=Instruments()) == outcome
    assert refused(b"", headers=binary(golden("keepwell.measure.completed.v1")))[:2] == ("missing", "$.data.instrument")


@pytest.mark.parametrize("name", SENT)
def test_json_in_base64_is_the_data_of_a_structured_event(name: str) -> None:
    event = golden(name)
    coded = b64encode(json.dumps(event.pop("data")).encode()).decode()
    assert accepted(event | {"data_base64": coded}) == accepted(golden(name))
    assert accepted(event | {"data_base64": coded, "data": None}) == accepted(golden(name))


@pytest.mark.parametrize(
    ("coded", "code"),
    [
        ("{}", "invalid"),
        ("e30", "invalid"),
        ("e30=\n", "invalid"),
        ("ä", "invalid"),
        (7, "invalid"),
        ({"a": 1}, "invalid"),
        (b64encode(b"not json").decode(), "not_json"),
        (b64encode(b"\xff\xfe").decode(), "not_json"),
        (b64encode(b"[" * 100_000).decode(), "not_json"),
    ],
)
def test_what_is_not_base64_or_not_json_in_it_is_refused(coded: object, code: str) -> None:
    event = golden(ATTENDED)
    del event["data"]
    assert refused(event | {"data_base64": coded})[:2] == (code, "$.data_base64")


def test_base64_of_something_else_than_an_object_is_refused() -> None:
    event = golden(ATTENDED)
    del event["data"]
    for wrong in (b"[1]", b"7", b'"{}"'):
        assert refused(event | {"data_base64": b64encode(wrong).decode()}).path == "$.data"


def test_data_and_data_in_base64_together_are_refused() -> None:
    assert refused(golden(ATTENDED) | {"data_base64": "e30="})[:2] == ("invalid", "$.data_base64")


def test_json_written_as_a_text_is_refused_with_what_to_send_instead() -> None:
    event = golden("keepwell.measure.completed.v1")
    outcome = refused(event | {"data": json.dumps(event["data"])})
    assert outcome == (
        "invalid",
        "$.data",
        "`data` is a text; send the JSON object itself, not JSON written as a text.",
    )
    headers = binary(event)
    assert refused(json.dumps(json.dumps(event["data"])).encode(), headers=headers) == outcome
