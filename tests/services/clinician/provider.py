"""An OpenID provider that answers whatever a test wants, right or forged, and counts what it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import Key, KeySet, RSAKey
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keepwell.web.server import Server
from services.clinician.people.oidc import ClaimNames, OidcClient

CLIENT_ID: Final = "keepwell"
SECRET: Final = "a secret of the client"
AT: Final = "https://keepwell.example"
NAMES: Final = ClaimNames("keepwell_clinic", "keepwell_role", "keepwell_clinician")
ANNA: Final = {
    "sub": "5f1c", "preferred_username": "Anna", "keepwell_clinic": "north", "keepwell_role": "clinician",
    "keepwell_clinician": "c-4",
}  # fmt: skip
CODE: Final = "a-code-of-the-provider"
ACCESS: Final = "an-access-token"


class Asked(NamedTuple):
    """What stands in the address that a browser is sent to."""

    address: str
    state: str
    nonce: str
    challenge: str
    sent: Mapping[str, str]


def asked_for(url: str) -> Asked:
    """Reads such an address."""
    parts = urlsplit(url)
    sent = {name: value for name, (value,) in parse_qs(parts.query).items()}
    return Asked(
        f"{parts.scheme}://{parts.netloc}{parts.path}", sent["state"], sent["nonce"], sent["code_challenge"], sent
    )


def rsa(kid: str | None) -> RSAKey:
    """A new key."""
    return RSAKey.generate_key(2048, {"kid": kid} if kid else None, auto_kid=False)


@cache
def _first() -> RSAKey:
    return rsa("first")


class FakeProvider:
    """What it tells and signs is in its attributes, for tests to change. `url` is its issuer."""

    url: str

    def __init__(self, now: int) -> None:
        self.now = now  # seconds
        self.key: Key = _first()
        self.published: list[Key] = [self.key]
        self.besides: list[Mapping[str, Any]] = []
        self.facts: dict[str, Any] = {}
        self.claims: dict[str, Any] = dict(ANNA)
        self.nonce = ""
        self.token: str | None = None
        self.answer: Response | None = None
        self.asked: Counter[str] = Counter()
        self.form: Mapping[str, str] = {}
        self.headers: Mapping[str, str] = {}

    def client(self, secret: str | None = SECRET, at: str = AT) -> OidcClient:
        """What Keepwell is to it."""
        return OidcClient(self.url, CLIENT_ID, SecretStr(secret) if secret else None, at, "openid profile")

    def signed(self, claims: Mapping[str, Any] | None = None, **header: Any) -> str:
        """An ID token with the right claims but these; None takes one away."""
        told = {
            "iss": self.url, "aud": CLIENT_ID, "iat": self.now, "exp": self.now + 300, "nonce": self.nonce,
            **self.claims, **(claims or {}),
        }  # fmt: skip
        told = {name: value for name, value in told.items() if value is not None}
        key = header.pop("key", self.key)
        head = {"alg": "RS256", "kid": key.kid, **header}
        return jwt.encode({name: value for name, value in head.items() if value}, told, key, [head["alg"]])

    @contextmanager
    def serving(self) -> Iterator[FakeProvider]:
        """Serves on this machine."""
        routes = [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/jwks", self._jwks),
            Route("/token", self._token, methods=["POST"]),
            Route("/elsewhere", self._elsewhere, methods=["GET", "POST"]),
        ]
        with Server(Starlette(routes=routes), "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.port}"
            yield self

    async def _discovery(self, _: Request) -> Response:
        self.asked["discovery"] += 1
        ends = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/jwks"}
        told = {"issuer": self.url, **{name: self.url + path for name, path in ends.items()}, **self.facts}
        return self.answer or JSONResponse({name: value for name, value in told.items() if value is not None})

    async def _elsewhere(self, request: Request) -> Response:
        self.asked["elsewhere"] += 1
        self.answer = None
        return await (self._token(request) if request.method == "POST" else self._discovery(request))

    async def _jwks(self, _: Request) -> Response:
        self.asked["jwks"] += 1
        return JSONResponse({"keys": [*KeySet(list(self.published)).as_dict(private=False)["keys"], *self.besides]})

    async def _token(self, request: Request) -> Response:
        self.asked["token"] += 1
        self.form, self.headers = {k: str(v) for k, v in (await request.form()).items()}, dict(request.headers)
        return self.answer or JSONResponse(
            {"access_token": ACCESS, "token_type": "Bearer", "id_token": self.token or self.signed()}
        )
