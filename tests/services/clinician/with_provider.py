"""The pages with a provider beside them, and browsers that keep their cookies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import urlencode

import httpx
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI

from keepwell.contract.events import micros
from keepwell.streams.worker.process import Check
from keepwell.web.app import make_app
from services.clinician.clinics import ClinicFacts
from services.clinician.database import open_engine
from services.clinician.oidc_pages import add_oidc, door_of
from services.clinician.people import accounts, audit
from services.clinician.people.access import People, install
from services.clinician.people.accounts import Account
from services.clinician.people.headers import SECURE_COOKIE
from services.clinician.people.oidc import Provider
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role, User
from services.clinician.people_pages import add_people_pages
from services.clinician.schema import migrate
from services.clinician.web import Pages, add_pages
from tests.services.clinician.people.made import GOOD, Asking
from tests.services.clinician.provider import AT

LOGIN_COOKIE: Final = f"{SECURE_COOKIE}-login"


class Surfer:
    """A browser at an address: it keeps cookies, and follows no redirect by itself."""

    def __init__(self, app: FastAPI, host: str) -> None:
        self._asking = Asking(app, AT, host=host)
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **query: str) -> httpx.Response:
        """Asks for a page."""
        return self._keeping(self._asking.get(path + ("?" + urlencode(query) if query else ""), self._headers()))

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Sends a form of one of our pages."""
        site = {"Sec-Fetch-Site": "same-origin"}
        return self._keeping(self._asking.post(path, headers=self._headers() | site, data=fields))

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def _keeping(self, answer: httpx.Response) -> httpx.Response:
        for header in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return answer


class DoorHouse:
    """The log-in pages over a database, with a provider or without. `now` is the clock, which a test may set."""

    def __init__(self, database: str, now: Callable[[], datetime], provider: Provider | None) -> None:
        self.engine: Final = open_engine(database)
        self.now = now
        migrate(self.engine)
        self.passwords: Final = Passwords(PasswordHasher(1, 8, 1))
        self.app: Final = make_app("clinician", "Keepwell", _well, _well, told={})
        pages = Pages(
            self.engine, None, self.passwords, self.time, lambda _: ClinicFacts(),  # type: ignore[arg-type]
            door=None if provider is None else door_of(provider),
        )  # fmt: skip
        add_pages(self.app, pages)
        add_people_pages(self.app, pages)
        if provider is not None:
            add_oidc(self.app, pages, provider)
        install(self.app, People(self.engine, lambda: micros(self.time())))

    def time(self) -> datetime:
        """What `now` says at this moment."""
        return self.now()

    def browser(self, host: str = "10.0.0.1") -> Surfer:
        """A new one."""
        return Surfer(self.app, host)

    def add(self, name: str, role: Role = "administrator", clinic: str = "north") -> User:
        """A local account whose password is `GOOD`."""
        with self.engine.begin() as connection:
            account = Account(name, clinic, role, f"c-{name}" if role == "clinician" else None)
            return accounts.add(
                connection, account, OPERATOR, micros(self.now()), passwords=self.passwords, password=GOOD
            ).user

    def everyone(self) -> dict[str, User]:
        """The accounts in use, by name."""
        with self.engine.connect() as connection:
            return {one.name: one for one in accounts.everyone(connection)}

    def did(self, clinic: str = "north") -> list[tuple[str, str]]:
        """Who did what, as the audit has it."""
        with self.engine.connect() as connection:
            return [(row.user, row.action) for row in audit.rows(connection, clinic)]

    def count(self, table: sa.Table) -> int:
        """Rows of a table."""
        with self.engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


@contextmanager
def door_house(database: str, now: Callable[[], datetime], provider: Provider | None = None) -> Iterator[DoorHouse]:
    """A house that is closed afterwards."""
    house = DoorHouse(database, now, provider)
    try:
        yield house
    finally:
        house.engine.dispose()


def _well() -> Check:
    return Check(True, "well")
