"""The clinic's OpenID provider: where a browser is sent, what comes back for its code, and whether that can be believed.

The authorization code flow (OpenID Connect Core 1.0, section 3.1) with PKCE (RFC 7636, S256). Authlib speaks with the token
endpoint and judges the claims of an ID token, joserfc its signature. The provider is asked in the seconds of a log-in alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import httpx2
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidClaimError, InvalidKeyIdError, JoseError, MissingClaimError
from joserfc.jwk import KeySet
from pydantic import SecretStr

from keepwell.contract.events import CLINIC_PATTERN
from services.clinician.people.addresses import is_safe
from services.clinician.people.who import ROLES, Role

CALLBACK: Final = "/login/provider/callback"
"""Where the provider leads a browser back to."""
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
"""Signatures that are taken: with a key that only the provider has (RFC 7518, 3.1; RFC 8037; RFC 9864). Neither `none` nor a
shared secret, for which a public key could be passed off."""
PATIENCE: Final = 5.0
"""Seconds for each step of a request. Ours."""
LONGEST: Final = 10.0
"""Seconds for all that a log-in asks the provider, however slowly it drips. Ours."""
LEEWAY: Final = 60
"""Seconds that the provider's clock may be off. Ours."""
KEPT_US: Final = 3_600_000_000
"""How long the provider's facts and keys count without being asked for again: an hour. Ours."""
_PSEUDONYM: Final = re.compile(r"[!-?A-~]{1,128}")


class NoProvider(Exception):
    """The provider does not answer, or not as OpenID Connect has it. The text names no secret and nobody."""


class NotBelieved(Exception):
    """What came back proves nobody. The text names what is wrong with it, no secret and nobody."""


class OidcClient(NamedTuple):
    """What Keepwell is to the provider. `url` is where browsers reach us."""

    issuer: str
    client_id: str
    secret: SecretStr | None
    url: str
    scopes: str


class ClaimNames(NamedTuple):
    """The claims that clinic, role and clinician_id stand in."""

    clinic: str
    role: str
    clinician: str


class Vouched(NamedTuple):
    """Whom the provider vouches for: by its name for them, which never changes, and as what."""

    issuer: str
    subject: str
    name: str
    clinic: str
    role: Role
    clinician_id: str | None


class LoginProof(NamedTuple):
    """What binds one log-in to the browser that began it: three secrets that all come from its cookie."""

    state: str
    nonce: str
    verifier: str


class _Facts(NamedTuple):
    told: Mapping[str, Any]
    at: int


class _Keys(NamedTuple):
    keys: KeySet
    at: int


