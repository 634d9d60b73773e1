"""Security headers, and which cookie a request has its session in."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from services.clinician.people.headers import (
    ALWAYS,
    LOOPBACK_COOKIE,
    SECURE_COOKIE,
    SecurityHeaders,
    cookie_of,
    drop_cookie,
    set_cookie,
)
from tests.services.clinician.people.made import Asking

app = FastAPI()
app.add_middleware(SecurityHeaders)


@app.get("/in")
async def _in(request: Request) -> Response:
    answer = Response(headers={"Cache-Control": "public, max-age=9"})
    set_cookie(request.scope, answer, SecretStr("abc"))
    return answer


@app.get("/out")
async def _out(request: Request) -> Response:
    answer = Response(cookie_of(request.scope))
    drop_cookie(request.scope, answer)
    return answer


@app.get("/static/page.css")
async def _static() -> Response:
    return Response(headers={"Cache-Control": "public, max-age=9"})


def client(url: str = "https://keepwell.example", host: str = "10.0.0.1") -> Asking:
    return Asking(app, url, host=host)


@pytest.mark.parametrize("path", ["/in", "/out", "/static/page.css", "/not/there"])
def test_every_answer_has_the_headers(path: str) -> None:
    answer = client().get(path)
    assert {name: answer.headers[name] for name, _ in ALWAYS} == dict(ALWAYS)
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_only_what_is_nobodys_may_be_kept() -> None:
    assert client().get("/in").headers["cache-control"] == "no-store"
    assert client().get("/not/there").headers["cache-control"] == "no-store"
    assert client().get("/static/page.css").headers["cache-control"] == "public, max-age=9"
    by_token = {"Authorization": "Bearer kwu_1_2"}
    assert client().get("/out", headers=by_token).headers["cache-control"] == "private, no-cache"


SECURE = "HttpOnly; Path=/; SameSite=lax; Secure"
PLAIN = "HttpOnly; Path=/; SameSite=lax"


@pytest.mark.parametrize(
    ("url", "host", "headers", "cookie"),
    [
        ("https://keepwell.example", "10.0.0.1", {}, f"{SECURE_COOKIE}=abc; {SECURE}"),
        ("https://127.0.0.1:8085", "127.0.0.1", {}, f"{SECURE_COOKIE}=abc; {SECURE}"),
        ("http://127.0.0.1:8085", "127.0.0.1", {}, f"{LOOPBACK_COOKIE}=abc; {PLAIN}"),
        ("http://localhost:8085", "127.0.0.1", {}, f"{LOOPBACK_COOKIE}=abc; {PLAIN}"),
        ("http://[::1]:8085", "::1", {}, f"{LOOPBACK_COOKIE}=abc; {PLAIN}"),
        ("http://keepwell.example", "127.0.0.1", {}, f"{SECURE_COOKIE}=abc; {SECURE}"),
        ("http://127.0.0.1:8085", "10.0.0.1", {}, f"{SECURE_COOKIE}=abc; {SECURE}"),
        ("http://127.0.0.1:8085", "127.0.0.1", {"X-Forwarded-For": "10.0.0.9"}, f"{SECURE_COOKIE}=abc; {SECURE}"),
        ("http://127.0.0.1:8085", "127.0.0.1", {"Host": "[bad"}, f"{SECURE_COOKIE}=abc; {SECURE}"),
    ],
)
def test_the_cookie_is_bound_to_its_host_but_for_this_machine_itself(
    url: str, host: str, headers: dict[str, str], cookie: str
) -> None:
    assert client(url, host).get("/in", headers=headers).headers["set-cookie"] == cookie


def test_the_cookie_is_read_where_it_was_set_and_nowhere_else() -> None:
    both = {"Cookie": f"{SECURE_COOKIE}=abc; {LOOPBACK_COOKIE}=def"}
    assert client().get("/out", headers=both).text == "abc"
    assert client("http://127.0.0.1", "127.0.0.1").get("/out", headers=both).text == "def"
    assert client().get("/out", headers={"Cookie": f"{LOOPBACK_COOKIE}=def"}).text == ""
    assert "Max-Age=0" in client().get("/out").headers["set-cookie"]
