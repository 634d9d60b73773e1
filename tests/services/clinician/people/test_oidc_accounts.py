"""Accounts that a provider vouches for: one for each person, whoever comes at the same moment, and gone with the tables."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Barrier

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from pydantic import SecretStr

from services.clinician.people import accounts, audit, browser, oidc_accounts
from services.clinician.people.limits import Attempt
from services.clinician.people.oidc import Vouched, proof_of
from services.clinician.people.passwords import Passwords
from services.clinician.people.sign_in import SignedIn
from services.clinician.people.tables import users
from services.clinician.schema import downgrade, migrate
from tests.services.clinician.people.made import START, add

ANNA = Vouched("https://id.example", "5f1c", "anna", "north", "clinician", "c-4")
REVISION = import_module("services.clinician.migrations.versions.0007_oidc")


@pytest.fixture
def whole(opened: sa.Engine) -> Iterator[sa.Engine]:
    migrate(opened)
    yield opened


def come(engine: sa.Engine, who: Vouched, host: str = "10.0.0.1") -> SignedIn:
    """The whole log-in without the provider."""
    cookie = SecretStr(f"{who.subject} {host}")
    assert oidc_accounts.begin(engine, cookie, host, START) is None
    state = proof_of(cookie).state
    attempt = oidc_accounts.come_back(engine, cookie.get_secret_value(), state, host, START)
    assert isinstance(attempt, Attempt)
    found = oidc_accounts.enter(engine, who, attempt, START, former=None)
    assert found is not None
    return found


def test_of_two_first_log_ins_at_the_same_moment_comes_one_account(whole: sa.Engine) -> None:
    together = Barrier(4)

    def one(number: int) -> str:
        together.wait()
        return come(whole, ANNA, f"10.0.0.{number}").user.id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(one, range(4)))) == 1
    with whole.connect() as connection:
        assert [row.action for row in audit.rows(connection, "north")].count("user.added") == 1


def test_two_people_of_one_name_at_the_same_moment_get_two_names(whole: sa.Engine) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: come(whole, ANNA._replace(subject=str(number))), range(3)))
    with whole.connect() as connection:
        assert [one.name for one in accounts.everyone(connection)] == ["anna", "anna-2", "anna-3"]


def test_one_log_in_is_finished_once_whoever_comes_at_the_same_moment(whole: sa.Engine) -> None:
    cookie, together = "a cookie", Barrier(4)
    oidc_accounts.begin(whole, SecretStr(cookie), "10.0.0.1", START)
    state = proof_of(SecretStr(cookie)).state

    def one(number: int) -> bool:
        together.wait()
        found = oidc_accounts.come_back(whole, cookie, state, f"10.0.0.{number}", START)
        return isinstance(found, Attempt)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [False, False, False, True]


def test_without_the_tables_the_accounts_are_over_and_their_names_free(whole: sa.Engine) -> None:
    passwords = Passwords(PasswordHasher(1, 8, 1))
    local = add(whole, passwords, "zoe")
    entered = come(whole, ANNA)
    downgrade(whole, REVISION.down_revision)
    with whole.connect() as connection:
        kept = connection.execute(sa.select(users.c.name).where(users.c.removed_at.is_(None))).scalars().all()
    assert kept == [local.name]
    assert browser.find(whole, entered.opened.cookie.get_secret_value(), START) is None
    migrate(whole)
    assert come(whole, ANNA).user.id != entered.user.id
