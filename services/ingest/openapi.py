"""What the OpenAPI document of the intake says: its schemas come from the types, its words and examples stand here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from keepwell.contract.events import CONTROL_TYPES, EVENT_TYPES
from keepwell.contract.schema import components
from services.ingest.intake import BATCH, JSON, LINES, ONE

_SCHEMAS: Final = "#/components/schemas/"
_EVENT: Final = {"$ref": f"{_SCHEMAS}Event"}
_EVENTS: Final = {"type": "array", "items": _EVENT, "minItems": 1}

_ATTENDED: Final = {
    "specversion": "1.0",
    "id": "ev-9911",
    "source": "/north/booking",
    "type": "keepwell.session.attended.v1",
    "subject": "ep-17",
    "time": "2026-03-02T10:50:00Z",
    "data": {"appointment_id": "ap-3", "minutes_late": 5},
}
_RATED: Final = {
    "specversion": "1.0",
    "id": "ev-9912",
    "source": "/north/measures",
    "type": "keepwell.measure.completed.v1",
    "subject": "ep-17",
    "time": "2026-03-02T10:52:00Z",
    "data": {"instrument": "SRS", "scores": {"total": 35.2, "goals": 9.1, "tasks": 8.8, "bond": 8.4}},
}
_TAKEN: Final = {"id": "ev-9911", "status": "accepted"}
_REFUSED: Final = {
    "id": "ev-9912",
    "status": "refused",
    "code": "score_out_of_range",
    "path": "$.data.scores.total",
    "detail": "The scale runs from 0 to 40.",
}


def _problem(status: int, title: str, detail: str, headers: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    example = {"title": title, "status": status, "detail": detail, **more}
    schema = "NothingAccepted" if "results" in more else "Problem"
    media = {"application/problem+json": {"schema": {"$ref": f"{_SCHEMAS}{schema}"}, "example": example}}
    return {"description": title, "content": media, "headers": {name: _HEADERS[name] for name in headers}}


_HEADERS: Final[Mapping[str, Any]] = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"required": True, "schema": {"const": "Bearer", "type": "string"}},
}


def _answer(description: str, *results: Mapping[str, str]) -> dict[str, Any]:
    media = {"schema": {"$ref": f"{_SCHEMAS}Answer"}, "example": {"results": list(results)}}
    return {"description": description, "content": {"application/json": media}}


EVENTS: Final = {
    "operationId": "sendEvents",
    "summary": "Send session events",
    "description": (
        "One CloudEvent, a JSON array of them, or JSON lines (the schema is that of each line). An event may also be sent "
        "in binary mode: its attributes as `ce-…` headers, its `data` as an `application/json` body. Each event is judged "
        "on its own; what is accepted is durable when the answer comes. `source` + `id` is the identity of an event, so "
        "sending again is always safe: after an error, a time-out or a 503, repeat the whole request."
    ),
    "security": [{"key": []}],
    "requestBody": {
        "required": True,
        "content": {
            ONE: {"schema": _EVENT, "example": _ATTENDED},
            BATCH: {"schema": _EVENTS, "example": [_ATTENDED, _RATED]},
            JSON: {
                "schema": {"anyOf": [_EVENT, _EVENTS]},
                "examples": {"one": {"value": _ATTENDED}, "batch": {"value": [_ATTENDED, _RATED]}},
            },
            LINES: {"schema": _EVENT},
        },
    },
    "responses": {
        "202": _answer("All events are accepted, and durable.", _TAKEN),
        "207": _answer("Some are accepted, and durable; the others are refused.", _TAKEN, _REFUSED),
        "400": _problem(400, "Bad Request", "The body is not a JSON array in UTF-8."),
        "401": _problem(401, "Unauthorized", "Send a valid API key …", ["WWW-Authenticate"]),
        "403": _problem(
            403,
            "Forbidden",
            "No event of this request was accepted …",
            results=[
                {
                    "id": "ev-9911",
                    "status": "refused",
                    "code": "foreign_source",
                    "path": "$.source",
                    "detail": "`source` must begin with the clinic that the key belongs to.",
                }
            ],
        ),
        "408": _problem(408, "Request Timeout", "The body did not arrive within 30 s."),
        "413": _problem(413, "Request Entity Too Large", "The request holds 4000 events; send at most 1000 at a time."),
        "415": _problem(415, "Unsupported Media Type", "Send UTF-8 as one of …"),
        "422": _problem(422, "Unprocessable Entity", "No event of this request was accepted …", results=[_REFUSED]),
        "429": _problem(429, "Too Many Requests", "This key may send 500 events a second …", ["Retry-After"]),
        "503": _problem(503, "Service Unavailable", "The log does not accept now …", ["Retry-After"]),
    },
}
"""The operation `POST /v1/events`."""


def document(app: FastAPI, types: Sequence[type[msgspec.Struct]]) -> dict[str, Any]:
    """The whole document: the routes of `app`, the events of the contract, and the answers' `types`."""
    answers = msgspec.json.schema_components(types, ref_template=_SCHEMAS + "{name}")[1]
    names = [cls.__name__ for name, cls in EVENT_TYPES.items() if name not in CONTROL_TYPES]
    event = {"anyOf": [{"$ref": _SCHEMAS + name} for name in names], "description": "One event of the contract."}
    schemas = _reachable(components(_SCHEMAS) | answers | {"Event": event}, ["Event", *(cls.__name__ for cls in types)])
    key = {"type": "http", "scheme": "bearer", "description": "An API key, made by `keepwell keys issue CLINIC`."}
    whole = app.openapi()
    for item in whole["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                _drop_default(response)
    return whole | {"components": {"schemas": schemas, "securitySchemes": {"key": key}}}


def _reachable(schemas: Mapping[str, Any], roots: Sequence[str]) -> dict[str, Any]:
    """Only what the document refers to: the scores and control events of the contract are not sent here."""
    found: dict[str, Any] = {}
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = schemas[name]
            todo += _references(schemas[name])
    return dict(sorted(found.items()))


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for part in schema for name in _references(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(_SCHEMAS)] if "$ref" in schema else []
    return own + [name for part in schema.values() for name in _references(part)]


def _drop_default(response: dict[str, Any]) -> None:
    """FastAPI adds an empty JSON answer to what it is told."""
    content = response.get("content", {})
    if len(content) > 1 and content.get(JSON) == {"schema": {}}:
        del content[JSON]