def proof_of(cookie: SecretStr) -> LoginProof:
    """The secrets of a log-in, by HMAC from the 256 random bits of its cookie: they are stored nowhere."""

    def derived(purpose: str) -> str:
        mac = hmac.new(cookie.get_secret_value().encode(), purpose.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    return LoginProof(derived("state"), derived("nonce"), derived("verifier"))


def vouched(claims: Mapping[str, Any], names: ClaimNames, issuer: str) -> Vouched | None:
    """Whom believed claims vouch for; None where clinic, role or a clinician's id is missing, or means nothing here.

    A claim may be a list, as groups are: then exactly one of it must fit.
    """
    clinic = _one(claims.get(names.clinic), re.compile(CLINIC_PATTERN).fullmatch)
    role = _one(claims.get(names.role), lambda text: text in ROLES)
    clinician = _one(claims.get(names.clinician), _PSEUDONYM.fullmatch) if role == "clinician" else None
    if clinic is None or role is None or (role == "clinician" and clinician is None):
        return None
    named = claims.get("preferred_username")
    as_role: Role = role  # type: ignore[assignment]  # one of them
    return Vouched(issuer, claims["sub"], named if isinstance(named, str) else "", clinic, as_role, clinician)


class Provider:
    """The provider of one issuer. Times are µs since 1970 UTC; its facts and keys are kept for an hour."""

    def __init__(self, client: OidcClient, claims: ClaimNames) -> None:
        self.client: Final = client
        self.claims: Final = claims
        self._tls = ssl.create_default_context()
        self._facts: _Facts | None = None
        self._keys: _Keys | None = None

    async def door(self, proof: LoginProof, now: int) -> str:
        """Where a browser is sent to log in. Raises `NoProvider`."""
        async with self._asking() as client:
            facts = await self._told(client, now)
            url, _ = client.create_authorization_url(
                self._address(facts, "authorization_endpoint"),
                state=proof.state, nonce=proof.nonce, code_verifier=proof.verifier,
            )  # fmt: skip
        return str(url)

    async def way_out(self, now: int) -> str | None:
        """Where a browser is sent to log out of the provider too; None where that is not offered. Raises `NoProvider`."""
        async with self._asking() as client:
            facts = await self._told(client, now)
        if "end_session_endpoint" not in facts:
            return None
        back = [("client_id", self.client.client_id), ("post_logout_redirect_uri", f"{self.client.url}/login")]
        return str(add_params_to_uri(self._address(facts, "end_session_endpoint"), back))

    async def redeem(self, code: str, proof: LoginProof, sender: str | None, now: int) -> Mapping[str, Any]:
        """The claims that a code stands for. `sender` is the `iss` that came with it (RFC 9207).

        Raises `NotBelieved` and `NoProvider`.
        """
        async with self._asking() as client:
            facts = await self._told(client, now)
            if sender != self.client.issuer and (
                sender is not None or facts.get("authorization_response_iss_parameter_supported")
            ):
                raise NotBelieved("iss of the answer")
            if self.client.secret is not None and _by_post(facts.get("token_endpoint_auth_methods_supported")):
                client.token_endpoint_auth_method = "client_secret_post"
            try:
                found = await client.fetch_token(
                    self._address(facts, "token_endpoint"), code=code, code_verifier=proof.verifier,
                    grant_type="authorization_code",
                )  # fmt: skip
            except OAuthError as error:
                if error.error == "invalid_grant":
                    raise NotBelieved("code") from None
                raise NoProvider("the token endpoint refuses us") from None
            except TypeError:  # of a token that is none
                raise NoProvider("the token endpoint answers something else") from None
            token = found.get("id_token")
            if not isinstance(token, str):
                raise NotBelieved("no ID token")
            return await self._believed(client, token, found.get("access_token"), proof.nonce, now)

    async def _believed(
        self, client: AsyncOAuth2Client, token: str, access_token: object, nonce: str, now: int
    ) -> Mapping[str, Any]:
        """The claims of an ID token that holds (OpenID Connect Core 1.0, section 3.1.3.7)."""
        try:
            try:
                found = jwt.decode(token, await self._signing(client, now), list(ALGORITHMS))
            except InvalidKeyIdError:  # a key that is newer than ours
                found = jwt.decode(token, await self._signing(client, now, anew=True), list(ALGORITHMS))
            given = CodeIDToken(
                found.claims, found.header,
                options={
                    "iss": {"essential": True, "value": self.client.issuer},
                    "aud": {"essential": True, "value": self.client.client_id},
                    "sub": {"essential": True},
                },
                params={"nonce": nonce, "client_id": self.client.client_id, "access_token": access_token},
            )  # fmt: skip
            given.validate(now // 1_000_000, LEEWAY)
        except (MissingClaimError, InvalidClaimError) as error:
            raise NotBelieved(f"ID token: {error.claim}") from None
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise NotBelieved(f"ID token: {type(error).__name__}") from None
        return found.claims

    async def _told(self, client: AsyncOAuth2Client, now: int) -> Mapping[str, Any]:
        """What the provider tells of itself (OpenID Connect Discovery 1.0, section 4)."""
        if self._facts is None or now - self._facts.at >= KEPT_US:
            found = await self._read(client, f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.client.issuer:
                raise NoProvider("it names another issuer than oidc_issuer")
            self._facts = _Facts(found, now)
        return self._facts.told

    async def _signing(self, client: AsyncOAuth2Client, now: int, *, anew: bool = False) -> KeySet:
        if anew or self._keys is None or now - self._keys.at >= KEPT_US:
            url = self._address(await self._told(client, now), "jwks_uri")
            found = await self._read(client, url)
            try:
                self._keys = _Keys(KeySet.import_key_set(found), now)  # type: ignore[arg-type]  # it looks itself
            except (JoseError, ValueError, TypeError, KeyError):
                raise NoProvider("its keys cannot be read") from None
        return self._keys.keys

    async def _read(self, client: AsyncOAuth2Client, url: str) -> dict[str, Any]:
        answer = await client.request("GET", url, withhold_token=True)
        found = answer.json() if answer.status_code == 200 else None
        if not isinstance(found, dict):
            raise NoProvider(f"it answered {answer.status_code} without what was asked for")
        return found

    def _address(self, facts: Mapping[str, Any], name: str) -> str:
        found = facts.get(name)
        if not isinstance(found, str) or not is_safe(found):
            raise NoProvider(f"{name} is no https address")
        return found

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AsyncOAuth2Client]:
        """A client for one log-in, whose troubles with the network and with answers are `NoProvider`."""
        secret = self.client.secret
        try:
            async with (
                asyncio.timeout(LONGEST),
                AsyncOAuth2Client(
                    self.client.client_id, secret and secret.get_secret_value(), scope=self.client.scopes,
                    redirect_uri=self.client.url + CALLBACK, code_challenge_method="S256", timeout=PATIENCE,
                    follow_redirects=False, verify=self._tls,
                ) as client,
            ):  # fmt: skip
                yield client
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, ValueError) as error:
            raise NoProvider(type(error).__name__) from None


def _one(given: object, fits: Any) -> str | None:
    """The one text that fits, of one or of a list."""
    every: Sequence[object] = given if isinstance(given, list) else [given]
    found = {each for each in every if isinstance(each, str) and fits(each)}
    return found.pop() if len(found) == 1 else None


def _by_post(methods: object) -> bool:
    """Whether a provider takes a secret in the form alone; without a word it takes it in the header (Discovery 1.0)."""
    return isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
