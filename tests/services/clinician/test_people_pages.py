"""The pages around people in the real application: who may do what, secrets shown once, and the audit of all of it."""

from __future__ import annotations

import io
import logging
import re
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from keepwell.contract.events import micros
from keepwell.web.server import Server
from services.clinician.people import accounts, audit, browser, covers
from services.clinician.people.access import without_rule
from services.clinician.people.audit import AuditEntry, append, parsed, verify
from services.clinician.people.headers import SECURE_COOKIE
from services.clinician.people.tables import audit as entries
from services.clinician.people.who import OPERATOR
from services.clinician.people_pages import DID, ROLE_WORDS
from services.clinician.sentences import WORDS
from tests.services.clinician.made import BERLIN
from tests.services.clinician.people.made import GOOD, Asking
from tests.services.clinician.served import AT, NOW, Place, placed
from tests.services.clinician.sound import sound

BETTER = "eighteen louder swans"
SHOWN = re.compile(r'<code data-once="password">([^<]+)</code>')


@pytest.fixture
def place(tmp_path: Path) -> Any:
    with placed(tmp_path / "people.db") as place:
        yield place


def log_in(place: Place, name: str, password: str) -> httpx.Response:
    return Asking(place.app, AT).post("/login", data={"username": name, "password": password})


def test_every_route_has_a_rule_and_every_word_its_sentence(place: Place) -> None:
    assert without_rule(place.app) == []
    assert set(DID) == set(get_args(audit.Action)) and {*DID.values(), *ROLE_WORDS.values()} <= set(WORDS)


def test_a_password_of_ones_own_with_the_error_beside_its_field(place: Place) -> None:
    bo = place.enter("bo", "clinician")
    sound(bo.asking.get("/password").text)
    for fields, wrong in (
        ({"old": "not it", "new": BETTER, "again": BETTER}, "old"),
        ({"old": GOOD, "new": BETTER, "again": GOOD}, "again"),
        ({"old": GOOD, "new": "short", "again": "short"}, "new"),
        ({"old": GOOD, "new": GOOD, "again": GOOD}, "new"),
    ):
        answer = bo.post("/password", **fields)
        assert answer.status_code == 422
        assert sound(answer.text).all("input", name=wrong, aria_describedby=f"{wrong}-error")
        assert GOOD not in answer.text and BETTER not in answer.text
    answer = bo.post("/password", old=GOOD, new=BETTER, again=BETTER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/") and SECURE_COOKIE in answer.headers[
        "set-cookie"
    ]
    assert bo.asking.get("/password").headers["location"] == "/login", "the former session is over"
    assert log_in(place, "bo", GOOD).status_code == 403 and log_in(place, "bo", BETTER).status_code == 303


def test_signing_out_everywhere_ends_every_session(place: Place) -> None:
    bo = place.enter("bo", "data")
    with place.engine.begin() as connection:
        other = browser.open_session(connection, bo.user, "y", micros(NOW)).cookie.get_secret_value()
    assert bo.post("/sessions/end").headers["location"] == "/login"
    assert browser.find(place.engine, other, micros(NOW)) is None
    assert "sessions.ended" in place.did()


