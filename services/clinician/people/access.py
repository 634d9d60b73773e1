"""Who may use which route: one table of rules, and the door before every route that applies it.

A route without a rule is not there. What a role may not use is not there either: both give the answer of a path that does
not exist, to the byte. Without a user the API answers 401, and pages lead to the log-in. Where a user may use a path with
another method only, the answer is 405.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import sqlalchemy as sa
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepwell.web.app import body_of
from keepwell.web.etags import ETags
from keepwell.web.problems import problem_of
from services.clinician.database import AWAY, cause
from services.clinician.people import accounts, browser, covers
from services.clinician.people.headers import SecurityHeaders, cookie_of, host_of
from services.clinician.people.who import ROLES, Role, User
from services.clinician.views import Viewer

API: Final = "/api/v1"
LOGIN: Final = "/login"
PASSWORD: Final = "/password"
HOME: Final[dict[Role, str]] = {
    "clinician": "/",
    "supervisor": "/",
    "administrator": "/users",
    "data": "/quality",
}
"""The page on which a role begins; `/` leads there who has no caseload."""

LARGEST_FORM: Final = 65_536
"""Bytes of a form. Ours: answers have no free text."""
_log = structlog.get_logger(__name__)


class AccessRule(NamedTuple):
    """Who may use a route.

    `path` is a template as the router has it. `roles` is None where anybody may, without a log-in. `changes`: it is no mere
    look, so a browser has to prove that the request came from one of our pages. `always`: also before a one-time password is
    changed. `wakes`: a request counts as use of the session.
    """

    method: str
    path: str
    roles: frozenset[Role] | None
    changes: bool
    always: bool = False
    wakes: bool = True

    @property
    def is_page(self) -> bool:
        """Whether people look at it, not programs."""
        return not self.path.startswith("/api/")


def _rule(roles: frozenset[Role] | None, line: str, **more: bool) -> AccessRule:
    method, path = line.split()
    return AccessRule(method, path, roles, **({"changes": method != "GET"} | more))


ANYBODY: Final = None
EVERYONE: Final = frozenset(ROLES)
CARE: Final[frozenset[Role]] = frozenset(("clinician", "supervisor"))
CLINICIAN: Final[frozenset[Role]] = frozenset(("clinician",))
SUPERVISOR: Final[frozenset[Role]] = frozenset(("supervisor",))
DATA: Final[frozenset[Role]] = frozenset(("administrator", "data"))
ADMINISTRATOR: Final[frozenset[Role]] = frozenset(("administrator",))

RULES: Final = (
    _rule(ANYBODY, "GET /livez"),
    _rule(ANYBODY, "GET /readyz"),
    _rule(ANYBODY, "GET /metrics"),
    _rule(ANYBODY, "GET /openapi.json"),
    _rule(ANYBODY, "GET /static/{path:path}"),
    _rule(ANYBODY, "GET /login"),
    _rule(ANYBODY, "POST /login"),
    _rule(ANYBODY, "GET /login/provider"),
    _rule(ANYBODY, "GET /login/provider/callback"),
    _rule(ANYBODY, "GET /login/provider/end"),
    _rule(ANYBODY, "GET /welcome"),
    _rule(ANYBODY, "POST /welcome"),
    _rule(ANYBODY, "GET /visit/{role}"),
    _rule(EVERYONE, "POST /logout", always=True),
    _rule(EVERYONE, "GET /password", always=True),
    _rule(EVERYONE, "POST /password", always=True),
    _rule(EVERYONE, "POST /sessions/end", always=True),
    _rule(CARE, "GET /"),
    _rule(CARE, "GET /episodes/{clinic}/{subject}"),
    _rule(CARE, "GET /episodes/{clinic}/{subject}/together"),
    _rule(CARE, "POST /episodes/{clinic}/{subject}/repairs"),
    _rule(CARE, "POST /alerts/{alert_id}/answers"),
    _rule(CLINICIAN, "POST /alerts/seen"),
    _rule(CARE, "POST /answers/{event_id}/take-back"),
    _rule(CARE, "GET /notices"),
    _rule(CARE, "POST /notices"),
    _rule(SUPERVISOR, "GET /supervision"),
    _rule(DATA, "GET /quality"),
    _rule(EVERYONE, "GET /model"),
    _rule(ADMINISTRATOR, "GET /audit"),
    _rule(ADMINISTRATOR, "POST /audit"),
    _rule(ADMINISTRATOR, "GET /audit/export"),
    _rule(ADMINISTRATOR, "GET /users"),
    _rule(ADMINISTRATOR, "POST /users"),
    _rule(ADMINISTRATOR, "POST /users/{user_id}/remove"),
    _rule(ADMINISTRATOR, "POST /users/{user_id}/password"),
    _rule(ADMINISTRATOR, "POST /tokens/{token_id}/revoke"),
    _rule(ADMINISTRATOR, "POST /covers"),
    _rule(ADMINISTRATOR, "POST /covers/{cover_id}/end"),
    _rule(ANYBODY, f"GET {API}/openapi.json"),
    _rule(EVERYONE, f"GET {API}/me", always=True),
    _rule(CARE, f"GET {API}/caseload"),
    _rule(CARE, f"GET {API}/episodes/{{clinic}}/{{subject}}"),
    _rule(CARE, f"POST {API}/episodes/{{clinic}}/{{subject}}/repairs"),
    _rule(CARE, f"GET {API}/alerts"),
    _rule(CARE, f"GET {API}/alerts/{{alert_id}}"),
    _rule(CARE, f"POST {API}/alerts/{{alert_id}}/answers"),
    _rule(CARE, f"DELETE {API}/answers/{{event_id}}"),
    _rule(CARE, f"GET {API}/stream", wakes=False),
    _rule(SUPERVISOR, f"GET {API}/team"),
    _rule(DATA, f"GET {API}/quality"),
    _rule(EVERYONE, f"GET {API}/model"),
    _rule(ADMINISTRATOR, f"GET {API}/audit"),
    _rule(ADMINISTRATOR, f"GET {API}/users"),
)
"""CONTRACT section 5, route by route. The model page is for everyone who decides by it; it holds no episode."""


class People(NamedTuple):
    """Where accounts and sessions are, and the clock (µs since 1970 UTC)."""

    engine: sa.Engine
    now: Callable[[], int]


class Caller(NamedTuple):
    """Who a request is from. `csrf` is what forms and scripts of a session send along; None of a program with a token.

    `session` and `token_id` are keys in the tables, one of them None.
    """

    user: User
    viewer: Viewer
    csrf: SecretStr | None
    session: str | None
    token_id: str | None


def install(app: FastAPI, people: People) -> None:
    """Puts the door before every route of an application, and security headers and ETags on answers. Before it serves."""
    app.user_middleware.append(
        Middleware(Door, people=people)
    )  # innermost: what counts requests counts its answers too
    app.add_middleware(ETags, prefix=f"{API}/")
    app.add_middleware(SecurityHeaders)
    app.add_exception_handler(sa.exc.DataError, _odd)
    for kind in AWAY:
        app.add_exception_handler(kind, _away)


async def _odd(_request: Request, error: Exception) -> Response:
    """A character that PostgreSQL has no text for (NUL), or a number beyond its own: nothing of ours is called so."""
    assert isinstance(error, sa.exc.DataError)
    return problem_of(
        HTTPException(422, "The request holds a character or a number that nothing here can be called by.")
    )


def caller(connection: HTTPConnection) -> Caller:
    """Who a request is from, as a dependency of a route that is not for anybody."""
    found = connection.state.caller
    assert isinstance(found, Caller)
    return found


def viewer(connection: HTTPConnection) -> Viewer:
    """What a request may see, as a dependency of a route that is not for anybody."""
    return caller(connection).viewer


def still(people: People, former: Caller) -> Caller | None:
    """Who a long answer goes to now: with the role and covers of now, and None where session or token are over. Blocks."""
    now = people.now()
    if former.session is not None:
        return _of_session(people, browser.find_by_key(people.engine, former.session, now))
    with people.engine.connect().execution_options(reads=True) as connection:
        rows = [row for row in accounts.all_tokens(connection) if row.id == former.token_id]
        user = accounts.find_user(connection, former.user.id)
    if user is None or not rows or not rows[0].valid(now):
        return None
    return _caller(people, user, token_id=former.token_id)


def rules_at(path: str) -> tuple[dict[str, AccessRule], dict[str, str]]:
    """The rules of a path by their methods, and what stands in its places; none where there is no such path.

    >>> rules, places = rules_at("/api/v1/alerts/a-1/answers")
    >>> sorted(rules), places
    (['POST'], {'alert_id': 'a-1'})
    """
    if path in _EXACT:
        return _EXACT[path], {}
    for pattern, rules in _PATTERNS:
        if match := pattern.fullmatch(path):
            return rules, match.groupdict()
    return {}, {}


def without_rule(app: FastAPI) -> list[str]:
    """The routes of an application that nobody can use, as `METHOD /path`: a test holds that there are none.

    The names of places in a path may differ from the rule's.
    """
    ruled = {(rule.method, _shape(rule.path)) for rule in RULES}
    return [f"{method} {path}" for method, path in routes_of(app.routes) if (method, _shape(path)) not in ruled]


def routes_of(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and template of every route, those of included routers and mounted applications too."""
    for route in _flat(routes):
        path = prefix + str(getattr(route, "path", "") or "")
        if isinstance(route, Mount):
            if route.routes:
                yield from routes_of(route.routes, path)
            else:
                yield "GET", f"{path}/{{path:path}}"
        elif getattr(route, "methods", None):
            yield from ((method, path) for method in sorted(route.methods - {"HEAD"}))
        else:
            yield "WEBSOCKET", path


