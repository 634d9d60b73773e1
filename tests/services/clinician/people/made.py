"""Users, moments, and who asks, as the tests of people share them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import sqlalchemy as sa
from starlette.types import ASGIApp

from services.clinician.people import accounts
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role, User

GOOD = "seventeen quiet geese"
"""A password that nothing speaks against."""
START = 1_770_000_000_000_000
"""When tests begin, in µs."""
MINUTE = 60_000_000
DAY = 86_400_000_000


def add(
    engine: sa.Engine, passwords: Passwords, name: str = "anna", clinic: str = "north", role: Role = "clinician"
) -> User:
    """A user whose password is `GOOD`."""
    clinician = f"c-{name}" if role == "clinician" else None
    with engine.begin() as connection:
        account = Account(name, clinic, role, clinician)
        return accounts.add(connection, account, OPERATOR, START, passwords=passwords, password=GOOD).user


class Asking:
    """Sends requests to an application from an address, with headers of its own, and follows no redirect."""

    def __init__(self, app: ASGIApp, at: str, headers: Mapping[str, str] | None = None, host: str = "10.0.0.1") -> None:
        self._app = app
        self._at = at
        self._headers = dict(headers or {})
        self._host = host

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._host, 5000))
            async with httpx.AsyncClient(transport=transport, base_url=self._at) as client:
                return await client.request(method, path, headers=self._headers | dict(headers or {}), **body)

        return asyncio.run(asked())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers)

    def put(self, path: str) -> httpx.Response:
        return self.request("PUT", path)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.request("POST", path, **body)
