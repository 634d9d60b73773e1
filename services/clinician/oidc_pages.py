"""The routes of the log-in with the clinic's account: to the provider, back from it, and out of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import Final, Literal

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from keepwell.contract.events import micros
from services.clinician.people import oidc_accounts as entry
from services.clinician.people.access import HOME, LOGIN
from services.clinician.people.headers import client_host, cookie_of, drop_cookie, set_cookie
from services.clinician.people.limits import Attempt, TooMany
from services.clinician.people.oidc import (
    CALLBACK,
    ClaimNames,
    NoProvider,
    NotBelieved,
    OidcClient,
    Provider,
    proof_of,
    vouched,
)
from services.clinician.render import ProviderDoor
from services.clinician.settings import ClinicianSettings
from services.clinician.web import Pages

BEGIN: Final = "/login/provider"
END: Final = "/login/provider/end"
SUFFIX: Final = "-login"
"""What the name of the cookie of a log-in ends in."""
Ended = Literal["cancelled", "again", "provider", "claims", "removed", "too_many"]
"""How a log-in ended that let nobody in; the log-in page says it (`services.clinician.render.TOLD_OF_PROVIDER`)."""
_log = structlog.get_logger(__name__)


def provider_of(settings: ClinicianSettings) -> Provider | None:
    """The provider that the settings name; None where local accounts are all."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    client = OidcClient(
        settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret, settings.clinician_url,
        settings.oidc_scopes,
    )  # fmt: skip
    names = ClaimNames(settings.oidc_clinic_claim, settings.oidc_role_claim, settings.oidc_clinician_claim)
    return Provider(client, names)


def door_of(provider: Provider) -> ProviderDoor:
    """What the log-in page shows of a provider. The address is whole, as a cookie of `localhost` is none of 127.0.0.1."""
    return ProviderDoor(provider.client.url + BEGIN, *provider.claims)


def add_oidc(app: FastAPI, pages: Pages, provider: Provider) -> None:
    """Adds the routes. Every one has a rule in `services.clinician.people.access`."""
    found, views = APIRouter(include_in_schema=False), _WithProvider(pages, provider)
    found.get(BEGIN)(views.begin)
    found.get(CALLBACK)(views.come_back)
    found.get(END)(views.end)
    app.include_router(found)


class _WithProvider:
    """One method a route. Whatever happens, a browser is led to an address that holds nothing of the log-in."""

    def __init__(self, pages: Pages, provider: Provider) -> None:
        self._pages = pages
        self._provider = provider

    async def begin(self, request: Request) -> Response:
        cookie = SecretStr(secrets.token_urlsafe(32))
        try:
            door = await self._provider.door(proof_of(cookie), self._now())
        except NoProvider as error:
            return _unanswered(error)
        host = client_host(request.scope)
        if await run_in_threadpool(entry.begin, self._pages.engine, cookie, host, self._now()) is not None:
            return _told("too_many")
        answer = RedirectResponse(door, 303)
        set_cookie(request.scope, answer, cookie, SUFFIX, entry.LIVES_US // 1_000_000)
        return answer

    async def come_back(self, request: Request) -> Response:
        sent, cookie = request.query_params, cookie_of(request.scope, SUFFIX)
        attempt = await run_in_threadpool(
            entry.come_back, self._pages.engine, cookie, sent.get("state", ""), client_host(request.scope), self._now()
        )  # fmt: skip
        if isinstance(attempt, TooMany):
            return _told("too_many")
        if attempt is None or cookie is None:
            return _told("again")
        answer = await self._finish(request, sent, SecretStr(cookie), attempt)
        drop_cookie(request.scope, answer, SUFFIX)
        return answer

    async def end(self) -> Response:
        try:
            out = await self._provider.way_out(self._now())
        except NoProvider as error:
            return _unanswered(error)
        return RedirectResponse(out or LOGIN, 303)

    async def _finish(self, request: Request, sent: Mapping[str, str], cookie: SecretStr, attempt: Attempt) -> Response:
        engine, provider = self._pages.engine, self._provider
        if "error" in sent:
            await run_in_threadpool(entry.forgive, engine, attempt)
            return _told("cancelled" if sent["error"] == "access_denied" else "provider")
        try:
            claims = await provider.redeem(sent.get("code", ""), proof_of(cookie), sent.get("iss"), self._now())
        except NoProvider as error:
            await run_in_threadpool(entry.forgive, engine, attempt)
            return _unanswered(error)
        except NotBelieved as error:
            _log.warning("provider.not_believed", why=str(error))
            return _told("again")
        who = vouched(claims, provider.claims, provider.client.issuer)
        if who is None:
            _log.warning("provider.claims_missing", wanted=list(provider.claims))
            return _told("claims")
        former = cookie_of(request.scope)
        found = await run_in_threadpool(partial(entry.enter, engine, who, attempt, self._now(), former=former))
        if found is None:
            return _told("removed")
        answer = RedirectResponse(HOME[found.user.role], 303)
        set_cookie(request.scope, answer, found.opened.cookie)
        return answer

    def _now(self) -> int:
        return micros(self._pages.now())


def _unanswered(error: NoProvider) -> Response:
    _log.warning("provider.no_answer", why=str(error))
    return _told("provider")


def _told(ended: Ended) -> Response:
    """To the log-in page, which says how it ended and lets people in by name and password too."""
    return RedirectResponse(f"{LOGIN}?told={ended}", 303)
