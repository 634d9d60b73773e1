"""The stream over a real server: what is new comes once, to those who may see it, for as long as they may."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from keepwell.contract.events import (
    Actioned,
    AlertActioned,
    AnyEvent,
    ClinicianChange,
    ClinicianChanged,
    EpisodeOpened,
    Opened,
    RepairAttempted,
    decode_accepted,
    encode,
)
from keepwell.streams.log import Partition, Record
from keepwell.streams.memory import MemoryLog
from keepwell.streams.worker.process import Check
from keepwell.web.app import make_app
from keepwell.web.server import Server
from services.clinician import stream
from services.clinician.bootstrap import make
from services.clinician.database import open_engine
from services.clinician.people import accounts, browser, covers
from services.clinician.people.access import People, install, without_rule
from services.clinician.people.accounts import Account
from services.clinician.people.headers import LOOPBACK_COOKIE
from services.clinician.people.passwords import Passwords
from services.clinician.people.tables import users
from services.clinician.people.who import OPERATOR, Role, User
from services.clinician.projector import EventsProjection
from services.clinician.schema import migrate
from services.clinician.settings import ClinicianSettings
from services.clinician.stream import HEARTBEAT, STREAMS_EACH, StreamPace, Streams, add_stream
from tests.services.clinician.listening import Event, Listening
from tests.services.clinician.lived import TOPICS, lived, project
from tests.services.clinician.people.made import DAY, GOOD, START
from tests.waiting import until

DEADLINE = 60.0
AT = datetime.fromtimestamp(START / 1e6, UTC)
QUICK = StreamPace(look=0.01, access=0.02, heartbeat=DEADLINE)
PASSWORDS = Passwords(PasswordHasher(1, 8, 1))
NUMBERS = count()
sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class World(NamedTuple):
    """A served stream with its database, its clock, and a log to which tests add."""

    engine: sa.Engine
    streams: Streams
    url: str
    clock: list[int]
    projection: EventsProjection
    offsets: Counter[int]

    def says(self, *events: AnyEvent, partition: int = 0) -> None:
        """Lets the read model take events."""
        place = Partition(TOPICS.episodes, partition)
        for event in events:
            record = Record(place, self.offsets[partition], b"k", encode(event))
            self.offsets[partition] += 1
            assert self.projection.handle(place, [record]).done == 1

    def user(self, role: Role = "supervisor", clinic: str = "north", clinician: str | None = None) -> User:
        account = Account(f"u-{next(NUMBERS)}", clinic, role, clinician)
        with self.engine.begin() as connection:
            return accounts.add(connection, account, OPERATOR, START, passwords=PASSWORDS, password=GOOD).user

    def token(self, user: User) -> tuple[dict[str, str], str]:
        """A header, and the token's id."""
        with self.engine.begin() as connection:
            made = accounts.issue_token(connection, user, OPERATOR, START)
        return {"Authorization": f"Bearer {made.text.get_secret_value()}"}, made.row.id

    def ask(self, headers: dict[str, str], after: str | None = None) -> Any:
        more = {} if after is None else {"Last-Event-ID": after}
        return httpx.stream("GET", f"{self.url}/api/v1/stream", headers=headers | more, timeout=DEADLINE)

    @contextmanager
    def listen(self, by: User | dict[str, str], after: str | None = None) -> Iterator[Listening]:
        with self.ask(self.token(by)[0] if isinstance(by, User) else by, after) as answer:
            assert answer.status_code == 200
            yield Listening(answer)


@contextmanager
def a_world(engine: sa.Engine, pace: StreamPace = QUICK) -> Iterator[World]:
    migrate(engine)
    clock = [START]
    people = People(engine, lambda: clock[-1])
    app = make_app("clinician", "Keepwell", _well, _well, told={})
    streams = Streams(people, TOPICS, pace)
    add_stream(app, streams)
    install(app, people)
    assert without_rule(app) == []
    with Server(app, "127.0.0.1", 0) as server, streams:
        url = f"http://127.0.0.1:{server.port}"
        yield World(engine, streams, url, clock, EventsProjection(engine), Counter())


