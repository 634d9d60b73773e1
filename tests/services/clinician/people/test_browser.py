"""Sessions of browsers: how they begin, go on and end."""

from __future__ import annotations

import sqlalchemy as sa

from services.clinician.people import browser
from services.clinician.people.audit import rows
from services.clinician.people.passwords import Passwords
from services.clinician.people.sign_in import SignedIn, sign_in, sign_out
from services.clinician.people.tables import browser_sessions, users
from tests.services.clinician.people.made import DAY, GOOD, MINUTE, START, add


def opened(engine: sa.Engine, passwords: Passwords, now: int = START, former: str | None = None) -> SignedIn:
    signed = sign_in(engine, "anna", GOOD, now, passwords=passwords, address="10.0.0.1", former=former)
    assert isinstance(signed, SignedIn)
    return signed


def test_a_session_ends_after_half_an_hour_without_a_request(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    cookie = opened(engine, passwords).opened.cookie.get_secret_value()
    assert browser.find(engine, cookie, START + 30 * MINUTE - 1) is not None
    assert browser.find(engine, cookie, START + 60 * MINUTE - 2) is not None
    assert browser.find(engine, cookie, START + 90 * MINUTE) is None


def test_a_request_that_no_person_makes_keeps_no_session_open(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    cookie = opened(engine, passwords).opened.cookie.get_secret_value()
    for minute in range(0, 30, 5):
        found = browser.find(engine, cookie, START + minute * MINUTE, wakes=False)
        assert found is not None and browser.find_by_key(engine, found.key, START + minute * MINUTE)
    assert browser.find(engine, cookie, START + 30 * MINUTE) is None


def test_a_session_ends_after_twelve_hours_however_busy(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    cookie = opened(engine, passwords).opened.cookie.get_secret_value()
    alive = [browser.find(engine, cookie, START + minute * MINUTE) is not None for minute in range(0, 721, 10)]
    assert alive == [True] * 72 + [False]


def test_each_log_in_has_a_new_id_and_ends_the_session_before_it(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    first = opened(engine, passwords).opened
    second = opened(engine, passwords, former=first.cookie.get_secret_value()).opened
    assert first.cookie != second.cookie and first.csrf != second.csrf
    assert browser.find(engine, first.cookie.get_secret_value(), START) is None
    assert browser.find(engine, second.cookie.get_secret_value(), START) is not None
    assert browser.find(engine, "chosen by somebody", START) is None


def test_signing_out_ends_here_or_everywhere(engine: sa.Engine, passwords: Passwords) -> None:
    user = add(engine, passwords)
    cookies = [opened(engine, passwords).opened.cookie.get_secret_value() for _ in range(3)]
    here = browser.find(engine, cookies[0], START)
    assert here is not None
    sign_out(engine, user, here.key, START)
    assert [browser.find(engine, cookie, START) is not None for cookie in cookies] == [False, True, True]
    sign_out(engine, user, None, START)
    assert [browser.find(engine, cookie, START) for cookie in cookies] == [None] * 3
    with engine.connect() as connection:
        actions = [row.action for row in rows(connection, "north")]
    assert actions == ["user.added", *["signed.in"] * 3, "signed.out", "sessions.ended"]


def test_a_session_has_one_token_for_its_forms(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    signed = opened(engine, passwords)
    found = browser.find(engine, signed.opened.cookie.get_secret_value(), START)
    assert found is not None and found.csrf == signed.opened.csrf
    assert browser.is_the_same(found.csrf, signed.opened.csrf.get_secret_value())
    assert not browser.is_the_same(found.csrf, "") and not browser.is_the_same(found.csrf, "ü")


def test_an_account_that_is_gone_has_no_session_even_where_none_was_ended(
    engine: sa.Engine, passwords: Passwords
) -> None:
    user = add(engine, passwords)
    cookie = opened(engine, passwords).opened.cookie.get_secret_value()
    with engine.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == user.id).values(removed_at=START))
    assert browser.find(engine, cookie, START) is None


def test_sessions_that_are_long_over_are_forgotten(engine: sa.Engine, passwords: Passwords) -> None:
    add(engine, passwords)
    for day in (0, 10, 50):
        opened(engine, passwords, START + day * DAY)
    with engine.connect() as connection:
        kept = connection.execute(sa.select(browser_sessions.c.created_at)).scalars().all()
    assert kept == [START + 50 * DAY]
