"""Logging in with the clinic's account: who comes in, as what, and everybody who does not."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.responses import Response
from structlog.testing import capture_logs

from keepwell.contract.events import micros
from keepwell.web.server import Server
from services.clinician.oidc_pages import provider_of
from services.clinician.people import accounts, browser, covers, limits, oidc_accounts
from services.clinician.people.access import RULES, without_rule
from services.clinician.people.headers import SECURE_COOKIE
from services.clinician.people.oidc import CALLBACK, Provider, proof_of
from services.clinician.people.tables import login_failures, provider_accounts, provider_logins, users
from services.clinician.people.who import OPERATOR
from services.clinician.settings import ClinicianSettings
from tests.services.clinician.people.made import GOOD
from tests.services.clinician.provider import ACCESS, ANNA, AT, CODE, NAMES, SECRET, Asked, FakeProvider, asked_for
from tests.services.clinician.sound import sound
from tests.services.clinician.with_provider import LOGIN_COOKIE, DoorHouse, Surfer, door_house

BEGINNING = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


class Clinic(NamedTuple):
    """The pages, and the provider beside them."""

    house: DoorHouse
    there: FakeProvider

    def later(self, **time: float) -> None:
        """The clock goes on."""
        moment = self.house.now() + timedelta(**time)
        self.house.now = lambda: moment
        self.there.now = int(moment.timestamp())

    def begin(self, who: Surfer) -> Asked:
        """Presses the button; the provider signs for this log-in from now on."""
        answer = who.get("/login/provider")
        assert answer.status_code == 303, answer.text
        asked = asked_for(answer.headers["location"])
        self.there.nonce = asked.nonce
        return asked

    def enter(self, who: Surfer | None = None, **claims: object) -> httpx.Response:
        """The whole log-in, with other claims than Anna's."""
        self.there.claims = {**ANNA, **claims}
        who = who or self.house.browser()
        return who.get(CALLBACK, code=CODE, state=self.begin(who).state)


@pytest.fixture
def clinic(database: str) -> Iterator[Clinic]:
    with (
        FakeProvider(int(BEGINNING.timestamp())).serving() as there,
        door_house(database, lambda: BEGINNING, Provider(there.client(), NAMES)) as house,
    ):
        yield Clinic(house, there)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Clinic]:
    """On SQLite alone, for what the database has no part in."""
    with (
        FakeProvider(int(BEGINNING.timestamp())).serving() as there,
        door_house(f"sqlite:///{tmp_path / 'people.db'}", lambda: BEGINNING, Provider(there.client(), NAMES)) as house,
    ):
        yield Clinic(house, there)


def told(answer: httpx.Response) -> str:
    """How a log-in ended that let nobody in. The address that it leads to says nothing else."""
    assert answer.status_code == 303 and SECURE_COOKIE not in [c.split("=")[0] for c in _set(answer)]
    parts = urlsplit(answer.headers["location"])
    assert (parts.scheme, parts.netloc, parts.path) == ("", "", "/login") and parts.query.startswith("told=")
    return parts.query.removeprefix("told=")


def _set(answer: httpx.Response) -> list[str]:
    return answer.headers.get_list("set-cookie")


def test_every_route_has_a_rule(small: Clinic) -> None:
    assert without_rule(small.house.app) == []
    assert {rule.path for rule in RULES if rule.path.startswith("/login/")} == {
        "/login/provider", "/login/provider/callback", "/login/provider/end",
    }  # fmt: skip


def test_without_a_provider_there_is_no_button_and_no_route(tmp_path: Path) -> None:
    with door_house(f"sqlite:///{tmp_path / 'people.db'}", lambda: BEGINNING) as house:
        assert "clinic's account" not in sound(house.browser().get("/login").text).text
        for path in ("/login/provider", CALLBACK, "/login/provider/end"):
            assert house.browser().get(path).status_code == 404


