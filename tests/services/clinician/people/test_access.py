"""The door: every rule, role and clinic, and what a forged request gets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, NamedTuple

import pytest
import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Message
from structlog.testing import capture_logs

from keepwell.streams.worker.process import Check
from keepwell.web.app import make_app
from services.clinician.people import access, accounts, browser, covers
from services.clinician.people.access import HOME, RULES, AccessRule, Caller, People, install, still, without_rule
from services.clinician.people.headers import SECURE_COOKIE
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, ROLES, Role, User
from services.clinician.views import Viewer
from tests.services.clinician.people.made import DAY, MINUTE, START, Asking, add

AT = "https://keepwell.example"
PATHS = {"clinic": "north", "subject": "ep-17", "alert_id": "a-1", "event_id": "e-1", "path": "page.css", "role": "clinician",
         "user_id": "u-1", "token_id": "kwt-1", "cover_id": "c-1"}  # fmt: skip


class House(NamedTuple):
    """An application with a route for every rule, its clients, and its clock, which a test may set."""

    app: FastAPI
    people: People
    clock: list[int]

    def client(self, **headers: str) -> Asking:
        return Asking(self.app, AT, headers)


def well() -> Check:
    return Check(True, "")


@pytest.fixture
def house(engine: sa.Engine) -> Iterator[House]:
    clock = [START]
    app = make_app("clinician", "Clinician's side", well, well, told={"/api/v1/me": "clinician.request"})
    people = People(engine, lambda: clock[0])
    there = {("GET", path) for path in ("/livez", "/readyz", "/metrics", "/openapi.json")}

    async def reached(request: Request) -> PlainTextResponse:
        told = getattr(request.state, "caller", None)
        return PlainTextResponse(f"reached {told.user.name if told else 'by anybody'} {await request.body()!r}")

    for rule in RULES:
        if (rule.method, rule.path) not in there:
            app.add_api_route(rule.path, reached, methods=[rule.method])
    install(app, people)
    yield House(app, people, clock)


def at(rule: AccessRule, **places: str) -> str:
    return rule.path.replace(":path", "").format(**{**PATHS, **places})


def bearer(house: House, user: User) -> dict[str, str]:
    with house.people.engine.begin() as connection:
        token = accounts.issue_token(connection, user, OPERATOR, START)
    return {"Authorization": f"Bearer {token.text.get_secret_value()}"}


def session(house: House, user: User) -> tuple[dict[str, str], str]:
    """The cookie header and the token of a new session."""
    with house.people.engine.begin() as connection:
        opened = browser.open_session(connection, user, "x", START)
    return {"Cookie": f"{SECURE_COOKIE}={opened.cookie.get_secret_value()}"}, opened.csrf.get_secret_value()


def test_every_rule_role_and_clinic(house: House, passwords: Passwords) -> None:
    users: dict[tuple[str, Role], User] = {
        (clinic, role): add(house.people.engine, passwords, f"{role}-{clinic}", clinic, role)
        for clinic in ("north", "south")
        for role in ROLES
    }
    client = house.client()
    unknown = {key: client.get("/not/there", headers=bearer(house, user)) for key, user in users.items()}
    tried = reached = 0
    for (clinic, role), user in users.items():
        token = bearer(house, user)
        cookie, csrf = session(house, user)
        ways = (token, cookie | {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-origin"})
        for rule in RULES:
            for headers in ways:
                answer = client.request(rule.method, at(rule), headers=headers)
                foreign = "{clinic}" in rule.path and clinic != "north"
                allowed = rule.roles is None or (role in rule.roles and not foreign)
                tried += 1
                if allowed:
                    reached += 1
                    assert answer.status_code in (200, 503), (rule, role, answer.text)
                elif rule.path == "/":
                    assert (answer.status_code, answer.headers["location"]) == (303, HOME[role])
                else:
                    assert answer.status_code == 404, (rule, role, clinic)
                    assert answer.content == unknown[clinic, role].content
                    told = {
                        name
                        for name in answer.headers
                        if answer.headers[name] != unknown[clinic, role].headers.get(name)
                    }
                    assert told <= {"cache-control"} and (told == set() or headers is not token)
    assert tried == len(RULES) * 2 * 2 * len(ROLES) and 0 < reached < tried


def test_the_first_page_of_each_role_is_one_that_it_may_use() -> None:
    for role, path in HOME.items():
        rules, _ = access.rules_at(path)
        assert rules["GET"].roles is not None and role in rules["GET"].roles


def test_without_a_user_pages_lead_to_the_log_in_and_the_api_says_401(house: House) -> None:
    client = house.client()
    nobody: tuple[dict[str, str], ...] = (
        {},
        {"Cookie": f"{SECURE_COOKIE}=made-up"},
        {"Authorization": "Bearer kwu_1_2"},
    )
    for rule, headers in product(RULES, nobody):
        answer = client.request(rule.method, at(rule), headers=headers)
        if rule.roles is None:
            assert answer.status_code in (200, 503)
        elif rule.is_page and "Authorization" not in headers:
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        else:
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"


def test_the_line_of_a_request_names_its_clinic_and_no_secret(house: House, passwords: Passwords) -> None:
    user = add(house.people.engine, passwords)
    token = bearer(house, user)
    cookie, _ = session(house, user)
    with capture_logs() as lines:
        for headers in (token, cookie, {"Authorization": "Bearer kwu_1_made-up"}):
            house.client(**headers).get("/api/v1/me")
    assert [(line["event"], line["status"], line["clinic"]) for line in lines] == [
        ("clinician.request", 200, "north"),
        ("clinician.request", 200, "north"),
        ("clinician.request", 401, None),
    ]
    secrets = (token["Authorization"].split()[1], cookie["Cookie"].partition("=")[2], "made-up", user.id, user.name)
    assert not [secret for secret in secrets if secret in repr(lines)]


def test_other_schemes_are_no_user(house: House, passwords: Passwords) -> None:
    user = add(house.people.engine, passwords)
    cookie, _ = session(house, user)
    for scheme in ("Basic YW5uYTp4", "Bearer", "", "Bearer kw_1_2"):
        answer = house.client(**cookie, Authorization=scheme).get("/api/v1/me")
        assert answer.status_code == 401, "whoever sends a token means it, whatever the cookie"


CHANGES = [rule for rule in RULES if rule.changes and rule.roles is not None]
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": AT},
    {"Origin": "https://evil.example"},
    {"Origin": "https://keepwell.example.evil.example"},
    {"Origin": "null"},
    {"Origin": "https://[bad"},
    {"Origin": ""},
]


def test_a_change_by_cookie_has_to_come_from_one_of_our_pages(house: House, passwords: Passwords) -> None:
    for role in ROLES:
        user = add(house.people.engine, passwords, role, role=role)
        cookie, csrf = session(house, user)
        _, others = session(house, user)
        client = house.client(**cookie)
        for rule in CHANGES:
            if rule.roles is not None and role in rule.roles:
                _only_from_our_pages(client, rule, csrf, others)


def _only_from_our_pages(client: Asking, rule: AccessRule, csrf: str, others: str) -> None:
    good = {"X-CSRF-Token": csrf}
    forged: list[dict[str, str]] = [good | foreign for foreign in FOREIGN]
    forged += [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": others},
        {"X-CSRF-Token": csrf[:-1]},
        {"Sec-Fetch-Site": "none"},
    ]
    for headers in (good, good | {"Origin": AT}, good | {"Sec-Fetch-Site": "same-origin"}):
        assert client.request(rule.method, at(rule), headers=headers).status_code == 200
    for headers in forged:
        assert client.request(rule.method, at(rule), headers=headers).status_code == 403, (rule, headers)


def test_every_change_is_guarded_and_no_look_is() -> None:
    for rule in RULES:
        assert rule.changes == (rule.method != "GET" and rule.path != "/v1/events"), rule


def test_a_form_may_carry_the_token_and_is_read_by_the_route_as_it_was(house: House, passwords: Passwords) -> None:
    user = add(house.people.engine, passwords)
    cookie, csrf = session(house, user)
    client = house.client(**cookie)
    answer = client.post("/password", data={"csrf": csrf, "former": "ä & b"})
    assert answer.status_code == 200 and "former=%C3%A4+%26+b" in answer.text
    for data in ({"csrf": "x"}, {"csrf": [csrf, csrf]}, {"CSRF": csrf}, {}):
        assert client.post("/password", data=data).status_code == 403
    assert client.post("/password", json={"csrf": csrf}).status_code == 403
    assert client.post("/password", data={"csrf": csrf, "more": "x" * 70_000}).status_code == 413


def test_the_log_in_form_of_another_site_is_refused(house: House) -> None:
    for foreign in FOREIGN:
        assert house.client(**foreign).post("/login").status_code == 403
    assert house.client().post("/login").status_code == 200
    assert house.client(Origin=AT).post("/login").status_code == 200


def test_a_one_time_password_comes_before_anything_else(house: House, passwords: Passwords) -> None:
    user = add(house.people.engine, passwords)
    with house.people.engine.begin() as connection:
        accounts.set_password(connection, user, OPERATOR, START, passwords=passwords)
    cookie, csrf = session(house, user)
    client = house.client(**cookie, **{"X-CSRF-Token": csrf})
    assert client.get("/").headers["location"] == "/password"
    assert client.get("/api/v1/caseload").status_code == 403
    for method, path in (("GET", "/password"), ("POST", "/password"), ("POST", "/logout"), ("GET", "/api/v1/me")):
        assert client.request(method, path).status_code == 200


def test_htmx_is_told_where_to_lead(house: House) -> None:
    answer = house.client(**{"HX-Request": "true"}).get("/")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


def test_another_method_than_those_of_a_path_gets_405_from_who_may_use_it(house: House, passwords: Passwords) -> None:
    anna = house.client(**bearer(house, add(house.people.engine, passwords)))
    answer = anna.put("/api/v1/alerts/a-1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert anna.put("/api/v1/users").status_code == 404
    assert anna.put("/api/v1/episodes/south/ep-1").status_code == 404
    assert house.client().put("/api/v1/alerts/a-1").status_code == 401
    assert house.client().put("/login").status_code == 405


def test_a_session_ends_by_the_clock_and_a_stream_does_not_keep_it_open(house: House, passwords: Passwords) -> None:
    cookie, _ = session(house, add(house.people.engine, passwords))
    client = house.client(**cookie)
    house.clock[0] = START + 29 * MINUTE
    assert client.get("/api/v1/stream").status_code == 200
    house.clock[0] = START + 31 * MINUTE
    assert client.get("/api/v1/stream").status_code == 401


async def opened(app: FastAPI, path: str) -> list[Message]:
    """What an application says to a web socket."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return said