@pytest.fixture
def world(opened: sa.Engine) -> Iterator[World]:
    with a_world(opened) as found:
        yield found


def _well() -> Check:
    return Check(True, "well")


def _of(key: str) -> dict[str, Any]:
    clinic, _, subject = key.partition("/")
    return {
        "specversion": "1.0", "id": f"ev-{next(NUMBERS)}", "source": f"/{clinic}/booking", "subject": subject, "time": AT,
    }  # fmt: skip


def opening(key: str, clinician: str) -> AnyEvent:
    return EpisodeOpened(**_of(key), data=Opened(client_id=f"p-{next(NUMBERS)}", clinician_id=clinician))


def answer(key: str) -> AnyEvent:
    return AlertActioned(**_of(key), data=Actioned(alert_id="al-1", action="acknowledged", by="u-1"))


def handover(key: str, clinician: str) -> AnyEvent:
    return ClinicianChanged(**_of(key), data=ClinicianChange(clinician_id=clinician))


def told(events: list[Event]) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(tuple(sorted((name, said) for name, said in one.items() if name != "id")) for one in events)


def test_all_that_comes_is_told_once_and_a_resumed_stream_goes_on_after_any_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECORDS_AT_ONCE", 7)
    log, user = lived(6), world.user()
    events = [decode_accepted(one.value or b"") for records in log.events.values() for one in records]
    raised = {json.loads(one.value or b"")["alert_id"] for records in log.alerts.values() for one in records}
    news = sum(isinstance(event, AlertActioned | RepairAttempted) for event in events) + len(raised)
    news += sum(map(len, log.scores.values()))
    with world.listen(user) as listening:
        headers = listening.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        begun = listening.last_id
        project(world.engine, log, 1_000)
        found = [listening.event() for _ in range(news)]
    names = {"score": "as_of", "alert": "alert_id", "answer": "event_id"}
    for event in found:
        assert event.keys() == {"id", "kind", "episode", "clinician_id", names[event["kind"]]}
    assert {event["kind"] for event in found} == set(names)
    last = answer(found[0]["episode"])
    world.says(last, partition=2)  # one that was not there before
    for after, rest in (
        (begun, found),
        (found[3]["id"], found[4:]),
        (found[-2]["id"], found[-1:]),
        (found[-1]["id"], []),
    ):
        with world.listen(user, after) as listening:
            again = [listening.event() for _ in range(len(rest) + 1)]
        assert told([event for event in again if event.get("event_id") != last.id]) == told(rest)
        assert sum(event.get("event_id") == last.id for event in again) == 1


@sqlite_only
def test_a_new_stream_begins_now(world: World) -> None:
    world.says(opening("north/ep-1", "c-1"), answer("north/ep-1"))
    with world.listen(world.user()) as listening:
        new = answer("north/ep-1")
        world.says(new)
        assert listening.event()["event_id"] == new.id


@sqlite_only
def test_a_clinician_is_told_of_their_own_episodes_of_now_and_another_clinic_of_its_own(world: World) -> None:
    for key, clinician in (("north/ep-1", "c-1"), ("north/ep-2", "c-2"), ("north/ep-3", "c-1"), ("south/ep-1", "c-1")):
        world.says(opening(key, clinician))
    anna, bo = world.user("clinician", clinician="c-1"), world.user("clinician", clinician="c-2")
    with (
        world.listen(anna) as annas,
        world.listen(bo) as bos,
        world.listen(world.user("clinician", "south", "c-1")) as strangers,
        world.listen(world.user("supervisor", "south")) as theirs,
    ):
        said = [answer("north/ep-2"), answer("north/ep-1"), answer("south/ep-1"), answer("north/ep-2")]
        world.says(*said)
        assert (first := annas.event())["event_id"] == said[1].id and first["clinician_id"] == "c-1"
        assert strangers.event()["event_id"] == theirs.event()["event_id"] == said[2].id
        assert [bos.event()["event_id"] for _ in range(2)] == [said[0].id, said[3].id]
        after = [handover("north/ep-1", "c-2"), answer("north/ep-1"), answer("north/ep-3"), answer("south/ep-1")]
        world.says(*after)
        assert (handed := bos.event())["event_id"] == after[1].id and handed["clinician_id"] == "c-2"
        assert annas.event()["event_id"] == after[2].id
        assert strangers.event()["event_id"] == theirs.event()["event_id"] == after[3].id


