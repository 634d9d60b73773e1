"""The rules of the HTTP intake."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from keepwell.care.instruments import Instruments
from keepwell.streams.log import Doubt, LogError, partition_for
from keepwell.streams.memory import MemoryLog
from keepwell.streams.worker.process import Check
from services.ingest.step import IngestProcessor
from tests.services.ingest.conftest import TOPICS, Door
from tests.services.ingest.events import NOW, event, text

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"


def test_an_accepted_event_stands_in_the_log_untouched_under_its_subject(door: Door) -> None:
    body = b" " + text(extension="kept")
    answer = door.post(body)
    assert (answer.status_code, answer.json()) == (202, {"results": [{"id": "ev-1", "status": "accepted"}]})
    (record,) = door.written()
    assert (record.key, record.value, record.headers) == (b"ep-17", body, ())
    assert record.partition.number == partition_for(b"ep-17", 2)


@pytest.mark.parametrize(
    ("media", "body"),
    [
        (BATCH, b"[" + text(id="a") + b", " + text(id="b") + b"]"),
        ("application/json", b"\n[" + text(id="a") + b"," + text(id="b") + b"]"),
        (LINES, text(id="a") + b"\r\n\n" + text(id="b") + b"\n"),
        ("Application/X-NDJSON; charset=UTF-8", text(id="a") + b"\n" + text(id="b")),
    ],
)
def test_a_batch_is_accepted_in_every_form_and_in_order(door: Door, media: str, body: bytes) -> None:
    answer = door.post(body, media)
    assert answer.status_code == 202
    assert [result["id"] for result in answer.json()["results"]] == ["a", "b"]
    assert [record.value for record in door.written()] == [text(id="a"), text(id="b")]


def test_a_binary_event_reaches_the_worker_as_the_same_event(door: Door) -> None:
    attributes = {f"ce_{name}": content for name, content in event(data=None).items()}
    attributes["ce_id"] = "caf%C3%A9%20%221%22"
    answer = door.post(b'{"completion": 0.5}', **attributes)
    assert answer.status_code == 202
    assert answer.json()["results"][0]["id"] == 'café "1"'
    step = IngestProcessor(TOPICS, 2, Instruments(), lambda: NOW).step(0, door.written())
    assert json.loads(step.messages[0].value or b"") == event(id='café "1"')


def test_a_binary_event_needs_no_body_where_its_type_needs_no_data(door: Door) -> None:
    attributes = {
        f"ce_{name}": content
        for name, content in event(type="keepwell.homework.assigned.v1", data=None).items()
    }  # fmt: skip
    assert door.post(b"", None, **attributes).status_code == 202


@pytest.mark.parametrize("raw", [b"besuch-%E4", b"besuch-\xe4", b'"besuch-\xf6"', b"besuch-%C3"])
def test_an_id_that_is_not_utf_8_is_refused_and_never_changed(door: Door, raw: bytes) -> None:
    answer = door.post_binary(b'{"completion": 0.5}', event(data=None, id=None), ("ce-id", raw))
    assert answer.status_code == 422
    (result,) = answer.json()["results"]
    assert (result["id"], result["code"], result["path"]) == (None, "not_utf8", "$.id")
    assert not door.written()


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        (b"besuch-%C3%A4", "besuch-ä"),
        ("besuch-ä".encode(), "besuch-ä"),
        (b"besuch-%c3%a4", "besuch-ä"),
        (b'"visit 3"', "visit 3"),
        (b'"visit \\"3\\""', 'visit "3"'),
        (b'"100%25"', "100%"),
        (b"100%", "100%"),
        (b"%2541", "%41"),
        (b"a+b", "a+b"),
    ],
)
def test_a_header_is_unquoted_and_percent_decoded_once_and_the_worker_reads_the_same(
    door: Door, raw: bytes, meant: str
) -> None:
    answer = door.post_binary(b'{"completion": 0.5}', event(data=None, id=None), ("ce-id", raw))
    assert (answer.status_code, answer.json()["results"][0]["id"]) == (202, meant)
    step = IngestProcessor(TOPICS, 2, Instruments(), lambda: NOW).step(0, door.written())
    assert json.loads(step.messages[0].value or b"")["id"] == meant


@pytest.mark.parametrize("media", [ONE, "application/CloudEvents+json; charset=UTF-8", LINES, BATCH])
def test_a_content_type_of_cloudevents_is_structured_whatever_headers_stand_beside(door: Door, media: str) -> None:
    body = b"[" + text() + b"]" if media == BATCH else text()
    answer = door.post(body, media, ce_id="other", ce_type="keepwell.homework.assigned.v1", ce_specversion="1.0")
    assert answer.json() == {"results": [{"id": "ev-1", "status": "accepted"}]}
    (record,) = door.written()
    assert record.headers == ()
    step = IngestProcessor(TOPICS, 2, Instruments(), lambda: NOW).step(0, [record])
    assert json.loads(step.messages[0].value or b"") == event()


def test_a_header_that_no_event_needs_does_not_make_a_request_binary(door: Door) -> None:
    answer = door.post(b"[" + text(id="a") + b"," + text(id="b") + b"]", ce_traceparent="00-1")
    assert [result["id"] for result in answer.json()["results"]] == ["a", "b"]


def test_the_data_of_a_binary_event_may_be_any_json_and_nothing_else(door: Door) -> None:
    attributes, data = event(data=None), b'{"completion": 0.5}'
    assert door.post_binary(data, attributes, media="application/vnd.clinic+json").status_code == 202
    for media in ("text/plain", "application/json; charset=latin-1", "application/avro"):
        assert door.post_binary(data, attributes, media=media).status_code == 415


def test_data_in_base64_is_decoded_by_the_worker_as_by_the_intake(door: Door) -> None:
    coded = b64encode(b'{"completion": 0.5}').decode()
    assert door.post(text(data=None, data_base64=coded), ONE).status_code == 202
    step = IngestProcessor(TOPICS, 2, Instruments(), lambda: NOW).step(0, door.written())
    assert json.loads(step.messages[0].value or b"") == event()


def test_everything_accepted_over_http_is_accepted_by_the_worker(door: Door) -> None:
    lines = [text(id="a"), b"{", text(id="b", time=None), text(id="c", corrects="a"), b"[1]", b"null"]
    answer = door.post(b"\n".join(lines), LINES)
    accepted = [result for result in answer.json()["results"] if result["status"] == "accepted"]
    step = IngestProcessor(TOPICS, 2, Instruments(), lambda: NOW).step(0, door.written())
    assert (len(accepted), step.accepted, step.refused) == (2, 2, 0)


def test_a_mixed_batch_is_answered_item_by_item_and_only_the_good_are_written(door: Door) -> None:
    answer = door.post(b"[" + text(id="a") + b"," + text(id="b", time="2026-03-02T10:00:00") + b", 7]")
    assert answer.status_code == 207
    good, bad, worse = answer.json()["results"]
    assert good == {"id": "a", "status": "accepted"}
    assert (bad["id"], bad["code"], bad["path"]) == ("b", "invalid", "$.time")
    assert "RFC 3339 with offset" in bad["detail"]
    assert (worse["id"], worse["code"]) == (None, "not_an_object")
    assert [record.value for record in door.written()] == [text(id="a")]


def test_the_same_event_sent_twice_is_accepted_twice(door: Door) -> None:
    assert [door.post(text()).status_code for _ in range(2)] == [202, 202]
    assert [record.value for record in door.written()] == [text(), text()]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (text()[:-3], "not_json"),
        (b'{"id": "\xff"}', "not_json"),
        (text().replace(b"0.5", b"NaN"), "not_json"),
        (text().replace(b"0.5", b"1e999"), "not_json"),
        (text(data={"completion": 10**300}), "invalid"),
        (text(data={"completion": "half"}), "invalid"),
        (text(data={}), "missing"),
        (text(subject=None), "missing"),
        (text(type="keepwell.homework.eaten.v1"), "unknown_type"),
        (text(type="keepwell.clock.ticked.v1", data={}), "control_type"),
        (text(time="2026-03-02T10:00:00"), "invalid"),
        (text(time="2026-03-03T12:00:01Z"), "future_time"),
        (text(data={"completion": 0.5, "padding": "x" * 300_000}), "too_large"),
    ],
)
def test_a_refused_event_is_answered_and_written_nowhere(door: Door, body: bytes, code: str) -> None:
    answer = door.post(body, ONE)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [result["code"] for result in answer.json()["results"]] == [code]
    assert not door.written()


def test_an_answer_quotes_no_value_of_the_event(door: Door) -> None:
    answer = door.post(text(data={"completion": "Jane Doe"}, subject="Jane Doe", type="Jane Doe"))
    assert "Jane" not in answer.text


def test_a_key_opens_the_door_for_its_own_clinic_only(door: Door) -> None:
    foreign = text(source="/south/booking")
    answer = door.post(foreign)
    assert (answer.status_code, answer.json()["results"][0]["code"]) == (403, "foreign_source")
    answer = door.post(b"[" + text() + b"," + foreign + b"]")
    assert [result.get("code") for result in answer.json()["results"]] == [None, "foreign_source"]
    assert len(door.written()) == 1


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer kw_x_y", "Basic {token}", "Bearer {token}x", "{token}", "Bearer kw_é_é"],
)
def test_a_wrong_key_is_refused_before_the_body_is_looked_at(door: Door, authorization: str | None) -> None:
    headers = (
        {} if authorization is None else {"authorization": authorization.format(token=door.token).encode("latin-1")}
    )
    answer = door.request("POST", "/v1/events", content=b"{", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["title"] == "Unauthorized"


def test_keys_are_rotated_and_revoked_without_a_restart(door: Door) -> None:
    fresh = door.keys.rotate("north", NOW, timedelta(hours=1))
    assert [door.post(text(), token=token).status_code for token in (door.token, fresh.token)] == [202, 202]
    door.keys.rotate("north", NOW, timedelta(0))
    assert [door.post(text(), token=token).status_code for token in (door.token, fresh.token)] == [401, 401]
    last = door.keys.issue("north", NOW)
    assert door.post(text(), token=last.token).status_code == 202
    door.keys.revoke(last.key.id)
    assert door.post(text(), token=last.token).status_code == 401


@pytest.mark.parametrize("media", [None, "text/plain", "application/xml", "application/json; charset=latin-1", ";"])
def test_an_unknown_content_type_is_told_the_known_ones(door: Door, media: str | None) -> None:
    answer = door.post(text(), media)
    assert answer.status_code == 415
    assert LINES in answer.json()["detail"]


def test_a_compressed_body_is_not_read(door: Door) -> None:
    assert door.post(b"\x1f\x8b", content_encoding="gzip").status_code == 415


@pytest.mark.parametrize(
    ("media", "body"),
    [(BATCH, b"[1,"), (BATCH, text()), (BATCH, b"[]"), (LINES, b" \n\r\n"), (ONE, b"  "), ("application/json", b"[" * 10**5)],
)  # fmt: skip
def test_a_body_that_holds_no_events_is_refused_whole(door: Door, media: str, body: bytes) -> None:
    assert door.post(body, media).status_code == 400


def test_a_body_above_the_limit_is_not_read(door: Door) -> None:
    answer = door.post(text(data={"completion": 0.5, "padding": "x" * 5_000_000}))
    assert (answer.status_code, answer.json()["title"]) == (413, "Request Entity Too Large")


def test_a_body_without_a_length_is_cut_off_at_the_limit(open_door: Callable[..., Door]) -> None:
    door = open_door(max_body_bytes=1024)
    headers = {"authorization": f"Bearer {door.token}", "content-type": LINES}

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield text() + b"\n"

    assert door.request("POST", "/v1/events", content=chunks(), headers=headers).status_code == 413
    assert not door.written()


def test_a_batch_above_the_limit_is_refused_whole(open_door: Callable[..., Door]) -> None:
    door = open_door(max_batch=2)
    assert door.post(b"\n".join([text()] * 3), LINES).status_code == 413
    assert not door.written()


def test_a_key_that_sends_too_fast_is_told_when_to_come_back_and_others_are_not_held_up(
    open_door: Callable[..., Door],
) -> None:
    door = open_door(max_batch=2, burst=3, rate=0.001)
    other = door.keys.issue("north", NOW).token
    assert door.post(b"\n".join([text()] * 2), LINES).status_code == 202
    answer = door.post(b"\n".join([text()] * 2), LINES)
    assert answer.status_code == 429
    assert 990 <= int(answer.headers["retry-after"]) <= 1000
    assert len(door.written()) == 2
    assert door.post(text(), token=other).status_code == 202


@pytest.mark.parametrize(("error", "said"), [(LogError("down"), "Nothing was written"), (Doubt("?"), "may have")])
def test_a_log_that_does_not_accept_is_told_and_nothing_is_claimed(
    open_door: Callable[..., Door], error: LogError, said: str
) -> None:
    log = MemoryLog()
    door = open_door(log)

    def broken(call: str) -> None:
        if call == "append.before":
            raise error

    log.faults = broken
    answer = door.post(text())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert said in answer.json()["detail"]
    assert "results" not in answer.json()
    log.faults = None
    assert door.post(text()).status_code == 202


def test_a_fault_of_the_intake_is_a_problem_that_quotes_nothing(open_door: Callable[..., Door]) -> None:
    log = MemoryLog()
    door = open_door(log)

    def broken(_call: str) -> None:
        raise RuntimeError("Jane Doe")

    log.faults = broken
    answer = door.post(text())
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    assert "Jane" not in answer.text


def test_a_wrong_path_or_method_is_a_problem_too(door: Door) -> None:
    for answer, status in ((door.get("/nowhere"), 404), (door.get("/v1/events"), 405)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert door.request("PUT", "/v1/events").headers["allow"] == "POST"


def test_the_health_pages_tell_how_the_service_is(door: Door) -> None:
    assert door.get("/livez").status_code == 200
    assert door.get("/readyz").json() == {"ok": True, "why": "2 partitions"}
    door.ready = Check(False, "restoring 1 partitions")
    assert door.get("/readyz").status_code == 503


def test_the_metrics_count_requests_and_events(door: Door) -> None:
    def counted(line: str) -> float:
        page = door.get("/metrics").text.splitlines()
        return sum(float(found.rpartition(" ")[2]) for found in page if found.startswith(line))

    lines = ('keepwell_http_events_total{result="accepted"}', 'keepwell_http_events_total{result="missing"}')
    before = [counted(line) for line in lines]
    door.post(b"[" + text() + b"," + text(time=None) + b"," + text(id="b") + b"]")
    assert [counted(line) - past for line, past in zip(lines, before, strict=True)] == [2, 1]
    assert counted('keepwell_http_requests_total{service="ingest",status="207"}') >= 1


def test_what_is_logged_of_a_request_holds_no_pseudonym(door: Door, caplog: Any, capfd: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        door.post(b"[" + text(subject="secret-1") + b"," + text(subject="secret-2", id="secret-3", time=None) + b"]")
    logged = caplog.text + "".join(capfd.readouterr())
    assert "intake.request" in logged
    assert "secret" not in logged
