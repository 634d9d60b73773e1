"""PostgreSQL is killed under the running service: it says so calmly, loses nothing, and comes back without a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import httpx
import pytest
from argon2 import PasswordHasher

from keepwell.contract.events import EpisodeOpened, Opened, RepairAttempted, encode
from keepwell.contract.events import RepairAttempt as Attempt
from keepwell.streams.log import Message, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.web.server import Server
from services.clinician.bootstrap import make
from services.clinician.database import open_engine
from services.clinician.people import accounts
from services.clinician.people.accounts import Account
from services.clinician.people.headers import LOOPBACK_COOKIE
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR
from services.clinician.settings import ClinicianSettings
from tests.postgres import Postgres, from_pypi
from tests.services.clinician.lived import TOPICS
from tests.services.clinician.people.made import GOOD
from tests.services.clinician.test_stream import Listening

DEADLINE: Final = 60.0
PASSWORDS: Final = Passwords(PasswordHasher(1, 8, 1))
HEAD: Final[dict[str, Any]] = {"specversion": "1.0", "source": "/north/notes", "subject": "ep-1"}


class Running(NamedTuple):
    """The service with a database that can be killed, and a supervisor of the clinic."""

    server: Postgres
    log: MemoryLog
    url: str
    token: dict[str, str]

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, json: object = None
    ) -> httpx.Response:  # fmt: skip
        wanted = self.token if headers is None else headers
        return httpx.request(method, f"{self.url}{path}", headers=wanted, json=json, timeout=DEADLINE)

    def says(self, event: EpisodeOpened | RepairAttempted) -> None:
        self.log.append([Message(TOPICS.episodes, event.key.encode(), encode(event), partition=0)])

    def until(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not met():
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        return self.ask("GET", "/readyz").status_code == 200


@pytest.fixture
def running() -> Iterator[Running]:
    with ExitStack() as opened:
        server = opened.enter_context(Postgres(from_pypi()))
        url = opened.enter_context(server.database())
        log = MemoryLog()
        log.create_topics(TOPICS.all(1))
        service = make(ClinicianSettings(database=url, clinician_port=0, instance="one"), log)
        token = _token(url)
        face = service.face(service.work.live, service.work.ready)
        assert isinstance(face, Server)
        opened.enter_context(face)
        opened.enter_context(service.beside)
        stop, errors = threading.Event(), list[BaseException]()

        def work() -> None:
            try:
                service.work.run(stop)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        opened.callback(thread.join)
        opened.callback(stop.set)
        yield Running(server, log, f"http://127.0.0.1:{face.port}", {"Authorization": f"Bearer {token}"})
        assert errors == [], "the work went on all the time"


def _token(url: str) -> str:
    engine, now = open_engine(url), time.time_ns() // 1000
    with engine.begin() as connection:
        account = Account("anna", "north", "supervisor", None)
        user = accounts.add(connection, account, OPERATOR, now, passwords=PASSWORDS, password=GOOD).user
        token = accounts.issue_token(connection, user, OPERATOR, now).text.get_secret_value()
    engine.dispose()
    return token


def test_it_says_so_and_comes_back_by_itself(running: Running) -> None:
    running.says(
        EpisodeOpened(**HEAD, id="e-1", time=datetime.now(UTC), data=Opened(client_id="p-1", clinician_id="c-1"))
    )
    running.until(running.is_ready)
    repairs, again = "/api/v1/episodes/north/ep-1/repairs", {"Idempotency-Key": "k-1"} | running.token
    running.until(lambda: running.ask("GET", "/api/v1/episodes/north/ep-1").status_code == 200)
    stream = httpx.stream("GET", f"{running.url}/api/v1/stream", headers=running.token, timeout=DEADLINE)
    with stream as answer:
        listening = Listening(answer)
        running.server.kill()
        running.until(lambda: not running.is_ready())
        assert "database" in running.ask("GET", "/readyz").json()["why"]
        assert running.ask("GET", "/livez").status_code == 200, "a restart would help nothing"

        program = running.ask("POST", repairs, headers=again, json={"outcome": "better"})
        assert program.status_code == 503 and program.headers["retry-after"]
        assert program.headers["content-type"] == "application/problem+json"
        person = running.ask("GET", "/", headers={"Cookie": f"{LOOPBACK_COOKIE}=anything"})
        assert person.status_code == 503 and person.headers["content-type"].startswith("text/html")
        assert "One moment" in person.text and "psycopg" not in person.text
        assert running.ask("GET", "/login", headers={}).status_code == 200, "what needs no database goes on"
        told = RepairAttempted(**HEAD, id="e-2", time=datetime.now(UTC), data=Attempt(outcome="better"))
        running.says(told)

        running.server.start()
        running.until(running.is_ready)
        assert listening.event()["event_id"] == "e-2", "the stream went on"
        given = running.ask("POST", repairs, headers=again, json={"outcome": "better"})
        assert given.status_code == 201
        assert running.ask("POST", repairs, headers=again, json={"outcome": "better"}).json() == given.json()
    assert running.log.bounds(Partition(TOPICS.sessions, 0)) == (0, 1)