def test_a_route_without_a_rule_is_not_there_and_is_named(house: House, passwords: Passwords) -> None:
    app = house.app
    assert without_rule(app) == []
    router = APIRouter(prefix="/api/v1")

    @router.get("/alerts/{alert}/secret")
    @router.put("/caseload")
    async def _forgotten() -> str:
        return "secret"

    @router.websocket("/live")
    async def _live(socket: WebSocket) -> None:
        await socket.accept()

    app.include_router(router)
    app.routes.append(Mount("/files", StaticFiles(directory=".")))
    app.routes.append(Mount("/static", StaticFiles(directory=".")))
    forgotten = {
        "GET /api/v1/alerts/{alert}/secret",
        "PUT /api/v1/caseload",
        "WEBSOCKET /api/v1/live",
        "GET /files/{path:path}",
    }
    assert set(without_rule(app)) == forgotten
    client = house.client(**bearer(house, add(house.people.engine, passwords)))
    assert client.get("/api/v1/alerts/a-1/secret").status_code == 404
    assert client.get("/files/pyproject.toml").status_code == 404
    assert asyncio.run(opened(app, "/api/v1/live")) == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    "path",
    ["/api/v1/caseload/", "/API/v1/caseload", "/episodes/north", "/episodes/north/a%2Fb", "/static/../users"],
)
def test_a_path_that_only_looks_like_one_of_ours_is_none(house: House, passwords: Passwords, path: str) -> None:
    client = house.client(**bearer(house, add(house.people.engine, passwords, role="supervisor")))
    assert client.get(path).status_code == 404


