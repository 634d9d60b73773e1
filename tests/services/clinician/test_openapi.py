"""The OpenAPI document and the API agree: what it allows or forbids is sent as every role, and each answer is checked."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from keepwell.contract.events import micros
from keepwell.streams.topics import Topics
from models.registry import Releases
from services.clinician.answers import Answers
from services.clinician.api import Asked, router
from services.clinician.clinics import ClinicFacts
from services.clinician.items import fits_nobody
from services.clinician.openapi import OPERATIONS, add_document
from services.clinician.overview_pages import add_overview
from services.clinician.people import accounts
from services.clinician.people.access import RULES, People, install
from services.clinician.people.accounts import Account
from services.clinician.people.who import OPERATOR, ROLES, Role
from services.clinician.people_api import add_people_api
from services.clinician.releases import KnownReleases
from services.clinician.schema import migrate
from services.clinician.stream import Streams, add_stream
from services.clinician.tables import alerts, episodes
from services.clinician.web import Pages
from tests.services.clinician.doubtful import Doubtful
from tests.services.clinician.lived import Lived, lived, project
from tests.services.clinician.people.made import Asking
from tests.services.clinician.served import NOW, PASSWORDS, app_of

API: Final = "/api/v1"
EXAMPLES: Final = 10
CURSORS: Final = (
    b"",
    b"\0",
    b"5 \0",
    b"1",
    "² x".encode(),
    b"9" * 20 + b" x",
    b"9" * 5_000 + b" x",
    b"\xff",
    b"x" * 30_000,
)
"""What stands in cursors that no list gave."""
ODD: Final = ("\0", "\ud800", "ep-1\0", "%", "💬" * 200, "x" * 5_000, "'; --", "..", "{}")
CHECKS: Final = {
    "ignored_auth": {"enabled": False},  # every route is asked as nobody and as everybody in test_access
    # A path or a body that names nobody is answered 404 like one that names somebody else's.
    "negative_data_rejection": {"expected-statuses": ["400", "401", "403", "404", "405", "408", "413", "422"]},
    "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "422"]},
}


class Whole:
    """The whole API over a database in which a clinic lived, with a token for each role."""

    def __init__(self, engine: sa.Engine, told: Lived) -> None:
        migrate(engine)
        project(engine, told, 1_000)
        self.engine = engine
        topics, people = Topics(), People(engine, lambda: micros(NOW))
        answers = Answers(engine, Doubtful(), topics.sessions, lambda: NOW)  # type: ignore[arg-type]  # what it asks of a log
        pages = Pages(engine, answers, PASSWORDS, lambda: NOW, lambda _: ClinicFacts())
        self.app = app_of()
        self.app.include_router(router(Asked(engine, answers, lambda: NOW, fits_nobody)))
        add_people_api(self.app, pages)
        add_overview(self.app, pages, KnownReleases(Releases()))
        add_stream(self.app, Streams(people, topics))
        add_document(self.app)
        install(self.app, people)
        self.tokens = {}
        with engine.begin() as connection:
            of = sa.select(episodes.c.clinician).join(alerts, alerts.c.episode == episodes.c.key)
            self.clinician = clinician = connection.execute(of.order_by(alerts.c.id)).scalars().first()
            for role in ROLES:
                account = Account(f"the-{role}", "north", role, clinician if role == "clinician" else None)
                user = accounts.add(connection, account, OPERATOR, micros(NOW), passwords=PASSWORDS).user
                token = accounts.issue_token(connection, user, OPERATOR, micros(NOW))
                self.tokens[role] = token.text.get_secret_value()

    def there(self) -> dict[str, list[str]]:
        """What the clinician may see, by the name of its place in paths."""
        of = sa.select(alerts.c.id, episodes.c.key).join(episodes, episodes.c.key == alerts.c.episode)
        with self.engine.connect() as connection:
            rows = connection.execute(of.where(episodes.c.clinician == self.clinician).order_by(alerts.c.id)).all()
        subjects = [row.key.partition("/")[2] for row in rows]
        return {"clinic": ["north"], "subject": subjects, "alert_id": [row.id for row in rows]}


@pytest.fixture(scope="module")
def told() -> Lived:
    return lived()


@pytest.fixture
def whole(opened: sa.Engine, told: Lived) -> Iterator[Whole]:
    yield Whole(opened, told)


def operations(whole: Whole, role: Role) -> Iterator[Any]:
    """The operations of the document, but for the stream, which has no end; with the headers of a user of this role."""
    settled = {"checks": CHECKS, "headers": {"Authorization": f"Bearer {whole.tokens[role]}"}}
    document = schemathesis.openapi.from_asgi(
        f"{API}/openapi.json", whole.app, config=schemathesis.Config.from_dict(settled)
    )
    for name in OPERATIONS:
        method, path = name.split()
        if path != "/stream":
            yield document[API + path][method]


def test_the_document_has_every_route_of_the_api_and_no_other(whole: Whole) -> None:
    ruled = {
        f"{rule.method} {rule.path.removeprefix(API)}"
        for rule in RULES
        if rule.path.startswith(API) and not rule.path.endswith("openapi.json")
    }
    assert ruled == set(OPERATIONS)
    document = whole.app.openapi()
    assert {
        f"{method.upper()} {path.removeprefix(API)}"
        for path, item in document["paths"].items()
        for method in item
        if path.startswith(API)
    } == ruled
    assert len({one.name for one in OPERATIONS.values()}) == len(OPERATIONS)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fit", "unfit"])
def test_every_answer_keeps_to_the_document(whole: Whole, role: Role, mode: GenerationMode) -> None:
    there = {name: st.sampled_from(values) for name, values in whole.there().items()}
    reached = set()
    for operation in operations(whole, role):
        if mode is GenerationMode.NEGATIVE and not operation.query and not operation.body:
            continue  # nothing of it can be unfit

        @given(st.data(), operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def sent_and_checked(data: Any, case: Any) -> None:
            if mode is GenerationMode.POSITIVE and data.draw(st.integers(0, 3)):
                case.path_parameters |= {name: data.draw(there[name]) for name in case.path_parameters if name in there}
            reached.add(case.call_and_validate().status_code)

        sent_and_checked()
    if mode is GenerationMode.POSITIVE:
        assert 200 in reached and (201 in reached) == (role in ("clinician", "supervisor"))


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_and_values_are_problems_and_never_faults(whole: Whole, odd: str) -> None:
    asking = Asking(whole.app, "https://keepwell.example", {"Authorization": f"Bearer {whole.tokens['supervisor']}"})
    piece = quote(odd, safe="", errors="replace")
    for name, row in OPERATIONS.items():
        method, path = name.split()
        if path == "/stream":
            continue
        asked = "?" + "&".join(
            f"{one}={piece}" for one in ("q", "clinician", "cursor", "limit", "kind", "status", "state")
        )
        at = API + re.sub(r"\{clinic\}", "north", re.sub(r"\{(subject|alert_id|event_id)\}", piece, path))
        for query in ("", asked) if method == "GET" else ("",):
            body = {"strategy": odd, "alert_id": odd, "action": odd, "until": odd}
            answer = asking.request(method, at + query, content=None if row.body is None else json.dumps(body))
            assert answer.status_code < 500, (name, answer.status_code)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", name


@pytest.mark.parametrize("role", ROLES)
def test_an_odd_cursor_is_a_problem_or_begins_somewhere(whole: Whole, role: Role) -> None:
    asking = Asking(whole.app, "https://keepwell.example", {"Authorization": f"Bearer {whole.tokens[role]}"})
    for path in ("caseload", "alerts", "audit", "users"):
        for inside in CURSORS:
            for cursor in (quote(inside), base64.urlsafe_b64encode(inside).decode().rstrip("=")):
                answer = asking.get(f"{API}/{path}?cursor={cursor}")
                assert answer.status_code in (200, 404, 422), (path, inside[:20])
                assert answer.status_code == 200 or answer.headers["content-type"] == "application/problem+json"