def test_the_first_log_in_makes_an_account_as_the_provider_says(clinic: Clinic) -> None:
    anna = clinic.house.browser()
    assert f"{AT}/login/provider" in anna.get("/login").text
    asked = clinic.begin(anna)
    assert clinic.house.everyone() == {}
    answer = anna.get(CALLBACK, code=CODE, state=asked.state)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert set(anna.cookies) == {SECURE_COOKIE}, "the cookie of the log-in is taken back"
    (user,) = clinic.house.everyone().values()
    assert (user.name, user.clinic, user.role, user.clinician_id) == ("anna", "north", "clinician", "c-4")
    assert user.by_provider and not user.must_change and user.id.startswith("u-") and ANNA["sub"] not in user.id
    assert clinic.house.did() == [("provider", "user.added"), (user.id, "signed.in")]
    assert anna.get("/password").status_code == 200
    assert (clinic.house.count(login_failures), clinic.house.count(provider_logins)) == (0, 0)
    assert clinic.enter().headers["location"] == "/" and len(clinic.house.everyone()) == 1, "the same person again"


def test_the_cookie_of_a_log_in_is_short_lived_and_its_browsers_alone(small: Clinic) -> None:
    answer = small.house.browser().get("/login/provider")
    (cookie,) = _set(answer)
    assert cookie.startswith(f"{LOGIN_COOKIE}=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "secure", "httponly", "samesite=lax", "path=/", "max-age=600",
    }  # fmt: skip
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["cache-control"] == "no-store"
    assert "form-action 'self'" in answer.headers["content-security-policy"]


def test_a_log_in_ends_the_session_that_the_browser_had(small: Clinic) -> None:
    anna = small.house.browser()
    small.enter(anna)
    former = anna.cookies[SECURE_COOKIE]
    small.enter(anna, sub="another", preferred_username="bo")
    assert browser.find(small.house.engine, former, micros(BEGINNING)) is None
    assert browser.find(small.house.engine, anna.cookies[SECURE_COOKIE], micros(BEGINNING)) is not None


def test_a_state_of_somebody_else_lets_nobody_in_and_spoils_nothing(small: Clinic) -> None:
    mine, theirs = small.house.browser(), small.house.browser("10.0.0.2")
    other, own = small.begin(theirs), small.begin(mine)
    for state in (other.state, "", "x", own.state[:-1], own.state + "x"):
        assert told(mine.get(CALLBACK, code=CODE, state=state)) == "again"
    assert told(mine.get(CALLBACK)) == "again" and small.there.asked["token"] == 0
    assert mine.get(CALLBACK, code=CODE, state=own.state).headers["location"] == "/"


def test_a_browser_that_began_nothing_is_not_logged_in_as_somebody(small: Clinic) -> None:
    """Log-in CSRF: an attacker's code and state, opened in the browser of somebody else."""
    attacker, victim = small.house.browser(), small.house.browser("10.0.0.2")
    asked = small.begin(attacker)
    assert told(victim.get(CALLBACK, code=CODE, state=asked.state)) == "again"
    small.begin(victim)
    assert told(victim.get(CALLBACK, code=CODE, state=asked.state)) == "again"
    assert SECURE_COOKIE not in victim.cookies and small.there.asked["token"] == 0


def test_a_log_in_is_finished_once(clinic: Clinic) -> None:
    anna = clinic.house.browser()
    asked, cookie = clinic.begin(anna), anna.cookies[LOGIN_COOKIE]
    assert anna.get(CALLBACK, code=CODE, state=asked.state).headers["location"] == "/"
    anna.cookies = {LOGIN_COOKIE: cookie}
    assert told(anna.get(CALLBACK, code=CODE, state=asked.state)) == "again"
    assert clinic.there.asked["token"] == 1


def test_a_log_in_has_ten_minutes(clinic: Clinic) -> None:
    late, timely = clinic.house.browser(), clinic.house.browser()
    asked = clinic.begin(late)
    clinic.later(minutes=10)
    assert told(late.get(CALLBACK, code=CODE, state=asked.state)) == "again"
    asked = clinic.begin(timely)
    assert clinic.house.count(provider_logins) == 1, "what is over is forgotten"
    clinic.later(minutes=9, seconds=59)
    assert timely.get(CALLBACK, code=CODE, state=asked.state).headers["location"] == "/"


def test_a_nonce_of_another_log_in_lets_nobody_in(small: Clinic) -> None:
    anna = small.house.browser()
    asked = small.begin(anna)
    small.there.nonce = "another"
    with capture_logs() as logged:
        assert told(anna.get(CALLBACK, code=CODE, state=asked.state)) == "again"
    assert [(line["event"], line.get("why")) for line in logged] == [("provider.not_believed", "ID token: nonce")]
    assert small.house.everyone() == {} and small.house.did() == []