@sqlite_only
def test_a_cover_widens_a_stream_while_it_lasts(world: World) -> None:
    world.says(opening("north/ep-1", "c-1"), opening("north/ep-2", "c-2"))
    anna = world.user("clinician", clinician="c-1")
    with world.listen(anna) as listening:
        with world.engine.begin() as connection:
            covers.grant(connection, anna, "c-2", until=START + DAY, by=OPERATOR, now=START)
        covered = answer("north/ep-2")
        world.says(covered)
        assert listening.event()["event_id"] == covered.id
        world.clock.append(START + DAY)
        mine = answer("north/ep-1")
        world.says(answer("north/ep-2"), mine)
        assert listening.event()["event_id"] == mine.id


@sqlite_only
@pytest.mark.parametrize("how", ["signed out", "idle", "token revoked", "removed", "other role", "other clinic"])
def test_a_stream_ends_once_its_user_may_not_have_it(world: World, how: str) -> None:
    user = world.user()
    token, token_id = world.token(user)
    with world.engine.begin() as connection:
        cookie = browser.open_session(connection, user, "x", START).cookie.get_secret_value()
    by_session = how in ("signed out", "idle")
    with world.listen({"Cookie": f"{LOOPBACK_COOKIE}={cookie}"} if by_session else token) as listening:
        with world.engine.begin() as connection:
            match how:
                case "signed out":
                    browser.end_all(connection, user.id, START)
                case "token revoked":
                    accounts.revoke(connection, token_id, OPERATOR, START)
                case "removed":
                    accounts.remove(connection, user, OPERATOR, START)
                case "other role":
                    connection.execute(sa.update(users).where(users.c.id == user.id).values(role="data"))
                case "other clinic":
                    connection.execute(sa.update(users).where(users.c.id == user.id).values(clinic="south"))
                case _:
                    world.clock.append(START + browser.IDLE_US)
        assert listening.ended()
    until(lambda: len(world.streams) == 0)


@sqlite_only
def test_a_quiet_stream_says_that_it_lives(opened: sa.Engine) -> None:
    pace = QUICK._replace(heartbeat=0.01)
    with a_world(opened, pace) as world, world.listen(world.user()) as listening:
        beat = HEARTBEAT.decode().splitlines()
        assert [next(listening.lines) for _ in range(6)] == beat * 3


@sqlite_only
def test_a_user_has_so_many_streams_and_one_that_is_left_makes_place(world: World) -> None:
    user = world.user()
    headers, _ = world.token(user)
    with ExitStack() as held:
        kept = [held.enter_context(world.listen(headers)) for _ in range(STREAMS_EACH - 1)]
        with world.listen(headers) as last:
            kept.append(last)
            with world.ask(headers) as refused:
                assert refused.status_code == 429 and refused.headers["content-type"] == "application/problem+json"
            with world.listen(world.user()) as others:
                assert len(world.streams) == len([*kept, others])
        until(lambda: len(world.streams) == STREAMS_EACH - 1)
        with world.listen(headers) as again:
            assert again.answer.status_code == 200
    until(lambda: len(world.streams) == 0)
    until(lambda: all(thread.name != "streams" for thread in threading.enumerate()))


