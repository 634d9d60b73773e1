"""PostgreSQL is away, when the service begins or later: it says so calmly, loses nothing, and comes back by itself."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from keepwell.contract.events import EpisodeOpened, Opened, RepairAttempted, encode
from keepwell.contract.events import RepairAttempt as Attempt
from keepwell.streams.log import Message, Partition
from keepwell.streams.memory import MemoryLog
from keepwell.web.server import Server
from services.clinician.bootstrap import make, run
from services.clinician.database import NoDatabase, open_engine
from services.clinician.people import accounts
from services.clinician.people.accounts import Account
from services.clinician.people.headers import LOOPBACK_COOKIE
from services.clinician.people.passwords import Passwords
from services.clinician.people.who import OPERATOR
from services.clinician.settings import ClinicianSettings
from tests.postgres import Postgres, from_pypi
from tests.services.clinician.listening import Listening
from tests.services.clinician.lived import TOPICS
from tests.services.clinician.people.made import GOOD
from tests.waiting import at_work, until

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
        opened.enter_context(at_work(service.work.run))
        yield Running(server, log, f"http://127.0.0.1:{face.port}", {"Authorization": f"Bearer {token}"})


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
    until(running.is_ready)
    repairs, again = "/api/v1/episodes/north/ep-1/repairs", {"Idempotency-Key": "k-1"} | running.token
    until(lambda: running.ask("GET", "/api/v1/episodes/north/ep-1").status_code == 200)
    stream = httpx.stream("GET", f"{running.url}/api/v1/stream", headers=running.token, timeout=DEADLINE)
    with stream as answer:
        listening = Listening(answer)
        running.server.kill()
        until(lambda: not running.is_ready())
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
        until(running.is_ready)
        assert listening.event()["event_id"] == "e-2", "the stream went on"
        given = running.ask("POST", repairs, headers=again, json={"outcome": "better"})
        assert given.status_code == 201
        assert running.ask("POST", repairs, headers=again, json={"outcome": "better"}).json() == given.json()
    assert running.log.bounds(Partition(TOPICS.sessions, 0)) == (0, 1)


@pytest.fixture
def server() -> Iterator[Postgres]:
    with Postgres(from_pypi()) as server:
        yield server


def test_begun_without_its_database_it_waits_for_it(server: Postgres, tmp_path: Path, unused_port: int) -> None:
    place = ["--log", f"sqlite:///{tmp_path}/log.db", "--database", f"{server.url}postgres", "--port", str(unused_port)]
    server.kill()
    command = [sys.executable, "-m", "keepwell.cli.main", "clinician", *place]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        in_time = threading.Timer(DEADLINE, process.kill)
        in_time.start()
        try:
            assert any('"database.later"' in line and '"OperationalError"' in line for line in process.stderr)
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://127.0.0.1:{unused_port}/readyz")
            server.start()
            assert any('"clinician.open"' in line for line in process.stderr)
            until(lambda: httpx.get(f"http://127.0.0.1:{unused_port}/readyz").status_code == 200)
            process.terminate()
            assert process.wait(DEADLINE) == 0
        finally:
            in_time.cancel()
            process.kill()


def test_asked_to_stop_it_waits_no_longer(server: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ClinicianSettings(log=f"sqlite:///{tmp_path}/log.db", database=f"{server.url}postgres", clinician_port=0)
    server.kill()
    stop = threading.Event()
    waiting = threading.Thread(target=run, args=(settings,), kwargs={"stop": stop})
    waiting.start()
    until(lambda: "database.later" in capsys.readouterr().err)
    stop.set()
    waiting.join(DEADLINE)
    assert not waiting.is_alive()
    assert "clinician.open" not in capsys.readouterr().err


class Patient(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        pytest.fail("it waits for what will not mend itself")


def test_a_database_that_refuses_is_an_error_that_says_so(server: Postgres, tmp_path: Path) -> None:
    engine = sa.create_engine(f"{server.url}postgres", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    rules = "host all keepwell 127.0.0.1/32 trust\nhost all guest 127.0.0.1/32 scram-sha-256"
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE guest LOGIN PASSWORD 'right-one'")
        place = connection.exec_driver_sql("SHOW hba_file").scalar()
        lines = ", ".join(f"('{rule}')" for rule in rules.splitlines())
        connection.exec_driver_sql(f"COPY (SELECT * FROM (VALUES {lines}) AS rules) TO '{place}'")
    server.kill()
    server.start()
    guest = server.url.replace("keepwell@", "guest:{}@")
    refused = {
        f"{guest.format('wrong-one')}postgres": "this user or password",
        f"{guest.format('')}postgres": "this user or password",
        f"{server.url.replace('keepwell@', 'stranger@')}postgres": "this user or password",
        f"{server.url}nowhere": "none of this name",
        f"sqlite:///{tmp_path}/no-folder/clinician.db": "unable to open database file",
    }
    for database, why in refused.items():
        with pytest.raises(NoDatabase, match=why) as told:
            make(ClinicianSettings(database=database), MemoryLog(), stop=Patient())
        assert "wrong-one" not in str(told.value)


def test_where_nothing_can_stop_it_it_does_not_wait(server: Postgres) -> None:
    server.kill()
    with pytest.raises(NoDatabase, match="does not answer"):
        make(ClinicianSettings(database=f"{server.url}postgres"), MemoryLog())