def test_who_does_not_want_to_is_told_so_calmly(small: Clinic) -> None:
    for error, ended in (("access_denied", "cancelled"), ("server_error", "provider"), ("<script>", "provider")):
        anna = small.house.browser()
        asked = small.begin(anna)
        answer = anna.get(CALLBACK, error=error, error_description="<b>", state=asked.state)
        assert told(answer) == ended and LOGIN_COOKIE not in anna.cookies
        assert sound(anna.get(answer.headers["location"]).text).all("form", action="/login")
    assert small.house.count(login_failures) == 0
    assert told(small.house.browser().get(CALLBACK, error="access_denied", state="x")) == "again", "of no log-in"


@pytest.mark.parametrize("gone", ["keepwell_clinic", "keepwell_role", "keepwell_clinician"])
def test_claims_that_are_missing_make_no_account_and_the_page_names_them(small: Clinic, gone: str) -> None:
    anna = small.house.browser()
    with capture_logs() as logged:
        answer = small.enter(anna, **{gone: None})
    assert told(answer) == "claims" and small.house.count(users) == 0 and small.house.did() == []
    page = sound(anna.get(answer.headers["location"]).text).text
    assert all(name in page for name in NAMES) and "administrator" in page
    assert ANNA["sub"] not in repr(logged) and "c-4" not in repr(logged)


def test_another_role_or_clinic_holds_from_the_next_log_in_on_and_ends_what_was_given_before(clinic: Clinic) -> None:
    house, now = clinic.house, micros(BEGINNING)
    anna = house.browser()
    clinic.enter(anna)
    (user,) = house.everyone().values()
    with house.engine.begin() as connection:
        covers.grant(connection, user, "c-9", until=now + 10**12, by=OPERATOR, now=now)
        token = accounts.issue_token(connection, user, OPERATOR, now).text.get_secret_value()
    again = house.browser()
    clinic.enter(again)
    assert browser.find(house.engine, anna.cookies[SECURE_COOKIE], now), "nothing changed, nothing ends"
    assert accounts.find(house.engine, token, now)

    other = house.browser()
    assert clinic.enter(other, keepwell_clinic="south").headers["location"] == "/"
    (moved,) = house.everyone().values()
    assert (moved.id, moved.clinic) == (user.id, "south")
    for former in (anna, again):
        assert browser.find(house.engine, former.cookies[SECURE_COOKIE], now) is None
    assert accounts.find(house.engine, token, now) is None
    with house.engine.connect() as connection:
        assert covers.covered(connection, moved, now) == frozenset(), "c-9 of the south is somebody else"
    assert ("provider", "user.changed") in house.did("north") and ("provider", "user.changed") in house.did("south")

    assert (
        clinic.enter(house.browser(), keepwell_clinic="south", keepwell_role="administrator").headers["location"]
        == "/users"
    )
    (chief,) = house.everyone().values()
    assert (chief.id, chief.role, chief.clinician_id) == (user.id, "administrator", None)
    assert browser.find(house.engine, other.cookies[SECURE_COOKIE], now) is None
    assert told(clinic.enter(house.browser(), keepwell_role="visitor")) == "claims"


def test_who_was_removed_does_not_come_back_by_logging_in(clinic: Clinic) -> None:
    anna = clinic.house.browser()
    clinic.enter(anna)
    (user,) = clinic.house.everyone().values()
    with clinic.house.engine.begin() as connection:
        accounts.remove(connection, user, OPERATOR, micros(BEGINNING))
    for claims in ({}, {"keepwell_role": "administrator"}, {"preferred_username": "another"}):
        assert told(clinic.enter(anna, **claims)) == "removed"
    assert clinic.house.everyone() == {} and clinic.house.count(users) == 1
    assert clinic.enter(sub="somebody else").headers["location"] == "/"


def test_a_local_account_of_the_same_name_is_not_taken_over(clinic: Clinic) -> None:
    local = clinic.house.add("anna")
    clinic.enter()
    clinic.enter(sub="a third", preferred_username="ANNA ")
    found = clinic.house.everyone()
    assert set(found) == {"anna", "anna-2", "anna-3"} and found["anna"] == local
    assert {name: one.by_provider for name, one in found.items()} == {"anna": False, "anna-2": True, "anna-3": True}
    assert clinic.house.browser().post("/login", username="anna", password=GOOD).headers["location"] == "/users"


