"""Headers that keep pages from being framed, sniffed, cached or scripted by others, and the cookie of a session.

The cookie is `__Host-keepwell` (Secure, HttpOnly, SameSite=Lax, Path=/). On plain http it cannot be, and browsers differ
about this machine itself: Chromium takes Secure cookies from http://127.0.0.1 since version 89, but of names with a prefix
older versions still asked for https (`IsCookiePrefixValid`: `url.SchemeIsCryptographic()`), where newer ones take them from
loopback addresses too (`HasValidSecurePrefixAttributes`). So a request that came over http from this machine to this machine
has the cookie `keepwell` without Secure, whatever the browser. Over http from elsewhere there is no session.
"""

from __future__ import annotations

import ipaddress
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, nothing from elsewhere (CSP Level 3)."""

ALWAYS: Final = (
    ("Content-Security-Policy", CONTENT_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""On every answer (OWASP HTTP Headers Cheat Sheet)."""

STATIC: Final = "/static/"
"""Where the files of the page itself are, which hold nothing of anybody and may be cached."""

SECURE_COOKIE: Final = "__Host-keepwell"
LOOPBACK_COOKIE: Final = "keepwell"
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "via")


class SecurityHeaders:
    """Adds the headers to every answer, and keeps answers that are somebody's out of caches.

    An answer to a bearer token may be kept by its receiver and asked for again by its ETag (`private, no-cache`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        static = scope["path"].startswith(STATIC)
        by_token = "authorization" in Headers(scope=scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS:
                    headers[name] = value
                if by_token:
                    headers.setdefault("Cache-Control", "private, no-cache")
                elif not static:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, with_headers)


def cookie_of(scope: Scope, suffix: str = "") -> str | None:
    """What the session cookie of a request holds, or another one of ours, by what its name ends in."""
    return cookie_parser(Headers(scope=scope).get("cookie", "")).get(cookie_name(scope) + suffix) or None


def set_cookie(
    scope: Scope, response: Response, value: SecretStr, suffix: str = "", seconds: int | None = None
) -> None:
    """Gives the browser the cookie of a new session, or another one; it forgets it after so long, and when it is closed."""
    name = cookie_name(scope)
    response.set_cookie(
        name + suffix, value.get_secret_value(), seconds,
        path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="lax",
    )  # fmt: skip


def drop_cookie(scope: Scope, response: Response, suffix: str = "") -> None:
    """Takes the cookie of a session back, or another one."""
    name = cookie_name(scope)
    response.delete_cookie(name + suffix, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="lax")


def cookie_name(scope: Scope) -> Literal["__Host-keepwell", "keepwell"]:
    """Which cookie a request has its session in."""
    return LOOPBACK_COOKIE if _stays_on_this_machine(scope) else SECURE_COOKIE


def client_host(scope: Scope) -> str:
    """The address that a request came from; behind a proxy what the server (uvicorn) took from its headers."""
    client = scope.get("client")
    return client[0] if client else ""


def host_of(address: str, *, port: bool = False) -> str:
    """The host of an address, with its port if asked for; empty where the address is none.

    >>> host_of("//[::1]:80"), host_of("https://Keepwell.example:444", port=True), host_of("null"), host_of("//[bad")
    ('::1', 'keepwell.example:444', '', '')
    """
    try:
        found = urlsplit(address)
    except ValueError:
        return ""
    return found.netloc.lower() if port else found.hostname or ""


def _stays_on_this_machine(scope: Scope) -> bool:
    """Whether a request came over http from this machine to this machine, and through no proxy that says so."""
    headers = Headers(scope=scope)
    return (
        scope["scheme"] == "http"
        and _is_loopback(client_host(scope))
        and _is_loopback(host_of(f"//{headers.get('host', '')}"))
        and not any(name in headers for name in _FORWARDED)
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
