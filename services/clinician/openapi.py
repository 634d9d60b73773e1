"""What the OpenAPI document of the API says: schemas come from the types, a row of a table says the rest of an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import FastAPI, Response

from keepwell.web.problems import Problem
from services.clinician.api import AnswerBody, RepairBody
from services.clinician.people.access import API
from services.clinician.people_api import AuditPage, UserPage
from services.clinician.told import AlertPage, CaseloadPage, Me, Promise, ToldAlert, ToldEpisode
from services.clinician.views import ModelView, QualityView, TeamView

_SCHEMAS: Final = "#/components/schemas/"
_JSON: Final = "application/json"


class Operation(NamedTuple):
    """One operation: its name, what it does, the type that it answers with and under which status, the type of its body, and
    what else it may answer. `nothing`: null is an answer too."""

    name: str
    summary: str
    answer: type[msgspec.Struct] | None
    status: int = 200
    body: type[msgspec.Struct] | None = None
    more: tuple[int, ...] = ()
    nothing: bool = False


PAGED: Final = (422,)
FOUND: Final = (404, 422)
GIVEN: Final = (403, 404, 408, 413, 422)
OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /me": Operation("me", "Who asks", Me),
    "GET /caseload": Operation("caseload", "Episodes, what needs a thought first", CaseloadPage, more=PAGED),
    "GET /episodes/{clinic}/{subject}": Operation("episode", "Everything of an episode", ToldEpisode, more=FOUND),
    "POST /episodes/{clinic}/{subject}/repairs": Operation(
        "repair", "Record an attempt at repair", Promise, 201, RepairBody, GIVEN
    ),
    "GET /alerts": Operation("alerts", "Alerts, the newest first", AlertPage, more=PAGED),
    "GET /alerts/{alert_id}": Operation("alert", "An alert with what was answered", ToldAlert, more=FOUND),
    "POST /alerts/{alert_id}/answers": Operation("answer", "Answer an alert", Promise, 201, AnswerBody, GIVEN),
    "DELETE /answers/{event_id}": Operation(
        "takeBack", "Take an answer of one's own back", Promise, more=(403, 404, 422)
    ),
    "GET /stream": Operation("stream", "What is new, as server-sent events", None, more=(422, 429)),
    "GET /team": Operation("team", "A clinic's numbers, small ones hidden", TeamView),
    "GET /quality": Operation("quality", "What is missing, and what was called wrong", QualityView),
    "GET /model": Operation("model", "The release in use", ModelView, nothing=True),
    "GET /audit": Operation("audit", "Who saw and did what, the newest first", AuditPage, more=PAGED),
    "GET /users": Operation("users", "Accounts, by name", UserPage, more=PAGED),
}
"""By method and path below `/api/v1`."""
ALWAYS: Final = (401, 403, 404, 503)
"""What every operation may answer: no user, a password to be changed first, not for this role, the database away."""
_TITLES: Final[Mapping[int, str]] = {
    401: "Log in, or send a valid token.", 403: "Not so: see the detail.", 404: "There is none that this user may see.",
    408: "The body did not arrive in time.", 413: "The body is too large.",
    422: "What was sent cannot be meant: see the detail.",
    429: "Too many at once.", 503: "Not now: ask again in a moment.",
}  # fmt: skip


def add_document(app: FastAPI) -> None:
    """Replaces the generated document by the whole one, and serves it below the API too. Once all routes are there."""
    whole = document(app)
    app.openapi = lambda: whole  # type: ignore[method-assign]  # the documented way

    async def shown() -> Response:
        return Response(msgspec.json.encode(whole), media_type=_JSON)

    app.get(f"{API}/openapi.json", include_in_schema=False)(shown)


def document(app: FastAPI) -> dict[str, Any]:
    """The document of the routes of an application. Raises `KeyError` for a route of the API that `OPERATIONS` lacks."""
    whole = app.openapi()
    paths = {path: item for path, item in whole["paths"].items() if path.startswith(f"{API}/")}
    for path, item in paths.items():
        for method, generated in item.items():
            row = OPERATIONS[f"{method.upper()} {path.removeprefix(API)}"]
            generated.update(_described(row, cached=method == "get" and row.answer is not None))
    asked = [kind for row in OPERATIONS.values() for kind in (row.answer, row.body)]
    types = dict.fromkeys([Problem, *(kind for kind in asked if kind is not None)])
    schemas = msgspec.json.schema_components(types, ref_template=_SCHEMAS + "{name}")[1]
    bearer = {"type": "http", "scheme": "bearer", "description": "A token of a user: `keepwell users token NAME`."}
    components = {"schemas": dict(sorted(schemas.items())), "securitySchemes": {"token": bearer}}
    return whole | {"paths": whole["paths"] | paths, "components": components}


def _described(row: Operation, *, cached: bool) -> dict[str, Any]:
    if row.answer is None:
        content: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
    else:
        schema = _reference(row.answer)
        content = {_JSON: {"schema": {"anyOf": [schema, {"type": "null"}]} if row.nothing else schema}}
    answers: dict[str, Any] = {str(row.status): {"description": f"{row.summary}.", "content": content}}
    if cached:
        tag = {"ETag": {"description": "Of these bytes.", "required": True, "schema": {"type": "string"}}}
        answers["200"]["headers"] = tag
        answers["304"] = {"description": "As it was, by `If-None-Match`.", "headers": tag}
    for status in sorted({*ALWAYS, *row.more}):
        problem = {"application/problem+json": {"schema": _reference(Problem)}}
        answers[str(status)] = {"description": _TITLES[status], "content": problem}
    found: dict[str, Any] = {
        "operationId": row.name, "summary": row.summary, "security": [{"token": []}], "responses": answers,
    }  # fmt: skip
    if row.body is not None:
        found["requestBody"] = {"required": True, "content": {_JSON: {"schema": _reference(row.body)}}}
    return found


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"{_SCHEMAS}{kind.__name__}"}
