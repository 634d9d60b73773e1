"""The API over a lived clinic: what each user sees, and that an answer is lost by nothing and counts once."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from threading import Barrier
from typing import Any, NamedTuple

import msgspec
import pytest
import sqlalchemy as sa

from keepwell.care.instruments import Instruments
from keepwell.contract.decode import Accepted, decode
from keepwell.contract.events import AlertActioned, EventRetracted, RepairAttempted, encode, micros
from keepwell.streams.log import LogError, Record
from keepwell.streams.worker.process import Check
from keepwell.web.app import make_app
from services.clinician import queries
from services.clinician.answers import Answers
from services.clinician.api import Asked, router
from services.clinician.items import fits_nobody
from services.clinician.people import accounts, audit
from services.clinician.people.access import People, install, without_rule
from services.clinician.people.accounts import Account
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR, Role
from services.clinician.projector import EventsProjection
from services.clinician.schema import migrate
from services.clinician.sent import sent
from services.clinician.tables import alerts, episodes
from tests.services.clinician.databases import every_database
from tests.services.clinician.doubtful import Doubtful
from tests.services.clinician.lived import DAYS, START, TOPICS, Lived, lived, project
from tests.services.clinician.people.made import Asking

AT = "https://keepwell.example"
NOW = START + timedelta(days=DAYS)
NUMBERS = count()


class Clinic(NamedTuple):
    """A served API with its clock, its log and its database."""

    engine: sa.Engine
    log: Doubtful
    answers: Answers
    app: Any
    clock: list[datetime]

    def user(self, role: Role = "supervisor", clinic: str = "north", clinician: str | None = None) -> Asking:
        name = f"u-{next(NUMBERS)}"
        with self.engine.begin() as connection:
            made = accounts.add(
                connection, Account(name, clinic, role, clinician), OPERATOR, micros(NOW), passwords=Passwords(),
                password="seventeen quiet geese",
            )  # fmt: skip
            token = accounts.issue_token(connection, made.user, OPERATOR, micros(NOW))
        return Asking(self.app, AT, {"authorization": f"Bearer {token.text.get_secret_value()}"})


@pytest.fixture(scope="module")
def told() -> Lived:
    return lived()


@pytest.fixture
def clinic(opened: sa.Engine, told: Lived) -> Clinic:
    migrate(opened)
    project(opened, told, 1_000)
    clock = [NOW]
    log = Doubtful()
    answers = Answers(opened, log, TOPICS.sessions, lambda: clock[-1])  # type: ignore[arg-type]  # what it asks of a log
    app = make_app("clinician", "Keepwell", _well, _well, told={})
    app.include_router(router(Asked(opened, answers, lambda: clock[-1], fits_nobody)))
    install(app, People(opened, lambda: micros(clock[-1])))
    return Clinic(opened, log, answers, app, clock)


def _well() -> Check:
    return Check(True, "well")


def an_alert(clinic: Clinic) -> tuple[str, str]:
    """An open alert and its episode."""
    with clinic.engine.connect() as connection:
        row = connection.execute(sa.select(alerts).where(alerts.c.status != "resolved").order_by(alerts.c.id)).first()
    assert row is not None
    return row.id, row.episode


def test_every_route_has_a_rule(clinic: Clinic) -> None:
    assert without_rule(clinic.app) == []


@every_database
def test_a_supervisor_sees_every_open_episode_once_over_pages_in_one_order(clinic: Clinic) -> None:
    user = clinic.user()
    whole = user.get("/api/v1/caseload?limit=200").json()
    assert whole["next"] is None
    keys = [item["episode"] for item in whole["items"]]
    with clinic.engine.connect() as connection:
        stated = connection.execute(sa.select(episodes.c.key).filter_by(state="open")).scalars().all()
    assert sorted(keys) == sorted(stated) and len(keys) > 2
    found, cursor = [], ""
    while True:
        page = user.get(f"/api/v1/caseload?limit=2{cursor}").json()
        found += [item["episode"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == keys
    has = [bool(item["alerts"]) for item in whole["items"]]
    assert has == sorted(has, reverse=True), "those with open alerts come first"
    item = whole["items"][0]
    assert item["calibrated"] is False and item["risk"].keys() == {"14d", "30d", "60d"} and item["reasons"]


def test_a_clinician_sees_their_own_and_another_clinic_nothing(clinic: Clinic) -> None:
    with clinic.engine.connect() as connection:
        mine = connection.execute(sa.select(episodes.c.clinician).filter_by(state="open")).scalars().first()
        all_of = connection.execute(sa.select(episodes.c.key).filter_by(state="open", clinician=mine)).scalars().all()
        other = connection.execute(sa.select(episodes.c.key).where(episodes.c.clinician != mine)).scalars().first()
    user = clinic.user("clinician", clinician=mine)
    found = [item["episode"] for item in user.get("/api/v1/caseload").json()["items"]]
    assert sorted(found) == sorted(all_of)
    assert user.get(f"/api/v1/episodes/{found[0]}").status_code == 200
    assert user.get(f"/api/v1/episodes/{other}").status_code == 404
    stranger = clinic.user("supervisor", "south")
    assert stranger.get("/api/v1/caseload").json() == {"items": [], "next": None}
    assert stranger.get("/api/v1/alerts").json()["items"] == []
    assert stranger.get(f"/api/v1/episodes/{found[0]}").status_code == 404
    assert (
        stranger.post(f"/api/v1/alerts/{an_alert(clinic)[0]}/answers", json={"action": "acknowledged"}).status_code
        == 404
    )
    assert clinic.user("data").get("/api/v1/caseload").status_code == 404
    assert Asking(clinic.app, AT).get("/api/v1/caseload").status_code == 401


def test_an_episode_has_its_timeline_scores_measures_alerts_and_suggestions(clinic: Clinic) -> None:
    _, key = an_alert(clinic)
    found = clinic.user().get(f"/api/v1/episodes/{key}").json()
    assert found["episode"] == key and found["timeline"] and found["scores"][-1]["reasons"]
    assert found["suggestions"] and found["alerts"][0]["alert_id"]
    times = [entry["at"] for entry in found["timeline"]]
    assert times == sorted(times, reverse=True)
    for measure in found["measures"]:
        assert all(measure["low"] <= point["value"] <= measure["high"] for point in measure["points"])


@every_database
def test_an_answer_goes_through_the_log_once_and_is_settled_when_it_comes_back(clinic: Clinic, told: Lived) -> None:
    name, key = an_alert(clinic)
    user, again = clinic.user(), {"Idempotency-Key": "k-1"}
    path = f"/api/v1/alerts/{name}/answers"
    given = user.post(path, json={"action": "repair_planned"}, headers=again)
    assert given.status_code == 201 and given.json()["settled"] is False
    assert user.post(path, json={"action": "repair_planned"}, headers=again).json() == given.json()
    assert user.post(path, json={"action": "dismissed"}, headers=again).status_code == 422
    [waiting] = user.get(f"/api/v1/alerts/{name}").json()["answers"]
    assert (waiting["event_id"], waiting["settled"], waiting["retracted"]) == (given.json()["event_id"], False, False)
    assert waiting in user.get(f"/api/v1/episodes/{key}").json()["answers"]
    [message] = clinic.log.taken
    taken = decode(message.value or b"", now=NOW + timedelta(seconds=1), instruments=Instruments())
    assert isinstance(taken, Accepted) and isinstance(taken.event, AlertActioned)
    assert taken.event.key == key and taken.event.source == "/north/keepwell" and taken.event.data.by.startswith("u-")
    partition = next(one for one, records in told.events.items() if any(decode_key(r) == key for r in records))
    offset = len(told.events[partition])
    record = Record(partition, offset, b"k", encode(taken.event))
    assert EventsProjection(clinic.engine).handle(partition, [record]).done == 1
    [answer] = user.get(f"/api/v1/alerts/{name}").json()["answers"]
    assert (answer["event_id"], answer["action"], answer["settled"]) == (
        given.json()["event_id"],
        "repair_planned",
        True,
    )


@every_database
def test_what_the_log_does_not_take_is_kept_and_handed_over_again_under_the_same_id(clinic: Clinic) -> None:
    name, _ = an_alert(clinic)
    clinic.log.fails = True
    given = clinic.user().post(f"/api/v1/alerts/{name}/answers", json={"action": "acknowledged"})
    assert given.status_code == 201 and clinic.log.taken == []
    clinic.clock.append(NOW + timedelta(minutes=1))
    with pytest.raises(LogError):
        clinic.answers.hand_over()
    clinic.log.fails = False
    assert clinic.answers.hand_over() == 1
    assert clinic.answers.hand_over() == 0
    [message] = clinic.log.taken
    assert msgspec.json.decode(message.value or b"")["id"] == given.json()["event_id"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # on SQLite one transaction waits for the other
def test_the_same_request_twice_at_once_is_one_answer(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _ = an_alert(clinic)
    user, both, looked = clinic.user(), Barrier(2, timeout=60), queries.alert

    def at_once(*given: Any) -> Any:
        found = looked(*given)
        both.wait()  # neither has written anything when the other has looked
        return found

    monkeypatch.setattr(queries, "alert", at_once)

    def ask() -> Any:
        headers = {"Idempotency-Key": "k-1"}
        return user.post(f"/api/v1/alerts/{name}/answers", json={"action": "repair_planned"}, headers=headers)

    with ThreadPoolExecutor(2) as threads:
        first, second = (one.result() for one in [threads.submit(ask), threads.submit(ask)])
    assert first.status_code == second.status_code == 201 and first.json() == second.json()
    assert len(clinic.log.taken) == 1


@every_database
def test_an_answer_of_ones_own_is_taken_back_within_a_day_and_nobody_elses(clinic: Clinic) -> None:
    name, key = an_alert(clinic)
    user, other = clinic.user(), clinic.user()
    event = user.post(f"/api/v1/alerts/{name}/answers", json={"action": "dismissed", "reason": "data_wrong"}).json()[
        "event_id"
    ]
    assert other.request("DELETE", f"/api/v1/answers/{event}").status_code == 404
    back = user.request("DELETE", f"/api/v1/answers/{event}")
    assert back.status_code == 200
    [shown] = user.get(f"/api/v1/alerts/{name}").json()["answers"]
    assert (shown["event_id"], shown["retracted"]) == (event, True)
    assert user.request("DELETE", f"/api/v1/answers/{event}").json() == back.json()
    assert user.request("DELETE", f"/api/v1/answers/{back.json()['event_id']}").status_code == 404
    last = msgspec.json.decode(clinic.log.taken[-1].value or b"", type=EventRetracted)
    assert last.data.event_id == event and last.key == key
    repair = user.post(f"/api/v1/episodes/{key}/repairs", json={"pillar": "trust", "outcome": "better"})
    assert repair.status_code == 201
    assert msgspec.json.decode(clinic.log.taken[-1].value or b"", type=RepairAttempted).data.pillar == "trust"
    clinic.clock.append(NOW + timedelta(hours=25))
    assert user.request("DELETE", f"/api/v1/answers/{repair.json()['event_id']}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"action": "ignored"}, {"action": "acknowledged", "note": "x"}, {"action": "acknowledged", "reason": "disagree"},
     {"action": "snoozed", "until": "2026-05-01T10:00:00"}, [], "x"],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused_and_nothing_is_sent(clinic: Clinic, body: Any) -> None:
    refused = clinic.user().post(f"/api/v1/alerts/{an_alert(clinic)[0]}/answers", json=body)
    assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json"
    assert clinic.log.taken == []


def test_a_cursor_of_nobody_is_refused(clinic: Clinic) -> None:
    user = clinic.user()
    for path in ("caseload", "alerts"):
        assert user.get(f"/api/v1/{path}?cursor=%25%25").status_code == 422


def decode_key(record: Record) -> str:
    told = msgspec.json.decode(record.value or b"{}")
    return f"{told['source'].split('/')[1]}/{told['subject']}"


def test_what_has_not_changed_is_not_sent_again_and_the_look_is_noted_all_the_same(clinic: Clinic) -> None:
    user = clinic.user()
    name, key = an_alert(clinic)
    for path in (
        "/api/v1/me",
        "/api/v1/caseload",
        f"/api/v1/episodes/{key}",
        "/api/v1/alerts",
        f"/api/v1/alerts/{name}",
    ):
        first = user.get(path)
        tag = first.headers["etag"]
        again = user.get(path, {"If-None-Match": f'"x", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
        assert user.get(path, {"If-None-Match": '"x"'}).content == first.content
    with clinic.engine.connect() as connection:
        looks = audit.who_looked_at(connection, "north", key)
        assert len([one for one in looks if one.action == "episode.seen"]) == 3
    before = user.get("/api/v1/alerts").headers["etag"]
    assert user.post(f"/api/v1/alerts/{name}/answers", json={"action": "acknowledged"}).status_code == 201
    assert user.get("/api/v1/alerts", {"If-None-Match": before}).status_code == 200


def test_a_cursor_goes_on_where_it_was_though_an_episode_left_the_list(clinic: Clinic) -> None:
    user = clinic.user()
    keys = [item["episode"] for item in user.get("/api/v1/caseload?limit=200").json()["items"]]
    assert len(keys) > 4
    page = user.get("/api/v1/caseload?limit=3").json()
    with clinic.engine.begin() as connection:
        connection.execute(sa.update(episodes).where(episodes.c.key == keys[2]).values(state="ended"))
    rest = user.get(f"/api/v1/caseload?limit=200&cursor={page['next']}").json()
    assert [item["episode"] for item in rest["items"]] == keys[3:]


def test_a_cursor_names_nobody(clinic: Clinic) -> None:
    page = clinic.user().get("/api/v1/caseload?limit=1").json()
    clear = base64.b64decode(page["next"] + "==", altchars=b"-_").decode()
    assert page["items"][0]["episode"] not in clear and "ep" not in clear


def test_alerts_that_are_raised_between_two_pages_push_none_out(clinic: Clinic) -> None:
    user = clinic.user()
    names = [one["alert_id"] for one in user.get("/api/v1/alerts?limit=200").json()["items"]]
    page = user.get("/api/v1/alerts?limit=2").json()
    with clinic.engine.begin() as connection:
        row = connection.execute(sa.select(alerts).where(alerts.c.id == names[0])).mappings().one()
        connection.execute(
            sa.insert(alerts), dict(row) | {"id": "al-new", "raised_at": row["raised_at"] + 1, "offset": 9_999}
        )
    rest = user.get(f"/api/v1/alerts?limit=200&cursor={page['next']}").json()
    assert [one["alert_id"] for one in page["items"] + rest["items"]] == names


def test_what_the_intake_would_refuse_is_refused_before_it_is_promised(clinic: Clinic) -> None:
    user = clinic.user()
    name, key = an_alert(clinic)
    for path, body in (
        (f"/api/v1/alerts/{name}/answers", {"action": "snoozed", "until": "1901-01-01T00:00:00Z"}),
        (f"/api/v1/episodes/{key}/repairs", {"strategy": "talks to anna@north.example"}),
    ):
        answer = user.post(path, json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert "anna" not in answer.text
    assert clinic.log.taken == []
    with clinic.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(sent)).scalar() == 0


def test_a_problem_of_a_parameter_repeats_nothing_of_it(clinic: Clinic) -> None:
    answer = clinic.user().get("/api/v1/caseload?limit=hidden&state=hidden")
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    assert "query limit" in answer.json()["detail"] and "hidden" not in answer.text
