"""The pages around people as an application over a database of its own, and somebody who is signed in to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI

from keepwell.contract.events import micros
from keepwell.streams.worker.process import Check
from keepwell.web.app import make_app
from services.clinician.clinics import ClinicFacts
from services.clinician.database import open_engine
from services.clinician.people import accounts, audit, browser, links
from services.clinician.people.access import People, install
from services.clinician.people.accounts import Account
from services.clinician.people.headers import SECURE_COOKIE
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role, User
from services.clinician.people_api import add_people_api
from services.clinician.people_pages import add_people_pages
from services.clinician.prompt_pages import add_prompt_pages
from services.clinician.schema import migrate
from services.clinician.web import Pages, add_pages
from tests.services.clinician.made import BERLIN
from tests.services.clinician.people.made import GOOD, Asking

AT = "https://keepwell.example"
PASSWORDS = Passwords(PasswordHasher(1, 8, 1))
"""At the least cost there is."""
NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


class Browser(NamedTuple):
    """Somebody with a session."""

    user: User
    asking: Asking
    csrf: str

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self.asking.post(path, data={"csrf": self.csrf} | fields)


class Place(NamedTuple):
    """The served pages with their database."""

    engine: sa.Engine
    app: Any
    passwords: Passwords

    def add(self, name: str, role: Role = "administrator", clinic: str = "north") -> User:
        with self.engine.begin() as connection:
            account = Account(name, clinic, role, f"c-{name}" if role == "clinician" else None)
            return accounts.add(
                connection, account, OPERATOR, micros(NOW), passwords=self.passwords, password=GOOD
            ).user

    def enter(self, name: str, role: Role = "administrator", clinic: str = "north") -> Browser:
        user = self.add(name, role, clinic)
        with self.engine.begin() as connection:
            opened = browser.open_session(connection, user, "x", micros(NOW))
        cookie = {"Cookie": f"{SECURE_COOKIE}={opened.cookie.get_secret_value()}", "Sec-Fetch-Site": "same-origin"}
        return Browser(user, Asking(self.app, AT, cookie), opened.csrf.get_secret_value())

    def link(self) -> str:
        with self.engine.begin() as connection:
            return links.make(connection, links.FIRST_ADMINISTRATOR, "north", micros(NOW)).get_secret_value()

    def everyone(self, clinic: str = "north") -> dict[str, User]:
        with self.engine.connect() as connection:
            return {one.name: one for one in accounts.everyone(connection, clinic)}

    def did(self, clinic: str = "north") -> list[str]:
        with self.engine.connect() as connection:
            return [row.action for row in audit.rows(connection, clinic)]


@contextmanager
def placed(file: Path) -> Iterator[Place]:
    """The pages over a database in this file, at nine in the morning of a Tuesday in UTC."""
    engine = open_engine(f"sqlite:///{file}")
    migrate(engine)
    app = app_of()
    pages = Pages(engine, None, PASSWORDS, lambda: NOW, lambda _: ClinicFacts(BERLIN))  # type: ignore[arg-type]
    add_pages(app, pages)
    add_people_pages(app, pages)
    add_people_api(app, pages)
    add_prompt_pages(app, pages)
    install(app, People(engine, lambda: micros(NOW)))
    yield Place(engine, app, PASSWORDS)
    engine.dispose()


def app_of() -> FastAPI:
    """An application that is well and has no routes of its own yet."""
    return make_app("clinician", "Keepwell", _well, _well, told={})


def _well() -> Check:
    return Check(True, "well")