def test_the_link_makes_one_administrator_once(place: Place) -> None:
    key, client = place.link(), Asking(place.app, AT)
    shown = client.get(f"/welcome?key={key}")
    assert sound(shown.text).all("input", type="hidden", name="key", value=key)
    assert shown.headers["referrer-policy"] == "no-referrer" and shown.headers["cache-control"] == "no-store"
    for fields in ({"new": "short", "again": "short"}, {"new": BETTER, "again": GOOD}, {"name": "a b"}):
        answer = client.post("/welcome", data={"key": key, "name": "ada", "new": BETTER, "again": BETTER} | fields)
        sound(answer.text)
        assert answer.status_code == 422 and place.everyone() == {}
    fields = {"key": key, "name": "ada", "new": BETTER, "again": BETTER}
    answer = client.post("/welcome", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/users")
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert client.get("/users", headers={"Cookie": cookie}).status_code == 200
    assert place.everyone()["ada"].role == "administrator" and not place.everyone()["ada"].must_change
    for again in (client.get(f"/welcome?key={key}"), client.post("/welcome", data=fields | {"name": "eve"})):
        assert again.status_code == 404 and WORDS["link_void"].msgid in sound(again.text).text
    assert list(place.everyone()) == ["ada"] and key not in "".join(place.did())
    assert client.post("/welcome", data=fields, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_the_server_logs_nothing_of_a_link(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    key, out = place.link(), io.StringIO()
    caplog.set_level(logging.DEBUG)
    with (
        capture_logs() as told,
        redirect_stdout(out),
        redirect_stderr(out),
        Server(place.app, "127.0.0.1", 0) as server,
    ):
        base = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=base) as client:
            statuses = [client.get("/welcome", params={"key": sent}).status_code for sent in (key, key + "x")]
    assert statuses == [200, 404]
    served = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert key not in out.getvalue() + repr(told) + repr(served)


def test_a_new_account_has_a_password_that_is_shown_once_and_changed_first(place: Place) -> None:
    ada = place.enter("ada")
    answer = ada.post("/users", name="Bo", role="clinician", clinician_id="c-4")
    sound(answer.text)
    (given,) = SHOWN.findall(answer.text)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    again = ada.asking.get("/users")
    assert given not in again.text and WORDS["not_changed"].msgid in sound(again.text).text
    entered = log_in(place, "bo", given)
    cookie = {"Cookie": entered.headers["set-cookie"].partition(";")[0]}
    client = Asking(place.app, AT, cookie)
    assert client.get("/").headers["location"] == "/password"
    assert WORDS["password_must"].msgid in sound(client.get("/password").text).text
    (anew,) = SHOWN.findall(ada.post(f"/users/{place.everyone()['bo'].id}/password").text)
    assert log_in(place, "bo", given).status_code == 403 and log_in(place, "bo", anew).status_code == 303


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": "ada", "role": "data"}, "account_taken"),
        ({"name": "a b", "role": "data"}, "account_name"),
        ({"name": "bo", "role": "clinician"}, "account_clinician"),
        ({"name": "bo", "role": "data", "clinician_id": "c-4"}, "account_clinician"),
    ],
)
def test_an_account_that_cannot_be_is_refused_in_words(place: Place, fields: dict[str, str], word: str) -> None:
    ada = place.enter("ada")
    answer = ada.post("/users", **fields)
    assert answer.status_code == 422 and WORDS[word].msgid in sound(answer.text).text and len(place.everyone()) == 1


def test_the_last_administrator_stays(place: Place) -> None:
    ada, path = place.enter("ada"), "/users/{}/remove"
    answer = ada.post(path.format(ada.user.id))
    assert answer.status_code == 409 and WORDS["account_last"].msgid in sound(answer.text).text
    eve = place.enter("eve")
    assert ada.post(path.format(eve.user.id)).status_code == 303
    assert eve.asking.get("/users").headers["location"] == "/login" and list(place.everyone()) == ["ada"]


def test_what_is_of_another_clinic_is_not_there(place: Place) -> None:
    ada, south = place.enter("ada"), place.enter("sue", clinic="south")
    bo, sol = place.add("bo", "clinician"), place.add("sol", "clinician", "south")
    with place.engine.begin() as connection:
        token = accounts.issue_token(connection, bo, OPERATOR, micros(NOW)).row.id
    assert ada.post("/covers", user=bo.id, clinician_id="c-9", until="2026-03-10").status_code == 303
    with place.engine.connect() as connection:
        (cover,) = covers.of_clinic(connection, "north", 0)
    before = place.did()
    for path in (
        f"/users/{bo.id}/remove",
        f"/users/{bo.id}/password",
        f"/tokens/{token}/revoke",
        f"/covers/{cover.id}/end",
    ):
        assert south.post(path).status_code == 404
    assert south.post("/covers", user=bo.id, clinician_id="c-9", until="2026-03-10").status_code == 404
    assert ada.post("/covers", user=sol.id, clinician_id="c-9", until="2026-03-10").status_code == 404
    assert place.did() == before and "sol" not in sound(ada.asking.get("/users").text).text
    assert cover.until == micros(datetime(2026, 3, 11, tzinfo=BERLIN))
    for path in (f"/tokens/{token}/revoke", f"/covers/{cover.id}/end"):
        assert ada.post(path).status_code == 303
    assert place.did()[-2:] == ["token.revoked", "cover.ended"]