@sqlite_only
def test_streams_end_with_the_service_and_no_more_are_opened(world: World) -> None:
    headers, _ = world.token(world.user())
    with world.listen(headers) as one, world.listen(headers) as other:
        with world.streams:
            pass
        assert one.ended() and other.ended()
    with world.ask(headers) as late:
        assert late.status_code == 503 and "retry-after" in late.headers


@sqlite_only
def test_a_client_that_takes_nothing_does_not_hold_up_the_end(
    opened: sa.Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(stream, "_frame", lambda _: b":" * (1 << 25) + b"\n\n")  # more than the buffers hold
    with a_world(opened) as world:
        world.says(opening("north/ep-1", "c-1"))
        place = httpx.URL(world.url)
        client = socket.create_connection((place.host, place.port), DEADLINE)
        headers = "".join(f"{name}: {value}\r\n" for name, value in world.token(world.user())[0].items())
        client.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: {place.host}\r\n{headers}\r\n".encode())
        until(lambda: b"retry" in client.recv(4096, socket.MSG_PEEK))
        world.says(answer("north/ep-1"))
        until(lambda: b"::::" in client.recv(4096, socket.MSG_PEEK))  # looked at, not taken
    client.close()
    assert "Shutting down" in caplog.text and "graceful shutdown exceeded" not in caplog.text


@sqlite_only
def test_a_database_that_does_not_answer_ends_no_stream_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "AGAIN_SECONDS", 0.01)
    world.says(opening("north/ep-1", "c-1"))
    fails = {"place_now": 0, "read_on": 0}

    def failing(name: str) -> None:
        works = getattr(stream, name)

        def asked(*given: Any) -> Any:
            if fails[name]:
                fails[name] -= 1
                raise sa.exc.OperationalError("", {}, Exception())
            return works(*given)

        monkeypatch.setattr(stream, name, asked)

    failing("place_now")
    failing("read_on")
    with world.listen(world.user()) as listening:
        fails.update(place_now=2, read_on=2)
        said = [answer("north/ep-1"), answer("north/ep-1")]
        world.says(*said)
        assert [listening.event()["event_id"] for _ in said] == [one.id for one in said]
    assert fails == {"place_now": 0, "read_on": 0}


@sqlite_only
def test_an_id_that_this_stream_never_gave_is_refused(world: World) -> None:
    headers, _ = world.token(world.user())
    with world.ask(headers, "17") as refused:
        assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json"


@sqlite_only
@pytest.mark.parametrize(("role", "status"), [("data", 404), ("administrator", 404), (None, 401)])
def test_who_sees_no_episodes_has_no_stream(world: World, role: Role | None, status: int) -> None:
    with world.ask({} if role is None else world.token(world.user(role))[0]) as refused:
        assert refused.status_code == status


def test_the_service_serves_it_and_ends_its_streams_before_the_server(tmp_path: Path) -> None:
    settings = ClinicianSettings(
        database=f"sqlite:///{tmp_path / 'clinician.db'}", clinician_port=0, instance="clinician-1"
    )
    log = MemoryLog()
    log.create_topics(TOPICS.all())
    service = make(settings, log)
    engine = open_engine(settings.database)
    with engine.begin() as connection:
        now = time.time_ns() // 1000
        account = Account("anna", "north", "supervisor", None)
        user = accounts.add(connection, account, OPERATOR, now, passwords=PASSWORDS, password=GOOD).user
        token = accounts.issue_token(connection, user, OPERATOR, now).text.get_secret_value()
    engine.dispose()
    with service.face(_well, _well) as face, ExitStack() as ending:
        ending.enter_context(service.beside)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.stream(
            "GET", f"http://127.0.0.1:{face.port}/api/v1/stream", headers=headers, timeout=DEADLINE
        ) as got:
            listening = Listening(got)
            ending.close()
            assert listening.ended()