class Door:
    """Applies the rules to every request before any route sees it. Web sockets are closed."""

    def __init__(self, app: ASGIApp, people: People) -> None:
        self._app = app
        self._people = people

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            answer, receive = await self._judge(scope, receive)
        except HTTPException as error:
            answer = await _answer_of(scope, error)
        except AWAY as error:
            answer = await _away(Request(scope), error)
        await (answer or self._app)(scope, receive, send)

    async def _judge(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """The answer instead of the route's, None where it may go on, and what it is to read then. Raises `HTTPException`."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        rules, places = rules_at(path)
        if not rules:
            raise HTTPException(404)
        headers = Headers(scope=scope)
        rule = rules.get("GET" if scope["method"] == "HEAD" else scope["method"])
        named = rule or next(iter(rules.values()))
        if named.roles is None:
            if rule is None:
                raise _not_so(rules)
            if rule.changes and not came_from_us(headers):
                raise _forged()
            return None, receive
        who = await run_in_threadpool(partial(self._identify, scope, headers, named))
        if who is None:
            return _to_the_door(named, headers), receive
        mine = [method for method, each in rules.items() if each.roles is None or who.user.role in each.roles]
        if places.get("clinic", who.user.clinic) != who.user.clinic:
            mine = []
        if rule is None and mine:
            raise _not_so(mine)
        if rule is None or rule.method not in mine:
            if path == "/":
                return RedirectResponse(HOME[who.user.role], 303), receive
            raise HTTPException(404)
        if rule.changes and who.session is not None:
            receive = await self._proved(scope, receive, headers, who)
        if who.user.must_change and who.session is not None and not rule.always:
            if rule.is_page:
                return _lead(PASSWORD, headers), receive
            raise HTTPException(403, "Choose a password of your own first.")
        state = scope.setdefault("state", {})
        state["caller"], state["clinic"] = who, who.user.clinic
        return None, receive

    def _identify(self, scope: Scope, headers: Headers, rule: AccessRule) -> Caller | None:
        now = self._people.now()
        if "authorization" in headers:
            scheme, _, token = headers["authorization"].partition(" ")
            found = accounts.find(self._people.engine, token.strip(), now) if scheme.lower() == "bearer" else None
            return found and _caller(self._people, found.user, token_id=found.token_id)
        cookie = cookie_of(scope)
        if cookie is None:
            return None
        return _of_session(self._people, browser.find(self._people.engine, cookie, now, wakes=rule.wakes))

    async def _proved(self, scope: Scope, receive: Receive, headers: Headers, who: Caller) -> Receive:
        """Raises `HTTPException` unless a request came from one of our pages; returns how to read its body after that."""
        if not came_from_us(headers):
            raise _forged()
        sent = headers.get("x-csrf-token")
        if sent is None and headers.get("content-type", "").partition(";")[0] == "application/x-www-form-urlencoded":
            body = await body_of(Request(scope, receive), LARGEST_FORM)
            fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).get("csrf", [])
            sent = fields[0] if len(fields) == 1 else None
            receive = _once_more(body, receive)
        if who.csrf is None or sent is None or not browser.is_the_same(who.csrf, sent):
            raise _forged()
        return receive


def came_from_us(headers: Headers) -> bool:
    """Whether a browser says that one of our own pages, or the person at it, sent a request.

    `Sec-Fetch-Site` where there is one, else whether `Origin` names the host that was asked. A request with neither is no
    browser's, or an old one's, for which the session's token has to do.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    asked = host_of(f"//{headers.get('host', '')}", port=True)
    return origin is None or (asked != "" and host_of(origin, port=True) == asked)


def _caller(
    people: People,
    user: User,
    *,
    csrf: SecretStr | None = None,
    session: str | None = None,
    token_id: str | None = None,
) -> Caller:
    covered: frozenset[str] = frozenset()
    if user.role == "clinician":
        with people.engine.connect().execution_options(reads=True) as connection:
            covered = covers.covered(connection, user, people.now())
    return Caller(user, user.viewer(covered), csrf, session, token_id)


def _of_session(people: People, found: browser.BrowserSession | None) -> Caller | None:
    return None if found is None else _caller(people, found.user, csrf=found.csrf, session=found.key)


def _to_the_door(rule: AccessRule, headers: Headers) -> Response:
    """Without a user: pages lead to the log-in. Raises `HTTPException` 401 for programs."""
    if not rule.is_page or "authorization" in headers:
        detail = "Log in, or send a valid token as `Authorization: Bearer kwu_…`; `keepwell users token` makes one."
        raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
    return _lead(LOGIN, headers)


def _lead(path: str, headers: Headers) -> Response:
    """Leads a browser to a page; a part of a page that htmx asks for cannot be another page, so htmx is told."""
    if "hx-request" in headers:
        return Response(status_code=401, headers={"HX-Redirect": path, "WWW-Authenticate": "Bearer"})
    return RedirectResponse(path, 303)


def _not_so(methods: Iterable[str]) -> HTTPException:
    return HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})


