"""Limits on wrong passwords: who has to wait, and who never does."""

from __future__ import annotations

import sqlalchemy as sa

from services.clinician.people import limits
from services.clinician.people.limits import AN_ADDRESS, ANYWHERE, HERE, Attempt, TooMany
from services.clinician.people.passwords import Passwords
from services.clinician.people.sign_in import SignedIn, WrongLogin, sign_in
from tests.services.clinician.people.made import GOOD, MINUTE, START, add


class At:
    """Log-ins of one database."""

    def __init__(self, engine: sa.Engine, passwords: Passwords) -> None:
        self._engine = engine
        self._passwords = passwords

    def __call__(
        self, name: str = "anna", password: str = "wrong", address: str = "10.0.0.1", now: int = START
    ) -> SignedIn | WrongLogin | TooMany:
        return sign_in(self._engine, name, password, now, passwords=self._passwords, address=address)


def test_after_five_wrong_passwords_an_account_waits_there_and_not_for_ever(
    engine: sa.Engine, passwords: Passwords
) -> None:
    add(engine, passwords)
    at = At(engine, passwords)
    assert [at() for _ in range(HERE)] == [WrongLogin()] * HERE
    assert at(password=GOOD) == TooMany(15 * 60)
    for minute in range(1, 15):  # whoever goes on trying makes it no longer
        assert at(now=START + minute * MINUTE) == TooMany((15 - minute) * 60)
    assert isinstance(at(password=GOOD, now=START + 15 * MINUTE), SignedIn)


def test_the_same_holds_for_a_name_that_nobody_has(engine: sa.Engine, passwords: Passwords) -> None:
    at = At(engine, passwords)
    assert [at("nobody") for _ in range(HERE + 1)] == [WrongLogin()] * HERE + [TooMany(15 * 60)]


def test_a_right_password_forgets_the_wrong_ones(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    at = At(engine, passwords)
    for _ in range(3):
        assert [at() for _ in range(HERE - 1)] == [WrongLogin()] * (HERE - 1)
        assert isinstance(at(password=GOOD), SignedIn)


def test_an_account_is_not_guessed_from_many_addresses(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    at = At(engine, passwords)
    found = [at(address=f"10.0.1.{number}") for number in range(ANYWHERE + 1)]
    assert found == [WrongLogin()] * ANYWHERE + [TooMany(15 * 60)]


def test_strangers_lock_nobody_out_of_where_they_logged_in_before(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    at = At(engine, passwords)
    assert isinstance(at(password=GOOD, address="10.0.0.7"), SignedIn)
    for number in range(ANYWHERE):
        at(address=f"10.0.1.{number}")
    assert isinstance(at(password=GOOD, address="10.0.0.9"), TooMany)
    assert isinstance(at(password=GOOD, address="10.0.0.7"), SignedIn)


def test_one_address_does_not_try_many_accounts(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    at = At(engine, passwords)
    assert isinstance(at(password=GOOD), SignedIn)
    for number in range(AN_ADDRESS):
        assert at(f"user{number}") == WrongLogin()
    assert isinstance(at("another"), TooMany)
    assert at("another", address="10.0.0.2") == WrongLogin()
    assert isinstance(at(password=GOOD), SignedIn), "who works there goes on"


def test_attempts_at_the_same_moment_all_count(engine: sa.Engine) -> None:
    begun = []
    for _ in range(HERE + 3):  # none of them decided yet
        with engine.begin() as connection:
            begun.append(limits.begin(connection, "anna", limits.address_key("10.0.0.1"), START))
    assert [isinstance(each, Attempt) for each in begun] == [True] * HERE + [False] * 3