@pytest.mark.parametrize("name", [None, 7, "", "two words", "x" * 129, "a/b", "\u202eanna"])
def test_a_name_that_nobody_can_have_is_replaced(small: Clinic, name: Any) -> None:
    small.enter(preferred_username=name)
    small.enter(preferred_username=name, sub="another")
    assert set(small.house.everyone()) == {"clinic-account", "clinic-account-2"}


def test_the_same_subject_of_another_issuer_is_somebody_else(clinic: Clinic) -> None:
    zoe = clinic.house.add("zoe")
    with clinic.house.engine.begin() as connection:
        other = {"issuer": "https://elsewhere.example", "subject": ANNA["sub"], "user": zoe.id}
        connection.execute(sa.insert(provider_accounts), other)
    clinic.enter()
    assert set(clinic.house.everyone()) == {"anna", "zoe"}


def test_an_account_of_the_provider_has_no_password_here(small: Clinic) -> None:
    small.enter(keepwell_role="administrator")
    chief = small.house.browser()
    small.enter(chief, keepwell_role="administrator")
    (user,) = small.house.everyone().values()
    assert small.house.browser().post("/login", username="anna", password="").status_code == 403
    page = sound(chief.get("/users").text)
    assert "signs in with the clinic's account" in page.text and not page.all(
        "form", action=f"/users/{user.id}/password"
    )
    csrf = page.all("input", name="csrf")[0]["value"]
    assert chief.post(f"/users/{user.id}/password", csrf=csrf).status_code == 404
    with small.house.engine.begin() as connection, pytest.raises(ValueError, match="OpenID provider"):
        accounts.set_password(connection, user, OPERATOR, 0, passwords=small.house.passwords)
    own = sound(chief.get("/password").text)
    assert "changed there" in own.text and not own.all("form", action="/password")
    assert own.all("form", action="/sessions/end")


def test_signing_out_ends_our_session_and_offers_the_providers(small: Clinic) -> None:
    small.there.facts["end_session_endpoint"] = f"{small.there.url}/end"
    anna = small.house.browser()
    small.enter(anna)
    cookie = anna.cookies[SECURE_COOKIE]
    csrf = sound(anna.get("/password").text).all("input", name="csrf")[0]["value"]
    out = anna.post("/logout", csrf=csrf)
    assert out.headers["location"] == "/login?told=signed_out" and SECURE_COOKIE not in anna.cookies
    assert browser.find(small.house.engine, cookie, micros(BEGINNING)) is None
    assert ("signed.out") in [action for _, action in small.house.did()]
    assert sound(anna.get("/login?told=signed_out").text).all("a", href=f"{AT}/login/provider/end")
    assert anna.get("/login/provider/end").headers["location"].startswith(f"{small.there.url}/end?client_id=keepwell")


def test_a_provider_without_a_way_out_leads_to_the_log_in(small: Clinic) -> None:
    assert small.house.browser().get("/login/provider/end").headers["location"] == "/login"


def test_a_provider_that_is_down_leaves_the_local_log_in(small: Clinic) -> None:
    small.house.add("ada")
    ada, asked = small.house.browser(), None
    small.there.answer = Response("down", 503)
    with capture_logs() as logged:
        assert told(ada.get("/login/provider")) == "provider" and told(ada.get("/login/provider/end")) == "provider"
        small.there.answer = None
        asked = small.begin(ada)
        small.there.answer = Response("down", 503)
        assert told(ada.get(CALLBACK, code=CODE, state=asked.state)) == "provider"
    assert [line["event"] for line in logged] == ["provider.no_answer"] * 3
    page = sound(ada.get("/login?told=provider").text)
    assert "cannot be reached" in page.text and page.all("form", action="/login")
    assert small.house.count(login_failures) == 0, "nobody's fault"
    assert ada.post("/login", username="ada", password=GOOD).headers["location"] == "/users"