def _forged() -> HTTPException:
    return HTTPException(403, "This did not come from a page of Keepwell that is still open: load the page again.")


async def _away(request: Request, error: Exception) -> Response:
    """While the database does not answer, nobody can be told anything, nor be told from others: it is asked again later."""
    _log.warning("database.away", cause=cause(error))
    detail = "The database does not answer now: send the request again in a moment, with the same Idempotency-Key."
    return await _answer_of(request.scope, HTTPException(503, detail, {"Retry-After": "5"}))


async def _answer_of(scope: Scope, error: HTTPException) -> Response:
    """What the application itself answers to an error."""
    handlers = scope["app"].exception_handlers
    handler = handlers.get(error.status_code) or handlers[HTTPException]
    answer = handler(Request(scope), error)
    found = await answer if inspect.isawaitable(answer) else answer
    assert isinstance(found, Response)
    return found


def _once_more(body: bytes, receive: Receive) -> Receive:
    """What reads a body that was read already."""
    kept: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return kept.pop() if kept else await receive()

    return again


def _flat(routes: Sequence[BaseRoute]) -> Iterator[Any]:
    """Routes with those of included routers in their place: newer versions of FastAPI keep a router as one entry."""
    try:
        from fastapi.routing import iter_route_contexts
    except ImportError:
        yield from routes
        return
    for route in routes:
        if isinstance(route, Mount | Route):
            yield route
        else:
            yield from iter_route_contexts([route])


def _shape(path: str) -> str:
    """A template without the names of its places.

    >>> _shape("/alerts/{alert_id}"), _shape("/static/{path:path}")
    ('/alerts/{}', '/static/{:path}')
    """
    return re.sub(r"\{\w+(:\w+)?\}", r"{\1}", path)


def _by_path() -> dict[str, dict[str, AccessRule]]:
    found: dict[str, dict[str, AccessRule]] = {}
    for rule in RULES:
        found.setdefault(rule.path, {})[rule.method] = rule
    return found


_EXACT: Final = {path: rules for path, rules in _by_path().items() if "{" not in path}
_PATTERNS: Final = tuple((compile_path(path)[0], rules) for path, rules in _by_path().items() if "{" in path)
