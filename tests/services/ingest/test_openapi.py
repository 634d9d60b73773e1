"""The OpenAPI document and the intake agree: whatever the document allows or forbids is sent, and each answer is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode

from services.ingest.intake import BATCH, LINES, ONE
from tests.services.ingest.conftest import Door

TIMES = ("time", "starts_at", "started_at", "until")
STATUSES = {
    # A batch is answered item by item: where some items are fit, 207 tells of the others.
    "negative_data_rejection": {"expected-statuses": ["400", "401", "403", "405", "413", "415", "422", "207"]},
}


@schemathesis.serializer(ONE, BATCH)
def as_json(_: schemathesis.SerializationContext, value: Any) -> bytes:
    return json.dumps(value).encode()


@schemathesis.serializer(LINES)
def as_a_line(_: schemathesis.SerializationContext, value: Any) -> bytes:
    return json.dumps(value).encode()


def fit(value: Any) -> Any:
    """The event as the key may send it at this time: what a JSON Schema cannot say."""
    if isinstance(value, list):
        return [fit(part) for part in value]
    if not isinstance(value, dict):
        return value
    known = {"source": "/north/x"} | dict.fromkeys(TIMES, "2026-03-02T10:00:00Z") | {"instrument": "ours"}
    changed = {
        name: known[name] if isinstance(content, str) and name in known else content for name, content in value.items()
    }
    if "reason" in changed and changed.get("action", "dismissed") != "dismissed":
        del changed["reason"]
    return changed | ({"data": fit(value["data"])} if "data" in value else {})


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/v1/events", GenerationMode.POSITIVE),
        ("/v1/events", GenerationMode.NEGATIVE),
        ("/livez", GenerationMode.POSITIVE),
        ("/readyz", GenerationMode.POSITIVE),
        ("/metrics", GenerationMode.POSITIVE),
    ],
)
def test_every_answer_keeps_to_the_document(open_door: Callable[..., Door], path: str, mode: GenerationMode) -> None:
    door = open_door(rate=1e9, burst=10**9)
    settled = {"checks": STATUSES, "headers": {"Authorization": f"Bearer {door.token}"}}
    document = schemathesis.openapi.from_asgi("/openapi.json", door.app, config=schemathesis.Config.from_dict(settled))
    operation = document[path]["POST" if path == "/v1/events" else "GET"]

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=60 if path == "/v1/events" else 5, deadline=None, suppress_health_check=list(HealthCheck))
    def sent_and_checked(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            case.body = fit(case.body)
        case.call_and_validate()

    sent_and_checked()


def test_every_example_of_the_document_is_accepted(door: Door) -> None:
    operation = door.app.openapi()["paths"]["/v1/events"]["post"]
    for media, content in operation["requestBody"]["content"].items():
        examples = (
            [content["example"]] if "example" in content else [e["value"] for e in content.get("examples", {}).values()]
        )
        for example in examples:
            assert door.post(json.dumps(example).encode(), media).status_code == 202


def test_every_example_of_an_answer_fits_its_schema(door: Door) -> None:
    document = door.app.openapi()
    for status, response in document["paths"]["/v1/events"]["post"]["responses"].items():
        (content,) = response["content"].values()
        Draft202012Validator({**content["schema"], "components": document["components"]}).validate(content["example"])
        assert content["example"].get("status", int(status)) == int(status)