@pytest.mark.parametrize("name", ["next", "redirect_uri", "return_to", "told", "iss"])
def test_no_query_leads_elsewhere(small: Clinic, name: str) -> None:
    evil, anna = "https://evil.example/", small.house.browser()
    answer = anna.get("/login/provider", **{name: evil})
    asked = asked_for(answer.headers["location"])
    assert asked.address == f"{small.there.url}/auth" and asked.sent["redirect_uri"] == AT + CALLBACK
    assert evil not in answer.headers["location"]
    small.there.nonce = asked.nonce
    more = {} if name == "iss" else {name: evil}
    assert anna.get(CALLBACK, code=CODE, state=asked.state, **more).headers["location"] == "/"
    assert "evil" not in anna.get("/login", **{name: evil}).text
    assert anna.get("/login/provider/end", **{name: evil}).headers["location"] == "/login"


def test_wrong_ones_from_an_address_are_limited_and_others_come_in(clinic: Clinic) -> None:
    attacker, anna = clinic.house.browser("10.9.9.9"), clinic.house.browser()
    for _ in range(limits.AN_ADDRESS):
        assert told(attacker.get(CALLBACK, code=CODE, state="x")) == "again"
    assert told(attacker.get(CALLBACK, code=CODE, state="x")) == "too_many"
    assert told(clinic.enter(attacker)) == "too_many", "the right one waits too"
    assert clinic.house.count(login_failures) == limits.AN_ADDRESS
    assert clinic.enter(anna).headers["location"] == "/"
    clinic.later(minutes=15)
    assert clinic.enter(attacker).headers["location"] == "/"


def test_log_ins_that_are_begun_and_left_do_not_fill_the_database(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_accounts, "WAITING", 3)
    flood = clinic.house.browser("10.9.9.9")
    answers = [flood.get("/login/provider").headers["location"] for _ in range(5)]
    assert [place == "/login?told=too_many" for place in answers] == [False, False, False, True, True]
    assert clinic.house.count(provider_logins) == 3
    assert clinic.enter().headers["location"] == "/"


def test_neither_database_nor_logs_hold_a_secret_of_a_log_in(small: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    out, anna = io.StringIO(), small.house.browser()
    with capture_logs() as logged, redirect_stdout(out), redirect_stderr(out):
        with Server(small.house.app, "127.0.0.1", 0) as server, httpx.Client() as client:
            base = f"http://127.0.0.1:{server.port}"
            begun = client.get(f"{base}/login/provider")
            small.there.nonce, state = (asked := asked_for(begun.headers["location"])).nonce, asked.state
            cookie = begun.cookies["keepwell-login"]
            done = client.get(f"{base}{CALLBACK}", params={"code": CODE, "state": state})
            assert done.headers["location"] == "/" and done.cookies["keepwell"]
        failed = small.begin(anna)
        small.there.nonce = "another"
        anna.get(CALLBACK, code="another-code", state=failed.state)
    proof = proof_of(SecretStr(cookie))
    database = "".join(small.house.engine.raw_connection().driver_connection.iterdump())  # type: ignore[union-attr]
    ours = [one.getMessage() for one in caplog.records if one.name.partition(".")[0] not in ("httpx", "httpcore")]
    assert any("/token" in line for line in ours), "what our own client logs is looked at"
    told_all = out.getvalue() + repr(logged) + repr(ours)
    token = small.there.signed()
    for secret in (CODE, "another-code", state, proof.nonce, proof.verifier, cookie, SECRET, ACCESS, token[-40:],
                   done.cookies["keepwell"], anna.cookies.get(LOGIN_COOKIE, cookie)):  # fmt: skip
        assert secret not in told_all and secret not in database
    for somebody in (str(ANNA["sub"]), "Anna"):
        assert somebody not in told_all


def test_the_settings_name_the_provider_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert provider_of(ClinicianSettings()) is None
    found = provider_of(
        ClinicianSettings(
            oidc_issuer="https://id.example/realms/north", oidc_client_id="keepwell", clinician_url=f"{AT}/",
            oidc_client_secret="hunter2", oidc_role_claim="roles", oidc_scopes="openid roles",
        )
    )  # fmt: skip
    assert found is not None and found.claims == ("keepwell_clinic", "roles", "keepwell_clinician")
    assert found.client[:2] == ("https://id.example/realms/north", "keepwell")
    assert (found.client.url, found.client.scopes) == (AT, "openid roles") and "hunter2" not in repr(found.client)