@pytest.mark.parametrize("until", ["", "soon", "2026-03-01", "2027-03-01", "9999-12-31"])
def test_a_cover_needs_an_end(place: Place, until: str) -> None:
    ada, bo = place.enter("ada"), place.add("bo", "clinician")
    answer = ada.post("/covers", user=bo.id, clinician_id="c-9", until=until)
    assert answer.status_code == 422 and WORDS["cover_wrong"].msgid in sound(answer.text).text


def test_other_roles_and_forged_forms_change_nothing(place: Place) -> None:
    ada = place.enter("ada")
    posts = ("/users", f"/users/{ada.user.id}/remove", f"/users/{ada.user.id}/password", "/tokens/t/revoke", "/covers",
             "/covers/c/end")  # fmt: skip
    for role in ("clinician", "supervisor", "data"):
        other = place.enter(role, role)
        assert {other.post(path).status_code for path in posts} == {404}
        gets = ("/users", "/audit", "/audit/export", "/api/v1/users", "/api/v1/audit")
        assert {other.asking.get(path).status_code for path in gets} == {404}
    before = place.did()
    for path in (*posts, "/password", "/sessions/end"):
        assert ada.asking.post(path, data={"csrf": "made-up"}).status_code == 403
    assert place.did() == before


def test_the_audit_is_paged_and_tells_who_looked_at_a_client(place: Place) -> None:
    ada, bo = place.enter("ada"), place.add("bo", "clinician")
    look = AuditEntry(clinic="north", by=bo.actor, action="episode.seen", episode="north/ep-17")
    with place.engine.begin() as connection:
        append(connection, micros(NOW), look, *[AuditEntry(clinic="north", by=OPERATOR, action="team.seen")] * 120)
        append(connection, micros(NOW), AuditEntry(clinic="south", by=OPERATOR, action="signed.in"))
    first = sound(ada.asking.get("/audit").text)
    (older,) = [link["href"] for link in first.all("a") if "cursor" in link["href"]]
    assert "ep-17" not in first.text and "ep-17" in sound(ada.asking.get(older).text).text
    asked = sound(ada.post("/audit", client="ep-17").text)
    assert WORDS["did_episode_seen"].msgid in asked.text and "bo" in asked.text
    assert WORDS["did_team_seen"].msgid not in asked.text
    assert place.did()[-3:] == ["audit.seen", "audit.seen", "looks.asked"] and place.did("south") == ["signed.in"]


def test_the_chain_is_checked_and_exported(place: Place) -> None:
    ada = place.enter("ada")
    assert sound(ada.asking.get("/audit?check=1").text).all("p", data_holds="yes")
    answer = ada.asking.get("/audit/export")
    assert "attachment" in answer.headers["content-disposition"] and answer.headers["cache-control"] == "no-store"
    rows = list(parsed(answer.content.splitlines()))
    assert verify(rows).holds and rows[-1].action == "audit.exported" and len(rows) == len(place.did())
    with place.engine.begin() as connection:
        for name in (
            connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        ):
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.execute(sa.update(entries).where(entries.c.seq == 1).values(user="u-9"))
    assert sound(ada.asking.get("/audit?check=1").text).all("p", data_holds="no")


def test_programs_get_accounts_and_audit_by_page(place: Place) -> None:
    ada = place.enter("ada")
    place.add("bo", "clinician")
    place.add("sue", clinic="south")
    first = ada.asking.get("/api/v1/users?limit=1").json()
    second = ada.asking.get(f"/api/v1/users?limit=1&cursor={first['next']}").json()
    assert [one["name"] for one in first["items"] + second["items"]] == ["ada", "bo"] and second["next"] is None
    assert "password" not in first["items"][0]
    found, cursor = [], ""
    while True:
        page = ada.asking.get(f"/api/v1/audit?limit=1{cursor}").json()
        found += [one["action"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == ["user.added", "user.added"][: len(found)] and len(found) == 2
    assert {ada.asking.get(f"/api/v1/{path}").status_code for path in ("users?cursor=%C3%A9", "audit?cursor=x")} == {
        422
    }