def test_covers_reach_the_viewer_and_end(house: House, passwords: Passwords) -> None:
    engine = house.people.engine
    anna, bo = add(engine, passwords), add(engine, passwords, "bo")
    with engine.begin() as connection:
        covers.grant(connection, anna, "c-bo", until=START + DAY, by=bo.actor, now=START)
    seen: list[tuple[Caller, Viewer]] = []
    app = FastAPI()

    @app.get("/api/v1/me")
    async def _me(who: Annotated[Any, Depends(access.caller)], mine: Annotated[Any, Depends(access.viewer)]) -> None:
        seen.append((who, mine))

    install(app, house.people)
    answer = Asking(app, AT, bearer(house, anna)).get("/api/v1/me")
    assert answer.status_code == 200
    [(who, mine)] = seen
    assert mine == Viewer(
        user=anna.id, role="clinician", clinic="north", clinician_id="c-anna", covers=frozenset({"c-bo"})
    )
    house.clock[0] = START + DAY
    now = still(house.people, who)
    assert now is not None and now.viewer.covers == frozenset()


def test_a_long_answer_learns_that_its_user_is_gone(house: House, passwords: Passwords) -> None:
    engine = house.people.engine
    user = add(engine, passwords)
    with engine.begin() as connection:
        opened = browser.open_session(connection, user, "x", START)
        token = accounts.issue_token(connection, user, OPERATOR, START)
    found = browser.find(engine, opened.cookie.get_secret_value(), START)
    assert found is not None
    by_cookie = Caller(user, user.viewer(), found.csrf, found.key, None)
    by_token = Caller(user, user.viewer(), None, None, token.row.id)
    assert still(house.people, by_cookie) == by_cookie and still(house.people, by_token) == by_token
    with engine.begin() as connection:
        browser.end_all(connection, user.id, START)
        accounts.revoke(connection, token.row.id, OPERATOR, START)
    assert still(house.people, by_cookie) is None and still(house.people, by_token) is None


def test_an_answer_in_pieces_passes_the_door(house: House, passwords: Passwords) -> None:
    app = FastAPI()

    @app.get("/api/v1/stream")
    async def _stream() -> StreamingResponse:
        async def pieces() -> Any:
            yield b"one "
            yield b"two"

        return StreamingResponse(pieces())

    install(app, house.people)
    client = Asking(app, AT, bearer(house, add(house.people.engine, passwords)))
    assert client.get("/api/v1/stream").text == "one two"
